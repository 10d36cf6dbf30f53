/* Groups: what they look like, kept and dissolved, and through every format that has them. */
#include "layers_support.h"

#include "base/mem.h"
#include "image/png_save.h"
#include "layers/assemble.h"
#include "layers/json.h"
#include "layers/ora.h"
#include "layers/pptx.h"
#include "layers/psd.h"
#include "layers/zipfile.h"

static size_t group(struct layer_stack *s, const char *id, size_t parent, double opacity,
                    enum blend_mode blend, bool visible)
{
    struct layer_group g = {
        .opacity = opacity, .blend = blend, .visible = visible, .parent = parent};
    struct err e = {0};
    size_t at = 0;
    (void)snprintf(g.id, sizeof g.id, "%s", id);
    (void)snprintf(g.name, sizeof g.name, "<%s & \xc3\xa4>", id);
    must(layer_stack_add_group(s, &g, &at, &e), &e);
    return at;
}

/* ground, a hidden group, and a group with another in it that blend; a layer on top. */
static void grouped_stack(struct layer_stack *s)
{
    layer_stack_init(s, 30, 20);
    size_t outer = group(s, "outer", 0, 0.3, BLEND_MULTIPLY, true);
    size_t inner = group(s, "inner", outer, 2.0 / 3.0, BLEND_SCREEN, true);
    size_t unseen = group(s, "unseen", 0, 1, BLEND_NORMAL, false);
    put(s, noise(30, 20, 1, true), "ground", 0, 0);
    put(s, noise(9, 9, 2, false), "hidden", 3, 3)->group = unseen;
    put(s, noise(20, 15, 3, false), "a", -2, 1)->group = outer;
    put(s, noise(20, 15, 4, false), "b", 4, 2)->group = inner;
    struct layer *c = put(s, noise(20, 15, 5, false), "c", 8, 3);
    c->group = inner;
    c->blend = BLEND_DIFFERENCE;
    c->opacity = 0.7;
    put(s, noise(5, 30, 6, false), "d", 12, -3)->group = outer;
    put(s, noise(6, 6, 7, false), "top", 20, 10)->blend = BLEND_ADD;
}

/* Which group, by id; "" for none. */
static const char *group_id(const struct layer_stack *s, size_t at)
{
    return at ? s->groups[at - 1].id : "";
}

static void assert_same_groups(const struct layer_stack *a, const struct layer_stack *b)
{
    assert_same_stack(a, b);
    assert_int_equal(a->n_groups, b->n_groups);
    for (size_t i = 0; i < a->n; i++)
        assert_string_equal(group_id(a, a->layers[i].group), group_id(b, b->layers[i].group));
    for (size_t i = 0; i < a->n_groups; i++) {
        const struct layer_group *g = &a->groups[i], *h = b->groups;
        while (strcmp(h->id, g->id) != 0)
            h++;
        assert_true(h < b->groups + b->n_groups);
        assert_string_equal(g->name, h->name);
        assert_true(g->opacity == h->opacity && g->blend == h->blend && g->visible == h->visible);
        assert_string_equal(group_id(a, g->parent), group_id(b, h->parent));
    }
}

static int difference(const struct layer_stack *a, const struct layer_stack *b)
{
    struct image one, two;
    struct image_difference d;
    struct err e = {0};
    must(layers_flatten(a, &one, &e), &e);
    must(layers_flatten(b, &two, &e), &e);
    image_premultiply(&one); /* colours of what is nearly transparent are not seen */
    image_premultiply(&two);
    must(image_compare(&one, &two, &d, &e), &e);
    image_free(&one);
    image_free(&two);
    return d.max;
}

