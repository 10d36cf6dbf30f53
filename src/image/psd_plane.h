/* psd_plane.h - one channel of a PSD layer, or of the flattened image, to bytes. */
#ifndef VT_IMAGE_PSD_PLANE_H
#define VT_IMAGE_PSD_PLANE_H

#include <stddef.h>

#include "base/err.h"
#include "image/psd_cursor.h"

/* Where the samples go, as bytes: w x h of them, `step` bytes from one to the next, `stride` from row to row. */
struct psd_plane {
    unsigned char *p;
    int w, h;
    size_t step, stride;
    int bytes; /* of a sample in the file: 1, or 2, which become round(v * 255 / 65535) */
};

/* Reads "compression, rows" as a layer keeps a channel; c holds nothing else. */
ERR_MUST_CHECK enum err_code psd_plane_read(struct psd_cursor *c, const struct psd_plane *plane,
                                            struct err *e);

/* Reads rows of a known compression (raw or RLE). RLE takes its row lengths from `table`. */
ERR_MUST_CHECK enum err_code psd_plane_read_rows(int compression, struct psd_cursor *table,
                                                 struct psd_cursor *c,
                                                 const struct psd_plane *plane, struct err *e);

#endif
