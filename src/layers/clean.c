/* clean.c - the clean-up of a stack, in place; see clean.h.
 *
 * Empty layers are dropped before duplicates are merged: an empty layer equals any other empty one. Differences
 * are measured over the pixels that either layer covers, so layers of any size and place can be compared without
 * padding them. Cleaning alpha is the only step that changes what is seen.
 */
#include "layers/clean.h"

#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- empty layers ---------------------------------------------------------------------------- */

int layer_alpha_max(const struct layer *l)
{
    int most = 0;
    for (int y = 0; y < l->image.h && most < 255; y++) {
        const unsigned char *p = image_row(&l->image, y) + 3;
        for (int x = 0; x < l->image.w; x++, p += 4)
            most = *p > most ? *p : most;
    }
    return most;
}

size_t layers_drop_empty(struct layer_stack *s, int min_alpha)
{
    size_t dropped = 0;
    for (size_t i = s->n; i-- > 0 && s->n > 1;) {
        if (layer_alpha_max(&s->layers[i]) < min_alpha) {
            layer_stack_remove(s, i);
            dropped++;
        }
    }
    return dropped;
}

/* ---- duplicates and merging ------------------------------------------------------------------ */

/* The pixel at canvas place x, y; transparent outside. */
static const unsigned char *pixel_at(const struct layer *l, int x, int y)
{
    static const unsigned char nothing[4];
    x -= l->x;
    y -= l->y;
    if (x < 0 || y < 0 || x >= l->image.w || y >= l->image.h)
        return nothing;
    return image_row(&l->image, y) + 4 * (size_t)x;
}

static int premultiplied_difference(const unsigned char *a, const unsigned char *b)
{
    int sum = abs(a[3] - b[3]);
    for (int c = 0; c < 3; c++)
        sum += abs(a[c] * a[3] - b[c] * b[3]) / 255;
    return sum;
}

/* Pixels of `a` against b; where both cover, only when `both`, so that two calls count all once. */
static void sum_difference(const struct layer *a, const struct layer *b, bool both, double *sum,
                           double *count)
{
    for (int y = 0; y < a->image.h; y++) {
        const unsigned char *p = image_row(&a->image, y);
        for (int x = 0; x < a->image.w; x++, p += 4) {
            const unsigned char *q = pixel_at(b, a->x + x, a->y + y);
            if (p[3] == 0 || (q[3] != 0 && !both))
                continue;
            *sum += premultiplied_difference(p, q) / 4.0;
            *count += 1;
        }
    }
}

double layers_difference(const struct layer *a, const struct layer *b)
{
    double sum = 0, count = 0;
    if (a->blend != b->blend || a->visible != b->visible || a->opacity != b->opacity)
        return 255;
    sum_difference(a, b, true, &sum, &count);
    sum_difference(b, a, false, &sum, &count);
    return count > 0 ? sum / count : 0;
}

enum err_code layers_merge_duplicates(struct layer_stack *s, double levels, size_t *merged,
                                      struct err *e)
{
    size_t n = 0;
    for (size_t i = s->n; i-- > 1;) {
        const struct layer *lower = &s->layers[i - 1], *upper = &s->layers[i];
        if (!upper->visible || upper->blend != BLEND_NORMAL ||
            layers_difference(lower, upper) > levels)
            continue;
        enum err_code rc = layers_merge(s, i - 1, i, e);
        if (rc != ERR_OK)
            return rc;
        n++;
    }
    if (merged)
        *merged = n;
    return ERR_OK;
}

enum err_code layers_merge_chosen(struct layer_stack *s, const size_t *indexes, size_t n,
                                  struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (indexes[i] >= s->n || (i > 0 && indexes[i] <= indexes[i - 1]))
            return err_set(e, ERR_ARG,
                           "layers to merge must be distinct and ascending, from 0 to %zu",
                           s->n - 1);
    if (n < 2)
        return err_set(e, ERR_ARG, "%zu layers to merge; at least 2 are needed", n);
    size_t top = indexes[n - 1];
    for (size_t i = n - 1; i-- > 0;)
        layer_stack_move(s, indexes[i], top - (n - 1 - i));
    return layers_merge(s, top - (n - 1), top, e);
}

/* ---- trimming -------------------------------------------------------------------------------- */

