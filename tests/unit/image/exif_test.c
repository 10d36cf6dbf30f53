/* exif_test.c - the orientation, in every number type that a writer may choose. */
#include "image/exif.h"

#include "image/xmp.h"

#include <string.h>

#include <zlib.h>

#include "image/load.h"
#include "image/png_save.h"
#include "image/save.h"
#include "image_support.h"

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
        assert_int_equal(orientation(types[i], 0, true), 0);
        assert_int_equal(orientation(types[i], 9, false), 0);
    }
    assert_int_equal(orientation(2, 6, false), 0); /* text */
    assert_int_equal(orientation(4, 0xffffffffu, false), 0);
}

static void fractions_and_pairs_out_of_the_file_say_nothing(void **state)
{
    (void)state;
    unsigned char exif[54];
    struct str s = {(const char *)exif, sizeof exif};
    make(exif, 5, 6, false);
    put(exif + 42, 4, 4, false); /* 18 / 4 */
    assert_int_equal(exif_orientation(s), 0);
    put(exif + 42, 0, 4, false);
    assert_int_equal(exif_orientation(s), 0);
    make(exif, 5, 6, true);
    put(exif + 30, 0xfffffffeu, 4, true);
    assert_int_equal(exif_orientation(s), 0);
    for (size_t n = 0; n < sizeof exif; n++) {
        make(exif, 4, 6, true);
        (void)exif_orientation((struct str){(const char *)exif, n});
    }
}

/* A PNG with chunks behind its pixels. */
struct png_file {
    struct buf b;
    char end[12];
};

static struct png_file png_begin(void)
{
    struct png_file f;
    struct err e = {0};
    struct image im;
    must(image_new(&im, 3, 2, 3, &e), &e);
    buf_init(&f.b, 16 << 20);
    must(image_png_write(&im, NULL, 0, &f.b, &e), &e);
    memcpy(f.end, f.b.p + f.b.n - 12, 12);
    f.b.n -= 12;
    image_free(&im);
    return f;
}

static void png_add(struct png_file *f, const char *name, const void *p, size_t n)
{
    unsigned char number[4];
    size_t at = f->b.n + 4;
    put(number, (uint32_t)n, 4, true);
    buf_add(&f->b, number, 4);
    buf_add(&f->b, name, 4);
    buf_add(&f->b, p, n);
    put(number, (uint32_t)crc32(0, (const Bytef *)f->b.p + at, (uInt)n + 4), 4, true);
    buf_add(&f->b, number, 4);
}

/* Ends the file, reads it and frees it: its orientation. */
static int png_end(struct png_file *f)
{
    struct err e = {0};
    struct image_info info;
    struct image back;
    buf_add(&f->b, f->end, 12);
    must(image_load_memory(buf_str(&f->b), NULL, &info, &back, &e), &e);
    assert_int_equal(back.w, info.orientation >= 5 ? 2 : 3);
    image_free(&back);
    buf_deinit(&f->b);
    return info.orientation;
}

static void exif_behind_the_pixels_of_a_png_counts(void **state)
{
    unsigned char exif[54];
    struct png_file f = png_begin();
    (void)state;
    make(exif, 4, 6, true);
    png_add(&f, "eXIf", exif, sizeof exif);
    assert_int_equal(png_end(&f), 6);
}

/* ---- texts of a PNG that hold EXIF -------------------------------------------------------------- */

/* As ImageMagick writes it: the kind, how many bytes, and these in lines of 72 digits. */
static void put_profile(struct buf *b, const char *kind, const void *p, size_t n)
{
    buf_printf(b, "\n%s\n%8zu", kind, n);
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s%02x", i % 36 ? "" : "\n", ((const unsigned char *)p)[i]);
    buf_add_byte(b, '\n');
}

static void add_profile(struct png_file *f, bool packed, const char *kind, const void *p, size_t n)
{
    struct buf text, data;
    unsigned char out[4096];
    uLongf size = sizeof out;
    buf_init(&text, 1 << 20);
    buf_init(&data, 1 << 20);
    put_profile(&text, kind, p, n);
    buf_printf(&data, "Raw profile type %s", kind);
    buf_add_byte(&data, 0);
    if (packed) {
        assert_int_equal(compress(out, &size, (const Bytef *)text.p, text.n), Z_OK);
        buf_add_byte(&data, 0);
        buf_add(&data, out, size);
    } else {
        buf_add_str(&data, buf_str(&text));
    }
    png_add(f, packed ? "zTXt" : "tEXt", data.p, data.n);
    buf_deinit(&text);
    buf_deinit(&data);
}

