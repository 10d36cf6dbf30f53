#include "image_support.h"

#include <math.h>
#include <sched.h>
#include <unistd.h>

#include <lcms2.h>
#include <zlib.h>

#include "image/png_save.h"
#include "png_support.h"

static struct image load(const struct buf *b, struct image_info *info)
{
    struct err e = {0};
    struct image im;
    must(image_load_memory(buf_str(b), NULL, info, &im, &e), &e);
    return im;
}

static struct buf written(const struct image *im)
{
    struct err e = {0};
    struct buf b;
    buf_init(&b, 64u << 20);
    must(image_png_write(im, NULL, 0, &b, &e), &e);
    return b;
}

static unsigned sample_at(const unsigned char *row, int i, int depth)
{
    if (depth == 16)
        return (unsigned)row[i * 2] << 8 | row[i * 2 + 1];
    int bit = i * depth;
    return (unsigned)row[bit / 8] >> (8 - depth - bit % 8) & ((1u << depth) - 1);
}

static void put_chunk(struct buf *b, const char *name, const void *p, size_t n)
{
    uint32_t crc = 0xffffffffu;
    size_t from = b->n + 4;
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_add_byte(b, (unsigned)(n >> shift) & 255u);
    buf_add(b, name, 4);
    buf_add(b, p, n);
    for (size_t i = from; i < b->n; i++) {
        crc ^= (unsigned char)b->p[i];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_add_byte(b, (~crc >> shift) & 255u);
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void round_trip_loses_no_bit(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 4; channels++) {
        struct image_info info;
        struct image im = noise(37, 23, channels, 9);
        struct buf b = written(&im);
        struct image back = load(&b, &info);
        assert_same(&im, &back);
        assert_int_equal(info.format, IMAGE_FORMAT_PNG);
        assert_int_equal(info.channels, channels);
        assert_int_equal(info.had_alpha, channels == 2 || channels == 4);
        assert_string_equal(info.notes, "");
        buf_deinit(&b);
        image_free(&im);
        image_free(&back);
    }
}

/* More strips than are made at a time; rows longer than a strip; both on one processor and on all. */
static void strips_are_one_stream_whatever_the_number_of_threads(void **state)
{
    (void)state;
    static const int sizes[][2] = {{700, 2500}, {150000, 3}, {1, 1}, {3, 60000}};
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct image im = noise(sizes[i][0], sizes[i][1], 3, (uint32_t)i);
        struct buf many = written(&im);
        CPU_ZERO(&one);
        CPU_SET((size_t)sched_getcpu(), &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        struct buf alone = written(&im);
        assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
        assert_int_equal(alone.n, many.n);
        assert_memory_equal(alone.p, many.p, many.n);
        struct image back = load(&many, NULL);
        assert_same(&im, &back);
        buf_deinit(&many);
        buf_deinit(&alone);
        image_free(&im);
        image_free(&back);
    }
}

/* Each kind of image goes with the filter that suits it. */
static void rows_take_the_filter_with_the_least_cost(void **state)
{
    (void)state;
    enum { W = 64, H = 8 };
    struct image across = noise(W, H, 1, 0), down = noise(W, H, 1, 0), random = noise(W, H, 1, 3);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            image_row(&across, y)[x] = (unsigned char)(y * 37 + x);
            image_row(&down, y)[x] = image_row(&random, 0)[x];
        }
    struct buf a = written(&across), d = written(&down), r = written(&random);
    assert_true(a.n < r.n / 2);
    assert_true(d.n < r.n / 2);
    buf_deinit(&a);
    buf_deinit(&d);
    buf_deinit(&r);
    image_free(&across);
    image_free(&down);
    image_free(&random);
}

static void colours_under_zero_alpha_survive(void **state)
{
    (void)state;
    struct image im = noise(16, 16, 4, 2);
    for (int i = 0; i < 256; i++)
        im.p[i * 4 + 3] = 0;
    struct buf b = written(&im);
    struct image back = load(&b, NULL);
    assert_same(&im, &back);
    buf_deinit(&b);
    image_free(&im);
    image_free(&back);
}

