/* codec.h - the seam between load.c and one reader per format. Only for this folder.
 *
 * A codec reads the header, checks the size against the limits, stops there when only the header is
 * wanted, and then decodes into d->out, which load.c owns from the start (so a codec that fails midway
 * frees nothing of it). Colours, orientation and frames are load.c's business. */
#ifndef VT_IMAGE_CODEC_H
#define VT_IMAGE_CODEC_H

#include "base/buf.h"
#include "base/late.h"
#include "base/str.h"
#include "image/load.h"

struct decode {
    struct str bytes;
    const struct image_limits *limits;
    bool header_only;
    struct image_info *info;
    bool deep; /* samples of more than 8 bits are wanted as 16 */
    struct image out;
    bool cmyk;      /* out holds 255 - C, M, Y, K (of a deep one 65535 -) instead of RGBA */
    struct buf icc; /* the embedded profile, empty when there is none */
    struct err *e;
};

enum { CODEC_ICC_MAX_BYTES = 16 << 20 };

ERR_MUST_CHECK enum err_code codec_png(struct decode *d);
ERR_MUST_CHECK enum err_code codec_jpeg(struct decode *d);
ERR_MUST_CHECK enum err_code codec_webp(struct decode *d);
ERR_MUST_CHECK enum err_code codec_tiff(struct decode *d);
ERR_MUST_CHECK enum err_code codec_heif(struct decode *d);
ERR_MUST_CHECK enum err_code codec_gif(struct decode *d);
ERR_MUST_CHECK enum err_code codec_bmp(struct decode *d);

/* Their libraries. That of HEIC and AVIF is made ready, too. */
extern struct late_library image_webp_load, image_tiff, image_gif, image_lcms;
ERR_MUST_CHECK enum err_code codec_heif_prepare(struct err *e);

/* Adds one sentence to info->notes; what does not fit is left out. */
void codec_note(struct image_info *info, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Keeps a copy of an embedded profile; one that is too large is left out with a note. */
ERR_MUST_CHECK enum err_code codec_keep_icc(struct decode *d, const void *p, size_t n);

#endif
