/* synthetic.h - models of the real dimensions with random weights, made on this machine: what
 * `veetance bench` measures without a download.
 *
 * A model is a diffusers folder under a cache folder, of three safetensors files in bf16. It is written
 * beside its place and renamed when it is whole, so that a folder that is there can be used again. The text
 * encoder has only the layers that klein needs; the tokenizer is an embedded model's.
 */
#ifndef VT_BENCH_SYNTHETIC_H
#define VT_BENCH_SYNTHETIC_H

#include "bench/weights.h"
#include "model/flux2/transformer.h"
#include "model/flux2/vae.h"
#include "model/qwen3/qwen3.h"

struct bench_synthetic {
    const char *name; /* what --synthetic takes */
    struct flux2_config transformer;
    struct qwen3_config text;
    struct flux2_vae_config vae;
};

/* NULL when there is none of that name. Static. */
const struct bench_synthetic *bench_synthetic_find(const char *name);
/* Their names in order; NULL at the end. Static string. */
const char *bench_synthetic_name(size_t i);

/* Bytes of weights on disk. */
uint64_t bench_synthetic_bytes(const struct bench_synthetic *s);

/* The model's folder under cache_dir, made if it is not there. NULL cache_dir: $XDG_CACHE_HOME/veetance/bench
 * or ~/.cache/veetance/bench. run's done_before and total are not read. */
ERR_MUST_CHECK enum err_code bench_synthetic_get(const struct bench_synthetic *s,
                                                 const char *tokenizer_dir, const char *cache_dir,
                                                 const struct bench_writing *run, char *out,
                                                 size_t out_size, struct err *e);

/* Tensors and config.json of the networks of a synthetic model, from their dims.
 *
 * Names and shapes are those of the published checkpoints (diffusers and transformers), fused where they are
 * fused. */

void bench_list_transformer(const struct bench_synthetic *s, struct bench_weights *w);
void bench_list_text(const struct bench_synthetic *s, struct bench_weights *w);
void bench_list_vae(const struct bench_synthetic *s, struct bench_weights *w);

void bench_config_transformer(const struct bench_synthetic *s, struct buf *b);
void bench_config_text(const struct bench_synthetic *s, struct buf *b);
void bench_config_vae(const struct bench_synthetic *s, struct buf *b);

#endif
