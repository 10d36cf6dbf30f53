#include "server/compat/inpaint.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "image/composite.h"
#include "image/mask.h"
#include "image/resize.h"

enum { BLUR_MAX_RADIUS = 641 };

/* ---- sizes ------------------------------------------------------------------------------------------- */

static int at_least_one(int64_t v)
{
    return v < 1 ? 1 : (int)v;
}

enum err_code inpaint_fit(const struct image *src, enum inpaint_fit fit, int w, int h,
                          struct image *out, struct err *e)
{
    /* Wider than the target by aspect: its height fits when it is cut, its width when it is padded. */
    bool is_wider = (int64_t)src->w * h > (int64_t)w * src->h;
    bool by_height = is_wider == (fit == INPAINT_CROP);
    int sw = by_height ? at_least_one((int64_t)h * src->w / src->h) : w;
    int sh = by_height ? h : at_least_one((int64_t)w * src->h / src->w);
    struct image sized = {0};
    if (fit == INPAINT_STRETCH)
        return image_resize(src, w, h, IMAGE_LANCZOS, out, e);
    enum err_code rc = image_resize(src, sw, sh, IMAGE_LANCZOS, &sized, e);
    if (rc == ERR_OK && fit == INPAINT_CROP)
        rc = image_crop_centre(&sized, w, h, out, e);
    struct image_border border = {(w - sw) / 2, (h - sh) / 2, w - sw - (w - sw) / 2,
                                  h - sh - (h - sh) / 2};
    if (rc == ERR_OK && fit == INPAINT_PAD)
        rc = image_pad(&sized, border, NULL, out, e);
    image_free(&sized);
    return rc;
}

enum err_code inpaint_flatten(const struct image *src, struct image *out, struct err *e)
{
    static const unsigned char white[4] = {255, 255, 255, 255};
    struct image flat = {0};
    struct composite_layer layer = {.image = src, .opacity = 1, .blend = BLEND_NORMAL};
    if (!image_has_alpha(src))
        return image_convert(src, 3, out, e);
    enum err_code rc = image_flatten(&layer, 1, src->w, src->h, white, &flat, e);
    if (rc == ERR_OK)
        rc = image_convert(&flat, 3, out, e);
    image_free(&flat);
    return rc;
}

/* ---- masks ------------------------------------------------------------------------------------------- */

enum err_code inpaint_mask(const struct image *src, bool invert, struct image *out, struct err *e)
{
    struct image seen = {0};
    enum mask_reading how;
    enum err_code rc;
    TRY_GOTO(image_mask_read(src, &seen, &how, e), done);
    TRY_GOTO(image_convert(&seen, 1, out, e), done);
    if (invert)
        image_mask_invert(out);
done:
    image_free(&seen);
    return rc;
}

/* Half of a normalised window; how far it reaches. */
static int gaussian(int sigma, float window[BLUR_MAX_RADIUS + 1])
{
    int radius = (int)(2.5 * sigma + 0.5);
    double sum = 0;
    for (int i = 0; i <= radius; i++) {
        double v = exp(-(double)i * i / (2.0 * sigma * sigma));
        window[i] = (float)v;
        sum += i ? 2 * v : v;
    }
    for (int i = 0; i <= radius; i++)
        window[i] /= (float)sum;
    return radius;
}

/* Beyond an end the line is mirrored, without the end pixel itself. */
static int mirrored(int i, int n)
{
    if (n == 1)
        return 0;
    int period = 2 * (n - 1);
    i = (i % period + period) % period;
    return i < n ? i : period - i;
}

/* One line of n pixels, step bytes from one to the next. line: room for n + 2 radius. */
static void blur_line(unsigned char *p, size_t step, int n, const float *window, int radius,
                      float *line)
{
    for (int i = -radius; i < n + radius; i++)
        line[i + radius] = p[(size_t)mirrored(i, n) * step];
    for (int i = 0; i < n; i++) {
        const float *at = line + i + radius;
        float sum = at[0] * window[0];
        for (int k = 1; k <= radius; k++)
            sum += (at[-k] + at[k]) * window[k];
        p[(size_t)i * step] = (unsigned char)lrintf(sum);
    }
}

