/* psd_pixels.h - channels of a PSD, in its colours and depth, to RGBA in sRGB. Internal. */
#ifndef VT_LAYERS_PSD_PIXELS_H
#define VT_LAYERS_PSD_PIXELS_H

#include "base/err.h"
#include "base/str.h"
#include "image/image.h"
#include "image/load.h"
#include "layers/psd_plane.h"

/* How the document keeps colours. */
struct psd_colours {
    int mode;       /* PSD_MODE_GREY, _RGB or _CMYK; _INDEXED for flattened images */
    int bytes;      /* of a sample: 1 or 2 */
    struct str icc; /* the embedded profile, borrowed; "" for none */
    struct str palette;
};

/* ERR_FORMAT for modes and depths that are not read, by name. */
ERR_MUST_CHECK enum err_code psd_colours_check(unsigned mode, unsigned depth,
                                               struct psd_colours *out, struct err *e);
/* Colour channels of a pixel: 1, 3 or 4. */
int psd_colours_count(const struct psd_colours *c);

/* One image while its channels are read, in the document's depth. */
struct psd_pixels {
    struct image colour; /* LA, RGBA or CMYK (255 or 65535 is no ink) */
    struct image alpha;  /* mode L; only with CMYK */
};

/* Colours 0, opaque. */
ERR_MUST_CHECK enum err_code psd_pixels_new(const struct psd_colours *c, int w, int h,
                                            struct psd_pixels *out, struct err *e);
void psd_pixels_deinit(struct psd_pixels *p);
/* Where a colour channel, or PSD_CHANNEL_ALPHA, goes. False when such pixels have no such channel. */
bool psd_pixels_plane(const struct psd_pixels *p, const struct psd_colours *c, int channel,
                      struct psd_plane *out);
/* Undoes the blending with white that is stored in the colours of a flattened image. */
void psd_pixels_lift_off_white(struct psd_pixels *p, const struct psd_colours *c);
/* RGBA in sRGB, of 8 bits from here on. Notes about colours go into info. */
ERR_MUST_CHECK enum err_code psd_pixels_finish(struct psd_pixels *p, const struct psd_colours *c,
                                               struct image_info *info, struct image *out,
                                               struct err *e);

#endif
