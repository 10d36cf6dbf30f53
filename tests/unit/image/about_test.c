/* about_test.c - where an image came from and its recipe, through XMP and every kind of file. */
#include "image/about.h"

#include <expat.h>

#include "image/exif.h"
#include "image/save.h"
#include "image/xmp.h"
#include "image_support.h"

static const enum image_format formats[] = {IMAGE_FORMAT_PNG, IMAGE_FORMAT_JPEG, IMAGE_FORMAT_WEBP};

static struct image_about about_of(enum image_source source, const char *recipe)
{
    struct image_about a;
    image_about_init(&a);
    a.source = source;
    buf_add_z(&a.recipe, recipe);
    return a;
}

static bool is_xml(struct str s)
{
    XML_Parser p = XML_ParserCreateNS(NULL, ' ');
    bool ok = XML_Parse(p, s.p, (int)s.n, 1) == XML_STATUS_OK;
    XML_ParserFree(p);
    return ok;
}

/* The recipe that comes back from a packet; the packet is XML and has its bound. */
static void check_packet(struct str recipe, struct str want)
{
    enum image_source source;
    struct buf packet, found;
    buf_init(&packet, 1 << 20);
    buf_init(&found, 1 << 20);
    xmp_write(IMAGE_SOURCE_EDITED, recipe, &packet);
    assert_true(packet.n <= XMP_PACKET_MAX);
    assert_true(is_xml(buf_str(&packet)));
    assert_int_equal(xmp_read(buf_str(&packet), &source, &found), want.n > 0);
    assert_int_equal(source, IMAGE_SOURCE_EDITED);
    assert_int_equal(found.n, want.n);
    assert_memory_equal(buf_z(&found), want.p, want.n);
    buf_deinit(&packet);
    buf_deinit(&found);
}

