#include "layers_support.h"

#include <math.h>

#include "base/mem.h"
#include "image/load.h"
#include "image/png_save.h"
#include "layers/ora.h"
#include "layers/zipfile.h"

static void stack_comes_back_the_same_when_written_and_read(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b;
    sample_stack(&s);
    must(encode(ora_write, &s, &b, &e), &e);
    must(ora_decode(buf_str(&b), NULL, &back, &e), &e);
    assert_same_stack(&s, &back);
    buf_deinit(&b);
    layer_stack_deinit(&s);
    layer_stack_deinit(&back);
}

static void every_blend_mode_comes_back_when_written_and_read(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b;
    layer_stack_init(&s, 4, 4);
    for (int i = 0; i < BLEND_MODES; i++)
        put(&s, noise(4, 4, (uint32_t)i, false), "", 0, 0)->blend = (enum blend_mode)i;
    must(encode(ora_write, &s, &b, &e), &e);
    must(ora_decode(buf_str(&b), NULL, &back, &e), &e);
    assert_same_stack(&s, &back);
    buf_deinit(&b);
    layer_stack_deinit(&s);
    layer_stack_deinit(&back);
}

static void archive_begins_with_the_stored_type_when_written(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    struct buf b, again;
    sample_stack(&s);
    must(encode(ora_write, &s, &b, &e), &e);
    /* What "file" and desktops look at: the name right behind the 30 bytes of the local header, no
     * extra field, method 0, and the type itself. */
    assert_memory_equal(b.p, "PK\x03\x04", 4);
    assert_memory_equal(b.p + 8, "\0\0", 2);
    assert_memory_equal(b.p + 28, "\0\0", 2);
    assert_memory_equal(b.p + 30, "mimetypeimage/openraster", 24);
    must(encode(ora_write, &s, &again, &e), &e);
    assert_int_equal(b.n, again.n);
    assert_memory_equal(b.p, again.p, b.n);
    buf_deinit(&b);
    buf_deinit(&again);
    layer_stack_deinit(&s);
}

static void read_image(struct zipfile_reader *z, const char *name, struct image *im)
{
    struct err e = {0};
    struct buf b;
    must(zipfile_read(z, name, &b, &e), &e);
    must(image_load_memory(buf_str(&b), NULL, NULL, im, &e), &e);
    buf_deinit(&b);
}

