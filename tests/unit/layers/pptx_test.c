#include "layers_support.h"

#include "image/load.h"
#include "layers/pptx.h"
#include "layers/zipfile.h"

static void open_package(const struct layer_stack *s, struct buf *b, struct zipfile_reader **z)
{
    const struct zipfile_limits limits = zipfile_limits_defaults();
    struct err e = {0};
    must(encode(pptx_write, s, b, &e), &e);
    must(zipfile_open(buf_str(b), &limits, z, &e), &e);
}

static void assert_has(struct zipfile_reader *z, const char *part, const char *text)
{
    struct err e = {0};
    struct buf b;
    must(zipfile_read(z, part, &b, &e), &e);
    if (!strstr(buf_z(&b), text))
        fail_msg("%s lacks %s: %s", part, text, buf_z(&b));
    buf_deinit(&b);
}

static void every_required_part_is_there_when_written(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "[Content_Types].xml",
        "_rels/.rels",
        "ppt/presentation.xml",
        "ppt/_rels/presentation.xml.rels",
        "ppt/slideMasters/slideMaster1.xml",
        "ppt/slideMasters/_rels/slideMaster1.xml.rels",
        "ppt/slideLayouts/slideLayout1.xml",
        "ppt/slideLayouts/_rels/slideLayout1.xml.rels",
        "ppt/theme/theme1.xml",
        "ppt/slides/slide1.xml",
        "ppt/slides/_rels/slide1.xml.rels",
    };
    struct layer_stack s;
    struct zipfile_reader *z = NULL;
    struct buf b;
    sample_stack(&s);
    open_package(&s, &b, &z);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        assert_true(zipfile_has(z, parts[i]));
    assert_memory_equal(b.p + 30, "[Content_Types].xml", 19);
    zipfile_close(z);
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

static void images_lie_at_their_places_when_written(void **state)
{
    (void)state;
    static const char slide[] = "ppt/slides/slide1.xml";
    struct layer_stack s;
    struct zipfile_reader *z = NULL;
    struct err e = {0};
    struct buf b, png;
    struct image im = {0};
    layer_stack_init(&s, 640, 480);
    put(&s, noise(640, 480, 1, true), "a & \"b\"", 0, 0);
    struct layer *l = put(&s, noise(100, 50, 2, false), "part", -10, 20);
    l->opacity = 0.25;
    l->visible = false;
    open_package(&s, &b, &z);
    assert_has(z, "ppt/presentation.xml", "<p:sldSz cx=\"6096000\" cy=\"4572000\"/>");
    assert_has(z, slide, "name=\"a &amp; &quot;b&quot;\"/>");
    assert_has(z, slide, "<a:off x=\"0\" y=\"0\"/><a:ext cx=\"6096000\" cy=\"4572000\"/>");
    assert_has(z, slide, "name=\"part\" hidden=\"1\"/>");
    assert_has(z, slide, "<a:alphaModFix amt=\"25000\"/>");
    assert_has(z, slide, "<a:off x=\"-95250\" y=\"190500\"/><a:ext cx=\"952500\" cy=\"476250\"/>");
    assert_has(z, "ppt/slides/_rels/slide1.xml.rels", "Target=\"../media/image2.png\"");
    must(zipfile_read(z, "ppt/media/image2.png", &png, &e), &e);
    must(image_load_memory(buf_str(&png), NULL, NULL, &im, &e), &e);
    assert_same_image(&im, &s.layers[1].image);
    image_free(&im);
    buf_deinit(&png);
    zipfile_close(z);
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

static void slide_stays_in_the_formats_range_when_canvas_is_tiny_or_huge(void **state)
{
    (void)state;
    static const struct {
        int w, h;
        const char *size;
    } cases[] = {
        {16, 8, "cx=\"1828800\" cy=\"914400\""},
        {20000, 10000, "cx=\"51206400\" cy=\"25603200\""},
        {1, 4000, "cx=\"914400\" cy=\"51206400\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct layer_stack s;
        struct zipfile_reader *z = NULL;
        struct buf b;
        layer_stack_init(&s, cases[i].w, cases[i].h);
        put(&s, noise(1, 1, 1, true), "", 0, 0);
        open_package(&s, &b, &z);
        assert_has(z, "ppt/presentation.xml", cases[i].size);
        zipfile_close(z);
        buf_deinit(&b);
        layer_stack_deinit(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_required_part_is_there_when_written),
        cmocka_unit_test(images_lie_at_their_places_when_written),
        cmocka_unit_test(slide_stays_in_the_formats_range_when_canvas_is_tiny_or_huge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