static void text_comes_back_from_a_packet_as_far_as_xml_can_hold_it(void **state)
{
    const struct {
        struct str text, want;
    } rows[] = {
        {STR_LIT(""), STR_LIT("")},
        {STR_LIT("a star\nSteps: 4, Seed: 1"), STR_LIT("a star\nSteps: 4, Seed: 1")},
        {STR_LIT("]]> <b>&amp;</veetance:recipe> \"'"),
         STR_LIT("]]> <b>&amp;</veetance:recipe> \"'")},
        {STR_LIT("a\r\nb\rc\td"), STR_LIT("a\r\nb\rc\td")},
        {STR_LIT("  spaces stay \n"), STR_LIT("  spaces stay \n")},
        {STR_LIT("\xf0\x9f\x8c\x9f\xe6\x98\x9f"), STR_LIT("\xf0\x9f\x8c\x9f\xe6\x98\x9f")},
        {STR_LIT("a\0b\x1b[1m"), STR_LIT("a\xef\xbf\xbd"
                                         "b\xef\xbf\xbd[1m")},
        {STR_LIT("\xff\xc3"), STR_LIT("\xef\xbf\xbd\xef\xbf\xbd")},
        {STR_LIT("\xef\xbf\xbf\xed\xa0\x80!"),
         STR_LIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!")},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_packet(rows[i].text, rows[i].want);
}

/* Of a text that is too long: ends in what follows the cut. */
static void check_cut(char fill, const char *tail, const char *want_end)
{
    enum { LONG = 100000 };
    struct buf text, packet, found;
    enum image_source source;
    buf_init(&text, 2 * LONG);
    buf_init(&packet, 1 << 20);
    buf_init(&found, 1 << 20);
    memset(buf_grow(&text, LONG), fill, LONG);
    buf_add_z(&text, tail);
    xmp_write(IMAGE_SOURCE_GENERATED, buf_str(&text), &packet);
    assert_true(packet.n <= XMP_PACKET_MAX && packet.n > XMP_PACKET_MAX - 8);
    assert_true(xmp_read(buf_str(&packet), &source, &found));
    assert_int_equal(found.p[0], fill);
    assert_true(str_ends(buf_str(&found), str_from(want_end)));
    buf_deinit(&text);
    buf_deinit(&packet);
    buf_deinit(&found);
}

static void a_long_prompt_is_cut_and_the_numbers_stay(void **state)
{
    (void)state;
    check_cut('a', "\nSteps: 4, Seed: 1", "a[cut]\nSteps: 4, Seed: 1");
    check_cut('<', "\nSteps: 4, Seed: 1", "<[cut]\nSteps: 4, Seed: 1");
    check_cut('a', "", "a[cut]");
    check_cut('\n', "x", "\n[cut]\nx");
}

static void check_file(struct str file, const struct image_about *want)
{
    struct image_about found;
    image_about_init(&found);
    image_about_read(file, &found);
    assert_int_equal(found.source, want->source);
    assert_string_equal(buf_z(&found.recipe), buf_z(&want->recipe));
    for (size_t n = 0; n < file.n; n += 1 + n / 30) { /* cut files never read behind their end */
        char *cut = mem_alloc(n + 1);
        memcpy(cut, file.p, n);
        image_about_read((struct str){cut, n}, &found);
        mem_free(cut);
    }
    image_about_deinit(&found);
}

static void every_format_says_where_it_came_from(void **state)
{
    struct image im = noise(33, 17, 4, 1);
    (void)state;
    for (size_t f = 0; f < 3; f++)
        for (int source = 0; source < IMAGE_SOURCES; source++) {
            struct image_about a =
                about_of((enum image_source)source, "a \xe2\x98\x85 <&> ]]>\nSteps: 4, Seed: 1");
            const struct image_save s = {.format = formats[f], .about = &a};
            struct image back;
            struct err e = {0};
            struct buf file;
            buf_init(&file, 8 << 20);
            must(image_save(&im, &s, &file, &e), &e);
            check_file(buf_str(&file), &a);
            must(image_load_memory(buf_str(&file), NULL, NULL, &back, &e), &e);
            image_free(&back);
            buf_deinit(&file);
            image_about_deinit(&a);
        }
    image_free(&im);
}

static void nothing_is_said_when_nothing_is_known(void **state)
{
    struct image im = noise(8, 8, 3, 1);
    struct image_about none = about_of(IMAGE_SOURCE_UNKNOWN, "");
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        const struct image_save with = {.format = formats[f], .about = &none},
                                without = {.format = formats[f]};
        struct err e = {0};
        struct buf a, b;
        buf_init(&a, 1 << 20);
        buf_init(&b, 1 << 20);
        must(image_save(&im, &with, &a, &e), &e);
        must(image_save(&im, &without, &b, &e), &e);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.p, b.p, a.n);
        check_file(buf_str(&a), &none);
        buf_deinit(&a);
        buf_deinit(&b);
    }
    image_about_deinit(&none);
    image_free(&im);
}

/* A packet is found where another program threw the recipe's own place away. */
static void xmp_in_a_png_is_an_international_text(void **state)
{
    struct image im = noise(8, 8, 3, 1);
    struct image_about a = about_of(IMAGE_SOURCE_GENERATED, "x\nSteps: 4"), found;
    struct image_about_texts t;
    struct err e = {0};
    struct buf file;
    (void)state;
    image_about_texts_init(&t, &a);
    assert_int_equal(t.n, 2);
    buf_init(&file, 1 << 20);
    must(image_png_write(&im, &t.texts[1], 1, &file, &e), &e);
    assert_non_null(memmem(file.p, file.n, "iTXtXML:com.adobe.xmp", 21));
    image_about_init(&found);
    image_about_read(buf_str(&file), &found);
    assert_int_equal(found.source, IMAGE_SOURCE_GENERATED);
    assert_string_equal(buf_z(&found.recipe), "x\nSteps: 4");
    image_about_deinit(&found);
    image_about_texts_deinit(&t);
    image_about_deinit(&a);
    buf_deinit(&file);
    image_free(&im);
}

#define RDF(attributes, inside)                                                                    \
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "                                                \
    "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description "                    \
    "xmlns:i='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' " attributes ">" inside                 \
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
#define TERM(s) s "://cv.iptc.org/newscodes/digitalsourcetype/"

