/* image_support.h - what the tests of this folder share: fixtures, patterns, and failing memory. */
#ifndef VT_TESTS_IMAGE_SUPPORT_H
#define VT_TESTS_IMAGE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "image/composite.h"
#include "image/image.h"
#include "image/load.h"

#define CASES VT_SOURCE_DIR "/tests/parity/cases/"

static inline void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s: %s", err_code_name(rc), e->text);
}

static inline struct image load_case(const char *path)
{
    char full[512];
    struct err e = {0};
    struct image im;
    (void)snprintf(full, sizeof full, CASES "%s", path);
    must(image_load_file(full, NULL, NULL, &im, &e), &e);
    return im;
}

static inline struct image new_image(int w, int h, int channels)
{
    struct err e = {0};
    struct image im;
    must(image_new(&im, w, h, channels, &e), &e);
    return im;
}

/* The same bytes for the same seed, everywhere. */
static inline void fill_noise(struct image *im, uint32_t seed)
{
    for (int y = 0; y < im->h; y++) {
        for (int x = 0; x < im->w * im->channels; x++) {
            seed = seed * 1664525u + 1013904223u;
            image_row(im, y)[x] = (unsigned char)(seed >> 24);
        }
    }
}

static inline void fill_gradient(struct image *im)
{
    for (int y = 0; y < im->h; y++) {
        for (int x = 0; x < im->w; x++) {
            for (int c = 0; c < im->channels; c++) {
                int v = c == 0 ? x * 255 / im->w : c == 1 ? y * 255 / im->h : (x + y) & 255;
                image_row(im, y)[x * im->channels + c] = (unsigned char)v;
            }
        }
    }
}

static inline struct image noise(int w, int h, int channels, uint32_t seed)
{
    struct image im = new_image(w, h, channels);
    fill_noise(&im, seed);
    return im;
}

static inline int max_difference(const struct image *a, const struct image *b)
{
    struct err e = {0};
    struct image_difference d;
    must(image_compare(a, b, &d, &e), &e);
    return d.max;
}

static inline void assert_same(const struct image *a, const struct image *b)
{
    assert_int_equal(max_difference(a, b), 0);
}

/* Runs f again and again, each time with one more allocation allowed, until it succeeds: each failure
 * must be ERR_NOMEM (a leak is the sanitizer's to find). f frees what it made. */
static inline void assert_survives_without_memory(enum err_code (*f)(void *arg, struct err *e),
                                                  void *arg)
{
    for (long n = 1; n < 10000; n++) {
        struct err e = {0};
        mem_fail_after(n);
        enum err_code rc = f(arg, &e);
        mem_fail_after(0);
        if (rc == ERR_OK) {
            assert_true(n > 1);
            return;
        }
        if (rc != ERR_NOMEM)
            fail_msg("allocation %ld: %s: %s", n, err_code_name(rc), e.text);
        assert_true(e.text[0] != 0);
    }
    fail_msg("never succeeded");
}

#endif
