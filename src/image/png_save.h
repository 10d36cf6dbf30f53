/* png_save.h - images to PNG, without losing a bit, with text chunks. */
#ifndef VT_IMAGE_PNG_SAVE_H
#define VT_IMAGE_PNG_SAVE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "image/image.h"
#include "image/sink.h"

/* One text chunk. The key is 1 to 79 printable ASCII characters without a space at the ends; the text
 * is any UTF-8 without NUL: written as tEXt where Latin-1 can hold it (what most tools read), else as
 * iTXt. Borrowed during the call. */
struct image_text {
    const char *key;
    struct str text;
};

/* Appends the file's bytes to out (which the caller has given its maximum). The mode, alpha and all
 * colours under zero alpha are kept; the image is marked sRGB. */
ERR_MUST_CHECK enum err_code image_png_write(const struct image *im, const struct image_text *texts,
                                             size_t n_texts, struct buf *out, struct err *e);

/* The key of an XMP packet; its mark of the byte order, which Latin-1 has not, makes an iTXt of it, as XMP wants. */
#define IMAGE_PNG_XMP "XML:com.adobe.xmp"

/* The same in pieces as they are made. */
ERR_MUST_CHECK enum err_code image_png_write_to(const struct image *im,
                                                const struct image_text *texts, size_t n_texts,
                                                const struct image_out *out, struct err *e);

/* The same to a file, all or nothing (base/file.h). */
ERR_MUST_CHECK enum err_code image_png_write_file(const char *path, const struct image *im,
                                                  const struct image_text *texts, size_t n_texts,
                                                  struct err *e);

/* Finds the text chunk `key` of a PNG (tEXt, zTXt or iTXt, before or behind the pixels) and appends it
 * as UTF-8 to out. ERR_NOTFOUND when there is none, ERR_FORMAT when the bytes are no sound PNG. */
ERR_MUST_CHECK enum err_code image_png_text(struct str bytes, const char *key, struct buf *out,
                                            struct err *e);
/* Each text chunk in order, its key and its text as UTF-8; damaged ones are left out. False from visit stops. ERR_FORMAT
 * when the bytes are no sound PNG. */
ERR_MUST_CHECK enum err_code
image_png_texts(struct str bytes, bool (*visit)(struct str key, struct str text, void *user),
                void *user, struct err *e);

/* ---- orientation ----------------------------------------------------------------------------- */

/* The orientation of the camera, from every place where a PNG may have it. */

/* 1 to 8. From the chunk eXIf, the texts that ImageMagick and others wrote before there was one, and XMP, in this
 * order; before or behind the pixels. 1 when none says it. What is damaged is passed over: the worst that it can do
 * is another orientation. */
int png_orientation(struct str file);

/* "\nexif\n      42\n4578...\n": a name, a number of bytes, and so many in hexadecimal, in lines. Appends them to out.
 * False when they are not all there, or more than out may hold. */
struct buf;
bool png_profile_unpack(struct str text, struct buf *out);

#endif
