/* Stacks for the tests of the layer formats, and what it means that two are the same. */
#ifndef VT_TESTS_IMAGE_LAYERS_SUPPORT_H
#define VT_TESTS_IMAGE_LAYERS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "layers/stack.h"

static inline void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s: %s", err_code_name(rc), e->text);
}

/* Noise in runs, so that packing has both to do, with alpha from 0 to 255. */
static inline struct image noise(int w, int h, uint32_t seed, bool opaque)
{
    struct image im = {0};
    struct err e = {0};
    must(image_new(&im, w, h, 4, &e), &e);
    for (int y = 0; y < h; y++) {
        unsigned char *p = image_row(&im, y);
        for (int x = 0; x < w; x++, p += 4) {
            if ((x / 5 + y) % 3 != 0)
                seed = seed * 1664525u + 1013904223u;
            memcpy(p, &seed, 4);
            p[3] = opaque ? 255 : (unsigned char)((seed >> 9) % 4 * 85);
        }
    }
    return im;
}

/* One colour, with that alpha. */
static inline struct image plain(int w, int h, const unsigned char rgba[4])
{
    struct image im = {0};
    struct err e = {0};
    must(image_new(&im, w, h, 4, &e), &e);
    image_fill(&im, rgba);
    return im;
}

static inline struct layer *put(struct layer_stack *s, struct image im, const char *name, int x,
                                int y)
{
    struct err e = {0};
    struct layer l = layer_from_image(&im);
    layer_set_name(&l, str_from(name));
    l.x = x;
    l.y = y;
    must(layer_stack_add(s, &l, &e), &e);
    return &s->layers[s->n - 1];
}

/* Everything that a format can lose: names in several scripts, offsets to all sides, opacities that
 * are no 255ths, modes, hidden layers, colours under zero alpha. */
static inline void sample_stack(struct layer_stack *s)
{
    layer_stack_init(s, 97, 61);
    put(s, noise(97, 61, 1, true), "background", 0, 0);
    put(s, noise(40, 30, 2, false),
        "Gr\xc3\xbc\xc3\x9f"
        "e & <\"\xe5\xb1\x82\xf0\x9f\x8e\xa8\">",
        11, 7)
        ->opacity = 0.3;
    put(s, noise(33, 1, 3, false), "one row", -20, 60)->blend = BLEND_MULTIPLY;
    struct layer *l = put(s, noise(1, 50, 4, false), "one column", 90, 30);
    l->blend = BLEND_SCREEN;
    l->opacity = 2.0 / 3.0;
    put(s, noise(200, 90, 5, false), "larger than the canvas", -31, -14)->visible = false;
    put(s, noise(9, 9, 6, false), "", 44, 40)->blend = BLEND_EXCLUSION;
}

static inline void assert_same_image(const struct image *a, const struct image *b)
{
    assert_int_equal(a->w, b->w);
    assert_int_equal(a->h, b->h);
    assert_int_equal(a->channels, b->channels);
    for (int y = 0; y < a->h; y++)
        assert_memory_equal(image_row(a, y), image_row(b, y), (size_t)a->w * (size_t)a->channels);
}

static inline void assert_same_layer(const struct layer *a, const struct layer *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->x, b->x);
    assert_int_equal(a->y, b->y);
    assert_true(a->opacity == b->opacity);
    assert_int_equal(a->blend, b->blend);
    assert_int_equal(a->visible, b->visible);
    assert_same_image(&a->image, &b->image);
}

static inline void assert_same_stack(const struct layer_stack *a, const struct layer_stack *b)
{
    assert_int_equal(a->w, b->w);
    assert_int_equal(a->h, b->h);
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++)
        assert_same_layer(&a->layers[i], &b->layers[i]);
}

/* A new folder for one test; the caller removes it with remove_folder. */
static inline void make_folder(char path[64])
{
    (void)snprintf(path, 64, "/tmp/veetance-layers-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline void remove_file(const char *dir, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)unlink(path);
}

static inline void remove_folder(const char *dir)
{
    for (int i = 0; i < 16; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "layer_%d.png", i);
        remove_file(dir, name);
    }
    remove_file(dir, "composite.png");
    remove_file(dir, "layers.json");
    assert_int_equal(rmdir(dir), 0);
}

typedef enum err_code (*stack_writer)(const struct layer_stack *s, const struct image_out *out,
                                      struct err *e);

/* The file's bytes into b, which this initialises; the caller deinits it also after a failure. */
static inline enum err_code encode(stack_writer write, const struct layer_stack *s, struct buf *b,
                                   struct err *e)
{
    const struct image_out out = image_out_buf(b);
    buf_init(b, (size_t)2 << 30);
    return write(s, &out, e);
}

#endif
