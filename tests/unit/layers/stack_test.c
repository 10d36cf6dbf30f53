#include "layers_support.h"

#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/resize.h"
#include "layers/clean.h"
#include "layers/file.h"
#include "layers/fit.h"
#include "layers/json.h"

static const unsigned char red[4] = {210, 30, 20, 255};
static const unsigned char blue[4] = {20, 40, 220, 255};
static const unsigned char clear[4] = {0, 0, 0, 0};

static struct image flatten(const struct layer_stack *s)
{
    struct image im = {0};
    struct err e = {0};
    must(layers_flatten(s, &im, &e), &e);
    return im;
}

/* What both stacks look like differs by at most `levels` anywhere. */
static void assert_looks_same(const struct layer_stack *s, const struct image *before, int levels)
{
    struct image_difference d;
    struct err e = {0};
    struct image after = flatten(s);
    must(image_compare(before, &after, &d, &e), &e);
    if (d.max > levels)
        fail_msg("differs by %d levels at %d, %d", d.max, d.max_x, d.max_y);
    image_free(&after);
}

/* ---- the stack ------------------------------------------------------------------------------- */

static void ids_are_unique_and_the_same_each_time_when_layers_are_added(void **state)
{
    (void)state;
    struct layer_stack a, b;
    sample_stack(&a);
    sample_stack(&b);
    assert_same_stack(&a, &b);
    put(&a, noise(9, 9, 6, false), "again", 44, 40); /* the same image at the same place */
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(layer_stack_find(&a, str_from(a.layers[i].id)), i);
    layer_stack_deinit(&a);
    layer_stack_deinit(&b);
}

static void order_follows_when_layers_move(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    layer_stack_init(&s, 4, 4);
    for (int i = 0; i < 4; i++)
        put(&s, noise(2, 2, (uint32_t)i, true), (const char[]){(char)('a' + i), 0}, 0, 0);
    layer_stack_move(&s, 0, 2);
    assert_string_equal(s.layers[0].name, "b");
    assert_string_equal(s.layers[2].name, "a");
    layer_stack_move(&s, 3, 0);
    assert_string_equal(s.layers[0].name, "d");
    layer_stack_remove(&s, 1);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.layers[1].name, "c");
    struct image im = noise(2, 2, 9, true);
    struct layer l = layer_from_image(&im);
    must(layer_stack_insert(&s, 1, &l, &e), &e);
    assert_string_equal(s.layers[1].name, "");
    assert_null(l.image.p);
    layer_stack_deinit(&s);
}

static void adding_is_refused_when_a_layer_makes_no_sense(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    struct layer l;
    struct image im = {0};
    layer_stack_init(&s, 4, 4);
    must(image_new(&im, 2, 2, 3, &e), &e);
    l = layer_from_image(&im);
    assert_int_equal(layer_stack_add(&s, &l, &e), ERR_ARG);
    im = noise(2, 2, 1, true);
    l = layer_from_image(&im);
    l.opacity = (double)NAN;
    assert_int_equal(layer_stack_add(&s, &l, &e), ERR_ARG);
    im = noise(2, 2, 1, true);
    l = layer_from_image(&im);
    l.x = LAYER_OFFSET_MAX + 1;
    assert_int_equal(layer_stack_add(&s, &l, &e), ERR_ARG);
    assert_int_equal(s.n, 0);
    layer_stack_deinit(&s);
}

static void names_are_made_clean_when_set(void **state)
{
    (void)state;
    struct layer l = {0};
    char big[600];
    layer_set_name(&l, STR_LIT("a\nb\x7f\xff\xc3\xa9\xef\xbf\xbf\xc2\x85z"));
    assert_string_equal(l.name, "a?b??\xc3\xa9??z");
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(unsigned char)(i % 2 == 0 ? 0xc3 : 0xa9);
    layer_set_name(&l, (struct str){big, sizeof big});
    assert_int_equal(strlen(l.name), 254);
    assert_true(str_is_utf8(str_from(l.name), NULL));
    assert_false(layer_set_id(&l, STR_LIT("a/b")));
    assert_false(layer_set_id(&l, STR_LIT("")));
    assert_true(layer_set_id(&l, STR_LIT("a-b_c.9")));
}