/* Every colour type and depth, with and without interlacing: samples scaled to 8 bits, rounded. */
static void every_colour_type_and_depth_is_read(void **state)
{
    (void)state;
    static const struct {
        int type, depth, channels;
    } rows[] = {
        {PNG_COLOR_TYPE_GRAY, 1, 1},       {PNG_COLOR_TYPE_GRAY, 2, 1},
        {PNG_COLOR_TYPE_GRAY, 4, 1},       {PNG_COLOR_TYPE_GRAY, 8, 1},
        {PNG_COLOR_TYPE_GRAY, 16, 1},      {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2},
        {PNG_COLOR_TYPE_RGB, 8, 3},        {PNG_COLOR_TYPE_GRAY_ALPHA, 16, 2},
        {PNG_COLOR_TYPE_RGB, 16, 3},       {PNG_COLOR_TYPE_RGB_ALPHA, 8, 4},
        {PNG_COLOR_TYPE_RGB_ALPHA, 16, 4},
    };
    enum { W = 19, H = 11 };
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        int type = rows[i / 2].type, depth = rows[i / 2].depth, n = rows[i / 2].channels;
        struct made m = {.w = W, .h = H, .type = type, .depth = depth, .interlaced = i % 2};
        struct image raw = noise((W * n * depth + 7) / 8, H, 1, (uint32_t)i);
        struct image_info info;
        struct buf b;
        make_png(&m, raw.p, raw.stride, &b);
        struct image im = load(&b, &info);
        assert_int_equal(im.w, W);
        assert_int_equal(im.h, H);
        assert_int_equal(im.channels, n);
        assert_int_equal(info.bit_depth, depth);
        double most = (double)((1u << depth) - 1);
        for (int k = 0; k < W * H * n; k++) {
            unsigned v = sample_at(image_row(&raw, k / (W * n)), k % (W * n), depth);
            assert_int_equal(im.p[k], (int)((double)v * 255.0 / most + 0.5));
        }
        buf_deinit(&b);
        image_free(&raw);
        image_free(&im);
    }
}

static void palettes_become_rgb_and_rgba_when_they_have_alpha(void **state)
{
    (void)state;
    static const png_color palette[16] = {{1, 2, 3}, {255, 0, 9}, {7, 200, 8}, {5, 5, 5}};
    static const unsigned char alpha[2] = {0, 128};
    enum { W = 13, H = 9 };
    for (int i = 0; i < 8; i++) {
        int depth = i & 1 ? 2 : 4;
        bool with_alpha = i & 2;
        struct made m = {.w = W, .h = H, .type = PNG_COLOR_TYPE_PALETTE, .depth = depth};
        m.interlaced = i & 4;
        m.palette = palette;
        m.trns = with_alpha ? alpha : NULL;
        m.n_trns = 2;
        struct image raw = noise((W * depth + 7) / 8, H, 1, (uint32_t)i);
        struct buf b;
        make_png(&m, raw.p, raw.stride, &b);
        struct image im = load(&b, NULL);
        assert_int_equal(im.channels, with_alpha ? 4 : 3);
        for (int k = 0; k < W * H; k++) {
            unsigned v = sample_at(image_row(&raw, k / W), k % W, depth);
            assert_memory_equal(im.p + (ptrdiff_t)k * im.channels, &palette[v], 3);
            if (with_alpha)
                assert_int_equal(im.p[k * 4 + 3], v < 2 ? alpha[v] : 255);
        }
        buf_deinit(&b);
        image_free(&raw);
        image_free(&im);
    }
}

static void a_transparent_colour_becomes_alpha(void **state)
{
    (void)state;
    static const unsigned char row[6] = {10, 20, 30, 10, 20, 31};
    static const png_color_16 colour = {.red = 10, .green = 20, .blue = 30};
    struct made m = {.w = 2, .h = 1, .type = PNG_COLOR_TYPE_RGB, .depth = 8};
    m.trns_colour = &colour;
    struct buf b;
    make_png(&m, row, sizeof row, &b);
    struct image im = load(&b, NULL);
    assert_memory_equal(im.p, ((unsigned char[]){10, 20, 30, 0, 10, 20, 31, 255}), 8);
    buf_deinit(&b);
    image_free(&im);
}

