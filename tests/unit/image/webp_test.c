#include "image_support.h"

#include "image/save.h"

/* ---- files made by the test ------------------------------------------------------------------- */

static void put_u24(struct buf *b, unsigned v)
{
    buf_add_byte(b, v & 255u);
    buf_add_byte(b, v >> 8 & 255u);
    buf_add_byte(b, v >> 16 & 255u);
}

static void put_u32(struct buf *b, size_t v)
{
    put_u24(b, (unsigned)v & 0xffffffu);
    buf_add_byte(b, (unsigned)(v >> 24) & 255u);
}

static void put_chunk(struct buf *b, const char *name, const void *p, size_t n)
{
    buf_add(b, name, 4);
    put_u32(b, n);
    buf_add(b, p, n);
    if (n & 1)
        buf_add_byte(b, 0);
}

static struct buf encoded(const struct image *im, int quality)
{
    struct err e = {0};
    struct buf b;
    buf_init(&b, 16u << 20);
    must(image_webp_write(im, quality, &b, &e), &e);
    return b;
}

/* The chunk with the pixels of a lossless still: everything behind "RIFF", size, "WEBP". */
static struct str pixel_chunk(const struct buf *still)
{
    return str_skip(buf_str(still), 12);
}

struct made {
    unsigned w, h;   /* canvas */
    unsigned x, y;   /* of the frame; even */
    int frames;      /* 0 = a still */
    int orientation; /* 0 = no EXIF */
    const char *icc; /* NULL = none */
};

/* An extended file around the pixels of a still. */
static struct buf extended(const struct made *m, const struct image *im)
{
    struct buf still = encoded(im, IMAGE_WEBP_LOSSLESS), body, b;
    struct str pixels = pixel_chunk(&still);
    unsigned flags =
        0x10u | (m->frames ? 0x02u : 0) | (m->icc ? 0x20u : 0) | (m->orientation ? 0x08u : 0);
    buf_init(&body, 16u << 20);
    buf_add(&body, "WEBPVP8X\x0a\0\0\0", 12);
    put_u32(&body, flags);
    put_u24(&body, m->w - 1);
    put_u24(&body, m->h - 1);
    if (m->icc)
        put_chunk(&body, "ICCP", m->icc, strlen(m->icc));
    if (m->frames)
        put_chunk(&body, "ANIM", "\0\0\0\0\0\0", 6);
    for (int i = 0; i < m->frames; i++) {
        buf_add(&body, "ANMF", 4);
        put_u32(&body, 16 + pixels.n);
        put_u24(&body, m->x / 2);
        put_u24(&body, m->y / 2);
        put_u24(&body, (unsigned)im->w - 1);
        put_u24(&body, (unsigned)im->h - 1);
        put_u24(&body, 100);
        buf_add_byte(&body, 0);
        buf_add_str(&body, pixels);
    }
    if (!m->frames)
        buf_add_str(&body, pixels);
    if (m->orientation) {
        char exif[] = "II\x2a\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\1\0\0\0\0\0\0";
        exif[18] = (char)m->orientation;
        put_chunk(&body, "EXIF", exif, sizeof exif - 1);
    }
    buf_init(&b, 16u << 20);
    buf_add(&b, "RIFF", 4);
    put_u32(&b, body.n);
    buf_add_str(&b, buf_str(&body));
    buf_deinit(&body);
    buf_deinit(&still);
    return b;
}

