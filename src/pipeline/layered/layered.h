/* layered.h - Qwen-Image-Layered: one image taken apart into RGBA layers, background first.
 *
 *   prompt, negative prompt -> Qwen2.5-VL -> embeddings        image -> VAE encoder -> condition tokens
 *                                        \                      /
 *   noise of seed for layers + 1 frames -> transformer, step by step (Euler) -> a frame's latents at a time
 *                                                                             -> VAE decoder -> RGBA
 *
 * Frame 0 is the model's own idea of the whole image; the layers are frames 1 .. N. Follows the reference's
 * QwenImageLayeredPipeline step for step, for any working size. On a device with memory of its own one
 * component is engaged at a time; the blocks' modulation goes into tables before the run
 * (model/qwen_image/transformer.h).
 */
#ifndef VT_PIPELINE_LAYERED_LAYERED_H
#define VT_PIPELINE_LAYERED_LAYERED_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/str.h"
#include "image/image.h"
#include "pipeline/ahead.h"
#include "pipeline/model_dir.h"
#include "pipeline/placement.h"
#include "pipeline/trace.h"
#include "text/chat.h"
#include "veetance.h"

enum {
    LAYERED_MAX_LAYERS = 10,
    LAYERED_SIDE_UNIT = 32, /* sides of the working size are multiples of this */
    LAYERED_MAX_RESOLUTION = 4096,
};

struct layered;

/* Opens and checks every component; reads no weights yet. dir and the devices must outlive the model. ahead: NULL, or what
 * was read of it already. */
ERR_MUST_CHECK enum err_code layered_open(const struct model_dir *dir, struct devices on,
                                          struct ahead *ahead, struct layered **out, struct err *e);
void layered_free(struct layered *l);

/* For the plans and runs that follow. On failure none is used. */
ERR_MUST_CHECK enum err_code layered_use_loras(struct layered *l, const struct vt_loras *loras,
                                               struct err *e);

/* A request with every default filled in. */
struct layered_request {
    const struct image *image; /* any mode; worked on as RGBA */
    /* RGB that is seen where alpha is 0; NULL: what lies there, as the reference implementation has it. */
    const unsigned char *matte;
    /* What is in the image. Empty or a single space: the vision model is asked, in this language. */
    struct str prompt;
    enum chat_language language;
    struct str negative;
    bool
        guided; /* use the negative prompt at all; no guidance also when its scale is not above 1 */
    double guidance;    /* its scale */
    bool cfg_normalize; /* give guided tokens the length that they have without guidance */
    int layers;         /* 1 to LAYERED_MAX_LAYERS */
    int steps, max_tokens;
    int resolution; /* the working size has about this number of pixels squared */
    uint64_t seed;
    int fast;                 /* level of sample/fast.h */
    bool in_place_modulation; /* keep the modulation's weights engaged instead of making tables */
};

/* What a run gets besides its request. */
struct layered_run {
    const atomic_bool *cancel;            /* may be NULL */
    const struct vt_callbacks *callbacks; /* may be NULL */
    bool previews;       /* wanted; so that a plan, which has no callbacks, knows */
    struct trace *trace; /* may be NULL */
    bool trace_blocks;
    struct vt_stats *stats; /* times are added */
};

struct layered_result {
    int w, h, layers;
    float *planes; /* [layers, 4, h, w] RGBA, straight alpha, -1 to 1; bottom layer first */
    float *frame;  /* [4, h, w]: the model's own composite (frame 0) */
    struct image
        image; /* RGBA: the source at the working size, as the model saw it (but of 8 bits) */
    struct buf caption; /* the prompt that the vision model gave; empty when one was given */
    size_t table_bytes; /* on the host; 0 when the modulation was evaluated in place */
    double table_seconds;
    uint64_t
        table_weight_bytes; /* of the weights that the tables stand for: never engaged with the rest */
};

/* The working size of an image. ERR_ARG for an image too narrow to have one. */
ERR_MUST_CHECK enum err_code layered_size(const struct image *image, int resolution, int *w, int *h,
                                          struct err *e);

ERR_MUST_CHECK enum err_code layered_decompose(struct layered *l, const struct layered_request *rq,
                                               const struct layered_run *run,
                                               struct layered_result *out, struct err *e);
/* The same on dry devices, for a plan. An image without a prompt gets the longest caption. */
ERR_MUST_CHECK enum err_code layered_rehearse(struct layered *l, const struct layered_request *rq,
                                              bool previews, struct err *e);
/* Accepts NULL and a zeroed result. */
void layered_result_free(struct layered_result *r);

/* [4, h, w] -> 8-bit RGBA of that size. The caller frees *out. */
ERR_MUST_CHECK enum err_code layered_to_image(const float *planes, int w, int h, struct image *out,
                                              struct err *e);

#endif
