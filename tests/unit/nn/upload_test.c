/* Tensors of several parts, put where the processor writes them itself: the device is the CPU. */
#include "nn/upload.h"

#include <ggml-alloc.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/mem.h"

enum { ROW = 1001, ROWS = 4000 };

struct fixture {
    struct nn_device *device;
    struct nn_uploader *u;
    struct ggml_context *ctx;
    ggml_backend_buffer_t buffer;
    struct ggml_tensor *t; /* [ROW, ROWS], 16 MB */
    int64_t bad_row;       /* refused by number_rows; -1: none */
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof *f);
    struct err e = {0};
    struct ggml_init_params p = {.mem_size = 4 * ggml_tensor_overhead(), .no_alloc = true};
    if (nn_device_open("cpu", 1, &f->device, &e) != ERR_OK)
        fail_msg("%s", e.text);
    f->u = nn_uploader_new(f->device);
    f->ctx = ggml_init(p);
    f->t = ggml_new_tensor_2d(f->ctx, GGML_TYPE_F32, ROW, ROWS);
    f->buffer = ggml_backend_alloc_ctx_tensors(f->ctx, nn_device_backend(f->device));
    f->bad_row = -1;
    *state = f;
    return f->buffer ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    nn_uploader_free(f->u);
    ggml_backend_buffer_free(f->buffer);
    ggml_free(f->ctx);
    nn_device_close(f->device);
    mem_free(f);
    return 0;
}

/* Every number is its place; whole rows are asked for. */
static enum err_code number_rows(const void *user, size_t at, size_t n, void *dst, struct err *e)
{
    const struct fixture *f = user;
    size_t row_bytes = ROW * sizeof(float);
    if (at % row_bytes || n % row_bytes)
        return err_set(e, ERR_INTERNAL, "%zu bytes from %zu on are no whole rows", n, at);
    int64_t first = (int64_t)(at / row_bytes), rows = (int64_t)(n / row_bytes);
    if (f->bad_row >= first && f->bad_row < first + rows)
        return err_set(e, ERR_NUMERIC, "row %lld is bad", (long long)f->bad_row);
    size_t begin = at / sizeof(float), count = n / sizeof(float);
    for (size_t i = 0; i < count; i++)
        ((float *)dst)[i] = (float)(begin + i);
    return ERR_OK;
}

static void expect_numbered(const struct fixture *f)
{
    const float *x = f->t->data;
    for (size_t i = 0; i < (size_t)ROW * ROWS; i++)
        if (x[i] != (float)i)
            fail_msg("element %zu is %g", i, (double)x[i]);
}

static struct nn_upload rows_of(const struct fixture *f)
{
    return (struct nn_upload){
        .t = f->t, .fill = number_rows, .user = f, .unit = ROW * sizeof(float)};
}

static void all_rows_arrive_when_made_on_the_way(void **state)
{
    struct fixture *f = *state;
    struct nn_upload w = rows_of(f);
    struct err e = {0};
    for (int i = 0; i < 20; i++) {
        memset(f->t->data, 0xff, ggml_nbytes(f->t));
        assert_int_equal(nn_upload(f->u, &w, &e), ERR_OK);
        expect_numbered(f);
    }
}

static void all_bytes_arrive_when_taken_as_they_are(void **state)
{
    struct fixture *f = *state;
    float *src = mem_try_array((size_t)ROW * ROWS, sizeof *src);
    struct nn_upload w = {.t = f->t, .src = src, .unit = 1};
    struct err e = {0};
    assert_non_null(src);
    for (size_t i = 0; i < (size_t)ROW * ROWS; i++)
        src[i] = (float)i;
    memset(f->t->data, 0xff, ggml_nbytes(f->t));
    assert_int_equal(nn_upload(f->u, &w, &e), ERR_OK);
    expect_numbered(f);
    mem_free(src);
}

static void upload_fails_and_the_next_works_when_a_part_is_refused(void **state)
{
    struct fixture *f = *state;
    struct nn_upload w = rows_of(f);
    for (f->bad_row = 0; f->bad_row < ROWS; f->bad_row += ROWS / 3) {
        struct err e = {0};
        assert_int_equal(nn_upload(f->u, &w, &e), ERR_NUMERIC);
        assert_non_null(strstr(e.text, "is bad"));
    }
    f->bad_row = -1;
    struct err e = {0};
    memset(f->t->data, 0xff, ggml_nbytes(f->t));
    assert_int_equal(nn_upload(f->u, &w, &e), ERR_OK);
    expect_numbered(f);
}

static void upload_stops_when_it_is_cancelled(void **state)
{
    struct fixture *f = *state;
    struct nn_upload w = rows_of(f);
    atomic_bool cancel = true;
    struct err e = {0};
    w.cancel = &cancel;
    memset(f->t->data, 0xff, ggml_nbytes(f->t));
    assert_int_equal(nn_upload(f->u, &w, &e), ERR_CANCELLED);
    for (size_t i = 0; i < ggml_nbytes(f->t); i++)
        if (((const unsigned char *)f->t->data)[i] != 0xff)
            fail_msg("byte %zu was written", i);
    atomic_store(&cancel, false);
    assert_int_equal(nn_upload(f->u, &w, &e), ERR_OK);
    expect_numbered(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_rows_arrive_when_made_on_the_way, setup, teardown),
        cmocka_unit_test_setup_teardown(all_bytes_arrive_when_taken_as_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(upload_stops_when_it_is_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(upload_fails_and_the_next_works_when_a_part_is_refused,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
