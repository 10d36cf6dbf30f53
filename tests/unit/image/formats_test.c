/* formats_test.c - TIFF, HEIC, AVIF, GIF and BMP: files of other programs (the fuzz targets' seeds), and bitmaps by hand.
 * All show a gradient from red at the top to blue at the bottom. */
#include <dirent.h>

#include "base/file.h"
#include "image_support.h"

#define CORPUS VT_SOURCE_DIR "/fuzz/corpus/"

/* A machine may lack one of the libraries that are opened at run time. */
static bool load(const char *name, struct image_info *info, struct image *im)
{
    char path[512];
    struct err e = {0};
    (void)snprintf(path, sizeof path, CORPUS "%s", name);
    enum err_code rc = image_load_file(path, NULL, info, im, &e);
    if (rc == ERR_NOTFOUND && strstr(e.text, "package"))
        return false;
    if (rc != ERR_OK)
        fail_msg("%s: %s", name, e.text);
    return true;
}

static void pixels_are_those_of_the_file(void **state)
{
    static const struct {
        const char *name;
        enum image_format format;
        int w, h, channels, bits, orientation;
        unsigned char px[4]; /* a quarter down and in */
        int tolerance;
        const char *note;
    } cases[] = {
        {"bmp/rgb.bmp", IMAGE_FORMAT_BMP, 23, 17, 3, 8, 1, {191, 0, 64}, 0, ""},
        {"bmp/palette.bmp", IMAGE_FORMAT_BMP, 23, 17, 3, 8, 1, {191, 0, 64}, 0, ""},
        {"bmp/mono.bmp", IMAGE_FORMAT_BMP, 23, 17, 3, 1, 1, {255, 255, 255}, 0, ""},
        {"bmp/alpha.bmp", IMAGE_FORMAT_BMP, 23, 17, 4, 8, 1, {191, 0, 64, 128}, 0, ""},
        {"gif/plain.gif", IMAGE_FORMAT_GIF, 23, 17, 3, 8, 1, {191, 0, 64}, 0, ""},
        {"gif/interlaced.gif", IMAGE_FORMAT_GIF, 23, 17, 3, 8, 1, {191, 0, 64}, 0, ""},
        {"gif/animation.gif",
         IMAGE_FORMAT_GIF,
         23,
         17,
         3,
         8,
         1,
         {191, 0, 64},
         0,
         "only the first frame"},
        {"gif/transparent.gif", IMAGE_FORMAT_GIF, 23, 17, 4, 8, 1, {0, 0, 0, 0}, 0, ""},
        {"tiff/rgb.tif", IMAGE_FORMAT_TIFF, 23, 17, 3, 8, 1, {191, 0, 63}, 0, ""},
        {"tiff/deep.tif", IMAGE_FORMAT_TIFF, 23, 17, 3, 16, 1, {191, 0, 64}, 0, ""},
        {"tiff/grey-msb.tif", IMAGE_FORMAT_TIFF, 23, 17, 1, 16, 1, {45}, 0, ""},
        {"tiff/cmyk.tif", IMAGE_FORMAT_TIFF, 23, 17, 3, 8, 1, {191, 0, 64}, 1, "CMYK"},
        {"tiff/lzw.tif", IMAGE_FORMAT_TIFF, 23, 17, 3, 8, 1, {191, 0, 63}, 0, ""},
        {"tiff/palette.tif", IMAGE_FORMAT_TIFF, 23, 17, 3, 8, 1, {191, 0, 63}, 1, ""},
        {"tiff/alpha.tif", IMAGE_FORMAT_TIFF, 23, 17, 4, 8, 1, {191, 0, 63, 128}, 1, ""},
        {"tiff/planar-turned.tif", IMAGE_FORMAT_TIFF, 17, 23, 3, 8, 6, {63, 0, 191}, 1, ""},
        {"tiff/tiles-turned.tif", IMAGE_FORMAT_TIFF, 17, 23, 3, 8, 6, {63, 0, 191}, 1, ""},
        {"heif/plain.heic", IMAGE_FORMAT_HEIC, 23, 17, 3, 8, 1, {191, 0, 64}, 6, ""},
        {"heif/plain.avif", IMAGE_FORMAT_AVIF, 23, 17, 3, 8, 1, {191, 0, 64}, 6, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_info info;
        struct image im;
        if (!load(cases[i].name, &info, &im)) {
            print_message("%s: its library is not here\n", cases[i].name);
            continue;
        }
        assert_int_equal(info.format, cases[i].format);
        if (im.w != cases[i].w || im.h != cases[i].h || im.channels != cases[i].channels ||
            info.bit_depth != cases[i].bits || info.orientation != cases[i].orientation)
            fail_msg("%s: %d x %d, %d channels of %d bits, orientation %d", cases[i].name, im.w,
                     im.h, im.channels, info.bit_depth, info.orientation);
        const unsigned char *p = image_row(&im, im.h / 4) + im.channels * (im.w / 4);
        for (int c = 0; c < im.channels; c++)
            if (abs(p[c] - cases[i].px[c]) > cases[i].tolerance)
                fail_msg("%s: channel %d is %d, not %d", cases[i].name, c, p[c], cases[i].px[c]);
        if (cases[i].note[0] ? !strstr(info.notes, cases[i].note) : info.notes[0] != 0)
            fail_msg("%s: notes '%s'", cases[i].name, info.notes);
        image_free(&im);
    }
}

static void check_cuts(const char *folder)
{
    char path[512];
    DIR *dir = opendir(folder);
    struct dirent *f;
    assert_non_null(dir);
    while ((f = readdir(dir))) {
        struct buf b;
        struct err e = {0};
        (void)snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        if (f->d_name[0] == '.' || file_read(path, 1 << 20, &b, &e) != ERR_OK)
            continue;
        for (size_t n = 0; n < b.n; n += 1 + n / 40) {
            struct image im;
            char *part = mem_alloc(n + 1);
            memcpy(part, b.p, n);
            if (image_load_memory((struct str){part, n}, NULL, NULL, &im, &e) == ERR_OK)
                image_free(&im);
            mem_free(part);
        }
        for (size_t n = 0; n < b.n; n += 1 + b.n / 60) { /* one byte is another */
            struct image im;
            b.p[n] = (char)(b.p[n] ^ 0x55);
            if (image_load_memory(buf_str(&b), NULL, NULL, &im, &e) == ERR_OK)
                image_free(&im);
            b.p[n] = (char)(b.p[n] ^ 0x55);
        }
        buf_deinit(&b);
    }
    (void)closedir(dir);
}

static void damage_is_an_error_or_an_image_never_more(void **state)
{
    (void)state;
    check_cuts(CORPUS "bmp");
    check_cuts(CORPUS "gif");
    check_cuts(CORPUS "tiff");
    check_cuts(CORPUS "heif");
}

static void dimensions_are_checked_before_pixels(void **state)
{
    static const unsigned char gif[] =
        "GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\xff\xff\xff\xff\0\2";
    unsigned char bmp[54] = "BM";
    struct err e = {0};
    struct image im;
    (void)state;
    bmp[10] = 54;
    bmp[14] = 40;
    bmp[18] = bmp[19] = bmp[22] = bmp[23] = 0xff; /* 65535 x 65535 */
    bmp[28] = 24;
    assert_int_equal(
        image_load_memory((struct str){(const char *)bmp, sizeof bmp}, NULL, NULL, &im, &e),
        ERR_LIMIT);
    bmp[21] = 0x80; /* a negative width */
    assert_int_equal(
        image_load_memory((struct str){(const char *)bmp, sizeof bmp}, NULL, NULL, &im, &e),
        ERR_FORMAT);
    enum err_code rc =
        image_load_memory((struct str){(const char *)gif, sizeof gif - 1}, NULL, NULL, &im, &e);
    assert_true(rc == ERR_LIMIT || rc == ERR_NOTFOUND);
}

/* 4 x 2 pixels with a palette of four greys; what the pixels are, bottom row first. */
static void runs(unsigned bits, const char *data, size_t n, const unsigned char want[8],
                 enum err_code code)
{
    unsigned char f[54 + 64 * 4 + 64] = "BM";
    struct err e = {0};
    struct image im;
    const size_t colours = 16, begin = 54 + colours * 4;
    f[10] = (unsigned char)begin;
    f[14] = 40;
    f[18] = 4;
    f[22] = 2;
    f[28] = (unsigned char)bits;
    f[30] = bits == 8 ? 1 : 2;
    f[46] = (unsigned char)colours;
    for (size_t i = 0; i < colours; i++)
        memset(f + 54 + 4 * i, (int)i * 10, 3);
    memcpy(f + begin, data, n);
    enum err_code rc =
        image_load_memory((struct str){(const char *)f, begin + n}, NULL, NULL, &im, &e);
    assert_int_equal(rc, code);
    for (int i = 0; rc == ERR_OK && i < 8; i++)
        assert_int_equal(image_row(&im, 1 - i / 4)[3 * (i % 4)], want[i] * 10);
    if (rc == ERR_OK)
        image_free(&im);
}

static void run_lengths_are_read(void **state)
{
    (void)state;
    runs(8, "\3\1\1\2\0\0\0\4\1\2\3\1\0\1", 14, (const unsigned char[]){1, 1, 1, 2, 1, 2, 3, 1},
         ERR_OK);
    runs(8, "\1\1\0\2\2\1\1\2\0\1", 10, (const unsigned char[]){1, 0, 0, 0, 0, 0, 0, 2}, ERR_OK);
    runs(4, "\4\x12\0\0\0\4\x12\x33\0\1", 10, (const unsigned char[]){1, 2, 1, 2, 1, 2, 3, 3},
         ERR_OK);
    runs(8, "\xff\1\0\0\xff\2\0\1", 8, (const unsigned char[]){1, 1, 1, 1, 2, 2, 2, 2},
         ERR_OK); /* too long */
    runs(8, "\3\1", 2, NULL, ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_those_of_the_file),
        cmocka_unit_test(damage_is_an_error_or_an_image_never_more),
        cmocka_unit_test(dimensions_are_checked_before_pixels),
        cmocka_unit_test(run_lengths_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