static struct image load(const struct buf *b, struct image_info *info)
{
    struct err e = {0};
    struct image im;
    must(image_load_memory(buf_str(b), NULL, info, &im, &e), &e);
    return im;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void lossless_round_trip_loses_no_bit(void **state)
{
    (void)state;
    for (int channels = 3; channels <= 4; channels++) {
        struct image_info info;
        struct image im = noise(37, 23, channels, 3);
        for (int i = 0; channels == 4 && i < 100; i++)
            im.p[i * 4 + 3] = 0;
        struct buf b = encoded(&im, IMAGE_WEBP_LOSSLESS);
        struct image back = load(&b, &info);
        assert_same(&im, &back);
        assert_int_equal(info.format, IMAGE_FORMAT_WEBP);
        assert_int_equal(info.had_alpha, channels == 4);
        assert_int_equal(info.frames, 1);
        assert_string_equal(info.notes, "");
        buf_deinit(&b);
        image_free(&im);
        image_free(&back);
    }
}

static void lossy_round_trip_is_close(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 4; channels++) {
        struct err e = {0};
        struct image_difference d;
        struct image im = new_image(64, 48, channels), want;
        fill_gradient(&im);
        for (int i = 0; image_has_alpha(&im) && i < 64 * 48; i++)
            im.p[i * channels + channels - 1] = 200;
        struct buf b = encoded(&im, 95);
        struct image back = load(&b, NULL);
        must(image_convert(&im, back.channels, &want, &e), &e);
        assert_int_equal(back.channels, image_has_alpha(&im) ? 4 : 3);
        must(image_compare(&want, &back, &d, &e), &e);
        assert_true(d.psnr_db > 25.0);
        buf_deinit(&b);
        image_free(&im);
        image_free(&want);
        image_free(&back);
    }
}

static void webp_is_refused_when_quality_or_size_make_no_sense(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    struct image im = new_image(16384, 1, 3);
    assert_int_equal(image_webp_write(&im, 80, &b, &e), ERR_LIMIT);
    im.w = 8;
    assert_int_equal(image_webp_write(&im, 0, &b, &e), ERR_ARG);
    assert_int_equal(image_webp_write(&im, 102, &b, &e), ERR_ARG);
    assert_int_equal(image_webp_write_file("/nowhere/x.webp", &im, 80, &e), ERR_IO);
    buf_deinit(&b);
    image_free(&im);
}

static void first_frame_is_used_when_it_is_an_animation(void **state)
{
    (void)state;
    struct made m = {.w = 20, .h = 16, .x = 4, .y = 2, .frames = 3};
    struct image_info info;
    struct image im = noise(9, 7, 4, 5);
    struct buf b = extended(&m, &im);
    struct image out = load(&b, &info);
    assert_int_equal(info.frames, 3);
    assert_non_null(strstr(info.notes, "animation of 3 frames"));
    assert_int_equal(out.w, 20);
    assert_int_equal(out.h, 16);
    assert_int_equal(out.channels, 4);
    assert_int_equal(out.p[3], 0);
    for (int y = 0; y < 7; y++)
        assert_memory_equal(image_row(&out, y + 2) + 16, image_row(&im, y), 36);
    buf_deinit(&b);
    image_free(&im);
    image_free(&out);
}

static void more_frames_than_anybody_draws_are_refused(void **state)
{
    (void)state;
    struct made m = {.w = 2, .h = 2, .frames = 10001};
    struct err e = {0};
    struct image im = noise(2, 2, 4, 5), out;
    struct buf b = extended(&m, &im);
    assert_int_equal(image_load_memory(buf_str(&b), NULL, NULL, &out, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "frames"));
    buf_deinit(&b);
    image_free(&im);
}

static void orientation_and_profile_are_found(void **state)
{
    (void)state;
    struct made m = {.w = 9, .h = 7, .orientation = 8, .icc = "no profile at all"};
    struct err e = {0};
    struct image_info info;
    struct image im = noise(9, 7, 4, 5), want;
    struct buf b = extended(&m, &im);
    struct image out = load(&b, &info);
    must(image_orient(&im, 8, &want, &e), &e);
    assert_same(&want, &out);
    assert_int_equal(info.w, 7);
    assert_true(info.had_icc);
    assert_non_null(strstr(info.notes, "ICC"));
    buf_deinit(&b);
    image_free(&im);
    image_free(&want);
    image_free(&out);
}