static void gamma_is_applied_only_when_it_is_not_srgb_s(void **state)
{
    (void)state;
    static const unsigned char row[3] = {0, 128, 255};
    struct made m = {.w = 3, .h = 1, .type = PNG_COLOR_TYPE_GRAY, .depth = 8, .gamma = 1.0};
    struct buf b;
    make_png(&m, row, 3, &b);
    struct image im = load(&b, NULL);
    assert_int_equal(im.p[0], 0);
    assert_true(im.p[1] >= 186 && im.p[1] <= 188); /* (128 / 255) ^ (1 / 2.2) */
    assert_int_equal(im.p[2], 255);
    image_free(&im);
    buf_deinit(&b);
    m.gamma = 0.45455;
    make_png(&m, row, 3, &b);
    im = load(&b, NULL);
    assert_memory_equal(im.p, row, 3);
    image_free(&im);
    buf_deinit(&b);
}

/* A profile with sRGB's primaries and another curve; 1 / 2.2 would be close to none. */
static void *profile_of_gamma(double gamma, cmsUInt32Number *n)
{
    static const cmsCIExyYTRIPLE primaries = {
        {0.64, 0.33, 1.0}, {0.30, 0.60, 1.0}, {0.15, 0.06, 1.0}};
    static const cmsCIExyY d65 = {0.3127, 0.3290, 1.0};
    cmsToneCurve *t = cmsBuildGamma(NULL, gamma);
    cmsToneCurve *curves[3] = {t, t, t};
    cmsHPROFILE p =
        gamma > 0 ? cmsCreateRGBProfile(&d65, &primaries, curves) : cmsCreate_sRGBProfile();
    assert_true(cmsSaveProfileToMem(p, NULL, n));
    void *bytes = mem_try_alloc(*n);
    assert_true(cmsSaveProfileToMem(p, bytes, n));
    cmsCloseProfile(p);
    cmsFreeToneCurve(t);
    return bytes;
}

static void icc_profile_is_applied_and_alpha_kept(void **state)
{
    (void)state;
    static const unsigned char row[8] = {128, 128, 128, 77, 255, 0, 0, 0};
    struct made m = {.w = 2, .h = 1, .type = PNG_COLOR_TYPE_RGB_ALPHA, .depth = 8};
    struct image_info info;
    struct buf b;
    m.icc = profile_of_gamma(1.0, &m.icc_bytes);
    make_png(&m, row, 8, &b);
    struct image im = load(&b, &info);
    assert_true(info.had_icc);
    assert_true(im.p[0] >= 186 && im.p[0] <= 190); /* sRGB's curve of 128 / 255 */
    assert_int_equal(im.p[3], 77);
    assert_true(im.p[4] >= 254);
    assert_true(im.p[5] <= 1);
    assert_int_equal(im.p[7], 0);
    mem_free((void *)(uintptr_t)m.icc);
    buf_deinit(&b);
    image_free(&im);
}

static void grey_profile_is_applied_to_grey_only(void **state)
{
    (void)state;
    static const unsigned char row[8] = {0, 1, 128, 2, 255, 3, 0, 0};
    for (int type = PNG_COLOR_TYPE_GRAY; type <= PNG_COLOR_TYPE_GRAY_ALPHA; type += 4) {
        struct made m = {.w = 3, .h = 1, .type = type, .depth = 8};
        struct image_info info;
        struct buf b;
        int n = type == PNG_COLOR_TYPE_GRAY ? 1 : 2;
        cmsToneCurve *t = cmsBuildGamma(NULL, 1.0);
        cmsHPROFILE p = cmsCreateGrayProfile(cmsD50_xyY(), t);
        unsigned char bytes[2048];
        assert_true(cmsSaveProfileToMem(p, NULL, &m.icc_bytes));
        assert_true(m.icc_bytes >= 1 && m.icc_bytes <= sizeof bytes);
        assert_true(cmsSaveProfileToMem(p, bytes, &m.icc_bytes));
        cmsCloseProfile(p);
        cmsFreeToneCurve(t);
        m.icc = bytes;
        make_png(&m, row, 8, &b);
        struct image im = load(&b, &info);
        int middle = n == 1 ? 1 : 128;
        double linear = middle / 255.0;
        double want = linear <= 0.0031308 ? linear * 12.92 : 1.055 * pow(linear, 1 / 2.4) - 0.055;
        assert_true(info.had_icc);
        assert_int_equal(im.channels, n);
        if (abs(im.p[n] - (int)(want * 255.0 + 0.5)) > 1)
            fail_msg("%d channels: %d became %d", n, middle, im.p[n]);
        if (n == 2)
            assert_int_equal(im.p[3], 2);
        image_free(&im);
        buf_deinit(&b);
    }
}