/* ---- layers.json ----------------------------------------------------------------------------- */

static void stack_comes_back_the_same_when_written_in_every_format_that_is_read(void **state)
{
    (void)state;
    static const enum layers_format formats[] = {LAYERS_PSD, LAYERS_ORA, LAYERS_ZIP};
    struct layer_stack s, back;
    struct err e = {0};
    char dir[64], path[128];
    sample_stack(&s);
    make_folder(dir);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/stack.bin", dir);
        must(layers_export(&s, formats[i], path, &e), &e);
        must(layers_import(path, NULL, &back, &e), &e);
        assert_same_stack(&s, &back);
        layer_stack_deinit(&back);
    }
    remove_file(dir, "stack.bin");
    must(layers_export(&s, LAYERS_PNG, dir, &e), &e);
    must(layers_import(dir, NULL, &back, &e), &e);
    assert_same_stack(&s, &back);
    layer_stack_deinit(&back);
    (void)snprintf(path, sizeof path, "%s/composite.png", dir);
    must(layers_import(path, NULL, &back, &e), &e);
    assert_int_equal(back.n, 1);
    struct image flat = flatten(&s);
    assert_same_image(&flat, &back.layers[0].image);
    image_free(&flat);
    layer_stack_deinit(&back);
    remove_folder(dir);
    layer_stack_deinit(&s);
}

static void write_text(const char *dir, const char *name, const char *text)
{
    struct err e = {0};
    char path[512];
    must(file_join(path, sizeof path, dir, name, &e), &e);
    must(file_write_atomic(path, text, strlen(text), &e), &e);
}

static void assert_manifest_refused(const char *dir, const char *layer, enum err_code code,
                                    const char *word)
{
    struct layer_stack s;
    struct err e = {0};
    char text[1024];
    (void)snprintf(text, sizeof text, "{\"version\":1,\"width\":9,\"height\":9,\"layers\":[%s]}",
                   layer);
    write_text(dir, "layers.json", text);
    assert_int_equal(layers_folder_read(dir, NULL, &s, &e), code);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not tell of '%s'", e.text, word);
    assert_int_equal(s.n, 0);
}

static void manifest_is_refused_when_it_leaves_the_folder_or_lies(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    char dir[64], link_path[128];
    make_folder(dir);
    layer_stack_init(&s, 9, 9);
    put(&s, noise(9, 9, 1, true), "a", 0, 0);
    must(layers_folder_write(&s, dir, &e), &e);
    layer_stack_deinit(&s);
    assert_manifest_refused(dir, "{\"file\":\"../x.png\"}", ERR_FORMAT, "inside the folder");
    assert_manifest_refused(dir, "{\"file\":\"/etc/passwd\"}", ERR_FORMAT, "inside the folder");
    assert_manifest_refused(dir, "{\"file\":\"a/../../x\"}", ERR_FORMAT, "inside the folder");
    assert_manifest_refused(dir, "{\"file\":\"a\\\\..\\\\x\"}", ERR_FORMAT, "inside the folder");
    assert_manifest_refused(dir, "{\"file\":\"a\\u0000b\"}", ERR_FORMAT, "inside the folder");
    assert_manifest_refused(dir, "{}", ERR_FORMAT, "inside the folder");
    assert_manifest_refused(dir, "7", ERR_FORMAT, "object");
    assert_manifest_refused(dir, "{\"file\":\"none.png\"}", ERR_NOTFOUND, "none.png");
    assert_manifest_refused(dir, "{\"file\":\"layers.json\"}", ERR_FORMAT, "not a PNG");
    assert_manifest_refused(dir, "{\"file\":\"layer_0.png\",\"width\":8}", ERR_FORMAT, "9 x 9");
    assert_manifest_refused(dir, "{\"file\":\"layer_0.png\",\"blend_mode\":\"x\"}", ERR_FORMAT,
                            "blend mode");
    assert_manifest_refused(dir, "{\"file\":\"layer_0.png\",\"opacity\":2}", ERR_FORMAT, "opacity");
    assert_manifest_refused(dir, "{\"file\":\"layer_0.png\",\"id\":\"a b\"}", ERR_FORMAT, "id");
    (void)snprintf(link_path, sizeof link_path, "%s/layer_1.png", dir);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    assert_manifest_refused(dir, "{\"file\":\"layer_1.png\"}", ERR_FORMAT, "leaves the folder");
    write_text(dir, "layers.json", "{\"version\":2,\"width\":9,\"height\":9,\"layers\":[]}");
    assert_int_equal(layers_folder_read(dir, NULL, &s, &e), ERR_FORMAT);
    write_text(dir, "layers.json",
               "{\"version\":1,\"width\":30000,\"height\":30000,\"layers\":[]}");
    assert_int_equal(layers_folder_read(dir, NULL, &s, &e), ERR_LIMIT);
    remove_folder(dir);
}

