/* nodes.h - the blocks of a network as nodes of a graph on an NVIDIA card, and how each is launched.
 *
 * A node of ours is a custom node of ggml that carries a row of a table (what it is called, how it is launched, what
 * scratch it needs) and a few parameters; ggml never runs it. Plain operations of ggml that models use are launched, too
 * (plain.c); an operation without a launcher is refused by name when a graph is prepared.
 *
 * What nodes read and write is bf16 between products, and float32 in exact graphs and along the residual stream.
 * Images are held with their channels last: such a tensor looks like [channels, height, width] with other strides.
 *
 * Each builder gives NULL when the graph is not on such a card.
 */
#ifndef VT_NN_NVIDIA_NODES_H
#define VT_NN_NVIDIA_NODES_H

#include "nn/nvidia/card.h"
#include "nn/moments.h"
#include "nn/ops.h"
#include "nn/project.h"

/* ---- linear layers: linear.c ------------------------------------------------------------------------------ */

/* residual + gate * act(x W^T + b), or silu(x W^T + b) * (x W2^T + b2). NULL leaves a part out. */
struct nv_linear {
    struct ggml_tensor *x; /* [tokens, in] */
    const struct nn_param *w, *w2, *b, *b2;
    bool halves; /* instead of w2: W is the first half of w's rows, W2 the second */
    struct ggml_tensor *gate, *residual; /* [1, out], [tokens, out] */
    enum nv_act act;
    bool for_product; /* the result is read by products alone: bf16 where they are of bf16 */
};
struct ggml_tensor *nv_linear(struct nn_graph *g, const struct nv_linear *l);
struct nv_job;
/* By the kernel that suits the sizes and types. */
enum err_code nv_gemm_launch(const struct nv_job *j, struct nv_gemm *g);
/* ggml's own product. */
enum err_code nv_mul_mat_launch(const struct nv_job *j);

/* ---- queries, keys and values at once: project.c ------------------------------------------------------------ */

/* NULL also where separate layers are better. */
struct ggml_tensor *nv_project(struct nn_graph *g, struct ggml_tensor *x,
                               const struct nn_projections *p);
/* The views of its result. */
struct nn_qkv nv_heads_of(struct nn_graph *g, struct ggml_tensor *all,
                          const struct nn_projections *p);

/* ---- rows: rows.c ----------------------------------------------------------------------------------------- */

struct nv_row_norm {
    struct ggml_tensor *x;
    enum nv_norm_kind kind;
    const struct nn_param *weight;
    struct ggml_tensor *scale, *shift; /* times 1 + scale, plus shift */
    float eps;
    bool silu;        /* of the result */
    bool for_product; /* as in nv_linear */
};
struct ggml_tensor *nv_row_norm(struct nn_graph *g, const struct nv_row_norm *n);
/* w NULL: no norm. */
struct ggml_tensor *nv_head_norm_rope(struct nn_graph *g, struct ggml_tensor *x,
                                      const struct nn_param *w, float eps, struct ggml_tensor *cos,
                                      struct ggml_tensor *sin, bool pairs, bool for_product);
struct ggml_tensor *nv_silu_mul(struct nn_graph *g, struct ggml_tensor *gate,
                                struct ggml_tensor *up);
/* SiLU or GELU, the layout kept. */
struct ggml_tensor *nv_activation(struct nn_graph *g, struct ggml_tensor *x, enum nv_map_op op);

/* The rows that x, a result of nv_row_norm, has, in 8 bits of this enum nv_type; NULL: x is something else. */
struct ggml_tensor *nv_norm_to_eight(struct nn_graph *g, const struct ggml_tensor *x, int type);

/* ---- products of 8 bits: eight.c --------------------------------------------------------------------------- */

/* enum nv_type of 8 bits. 0 for the default. */
int nv_eight_type(enum nn_compute c);
/* x as rows in 8 bits, each with its scale: I8 [rows, nv_eight_row(dim)]. Several products of one x share it. */
struct ggml_tensor *nv_eight_rows(struct nn_graph *g, struct ggml_tensor *x, enum nn_compute c);
int64_t nv_eight_row(int64_t dim);
/* What is in such a tensor. */
struct nv_eight {
    int64_t dim;
    const float *scales;
    int64_t ld_scales; /* floats between the scales of two rows */
};
struct nv_eight nv_eight_of(const struct ggml_tensor *x);

/* ---- attention: attention.c ------------------------------------------------------------------------------- */

struct nv_attend {
    struct ggml_tensor *q, *k, *v, *mask;
    bool causal; /* the mask hides at least every key behind its query */
    struct ggml_tensor
        *keys; /* int32: beside those the mask hides only keys from there on; NULL: not known */
    float scale;
};
struct ggml_tensor *nv_attend(struct nn_graph *g, const struct nv_attend *a);

