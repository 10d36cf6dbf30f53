/* sink_test.c - files that are written in pieces: what a sink says ends the work at once, in every format. */
#include "layers_support.h"

#include "image/png_save.h"
#include "image/save.h"
#include "layers/file.h"

static enum err_code png(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    return image_png_write_to(&s->layers[0].image, NULL, 0, out, e);
}

static enum err_code webp(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    return image_webp_write_to(&s->layers[0].image, IMAGE_WEBP_LOSSLESS, out, e);
}

static enum err_code psd(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    return layers_write(s, LAYERS_PSD, out, e);
}

static enum err_code ora(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    return layers_write(s, LAYERS_ORA, out, e);
}

static enum err_code pptx(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    return layers_write(s, LAYERS_PPTX, out, e);
}

static enum err_code zip(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    return layers_write(s, LAYERS_ZIP, out, e);
}

static const struct {
    const char *name;
    stack_writer write;
} formats[] = {{"png", png}, {"webp", webp}, {"psd", psd},
               {"ora", ora}, {"pptx", pptx}, {"zip", zip}};

enum { FORMATS = sizeof formats / sizeof formats[0] };

/* Takes so many bytes, and is called so often; then it fails. */
struct limited {
    size_t bytes, calls;
    size_t most_bytes, most_calls, largest;
    bool failed;
};

static enum err_code limited_sink(const void *p, size_t n, void *user, struct err *e)
{
    struct limited *l = user;
    (void)p;
    if (l->failed)
        fail_msg("called again");
    l->calls++;
    l->bytes += n;
    l->largest = n > l->largest ? n : l->largest;
    l->failed = l->bytes > l->most_bytes || l->calls > l->most_calls;
    return l->failed ? err_set(e, ERR_CANCELLED, "nobody wants it") : ERR_OK;
}

static enum err_code write_limited(size_t f, const struct layer_stack *s, struct limited *l,
                                   struct err *e)
{
    const struct image_out out = {limited_sink, l};
    return formats[f].write(s, &out, e);
}

static struct layer_stack stack(int side)
{
    struct layer_stack s;
    layer_stack_init(&s, side, side);
    put(&s, noise(side, side, 1, true), "Background", 0, 0);
    put(&s, noise(side / 2, side / 3, 2, false), "Star", side / 4, 5);
    return s;
}

static void must_be_cancelled(size_t f, const struct layer_stack *s, struct limited l)
{
    struct err e = {0};
    enum err_code rc = write_limited(f, s, &l, &e);
    if (rc != ERR_CANCELLED || !strstr(e.text, "nobody wants it"))
        fail_msg("%s, %zu bytes, %zu calls: %s: %s", formats[f].name, l.most_bytes, l.most_calls,
                 err_code_name(rc), e.text);
}

static void a_sink_that_fails_ends_the_work_wherever_it_is(void **state)
{
    struct layer_stack s = stack(150);
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct err e = {0};
        struct limited all = {.most_bytes = SIZE_MAX, .most_calls = SIZE_MAX};
        must(write_limited(f, &s, &all, &e), &e);
        for (size_t n = 0; n < all.bytes; n += 1 + all.bytes / 40)
            must_be_cancelled(f, &s, (struct limited){.most_bytes = n, .most_calls = SIZE_MAX});
        for (size_t n = 0; n < all.calls; n += 1 + all.calls / 40)
            must_be_cancelled(f, &s, (struct limited){.most_bytes = SIZE_MAX, .most_calls = n});
        must_be_cancelled(f, &s,
                          (struct limited){.most_bytes = all.bytes - 1, .most_calls = SIZE_MAX});
    }
    layer_stack_deinit(&s);
}

/* Before the first byte is there, a sink is asked, too: while layers are put together and measured. */
static void a_sink_is_asked_before_there_are_bytes(void **state)
{
    struct layer_stack s = stack(150);
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct err e = {0};
        struct limited none = {.most_bytes = 0, .most_calls = SIZE_MAX};
        assert_int_equal(write_limited(f, &s, &none, &e), ERR_CANCELLED);
        if (formats[f].write == psd || formats[f].write == webp)
            assert_true(none.calls > 3);
    }
    layer_stack_deinit(&s);
}

/* No piece is as large as the file: a PSD's is some 64 KiB, an archive's one packed layer. */
static void no_format_of_layers_is_gathered_in_memory(void **state)
{
    struct layer_stack s = stack(700);
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        struct err e = {0};
        struct limited all = {.most_bytes = SIZE_MAX, .most_calls = SIZE_MAX};
        must(write_limited(f, &s, &all, &e), &e);
        if (formats[f].write == psd)
            assert_true(all.largest < (64 << 10) + 1024 && all.bytes > 1 << 20);
        else if (formats[f].write != webp && formats[f].write != png)
            assert_true(all.largest < all.bytes * 9 / 10);
    }
    layer_stack_deinit(&s);
}

static void a_folder_is_no_file(void **state)
{
    struct layer_stack s = stack(20);
    struct err e = {0};
    struct limited l = {.most_bytes = SIZE_MAX, .most_calls = SIZE_MAX};
    const struct image_out out = {limited_sink, &l};
    (void)state;
    assert_int_equal(layers_write(&s, LAYERS_PNG, &out, &e), ERR_ARG);
    assert_int_equal(l.calls, 0);
    layer_stack_deinit(&s);
}

/* A file that is there stays as it is when its successor cannot be written. */
static void a_failed_export_leaves_the_old_file(void **state)
{
    char path[] = "/tmp/veetance-sink.XXXXXX";
    int fd = mkstemp(path);
    struct layer_stack s = stack(20);
    struct err e = {0};
    char was[4] = {0};
    (void)state;
    assert_int_equal(write(fd, "old", 3), 3);
    s.w = 40000;
    assert_int_equal(layers_export(&s, LAYERS_PSD, path, &e), ERR_LIMIT);
    assert_int_equal(pread(fd, was, 3, 0), 3);
    assert_string_equal(was, "old");
    s.w = 20;
    must(layers_export(&s, LAYERS_PSD, path, &e), &e);
    assert_int_equal(close(fd), 0);
    layer_stack_deinit(&s);
    must(layers_import(path, NULL, &s, &e), &e);
    assert_int_equal(s.n, 2);
    assert_int_equal(unlink(path), 0);
    layer_stack_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sink_that_fails_ends_the_work_wherever_it_is),
        cmocka_unit_test(a_sink_is_asked_before_there_are_bytes),
        cmocka_unit_test(no_format_of_layers_is_gathered_in_memory),
        cmocka_unit_test(a_folder_is_no_file),
        cmocka_unit_test(a_failed_export_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