static void reading_is_refused_when_layers_pass_the_limits(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b;
    layer_stack_init(&s, 10, 10);
    put(&s, noise(10, 10, 1, true), "a", 0, 0);
    put(&s, noise(10, 10, 2, true), "b", 0, 0);
    must(encode(layers_zip_write, &s, &b, &e), &e);
    struct layers_limits limits = {.max_side = 10, .max_layers = 2, .max_pixels = 200};
    must(layers_zip_decode(buf_str(&b), &limits, &back, &e), &e);
    layer_stack_deinit(&back);
    limits.max_pixels = 199;
    assert_int_equal(layers_zip_decode(buf_str(&b), &limits, &back, &e), ERR_LIMIT);
    limits = (struct layers_limits){.max_side = 10, .max_layers = 1, .max_pixels = 200};
    assert_int_equal(layers_zip_decode(buf_str(&b), &limits, &back, &e), ERR_LIMIT);
    limits = (struct layers_limits){.max_side = 9, .max_layers = 2, .max_pixels = 200};
    assert_int_equal(layers_zip_decode(buf_str(&b), &limits, &back, &e), ERR_LIMIT);
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

/* ---- tidying --------------------------------------------------------------------------------- */

static void empty_layers_go_when_dropped(void **state)
{
    (void)state;
    struct layer_stack s;
    layer_stack_init(&s, 9, 9);
    put(&s, plain(9, 9, blue), "kept", 0, 0);
    put(&s, plain(9, 9, (const unsigned char[]){255, 0, 0, 7}), "faint", 0, 0);
    put(&s, plain(9, 9, clear), "clear", 0, 0);
    assert_int_equal(layers_drop_empty(&s, LAYERS_EMPTY_ALPHA), 2);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.layers[0].name, "kept");
    image_fill(&s.layers[0].image, clear);
    assert_int_equal(layers_drop_empty(&s, LAYERS_EMPTY_ALPHA), 0);
    layer_stack_deinit(&s);
}

static void near_duplicates_merge_when_they_are_neighbours(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    size_t merged = 0;
    layer_stack_init(&s, 20, 20);
    put(&s, plain(20, 20, blue), "bottom", 0, 0);
    put(&s, plain(9, 9, red), "one", 3, 3);
    put(&s, plain(9, 9, (const unsigned char[]){212, 28, 22, 255}), "almost one", 3, 3);
    put(&s, plain(9, 9, red), "elsewhere", 8, 3);
    struct image before = flatten(&s);
    must(layers_merge_duplicates(&s, LAYERS_DUPLICATE_LEVEL, &merged, &e), &e);
    assert_int_equal(merged, 1);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.layers[1].name, "almost one");
    assert_looks_same(&s, &before, 0);
    image_free(&before);
    layer_stack_deinit(&s);
}

