/* flops.h - how many floating point operations a network takes, counted from its dims.
 *
 * A multiplication and an addition count as two. Counted are linear layers, the two products of attention,
 * and convolutions; norms, activations, rotary embedding and softmax are left out (under 1 % of the whole).
 * Attention is counted in full, also where half of it is masked.
 */
#ifndef VT_BENCH_FLOPS_H
#define VT_BENCH_FLOPS_H

#include "model/flux2/transformer.h"
#include "model/flux2/vae.h"
#include "model/qwen3/qwen3.h"
#include "model/qwen_image/transformer.h"

struct bench_flops {
    double matmul, attention, conv;
};

static inline double bench_flops_total(const struct bench_flops *f)
{
    return f->matmul + f->attention + f->conv;
}

/* The first n_layers of a text encoder on so many tokens. */
struct bench_flops bench_flops_qwen3(const struct qwen3_config *c, int64_t n_layers,
                                     int64_t tokens);
/* One pass of the transformer. */
struct bench_flops bench_flops_flux2(const struct flux2_config *c, int64_t n_text, int64_t n_img);
/* One pass over text, frames and condition; the blocks' modulation comes from tables and does not count. */
struct bench_flops bench_flops_qwen_image(const struct qwen_image_config *c,
                                          const struct qwen_image_layout *l);
/* Latents of h x w to an image. */
struct bench_flops bench_flops_vae_decode(const struct flux2_vae_config *c, int64_t h, int64_t w);

#endif