static void merged_image_and_thumbnail_are_there_when_written(void **state)
{
    (void)state;
    const struct zipfile_limits limits = zipfile_limits_defaults();
    struct layer_stack s;
    struct err e = {0};
    struct buf b;
    struct image flat = {0}, merged = {0}, small = {0};
    struct zipfile_reader *z = NULL;
    layer_stack_init(&s, 600, 300);
    put(&s, noise(600, 300, 1, false), "a", 0, 0);
    must(encode(ora_write, &s, &b, &e), &e);
    must(zipfile_open(buf_str(&b), &limits, &z, &e), &e);
    read_image(z, "mergedimage.png", &merged);
    read_image(z, "Thumbnails/thumbnail.png", &small);
    must(layers_flatten(&s, &flat, &e), &e);
    assert_same_image(&flat, &merged);
    assert_int_equal(small.w, 256);
    assert_int_equal(small.h, 128);
    zipfile_close(z);
    image_free(&flat);
    image_free(&merged);
    image_free(&small);
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

/* ---- archives by hand ------------------------------------------------------------------------ */

static void pack(struct buf *out, const char *type, const char *xml)
{
    struct image im = noise(3, 2, 1, false), grey = {0};
    const struct image_out to = image_out_buf(out);
    struct zipfile_writer *z = zipfile_writer_new(&to);
    struct err e = {0};
    struct buf png, png_grey;
    buf_init(out, 1 << 20);
    buf_init(&png, 1 << 16);
    buf_init(&png_grey, 1 << 16);
    must(image_convert(&im, 1, &grey, &e), &e);
    must(image_png_write(&im, NULL, 0, &png, &e), &e);
    must(image_png_write(&grey, NULL, 0, &png_grey, &e), &e);
    if (type)
        zipfile_add(z, "mimetype", str_from(type), ZIPFILE_STORED);
    if (xml)
        zipfile_add(z, "stack.xml", str_from(xml), ZIPFILE_DEFLATED);
    zipfile_add(z, "data/a.png", buf_str(&png), ZIPFILE_DEFLATED);
    zipfile_add(z, "data/grey.png", buf_str(&png_grey), ZIPFILE_STORED);
    zipfile_add(z, "data/text.png", STR_LIT("no image"), ZIPFILE_STORED);
    must(zipfile_finish(z, &e), &e);
    zipfile_writer_free(z);
    buf_deinit(&png);
    buf_deinit(&png_grey);
    image_free(&im);
    image_free(&grey);
}

static void nested_stacks_dissolve_when_read(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    struct buf b;
    pack(&b, "image/openraster\n",
         "<image w='9' h='8'><stack><layer src='data/a.png' name='top'/>"
         "<stack opacity='0.5' name='group'><layer src='data/grey.png' opacity='0.5' x='1.0' "
         "y='-2'/>"
         "<unknown><layer src='data/a.png' composite-op='never:heard'/></unknown></stack>"
         "<stack visibility='hidden'><layer src='data/a.png' composite-op='svg:multiply'/></stack>"
         "</stack></image>");
    must(ora_decode(buf_str(&b), NULL, &s, &e), &e);
    assert_int_equal(s.n, 4);
    assert_int_equal(s.w, 9);
    assert_int_equal(s.h, 8);
    assert_string_equal(s.layers[3].name, "top");
    assert_true(s.layers[3].visible && s.layers[3].opacity == 1);
    assert_true(s.layers[2].opacity == 0.25);
    assert_int_equal(s.layers[2].x, 1);
    assert_int_equal(s.layers[2].y, -2);
    assert_int_equal(s.layers[2].image.channels, 4);
    assert_int_equal(s.layers[1].blend, BLEND_NORMAL);
    assert_false(s.layers[0].visible);
    assert_int_equal(s.layers[0].blend, BLEND_MULTIPLY);
    for (size_t i = 0; i < s.n; i++)
        assert_int_equal(layer_stack_find(&s, str_from(s.layers[i].id)), i);
    layer_stack_deinit(&s);
    buf_deinit(&b);
}

/* ---- documents that must look the same --------------------------------------------------------- */

static void add_png(struct zipfile_writer *z, const char *name, int w, int h,
                    const unsigned char rgba[4])
{
    struct image im = plain(w, h, rgba);
    struct err e = {0};
    struct buf png;
    buf_init(&png, 1 << 16);
    must(image_png_write(&im, NULL, 0, &png, &e), &e);
    zipfile_add(z, name, buf_str(&png), ZIPFILE_STORED);
    buf_deinit(&png);
    image_free(&im);
}

/* A stack of 8 x 8 pixels: r, g, b, w and k cover it, h only its right half (x = 4), s is half transparent. */
static void look(const char *body, bool groups, struct layer_stack *s, struct image *flat)
{
    struct layers_limits limits = layers_limits_defaults();
    limits.groups = groups;
    static const struct {
        const char *name;
        int w;
        unsigned char rgba[4];
    } images[] = {{"r", 8, {255, 0, 0, 255}},       {"g", 8, {0, 255, 0, 255}},
                  {"b", 8, {0, 0, 255, 255}},       {"w", 8, {255, 255, 255, 255}},
                  {"h", 4, {0, 0, 255, 255}},       {"s", 8, {0, 0, 255, 128}},
                  {"grey", 8, {128, 128, 128, 255}}};
    struct err e = {0};
    struct buf b;
    const struct image_out to = image_out_buf(&b);
    struct zipfile_writer *z = zipfile_writer_new(&to);
    buf_init(&b, 1 << 20);
    char xml[2048];
    (void)snprintf(xml, sizeof xml, "<image w='8' h='8'><stack>%s</stack></image>", body);
    zipfile_add(z, "mimetype", STR_LIT("image/openraster"), ZIPFILE_STORED);
    zipfile_add(z, "stack.xml", str_from(xml), ZIPFILE_STORED);
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++)
        add_png(z, images[i].name, images[i].w, 8, images[i].rgba);
    must(zipfile_finish(z, &e), &e);
    zipfile_writer_free(z);
    must(ora_decode(buf_str(&b), &limits, s, &e), &e);
    must(layers_flatten(s, flat, &e), &e);
    buf_deinit(&b);
}