static void srgb_profile_leaves_every_bit(void **state)
{
    (void)state;
    struct made m = {.w = 64, .h = 64, .type = PNG_COLOR_TYPE_RGB, .depth = 8};
    struct image_info info;
    struct image raw = noise(64, 64, 3, 4);
    struct buf b;
    m.icc = profile_of_gamma(0, &m.icc_bytes);
    make_png(&m, raw.p, raw.stride, &b);
    struct image im = load(&b, &info);
    assert_true(info.had_icc);
    assert_same(&raw, &im);
    mem_free((void *)(uintptr_t)m.icc);
    buf_deinit(&b);
    image_free(&im);
    image_free(&raw);
}

static void exif_orientation_is_applied(void **state)
{
    (void)state;
    static const unsigned char exif[] =
        "MM\0\x2a\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0";
    static const unsigned char row[2] = {1, 2};
    struct made m = {.w = 2, .h = 1, .type = PNG_COLOR_TYPE_GRAY, .depth = 8, .exif = exif};
    m.exif_bytes = sizeof exif - 1;
    struct image_info info;
    struct buf b;
    make_png(&m, row, 2, &b);
    struct image im = load(&b, &info);
    assert_int_equal(info.orientation, 6);
    assert_int_equal(info.w, 1);
    assert_int_equal(info.h, 2);
    assert_int_equal(im.h, 2);
    image_free(&im);
    buf_deinit(&b);
}

static void texts_come_back_as_they_were(void **state)
{
    (void)state;
    static const char latin1[] = "caf\xc3\xa9 \xc2\xa0\xc3\xbf, two\nlines";
    static const char wide[] = "a fox \xf0\x9f\xa6\x8a \xe2\x80\x94 \xc5\x82";
    struct image_text texts[] = {{"seed", STR_LIT("42")},
                                 {"prompt", STR_LIT(latin1)},
                                 {"parameters", STR_LIT(wide)},
                                 {"empty", STR_LIT("")}};
    struct err e = {0};
    struct image im = noise(4, 4, 3, 1);
    struct buf b, t;
    buf_init(&b, 1 << 20);
    must(image_png_write(&im, texts, 4, &b, &e), &e);
    assert_non_null(memmem(b.p, b.n,
                           "tEXtseed\0"
                           "42",
                           11));
    assert_non_null(memmem(b.p, b.n, "tEXtprompt\0caf\xe9 \xa0\xff,", 19));
    assert_non_null(memmem(b.p, b.n, "iTXtparameters\0", 15));
    for (int i = 0; i < 4; i++) {
        buf_init(&t, 1 << 20);
        must(image_png_text(buf_str(&b), texts[i].key, &t, &e), &e);
        assert_true(str_eq(buf_str(&t), texts[i].text));
        buf_deinit(&t);
    }
    buf_init(&t, 1 << 20);
    assert_int_equal(image_png_text(buf_str(&b), "other", &t, &e), ERR_NOTFOUND);
    assert_int_equal(image_png_text((struct str){b.p, b.n - 20}, "other", &t, &e), ERR_FORMAT);
    buf_deinit(&b);
    image_free(&im);
}

static bool collect(struct str key, struct str text, void *user)
{
    struct buf *b = user;
    buf_printf(b, "%.*s=%.*s;", STR_ARG(key), STR_ARG(text));
    return !str_eq_z(text, "stop");
}

