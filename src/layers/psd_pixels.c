/* psd_pixels.c - the colours of a PSD to RGBA in sRGB; see psd_pixels.h.
 *
 * All planes are read into the document's own mode and depth first, and converted as a whole: a profile needs all
 * channels of a pixel, and 16 bits are rounded once, after it. CMYK has no room for alpha in our images, so its
 * alpha is a plane of its own until the end.
 */
#include "layers/psd_pixels.h"

#include "image/icc.h"
#include "image/sample.h"
#include "layers/psd_format.h"

enum { PALETTE_BYTES = 768 };

enum err_code psd_colours_check(unsigned mode, unsigned depth, struct psd_colours *out,
                                struct err *e)
{
    static const char *const names[] = {"bitmap", "grey", "indexed",      "RGB",     "CMYK",
                                        "5",      "6",    "multichannel", "duotone", "Lab"};
    *out = (struct psd_colours){.mode = (int)mode, .bytes = depth == 16 ? 2 : 1};
    if (depth != 8 && depth != 16)
        return err_set(e, ERR_FORMAT, "%u bits per channel; PSDs of 8 and 16 bits are supported",
                       depth);
    if (mode == PSD_MODE_DUOTONE)
        out->mode = PSD_MODE_GREY; /* as the format asks of readers that do not know its inks */
    if (out->mode == PSD_MODE_GREY || mode == PSD_MODE_RGB || mode == PSD_MODE_CMYK ||
        (mode == PSD_MODE_INDEXED && depth == 8))
        return ERR_OK;
    return err_set(e, ERR_FORMAT,
                   "colour mode %s (%u); PSDs in RGB, grey, CMYK and indexed colours are supported",
                   mode < sizeof names / sizeof names[0] ? names[mode] : "unknown", mode);
}

int psd_colours_count(const struct psd_colours *c)
{
    return c->mode == PSD_MODE_RGB ? 3 : c->mode == PSD_MODE_CMYK ? 4 : 1;
}

enum err_code psd_pixels_new(const struct psd_colours *c, int w, int h, struct psd_pixels *out,
                             struct err *e)
{
    const bool cmyk = c->mode == PSD_MODE_CMYK, deep = c->bytes == 2;
    *out = (struct psd_pixels){0};
    enum err_code rc;
    TRY_GOTO(image_new_deep(&out->colour, w, h, psd_colours_count(c) == 1 ? 2 : 4, deep, e), done);
    if (cmyk)
        rc = image_new_deep(&out->alpha, w, h, 1, deep, e);
done:
    if (rc != ERR_OK) {
        psd_pixels_deinit(out);
        return rc;
    }
    if (cmyk)
        image_fill(&out->alpha, (const unsigned char[1]){255});
    else
        image_fill(&out->colour, out->colour.channels == 2
                                     ? (const unsigned char[4]){0, 255}
                                     : (const unsigned char[4]){0, 0, 0, 255});
    return ERR_OK;
}

void psd_pixels_deinit(struct psd_pixels *p)
{
    image_free(&p->colour);
    image_free(&p->alpha);
}

bool psd_pixels_plane(const struct psd_pixels *p, const struct psd_colours *c, int channel,
                      struct psd_plane *out)
{
    const int n = psd_colours_count(c);
    const struct image *im = channel == PSD_CHANNEL_ALPHA && p->alpha.p ? &p->alpha : &p->colour;
    if (channel < PSD_CHANNEL_ALPHA || channel >= n)
        return false;
    int at = channel >= 0 ? channel : im == &p->alpha ? 0 : im->channels - 1;
    *out = (struct psd_plane){.im = im, .channel = at, .bytes = c->bytes};
    return true;
}

/* One row, of n colours a pixel. */
static inline void lift_any(const struct image *colour, const struct image *alpha, int y, int n,
                            const bool deep)
{
    const int64_t max = sample_max(deep);
    unsigned char *p = image_row(colour, y);
    for (int x = 0; x < colour->w; x++, p += image_pixel_bytes(colour)) {
        size_t at = (size_t)(x + 1) * (size_t)alpha->channels - 1;
        int64_t a = sample_get(image_row(alpha, y), at, deep);
        for (int i = 0; i < n && a > 0 && a < max; i++) {
            int64_t v = ((sample_get(p, (size_t)i, deep) - (max - a)) * max + a / 2) / a;
            sample_set(p, (size_t)i, (unsigned)(v < 0 ? 0 : v > max ? max : v), deep);
        }
    }
}

void psd_pixels_lift_off_white(struct psd_pixels *p, const struct psd_colours *c)
{
    const struct image *alpha = p->alpha.p ? &p->alpha : &p->colour;
    for (int y = 0; y < p->colour.h; y++) {
        if (p->colour.deep)
            lift_any(&p->colour, alpha, y, psd_colours_count(c), true);
        else
            lift_any(&p->colour, alpha, y, psd_colours_count(c), false);
    }
}

/* RGB and a plane of alpha together. */
static enum err_code join_alpha(const struct image *rgb, const struct image *alpha,
                                struct image *out, struct err *e)
{
    TRY(image_convert(rgb, 4, out, e));
    for (int y = 0; y < out->h; y++)
        for (int x = 0; x < out->w; x++)
            image_row(out, y)[4 * (size_t)x + 3] = image_row(alpha, y)[x];
    return ERR_OK;
}

static void look_up(struct image *rgba, const struct image *index, struct str palette)
{
    const unsigned char *p = (const unsigned char *)palette.p;
    for (int y = 0; y < rgba->h; y++) {
        const unsigned char *s = image_row(index, y);
        unsigned char *d = image_row(rgba, y);
        for (int x = 0; x < rgba->w; x++, s += 2, d += 4)
            for (int i = 0; i < 3; i++)
                d[i] = p[256 * i + *s];
    }
}

enum err_code psd_pixels_finish(struct psd_pixels *p, const struct psd_colours *c,
                                struct image_info *info, struct image *out, struct err *e)
{
    struct image rgb = {0};
    enum err_code rc;
    if (c->mode == PSD_MODE_CMYK) {
        rc = icc_cmyk_to_srgb(&p->colour, c->icc, info, &rgb, e);
        image_narrow(&rgb);
        image_narrow(&p->alpha);
        if (rc == ERR_OK)
            rc = join_alpha(&rgb, &p->alpha, out, e);
    } else if (c->mode == PSD_MODE_INDEXED) {
        if (c->palette.n < PALETTE_BYTES)
            rc = err_set(e, ERR_FORMAT, "the palette has %zu bytes, too few for 256 colours",
                         c->palette.n);
        else
            rc = image_convert(&p->colour, 4, out, e);
        if (rc == ERR_OK) {
            look_up(out, &p->colour, c->palette);
            icc_to_srgb(out, c->icc, info);
        }
    } else {
        icc_to_srgb(&p->colour, c->icc, info);
        image_narrow(&p->colour);
        rc = image_convert(&p->colour, 4, out, e);
    }
    image_free(&rgb);
    psd_pixels_deinit(p);
    return rc;
}