#define R "<layer src='r'/>"
#define W "<layer src='w'/>"

/* Groups that are kept look as those that became layers. */
static void check_looks(bool groups)
{
    static const struct {
        const char *body;
        unsigned char left[4], right[4];
        size_t n; /* layers, 0: any */
    } cases[] = {
        /* operators on hard and soft edges */
        {"<layer src='h' x='4' composite-op='svg:dst-out'/>" R,
         {255, 0, 0, 255},
         {255, 0, 0, 0},
         1},
        {"<layer src='h' x='4' composite-op='svg:dst-in'/>" R W, {0, 0, 0, 0}, {255, 0, 0, 255}, 2},
        {"<layer src='s' composite-op='svg:dst-out'/>" R W, {255, 0, 0, 127}, {255, 0, 0, 127}, 1},
        {"<layer src='g' composite-op='svg:src-atop'/><layer src='h' x='4'/>",
         {0, 0, 0, 0},
         {0, 255, 0, 255},
         2},
        {"<layer src='g' composite-op='svg:src-atop'/><layer src='s'/>",
         {0, 255, 0, 128},
         {0, 255, 0, 128},
         1},
        {"<layer src='h' x='4' composite-op='svg:dst-atop'/>" R, {0, 0, 0, 0}, {255, 0, 0, 255}, 1},
        {"<layer src='g' composite-op='svg:dst-atop'/><layer src='h' x='4'/>",
         {0, 255, 0, 255},
         {0, 0, 255, 255},
         1},
        {"<layer src='h' x='4' composite-op='svg:dst-out' visibility='hidden'/>" R,
         {255, 0, 0, 255},
         {255, 0, 0, 255},
         2},
        {"<layer src='h' x='4' composite-op='svg:dst-out' opacity='0.5'/>" R,
         {255, 0, 0, 255},
         {255, 0, 0, 127},
         1},
        /* an eraser acts in its group only; in one that is no group, on all below */
        {"<stack isolation='isolate'><layer src='h' x='4' composite-op='svg:dst-out'/><layer "
         "src='g'/></stack>" R,
         {0, 255, 0, 255},
         {255, 0, 0, 255},
         2},
        {"<stack><layer src='h' x='4' composite-op='svg:dst-out'/><layer src='g'/></stack>" R,
         {0, 255, 0, 255},
         {255, 0, 0, 0},
         2},
        {"<stack composite-op='svg:dst-out'><layer src='h' x='4'/></stack>" R,
         {255, 0, 0, 255},
         {255, 0, 0, 0},
         1},
        /* places of nested stacks add up */
        {"<stack x='2'><stack x='1'><layer src='h' x='1'/></stack></stack>" R,
         {255, 0, 0, 255},
         {0, 0, 255, 255},
         2},
        /* opacity of a group whose layers overlap */
        {"<stack opacity='0.5'><layer src='b'/><layer src='g'/></stack>" R,
         {127, 0, 128, 255},
         {127, 0, 128, 255},
         2},
        {"<stack opacity='0.5'><layer src='h' x='4'/></stack>" R,
         {255, 0, 0, 255},
         {127, 0, 128, 255},
         2},
        /* a blend mode of a group, and in one */
        {"<stack composite-op='svg:multiply'><layer src='b'/><layer src='w'/></stack>" R,
         {0, 0, 0, 255},
         {0, 0, 0, 255},
         2},
        {"<stack isolation='isolate'><layer src='grey' composite-op='svg:multiply'/><layer src='h' "
         "x='4'/></stack>" R,
         {128, 128, 128, 255},
         {0, 0, 128, 255},
         2},
        {"<stack><layer src='grey' composite-op='svg:multiply'/><layer src='h' x='4'/></stack>" R,
         {128, 0, 0, 255},
         {0, 0, 128, 255},
         3},
        {"<stack isolation='isolate'><layer src='grey' composite-op='svg:multiply'/><layer "
         "src='r'/></stack>",
         {128, 0, 0, 255},
         {128, 0, 0, 255},
         2}, /* nothing below: nothing to isolate from */
        {"<stack visibility='hidden' opacity='0.5'><layer src='b'/><layer src='g'/></stack>" R,
         {255, 0, 0, 255},
         {255, 0, 0, 255},
         3},
    };
    size_t kept = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct layer_stack s;
        struct image flat;
        look(cases[i].body, groups, &s, &flat);
        kept += s.n_groups;
        for (int x = 1; x < 8; x += 5) {
            const unsigned char *p = image_row(&flat, 3) + 4 * x,
                                *want = x < 4 ? cases[i].left : cases[i].right;
            for (int c = 0; c < 4; c++)
                if (abs(p[c] - want[c]) > 1 && !(want[3] == 0 && c < 3))
                    fail_msg("case %zu at %d: %d %d %d %d", i, x, p[0], p[1], p[2], p[3]);
        }
        if (!groups && cases[i].n && s.n != cases[i].n)
            fail_msg("case %zu: %zu layers", i, s.n);
        layer_stack_deinit(&s);
        image_free(&flat);
    }
    assert_int_equal(kept > 0, groups);
}

