/* internal.h - shared by the files of this folder only. */
#ifndef VT_PIPELINE_KLEIN_INTERNAL_H
#define VT_PIPELINE_KLEIN_INTERNAL_H

#include "model/flux2/transformer.h"
#include "model/flux2/vae.h"
#include "model/qwen3/qwen3.h"
#include "pipeline/klein/klein.h"
#include "pipeline/loras.h"
#include "pipeline/preview.h"
#include "pipeline/report.h"
#include "sample/fast.h"
#include "sample/size.h"
#include "text/tokenizer.h"

enum {
    KLEIN_EMBEDDINGS_KEPT = 8,
    KLEIN_TEXT_LAYERS = 27, /* the last tapped one; later layers are never loaded */
};

struct klein_embedding {
    char *prompt; /* NULL: slot is free */
    size_t prompt_bytes;
    int max_tokens;
    float *data;             /* [max_tokens, joint_dim] */
    uint64_t used;           /* for least recently used */
    bool dry;                /* made by a dry run: holds nothing */
    enum nn_compute compute; /* that it was made in */
};

struct klein {
    const struct model_dir *dir;
    struct devices on;
    struct tokenizer *tokenizer;
    struct component *text_component, *transformer_component, *vae_component;
    struct qwen3 *text;
    struct flux2_transformer *transformer;
    struct flux2_vae *vae;
    struct loras loras; /* on the transformer */
    int64_t joint_dim;
    struct klein_embedding embeddings[KLEIN_EMBEDDINGS_KEPT];
    uint64_t embedding_clock;
    struct preview preview;
};

/* Condition tokens of reference images. */
struct klein_condition {
    float *latents;       /* [n, channels] */
    struct flux2_id *ids; /* [n] */
    int64_t n;
};

/* What an inpainting run starts from. */
struct klein_canvas {
    struct image image; /* RGB at the working size: what the model sees */
    struct image
        kept; /* RGB or RGBA of the result's size: what comes back where nothing is painted */
    float *pixel_mask; /* [kept.h, kept.w], 0 or 1; NULL: everywhere */
    float *token_mask; /* [tokens]; NULL: everywhere */
    float *latents;    /* [tokens, channels] of the image */
};

/* text.c: embeddings of a prompt, [rq->max_tokens, joint_dim]; borrowed from k until the next call but one.
 * part: of the text stage. */
ERR_MUST_CHECK enum err_code klein_embed(struct klein *k, struct str prompt,
                                         struct report_part part, const struct klein_request *rq,
                                         const struct klein_run *run, const float **out,
                                         struct err *e);
void klein_embeddings_free(struct klein *k);

/* Sizes of a run in pixels. Without images all are the same. */
struct klein_size {
    struct size_px
        limited;         /* inpainting: the canvas scaled down to what the model can do, then ... */
    struct size_px work; /* ... brought to whole tokens: what the model works at */
    struct size_px inner; /* the upper left part of work that is the image; the rest is padding */
    struct size_px
        result; /* what comes out: inner, scaled up again if the canvas was scaled down */
};

/* size.c; notes what was changed. */
ERR_MUST_CHECK enum err_code klein_size_make(const struct klein *k, const struct klein_request *rq,
                                             const struct klein_run *run, struct klein_size *out,
                                             struct err *e);
/* A decoded image of the working size becomes one of the result's. */
ERR_MUST_CHECK enum err_code klein_size_finish(const struct klein_size *s, struct image *image,
                                               struct err *e);

/* canvas.c */
ERR_MUST_CHECK enum err_code klein_canvas_make(struct klein *k, const struct klein_request *rq,
                                               const struct klein_run *run,
                                               const struct klein_size *size,
                                               struct klein_canvas *c, struct err *e);
void klein_canvas_free(struct klein_canvas *c);
ERR_MUST_CHECK enum err_code klein_condition_make(struct klein *k, const struct klein_request *rq,
                                                  const struct klein_canvas *canvas,
                                                  const struct klein_run *run,
                                                  struct klein_condition *c, struct err *e);
void klein_condition_free(struct klein_condition *c);
/* Puts the kept pixels of the canvas back over a finished image (RGB of the same size), which gets alpha where
 * they have some. */
ERR_MUST_CHECK enum err_code klein_canvas_restore(const struct klein_canvas *c, int feather,
                                                  struct image *image, struct err *e);

/* finish.c: undoes what was asked for on a finished image (RGB of the result's size). */
ERR_MUST_CHECK enum err_code klein_finish(const struct klein_request *rq,
                                          const struct klein_canvas *canvas,
                                          const struct klein_run *run, struct image *image,
                                          struct err *e);

/* The whole image with this finished part of it in its place. */
ERR_MUST_CHECK enum err_code klein_canvas_place(const struct klein_request *rq, struct image *image,
                                                struct err *e);

/* Engages one component; its device's governor lets others go if it must. */
ERR_MUST_CHECK enum err_code klein_engage(struct klein *k, struct nn_params *ps,
                                          const struct klein_run *run, struct err *e);

/* image.c: RGB image with sides in whole tokens -> packed, normalised latents [tokens, 4C]. part: of the
 * stage that encodes images. */
ERR_MUST_CHECK enum err_code klein_encode_image(struct klein *k, const struct image *im,
                                                struct report_part part,
                                                const struct klein_run *run, float *tokens,
                                                struct err *e);

/* decode.c: fits the maps when the run wants previews and there are none yet. */
void klein_preview_prepare(struct klein *k, const struct klein_run *run);
/* After a step: shows what the latents would be without their noise. */
void klein_preview_show(struct klein *k, const struct klein_run *run, const struct preview_at *at,
                        int step);

/* One run, from its request to its image. */
struct klein_state {
    struct klein *k;
    const struct klein_request *rq;
    const struct klein_run *run;
    struct klein_size size;
    int w, h;           /* pixels of the working size */
    int64_t rows, cols; /* token grid */
    int64_t tokens, channels;
    const float *pos, *neg; /* prompt embeddings; neg is NULL without guidance */
    struct klein_canvas canvas;
    struct klein_condition cond;
    float *sigmas, *timesteps;
    int first_step;
    float *noise, *latents, *input, *velocity,
        *velocity_neg; /* the last three with condition rows */
    struct flux2_id *ids;
    struct flux2_pass *pass;
    enum flux2_mode mode; /* of the pass */
    struct fast fast;
    struct flux2_kv *kv; /* NULL unless the model was trained for a reference cache */
};

/* run.c: the transformer over this run's tokens, for the state's mode; caller frees. trace: keeps every block's
 * output. */
ERR_MUST_CHECK enum err_code klein_pass_make(struct klein_state *s, bool trace,
                                             struct flux2_pass **out, struct err *e);

/* decode.c: the latents to RGB of the working size. */
ERR_MUST_CHECK enum err_code klein_decode(struct klein_state *s, struct image *out, struct err *e);

/* decode.c; nothing when the run keeps no trace. [1, rows, channels] */
void klein_trace_packed(const struct klein_state *s, const char *name, const float *x,
                        int64_t rows);
void klein_trace_start(const struct klein_state *s);
/* The traced blocks of the first step's conditional pass. */
ERR_MUST_CHECK enum err_code klein_trace_blocks(struct klein_state *s, int step, struct err *e);
/* As vae_call.mid; user: the trace. */
void klein_trace_vae_mid(const char *name, const float *data, const int64_t *dims, int n_dims,
                         void *user);

#endif