static void packed_texts_are_unpacked_within_bounds(void **state)
{
    (void)state;
    /* zlib streams of "\xe9t\xe9" and of a snowman */
    static const char ztxt[] = "k\0\0\x78\x9c\x7b\x59\xf2\x12\x00\x04\x8f\x02\x47";
    static const char itxt[] = "u\0\1\0\0\0\x78\x9c\x7b\x34\xa3\x19\x00\x04\x5c\x01\xfe";
    struct err e = {0};
    struct buf b, t;
    buf_init(&b, 1 << 20);
    buf_add(&b, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(&b, "zTXt", ztxt, sizeof ztxt - 1);
    put_chunk(&b, "iTXt", itxt, sizeof itxt - 1);
    put_chunk(&b, "zTXt", "cut\0\0\x78\x9c", 7);
    put_chunk(&b, "IEND", "", 0);
    buf_init(&t, 1 << 20);
    must(image_png_text(buf_str(&b), "k", &t, &e), &e);
    must(image_png_text(buf_str(&b), "u", &t, &e), &e);
    assert_true(str_eq_z(buf_str(&t), "\xc3\xa9t\xc3\xa9\xe2\x98\x83"));
    assert_int_equal(image_png_text(buf_str(&b), "cut", &t, &e), ERR_FORMAT);
    buf_clear(&t);
    must(image_png_texts(buf_str(&b), collect, &t, &e), &e);
    assert_string_equal(buf_z(&t), "k=\xc3\xa9t\xc3\xa9;u=\xe2\x98\x83;");
    assert_int_equal(image_png_texts((struct str){b.p, b.n - 5}, collect, &t, &e), ERR_FORMAT);
    assert_int_equal(image_png_texts(STR_LIT("GIF89a"), collect, &t, &e), ERR_FORMAT);
    buf_deinit(&t);
    buf_deinit(&b);
}

static void text_is_refused_when_the_format_cannot_hold_it(void **state)
{
    (void)state;
    struct image_text bad[] = {
        {"", STR_LIT("x")},
        {" x", STR_LIT("x")},
        {"a  b", STR_LIT("x")},
        {"a\nb", STR_LIT("x")},
        {"caf\xc3\xa9", STR_LIT("x")},
        {"k", STR_LIT("\xff")},
        {"k", {"a\0b", 3}},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         STR_LIT("x")},
    };
    struct image im = noise(1, 1, 1, 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        struct buf b;
        buf_init(&b, 1 << 20);
        assert_int_equal(image_png_write(&im, &bad[i], 1, &b, &e), ERR_ARG);
        assert_int_equal(b.n, 0);
    }
    image_free(&im);
}

static void file_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    struct err e = {0};
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/png_test_%ld.png", (long)getpid());
    struct image im = noise(9, 9, 4, 1), back;
    must(image_png_write_file(path, &im, NULL, 0, &e), &e);
    must(image_load_file(path, NULL, NULL, &back, &e), &e);
    assert_same(&im, &back);
    unlink(path);
    assert_int_equal(image_png_write_file("/nowhere/x.png", &im, NULL, 0, &e), ERR_IO);
    image_free(&im);
    image_free(&back);
}