static void documents_look_as_they_should_when_read(void **state)
{
    (void)state;
    check_looks(false);
    check_looks(true);
}

static void what_differs_from_the_merged_image_is_noted(void **state)
{
    (void)state;
    struct err e = {0};
    for (int same = 0; same < 2; same++) {
        struct layer_stack s;
        struct buf b;
        const struct image_out to = image_out_buf(&b);
        struct zipfile_writer *z = zipfile_writer_new(&to);
        buf_init(&b, 1 << 20);
        zipfile_add(z, "mimetype", STR_LIT("image/openraster"), ZIPFILE_STORED);
        zipfile_add(z, "stack.xml",
                    STR_LIT("<image w='100' h='40'><stack><layer src='a'/></stack></image>"),
                    ZIPFILE_STORED);
        add_png(z, "a", same ? 100 : 90, 40, (const unsigned char[]){0, 100, 200, 255});
        add_png(z, "mergedimage.png", 100, 40, (const unsigned char[]){0, 100, 200, 255});
        must(zipfile_finish(z, &e), &e);
        zipfile_writer_free(z);
        must(ora_decode(buf_str(&b), NULL, &s, &e), &e);
        assert_true(s.merged.known);
        if (same) {
            assert_true(s.notes.n == 0 && isinf(s.merged.psnr_db));
        } else {
            assert_non_null(strstr(buf_z(&s.notes), "differ from the document's flattened image"));
            assert_int_equal(s.merged.worst.x, 96);
            assert_int_equal(s.merged.worst.w, 4);
        }
        layer_stack_deinit(&s);
        buf_deinit(&b);
    }
}

static void assert_refused(struct buf *b, enum err_code code, const char *word)
{
    struct layer_stack s;
    struct err e = {0};
    assert_int_equal(ora_decode(buf_str(b), NULL, &s, &e), code);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not tell of '%s'", e.text, word);
    assert_int_equal(s.n, 0);
    buf_deinit(b);
}

