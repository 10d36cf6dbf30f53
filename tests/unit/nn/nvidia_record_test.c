/* Graphs that run more than once: recorded in the second run, replayed from then on, and never with anything old. */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_card.h"
#include "nn/buffer.h"
#include "nn/graph.h"
#include "nn/nvidia/card.h"

static struct nn_device *device;

static int setup(void **state)
{
    (void)state;
    struct fake_cuda *fake = fake_card_driver();
    struct err e = {0};
    if (!fake)
        return -1;
    fake->total_bytes = (size_t)1 << 30;
    fake->fail_launch = fake->refuse_recording = 0;
    return nn_device_open("cuda", 1, &device, &e) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    const struct fake_cuda *fake = fake_card_driver();
    nn_device_close(device);
    assert_int_equal(fake->complaints, 0);
    assert_int_equal(fake->held, 0);
    assert_int_equal(fake->recordings, 0);
    return 0;
}

enum { N = 16 };

/* x times weights times 2, `doublings` times. */
struct product {
    struct nn_graph g;
    struct ggml_context *ctx;
    struct nn_buffer *buffer;
    struct ggml_tensor *x, *weights, *y;
    int doublings;
};

static void make(struct product *p, int doublings)
{
    struct err e = {0};
    struct ggml_init_params init = {.mem_size = 2 * ggml_tensor_overhead(), .no_alloc = true};
    memset(p, 0, sizeof *p);
    p->doublings = doublings;
    p->ctx = ggml_init(init);
    p->weights = ggml_new_tensor_1d(p->ctx, GGML_TYPE_F32, N);
    assert_int_equal(nn_buffer_new(device, NN_MEMORY_WEIGHTS, 4096, "weights", &p->buffer, &e),
                     ERR_OK);
    assert_int_equal(nn_buffer_place(p->buffer, p->weights, 0, &e), ERR_OK);
    nn_graph_init(&p->g, device, false);
    p->x = nn_input(&p->g, N, 1, 1, 1);
    p->y = ggml_mul(nn_ctx(&p->g), p->x, p->weights);
    for (int i = 0; i < doublings; i++)
        p->y = ggml_scale(nn_ctx(&p->g), p->y, i % 2 ? 0.5f : 2.0f);
    nn_graph_output(&p->g, p->y);
    assert_int_equal(nn_graph_prepare(&p->g, &e), ERR_OK);
}

static void set_weights(struct product *p, float w)
{
    float f[N];
    for (int i = 0; i < N; i++)
        f[i] = w;
    nn_tensor_set(device, p->weights, f, 0, sizeof f);
}

static void drop(struct product *p)
{
    nn_graph_deinit(&p->g);
    nn_buffer_free(p->buffer);
    ggml_free(p->ctx);
}

static enum err_code run(struct product *p, float x, const atomic_bool *cancel)
{
    struct err e = {0};
    float f[N];
    for (int i = 0; i < N; i++)
        f[i] = x;
    nn_graph_set(&p->g, p->x, f);
    return nn_graph_run(&p->g, cancel, &e);
}

/* With weights of w. */
static void run_and_check(struct product *p, float x, float w)
{
    float f[N];
    assert_int_equal(run(p, x, NULL), ERR_OK);
    nn_graph_get(&p->g, p->y, f);
    for (int i = 0; i < N; i++)
        assert_true(f[i] == x * w * (float)(1 + p->doublings % 2));
}

static void a_second_run_is_recorded_and_later_ones_are_replayed(void **state)
{
    (void)state;
    const struct fake_cuda *fake = fake_card_driver();
    struct product p;
    long replays = fake->replays, waits;
    make(&p, 1);
    set_weights(&p, 3);
    run_and_check(&p, 1, 3);
    assert_int_equal(fake->recordings, 0);
    run_and_check(&p, 2, 3);
    assert_int_equal(fake->recordings, 1);
    set_weights(&p, 5); /* at the same place */
    waits = fake->waits;
    run_and_check(&p, 4, 5);
    assert_int_equal(fake->waits, waits + 1);
    assert_int_equal(fake->replays, replays + 2);
    assert_int_equal(fake->recordings, 1);
    drop(&p);
}

static void a_long_graph_is_recorded_in_batches(void **state)
{
    (void)state;
    const struct fake_cuda *fake = fake_card_driver();
    struct product p;
    atomic_bool cancel = true;
    make(&p, 199);
    set_weights(&p, 3);
    for (int i = 1; i <= 4; i++)
        run_and_check(&p, (float)i, 3);
    assert_int_equal(fake->recordings, 7); /* of 32 nodes */
    long waits = fake->waits, launches = fake->launches;
    run_and_check(&p, 7, 3);
    assert_int_equal(fake->waits, waits + 1); /* at the end alone */
    assert_int_equal(fake->launches, launches + 200);
    assert_int_equal(run(&p, 1, &cancel), ERR_CANCELLED);
    assert_int_equal(fake->launches, launches + 200);
    run_and_check(&p, 8, 3);
    drop(&p);
}

static void weights_that_moved_are_found(void **state)
{
    (void)state;
    const struct fake_cuda *fake = fake_card_driver();
    struct err e = {0};
    struct product p;
    make(&p, 1);
    set_weights(&p, 3);
    for (int i = 1; i <= 3; i++)
        run_and_check(&p, (float)i, 3);
    p.weights->data = p.weights->buffer = NULL;
    assert_int_equal(nn_buffer_place(p.buffer, p.weights, 2048, &e), ERR_OK);
    set_weights(&p, 11);
    run_and_check(&p, 1, 11);
    assert_int_equal(fake->recordings, 0);
    run_and_check(&p, 2, 11);
    assert_int_equal(fake->recordings, 1);
    run_and_check(&p, 3, 11);
    drop(&p);
}