static void image_stays_when_neighbours_are_merged(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    layer_stack_init(&s, 60, 40);
    put(&s, noise(60, 40, 1, true), "a", 0, 0);
    put(&s, noise(30, 30, 2, false), "b", -10, 5)->opacity = 0.7;
    put(&s, noise(25, 30, 3, false), "c", 5, 20);
    put(&s, noise(5, 5, 4, true), "d", 50, 2);
    char id[LAYER_ID_SIZE];
    (void)snprintf(id, sizeof id, "%s", s.layers[2].id);
    struct image before = flatten(&s);
    must(layers_merge(&s, 1, 2, &e), &e);
    assert_looks_same(&s, &before, 2); /* one rounding more */
    assert_int_equal(s.n, 3);
    assert_string_equal(s.layers[1].id, id);
    assert_int_equal(s.layers[1].x, -10);
    assert_int_equal(s.layers[1].image.w, 40);
    assert_int_equal(s.layers[1].image.h, 45);
    must(layers_merge_chosen(&s, (const size_t[]){0, 2}, 2, &e), &e);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.layers[1].name, "d");
    assert_int_equal(layers_merge(&s, 1, 2, &e), ERR_ARG);
    assert_int_equal(layers_merge_chosen(&s, (const size_t[]){1, 0}, 2, &e), ERR_ARG);
    s.layers[0].visible = false;
    s.layers[1].visible = false;
    assert_int_equal(layers_merge(&s, 0, 1, &e), ERR_ARG);
    image_free(&before);
    layer_stack_deinit(&s);
}

static void offsets_follow_when_borders_are_trimmed(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    layer_stack_init(&s, 50, 50);
    struct image im = plain(50, 50, clear);
    for (int y = 13; y < 20; y++)
        memset(image_row(&im, y) + 4 * 30, 200, 4 * 9);
    put(&s, im, "part", -2, 1);
    put(&s, plain(10, 10, clear), "nothing", 5, 5);
    struct image before = flatten(&s);
    must(layers_trim(&s, &e), &e);
    assert_int_equal(s.layers[0].x, 28);
    assert_int_equal(s.layers[0].y, 14);
    assert_int_equal(s.layers[0].image.w, 9);
    assert_int_equal(s.layers[0].image.h, 7);
    assert_int_equal(s.layers[1].image.w, 1);
    assert_looks_same(&s, &before, 0);
    image_free(&before);
    layer_stack_deinit(&s);
}

static void names_tell_colour_and_place_when_suggested(void **state)
{
    (void)state;
    struct layer_stack s;
    layer_stack_init(&s, 90, 90);
    put(&s, plain(90, 90, blue), "", 0, 0);
    put(&s, plain(20, 20, red), "", 2, 4);
    put(&s, plain(20, 20, red), "", 6, 9);
    put(&s, plain(9, 9, (const unsigned char[]){40, 180, 60, 200}), "", 70, 75);
    put(&s, plain(30, 30, (const unsigned char[]){250, 250, 250, 255}), "mine", 30, 30);
    put(&s, plain(90, 90, (const unsigned char[]){20, 20, 20, 255}), "", 0, 0);
    put(&s, plain(30, 30, (const unsigned char[]){120, 70, 30, 255}), "", 30, 60);
    put(&s, plain(30, 30, clear), "", 30, 60);
    layers_suggest_names(&s);
    assert_string_equal(s.layers[0].name, "background");
    assert_string_equal(s.layers[1].name, "red, upper left");
    assert_string_equal(s.layers[2].name, "red, upper left 2");
    assert_string_equal(s.layers[3].name, "green, lower right");
    assert_string_equal(s.layers[4].name, "mine");
    assert_string_equal(s.layers[5].name, "black, whole canvas");
    assert_string_equal(s.layers[6].name, "brown, bottom");
    assert_string_equal(s.layers[7].name, "empty");
    layer_stack_deinit(&s);
}

