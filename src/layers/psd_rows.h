/* psd_rows.h - the channels of an image as packed rows. Internal.
 *
 * The format has lengths in front of the data. So everything is packed twice: measured, and then written
 * row by row, with no more memory than two bytes a row. */
#ifndef VT_LAYERS_PSD_ROWS_H
#define VT_LAYERS_PSD_ROWS_H

#include <stdint.h>

#include "image/image.h"
#include "image/sink.h"

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
