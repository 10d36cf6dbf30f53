/* header_write_test.c - headers that we write, read back by our own strict readers. */
#include "weights/header_write.h"

#include <stdio.h>

#include "base/mem.h"
#include "build.h"

struct file {
    struct buf bytes;
    struct checkpoint *cp;
};

/* The header, then the tensors' bytes: each filled with its number in the list. */
static void complete(struct file *f, struct buf *header, const struct write_tensor *t, size_t n,
                     uint64_t size)
{
    struct err e = {0};
    buf_init(&f->bytes, 1 << 20);
    unsigned char *p = buf_grow(&f->bytes, (size_t)size);
    memset(p, 0, (size_t)size);
    memcpy(p, header->p, header->n);
    for (size_t i = 0; i < n; i++)
        memset(p + t[i].offset, (int)i + 1, (size_t)t[i].bytes);
    buf_deinit(header);
    if (checkpoint_open_bytes("written", f->bytes.p, f->bytes.n, &f->cp, &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static void close_file(struct file *f)
{
    checkpoint_close(f->cp);
    buf_deinit(&f->bytes);
}

static void expect(const struct file *f, const struct write_tensor *t, int number)
{
    const struct weights_tensor *r = checkpoint_find(f->cp, t->name);
    assert_non_null(r);
    assert_int_equal(r->dtype, t->dtype);
    assert_int_equal(r->n_dims, t->n_dims);
    assert_int_equal(r->bytes, t->bytes);
    for (int i = 0; i < t->n_dims; i++)
        assert_int_equal(r->dims[i], t->dims[i]);
    for (uint64_t i = 0; i < r->bytes; i++)
        assert_int_equal(r->data[i], number);
}

static struct write_tensor tensors[] = {
    {.name = "odd", .dtype = DTYPE_BF16, .n_dims = 2, .dims = {3, 5}},
    {.name = "one\"quoted\\", .dtype = DTYPE_F32, .n_dims = 1, .dims = {1}},
    {.name = "count", .dtype = DTYPE_I64, .n_dims = 1, .dims = {7}},
    {.name = "kernel", .dtype = DTYPE_F16, .n_dims = 5, .dims = {2, 3, 4, 5, 6}},
};
enum { N = sizeof tensors / sizeof tensors[0] };

static const struct write_meta texts[] = {
    {.key = {"title", 5}, .type = WRITE_STRING, .text = {"a \"b\"\n\xc3\xa4", 8}},
    {.key = {"empty", 5}, .type = WRITE_STRING, .text = {"", 0}},
};

static void safetensors_come_back_when_written(void **state)
{
    struct buf h;
    struct file f;
    struct str s;
    uint64_t size;
    struct err e = {0};
    (void)state;
    assert_int_equal(safetensors_write_header(tensors, N, texts, 2, &h, &size, &e), ERR_OK);
    complete(&f, &h, tensors, N, size);
    for (int i = 0; i < N; i++) {
        expect(&f, &tensors[i], i + 1);
        /* in place without copies: aligned to its elements */
        assert_int_equal(tensors[i].offset % dtype_info(tensors[i].dtype)->block_bytes, 0);
    }
    assert_true(checkpoint_meta_str(f.cp, "title", &s) && str_eq(s, texts[0].text));
    assert_true(checkpoint_meta_str(f.cp, "empty", &s) && s.n == 0);
    close_file(&f);
}

static void gguf_comes_back_when_written(void **state)
{
    struct write_tensor t[N + 1];
    struct write_meta meta[4];
    struct buf h;
    struct file f;
    struct str s;
    int64_t v;
    uint64_t size;
    struct err e = {0};
    (void)state;
    memcpy(t, tensors, sizeof tensors);
    t[N] = (struct write_tensor){.name = "q", .dtype = DTYPE_Q5_0, .n_dims = 2, .dims = {3, 64}};
    memcpy(meta, texts, sizeof texts);
    meta[2] = (struct write_meta){.key = STR_LIT("n"), .type = WRITE_U32, .number = 0xfffffffeu};
    meta[3] = (struct write_meta){
        .key = STR_LIT("list"), .type = WRITE_I32_ARRAY, .items = {-1, 2}, .n_items = 2};
    assert_int_equal(gguf_write_header(t, N + 1, meta, 4, &h, &size, &e), ERR_OK);
    assert_int_equal(size % 32, 0);
    complete(&f, &h, t, N + 1, size);
    for (int i = 0; i <= N; i++) {
        expect(&f, &t[i], i + 1);
        assert_int_equal(t[i].offset % 32, 0);
    }
    assert_int_equal(t[N].bytes, 3 * 2 * 22);
    assert_true(checkpoint_meta_str(f.cp, "title", &s) && str_eq(s, texts[0].text));
    assert_true(checkpoint_meta_i64(f.cp, "n", &v) && v == 0xfffffffe);
    assert_int_equal(checkpoint_meta_array_count(f.cp, "list"), 2);
    close_file(&f);
}

static enum err_code try_one(bool gguf, struct write_tensor t)
{
    struct buf h;
    uint64_t size;
    struct err e = {0};
    enum err_code rc =
        (gguf ? gguf_write_header : safetensors_write_header)(&t, 1, NULL, 0, &h, &size, &e);
    buf_deinit(&h);
    assert_true(rc == ERR_OK || strstr(e.text, "'t'"));
    return rc;
}

static void what_a_format_cannot_hold_is_refused(void **state)
{
    struct write_tensor t = {.name = "t", .dtype = DTYPE_Q8_0, .n_dims = 2, .dims = {2, 64}};
    (void)state;
    assert_int_equal(try_one(true, t), ERR_OK);
    assert_int_equal(try_one(false, t), ERR_FORMAT);
    t.dims[1] = 48; /* a block and a half */
    assert_int_equal(try_one(true, t), ERR_FORMAT);
    t.dtype = DTYPE_F8_E4M3;
    assert_int_equal(try_one(true, t), ERR_FORMAT);
    assert_int_equal(try_one(false, t), ERR_OK);
    t.dtype = DTYPE_INVALID;
    assert_int_equal(try_one(true, t), ERR_FORMAT);
    assert_int_equal(try_one(false, t), ERR_FORMAT);
    t.dtype = DTYPE_F32;
    t.dims[0] = 0;
    assert_int_equal(try_one(true, t), ERR_FORMAT);
    assert_int_equal(try_one(false, t), ERR_OK);
    t.dims[0] = INT64_MAX;
    assert_int_equal(try_one(true, t), ERR_LIMIT);
    assert_int_equal(try_one(false, t), ERR_LIMIT);
}

static void failed_allocations_are_errors(void **state)
{
    struct buf h;
    uint64_t size;
    struct err e = {0};
    (void)state;
    for (int gguf = 0; gguf < 2; gguf++)
        for (long n = 1; n < 40; n++) {
            mem_fail_after(n);
            enum err_code rc = (gguf ? gguf_write_header : safetensors_write_header)(
                tensors, N, texts, 2, &h, &size, &e);
            mem_fail_after(0);
            buf_deinit(&h);
            assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_come_back_when_written),
        cmocka_unit_test(gguf_comes_back_when_written),
        cmocka_unit_test(what_a_format_cannot_hold_is_refused),
        cmocka_unit_test(failed_allocations_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
