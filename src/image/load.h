/* load.h - images from untrusted bytes.
 *
 * The format is recognised by its first bytes, never by a name. Size and dimensions are checked against
 * the limits before a single pixel is allocated. What comes out is upright (EXIF orientation applied),
 * in sRGB, 8 bits a channel, in the image's own mode: L, LA, RGB or RGBA.
 *
 *     struct image_info info;
 *     if ((rc = image_load_file("photo.jpg", NULL, &info, &im, e)) != ERR_OK) ...
 *     if (info.notes[0]) log_warn("photo.jpg: %s", info.notes);
 *
 * An image that is cut or damaged is an error, never an image with a grey rest. Things that were
 * left as they are, or read in part, are told in info.notes.
 *
 * More than 8 bits a channel become round(v * 255 / max). image_load_deep is for what a model will see: it keeps
 * them, in 16 bits (image.h says what takes such images), from PNG, TIFF, HEIC and AVIF.
 *
 * - PNG: all colour types and depths, palettes, tRNS (becomes alpha), interlacing.
 * - JPEG: baseline and progressive, grey, YCbCr, RGB, CMYK, YCCK; the decoder's defaults (accurate
 *   integer DCT, fancy upsampling), as PIL has them.
 * - WebP: lossy, lossless, alpha; of an animation the first frame.
 * - TIFF: the first image, through libtiff; HEIC and AVIF: the primary image, through libheif; GIF: the first frame,
 *   through giflib. These libraries are opened when a file needs them. BMP: all but JPEG and PNG inside.
 * - An ICC profile that is not sRGB anyway is applied (perceptual intent); a broken one is ignored with
 *   a note. */
#ifndef VT_IMAGE_LOAD_H
#define VT_IMAGE_LOAD_H

#include "base/str.h"
#include "image/image.h"

enum image_format {
    IMAGE_FORMAT_UNKNOWN,
    IMAGE_FORMAT_PNG,
    IMAGE_FORMAT_JPEG,
    IMAGE_FORMAT_WEBP,
    /* These are only read. */
    IMAGE_FORMAT_TIFF,
    IMAGE_FORMAT_HEIC,
    IMAGE_FORMAT_AVIF,
    IMAGE_FORMAT_GIF,
    IMAGE_FORMAT_BMP,
    IMAGE_FORMATS /* how many there are */
};

struct image_info {
    enum image_format format;
    int w, h;        /* upright */
    int channels;    /* mode of the decoded image */
    int bit_depth;   /* of the file's samples or palette entries' indices: 1, 2, 4, 8, 16 */
    int orientation; /* EXIF 1..8; 1 when there is none */
    int frames;      /* 1, or the length of an animation */
    bool had_alpha;
    bool had_icc;
    char notes[400]; /* sentences joined by "; ", or "" */
};

/* "png", "jpeg", "webp", "tiff", ..., "unknown". Static string. */
const char *image_format_name(enum image_format format);
enum image_format image_sniff(struct str bytes);

/* Opens the libraries that images of the format may need, for who cannot open files later on. */
ERR_MUST_CHECK enum err_code image_prepare(enum image_format format, struct err *e);

/* limits NULL = defaults, info NULL = not wanted. On failure info holds what was learnt. */
ERR_MUST_CHECK enum err_code image_load_memory(struct str bytes, const struct image_limits *limits,
                                               struct image_info *info, struct image *out,
                                               struct err *e);
ERR_MUST_CHECK enum err_code image_load_file(const char *path, const struct image_limits *limits,
                                             struct image_info *info, struct image *out,
                                             struct err *e);

/* As image_load_memory, but an image whose file has more than 8 bits a channel comes out deep. */
ERR_MUST_CHECK enum err_code image_load_deep(struct str bytes, const struct image_limits *limits,
                                             struct image_info *info, struct image *out,
                                             struct err *e);

/* Only the header: dimensions, mode and the rest of info (notes about pixels or colours excepted).
 * Checks the limits, too. */
ERR_MUST_CHECK enum err_code image_probe_memory(struct str bytes, const struct image_limits *limits,
                                                struct image_info *info, struct err *e);

#endif
