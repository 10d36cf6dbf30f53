/* save.h - images to files: PNG, JPEG and WebP, by name or one by one. More about PNG is in png_save.h.
 *
 *     struct image_save s = {.format = IMAGE_FORMAT_JPEG, .quality = 90, .about = &about};
 *     if ((rc = image_save_format("out.jpg", &s.format, e)) == ERR_OK)
 *         rc = image_save_file("out.jpg", &im, &s, e);
 *
 * All append the file's bytes to out, which the caller has given its maximum; the _file versions write
 * all or nothing (base/file.h). Colours are marked or understood as sRGB. */
#ifndef VT_IMAGE_SAVE_H
#define VT_IMAGE_SAVE_H

#include "base/buf.h"
#include "base/err.h"
#include "image/about.h"
#include "image/image.h"
#include "image/load.h"
#include "image/png_save.h"

/* What a file's ending asks for: .png, .jpg, .jpeg, .webp, in any case. PNG when there is no ending. ERR_ARG for
 * any other. */
ERR_MUST_CHECK enum err_code image_save_format(const char *path, enum image_format *out,
                                               struct err *e);

struct image_save {
    enum image_format format;
    int quality; /* of JPEG and WebP, 1..100; 0: 95 and 90; of WebP also IMAGE_WEBP_LOSSLESS */
    /* What the file says of itself; NULL: nothing. The recipe is the text "parameters" of a PNG and EXIF's user comment
     * in JPEG and WebP, as in other programs of the field; what is longer than EXIF can hold in a JPEG (64 KiB) is cut and
     * says so. Where the source is known, both are told in XMP. */
    const struct image_about *about;
    const struct image_text *texts; /* further ones of a PNG */
    size_t n_texts;
};

ERR_MUST_CHECK enum err_code image_save(const struct image *im, const struct image_save *s,
                                        struct buf *out, struct err *e);
/* The same in pieces. */
ERR_MUST_CHECK enum err_code image_save_to(const struct image *im, const struct image_save *s,
                                           const struct image_out *out, struct err *e);
ERR_MUST_CHECK enum err_code image_save_file(const char *path, const struct image *im,
                                             const struct image_save *s, struct err *e);

/* The text "parameters" that a file of any of these formats, or a PSD, carries, as UTF-8. ERR_NOTFOUND when there is
 * none, ERR_FORMAT for a file that is none of them, or broken. about.h has where else an image came from. */
ERR_MUST_CHECK enum err_code image_parameters(struct str bytes, struct buf *out, struct err *e);

/* What goes along with a JPEG or WebP; "" for none. */
struct image_blocks {
    struct str exif; /* without "Exif\0\0" */
    struct str xmp;  /* a packet */
};

/* quality 1..100. 4:2:0 chroma up to 89, 4:4:4 from 90 on. JPEG has no alpha: an image that has is put
 * on white. Sides up to 65,500. */
ERR_MUST_CHECK enum err_code image_jpeg_write(const struct image *im, int quality, struct buf *out,
                                              struct err *e);
ERR_MUST_CHECK enum err_code image_jpeg_write_with(const struct image *im, int quality,
                                                   const struct image_blocks *blocks,
                                                   struct buf *out, struct err *e);
ERR_MUST_CHECK enum err_code image_jpeg_write_file(const char *path, const struct image *im,
                                                   int quality, struct err *e);

enum { IMAGE_WEBP_LOSSLESS = 101, IMAGE_JPEG_EXIF_MAX = 65533 - 6 };

/* quality 1..100, or IMAGE_WEBP_LOSSLESS, which keeps every bit (colours under zero alpha, too). Grey
 * images become RGB. Sides up to 16,383. */
ERR_MUST_CHECK enum err_code image_webp_write(const struct image *im, int quality, struct buf *out,
                                              struct err *e);
/* The same; out is asked on the way whether it is still wanted, and gets the bytes at the end. */
ERR_MUST_CHECK enum err_code image_webp_write_to(const struct image *im, int quality,
                                                 const struct image_out *out, struct err *e);
ERR_MUST_CHECK enum err_code image_webp_write_with(const struct image *im, int quality,
                                                   const struct image_blocks *blocks,
                                                   const struct image_out *out, struct err *e);
ERR_MUST_CHECK enum err_code image_webp_write_file(const char *path, const struct image *im,
                                                   int quality, struct err *e);

#endif