static void assert_xml_refused(const char *xml, enum err_code code, const char *word)
{
    struct buf b;
    pack(&b, "image/openraster", xml);
    assert_refused(&b, code, word);
}

static void reading_is_refused_when_it_is_no_openraster(void **state)
{
    (void)state;
    struct buf b;
    pack(&b, NULL, NULL);
    assert_refused(&b, ERR_NOTFOUND, "mimetype");
    pack(&b, "application/zip", "<image/>");
    assert_refused(&b, ERR_FORMAT, "application/zip");
    pack(&b, "image/openraster", NULL);
    assert_refused(&b, ERR_NOTFOUND, "stack.xml");
    buf_init(&b, 100);
    buf_add_z(&b, "8BPS");
    assert_refused(&b, ERR_FORMAT, "ZIP");
}

static void reading_is_refused_when_stack_xml_is_unsound(void **state)
{
    (void)state;
    assert_xml_refused("", ERR_FORMAT, "not well-formed");
    assert_xml_refused("<image w='1' h='1'><stack></image>", ERR_FORMAT, "not well-formed");
    assert_xml_refused("<stack/>", ERR_FORMAT, "stack");
    assert_xml_refused("<image w='1'/>", ERR_FORMAT, "size");
    assert_xml_refused("<image w='0' h='1'/>", ERR_FORMAT, "0 x 1");
    assert_xml_refused("<image w='40000' h='1'/>", ERR_LIMIT, "40000");
    assert_xml_refused("<!DOCTYPE image [<!ENTITY a 'b'>]><image w='1' h='1'/>", ERR_FORMAT,
                       "document type");
    assert_xml_refused("<image w='1' h='1'><stack opacity='2'/></image>", ERR_FORMAT, "opacity");
    assert_xml_refused("<image w='1' h='1'><layer/></image>", ERR_FORMAT, "src");
    assert_xml_refused("<image w='1' h='1'><layer src='data/a.png' x='1e9'/></image>", ERR_FORMAT,
                       "x, y or opacity");
    assert_xml_refused("<image w='1' h='1'><layer src='../a.png'/></image>", ERR_NOTFOUND, "../a");
    assert_xml_refused("<image w='1' h='1'><layer src='data/text.png'/></image>", ERR_FORMAT,
                       "not a PNG");
}

static void reading_is_refused_when_stack_xml_is_too_deep_or_long(void **state)
{
    (void)state;
    struct buf xml, b;
    buf_init(&xml, 1 << 20);
    buf_add_z(&xml, "<image w='1' h='1'>");
    for (int i = 0; i < 40; i++)
        buf_add_z(&xml, "<stack>");
    pack(&b, "image/openraster", buf_z(&xml));
    assert_refused(&b, ERR_LIMIT, "deeper");
    buf_clear(&xml);
    buf_add_z(&xml, "<image w='1' h='1'><stack>");
    for (int i = 0; i < 1001; i++)
        buf_add_z(&xml, "<layer src='data/a.png'/>");
    pack(&b, "image/openraster", buf_z(&xml));
    assert_refused(&b, ERR_LIMIT, "1000 layers");
    buf_deinit(&xml);
}

/* ---- archives that are bombs ----------------------------------------------------------------- */

