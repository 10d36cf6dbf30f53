/* psd_load.h - what the parts of the PSD reader share. Internal; the reader itself is in psd.h. */
#ifndef VT_LAYERS_PSD_LOAD_H
#define VT_LAYERS_PSD_LOAD_H

#include "base/json.h"
#include "layers/assemble.h"
#include "layers/psd.h"
#include "layers/psd_cursor.h"
#include "layers/psd_pixels.h"
#include "layers/psd_record.h"

/* One document while it is read. All pointers into the file are borrowed until psd_decode returns. */
struct psd_reading {
    const struct layers_limits *limits;
    uint64_t pixels; /* of all layers so far */
    int w, h, channels;
    struct psd_colours colours;
    yyjson_doc *ids;   /* our resource, or NULL */
    bool no_merged;    /* the document says that its flattened image is empty */
    bool transparency; /* the flattened image's first further channel is its alpha */
    struct psd_record *records;
    size_t n_records;
    struct image_info info; /* notes about colours */
    struct layer_stack *out;
    struct layers_assembly assembly;
};

/* Counts an image against the limits before it is made; packed_bytes is what the file has for it. */
ERR_MUST_CHECK enum err_code psd_admit(struct psd_reading *r, const char *what, int64_t w,
                                       int64_t h, size_t packed_bytes, struct err *e);

/* Pixels to RGBA in sRGB; releases px and keeps the notes about colours. Caller frees out. */
ERR_MUST_CHECK enum err_code psd_reading_finish(struct psd_reading *r, struct psd_pixels *px,
                                                struct image *out, struct err *e);

/* The layer section into r->out. No layers is no failure. */
ERR_MUST_CHECK enum err_code psd_read_layers(struct psd_cursor *section, struct psd_reading *r,
                                             struct err *e);

/* Adds the rectangles of its records to out. */
ERR_MUST_CHECK enum err_code psd_measure_layers(struct psd_cursor *section, struct psd_reading *r,
                                                struct layers_size *out, struct err *e);

/* The flattened image, with c behind the layer section: as the only layer of r->out, or against its layers. */
ERR_MUST_CHECK enum err_code psd_flat_as_layer(struct psd_cursor *c, struct psd_reading *r,
                                               struct err *e);
ERR_MUST_CHECK enum err_code psd_check_merged(struct psd_cursor *c, struct psd_reading *r,
                                              struct err *e);

#endif
