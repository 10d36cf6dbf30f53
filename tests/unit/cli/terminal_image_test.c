/* Images as terminals take them: what is drawn is read back by small readers of both forms. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/terminal_image.h"
#include "http/base64.h"

enum { MAX_BYTES = 16 << 20, COLOURS = 256 };

/* Odd sizes, and colours that differ in each corner. */
static struct image pattern(int w, int h)
{
    struct image im = {0};
    struct err e = {0};
    assert_int_equal(image_new(&im, w, h, 3, &e), ERR_OK);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            unsigned char *p = image_row(&im, y) + 3 * (size_t)x;
            p[0] = (unsigned char)(w > 1 ? 255 * x / (w - 1) : 255);
            p[1] = (unsigned char)(h > 1 ? 255 * y / (h - 1) : 0);
            p[2] = (unsigned char)((x + y) % 2 ? 255 : 0);
        }
    return im;
}

/* ---- kitty ------------------------------------------------------------------------------------------- */

static void kitty_has_every_pixel(void **state)
{
    (void)state;
    struct image im = pattern(61, 47);
    struct buf out, text, rgb;
    buf_init(&out, MAX_BYTES);
    buf_init(&text, MAX_BYTES);
    buf_init(&rgb, MAX_BYTES);
    terminal_kitty(&im, &out);
    assert_false(buf_failed(&out));
    assert_memory_equal(out.p, "\033_Ga=T,f=24,s=61,v=47,", 22);
    int commands = 0;
    bool more = true;
    for (const char *p = out.p; *p; commands++) {
        const char *data = strchr(p, ';'), *end = strstr(p, "\033\\");
        assert_true(more);
        assert_true(data && end && end > data && end - data <= 4097);
        more = memcmp(data - 3, "m=1", 3) == 0;
        assert_true(more || memcmp(data - 3, "m=0", 3) == 0);
        buf_add(&text, data + 1, (size_t)(end - data - 1));
        p = end + 2;
    }
    assert_false(more);
    assert_true(commands > 1);
    assert_true(base64_decode(buf_str(&text), &rgb));
    assert_int_equal(rgb.n, 61 * 47 * 3);
    for (int y = 0; y < im.h; y++)
        assert_memory_equal(rgb.p + (size_t)y * 61 * 3, image_row(&im, y), 61 * 3);
    buf_deinit(&rgb);
    buf_deinit(&text);
    buf_deinit(&out);
    image_free(&im);
}

/* ---- sixel ------------------------------------------------------------------------------------------- */

struct screen {
    int w, h;
    unsigned char palette[COLOURS][3]; /* percent */
    short *pixels;                     /* index into it; -1: not drawn */
};

static void put_sixel(struct screen *s, int x, int top, int bits, int colour)
{
    for (int y = 0; y < 6; y++)
        if (bits >> y & 1) {
            assert_in_range(x, 0, s->w - 1);
            assert_in_range(top + y, 0, s->h - 1);
            s->pixels[(top + y) * s->w + x] = (short)colour;
        }
}

static long number(const char **p)
{
    char *end;
    long n = strtol(*p, &end, 10);
    *p = end;
    return n;
}

/* "#n" chooses a colour, "#n;2;r;g;b" defines it. */
static int colour_of(struct screen *s, const char **p)
{
    ++*p;
    long c = number(p);
    assert_in_range(c, 0, COLOURS - 1);
    if (**p != ';')
        return (int)c;
    assert_memory_equal(*p, ";2", 2);
    *p += 2;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(**p, ';');
        ++*p;
        s->palette[c][i] = (unsigned char)number(p);
    }
    return (int)c;
}

static void read_sixels(struct screen *s, const char *p)
{
    int x = 0, top = 0, colour = 0;
    while (*p != '\033') {
        long run = 1;
        if (*p == '#') {
            colour = colour_of(s, &p);
            continue;
        }
        if (*p == '$' || *p == '-') {
            top += *p == '-' ? 6 : 0;
            x = 0;
            p++;
            continue;
        }
        if (*p == '!') {
            p++;
            run = number(&p);
        }
        assert_in_range(*p, 63, 126);
        for (long i = 0; i < run; i++)
            put_sixel(s, x++, top, *p - 63, colour);
        p++;
    }
}

static struct screen drawn(const struct image *im)
{
    struct screen s = {.w = im->w, .h = im->h};
    struct buf out;
    char head[64];
    buf_init(&out, MAX_BYTES);
    terminal_sixel(im, &out);
    assert_false(buf_failed(&out));
    int n = snprintf(head, sizeof head, "\0337\033P0;1;0q\"1;1;%d;%d", im->w, im->h);
    assert_memory_equal(out.p, head, (size_t)n);
    assert_string_equal(out.p + out.n - 4, "\033\\\0338");
    s.pixels = calloc((size_t)im->w * (size_t)im->h, sizeof *s.pixels);
    for (int i = 0; i < im->w * im->h; i++)
        s.pixels[i] = -1;
    read_sixels(&s, out.p + n);
    buf_deinit(&out);
    return s;
}

/* A level is 51 apart; a dithered sample is at one of the two beside it. */
static void expect_near(const struct screen *s, const struct image *im)
{
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++) {
            const unsigned char *p = image_row(im, y) + 3 * (size_t)x;
            int c = s->pixels[y * s->w + x];
            assert_in_range(c, 0, COLOURS - 1);
            for (int i = 0; i < 3; i++)
                assert_in_range(abs(s->palette[c][i] * 255 / 100 - p[i]), 0, 51);
        }
}

static void sixels_have_every_pixel(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {7, 5}, {64, 6}, {61, 47}, {3, 13}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct image im = pattern(sizes[i][0], sizes[i][1]);
        struct screen s = drawn(&im);
        expect_near(&s, &im);
        free(s.pixels);
        image_free(&im);
    }
}

static void sixels_of_a_flat_colour_have_its_mean(void **state)
{
    (void)state;
    struct image im = {0};
    struct err e = {0};
    double sum = 0;
    assert_int_equal(image_new(&im, 64, 64, 3, &e), ERR_OK);
    memset(im.p, 130, im.stride * 64);
    struct screen s = drawn(&im);
    for (int i = 0; i < 64 * 64; i++)
        sum += s.palette[s.pixels[i]][1] * 2.55;
    assert_true(sum / (64 * 64) > 124 && sum / (64 * 64) < 133);
    free(s.pixels);
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kitty_has_every_pixel),
        cmocka_unit_test(sixels_have_every_pixel),
        cmocka_unit_test(sixels_of_a_flat_colour_have_its_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