#define XMP_OPEN                                                                                   \
    "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>"       \
    "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><r:Description r:about='' "
#define XMP_TIFF "xmlns:tiff='http://ns.adobe.com/tiff/1.0/' "
#define XMP_6 XMP_OPEN XMP_TIFF "tiff:Orientation='6'/></r:RDF></x:xmpmeta><?xpacket end='w'?>"

static void profiles_in_texts_of_a_png_count(void **state)
{
    unsigned char exif[6 + 54] = "Exif\0";
    char app1[sizeof XMP_6 + 29] = "http://ns.adobe.com/xap/1.0/";
    (void)state;
    make(exif + 6, 3, 8, false);
    memcpy(app1 + 29, XMP_6, sizeof XMP_6 - 1);
    for (int packed = 0; packed < 2; packed++) {
        struct png_file f = png_begin();
        add_profile(&f, packed, "exif", exif, sizeof exif);
        assert_int_equal(png_end(&f), 8);
        f = png_begin();
        add_profile(&f, packed, "APP1", exif, sizeof exif);
        assert_int_equal(png_end(&f), 8);
        f = png_begin();
        add_profile(&f, packed, "APP1", app1, 29 + sizeof XMP_6 - 1);
        assert_int_equal(png_end(&f), 6);
        f = png_begin();
        add_profile(&f, packed, "xmp", XMP_6, sizeof XMP_6 - 1);
        assert_int_equal(png_end(&f), 6);
    }
}

static void the_chunk_of_a_png_counts_before_texts(void **state)
{
    unsigned char exif[54], text[54];
    struct png_file f = png_begin();
    (void)state;
    make(exif, 4, 3, true);
    make(text, 4, 8, true);
    add_profile(&f, false, "exif", text, sizeof text);
    png_add(&f, "eXIf", exif, sizeof exif);
    assert_int_equal(png_end(&f), 3);
}

static void profiles_that_make_no_sense_are_passed_over(void **state)
{
    static const char *const texts[] = {"",
                                        "\nexif\n",
                                        "\nexif\n 0\n",
                                        "\nexif\n -4\n45786966",
                                        "\nexif\n 5\n45786966",
                                        "\nexif\n 9999999999999\n4578",
                                        "\nexif\n 2\n4z78",
                                        "\nexif\n 2\n457"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buf out;
        buf_init(&out, 1 << 10);
        assert_false(png_profile_unpack(str_from(texts[i]), &out));
        buf_deinit(&out);
    }
    struct buf few, many;
    buf_init(&few, 4);
    buf_init(&many, 100);
    assert_true(png_profile_unpack(STR_LIT("\nexif\n 3\n4578\n69"), &few));
    assert_int_equal(few.n, 3);
    assert_false(png_profile_unpack(STR_LIT("\nexif\n 3\n457869"), &few)); /* over its maximum */
    buf_deinit(&few);
    buf_deinit(&many);
}

/* 24 MiB of zeros in as many KiB. */
static void texts_that_grow_without_end_are_passed_over(void **state)
{
    const size_t n = (size_t)24 << 20;
    unsigned char *zeros = mem_alloc(n);
    uLongf size = compressBound(n);
    unsigned char *packed = mem_alloc(size);
    struct buf data;
    (void)state;
    assert_int_equal(compress(packed, &size, zeros, n), Z_OK);
    buf_init(&data, 1 << 20);
    buf_add(&data, "Raw profile type exif\0", 23);
    buf_add(&data, packed, size);
    struct png_file f = png_begin();
    png_add(&f, "zTXt", data.p, data.n);
    assert_int_equal(png_end(&f), 1);
    buf_deinit(&data);
    mem_free(packed);
    mem_free(zeros);
}

/* ---- XMP ---------------------------------------------------------------------------------------- */

