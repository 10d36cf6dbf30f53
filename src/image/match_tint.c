/* match_tint.c - a tint measured and undone; see match.h.
 *
 * Per channel a line through pairs (level in the image, level before). There are at most 256 x 256 different pairs, so
 * they are counted once, and every round of the fit goes over the counts. It starts at the median of the
 * differences: a gain that is off is then found from there. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/match.h"

enum {
    LEVELS = 256,
    ROUNDS = 20,
    LEAST_PIXELS = 64,
    RESIDUAL_BINS = 2048, /* of an eighth of a level */
    BINS_A_LEVEL = 8,
};

#define GAIN_LEAST 0.5
#define GAIN_MOST 2.0
#define SPREAD_LEAST 4.0 /* variance of levels, below which a gain cannot be told from an offset */

struct line {
    double gain, offset;
};

/* pairs[x * LEVELS + y]: pixels with level x in the image and y before. Their number. */
static uint64_t count_pairs(const struct image_match *m, int channel, uint32_t *pairs)
{
    uint64_t n = 0;
    memset(pairs, 0, (size_t)LEVELS * LEVELS * sizeof *pairs);
    for (int y = 0; y < m->image->h; y++) {
        const unsigned char *a = image_row(m->image, y) + channel;
        const unsigned char *b = image_row(m->before, y) + channel;
        const float *painted = m->painted ? m->painted + (size_t)y * (size_t)m->image->w : NULL;
        for (int x = 0; x < m->image->w; x++, a += 3, b += 3) {
            if (painted && painted[x] > 0)
                continue;
            pairs[*a * LEVELS + *b]++;
            n++;
        }
    }
    return n;
}

static double residual(const struct line *l, int x, int y)
{
    return y - (l->gain * x + l->offset);
}

/* Of absolute residuals, to an eighth of a level. */
static double median_residual(const uint32_t *pairs, const struct line *l, uint64_t n)
{
    uint64_t bins[RESIDUAL_BINS] = {0}, seen = 0;
    for (int i = 0; i < LEVELS * LEVELS; i++) {
        if (pairs[i] == 0)
            continue;
        double r = fabs(residual(l, i / LEVELS, i % LEVELS)) * BINS_A_LEVEL;
        bins[r < RESIDUAL_BINS - 1 ? (int)r : RESIDUAL_BINS - 1] += pairs[i];
    }
    for (int i = 0; i < RESIDUAL_BINS; i++)
        if ((seen += bins[i]) * 2 >= n)
            return (i + 0.5) / BINS_A_LEVEL;
    return LEVELS;
}

static double median_difference(const uint32_t *pairs, uint64_t n)
{
    uint64_t bins[2 * LEVELS] = {0}, seen = 0;
    for (int i = 0; i < LEVELS * LEVELS; i++)
        bins[i % LEVELS - i / LEVELS + LEVELS] += pairs[i];
    for (int i = 0; i < 2 * LEVELS; i++)
        if ((seen += bins[i]) * 2 >= n)
            return i - LEVELS;
    return 0;
}

/* One round: least squares, weighted by how well each pair agrees with the line so far. */
static struct line refit(const uint32_t *pairs, const struct line *l, double cut)
{
    double sw = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int i = 0; i < LEVELS * LEVELS; i++) {
        int x = i / LEVELS, y = i % LEVELS;
        double r = residual(l, x, y) / cut;
        if (pairs[i] == 0 || fabs(r) >= 1)
            continue;
        double w = pairs[i] * (1 - r * r) * (1 - r * r);
        sw += w;
        sx += w * x;
        sy += w * y;
        sxx += w * x * x;
        sxy += w * x * y;
    }
    if (sw <= 0)
        return *l;
    double mx = sx / sw, my = sy / sw, spread = sxx / sw - mx * mx;
    double gain = spread < SPREAD_LEAST ? 1 : (sxy / sw - mx * my) / spread;
    gain = gain < GAIN_LEAST ? GAIN_LEAST : gain > GAIN_MOST ? GAIN_MOST : gain;
    return (struct line){gain, my - gain * mx};
}

static struct line fit_line(const uint32_t *pairs, uint64_t n)
{
    struct line l = {1, median_difference(pairs, n)};
    for (int i = 0; i < ROUNDS; i++) {
        double deviation = 1.4826 * median_residual(pairs, &l, n);
        struct line next = refit(pairs, &l, 4.685 * (deviation < 1 ? 1 : deviation));
        bool is_done = fabs(next.gain - l.gain) < 1e-5 && fabs(next.offset - l.offset) < 1e-3;
        l = next;
        if (is_done)
            break;
    }
    return l;
}

enum err_code image_tint_find(const struct image_match *m, struct image_tint *out, bool *found,
                              struct err *e)
{
    *out = (struct image_tint){.gain = {1, 1, 1}};
    *found = false;
    uint32_t *pairs = mem_try_array((size_t)LEVELS * LEVELS, sizeof *pairs);
    if (!pairs)
        return err_set(e, ERR_NOMEM, "no memory to match colours");
    for (int c = 0; c < 3; c++) {
        uint64_t n = count_pairs(m, c, pairs);
        *found = n >= LEAST_PIXELS;
        if (!*found)
            break;
        struct line l = fit_line(pairs, n);
        out->gain[c] = l.gain;
        out->offset[c] = l.offset;
    }
    mem_free(pairs);
    return ERR_OK;
}

void image_tint_undo(struct image *im, const struct image_tint *tint)
{
    unsigned char to[3][LEVELS];
    for (int i = 0; i < 3 * LEVELS; i++) {
        int c = i / LEVELS, level = i % LEVELS;
        double v = tint->gain[c] * level + tint->offset[c];
        to[c][level] = (unsigned char)lrint(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    for (int y = 0; y < im->h; y++) {
        unsigned char *p = image_row(im, y);
        for (int i = 0; i < 3 * im->w; i++)
            p[i] = to[i % 3][p[i]];
    }
}