static void no_fringe_is_left_when_alpha_is_cleaned(void **state)
{
    (void)state;
    const struct layer_alpha_params params = layer_alpha_defaults();
    struct layer l = {0};
    struct err e = {0};
    /* A red bar whose soft edge still holds the green that was behind it, and faint dirt. */
    struct image im = plain(20, 5, (const unsigned char[]){0, 255, 0, 4});
    for (int y = 0; y < 5; y++) {
        unsigned char *p = image_row(&im, y);
        for (int x = 0; x < 8; x++)
            memcpy(p + 4 * (size_t)x, (const unsigned char[]){200, 0, 0, 250}, 4);
        memcpy(p + 4 * 8, (const unsigned char[]){100, 128, 0, 128}, 4);
        memcpy(p + 4 * 9, (const unsigned char[]){20, 230, 0, 30}, 4);
        memcpy(p + 4 * 18, (const unsigned char[]){9, 9, 200, 99},
               4); /* glass: nothing solid near */
    }
    l = layer_from_image(&im);
    must(layer_clean_alpha(&l, &params, &e), &e);
    const unsigned char *p = image_row(&l.image, 2);
    assert_memory_equal(p + 4 * 3, "\xc8\0\0\xff", 4);
    assert_memory_equal(p + 4 * 8, "\xc8\0\0\x80", 4);
    assert_memory_equal(p + 4 * 9, "\xc8\0\0\x1e", 4);
    assert_memory_equal(p + 4 * 10, "\xc8\0\0\0", 4);
    assert_memory_equal(p + 4 * 18, "\x09\x09\xc8\x63", 4);
    assert_int_equal(layer_clean_alpha(&l, &(struct layer_alpha_params){.low = 9, .high = 9}, &e),
                     ERR_ARG);
    layer_deinit(&l);
}

/* ---- splitting one layer --------------------------------------------------------------------- */

static void image_stays_when_a_layer_is_split(void **state)
{
    (void)state;
    struct layer_stack s, sub;
    struct err e = {0};
    layer_stack_init(&s, 60, 40);
    put(&s, noise(60, 40, 1, true), "below", 0, 0);
    /* What the split has to give back: two halves, one of them soft. */
    layer_stack_init(&sub, 20, 10);
    put(&sub, noise(10, 10, 2, false), "left", 0, 0);
    put(&sub, noise(10, 10, 3, true), "right", 10, 0);
    struct image whole = flatten(&sub);
    put(&s, whole, "pair", 30, 20);
    put(&s, noise(60, 40, 4, false), "above", 0, 0);
    struct image before = flatten(&s);
    must(layers_replace(&s, 1, &sub, &e), &e);
    assert_int_equal(s.n, 4);
    assert_int_equal(sub.n, 0);
    assert_string_equal(s.layers[1].name, "pair / left");
    assert_string_equal(s.layers[2].name, "pair / right");
    assert_int_equal(s.layers[2].x, 40);
    assert_int_equal(s.layers[2].y, 20);
    assert_string_equal(s.layers[3].name, "above");
    assert_looks_same(&s, &before, 1);
    image_free(&before);
    layer_stack_deinit(&s);
}

static void parts_take_the_parents_size_when_split_at_another_one(void **state)
{
    (void)state;
    struct layer_stack s, sub;
    struct err e = {0};
    layer_stack_init(&s, 100, 100);
    put(&s, noise(40, 20, 1, true), "parent", 7, 9)->opacity = 0.5;
    layer_stack_init(&sub, 80, 40);
    put(&sub, noise(80, 40, 2, true), "all", 0, 0);
    put(&sub, noise(20, 20, 3, true), "", 60, 20);
    must(layers_replace(&s, 0, &sub, &e), &e);
    assert_int_equal(s.layers[0].image.w, 40);
    assert_int_equal(s.layers[0].image.h, 20);
    assert_int_equal(s.layers[1].x, 7 + 30);
    assert_int_equal(s.layers[1].y, 9 + 10);
    assert_int_equal(s.layers[1].image.w, 10);
    assert_string_equal(s.layers[1].name, "parent");
    assert_true(s.layers[1].opacity == 0.5);
    assert_int_equal(layers_replace(&s, 7, &sub, &e), ERR_ARG);
    layer_stack_deinit(&s);
}

/* ---- back to full size ----------------------------------------------------------------------- */