/* Only a header, of an image that would need 14 GB: not even the first allocation may be tried. */
static void huge_header_is_refused_before_any_allocation(void **state)
{
    (void)state;
    static const char bytes[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\x08\6\0\0\0";
    struct err e = {0};
    struct image im;
    mem_fail_after(1);
    enum err_code rc = image_load_memory(STR_LIT(bytes), NULL, NULL, &im, &e);
    mem_fail_after(0);
    assert_int_equal(rc, ERR_LIMIT);
    assert_non_null(strstr(e.text, "60000 x 60000"));
}

static void limits_can_be_set(void **state)
{
    (void)state;
    struct err e = {0};
    struct image_info info;
    struct image_limits l = image_limits_defaults();
    struct image im = noise(20, 20, 3, 1), back;
    struct buf b = written(&im);
    l.max_pixels = 399;
    assert_int_equal(image_load_memory(buf_str(&b), &l, NULL, &back, &e), ERR_LIMIT);
    assert_int_equal(image_probe_memory(buf_str(&b), &l, &info, &e), ERR_LIMIT);
    l.max_pixels = 400;
    must(image_probe_memory(buf_str(&b), &l, &info, &e), &e);
    assert_int_equal(info.w, 20);
    assert_int_equal(info.channels, 3);
    l.max_file_bytes = b.n - 1;
    assert_int_equal(image_load_memory(buf_str(&b), &l, NULL, &back, &e), ERR_LIMIT);
    buf_deinit(&b);
    image_free(&im);
}

static void cut_file_is_an_error_wherever_it_ends(void **state)
{
    (void)state;
    struct image im = noise(17, 13, 4, 1), back;
    struct buf b = written(&im);
    for (size_t n = 8; n < b.n; n++) {
        struct err e = {0};
        assert_int_equal(image_load_memory((struct str){b.p, n}, NULL, NULL, &back, &e),
                         ERR_FORMAT);
        assert_non_null(strstr(e.text, "cut"));
    }
    buf_deinit(&b);
    image_free(&im);
}

static void damaged_byte_never_crashes_and_checksums_find_it(void **state)
{
    (void)state;
    struct image im = noise(7, 5, 3, 1), back;
    struct buf b = written(&im);
    for (size_t at = 0; at < b.n; at++) {
        for (int bit = 0; bit < 8; bit += 3) {
            b.p[at] = (char)(b.p[at] ^ (1 << bit));
            enum err_code rc = image_load_memory(buf_str(&b), NULL, NULL, &back, NULL);
            if (rc == ERR_OK)
                assert_same(&im, &back); /* only in chunks that do not matter */
            image_free(&back);
            b.p[at] = (char)(b.p[at] ^ (1 << bit));
        }
    }
    buf_deinit(&b);
    image_free(&im);
}

/* One pixel, and 8 MB of stored zlib data behind it. */
static void more_data_than_pixels_are_not_unpacked(void **state)
{
    (void)state;
    struct err e = {0};
    struct image_info info;
    struct image im;
    struct buf data, b;
    buf_init(&data, 16u << 20);
    buf_init(&b, 16u << 20);
    buf_add(&data, "\x78\x01", 2);
    for (int i = 0; i < 128; i++) {
        buf_add(&data, "\x00\xff\xff\x00\x00", 5);
        memset(buf_grow(&data, 65535), 0, 65535);
    }
    buf_add(&data, "\x01\x00\x00\xff\xff\0\0\0\0", 9);
    buf_add(&b, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(&b, "IHDR", "\0\0\0\1\0\0\0\1\x08\0\0\0\0", 13);
    put_chunk(&b, "IDAT", data.p, data.n);
    put_chunk(&b, "IEND", "", 0);
    enum err_code rc = image_load_memory(buf_str(&b), NULL, &info, &im, &e);
    assert_int_equal(rc, ERR_FORMAT);
    assert_non_null(strstr(e.text, "beyond its last row"));
    buf_deinit(&data);
    buf_deinit(&b);
}

/* A black image of w x h grey pixels whose stream unpacks to so many zero bytes. */
static struct buf png_of_zeros(unsigned w, unsigned h, bool interlaced, size_t unpacked)
{
    unsigned char header[13] = {0, 0, 0, (unsigned char)w, 0, 0, 0, (unsigned char)h, 8};
    uLongf n = compressBound(unpacked);
    unsigned char *zeros = mem_alloc(unpacked), *packed = mem_alloc(n);
    struct buf b;
    header[12] = interlaced;
    assert_int_equal(compress2(packed, &n, zeros, unpacked, 9), Z_OK);
    buf_init(&b, 16u << 20);
    buf_add(&b, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(&b, "IHDR", header, sizeof header);
    put_chunk(&b, "IDAT", packed, n);
    put_chunk(&b, "IEND", "", 0);
    mem_free(zeros);
    mem_free(packed);
    return b;
}

static void bombs_behind_the_last_row_are_refused(void **state)
{
    (void)state;
    static const unsigned sides[][2] = {{1, 1}, {8, 8}, {7, 9}, {2, 40}, {40, 2}, {3, 1}};
    for (size_t i = 0; i < 2 * sizeof sides / sizeof sides[0]; i++) {
        struct err e = {0};
        struct image im;
        struct buf b = png_of_zeros(sides[i / 2][0], sides[i / 2][1], i % 2, (size_t)32 << 20);
        assert_int_equal(image_load_memory(buf_str(&b), NULL, NULL, &im, &e), ERR_FORMAT);
        assert_non_null(strstr(e.text, "beyond its last row"));
        buf_deinit(&b);
    }
}

static void a_few_bytes_too_many_are_only_a_note(void **state)
{
    (void)state;
    struct image_info info;
    struct buf b = png_of_zeros(8, 8, false, 8 * 9 + 5);
    struct image im = load(&b, &info);
    assert_int_equal(im.w, 8);
    assert_true(info.notes[0] != 0);
    image_free(&im);
    buf_deinit(&b);
}

static enum err_code write_it(void *arg, struct err *e)
{
    struct image_text text = {"prompt", STR_LIT("x\xc3\xa9\xe2\x80\x94")};
    struct buf b;
    buf_init(&b, 1 << 20);
    enum err_code rc = image_png_write(arg, &text, 1, &b, e);
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
    struct image im = noise(33, 20, 4, 1);
    assert_survives_without_memory(write_it, &im);
    struct buf b = written(&im);
    assert_survives_without_memory(read_it, &b);
    buf_deinit(&b);
    struct made m = {.w = 33, .h = 20, .type = PNG_COLOR_TYPE_RGB_ALPHA, .depth = 8};
    m.interlaced = true;
    m.icc = profile_of_gamma(1.0, &m.icc_bytes);
    make_png(&m, im.p, im.stride, &b);
    assert_survives_without_memory(read_it, &b);
    mem_free((void *)(uintptr_t)m.icc);
    buf_deinit(&b);
    image_free(&im);
}

static void output_is_refused_when_it_exceeds_its_maximum(void **state)
{
    (void)state;
    struct err e = {0};
    struct image im = noise(64, 64, 4, 1);
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(image_png_write(&im, NULL, 0, &b, &e), ERR_NOMEM);
    buf_deinit(&b);
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_loses_no_bit),
        cmocka_unit_test(strips_are_one_stream_whatever_the_number_of_threads),
        cmocka_unit_test(rows_take_the_filter_with_the_least_cost),
        cmocka_unit_test(colours_under_zero_alpha_survive),
        cmocka_unit_test(every_colour_type_and_depth_is_read),
        cmocka_unit_test(palettes_become_rgb_and_rgba_when_they_have_alpha),
        cmocka_unit_test(a_transparent_colour_becomes_alpha),
        cmocka_unit_test(gamma_is_applied_only_when_it_is_not_srgb_s),
        cmocka_unit_test(icc_profile_is_applied_and_alpha_kept),
        cmocka_unit_test(grey_profile_is_applied_to_grey_only),
        cmocka_unit_test(srgb_profile_leaves_every_bit),
        cmocka_unit_test(exif_orientation_is_applied),
        cmocka_unit_test(texts_come_back_as_they_were),
        cmocka_unit_test(packed_texts_are_unpacked_within_bounds),
        cmocka_unit_test(text_is_refused_when_the_format_cannot_hold_it),
        cmocka_unit_test(file_is_written_whole_or_not_at_all),
        cmocka_unit_test(huge_header_is_refused_before_any_allocation),
        cmocka_unit_test(limits_can_be_set),
        cmocka_unit_test(cut_file_is_an_error_wherever_it_ends),
        cmocka_unit_test(damaged_byte_never_crashes_and_checksums_find_it),
        cmocka_unit_test(more_data_than_pixels_are_not_unpacked),
        cmocka_unit_test(bombs_behind_the_last_row_are_refused),
        cmocka_unit_test(a_few_bytes_too_many_are_only_a_note),
        cmocka_unit_test(reading_and_writing_fail_cleanly_when_memory_is_out),
        cmocka_unit_test(output_is_refused_when_it_exceeds_its_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
