/* trace_test.c - tensors of a run, written as safetensors and read back by our own reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "pipeline/trace.h"
#include "weights/checkpoint.h"

static char path[] = "/tmp/vt-trace-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

static struct trace *new_trace(void)
{
    struct trace *t;
    struct err e = {0};
    assert_int_equal(trace_new(&t, &e), ERR_OK);
    return t;
}

static void tensors_come_back_when_written_and_read(void **state)
{
    const float f[6] = {0.5f, -1, 2, 3e-30f, 4, 1e30f};
    const int64_t ids[4] = {10, -1, INT64_MAX, INT64_MIN};
    struct trace *t = new_trace();
    struct checkpoint *cp;
    struct err e = {0};
    int64_t n;
    (void)state;
    trace_add_f32(t, "a", f, (int64_t[]){1, 2, 3}, 3);
    trace_add_i64(t, "ids", ids, (int64_t[]){2, 2}, 2);
    trace_add_f32(t, "mid.b.0", f + 1, (int64_t[]){5}, 1);
    assert_int_equal(trace_write(t, path, &e), ERR_OK);
    assert_ptr_equal(trace_find_f32(t, "ids", &n), NULL);
    assert_ptr_equal(trace_find_f32(t, "c", &n), NULL);
    assert_memory_equal(trace_find_f32(t, "mid.b.0", &n), f + 1, 5 * sizeof *f);
    assert_int_equal(n, 5);
    trace_free(t);
    if (checkpoint_open(path, &cp, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_int_equal(checkpoint_count(cp), 3);
    const struct weights_tensor *a = checkpoint_find(cp, "a"), *i = checkpoint_find(cp, "ids");
    assert_non_null(a);
    assert_non_null(i);
    assert_int_equal(a->dtype, DTYPE_F32);
    assert_int_equal(a->n_dims, 3);
    assert_int_equal(a->dims[2], 3);
    assert_memory_equal(a->data, f, sizeof f);
    assert_int_equal(i->bytes, sizeof ids);
    assert_memory_equal(i->data, ids, sizeof ids);
    checkpoint_close(cp);
}

static void the_header_is_aligned_when_names_are_of_any_length(void **state)
{
    const float f = 1;
    (void)state;
    for (size_t len = 1; len < 20; len++) {
        struct trace *t = new_trace();
        struct err e = {0};
        struct buf b;
        char name[32] = "";
        uint64_t n;
        memset(name, 'x', len);
        trace_add_f32(t, name, &f, (int64_t[]){1}, 1);
        assert_int_equal(trace_write(t, path, &e), ERR_OK);
        assert_int_equal(file_read(path, 1 << 20, &b, &e), ERR_OK);
        memcpy(&n, b.p, 8);
        assert_int_equal(n % 8, 0);
        assert_int_equal(b.n, 8 + n + sizeof f);
        buf_deinit(&b);
        trace_free(t);
    }
}

static void nothing_is_kept_when_there_is_no_trace(void **state)
{
    const float f = 1;
    (void)state;
    trace_add_f32(NULL, "a", &f, (int64_t[]){1}, 1);
    trace_free(NULL);
}

static void writing_fails_when_a_tensor_could_not_be_kept(void **state)
{
    const float f = 1;
    char name[200];
    struct err e = {0};
    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    struct trace *t = new_trace();
    trace_add_f32(t, name, &f, (int64_t[]){1}, 1);
    assert_int_equal(trace_write(t, path, &e), ERR_NOMEM);
    trace_free(t);
    t = new_trace();
    trace_add_f32(t, "a", &f, (int64_t[]){1, 1, 1, 1, 1, 1}, 6);
    assert_int_equal(trace_write(t, path, &e), ERR_NOMEM);
    trace_free(t);
    t = new_trace();
    trace_add_f32(t, "a", &f, (int64_t[]){1}, 1);
    assert_int_equal(trace_write(t, "/proc/nowhere/t", &e), ERR_IO);
    trace_free(t);
}

static void writing_fails_cleanly_when_memory_runs_out(void **state)
{
    const float f[512] = {1};
    enum err_code rc = ERR_NOMEM;
    long n = 1;
    (void)state;
    for (; n < 100 && rc != ERR_OK; n++) {
        struct err e = {0};
        struct trace *t = NULL;
        mem_fail_after(n);
        rc = trace_new(&t, &e);
        for (int i = 0; t && i < 4; i++)
            trace_add_f32(t, "a", f, (int64_t[]){512}, 1);
        if (t)
            rc = trace_write(t, path, &e);
        mem_fail_after(0);
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        trace_free(t);
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(n > 5);
}

static void a_dry_trace_keeps_nothing(void **state)
{
    struct trace *t;
    struct err e = {0};
    int64_t n;
    (void)state;
    assert_int_equal(trace_new_dry(&t, &e), ERR_OK);
    trace_add_f32(t, "a", (float[]){1, 2}, (int64_t[]){2}, 1);
    assert_null(trace_find_f32(t, "a", &n));
    trace_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_come_back_when_written_and_read),
        cmocka_unit_test(the_header_is_aligned_when_names_are_of_any_length),
        cmocka_unit_test(nothing_is_kept_when_there_is_no_trace),
        cmocka_unit_test(a_dry_trace_keeps_nothing),
        cmocka_unit_test(writing_fails_when_a_tensor_could_not_be_kept),
        cmocka_unit_test(writing_fails_cleanly_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