static void packets_of_other_programs_are_read(void **state)
{
    static const struct {
        const char *packet;
        enum image_source source;
    } rows[] = {
        {RDF("i:DigitalSourceType='" TERM("http") "trainedAlgorithmicMedia'", ""),
         IMAGE_SOURCE_GENERATED},
        {RDF("", "<i:DigitalSourceType rdf:resource='" TERM("https") "compositeSynthetic'/>"),
         IMAGE_SOURCE_COMPOSED},
        {RDF("", "<i:DigitalSourceType>\n " TERM(
                     "https") "compositeWithTrainedAlgorithmicMedia </i:DigitalSourceType>"),
         IMAGE_SOURCE_EDITED},
        {RDF("", "<i:DigitalSourceType>" TERM("http") "digitalCapture</i:DigitalSourceType>"),
         IMAGE_SOURCE_UNKNOWN},
        {RDF("", "<i:DigitalSourceType>trainedAlgorithmicMedia</i:DigitalSourceType>"),
         IMAGE_SOURCE_UNKNOWN},
        {"<!DOCTYPE a [<!ENTITY b 'c'>]>" RDF(
             "i:DigitalSourceType='" TERM("http") "trainedAlgorithmicMedia'", ""),
         IMAGE_SOURCE_UNKNOWN},
        {"no XML", IMAGE_SOURCE_UNKNOWN},
        {"", IMAGE_SOURCE_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum image_source source = IMAGE_SOURCES;
        struct buf recipe;
        buf_init(&recipe, 100);
        assert_false(xmp_read(str_from(rows[i].packet), &source, &recipe));
        if (source != rows[i].source)
            fail_msg("%s: %d, not %d", rows[i].packet, (int)source, (int)rows[i].source);
        assert_int_equal(recipe.n, 0);
    }
}

static void parts_make_a_whole(void **state)
{
    static const struct {
        enum image_source parts[3], whole;
        const char *recipes[3], *recipe;
    } rows[] = {
        {{IMAGE_SOURCE_EDITED, IMAGE_SOURCE_EDITED, IMAGE_SOURCE_EDITED},
         IMAGE_SOURCE_EDITED,
         {"r", "r", "r"},
         "r"},
        {{IMAGE_SOURCE_GENERATED, IMAGE_SOURCE_GENERATED, IMAGE_SOURCE_GENERATED},
         IMAGE_SOURCE_GENERATED,
         {"r", "s", "r"},
         ""},
        {{IMAGE_SOURCE_UNKNOWN, IMAGE_SOURCE_UNKNOWN, IMAGE_SOURCE_GENERATED},
         IMAGE_SOURCE_COMPOSED,
         {"", "", "r"},
         ""},
        {{IMAGE_SOURCE_UNKNOWN, IMAGE_SOURCE_UNKNOWN, IMAGE_SOURCE_UNKNOWN},
         IMAGE_SOURCE_UNKNOWN,
         {"", "", ""},
         ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct image_about sum = about_of(IMAGE_SOURCE_COMPOSED, "old");
        for (size_t k = 0; k < 3; k++) {
            struct image_about part = about_of(rows[i].parts[k], rows[i].recipes[k]);
            image_about_join(&sum, k, &part);
            image_about_deinit(&part);
        }
        assert_int_equal(sum.source, rows[i].whole);
        assert_string_equal(buf_z(&sum.recipe), rows[i].recipe);
        image_about_deinit(&sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back_from_a_packet_as_far_as_xml_can_hold_it),
        cmocka_unit_test(a_long_prompt_is_cut_and_the_numbers_stay),
        cmocka_unit_test(every_format_says_where_it_came_from),
        cmocka_unit_test(nothing_is_said_when_nothing_is_known),
        cmocka_unit_test(xmp_in_a_png_is_an_international_text),
        cmocka_unit_test(packets_of_other_programs_are_read),
        cmocka_unit_test(parts_make_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
