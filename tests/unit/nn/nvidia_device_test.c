/* The host side of a card on the driver that is none: what is found, what fails, what comes back. */
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
#include "nn/nvidia/ptx.h"
#include "nn/params_impl.h"
#include "nn/upload.h"
#include "weights/dtype.h"

static struct nn_device *must_open(const char *name)
{
    struct err e = {0};
    struct nn_device *d;
    if (nn_device_open(name, 1, &d, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return d;
}

/* Every test begins with one card of sm_90, and ends with nothing held and nothing wrong. */
static int setup(void **state)
{
    (void)state;
    struct fake_cuda *fake = fake_card_driver();
    if (!fake)
        return -1;
    fake->cards = 1;
    fake->major = 9;
    fake->minor = 0;
    fake->total_bytes = (size_t)1 << 30;
    fake->fail_launch = fake->refuse_allocation = 0;
    (void)unsetenv("VEETANCE_CUDA_ARCH");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    const struct fake_cuda *fake = fake_card_driver();
    assert_int_equal(fake->complaints, 0);
    assert_int_equal(fake->held, 0);
    return 0;
}

/* What a device holds from its start. */
static size_t held_by_none(struct nn_device *d)
{
    return nn_device_overhead(d) - ((size_t)300 << 20) - NV_RECORD_ROOM;
}

/* ---- finding ------------------------------------------------------------------------------------------------- */

static void cards_are_listed_with_their_memory(void **state)
{
    (void)state;
    struct nn_device_info list[8];
    struct err e = {0};
    size_t n;
    fake_card_driver()->cards = 2;
    assert_int_equal(nn_device_list(list, 8, &n, &e), ERR_OK);
    assert_true(n >= 3); /* and the processor */
    assert_string_equal(list[0].name, "cuda0");
    assert_string_equal(list[1].name, "cuda1");
    assert_false(list[0].is_cpu);
    assert_int_equal(list[0].total_bytes, (size_t)1 << 30);
    assert_true(list[0].free_bytes > 0 && list[0].free_bytes < list[0].total_bytes);
}

static void names_choose_cards(void **state)
{
    (void)state;
    const char *names[][2] = {{"cuda", "cuda0"}, {"cuda1", "cuda1"}, {"CUDA0", "cuda0"}};
    struct nn_device_info info;
    struct err e = {0};
    struct nn_device *d;
    fake_card_driver()->cards = 2;
    for (size_t i = 0; i < 3; i++) {
        d = must_open(names[i][0]);
        nn_device_info(d, &info);
        assert_string_equal(info.name, names[i][1]);
        assert_non_null(nn_device_card(d));
        nn_device_close(d);
    }
    assert_int_equal(nn_device_open("cuda2", 1, &d, &e), ERR_DEVICE);
    assert_non_null(strstr(e.text, "cuda2"));
    assert_int_equal(nn_device_open("cudax", 1, &d, &e), ERR_DEVICE);
}

static void old_cards_are_left_to_vulkan(void **state)
{
    (void)state;
    struct nv_card_info cards[4];
    struct err e = {0};
    struct nn_device *d;
    fake_card_driver()->major = 7;
    fake_card_driver()->minor = 5;
    assert_int_equal(nv_card_list(cards, 4), 0);
    assert_int_equal(nn_device_open("cuda0", 1, &d, &e), ERR_DEVICE);
    assert_non_null(strstr(e.text, "7.5"));
    assert_non_null(strstr(e.text, "vulkan"));
}

static int architecture_of(int major, int minor, const char *forced)
{
    fake_card_driver()->major = major;
    fake_card_driver()->minor = minor;
    if (forced)
        (void)setenv("VEETANCE_CUDA_ARCH", forced, 1);
    struct nn_device *d = must_open("cuda");
    int arch = nv_card_architecture(nn_device_card(d));
    nn_device_close(d);
    (void)unsetenv("VEETANCE_CUDA_ARCH");
    return arch;
}

static void hopper_alone_has_kernels_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(architecture_of(8, 0, NULL), 80);
    assert_int_equal(architecture_of(8, 9, NULL), 80);
    assert_int_equal(architecture_of(9, 0, NULL), 90);
    assert_int_equal(architecture_of(9, 0, "80"), 80);
    assert_int_equal(architecture_of(12, 0, NULL), 80);
}

static void the_contexts_share_is_measured(void **state)
{
    (void)state;
    struct nn_device *d = must_open("cuda");
    assert_int_equal(nn_device_overhead(d),
                     ((size_t)300 << 20) + NV_RECORD_ROOM + fake_card_driver()->held);
    nn_device_close(d);
}

static void a_worker_lends_no_card(void **state)
{
    (void)state;
    struct err e = {0};
    struct nn_device *d = must_open("cuda");
    assert_int_equal(nn_device_serve(d, "127.0.0.1:1", &e), ERR_DEVICE);
    nn_device_close(d);
}

/* ---- memory and graphs ---------------------------------------------------------------------------------------- */

static void kernels_are_text_with_their_entry_points(void **state)
{
    (void)state;
    static const struct {
        const char *module, *name;
    } rows[] = {
#define NV_KERNEL(module, name, architecture, parameters, threads, shared) {#module, #name},
        NV_KERNELS(NV_KERNEL)
#undef NV_KERNEL
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text, entry[100];
        struct err e = {0};
        assert_int_equal(nv_ptx(rows[i].module, &text, &e), ERR_OK);
        (void)snprintf(entry, sizeof entry, ".entry %s(", rows[i].name);
        if (!strstr(text, entry))
            fail_msg("there is no '%s' in '%s'", rows[i].name, rows[i].module);
        free(text);
    }
}

static void a_refused_allocation_is_told_and_leaves_nothing(void **state)
{
    (void)state;
    struct err e = {0};
    struct nn_buffer *b;
    struct nn_device *d = must_open("cuda");
    fake_card_driver()->refuse_allocation = 1;
    assert_int_equal(nn_buffer_new(d, NN_MEMORY_WEIGHTS, 64 << 20, "weights", &b, &e), ERR_NOMEM);
    assert_non_null(strstr(e.text, "64 MiB"));
    assert_int_equal(nn_buffer_new(d, NN_MEMORY_WEIGHTS, 2u << 30, "weights", &b, &e), ERR_NOMEM);
    assert_int_equal(nn_buffer_new(d, NN_MEMORY_WEIGHTS, 64 << 20, "weights", &b, &e), ERR_OK);
    assert_int_equal(fake_card_driver()->held, (64 << 20) + held_by_none(d));
    nn_buffer_free(b);
    nn_device_close(d);
}

enum { N = 1000 };

struct squares {
    struct nn_graph g;
    struct ggml_tensor *in, *out;
};

static enum err_code squares_prepare(struct squares *s, struct nn_device *d, struct err *e)
{
    nn_graph_init(&s->g, d, false);
    s->in = nn_input(&s->g, N, 1, 1, 1);
    s->out = ggml_sqr(nn_ctx(&s->g), ggml_scale(nn_ctx(&s->g), s->in, 2.0f));
    nn_graph_output(&s->g, s->out);
    return nn_graph_prepare(&s->g, e);
}

static enum err_code squares_run(struct squares *s, const atomic_bool *cancel, struct err *e)
{
    float x[N], y[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)i;
    nn_graph_set(&s->g, s->in, x);
    enum err_code rc = nn_graph_run(&s->g, cancel, e);
    if (rc != ERR_OK)
        return rc;
    nn_graph_get(&s->g, s->out, y);
    for (int i = 0; i < N; i++)
        assert_true(y[i] == 4.0f * (float)i * (float)i);
    return rc;
}

static void a_graph_takes_what_was_measured(void **state)
{
    (void)state;
    struct err e = {0};
    struct squares s;
    struct nn_device *d = must_open("cuda");
    assert_int_equal(squares_prepare(&s, d, &e), ERR_OK);
    assert_int_equal(fake_card_driver()->held, nn_graph_compute_bytes(&s.g) + held_by_none(d));
    for (int i = 0; i < 3; i++)
        assert_int_equal(squares_run(&s, NULL, &e), ERR_OK);
    nn_graph_deinit(&s.g);
    assert_int_equal(fake_card_driver()->held, held_by_none(d));
    nn_device_close(d);
}

static void a_cancelled_run_stops_and_the_next_goes(void **state)
{
    (void)state;
    struct err e = {0};
    struct squares s;
    atomic_bool cancel = true;
    struct nn_device *d = must_open("cuda");
    assert_int_equal(squares_prepare(&s, d, &e), ERR_OK);
    assert_int_equal(squares_run(&s, &cancel, &e), ERR_CANCELLED);
    assert_int_equal(squares_run(&s, NULL, &e), ERR_OK);
    nn_graph_deinit(&s.g);
    nn_device_close(d);
}

static void what_has_no_launcher_is_refused_by_name(void **state)
{
    (void)state;
    struct err e = {0};
    struct nn_graph g;
    struct nn_device *d = must_open("cuda");
    nn_graph_init(&g, d, false);
    struct ggml_tensor *x = nn_input(&g, 8, 8, 1, 1);
    nn_graph_output(&g, ggml_argsort(nn_ctx(&g), x, GGML_SORT_ORDER_ASC));
    assert_int_equal(nn_graph_prepare(&g, &e), ERR_DEVICE);
    assert_non_null(strstr(e.text, "ARGSORT"));
    nn_graph_deinit(&g);
    nn_device_close(d);
}

static void a_lost_device_is_one_error_and_starts_anew(void **state)
{
    (void)state;
    struct err e = {0};
    struct squares s, next;
    struct nn_buffer *weights;
    struct nn_device *d = must_open("cuda");
    long contexts = fake_card_driver()->contexts;
    assert_int_equal(nn_buffer_new(d, NN_MEMORY_WEIGHTS, 4096, "weights", &weights, &e), ERR_OK);
    assert_int_equal(squares_prepare(&s, d, &e), ERR_OK);
    fake_card_driver()->fail_launch = 2;
    assert_int_equal(squares_run(&s, NULL, &e), ERR_DEVICE);
    assert_non_null(strstr(e.text, "cuda0"));
    assert_non_null(strstr(e.text, "ILLEGAL_ADDRESS"));      /* the driver's own words */
    assert_int_equal(squares_run(&s, NULL, &e), ERR_DEVICE); /* its memory is gone */

    assert_true(nn_device_renew(d));
    assert_false(nn_device_renew(d)); /* said once */
    assert_int_equal(fake_card_driver()->contexts, contexts + 1);
    assert_int_equal(squares_run(&s, NULL, &e), ERR_DEVICE);
    nn_graph_deinit(&s.g);
    nn_buffer_free(weights); /* of the context that is gone */
    assert_int_equal(squares_prepare(&next, d, &e), ERR_OK);
    assert_int_equal(squares_run(&next, NULL, &e), ERR_OK);
    nn_graph_deinit(&next.g);
    nn_device_close(d);
}

/* ---- uploading ------------------------------------------------------------------------------------------------- */

static void uploads_go_through_page_locked_slices(void **state)
{
    (void)state;
    enum { BYTES = 9 << 20 };
    struct err e = {0};
    struct nn_buffer *b;
    struct nn_device *d = must_open("cuda");
    struct ggml_init_params p = {.mem_size = 2 * ggml_tensor_overhead(), .no_alloc = true};
    struct ggml_context *ctx = ggml_init(p);
    struct ggml_tensor *t = ggml_new_tensor_1d(ctx, GGML_TYPE_I8, BYTES);
    unsigned char *src = malloc(BYTES), *back = malloc(BYTES);
    for (int i = 0; i < BYTES; i++)
        src[i] = (unsigned char)(i * 7 + i / 4096);
    assert_int_equal(nn_buffer_new(d, NN_MEMORY_WEIGHTS, BYTES, "weights", &b, &e), ERR_OK);
    assert_int_equal(nn_buffer_place(b, t, 0, &e), ERR_OK);
    struct nn_uploader *u = nn_device_uploader(d);
    assert_true(nn_uploader_locked_bytes(u) > 0);
    assert_int_equal(nn_upload(u, &(struct nn_upload){.t = t, .src = src, .unit = 1}, &e), ERR_OK);
    nn_tensor_get(d, t, back, 0, BYTES);
    assert_memory_equal(src, back, BYTES);
    free(src);
    free(back);
    nn_buffer_free(b);
    ggml_free(ctx);
    nn_device_close(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cards_are_listed_with_their_memory),
        TEST(names_choose_cards),
        TEST(old_cards_are_left_to_vulkan),
        TEST(hopper_alone_has_kernels_of_its_own),
        TEST(the_contexts_share_is_measured),
        TEST(a_worker_lends_no_card),
        TEST(kernels_are_text_with_their_entry_points),
        TEST(a_refused_allocation_is_told_and_leaves_nothing),
        TEST(a_graph_takes_what_was_measured),
        TEST(a_cancelled_run_stops_and_the_next_goes),
        TEST(what_has_no_launcher_is_refused_by_name),
        TEST(a_lost_device_is_one_error_and_starts_anew),
        TEST(uploads_go_through_page_locked_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