enum err_code inpaint_blur(struct image *mask, int sigma_x, int sigma_y, struct err *e)
{
    float window[BLUR_MAX_RADIUS + 1];
    int longest = mask->w > mask->h ? mask->w : mask->h;
    float *line = mem_try_array((size_t)longest + 2 * BLUR_MAX_RADIUS, sizeof *line);
    if (!line)
        return err_set(e, ERR_NOMEM, "no memory to blur a mask");
    int radius = sigma_x > 0 ? gaussian(sigma_x, window) : 0;
    for (int y = 0; radius && y < mask->h; y++)
        blur_line(image_row(mask, y), 1, mask->w, window, radius, line);
    radius = sigma_y > 0 ? gaussian(sigma_y, window) : 0;
    for (int x = 0; radius && x < mask->w; x++)
        blur_line(mask->p + x, mask->stride, mask->h, window, radius, line);
    mem_free(line);
    return ERR_OK;
}

void inpaint_double(struct image *mask)
{
    for (int y = 0; y < mask->h; y++)
        for (int x = 0; x < mask->w; x++) {
            unsigned char *v = &image_row(mask, y)[x];
            *v = *v > 127 ? 255 : (unsigned char)(2 * *v);
        }
}

void inpaint_any(struct image *mask)
{
    for (int y = 0; y < mask->h; y++)
        for (int x = 0; x < mask->w; x++)
            if (image_row(mask, y)[x])
                image_row(mask, y)[x] = 255;
}

/* ---- the part that is worked on ------------------------------------------------------------------------ */

bool inpaint_region(const struct image *mask, int padding, int w, int h, struct image_rect *out)
{
    struct image_rect bounds;
    if (!image_mask_bounds(mask, 1, &bounds))
        return false;
    *out = image_mask_frame(mask, bounds, (struct mask_frame){padding, w, h});
    return true;
}

/* ---- back in its place --------------------------------------------------------------------------------- */

/* One pixel of c channels, the last one alpha in modes that have it; m of 255 is b's. */
static void blend(const unsigned char *a, const unsigned char *b, int c, bool has_alpha, int m,
                  unsigned char *out)
{
    int n = has_alpha ? c - 1 : c;
    int wa = (255 - m) * (has_alpha ? a[n] : 255), wb = m * (has_alpha ? b[n] : 255);
    for (int i = 0; i < n; i++)
        out[i] =
            wa + wb ? (unsigned char)((a[i] * wa + b[i] * wb + (wa + wb) / 2) / (wa + wb)) : a[i];
    if (has_alpha)
        out[n] = (unsigned char)((wa + wb + 127) / 255);
}

enum err_code inpaint_paste(const struct image *original, const struct image *result,
                            struct inpaint_place place, const struct image *mask, struct image *out,
                            struct err *e)
{
    struct image sized = {0}, same = {0};
    struct image_rect r = place.rect;
    int c = image_has_alpha(original) ? 4 : 3;
    enum err_code rc;
    TRY_GOTO(inpaint_fit(result, place.fit, r.w, r.h, &sized, e), done);
    TRY_GOTO(image_convert(&sized, c, &same, e), done);
    TRY_GOTO(image_convert(original, c, out, e), done);
    for (int y = 0; y < r.h; y++) {
        const unsigned char *m = image_row(mask, r.y + y) + r.x;
        const unsigned char *from = image_row(&same, y);
        unsigned char *to = image_row(out, r.y + y) + (size_t)r.x * (size_t)c;
        for (int x = 0; x < r.w; x++)
            if (m[x])
                blend(to + x * c, from + x * c, c, c == 4, m[x], to + x * c);
    }
done:
    image_free(&sized);
    image_free(&same);
    return rc;
}
