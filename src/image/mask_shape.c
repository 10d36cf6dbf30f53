/* mask_shape.c - masks made larger and smaller, hard and soft, and the part of an image that they lie in.
 *
 * Growing and fading go by exact distances between pixel centres (mask_kern.c), so that a corner is round and a
 * fade is the same in every direction. The edge of a mask lies half way between a painted pixel and the next. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "image/mask.h"

void image_mask_invert(struct image *mask)
{
    for (int y = 0; y < mask->h; y++)
        for (int x = 0; x < mask->w; x++)
            image_row(mask, y)[x] = (unsigned char)(255 - image_row(mask, y)[x]);
}

void image_mask_threshold(struct image *mask, int at)
{
    for (int y = 0; y < mask->h; y++)
        for (int x = 0; x < mask->w; x++)
            image_row(mask, y)[x] = image_row(mask, y)[x] >= at ? 255 : 0;
}

enum err_code image_mask_of_colour(const struct image *im, const unsigned char rgb[3],
                                   int tolerance, struct image *mask, struct err *e)
{
    struct image narrow = {0}, rgba = {0};
    *mask = (struct image){0};
    enum err_code rc;
    TRY_GOTO(image_narrowed(im, &narrow, e), done);
    TRY_GOTO(image_convert(&narrow, 4, &rgba, e), done);
    TRY_GOTO(image_new(mask, im->w, im->h, 1, e), done);
    for (int y = 0; y < im->h; y++) {
        const unsigned char *p = image_row(&rgba, y);
        for (int x = 0; x < im->w; x++, p += 4) {
            int off = 0;
            for (int i = 0; i < 3; i++)
                off = abs(p[i] - rgb[i]) > off ? abs(p[i] - rgb[i]) : off;
            image_row(mask, y)[x] = off <= tolerance && p[3] >= MASK_PAINTED ? 255 : 0;
        }
    }
done:
    image_free(&narrow);
    image_free(&rgba);
    return rc;
}

/* ---- distances ----------------------------------------------------------------------------------------- */

/* What becomes of the n pixels of a row, by the squares of their distances. */
typedef void (*row_fn)(unsigned char *row, const int64_t *squares, int n, int by);

static enum err_code by_distance(struct image *mask, bool of_kept, int by, row_fn change,
                                 struct err *e)
{
    size_t w = (size_t)mask->w, h = (size_t)mask->h;
    if (by > MASK_REACH)
        return err_set(e, ERR_ARG, "a mask changes by at most %d pixels, not %d", MASK_REACH, by);
    uint16_t *g = mem_try_array(w * h, sizeof *g);
    int *scratch = mem_try_array(2 * w, sizeof *scratch);
    int64_t *squares = mem_try_array(w, sizeof *squares);
    enum err_code rc =
        g && scratch && squares ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to shape a mask");
    if (rc == ERR_OK) {
        mask_kern_columns(mask, of_kept, by, g);
        for (size_t y = 0; y < h; y++) {
            mask_kern_row(g + y * w, mask->w, scratch, scratch + w, squares);
            change(image_row(mask, (int)y), squares, mask->w, by);
        }
    }
    mem_free(g);
    mem_free(scratch);
    mem_free(squares);
    return rc;
}

static void paint_near(unsigned char *row, const int64_t *squares, int n, int by)
{
    for (int x = 0; x < n; x++)
        row[x] = squares[x] <= (int64_t)by * by ? 255 : 0;
}

static void paint_far(unsigned char *row, const int64_t *squares, int n, int by)
{
    for (int x = 0; x < n; x++)
        row[x] = squares[x] > (int64_t)by * by ? 255 : 0;
}

enum err_code image_mask_grow(struct image *mask, int by, struct err *e)
{
    if (by < -MASK_REACH)
        return err_set(e, ERR_ARG, "a mask shrinks by at most %d pixels, not %lld", MASK_REACH,
                       -(long long)by);
    if (by == 0)
        return ERR_OK;
    return by > 0 ? by_distance(mask, false, by, paint_near, e)
                  : by_distance(mask, true, -by, paint_far, e);
}

/* Half at the edge, by pixels to either end. */
static unsigned char faded(double inside, int by)
{
    double v = 0.5 + inside / (2.0 * by);
    return (unsigned char)lrint(255.0 * (v < 0 ? 0 : v > 1 ? 1 : v));
}

static void fade_outside(unsigned char *row, const int64_t *squares, int n, int by)
{
    for (int x = 0; x < n; x++)
        if (row[x] < MASK_PAINTED)
            row[x] = faded(0.5 - sqrt((double)squares[x]), by);
}

static void fade_inside(unsigned char *row, const int64_t *squares, int n, int by)
{
    for (int x = 0; x < n; x++)
        if (row[x] >= MASK_PAINTED)
            row[x] = faded(sqrt((double)squares[x]) - 0.5, by);
}

/* What is faded outside stays below MASK_PAINTED, so that the second pass sees the same edge. */
enum err_code image_mask_feather(struct image *mask, int by, struct err *e)
{
    if (by <= 0)
        return ERR_OK;
    TRY(by_distance(mask, false, by, fade_outside, e));
    return by_distance(mask, true, by, fade_inside, e);
}

/* ---- where it lies ------------------------------------------------------------------------------------- */

struct span {
    int from, to;
};

static void include(struct span *s, int i)
{
    s->from = i < s->from ? i : s->from;
    s->to = i + 1 > s->to ? i + 1 : s->to;
}

bool image_mask_bounds(const struct image *mask, int least, struct image_rect *out)
{
    struct span x = {mask->w, 0}, y = {mask->h, 0};
    for (int j = 0; j < mask->h; j++)
        for (int i = 0; i < mask->w; i++)
            if (image_row(mask, j)[i] >= least) {
                include(&x, i);
                include(&y, j);
            }
    *out = (struct image_rect){x.from, y.from, x.to - x.from, y.to - y.from};
    return x.to > 0;
}

static struct span padded(int from, int length, int padding, int limit)
{
    int to = from + length;
    return (struct span){from > padding ? from - padding : 0,
                         limit - to > padding ? to + padding : limit};
}

/* To that length around its middle, moved inside the limit, cut by it. */
static void widen(struct span *s, int64_t wanted, int limit)
{
    int64_t length = s->to - s->from, from;
    if (wanted <= length)
        return;
    wanted = wanted < limit ? wanted : limit;
    from = s->from - (wanted - length) / 2;
    from = from + wanted > limit ? limit - wanted : from < 0 ? 0 : from;
    *s = (struct span){(int)from, (int)(from + wanted)};
}

struct image_rect image_mask_frame(const struct image *mask, struct image_rect bounds,
                                   struct mask_frame frame)
{
    struct span x = padded(bounds.x, bounds.w, frame.padding, mask->w);
    struct span y = padded(bounds.y, bounds.h, frame.padding, mask->h);
    if (frame.w > 0 && frame.h > 0) {
        widen(&y, (int64_t)(x.to - x.from) * frame.h / frame.w, mask->h);
        widen(&x, (int64_t)(y.to - y.from) * frame.w / frame.h, mask->w);
    }
    return (struct image_rect){x.from, y.from, x.to - x.from, y.to - y.from};
}