static void unpacking_is_refused_when_sizes_pass_the_limits(void **state)
{
    (void)state;
    const struct str zeros = {mem_try_alloc(8 << 20), 8 << 20};
    struct zipfile_reader *z = NULL;
    struct err e = {0};
    struct buf b, out;
    const struct image_out to = image_out_buf(&b);
    struct zipfile_writer *w = zipfile_writer_new(&to);
    buf_init(&b, 16 << 20);
    zipfile_add(w, "small", STR_LIT("abc"), ZIPFILE_DEFLATED);
    zipfile_add(w, "bomb", zeros, ZIPFILE_DEFLATED);
    zipfile_add(w, "honest", zeros, ZIPFILE_STORED);
    must(zipfile_finish(w, &e), &e);
    zipfile_writer_free(w);

    struct zipfile_limits limits = zipfile_limits_defaults();
    must(zipfile_open(buf_str(&b), &limits, &z, &e), &e);
    assert_int_equal(zipfile_read(z, "bomb", &out, &e), ERR_LIMIT);
    must(zipfile_read(z, "honest", &out, &e), &e);
    assert_int_equal(out.n, zeros.n);
    buf_deinit(&out);
    zipfile_close(z);

    limits.max_total_bytes = zeros.n + 3;
    must(zipfile_open(buf_str(&b), &limits, &z, &e), &e);
    must(zipfile_read(z, "small", &out, &e), &e);
    buf_deinit(&out);
    must(zipfile_read(z, "honest", &out, &e), &e);
    buf_deinit(&out);
    assert_int_equal(zipfile_read(z, "small", &out, &e), ERR_LIMIT);
    zipfile_close(z);

    limits.max_entry_bytes = zeros.n - 1;
    must(zipfile_open(buf_str(&b), &limits, &z, &e), &e);
    assert_int_equal(zipfile_read(z, "honest", &out, &e), ERR_LIMIT);
    zipfile_close(z);

    limits.max_entries = 2;
    assert_int_equal(zipfile_open(buf_str(&b), &limits, &z, &e), ERR_LIMIT);
    buf_deinit(&b);
    mem_free((void *)(uintptr_t)zeros.p);
}

static void every_cut_is_an_error_when_an_archive_is_truncated(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b;
    layer_stack_init(&s, 5, 4);
    put(&s, noise(5, 4, 1, true), "a", 0, 0);
    must(encode(ora_write, &s, &b, &e), &e);
    for (size_t n = 0; n < b.n; n++) {
        char *cut = mem_alloc(n);
        memcpy(cut, b.p, n);
        assert_int_not_equal(ora_decode((struct str){cut, n}, NULL, &back, &e), ERR_OK);
        layer_stack_deinit(&back);
        mem_free(cut);
    }
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

static void nothing_leaks_when_an_allocation_fails(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b, again;
    sample_stack(&s);
    must(encode(ora_write, &s, &b, &e), &e);
    for (long n = 1;; n++) {
        mem_fail_after(n);
        enum err_code rc = encode(ora_write, &s, &again, &e);
        mem_fail_after(0);
        buf_deinit(&again);
        if (rc == ERR_OK)
            break;
    }
    for (long n = 1;; n++) {
        mem_fail_after(n);
        enum err_code rc = ora_decode(buf_str(&b), NULL, &back, &e);
        mem_fail_after(0);
        layer_stack_deinit(&back);
        if (rc == ERR_OK)
            break;
    }
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_comes_back_the_same_when_written_and_read),
        cmocka_unit_test(every_blend_mode_comes_back_when_written_and_read),
        cmocka_unit_test(archive_begins_with_the_stored_type_when_written),
        cmocka_unit_test(merged_image_and_thumbnail_are_there_when_written),
        cmocka_unit_test(nested_stacks_dissolve_when_read),
        cmocka_unit_test(documents_look_as_they_should_when_read),
        cmocka_unit_test(what_differs_from_the_merged_image_is_noted),
        cmocka_unit_test(reading_is_refused_when_it_is_no_openraster),
        cmocka_unit_test(reading_is_refused_when_stack_xml_is_unsound),
        cmocka_unit_test(reading_is_refused_when_stack_xml_is_too_deep_or_long),
        cmocka_unit_test(unpacking_is_refused_when_sizes_pass_the_limits),
        cmocka_unit_test(every_cut_is_an_error_when_an_archive_is_truncated),
        cmocka_unit_test(nothing_leaks_when_an_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
