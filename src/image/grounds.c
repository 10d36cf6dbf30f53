#include "image/grounds.h"

#include <math.h>

#include "base/mem.h"

enum { LEVELS = 256, LEAST_APART = 64, SHARE_OF_GROUND = 200 };

#define NOISE_WIDTHS 2.0
#define NOISE_MOST 0.1

static int grey(const unsigned char *p)
{
    return (299 * p[0] + 587 * p[1] + 114 * p[2] + 500) / 1000;
}

/* How much lighter a pixel is on the light ground: 0 where it is opaque. */
static int apart(const unsigned char *light, const unsigned char *dark)
{
    int d = grey(light) - grey(dark);
    return d < 0 ? 0 : d;
}

/* The level that so many of the counted ones are below. */
static int level_at(const uint64_t bins[LEVELS], uint64_t below)
{
    uint64_t seen = 0;
    for (int i = 0; i < LEVELS; i++)
        if ((seen += bins[i]) > below)
            return i;
    return LEVELS - 1;
}

static uint64_t total(const uint64_t bins[LEVELS])
{
    uint64_t n = 0;
    for (int i = 0; i < LEVELS; i++)
        n += bins[i];
    return n;
}

struct counts {
    uint64_t apart[LEVELS], light[3][LEVELS], dark[3][LEVELS];
};

/* Of the pixels that differ by least or more. */
static void count(const struct image *light, const struct image *dark, int least, struct counts *n)
{
    *n = (struct counts){0};
    for (int y = 0; y < light->h; y++) {
        const unsigned char *a = image_row(light, y), *b = image_row(dark, y);
        for (int x = 0; x < light->w; x++, a += 3, b += 3) {
            int d = apart(a, b);
            if (d < least)
                continue;
            n->apart[d]++;
            for (int c = 0; c < 3; c++) {
                n->light[c][a[c]]++;
                n->dark[c][b[c]]++;
            }
        }
    }
}

/* How far four fifths of the differences are from their median, at most; the rest are soft edges, maybe. */
static double deviation(const uint64_t bins[LEVELS], int middle)
{
    uint64_t off[LEVELS] = {0};
    for (int i = 0; i < LEVELS; i++)
        off[i > middle ? i - middle : middle - i] += bins[i];
    return level_at(off, total(off) * 4 / 5);
}

enum err_code image_grounds_find(const struct image *light, const struct image *dark,
                                 struct image_grounds *out, struct err *e)
{
    struct counts *n = mem_try_alloc(sizeof *n);
    if (!n)
        return err_set(e, ERR_NOMEM, "no memory for two grounds");
    count(light, dark, 0, n);
    uint64_t all = total(n->apart);
    int most = level_at(n->apart, all - 1 - all / SHARE_OF_GROUND);
    if (most < LEAST_APART) {
        mem_free(n);
        return err_set(e, ERR_ARG,
                       "the subject cannot be told from its ground: on a light and on a dark one "
                       "the image is nearly the same (at most %d levels apart, %d are needed)",
                       most, LEAST_APART);
    }
    count(light, dark, most - most / 8, n);
    uint64_t ground = total(n->apart);
    for (int c = 0; c < 3; c++) {
        out->light[c] = level_at(n->light[c], ground / 2);
        out->dark[c] = level_at(n->dark[c], ground / 2);
    }
    int middle = level_at(n->apart, ground / 2);
    double noise = NOISE_WIDTHS * deviation(n->apart, middle) / middle;
    out->noise = noise > NOISE_MOST ? NOISE_MOST : noise;
    mem_free(n);
    return ERR_OK;
}

enum err_code image_grounds_solve(const struct image *light, const struct image *dark,
                                  const struct image_grounds *grounds, struct image *out,
                                  struct err *e)
{
    TRY(image_new(out, light->w, light->h, 4, e));
    for (int y = 0; y < light->h; y++)
        grounds_kern_row(image_row(light, y), image_row(dark, y), light->w, grounds,
                         image_row(out, y));
    return ERR_OK;
}
