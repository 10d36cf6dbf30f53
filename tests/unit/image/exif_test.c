/* exif_test.c - the orientation, in every number type that a writer may choose. */
#include "image/exif.h"

#include <string.h>

#include <zlib.h>

#include "image_support.h"
#include "image/load.h"
#include "image/png_write.h"

static void put(unsigned char *p, uint32_t v, size_t n, bool big)
{
    for (size_t i = 0; i < n; i++)
        p[big ? n - 1 - i : i] = (unsigned char)(v >> (8 * i));
}

/* A directory with one entry before the orientation; rationals lie behind the directory. 54 bytes. */
static void make(unsigned char out[54], int type, uint32_t v, bool big)
{
    size_t bytes = type == 1 || type == 6 ? 1 : type == 3 || type == 8 ? 2 : 4;
    memset(out, 0, 54);
    out[0] = out[1] = big ? 'M' : 'I';
    put(out + 2, 42, 2, big);
    put(out + 4, 8, 4, big);
    put(out + 8, 2, 2, big);
    put(out + 10, 0x100, 2, big);
    put(out + 12, 3, 2, big);
    put(out + 14, 1, 4, big);
    put(out + 22, 0x112, 2, big);
    put(out + 24, (uint32_t)type, 2, big);
    put(out + 26, 1, 4, big);
    if (type == 5 || type == 10) {
        put(out + 30, 38, 4, big);
        put(out + 38, v * 3, 4, big);
        put(out + 42, 3, 4, big);
    } else {
        put(out + 30, v, bytes, big);
    }
}

static int orientation(int type, uint32_t v, bool big)
{
    unsigned char exif[54];
    make(exif, type, v, big);
    return exif_orientation((struct str){(const char *)exif, sizeof exif});
}

static void every_type_of_number_counts(void **state)
{
    (void)state;
    static const int types[] = {1, 3, 4, 5, 6, 8, 9, 10};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        for (uint32_t v = 1; v <= 8; v++) {
            assert_int_equal(orientation(types[i], v, false), v);
            assert_int_equal(orientation(types[i], v, true), v);
        }
        assert_int_equal(orientation(types[i], 0, true), 1);
        assert_int_equal(orientation(types[i], 9, false), 1);
    }
    assert_int_equal(orientation(2, 6, false), 1); /* text */
    assert_int_equal(orientation(4, 0xffffffffu, false), 1);
}

static void fractions_and_pairs_out_of_the_file_are_upright(void **state)
{
    (void)state;
    unsigned char exif[54];
    struct str s = {(const char *)exif, sizeof exif};
    make(exif, 5, 6, false);
    put(exif + 42, 4, 4, false); /* 18 / 4 */
    assert_int_equal(exif_orientation(s), 1);
    put(exif + 42, 0, 4, false);
    assert_int_equal(exif_orientation(s), 1);
    make(exif, 5, 6, true);
    put(exif + 30, 0xfffffffeu, 4, true);
    assert_int_equal(exif_orientation(s), 1);
    for (size_t n = 0; n < sizeof exif; n++) {
        make(exif, 4, 6, true);
        (void)exif_orientation((struct str){(const char *)exif, n});
    }
}

/* A PNG with its EXIF chunk behind the pixels. */
static void exif_behind_the_pixels_of_a_png_counts(void **state)
{
    (void)state;
    struct err e = {0};
    struct image im, back;
    struct image_info info;
    struct buf png, with;
    unsigned char chunk[12 + 54] = {0, 0, 0, 54, 'e', 'X', 'I', 'f'};
    make(chunk + 8, 4, 6, true);
    put(chunk + 8 + 54, (uint32_t)crc32(0, chunk + 4, 4 + 54), 4, true);
    must(image_new(&im, 3, 2, 3, &e), &e);
    buf_init(&png, 1 << 20);
    buf_init(&with, 1 << 20);
    must(image_png_write(&im, NULL, 0, &png, &e), &e);
    buf_add(&with, png.p, png.n - 12);
    buf_add(&with, chunk, sizeof chunk);
    buf_add(&with, png.p + png.n - 12, 12);
    must(image_load_memory(buf_str(&with), NULL, &info, &back, &e), &e);
    assert_int_equal(info.orientation, 6);
    assert_int_equal(back.w, 2);
    assert_int_equal(back.h, 3);
    image_free(&back);
    image_free(&im);
    buf_deinit(&png);
    buf_deinit(&with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_number_counts),
        cmocka_unit_test(fractions_and_pairs_out_of_the_file_are_upright),
        cmocka_unit_test(exif_behind_the_pixels_of_a_png_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
