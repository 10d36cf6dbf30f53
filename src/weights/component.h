/* component.h - a checkpoint seen as one network: which one it is, and its tensors by canonical name.
 *
 * Canonical names are those of the Hugging Face classes (diffusers for transformers and VAEs,
 * transformers for text encoders), always in their unfused form, whatever the file calls them. One
 * table a naming turns a canonical name into a stored tensor, or into a range of its rows:
 *
 *   canonical                                   stored (model maker's naming)       rows
 *   transformer_blocks.0.attn.to_k.weight       double_blocks.0.img_attn.qkv.weight 1/3 .. 2/3
 *   norm_out.scale.weight, norm_out.shift.weight  (halves of norm_out.linear / adaLN_modulation.1; the
 *                                               two namings store the halves in opposite order)
 *
 * so rows of a fused matrix are used in place. The kind is told from tensors and shapes, never from file
 * names. What a component's canonical names are beyond those of its class:
 *
 *   FLUX.2      single_transformer_blocks.N.attn.to_q / to_k / to_v and .proj_mlp: rows of
 *               attn.to_qkv_mlp_proj, which is there as a whole, too
 *   Qwen2.5-VL  model.layers.N..., model.embed_tokens, model.norm, lm_head, visual.... in every file;
 *               visual.blocks.N.attn.q / k / v; visual.patch_embed.proj.weight [C, 3, 2, P, P], or from
 *               llama.cpp's files its two temporal slices [C, 3, P, P] as ....weight.0 and ....weight.1
 *   Qwen VAE    mid_block.attentions.0.to_q / to_k / to_v beside to_qkv
 *
 * docs/formats/naming.md lists the namings.
 */
#ifndef VT_WEIGHTS_COMPONENT_H
#define VT_WEIGHTS_COMPONENT_H

#include "weights/view.h"

enum component_kind {
    COMPONENT_UNKNOWN,
    COMPONENT_FLUX2_TRANSFORMER,
    COMPONENT_FLUX2_VAE,
    COMPONENT_QWEN3,                  /* text encoder of FLUX.2-klein */
    COMPONENT_QWEN_IMAGE_TRANSFORMER, /* layered when time_text_embed.addition_t_embedding is there */
    COMPONENT_QWEN_IMAGE_VAE,         /* 3 or 4 channels */
    COMPONENT_QWEN2_5_VL,             /* language model, with or without the vision tower */
    COMPONENT_QWEN2_5_VL_VISION,      /* a vision tower alone (llama.cpp's mmproj) */
    COMPONENT_COUNT,
};

/* "FLUX.2 transformer", ... for messages; "flux2_transformer", ... for JSON. Static strings. */
const char *component_kind_title(enum component_kind k);
const char *component_kind_id(enum component_kind k);

struct component;

/* Opens and recognises. A checkpoint that is none of the known kinds: ERR_FORMAT with what it looks like.
 * wanted = COMPONENT_UNKNOWN accepts any known kind; otherwise another kind is refused, both named, and so is what
 * component_check refuses. A file with several networks in it gives the wanted one. */
ERR_MUST_CHECK enum err_code component_open(const char *path, enum component_kind wanted,
                                            struct component **out, struct err *e);
/* The same for an opened checkpoint, which then belongs to the component (closed also on failure). */
ERR_MUST_CHECK enum err_code component_from_checkpoint(struct checkpoint *cp,
                                                       enum component_kind wanted,
                                                       struct component **out, struct err *e);
void component_close(struct component *c);

enum component_kind component_kind(const struct component *c);
/* "diffusers", "bfl", "wan", "transformers", "transformers-nested", "transformers-bare", "llama.cpp". */
const char *component_naming(const struct component *c);
const struct checkpoint *component_checkpoint(const struct component *c);

/* One line of its main numbers, for messages: "Qwen3 text encoder (hidden 2560, 36 layers)". */
void component_describe(const struct component *c, char *out, size_t n);

/* Is the canonical tensor there at all? (Optional parts, counting of blocks.) */
bool component_has(const struct component *c, const char *name);

/* Finds a canonical tensor and checks its shape. dims in reading order; a dim of -1 accepts anything.
 * Trailing and leading 1-dims that namings differ in ([C, C, 1, 1] for [C, C]) are accepted; the view
 * has the wanted rank then. n_dims of -1 accepts any shape as stored.
 * Errors name the canonical and stored name, expected and found shape or dtype; a missing one:
 * ERR_NOTFOUND. */
ERR_MUST_CHECK enum err_code component_find(const struct component *c, const char *name, int n_dims,
                                            const int64_t *dims, struct weights_view *out,
                                            struct err *e);

/* Can a pipeline use it? ERR_FORMAT when it only looks like a network of its kind, or when its numbers are stored
 * in an unknown form or with unknown scales: the values would be silently wrong. */
ERR_MUST_CHECK enum err_code component_check(const struct component *c, struct err *e);
/* Stored tensors that networks of this kind do not have and that are not known as harmless: up to max names,
 * borrowed; returns how many there are. */
size_t component_leftovers(const struct component *c, const char **names, size_t max);
/* Stored bytes of its tensors: less than the file's where that holds other networks, too. */
uint64_t component_bytes(const struct component *c);
/* The kinds of the networks in a checkpoint (a file may hold a transformer, its text encoder and its VAE): up to
 * COMPONENT_COUNT of them; returns how many. */
int component_kinds(const struct checkpoint *cp, enum component_kind *out);

/* One number read from a canonical tensor's shape, for recognising (e.g. dim 1 of x_embedder.weight);
 * -1 when absent. */
int64_t component_dim(const struct component *c, const char *name, int dim);
/* How many consecutive blocks "prefix.0.", "prefix.1.", ... exist (e.g. "transformer_blocks"). */
int64_t component_block_count(const struct component *c, const char *prefix);

#endif