/* A disc with a soft edge over a canvas, in a colour with fine texture. */
static struct image disc(int w, int h, double cx, double cy, double r, const unsigned char rgb[4])
{
    struct image im = plain(w, h, clear);
    for (int y = 0; y < h; y++) {
        unsigned char *p = image_row(&im, y);
        for (int x = 0; x < w; x++, p += 4) {
            double edge = (r - hypot(x - cx, y - cy)) / 3 + 0.5;
            double a = edge < 0 ? 0 : edge > 1 ? 1 : edge;
            int texture = (int)(30 * sin(x * 1.1) * cos(y * 0.9));
            for (int c = 0; c < 3; c++) {
                int v = rgb[c] + texture;
                p[c] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
            p[3] = (unsigned char)lround(a * 255);
        }
    }
    return im;
}

static void scene(struct layer_stack *s, int w, int h)
{
    layer_stack_init(s, w, h);
    put(s, disc(w, h, w / 2.0, h / 2.0, 2.0 * w, blue), "background", 0, 0);
    put(s, disc(w, h, w * 0.35, h * 0.5, h * 0.3, red), "red", 0, 0);
    put(s, disc(w, h, w * 0.6, h * 0.55, h * 0.25, (const unsigned char[]){60, 200, 80, 255}),
        "green", 0, 0);
}

/* The layers as a model would give them: smaller, and a little off in colour. */
static void as_from_model(const struct layer_stack *truth, int w, int h, struct layer_stack *out)
{
    struct err e = {0};
    must(layer_stack_copy(truth, out, &e), &e);
    must(layers_resize(out, w, h, &e), &e);
    for (size_t i = 0; i < out->n; i++) {
        struct image *im = &out->layers[i].image;
        for (int y = 0; y < im->h; y++) {
            unsigned char *p = image_row(im, y);
            for (int x = 0; x < 4 * im->w; x++)
                if (x % 4 != 3)
                    p[x] = (unsigned char)(p[x] > 250 ? 255 : p[x] + (x * 7 + y * 3) % 5);
        }
    }
}

static void stack_recomposes_better_when_colours_are_fitted_to_the_source(void **state)
{
    (void)state;
    struct layer_stack truth, model, resized;
    struct image_difference before, after;
    struct err e = {0};
    scene(&truth, 400, 300);
    struct image source = flatten(&truth);
    as_from_model(&truth, 160, 120, &model);
    must(layer_stack_copy(&model, &resized, &e), &e);
    must(layers_resize(&resized, 400, 300, &e), &e);
    must(layers_recompose_report(&resized, &source, &before, &e), &e);
    must(layers_to_full_size(&model, &source, &e), &e);
    must(layers_recompose_report(&model, &source, &after, &e), &e);
    print_message("resized only: %.2f dB, worst %d; fitted: %.2f dB, worst %d\n", before.psnr_db,
                  before.max, after.psnr_db, after.max);
    assert_int_equal(model.w, 400);
    assert_true(after.psnr_db > before.psnr_db + 8);
    assert_true(after.max <= before.max);

    /* Where the green disc hides the red one, nobody knows better than the model. */
    const struct image *fitted = &model.layers[1].image, *plain_red = &resized.layers[1].image;
    size_t hidden = 4 * (size_t)215;
    assert_int_equal(image_row(&model.layers[2].image, 160)[hidden + 3], 255);
    assert_memory_equal(image_row(fitted, 160) + hidden, image_row(plain_red, 160) + hidden, 4);
    /* And alpha is the model's everywhere. */
    for (int y = 0; y < 300; y++)
        for (size_t x = 0; x < 400; x++)
            assert_int_equal(image_row(fitted, y)[4 * x + 3], image_row(plain_red, y)[4 * x + 3]);
    image_free(&source);
    layer_stack_deinit(&truth);
    layer_stack_deinit(&model);
    layer_stack_deinit(&resized);
}

static void small_layers_land_where_they_were_when_resized(void **state)
{
    (void)state;
    struct layer_stack full, trimmed;
    struct err e = {0};
    scene(&full, 160, 120);
    must(layer_stack_copy(&full, &trimmed, &e), &e);
    must(layers_trim(&trimmed, &e), &e);
    assert_true(trimmed.layers[1].image.w < 100);
    must(layers_resize(&full, 401, 303, &e), &e);
    must(layers_resize(&trimmed, 401, 303, &e), &e);
    assert_true(trimmed.layers[1].image.w < 250);
    struct image look = flatten(&full);
    assert_looks_same(&trimmed, &look, 0);
    image_free(&look);
    layer_stack_deinit(&full);
    layer_stack_deinit(&trimmed);
}

static void report_tells_holes_when_the_stack_does_not_cover(void **state)
{
    (void)state;
    struct layer_stack s;
    struct image_difference d;
    struct err e = {0};
    struct image black = plain(8, 8, (const unsigned char[]){0, 0, 0, 255});
    layer_stack_init(&s, 8, 8);
    put(&s, plain(8, 7, (const unsigned char[]){0, 0, 0, 255}), "all but a row", 0, 0);
    must(layers_recompose_report(&s, &black, &d, &e), &e);
    assert_int_equal(d.max, 255);
    assert_int_equal(d.max_y, 7);
    s.h = 7;
    assert_int_equal(layers_recompose_report(&s, &black, &d, &e), ERR_ARG);
    image_free(&black);
    layer_stack_deinit(&s);
}

/* ---- for other programs ---------------------------------------------------------------------- */

/* tests/interop opens these with programs that others wrote; here they only have to be writable. */
static void every_format_is_written_when_asked(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    char dir[64], path[256];
    const char *kept = getenv("VT_INTEROP_OUT");
    sample_stack(&s);
    make_folder(dir);
    for (int i = 0; i < LAYERS_FORMATS; i++) {
        const char *name = layers_format_name((enum layers_format)i);
        (void)snprintf(path, sizeof path, "%s/sample.%s", kept ? kept : dir, name);
        must(layers_export(&s, (enum layers_format)i, path, &e), &e);
    }
    if (!kept) {
        (void)snprintf(path, sizeof path, "%s/sample.png", dir);
        remove_folder(path);
        remove_file(dir, "sample.psd");
        remove_file(dir, "sample.ora");
        remove_file(dir, "sample.pptx");
        remove_file(dir, "sample.zip");
    }
    remove_folder(dir);
    layer_stack_deinit(&s);
}

/* And the other way round: files of theirs come back as PNG sets beside them. */
static void foreign_files_are_read_when_given(void **state)
{
    (void)state;
    static const char *const names[] = {"groups.psd", "zip.psd", "flat.psd", "krita.ora"};
    const char *dir = getenv("VT_INTEROP_IN");
    for (size_t i = 0; dir && i < sizeof names / sizeof names[0]; i++) {
        struct layer_stack s;
        struct err e = {0};
        char path[512], set[512];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)snprintf(set, sizeof set, "%s/%s.png", dir, names[i]);
        if (!file_exists(path))
            continue;
        must(layers_import(path, NULL, &s, &e), &e);
        must(layers_export(&s, LAYERS_PNG, set, &e), &e);
        layer_stack_deinit(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_unique_and_the_same_each_time_when_layers_are_added),
        cmocka_unit_test(order_follows_when_layers_move),
        cmocka_unit_test(adding_is_refused_when_a_layer_makes_no_sense),
        cmocka_unit_test(names_are_made_clean_when_set),
        cmocka_unit_test(stack_comes_back_the_same_when_written_in_every_format_that_is_read),
        cmocka_unit_test(manifest_is_refused_when_it_leaves_the_folder_or_lies),
        cmocka_unit_test(reading_is_refused_when_layers_pass_the_limits),
        cmocka_unit_test(empty_layers_go_when_dropped),
        cmocka_unit_test(near_duplicates_merge_when_they_are_neighbours),
        cmocka_unit_test(image_stays_when_neighbours_are_merged),
        cmocka_unit_test(offsets_follow_when_borders_are_trimmed),
        cmocka_unit_test(names_tell_colour_and_place_when_suggested),
        cmocka_unit_test(no_fringe_is_left_when_alpha_is_cleaned),
        cmocka_unit_test(image_stays_when_a_layer_is_split),
        cmocka_unit_test(parts_take_the_parents_size_when_split_at_another_one),
        cmocka_unit_test(stack_recomposes_better_when_colours_are_fitted_to_the_source),
        cmocka_unit_test(small_layers_land_where_they_were_when_resized),
        cmocka_unit_test(report_tells_holes_when_the_stack_does_not_cover),
        cmocka_unit_test(every_format_is_written_when_asked),
        cmocka_unit_test(foreign_files_are_read_when_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