static void what_is_not_recorded_is_launched(void **state)
{
    (void)state;
    struct fake_cuda *fake = fake_card_driver();
    struct product p;
    make(&p, 99);
    set_weights(&p, 3);
    run_and_check(&p, 1, 3);
    fake->refuse_recording = 2;
    long replays = fake->replays;
    for (int i = 2; i < 5; i++) /* not tried again */
        run_and_check(&p, (float)i, 3);
    assert_int_equal(fake->recordings, 3);
    assert_int_equal(fake->replays, replays + 3 * 3);
    drop(&p);
}

static void recordings_have_a_bound(void **state)
{
    (void)state;
    const struct fake_cuda *fake = fake_card_driver();
    struct product p, q;
    make(&p, NV_RECORD_LAUNCHES + 101);
    make(&q, 1);
    set_weights(&p, 3);
    set_weights(&q, 5);
    for (int i = 1; i < 4; i++)
        run_and_check(&p, (float)i, 3);
    assert_int_equal(fake->recordings, NV_RECORD_LAUNCHES / 32);
    for (int i = 1; i < 4; i++)
        run_and_check(&q, (float)i, 5);
    assert_int_equal(fake->recordings, NV_RECORD_LAUNCHES / 32);
    drop(&p); /* which leaves room */
    drop(&q);
    make(&q, 1);
    set_weights(&q, 5);
    for (int i = 1; i < 4; i++)
        run_and_check(&q, (float)i, 5);
    assert_int_equal(fake->recordings, 1);
    drop(&q);
}

static void a_context_takes_its_recordings_along(void **state)
{
    (void)state;
    struct fake_cuda *fake = fake_card_driver();
    struct product p;
    make(&p, 1);
    set_weights(&p, 3);
    for (int i = 1; i < 4; i++)
        run_and_check(&p, (float)i, 3);
    fake->fail_launch = 2; /* in a replay */
    assert_int_equal(run(&p, 1, NULL), ERR_DEVICE);
    assert_true(nn_device_renew(device));
    assert_int_equal(fake->recordings, 0);
    assert_int_equal(run(&p, 1, NULL), ERR_DEVICE);
    drop(&p);
    make(&p, 1);
    set_weights(&p, 3);
    for (int i = 1; i < 4; i++)
        run_and_check(&p, (float)i, 3);
    assert_int_equal(fake->recordings, 1);
    drop(&p);
}

static void a_setting_turns_it_off(void **state)
{
    (void)state;
    struct fake_cuda *fake = fake_card_driver();
    struct product p;
    struct err e = {0};
    uint64_t overhead = nn_device_overhead(device);
    nn_device_close(device);
    (void)setenv("VEETANCE_CUDA_GRAPHS", "0", 1);
    assert_int_equal(nn_device_open("cuda", 1, &device, &e), ERR_OK);
    (void)unsetenv("VEETANCE_CUDA_GRAPHS");
    assert_int_equal(nn_device_overhead(device), overhead - NV_RECORD_ROOM);
    long replays = fake->replays;
    make(&p, 1);
    set_weights(&p, 3);
    for (int i = 1; i < 4; i++)
        run_and_check(&p, (float)i, 3);
    assert_int_equal(fake->replays, replays);
    drop(&p);
}

/* ---- what must not be done meanwhile ------------------------------------------------------------------------------- */

static void a_new_kernel_is_not_loaded_in_a_recording(void **state)
{
    (void)state;
    struct nv_card *c = nn_device_card(device);
    struct nv_record r;
    struct nv_softmax none = {0};
    struct err e = {0};
    assert_int_equal(nv_record_begin(c, &e), ERR_OK);
    assert_int_equal(nv_launch(c, NV_KERNEL_softmax, (struct nv_grid){.x = 1}, &none, &e),
                     ERR_BUSY);
    assert_non_null(strstr(e.text, "softmax"));
    assert_int_equal(nv_record_end(c, &r, &e), ERR_OK);
    assert_null(r.replay);
    assert_int_equal(nv_record_replay(c, &r, &e), ERR_OK); /* of nothing */
    nv_record_free(c, &r);
}

static void taking_memory_spoils_the_recording_and_not_the_card(void **state)
{
    (void)state;
    struct fake_cuda *fake = fake_card_driver();
    struct nv_card *c = nn_device_card(device);
    struct nv_record r;
    struct nv_memory m;
    struct product p;
    struct err e = {0};
    long complaints = fake->complaints;
    assert_int_equal(nv_record_begin(c, &e), ERR_OK);
    assert_int_equal(nv_memory_new(c, 4096, &m, &e), ERR_BUSY);
    assert_int_equal(nv_record_end(c, &r, &e), ERR_BUSY);
    nv_record_free(c, &r);
    assert_int_equal(fake->complaints, complaints + 1);
    fake->complaints = complaints;
    make(&p, 1);
    set_weights(&p, 3);
    run_and_check(&p, 2, 3);
    drop(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_second_run_is_recorded_and_later_ones_are_replayed),
        TEST(a_long_graph_is_recorded_in_batches),
        TEST(weights_that_moved_are_found),
        TEST(what_is_not_recorded_is_launched),
        TEST(recordings_have_a_bound),
        TEST(a_context_takes_its_recordings_along),
        TEST(a_setting_turns_it_off),
        TEST(a_new_kernel_is_not_loaded_in_a_recording),
        TEST(taking_memory_spoils_the_recording_and_not_the_card),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