/* ---- joining: join.c -------------------------------------------------------------------------------------- */

/* b behind a along an axis of ne. The nodes that make a and b write into the joined tensor where they can. */
struct ggml_tensor *nv_join(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b,
                            int axis);

/* ---- images: image.c -------------------------------------------------------------------------------------- */

/* Added to residual, unless that is NULL. */
struct ggml_tensor *nv_conv2d(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x, int stride,
                              struct nn_padding pad, struct ggml_tensor *residual);
/* sums: means and variances of the whole image's channels, NULL: of x. */
struct ggml_tensor *nv_group_norm(struct nn_graph *g, struct ggml_tensor *x,
                                  struct ggml_tensor *sums, const struct nn_group_norm *norm);
/* ne = channels, 2: means, and sums of squared distances from them. */
struct ggml_tensor *nv_channel_moments(struct nn_graph *g, struct ggml_tensor *x);
struct ggml_tensor *nv_upsample2x(struct nn_graph *g, struct ggml_tensor *x);
struct ggml_tensor *nv_add_images(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b);
struct ggml_tensor *nv_pixels_to_tokens(struct nn_graph *g, struct ggml_tensor *x);
struct ggml_tensor *nv_tokens_to_pixels(struct nn_graph *g, struct ggml_tensor *x, int64_t height,
                                        int64_t width);

/* ---- what the files above share: nodes.c -------------------------------------------------------------------- */

struct nv_job {
    struct nv_card *card;
    struct ggml_tensor *t; /* every address in place */
    nv_ptr scratch;
    struct err *e;
};

struct nv_op {
    const char *name;
    enum err_code (*launch)(const struct nv_job *j);
    size_t (*scratch)(const struct ggml_tensor *t); /* NULL: none */
    double (*flops)(const struct ggml_tensor *t);   /* NULL: nothing to count */
    /* The source over which the result may be written; NULL, as the function or as its word: none. */
    struct ggml_tensor *(*in_place)(const struct ggml_tensor *t);
    bool strided; /* writes rows at any distance: may write into a part of a wider tensor */
};

/* Whether g is on a card of ours. */
bool nv_is_on(const struct nn_graph *g);
/* What products read. */
enum ggml_type nv_product_type(const struct nn_graph *g);

struct nv_node {
    const struct nv_op *op;
    enum ggml_type type;
    int64_t ne[4];
    struct ggml_tensor **src; /* with NULL for what is left out */
    int n_src;
    const void *params; /* at most NV_PARAM_BYTES */
    size_t params_bytes;
};
enum { NV_PARAM_BYTES = 40, NV_MAX_SRC = 9 };

struct ggml_tensor *nv_node_new(struct nn_graph *g, const struct nv_node *n);
/* NULL for a node that is not ours. */
const struct nv_op *nv_op_of(const struct ggml_tensor *t);
/* Copies the parameters of a node of ours. */
void nv_params_of(const struct ggml_tensor *t, void *out, size_t bytes);

/* x converted and made contiguous in one step; x itself where it is both already. */
struct ggml_tensor *nv_as(struct nn_graph *g, struct ggml_tensor *x, enum ggml_type type);
/* x as rows [rows, n] of what products read, values of a row side by side. Several products of one x share it. */
struct ggml_tensor *nv_rows_for_product(struct nn_graph *g, struct ggml_tensor *x);

/* `src` where it has t's type and place for place the same elements, else NULL: for nv_op's in_place. */
struct ggml_tensor *nv_if_congruent(const struct ggml_tensor *t, struct ggml_tensor *src);

int nv_type_of(const struct ggml_tensor *t); /* enum nv_type */
size_t nv_type_bytes(int type);
/* A map for the kernels of sm_90a: rows of k numbers (bf16 or of 8 bits), `ld` numbers apart, in boxes of 128 bytes by box_rows. */
ERR_MUST_CHECK enum err_code nv_rows_map(const struct nv_job *j, const void *p, int type, int64_t k,
                                         int64_t rows, int64_t ld, uint32_t box_rows,
                                         struct nv_tensor_map *out);
/* Elements between rows (dimension d) of t. */
int64_t nv_stride(const struct ggml_tensor *t, int d);

/* ---- plain operations of ggml: plain.c ---------------------------------------------------------------------- */

bool nv_plain_known(const struct ggml_tensor *t);
enum err_code nv_plain_launch(const struct nv_job *j);
/* One map (kernels.h) with sources a and b (NULL: none). */
struct nv_map_job {
    const struct ggml_tensor *a, *b;
    struct ggml_tensor *y;
    enum nv_map_op op;
    float p[2];
    int q[4];
};
enum err_code nv_map_launch(const struct nv_job *j, const struct nv_map_job *job);

#endif