static void huge_canvas_is_refused_before_any_allocation_of_ours(void **state)
{
    (void)state;
    struct made m = {.w = 16384, .h = 16384, .frames = 1};
    struct err e = {0};
    struct image im = noise(9, 7, 4, 5), out;
    struct buf b = extended(&m, &im);
    mem_fail_after(1);
    enum err_code rc = image_load_memory(buf_str(&b), NULL, NULL, &out, &e);
    mem_fail_after(0);
    assert_int_equal(rc, ERR_LIMIT);
    assert_non_null(strstr(e.text, "16384 x 16384"));
    buf_deinit(&b);
    image_free(&im);
}

static void cut_webp_is_an_error_wherever_it_ends(void **state)
{
    (void)state;
    struct image im = noise(21, 17, 4, 5), out;
    struct made animation = {.w = 24, .h = 20, .frames = 2};
    for (int i = 0; i < 3; i++) {
        struct buf b = i == 0   ? encoded(&im, IMAGE_WEBP_LOSSLESS)
                       : i == 1 ? encoded(&im, 80)
                                : extended(&animation, &im);
        for (size_t n = 12; n < b.n; n++) {
            struct err e = {0};
            enum err_code rc = image_load_memory((struct str){b.p, n}, NULL, NULL, &out, &e);
            if (rc != ERR_FORMAT)
                fail_msg("kind %d cut at %zu of %zu: %s", i, n, b.n, err_code_name(rc));
            assert_non_null(strstr(e.text, "WebP is"));
        }
        buf_deinit(&b);
    }
    image_free(&im);
}

static void damaged_byte_never_crashes(void **state)
{
    (void)state;
    struct image im = noise(21, 17, 4, 5), out;
    struct made animation = {.w = 24, .h = 20, .frames = 2, .orientation = 5};
    for (int i = 0; i < 3; i++) {
        struct buf b = i == 0   ? encoded(&im, IMAGE_WEBP_LOSSLESS)
                       : i == 1 ? encoded(&im, 80)
                                : extended(&animation, &im);
        for (size_t at = 0; at < b.n; at++) {
            b.p[at] = (char)(b.p[at] ^ 0x11);
            (void)!image_load_memory(buf_str(&b), NULL, NULL, &out, NULL);
            image_free(&out);
            b.p[at] = (char)(b.p[at] ^ 0x11);
        }
        buf_deinit(&b);
    }
    image_free(&im);
}

static enum err_code write_it(void *arg, struct err *e)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    enum err_code rc = image_webp_write(arg, 80, &b, e);
    buf_deinit(&b);
    return rc;
}

static enum err_code read_it(void *arg, struct err *e)
{
    struct image im;
    enum err_code rc = image_load_memory(buf_str(arg), NULL, NULL, &im, e);
    image_free(&im);
    return rc;
}

static void reading_and_writing_fail_cleanly_when_memory_is_out(void **state)
{
    (void)state;
    struct image im = noise(33, 20, 2, 1), colour = noise(9, 7, 4, 1);
    struct made m = {.w = 9, .h = 7, .orientation = 8, .icc = "no profile at all"};
    struct buf b = extended(&m, &colour);
    assert_survives_without_memory(write_it, &im);
    assert_survives_without_memory(read_it, &b);
    buf_deinit(&b);
    image_free(&im);
    image_free(&colour);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_round_trip_loses_no_bit),
        cmocka_unit_test(lossy_round_trip_is_close),
        cmocka_unit_test(webp_is_refused_when_quality_or_size_make_no_sense),
        cmocka_unit_test(first_frame_is_used_when_it_is_an_animation),
        cmocka_unit_test(more_frames_than_anybody_draws_are_refused),
        cmocka_unit_test(orientation_and_profile_are_found),
        cmocka_unit_test(huge_canvas_is_refused_before_any_allocation_of_ours),
        cmocka_unit_test(cut_webp_is_an_error_wherever_it_ends),
        cmocka_unit_test(damaged_byte_never_crashes),
        cmocka_unit_test(reading_and_writing_fail_cleanly_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
