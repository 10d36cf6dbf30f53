/* engine_inputs.h - images that a request brings, made ready for a model: mattes, masks, borders. */
#ifndef VT_PIPELINE_ENGINE_INPUTS_H
#define VT_PIPELINE_ENGINE_INPUTS_H

#include "image/image.h"
#include "veetance.h"

/* What images with alpha are put on before a model sees them. */
struct matte {
    bool
        none; /* what lies under alpha is seen, and sizes are made to fit: as the reference implementation does */
    unsigned char rgb[3];
};

/* text NULL is white. ERR_ARG when it is neither a colour nor "none". */
ERR_MUST_CHECK enum err_code matte_parse(const char *text, struct matte *out, struct err *e);

struct engine_inputs {
    /* As the model sees them: without alpha, unless the matte is "none". */
    struct image images[VT_MAX_IMAGES];
    /* The first with its alpha, and with the border that was asked for. Kept parts come back from it. */
    struct image original;
    struct image mask; /* no alpha */
    /* Cropped: the first image, original and mask are this region of the whole, which has its alpha. */
    struct image whole;
    struct image_rect region;
    bool has_mask, inpaint, as_reference, cropped;
};

/* rq was checked. Copies what it changes and borrows nothing. */
ERR_MUST_CHECK enum err_code engine_inputs_make(const struct vt_request *rq,
                                                const struct vt_callbacks *cb,
                                                struct engine_inputs *out, struct err *e);
/* Accepts a zeroed struct. */
void engine_inputs_deinit(struct engine_inputs *in);

#endif
