/* mask_kern.c - exact Euclidean distances, in two passes (Meijster, Roerdink and Hesselink: "A general algorithm for
 * computing distance transforms in linear time"): down and up every column, then for every row the lower envelope
 * of the parabolas that its columns stand for. All in whole numbers.
 *
 * Only distances up to a reach are wanted, so column distances are capped right behind it and fit 16 bits. */
#include "image/mask.h"

void mask_kern_columns(const struct image *mask, bool of_kept, int reach, uint16_t *g)
{
    const size_t w = (size_t)mask->w;
    const unsigned far = (unsigned)reach + 1;
    for (int y = 0; y < mask->h; y++) {
        const unsigned char *p = image_row(mask, y);
        uint16_t *row = g + (size_t)y * w;
        const uint16_t *last = y > 0 ? row - w : NULL;
        for (size_t x = 0; x < w; x++) {
            unsigned above = last ? last[x] + 1u : far;
            bool found = (p[x] >= MASK_PAINTED) != of_kept;
            row[x] = (uint16_t)(found ? 0 : above < far ? above : far);
        }
    }
    for (int y = mask->h - 2; y >= 0; y--) {
        uint16_t *row = g + (size_t)y * w;
        for (size_t x = 0; x < w; x++)
            if (row[x] > row[x + w] + 1u)
                row[x] = (uint16_t)(row[x + w] + 1u);
    }
}

/* What column i is at x. */
static int64_t at(const uint16_t *g, int x, int i)
{
    return (int64_t)(x - i) * (x - i) + (int64_t)g[i] * g[i];
}

/* The first x where column u is nearer than column i before it. */
static int64_t from(const uint16_t *g, int i, int u)
{
    int64_t square = (int64_t)u * u - (int64_t)i * i;
    return 1 + (square + (int64_t)g[u] * g[u] - (int64_t)g[i] * g[i]) / (2 * (int64_t)(u - i));
}

void mask_kern_row(const uint16_t *g, int w, int *s, int *t, int64_t *out)
{
    int q = 0;
    s[0] = t[0] = 0;
    for (int u = 1; u < w; u++) {
        while (q >= 0 && at(g, t[q], s[q]) > at(g, t[q], u))
            q--;
        if (q < 0) {
            q = 0;
            s[0] = u;
        } else {
            int64_t x = from(g, s[q], u);
            if (x < w) {
                q++;
                s[q] = u;
                t[q] = (int)x;
            }
        }
    }
    for (int u = w - 1; u >= 0; u--) {
        out[u] = at(g, u, s[q]);
        if (u == t[q])
            q--;
    }
}
