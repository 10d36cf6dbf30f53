#include "cli/terminal_image.h"

#include <string.h>

#include "base/str.h"
#include "http/base64.h"

/* ---- kitty ------------------------------------------------------------------------------------------- */

enum { KITTY_CHUNK = 4096 }; /* characters of base64 a command may carry */

void terminal_kitty(const struct image *im, struct buf *out)
{
    struct buf rgb, text;
    buf_init(&rgb, (size_t)im->w * (size_t)im->h * 3);
    buf_init(&text, (size_t)im->w * (size_t)im->h * 4 + 8);
    for (int y = 0; y < im->h; y++)
        buf_add(&rgb, image_row(im, y), (size_t)im->w * 3);
    base64_add(&text, buf_str(&rgb));
    if (buf_failed(&rgb) || buf_failed(&text))
        out->failed = true;
    for (size_t at = 0; at < text.n; at += KITTY_CHUNK) {
        size_t n = text.n - at < KITTY_CHUNK ? text.n - at : KITTY_CHUNK;
        /* One image with one place (i, p), so that it takes the place of the last; q=2: the terminal does not answer;
         * C=1: the cursor stays. */
        if (at == 0)
            buf_printf(out, "\033_Ga=T,f=24,s=%d,v=%d,i=1,p=1,q=2,C=1,m=%d;", im->w, im->h,
                       n < text.n);
        else
            buf_printf(out, "\033_Gm=%d;", at + n < text.n);
        buf_add(out, text.p + at, n);
        buf_add_z(out, "\033\\");
    }
    buf_deinit(&text);
    buf_deinit(&rgb);
}

/* ---- sixel ------------------------------------------------------------------------------------------- */

enum { SIXEL_LEVELS = 6, SIXEL_COLOURS = SIXEL_LEVELS * SIXEL_LEVELS * SIXEL_LEVELS, BAND = 6 };

/* A level of 0..5 for a value of 0..255. What lies between two levels becomes a pattern of both (ordered dither, Bayer
 * 1973), so that a soft gradient has no steps. */
static int level(int value, int x, int y)
{
    static const unsigned char bayer[4][4] = {
        {0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}};
    int scaled = value * (SIXEL_LEVELS - 1) * 16 / 255; /* in sixteenths of a level */
    return (scaled + bayer[y % 4][x % 4]) / 16;
}

static int colour_at(const struct image *im, int x, int y)
{
    const unsigned char *p = image_row(im, y) + 3 * (size_t)x;
    int r = level(p[0], x, y), g = level(p[1], x, y), b = level(p[2], x, y);
    return (r * SIXEL_LEVELS + g) * SIXEL_LEVELS + b;
}

static void put_palette(struct buf *out)
{
    for (int c = 0; c < SIXEL_COLOURS; c++) {
        int r = c / (SIXEL_LEVELS * SIXEL_LEVELS), g = c / SIXEL_LEVELS % SIXEL_LEVELS;
        buf_printf(out, "#%d;2;%d;%d;%d", c, r * 20, g * 20, c % SIXEL_LEVELS * 20);
    }
}

static void put_run(struct buf *out, unsigned sixel, int n)
{
    if (n > 3) {
        buf_printf(out, "!%d%c", n, (char)(63 + sixel));
        return;
    }
    for (int i = 0; i < n; i++)
        buf_add_byte(out, 63 + sixel);
}

/* One colour of a band: which of the six rows have it, column by column. */
static void put_colour(const struct image *im, const unsigned char *band, int rows, int colour,
                       struct buf *out)
{
    unsigned last = 0;
    int run = 0;
    buf_printf(out, "#%d", colour);
    for (int x = 0; x < im->w; x++) {
        unsigned sixel = 0;
        for (int y = 0; y < rows; y++)
            sixel |= (unsigned)(band[(size_t)y * (size_t)im->w + (size_t)x] == colour) << y;
        if (sixel != last) {
            put_run(out, last, run);
            run = 0;
        }
        last = sixel;
        run++;
    }
    if (last)
        put_run(out, last, run);
    buf_add_byte(out, '$');
}

void terminal_sixel(const struct image *im, struct buf *out)
{
    struct buf band;
    buf_init(&band, (size_t)im->w * BAND);
    unsigned char *colours = buf_grow(&band, (size_t)im->w * BAND);
    if (!colours) {
        out->failed = true;
        return;
    }
    buf_printf(out, "\0337\033P0;1;0q\"1;1;%d;%d", im->w, im->h);
    put_palette(out);
    for (int top = 0; top < im->h; top += BAND) {
        int rows = im->h - top < BAND ? im->h - top : BAND;
        bool used[SIXEL_COLOURS] = {false};
        for (int y = 0; y < rows; y++)
            for (int x = 0; x < im->w; x++) {
                int c = colour_at(im, x, top + y);
                colours[(size_t)y * (size_t)im->w + (size_t)x] = (unsigned char)c;
                used[c] = true;
            }
        for (int c = 0; c < SIXEL_COLOURS; c++)
            if (used[c])
                put_colour(im, colours, rows, c, out);
        buf_add_byte(out, '-');
    }
    buf_add_z(out, "\033\\\0338");
    buf_deinit(&band);
}