static void xmp_says_it_in_every_form(void **state)
{
    static const struct {
        const char *packet;
        int orientation;
    } rows[] = {
        {XMP_6, 6},
        {XMP_OPEN "xmlns:t='http://ns.adobe.com/tiff/1.0/'><t:Orientation> 8\n</t:Orientation>", 8},
        {XMP_OPEN XMP_TIFF "tiff:Orientation='3'", 0}, /* cut within the tag */
        {XMP_OPEN XMP_TIFF "tiff:Orientation='3'>", 3},
        {XMP_OPEN XMP_TIFF "tiff:Orientation='0'/>", 0},
        {XMP_OPEN XMP_TIFF "tiff:Orientation='9'/>", 0},
        {XMP_OPEN XMP_TIFF "tiff:Orientation='6 or so'/>", 0},
        {XMP_OPEN XMP_TIFF "><tiff:Orientation>00000000000000000000000006</tiff:Orientation>", 0},
        {XMP_OPEN "xmlns:tiff='http://example.org/' tiff:Orientation='6'/>", 0},
        {XMP_OPEN "tiff:Orientation='6'/>", 0},
        {"<!DOCTYPE x [<!ENTITY six '6'>]>" XMP_6, 0},
        {"tiff:Orientation='6'", 0},
        {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (xmp_orientation(str_from(rows[i].packet)) != rows[i].orientation)
            fail_msg("%s: %d, not %d", rows[i].packet, xmp_orientation(str_from(rows[i].packet)),
                     rows[i].orientation);
    char *large = mem_alloc(2 << 20);
    memset(large, ' ', 2 << 20);
    memcpy(large, XMP_6, sizeof XMP_6 - 1);
    assert_int_equal(xmp_orientation((struct str){large, 1 << 20}), 6);
    assert_int_equal(xmp_orientation((struct str){large, 2 << 20}), 0);
    mem_free(large);
}

static void exif_counts_before_xmp(void **state)
{
    unsigned char exif[54];
    const struct str s = {(const char *)exif, sizeof exif};
    (void)state;
    make(exif, 4, 1, true);
    assert_int_equal(xmp_or_exif_orientation(s, STR_LIT(XMP_6)), 1);
    make(exif, 4, 9, true);
    assert_int_equal(xmp_or_exif_orientation(s, STR_LIT(XMP_6)), 6);
    assert_int_equal(xmp_or_exif_orientation(STR_LIT(""), STR_LIT(XMP_6)), 6);
    assert_int_equal(xmp_or_exif_orientation(STR_LIT(""), STR_LIT("")), 1);
}

static void xmp_of_a_png_counts(void **state)
{
    static const char text[] = "XML:com.adobe.xmp\0\0\0\0\0" XMP_6;
    struct png_file f = png_begin();
    (void)state;
    png_add(&f, "iTXt", text, sizeof text - 1);
    assert_int_equal(png_end(&f), 6);
}

static void xmp_of_a_jpeg_counts(void **state)
{
    static const char head[] = "\xff\xe1\0\0http://ns.adobe.com/xap/1.0/\0" XMP_6;
    char marker[sizeof head - 1];
    struct err e = {0};
    struct image_info info;
    struct image im = new_image(3, 2, 3);
    struct buf plain, b;
    (void)state;
    memcpy(marker, head, sizeof marker);
    put((unsigned char *)marker + 2, sizeof marker - 2, 2, true);
    buf_init(&plain, 1 << 20);
    buf_init(&b, 1 << 20);
    must(image_jpeg_write(&im, 90, &plain, &e), &e);
    buf_add(&b, plain.p, 2);
    buf_add(&b, marker, sizeof marker);
    buf_add_str(&b, str_skip(buf_str(&plain), 2));
    must(image_probe_memory(buf_str(&b), NULL, &info, &e), &e);
    assert_int_equal(info.orientation, 6);
    assert_int_equal(info.w, 2);
    image_free(&im);
    buf_deinit(&plain);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_number_counts),
        cmocka_unit_test(fractions_and_pairs_out_of_the_file_say_nothing),
        cmocka_unit_test(exif_behind_the_pixels_of_a_png_counts),
        cmocka_unit_test(profiles_in_texts_of_a_png_count),
        cmocka_unit_test(the_chunk_of_a_png_counts_before_texts),
        cmocka_unit_test(profiles_that_make_no_sense_are_passed_over),
        cmocka_unit_test(texts_that_grow_without_end_are_passed_over),
        cmocka_unit_test(xmp_says_it_in_every_form),
        cmocka_unit_test(exif_counts_before_xmp),
        cmocka_unit_test(xmp_of_a_png_counts),
        cmocka_unit_test(xmp_of_a_jpeg_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
