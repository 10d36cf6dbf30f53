/* psd_plane.h - one channel of a PSD layer, or of the flattened image, to one of an image of ours. */
#ifndef VT_LAYERS_PSD_PLANE_H
#define VT_LAYERS_PSD_PLANE_H

#include "base/err.h"
#include "image/image.h"
#include "layers/psd_cursor.h"

/* A channel of an image, and how the file has its samples; those of 16 bits are rounded unless the image is deep. */
struct psd_plane {
    const struct image *im;
    int channel;
    int bytes; /* of a sample in the file: 1 or 2 */
};

/* Reads "compression, rows" as a layer keeps a channel; c holds nothing else. */
ERR_MUST_CHECK enum err_code psd_plane_read(struct psd_cursor *c, const struct psd_plane *plane,
                                            struct err *e);

/* Reads rows of a known compression (raw or RLE). RLE takes its row lengths from `table`. */
ERR_MUST_CHECK enum err_code psd_plane_read_rows(int compression, struct psd_cursor *table,
                                                 struct psd_cursor *c,
                                                 const struct psd_plane *plane, struct err *e);

#endif
