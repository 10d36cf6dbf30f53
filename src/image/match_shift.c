/* match_shift.c - a shift under a pixel measured and undone; see match.h.
 *
 * Gradient least squares (Lucas and Kanade), a few rounds of it: the image's lightness is moved by the shift so far,
 * and what is left between it and the one before is explained by its gradients, a gain and an offset. Both are
 * freed of a tint and smoothed first, so that a gradient holds for the whole way to the next pixel and noise weighs little. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/match.h"

enum {
    ROUNDS = 12,
    MARGIN = 4, /* what repeats at the edges is no evidence */
    LEAST_PIXELS = 256,
    BINS = 1024, /* of a quarter of a level */
    BINS_A_LEVEL = 4,
};

#define GRADIENT_LEAST 0.05 /* mean square along the flattest direction, in levels a pixel */
#define STEP_DONE 1e-3

struct plane {
    int w, h;
    float *p;
};

struct search {
    const struct image_match *m;
    struct plane image, before, moved;
    struct image_shift shift;
    struct shift_fit fit;
    struct shift_sums sums;
};

/* ---- planes ------------------------------------------------------------------------------------------- */

/* [1 2 1] / 4 along a line, in place. */
static void smooth(float *p, size_t step, int n)
{
    float left = p[0];
    for (int i = 0; i < n; i++) {
        float here = p[(size_t)i * step];
        float right = i + 1 < n ? p[(size_t)(i + 1) * step] : here;
        p[(size_t)i * step] = 0.25f * left + 0.5f * here + 0.25f * right;
        left = here;
    }
}

/* Without its tint: one that differs between channels looks like another picture. */
static void lightness(const struct image *im, const struct image_tint *tint, struct plane *out)
{
    static const double of[3] = {0.299, 0.587, 0.114};
    float weight[3], black = 0;
    for (int c = 0; c < 3; c++) {
        weight[c] = (float)(of[c] * tint->gain[c]);
        black += (float)(of[c] * tint->offset[c]);
    }
    for (int y = 0; y < im->h; y++) {
        const unsigned char *p = image_row(im, y);
        float *d = out->p + (size_t)y * (size_t)im->w;
        for (int x = 0; x < im->w; x++, p += 3)
            d[x] =
                black + weight[0] * (float)p[0] + weight[1] * (float)p[1] + weight[2] * (float)p[2];
        smooth(d, 1, im->w);
    }
    for (int x = 0; x < im->w; x++)
        smooth(out->p + x, (size_t)im->w, im->h);
}

/* Rows into out, then its columns in place through a line. */
static void move(const struct plane *src, struct image_shift shift, float *line, struct plane *out)
{
    struct shift_taps along = shift_taps_of(shift.dx), down = shift_taps_of(shift.dy);
    size_t w = (size_t)src->w;
    for (int y = 0; y < src->h; y++)
        shift_kern_line(src->p + (size_t)y * w, 1, src->w, &along, out->p + (size_t)y * w);
    for (size_t x = 0; x < w; x++) {
        shift_kern_line(out->p + x, w, src->h, &down, line);
        for (int y = 0; y < src->h; y++)
            out->p[(size_t)y * w + x] = line[y];
    }
}

/* ---- the search ----------------------------------------------------------------------------------------- */

static const float *row_of(const struct plane *p, int y)
{
    return p->p + (size_t)y * (size_t)p->w;
}

static const float *painted_row(const struct search *s, int y)
{
    return s->m->painted ? s->m->painted + (size_t)y * (size_t)s->image.w : NULL;
}

/* Residuals beyond 4.7 deviations of the rest have no say. */
static void choose_cut(struct search *s)
{
    uint64_t bins[BINS] = {0}, n = 0, seen = 0;
    int at = 0;
    for (int y = MARGIN; y < s->image.h - MARGIN; y++) {
        const float *a = row_of(&s->moved, y), *b = row_of(&s->before, y);
        const float *painted = painted_row(s, y);
        for (int x = MARGIN; x < s->image.w - MARGIN; x++) {
            if (painted && painted[x] > 0)
                continue;
            double r = fabs(s->fit.gain * (double)a[x] + s->fit.offset - (double)b[x]);
            bins[r * BINS_A_LEVEL < BINS - 1 ? (int)(r * BINS_A_LEVEL) : BINS - 1]++;
            n++;
        }
    }
    while (at < BINS - 1 && (seen += bins[at]) * 2 < n)
        at++;
    double deviation = 1.4826 * (at + 0.5) / BINS_A_LEVEL;
    s->fit.cut = 4.685 * (deviation < 1 ? 1 : deviation);
}

static void add_up(struct search *s)
{
    memset(&s->sums, 0, sizeof s->sums);
    for (int y = MARGIN; y < s->image.h - MARGIN; y++) {
        const float *painted = painted_row(s, y);
        const float *const rows[3] = {row_of(&s->moved, y - 1) + MARGIN - 1,
                                      row_of(&s->moved, y) + MARGIN - 1,
                                      row_of(&s->moved, y + 1) + MARGIN - 1};
        shift_kern_sums(rows, row_of(&s->before, y) + MARGIN - 1,
                        painted ? painted + MARGIN - 1 : NULL, s->image.w - 2 * MARGIN + 2, &s->fit,
                        &s->sums);
    }
}

