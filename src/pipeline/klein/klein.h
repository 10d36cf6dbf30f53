/* klein.h - FLUX.2-klein: text to image, editing with references, inpainting.
 *
 *   prompt -> Qwen3 -> embeddings            image, references -> VAE encoder -> condition tokens
 *                   \                          /
 *   noise of seed -> transformer, step by step (Euler) -> latents -> VAE decoder -> image
 *
 * Follows the reference's Flux2KleinPipeline and Flux2KleinInpaintPipeline step for step.
 */
#ifndef VT_PIPELINE_KLEIN_KLEIN_H
#define VT_PIPELINE_KLEIN_KLEIN_H

#include <stdatomic.h>

#include "base/str.h"
#include "image/image.h"
#include "pipeline/ahead.h"
#include "pipeline/model_dir.h"
#include "pipeline/placement.h"
#include "pipeline/trace.h"
#include "veetance.h"

struct klein;

/* Opens and checks every component; reads no weights yet. dir and the devices must outlive the model. ahead: NULL, or what
 * was read of it already. */
ERR_MUST_CHECK enum err_code klein_open(const struct model_dir *dir, struct devices on,
                                        struct ahead *ahead, struct klein **out, struct err *e);
void klein_free(struct klein *k);

/* For the plans and runs that follow. On failure none is used. */
ERR_MUST_CHECK enum err_code klein_use_loras(struct klein *k, const struct vt_loras *loras,
                                             struct err *e);

/* Forgets what earlier runs on a dry device left: a plan begins with this. */
void klein_forget_dry(struct klein *k);

/* A request with every default filled in and every image decoded. */
struct klein_request {
    struct str prompt;
    int width, height; /* 0: from the first image, else the model's default */
    int steps, max_tokens;
    uint64_t seed;
    double guidance; /* classifier-free guidance runs when above 1 and the model is not distilled */
    int fast;        /* level of sample/fast.h */
    const struct image *images; /* what the model sees: no alpha, unless as_reference */
    int n_images;
    /* Sizes as the reference implementation has them: references are cut and canvases resampled to whole tokens.
     * Otherwise both are padded and the result is cut back to the image's own size. */
    bool as_reference;
    bool inpaint; /* images[0] is painted in where mask is white, from a noised start */
    const struct image
        *original;            /* inpaint: images[0] with its alpha; kept parts come back from it */
    const struct image *mask; /* NULL: everywhere */
    /* The canvas was cut out of this image, at region: it is worked on at a size of its own (width x height if both are
     * given), and the result is the whole again. NULL: the canvas is the whole. */
    const struct image *whole;
    struct image_rect region;
    double strength;
    int feather;
    bool match_colours, align; /* with images[0]: undo a tint, and a shift of up to a pixel */
    const char *cache_dir;     /* NULL: embeddings are kept in the process only */
};

/* What a run gets besides its request. */
struct klein_run {
    const atomic_bool *cancel;
    const struct vt_callbacks *callbacks; /* may be NULL */
    bool previews;          /* wanted; so that a plan, which has no callbacks, knows */
    int image, image_count; /* for progress */
    struct trace *trace;    /* may be NULL */
    bool trace_blocks;
    struct vt_stats *stats; /* times are added */
};

/* *out: RGB, or RGBA where an inpainting keeps parts that are transparent; freed by the caller. */
ERR_MUST_CHECK enum err_code klein_generate(struct klein *k, const struct klein_request *rq,
                                            const struct klein_run *run, struct image *out,
                                            struct err *e);

/* The same with alpha: the image is edited onto a white and onto a black ground, and solved for what was there before
 * them. *out: RGBA. ERR_ARG when the model puts it on no other ground. */
ERR_MUST_CHECK enum err_code klein_transparent(struct klein *k, const struct klein_request *rq,
                                               const struct klein_run *run, struct image *out,
                                               struct err *e);

/* A mask of quite another shape than the image is refused; of another size it is fine, with a note. */
ERR_MUST_CHECK enum err_code klein_mask_check(const struct image *mask, const struct image *image,
                                              const struct vt_callbacks *cb, struct err *e);

/* Pixels that sides are multiples of. */
int klein_size_unit(const struct klein *k);

#endif