static void groups_come_back_when_written_and_read(void **state)
{
    static const struct {
        stack_writer write;
        enum err_code (*decode)(struct str bytes, const struct layers_limits *limits,
                                struct layer_stack *out, struct err *e);
    } formats[] = {
        {psd_write, psd_decode}, {ora_write, ora_decode}, {layers_zip_write, layers_zip_decode}};
    struct layers_limits limits = layers_limits_defaults();
    struct layer_stack s, back;
    (void)state;
    grouped_stack(&s);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct err e = {0};
        struct buf b;
        must(encode(formats[i].write, &s, &b, &e), &e);
        limits.groups = true;
        must(formats[i].decode(buf_str(&b), &limits, &back, &e), &e);
        assert_same_groups(&s, &back);
        assert_int_equal(back.notes.n, 0);
        assert_int_equal(difference(&s, &back), 0);
        layer_stack_deinit(&back);
        limits.groups = false;
        must(formats[i].decode(buf_str(&b), &limits, &back, &e), &e);
        assert_int_equal(back.n_groups, 0);
        assert_in_range(difference(&s, &back), 0, 3);
        layer_stack_deinit(&back);
        buf_deinit(&b);
    }
    layer_stack_deinit(&s);
}

/* Groups at random around layers that lie together. */
static void random_stack(struct layer_stack *s, uint32_t seed)
{
    size_t open[4] = {0}, depth = 0;
    layer_stack_init(s, 16, 12);
    for (int i = 0; i < 7; i++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned dice = seed >> 16;
        for (unsigned k = dice % 3; k > 0 && depth > 0; k--)
            depth--;
        for (unsigned k = dice / 3 % 3; k > 0 && depth < 3; k--, depth++) {
            char id[16];
            (void)snprintf(id, sizeof id, "g%d-%u", i, k);
            open[depth + 1] = group(s, id, open[depth], dice & 64 ? 1 : 0.6,
                                    dice & 128 ? BLEND_NORMAL : BLEND_MULTIPLY, dice % 7 != 0);
        }
        struct layer *l = put(s, noise(12, 9, seed, dice & 256), "", (int)(dice % 5) - 1, i - 2);
        l->group = open[depth];
        l->visible = dice % 11 != 0;
        l->opacity = dice & 512 ? 1 : 0.5;
        l->blend = dice & 1024 ? BLEND_NORMAL : BLEND_SCREEN;
    }
}

static void layers_look_the_same_when_their_groups_are_dissolved(void **state)
{
    struct err e = {0};
    (void)state;
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct layer_stack s, copy;
        random_stack(&s, seed);
        must(layer_stack_copy(&s, &copy, &e), &e);
        assert_int_equal(difference(&s, &copy), 0);
        must(layers_dissolve_groups(&copy, &e), &e);
        assert_int_equal(copy.n_groups, 0);
        /* Opacity goes to each layer where blending makes one layer of them impossible; a note says so. */
        if (!strstr(buf_z(&copy.notes), "looks different"))
            assert_in_range(difference(&s, &copy), 0, 4);
        layer_stack_deinit(&s);
        layer_stack_deinit(&copy);
    }
}