/* The mean square gradient along the direction where it is least. */
static double least_gradient(const struct shift_sums *s)
{
    double xx = s->a[0][0] / s->used, yy = s->a[1][1] / s->used, xy = s->a[0][1] / s->used;
    double half = (xx + yy) / 2, apart = sqrt((xx - yy) * (xx - yy) / 4 + xy * xy);
    return half - apart;
}

/* Gauss with pivots. False: the equations do not tell. */
static bool solve(const struct shift_sums *s, double x[SHIFT_UNKNOWNS])
{
    double a[SHIFT_UNKNOWNS][SHIFT_UNKNOWNS + 1];
    for (int i = 0; i < SHIFT_UNKNOWNS; i++) {
        memcpy(a[i], s->a[i], sizeof s->a[i]);
        a[i][SHIFT_UNKNOWNS] = s->b[i];
    }
    for (int i = 0; i < SHIFT_UNKNOWNS; i++) {
        int best = i;
        for (int k = i + 1; k < SHIFT_UNKNOWNS; k++)
            best = fabs(a[k][i]) > fabs(a[best][i]) ? k : best;
        if (fabs(a[best][i]) < 1e-9 * s->used)
            return false;
        for (int j = 0; j <= SHIFT_UNKNOWNS; j++) {
            double t = a[i][j];
            a[i][j] = a[best][j];
            a[best][j] = t;
        }
        for (int k = 0; k < SHIFT_UNKNOWNS; k++) {
            double f = k == i ? 0 : a[k][i] / a[i][i];
            for (int j = i; j <= SHIFT_UNKNOWNS; j++)
                a[k][j] -= f * a[i][j];
        }
    }
    for (int i = 0; i < SHIFT_UNKNOWNS; i++)
        x[i] = a[i][SHIFT_UNKNOWNS] / a[i][i];
    return true;
}

/* Whether the rounds came to rest at a shift that can be one. */
static bool search(struct search *s, float *line)
{
    double step[SHIFT_UNKNOWNS];
    for (int i = 0; i < ROUNDS; i++) {
        move(&s->image, s->shift, line, &s->moved);
        choose_cut(s);
        add_up(s);
        if (s->sums.used < LEAST_PIXELS || least_gradient(&s->sums) < GRADIENT_LEAST ||
            !solve(&s->sums, step))
            return false;
        s->shift.dx += step[0];
        s->shift.dy += step[1];
        s->fit.gain += step[2];
        s->fit.offset += step[3];
        if (!(fabs(s->shift.dx) <= 2 * IMAGE_SHIFT_MOST) ||
            !(fabs(s->shift.dy) <= 2 * IMAGE_SHIFT_MOST))
            return false;
        if (fabs(step[0]) < STEP_DONE && fabs(step[1]) < STEP_DONE)
            break;
    }
    return fabs(s->shift.dx) <= IMAGE_SHIFT_MOST && fabs(s->shift.dy) <= IMAGE_SHIFT_MOST;
}

enum err_code image_shift_find(const struct image_match *m, struct image_shift *out, bool *found,
                               struct err *e)
{
    const int w = m->image->w, h = m->image->h;
    const size_t n = (size_t)w * (size_t)h;
    struct search s = {.m = m, .fit = {.gain = 1}};
    const struct image_tint none = {.gain = {1, 1, 1}};
    struct image_tint tint;
    float *planes, *line;
    enum err_code rc;
    bool any;
    *out = (struct image_shift){0};
    *found = false;
    if (w <= 2 * MARGIN || h <= 2 * MARGIN)
        return ERR_OK;
    planes = mem_try_array(3 * n, sizeof *planes);
    line = mem_try_array((size_t)h, sizeof *line);
    if (!planes || !line) {
        mem_free(planes);
        mem_free(line);
        return err_set(e, ERR_NOMEM, "no memory to register an image");
    }
    s.image = (struct plane){w, h, planes};
    s.before = (struct plane){w, h, planes + n};
    s.moved = (struct plane){w, h, planes + 2 * n};
    rc = image_tint_find(m, &tint, &any, e);
    if (rc == ERR_OK) {
        lightness(m->image, &tint, &s.image);
        lightness(m->before, &none, &s.before);
        *found = search(&s, line);
    }
    if (*found)
        *out = s.shift;
    mem_free(planes);
    mem_free(line);
    return rc;
}

/* ---- undoing it --------------------------------------------------------------------------------------- */

enum err_code image_shift_undo(struct image *im, struct image_shift shift, struct err *e)
{
    const size_t n = (size_t)im->w * (size_t)im->h;
    float *planes = mem_try_array(2 * n, sizeof *planes);
    float *line = mem_try_array((size_t)im->h, sizeof *line);
    struct plane src = {im->w, im->h, planes}, moved = {im->w, im->h, planes ? planes + n : NULL};
    enum err_code rc =
        planes && line ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to move an image");
    for (int c = 0; rc == ERR_OK && c < 3; c++) {
        for (size_t i = 0; i < n; i++)
            src.p[i] =
                (float)image_row(im, (int)(i / (size_t)im->w))[3 * (i % (size_t)im->w) + (size_t)c];
        move(&src, shift, line, &moved);
        for (size_t i = 0; i < n; i++) {
            float v = moved.p[i];
            image_row(im, (int)(i / (size_t)im->w))[3 * (i % (size_t)im->w) + (size_t)c] =
                (unsigned char)lrintf(v < 0.0f     ? 0.0f
                                      : v > 255.0f ? 255.0f
                                                   : v);
        }
    }
    mem_free(planes);
    mem_free(line);
    return rc;
}
