/* internal.h - shared by the files of this folder only. */
#ifndef VT_PIPELINE_LAYERED_INTERNAL_H
#define VT_PIPELINE_LAYERED_INTERNAL_H

#include "model/qwen2_5_vl/language.h"
#include "model/qwen_image/transformer.h"
#include "model/qwen_image/vae.h"
#include "pipeline/caption/caption.h"
#include "pipeline/layered/layered.h"
#include "pipeline/loras.h"
#include "pipeline/preview.h"
#include "pipeline/report.h"
#include "text/tokenizer.h"

struct layered {
    const struct model_dir *dir;
    struct devices on;
    struct tokenizer *tokenizer;
    struct component *text_component, *transformer_component, *vae_component;
    struct qwen_vl *text;
    struct qwen_image_transformer *transformer;
    struct qwen_image_vae *vae;
    struct loras loras;          /* on the transformer */
    struct captioner *captioner; /* opened when an image comes without a prompt */
    int64_t joint_dim;
    struct preview preview;
};

/* Pixels along a token's side. */
int layered_unit(const struct layered *l);

/* Engages one component; its device's governor lets others go if it must. */
ERR_MUST_CHECK enum err_code layered_engage(struct layered *l, struct nn_params *ps,
                                            const struct layered_run *run, struct err *e);
/* The same for all of the blocks' modulation, beside what is engaged; and off again, where it takes room. */
ERR_MUST_CHECK enum err_code
layered_engage_modulation(struct layered *l, const struct layered_run *run, struct err *e);
void layered_release_modulation(struct layered *l);

/* caption.c: what the vision model sees in the image (RGBA of the working size); the first of `parts` of
 * the text stage. */
ERR_MUST_CHECK enum err_code layered_caption(struct layered *l, const struct image *image,
                                             enum chat_language language,
                                             const struct layered_run *run, int parts,
                                             struct buf *out, struct err *e);

/* image.c: a prompt's embeddings [n, joint_dim]; the caller frees data with mem_free. */
struct layered_text {
    float *data;
    int64_t n;
};
struct layered_prompt {
    struct str text;
    int max_tokens;
    struct report_part part; /* of the text stage */
};
ERR_MUST_CHECK enum err_code layered_embed(struct layered *l, const struct layered_prompt *prompt,
                                           const struct layered_run *run, struct layered_text *out,
                                           struct err *e);
/* RGBA of the working size -> packed, normalised latents [tokens, 4C]. */
ERR_MUST_CHECK enum err_code layered_encode_image(struct layered *l, const struct image *image,
                                                  const struct layered_run *run, float *tokens,
                                                  struct err *e);
/* image.c: fits the maps when the run wants previews and there are none yet. */
void layered_preview_prepare(struct layered *l, const struct layered_run *run);
/* After a step: what the layers would be without their noise; `first` is the bottom one, the others follow. */
void layered_preview_show(const struct layered *l, const struct layered_run *run,
                          const struct preview_at *first, int layers, int step);
/* Whether what is decoded fits into `available` bytes of the host's memory (0: unknown): the decoded layers wait
 * there, in float32, until all are there. A system that is asked for too much ends the process, much later. */
ERR_MUST_CHECK enum err_code layered_check_room(int layers, int w, int h, uint64_t available,
                                                struct err *e);
/* Packed latents [frames, tokens, 4C] -> out->frame and out->planes. */
ERR_MUST_CHECK enum err_code layered_decode_frames(struct layered *l, const float *latents,
                                                   const struct layered_run *run,
                                                   struct layered_result *out, struct err *e);

#endif
