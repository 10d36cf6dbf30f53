/* image.h - an image in memory, and the plain operations on it.
 *
 * One kind of image in the whole program: 8 bits a channel, straight (not premultiplied) alpha, sRGB,
 * rows from the top, channels interleaved. The channel count is the mode: 1 L, 2 LA, 3 RGB, 4 RGBA.
 * What decoders, networks and layered formats hand over is brought into this form at the border.
 *
 * On the way to a model images may be deep: 16 bits a channel. Only image_load_deep makes them, and only what
 * lies on that way takes them: everything in this header, image_resize, image_composite, image_flatten and
 * image_on_ground. All else wants 8 bits: image_narrow.
 *
 *     struct image in = {0}, grey = {0};
 *     if ((rc = image_load_file(path, NULL, NULL, &in, e)) != ERR_OK) goto done;
 *     if ((rc = image_convert(&in, 1, &grey, e)) != ERR_OK) goto done;
 *     ...
 * done:
 *     image_free(&grey);
 *     image_free(&in);
 *
 * Ownership: a struct image that a function fills belongs to the caller, who frees it with image_free.
 * Such a function overwrites *out without freeing what was there, and leaves it all zero on failure.
 * Inputs are never changed unless the name or comment says "in place". An image belongs to one thread
 * at a time; one that nobody changes may be read by many.
 */
#ifndef VT_IMAGE_IMAGE_H
#define VT_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

enum { IMAGE_SIDE_MAX = 1000000 }; /* longest side of any image; keeps int arithmetic safe */

struct image {
    int w, h;
    int channels;  /* 1 L, 2 LA, 3 RGB, 4 RGBA */
    size_t stride; /* bytes from one row to the next; at least w * image_pixel_bytes */
    unsigned char *p;
    bool deep; /* samples are uint16_t, 0 to 65535 */
};

/* What a file may cost. Zero is not "no limit": take image_limits_defaults() and change a field. */
struct image_limits {
    uint64_t max_pixels;     /* 100 megapixels */
    uint64_t max_file_bytes; /* 256 MiB */
    /* It is a stranger's, and its reader must go on whatever it holds: what a library of this machine is known to
     * crash on is refused. */
    bool untrusted;
};

struct image_limits image_limits_defaults(void);

/* ERR_LIMIT when an image of that size is over the limits (NULL = defaults), ERR_FORMAT when a side is
 * zero. For numbers straight from a file, before any allocation. */
ERR_MUST_CHECK enum err_code image_check_size(uint64_t w, uint64_t h,
                                              const struct image_limits *limits, struct err *e);

/* All bytes zero (black, transparent). ERR_ARG for a bad mode or side, ERR_NOMEM. */
ERR_MUST_CHECK enum err_code image_new(struct image *out, int w, int h, int channels,
                                       struct err *e);
/* The same, deep or not. */
ERR_MUST_CHECK enum err_code image_new_deep(struct image *out, int w, int h, int channels,
                                            bool deep, struct err *e);
/* Accepts NULL and a zeroed image; leaves it zeroed. */
void image_free(struct image *im);

static inline bool image_has_alpha(const struct image *im)
{
    return im->channels == 2 || im->channels == 4;
}

static inline size_t image_pixel_bytes(const struct image *im)
{
    return (size_t)im->channels * (im->deep ? 2 : 1);
}

static inline unsigned char *image_row(const struct image *im, int y)
{
    return im->p + (size_t)y * im->stride;
}

/* Sample i of a row of im, in levels of 255; a deep image has levels between them. */
static inline float image_level(const struct image *im, const unsigned char *row, size_t i)
{
    uint16_t v;
    if (!im->deep)
        return (float)row[i];
    memcpy(&v, row + 2 * i, sizeof v);
    return (float)v / 257.0f;
}

/* "L", "LA", "RGB", "RGBA". Static string. */
const char *image_mode_name(int channels);

ERR_MUST_CHECK enum err_code image_copy(const struct image *src, struct image *out, struct err *e);

/* To another mode. Alpha is dropped, not composited; a new alpha is opaque; grey is
 * (19595 R + 38470 G + 7471 B + 32768) >> 16, as PIL's convert. */
ERR_MUST_CHECK enum err_code image_convert(const struct image *src, int channels, struct image *out,
                                           struct err *e);

/* To 8 bits, to nearest: in place, or as a copy (also of an image that has them already). */
void image_narrow(struct image *im);
ERR_MUST_CHECK enum err_code image_narrowed(const struct image *src, struct image *out,
                                            struct err *e);

/* What networks take: [channels, h, w] floats, v / 255 * 2 - 1 (v / 65535 of a deep one). */
void image_planes(const struct image *im, float *out);
/* The way back, into an image of 8 bits: values beyond -1 to 1 become the nearest of these, halves go to even. */
void image_from_planes(struct image *im, const float *planes);

struct image_rect {
    int x, y, w, h;
};

/* The rectangle must lie inside the image. */
ERR_MUST_CHECK enum err_code image_crop(const struct image *src, struct image_rect rect,
                                        struct image *out, struct err *e);
/* Size w x h from the middle; the offset is (size - target) / 2, rounded down. */
ERR_MUST_CHECK enum err_code image_crop_centre(const struct image *src, int w, int h,
                                               struct image *out, struct err *e);

struct image_border {
    int left, top, right, bottom;
};

/* Adds a border (sides >= 0) of the colour fill (src->channels bytes, of a deep image too); fill = NULL repeats the
 * edge. */
ERR_MUST_CHECK enum err_code image_pad(const struct image *src, struct image_border border,
                                       const unsigned char *fill, struct image *out, struct err *e);

/* In place. */
void image_flip_horizontal(struct image *im);
void image_flip_vertical(struct image *im);
void image_fill(struct image *im, const unsigned char *colour); /* im->channels bytes */

/* Turns an image whose EXIF orientation is 1..8 upright; other values copy. */
ERR_MUST_CHECK enum err_code image_orient(const struct image *src, int orientation,
                                          struct image *out, struct err *e);

/* "white", "black", "grey" or "gray", "#rgb" or "#rrggbb" to RGB. False for anything else. */
bool image_colour_parse(struct str text, unsigned char rgb[3]);
/* In place: where alpha is 0, the colour becomes rgb. A mode without alpha is left alone. */
void image_replace_hidden(struct image *im, const unsigned char rgb[3]);

/* In place, between straight and premultiplied colours, with PIL's 8-bit rounding (and its like of 16 bits):
 * t = c a + 128, ((t >> 8) + t) >> 8; back: c as it is for a = 0 and 255, else min(255, 255 c / a).
 * A mode without alpha is left alone. The way there and back loses bits. */
void image_premultiply(struct image *im);
void image_unpremultiply(struct image *im);

/* Rows of LA or RGBA pixels between straight and premultiplied colours, in place.
 * channels is 2 or 4; the last one is alpha. p holds w * channels samples, of 16 bits where they are deep. */
void alpha_kern_premultiply(unsigned char *p, int w, int channels, bool deep);
void alpha_kern_unpremultiply(unsigned char *p, int w, int channels, bool deep);

#endif
