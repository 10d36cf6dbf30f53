/* project_pixels.h - a layer's image and mask as they are, before they are placed. Internal. */
#ifndef VT_STORE_PROJECT_PIXELS_H
#define VT_STORE_PROJECT_PIXELS_H

#include "reader/reader.h"
#include "store/projects.h"

/* Where a project's pixels are read, and what their files say: one process reads those of all its layers. Caller:
 * reader_series_end. */
struct project_reading {
    struct store *store;
    struct reader_series series;
};

/* The layer's image as RGBA, with its mask or without it. Caller: image_free. */
ERR_MUST_CHECK enum err_code project_pixels(struct project_reading *from,
                                            const struct project_layer *l, bool masked,
                                            struct image *out, struct err *e);
/* A mask's levels, stretched to that size: mode L. Caller: image_free. */
ERR_MUST_CHECK enum err_code project_mask(struct project_reading *from, const char *id, int w,
                                          int h, struct image *out, struct err *e);

#endif
