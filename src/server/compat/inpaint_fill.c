/* inpaint_fill.c - what is under a mask before work begins.
 *
 * "Around" grows the colours next to the mask into it: the image is halved again and again, each time only what is
 * known counts, and on the way back every level fills the holes of the finer one. The finest level has about a
 * million cells, so that large images cost no more memory. Where nothing is known at all, it is grey. */
#include "base/mem.h"
#include "server/compat/inpaint.h"

#include <math.h>

enum { GREY = 127, NOISE_BLOCK = 8, PARTS = 4, MAX_LEVELS = 24, FINEST_CELLS = 1 << 20 };

/* Colours times what is known of them, and that. */
struct level {
    int w, h;
    float *p; /* [h, w, PARTS] */
};

static float *cell(const struct level *l, int x, int y)
{
    return l->p + ((size_t)y * (size_t)l->w + (size_t)x) * PARTS;
}

static void cap_known(float *v)
{
    float known = v[PARTS - 1];
    for (int k = 0; known > 1 && k < PARTS; k++)
        v[k] /= known;
}

/* The finest level: each cell is the sum of a block of 1 << shift pixels squared. */
static void gather(const struct image *im, const struct image *mask, int shift, struct level *l)
{
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++) {
            const unsigned char *from = image_row(im, y) + 3 * x;
            float *to = cell(l, x >> shift, y >> shift);
            float known = 1 - (float)image_row(mask, y)[x] / 255.0f;
            for (int k = 0; k < 3; k++)
                to[k] += (float)from[k] * known;
            to[3] += known;
        }
    for (size_t i = 0; i < (size_t)l->w * (size_t)l->h; i++)
        cap_known(l->p + i * PARTS);
}

static void halve(const struct level *fine, struct level *coarse)
{
    for (int y = 0; y < coarse->h; y++)
        for (int x = 0; x < coarse->w; x++) {
            float *to = cell(coarse, x, y);
            for (int j = 2 * y; j < 2 * y + 2 && j < fine->h; j++)
                for (int i = 2 * x; i < 2 * x + 2 && i < fine->w; i++)
                    for (int k = 0; k < PARTS; k++)
                        to[k] += cell(fine, i, j)[k];
            cap_known(to);
        }
}

/* The colours of a level at a place of one that is 1 << shift times as fine, between its four nearest cells. */
static void sample(const struct level *l, int x, int y, int shift, float out[PARTS])
{
    float scale = 1.0f / (float)(1 << shift);
    float fx = ((float)x + 0.5f) * scale - 0.5f, fy = ((float)y + 0.5f) * scale - 0.5f;
    int x0 = fx < 0 ? 0 : (int)fx, y0 = fy < 0 ? 0 : (int)fy;
    int x1 = x0 + 1 < l->w ? x0 + 1 : x0, y1 = y0 + 1 < l->h ? y0 + 1 : y0;
    float tx = fx < 0 ? 0 : fx - (float)x0, ty = fy < 0 ? 0 : fy - (float)y0;
    for (int k = 0; k < PARTS; k++) {
        float top = cell(l, x0, y0)[k] * (1 - tx) + cell(l, x1, y0)[k] * tx;
        float bottom = cell(l, x0, y1)[k] * (1 - tx) + cell(l, x1, y1)[k] * tx;
        out[k] = top * (1 - ty) + bottom * ty;
    }
}

static void fill_holes(struct level *fine, const struct level *coarse)
{
    float v[PARTS];
    for (int y = 0; y < fine->h; y++)
        for (int x = 0; x < fine->w; x++) {
            float *to = cell(fine, x, y), missing = 1 - to[PARTS - 1];
            if (missing <= 0)
                continue;
            sample(coarse, x, y, 1, v);
            for (int k = 0; k < PARTS; k++)
                to[k] += missing * v[k];
        }
}

static void put_back(struct image *im, const struct image *mask, int shift, const struct level *l)
{
    float v[PARTS];
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++) {
            unsigned char *to = image_row(im, y) + 3 * x;
            float m = (float)image_row(mask, y)[x] / 255.0f;
            if (m <= 0)
                continue;
            sample(l, x, y, shift, v);
            for (int k = 0; k < 3; k++) {
                float fill = v[3] > 0 ? v[k] / v[3] : GREY;
                to[k] = (unsigned char)fminf(255.0f, (float)to[k] * (1 - m) + fill * m + 0.5f);
            }
        }
}

static int halved(int side)
{
    return (side + 1) / 2;
}

static enum err_code fill_around(struct image *im, const struct image *mask, struct err *e)
{
    struct level levels[MAX_LEVELS];
    int n = 0, shift = 0, w = im->w, h = im->h;
    enum err_code rc = ERR_OK;
    for (; (int64_t)w * h > FINEST_CELLS; shift++) {
        w = halved(w);
        h = halved(h);
    }
    for (bool more = true; rc == ERR_OK && more && n < MAX_LEVELS; n++) {
        float *p = mem_try_array((size_t)w * (size_t)h * PARTS, sizeof *p);
        levels[n] = (struct level){w, h, p};
        if (!p)
            rc = err_set(e, ERR_NOMEM, "no memory to fill what is under a mask");
        more = w > 1 || h > 1;
        w = halved(w);
        h = halved(h);
    }
    if (rc == ERR_OK)
        gather(im, mask, shift, &levels[0]);
    for (int i = 0; rc == ERR_OK && i + 1 < n; i++)
        halve(&levels[i], &levels[i + 1]);
    for (int i = n - 2; rc == ERR_OK && i >= 0; i--)
        fill_holes(&levels[i], &levels[i + 1]);
    if (rc == ERR_OK)
        put_back(im, mask, shift, &levels[0]);
    for (int i = 0; i < n; i++)
        mem_free(levels[i].p);
    return rc;
}

/* splitmix64 */
static uint64_t scrambled(uint64_t v)
{
    v += 0x9e3779b97f4a7c15u;
    v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9u;
    v = (v ^ (v >> 27)) * 0x94d049bb133111ebu;
    return v ^ (v >> 31);
}

static void fill_with(struct image *im, const struct image *mask, enum inpaint_fill fill,
                      uint64_t seed)
{
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++) {
            unsigned char *to = image_row(im, y) + 3 * x;
            int m = image_row(mask, y)[x];
            uint64_t block =
                (uint64_t)(y / NOISE_BLOCK) << 32 | (uint64_t)(unsigned)(x / NOISE_BLOCK);
            uint64_t noise = scrambled(scrambled(seed) ^ block);
            for (int k = 0; k < 3; k++) {
                int v = fill == INPAINT_NOISE ? (int)(noise >> (8 * k) & 255) : GREY;
                to[k] = (unsigned char)((to[k] * (255 - m) + v * m + 127) / 255);
            }
        }
}

enum err_code inpaint_fill(struct image *im, const struct image *mask, enum inpaint_fill fill,
                           uint64_t seed, struct err *e)
{
    if (fill == INPAINT_AROUND)
        return fill_around(im, mask, e);
    if (fill != INPAINT_ORIGINAL)
        fill_with(im, mask, fill, seed);
    return ERR_OK;
}