static void manifest_is_refused_when_its_groups_are_unsound(void **state)
{
    static const struct {
        const char *groups, *says;
    } cases[] = {
        {"{\"id\":\"g\"},{\"id\":\"g\"}", "twice"},
        {"{\"id\":\"a b\"}", "no id"},
        {"{}", "no id"},
        {"{\"id\":\"g\",\"group\":\"h\"}", "no group 'h'"},
        {"{\"id\":\"g\",\"group\":\"h\"},{\"id\":\"h\",\"group\":\"g\"}", "deeper than 16"},
        {"{\"id\":\"g\",\"opacity\":2}", "opacity"},
        {"{\"id\":\"g\",\"blend_mode\":\"burn\"}", "blend mode"},
        {"{\"id\":\"x\"}", "no group 'g'"},
        {"{\"id\":\"g\"}", "do not lie together"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct layer_stack s;
        struct err e = {0};
        struct buf b, json, png;
        struct image im = noise(2, 2, 1, true);
        buf_init(&b, 1 << 16);
        buf_init(&json, 1 << 16);
        buf_init(&png, 1 << 16);
        must(image_png_write(&im, NULL, 0, &png, &e), &e);
        buf_printf(&json,
                   "{\"version\":1,\"width\":4,\"height\":4,\"groups\":[%s],\"layers\":["
                   "{\"file\":\"a.png\",\"group\":\"g\"},{\"file\":\"a.png\"},"
                   "{\"file\":\"a.png\",\"group\":\"g\"}]}",
                   cases[i].groups);
        const struct image_out to = image_out_buf(&b);
        struct zipfile_writer *z = zipfile_writer_new(&to);
        zipfile_add(z, "layers.json", buf_str(&json), ZIPFILE_STORED);
        zipfile_add(z, "a.png", buf_str(&png), ZIPFILE_STORED);
        must(zipfile_finish(z, &e), &e);
        zipfile_writer_free(z);
        if (layers_zip_decode(buf_str(&b), NULL, &s, &e) == ERR_OK ||
            !strstr(e.text, cases[i].says))
            fail_msg("%s: %s", cases[i].groups, e.text);
        buf_deinit(&b);
        buf_deinit(&json);
        buf_deinit(&png);
        image_free(&im);
    }
}

static void slide_has_groups_and_their_opacity(void **state)
{
    struct layer_stack s;
    struct err e = {0};
    struct buf b, slide;
    struct zipfile_reader *z;
    const struct zipfile_limits limits = zipfile_limits_defaults();
    (void)state;
    grouped_stack(&s);
    must(encode(pptx_write, &s, &b, &e), &e);
    must(zipfile_open(buf_str(&b), &limits, &z, &e), &e);
    must(zipfile_read(z, "ppt/slides/slide1.xml", &slide, &e), &e);
    size_t opens = 0, closes = 0;
    for (const char *p = buf_z(&slide); (p = strstr(p, "<p:grpSp>")); p++)
        opens++;
    for (const char *p = buf_z(&slide); (p = strstr(p, "</p:grpSp>")); p++)
        closes++;
    assert_true(opens == 3 && closes == 3);
    assert_non_null(strstr(buf_z(&slide), "amt=\"30000\"")); /* a: the group's */
    assert_non_null(strstr(buf_z(&slide), "amt=\"14000\"")); /* c: 0.7 of 2/3 of 0.3 */
    zipfile_close(z);
    buf_deinit(&slide);
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

/* Every allocation fails once: an error, and no leak (the sanitizer looks). */
static void nothing_leaks_when_an_allocation_fails(void **state)
{
    const struct layers_limits limits = {
        .max_side = 1000, .max_layers = 100, .max_pixels = 1 << 20, .groups = true};
    struct layer_stack s;
    struct err e = {0};
    struct buf b;
    (void)state;
    grouped_stack(&s);
    must(encode(psd_write, &s, &b, &e), &e);
    layer_stack_deinit(&s);
    enum err_code rc = ERR_NOMEM;
    long n = 1;
    for (; rc != ERR_OK && n < 5000; n++) {
        struct image flat = {0};
        mem_fail_after(n);
        rc = psd_decode(buf_str(&b), &limits, &s, &e);
        if (rc == ERR_OK)
            rc = layers_flatten(&s, &flat, &e);
        if (rc == ERR_OK)
            rc = layers_dissolve_groups(&s, &e);
        mem_fail_after(0);
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        image_free(&flat);
        layer_stack_deinit(&s);
    }
    assert_true(n > 20 && rc == ERR_OK);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_come_back_when_written_and_read),
        cmocka_unit_test(layers_look_the_same_when_their_groups_are_dissolved),
        cmocka_unit_test(manifest_is_refused_when_its_groups_are_unsound),
        cmocka_unit_test(slide_has_groups_and_their_opacity),
        cmocka_unit_test(nothing_leaks_when_an_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
