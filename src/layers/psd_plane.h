/* psd_plane.h - one channel of a PSD layer, or of the flattened image, to one of an image of ours. */
#ifndef VT_LAYERS_PSD_PLANE_H
#define VT_LAYERS_PSD_PLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"
#include "image/sink.h"
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

/* The run-length code of PSD rows (PackBits).
 *
 * A control byte c: 0..127 copies the next c + 1 bytes; 129..255 repeats the next byte 257 - c times;
 * 128 does nothing. Pure functions over plain bytes. */

/* The most bytes that n bytes can take packed. */
static inline size_t packbits_bound(size_t n)
{
    return n + (n + 127) / 128;
}

/* Packs n bytes into out (packbits_bound(n) of room); returns how many were written. */
size_t packbits_encode(const unsigned char *in, size_t n, unsigned char *out);

/* Unpacks all n bytes of in to exactly out_n bytes; false when they give fewer or more. One no-op or
 * one pad byte behind the last run is allowed, as writers that even out their rows leave it. */
bool packbits_decode(const unsigned char *in, size_t n, unsigned char *out, size_t out_n);

/* ---- writing --------------------------------------------------------------------------------- */

/* The channels of an image as packed rows. Internal.
 *
 * The format has lengths in front of the data. So everything is packed twice: measured, and then written
 * row by row, with no more memory than two bytes a row. */

enum { PSD_ROWS_CHANNELS = 4 };

struct psd_rows {
    const struct image *im; /* RGBA, borrowed */
    unsigned char *lengths; /* [channel, h], 16 bits each as in the file */
    size_t bytes;           /* of all packed rows */
    size_t channel_bytes[PSD_ROWS_CHANNELS];
};

/* Caller: psd_rows_deinit, also after a failure. */
ERR_MUST_CHECK enum err_code psd_rows_measure(struct psd_rows *r, const struct image *im,
                                              const struct image_out *out, struct err *e);
void psd_rows_deinit(struct psd_rows *r);

/* The table of n channels from the first on, and their rows. */
ERR_MUST_CHECK enum err_code psd_rows_write_lengths(const struct psd_rows *r, int first, int n,
                                                    const struct image_out *out, struct err *e);
ERR_MUST_CHECK enum err_code psd_rows_write(const struct psd_rows *r, int channel,
                                            const struct image_out *out, struct err *e);

#endif
