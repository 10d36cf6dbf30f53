/* synthetic_list.h - tensors and config.json of the networks of a synthetic model, from their dims.
 *
 * Names and shapes are those of the published checkpoints (diffusers and transformers), fused where they are
 * fused. */
#ifndef VT_BENCH_SYNTHETIC_LIST_H
#define VT_BENCH_SYNTHETIC_LIST_H

#include "bench/synthetic.h"

void bench_list_transformer(const struct bench_synthetic *s, struct bench_weights *w);
void bench_list_text(const struct bench_synthetic *s, struct bench_weights *w);
void bench_list_vae(const struct bench_synthetic *s, struct bench_weights *w);

void bench_config_transformer(const struct bench_synthetic *s, struct buf *b);
void bench_config_text(const struct bench_synthetic *s, struct buf *b);
void bench_config_vae(const struct bench_synthetic *s, struct buf *b);

#endif