/* The smallest rectangle with all alpha above 0; false when there is none. */
static bool alpha_bounds(const struct image *im, struct image_rect *out)
{
    int x0 = INT_MAX, y0 = INT_MAX, x1 = -1, y1 = -1;
    for (int y = 0; y < im->h; y++) {
        const unsigned char *p = image_row(im, y) + 3;
        for (int x = 0; x < im->w; x++, p += 4) {
            if (*p == 0)
                continue;
            x0 = x < x0 ? x : x0;
            x1 = x > x1 ? x : x1;
            y0 = y < y0 ? y : y0;
            y1 = y;
        }
    }
    *out = (struct image_rect){x0, y0, x1 - x0 + 1, y1 - y0 + 1};
    return x1 >= 0;
}

enum err_code layer_trim(struct layer *l, struct err *e)
{
    struct image_rect r;
    struct image cut = {0};
    if (!alpha_bounds(&l->image, &r))
        r = (struct image_rect){0, 0, 1, 1};
    if (r.w == l->image.w && r.h == l->image.h)
        return ERR_OK;
    TRY(image_crop(&l->image, r, &cut, e));
    image_free(&l->image);
    l->image = cut;
    l->x += r.x;
    l->y += r.y;
    return ERR_OK;
}

enum err_code layers_trim(struct layer_stack *s, struct err *e)
{
    for (size_t i = 0; i < s->n; i++)
        TRY(layer_trim(&s->layers[i], e));
    return ERR_OK;
}

/* ---- alpha ----------------------------------------------------------------------------------- */

struct layer_alpha_params layer_alpha_defaults(void)
{
    return (struct layer_alpha_params){.low = 12, .high = 243, .radius = 3};
}

static void threshold_alpha(struct image *im, int low, int high)
{
    for (int y = 0; y < im->h; y++) {
        unsigned char *p = image_row(im, y) + 3;
        for (int x = 0; x < im->w; x++, p += 4)
            *p = *p <= low ? 0 : *p >= high ? 255 : *p;
    }
}

/* Mean colour of the neighbours that were reached in an earlier round; false when there are none. */
static bool mean_of_reached(const struct image *im, const unsigned char *reached, int x, int y,
                            unsigned char round, unsigned char colour[3])
{
    unsigned sum[3] = {0}, n = 0;
    for (int dy = -1; dy <= 1; dy++) {
        for (int dx = -1; dx <= 1; dx++) {
            int nx = x + dx, ny = y + dy;
            if (nx < 0 || ny < 0 || nx >= im->w || ny >= im->h)
                continue;
            unsigned char when = reached[(size_t)ny * (size_t)im->w + (size_t)nx];
            if (when == 0 || when >= round)
                continue;
            const unsigned char *q = image_row(im, ny) + 4 * (size_t)nx;
            for (int c = 0; c < 3; c++)
                sum[c] += q[c];
            n++;
        }
    }
    for (int c = 0; c < 3 && n > 0; c++)
        colour[c] = (unsigned char)((sum[c] + n / 2) / n);
    return n > 0;
}

/* Colours walk outwards from the solid pixels, one pixel a round. reached holds the round (1 = solid
 * from the start), so that a round reads only what rounds before it wrote. */
static void spread_colours(struct image *im, unsigned char *reached, int radius)
{
    for (int y = 0; y < im->h; y++)
        for (int x = 0; x < im->w; x++)
            reached[(size_t)y * (size_t)im->w + (size_t)x] =
                image_row(im, y)[4 * (size_t)x + 3] == 255;
    for (int round = 2; round < radius + 2; round++) {
        for (int y = 0; y < im->h; y++) {
            for (int x = 0; x < im->w; x++) {
                unsigned char *when = &reached[(size_t)y * (size_t)im->w + (size_t)x];
                unsigned char *p = image_row(im, y) + 4 * (size_t)x;
                if (*when == 0 && mean_of_reached(im, reached, x, y, (unsigned char)round, p))
                    *when = (unsigned char)round;
            }
        }
    }
}

enum err_code layer_clean_alpha(struct layer *l, const struct layer_alpha_params *params,
                                struct err *e)
{
    if (params->low < 0 || params->high > 255 || params->low >= params->high ||
        params->radius < 0 || params->radius > 64)
        return err_set(e, ERR_ARG, "alpha clean-up from %d to %d with radius %d is not valid",
                       params->low, params->high, params->radius);
    threshold_alpha(&l->image, params->low, params->high);
    if (params->radius == 0)
        return ERR_OK;
    unsigned char *reached = mem_try_array((size_t)l->image.w, (size_t)l->image.h);
    if (!reached)
        return err_set(e, ERR_NOMEM, "no memory to clean %d x %d pixels", l->image.w, l->image.h);
    spread_colours(&l->image, reached, params->radius);
    mem_free(reached);
    return ERR_OK;
}
