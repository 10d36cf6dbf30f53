/* small.c - norms, rotary embedding, joins and conversions: operations that read and write each value once.
 *
 * They are limited by memory and not by arithmetic, so each fuses what it can (norm with modulation, norm with
 * rotation) and writes bf16 where the next reader is a bf16 product: that halves the bytes. Work is shared out by
 * rows, and a row is computed by one thread in one order, so the number of threads does not change a result. Rows
 * may lie at any stride; values within a row must lie side by side, and a builder answers NULL when they do not.
 */
#include <string.h>

#include "nn/cpu/nodes.h"

/* Row r of a tensor of up to three outer dimensions, wherever it lies. */
static const void *row_at(const struct ggml_tensor *t, int64_t r)
{
    int64_t i1 = r % t->ne[1], i2 = r / t->ne[1] % t->ne[2], i3 = r / t->ne[1] / t->ne[2];
    return (const unsigned char *)t->data + (size_t)i1 * t->nb[1] + (size_t)i2 * t->nb[2] +
           (size_t)i3 * t->nb[3];
}

/* ---- float32 to bf16 ---------------------------------------------------------------------------------- */

void nn_cpu_to_bf16_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    (void)user;
    const struct ggml_tensor *x = dst->src[0];
    const struct vec *v = vec_get();
    int64_t first, last, n = x->ne[0];
    nn_cpu_share(ggml_nrows(x), ith, nth, &first, &last);
    for (int64_t r = first; r < last; r++)
        v->to_bf16(row_at(x, r), (uint16_t *)dst->data + r * n, n);
}

struct ggml_tensor *nn_cpu_to_bf16(struct nn_graph *g, struct ggml_tensor *x)
{
    if (x->nb[0] != sizeof(float))
        x = ggml_cont(nn_ctx(g), x);
    return ggml_custom_4d(nn_ctx(g), GGML_TYPE_BF16, x->ne[0], x->ne[1], x->ne[2], x->ne[3], &x, 1,
                          nn_cpu_to_bf16_op, GGML_N_TASKS_MAX, NULL);
}

/* ---- norms --------------------------------------------------------------------------------------------- */

enum { NORM_RMS = 1, NORM_WEIGHT = 2, NORM_MODULATED = 4 };

void nn_cpu_norm_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    const struct ggml_tensor *x = dst->src[0];
    const struct vec *v = vec_get();
    uint32_t flags = nn_cpu_low(user);
    const struct vec_norm job = {
        .weight = flags & NORM_WEIGHT ? dst->src[1]->data : NULL,
        .scale = flags & NORM_MODULATED ? dst->src[1]->data : NULL,
        .shift = flags & NORM_MODULATED ? dst->src[2]->data : NULL,
        .eps = nn_cpu_high(user),
        .rms = (flags & NORM_RMS) != 0,
        .bf16 = dst->type == GGML_TYPE_BF16,
    };
    int64_t first, last, n = x->ne[0];
    nn_cpu_share(ggml_nrows(x), ith, nth, &first, &last);
    for (int64_t r = first; r < last; r++)
        v->norm(&job, row_at(x, r), (unsigned char *)dst->data + (size_t)r * dst->nb[1], n);
}

/* The input type of linear layers and attention where products use bf16. */
static enum ggml_type product_type(enum nn_cpu_mode mode)
{
    return mode == NN_CPU_BF16 ? GGML_TYPE_BF16 : GGML_TYPE_F32;
}

static bool plain_row(const struct ggml_tensor *t, int64_t n)
{
    return t->type == GGML_TYPE_F32 && t->nb[0] == sizeof(float) && t->ne[0] == n &&
           ggml_nrows(t) == 1;
}

static struct ggml_tensor *norm_node(struct nn_graph *g, enum nn_cpu_mode mode,
                                     struct ggml_tensor **src, int n_src, uint32_t flags, float eps)
{
    const struct ggml_tensor *x = src[0];
    return ggml_custom_4d(nn_ctx(g), product_type(mode), x->ne[0], x->ne[1], x->ne[2], x->ne[3],
                          src, n_src, nn_cpu_norm_op, GGML_N_TASKS_MAX, nn_cpu_pack(flags, eps));
}

struct ggml_tensor *nn_cpu_rms_norm(struct nn_graph *g, struct ggml_tensor *x,
                                    struct ggml_tensor *weight, float eps)
{
    enum nn_cpu_mode mode = nn_cpu_mode(g);
    if (mode == NN_CPU_GGML || x->type != GGML_TYPE_F32 || x->nb[0] != sizeof(float) ||
        !plain_row(weight, x->ne[0]))
        return NULL;
    return norm_node(g, mode, (struct ggml_tensor *[]){x, weight}, 2, NORM_RMS | NORM_WEIGHT, eps);
}

struct ggml_tensor *nn_cpu_norm_modulate(struct nn_graph *g, struct ggml_tensor *x,
                                         struct ggml_tensor *shift, struct ggml_tensor *scale,
                                         float eps)
{
    enum nn_cpu_mode mode = nn_cpu_mode(g);
    if (mode == NN_CPU_GGML || x->type != GGML_TYPE_F32 || x->nb[0] != sizeof(float) ||
        !plain_row(shift, x->ne[0]) || !plain_row(scale, x->ne[0]))
        return NULL;
    return norm_node(g, mode, (struct ggml_tensor *[]){x, scale, shift}, 3, NORM_MODULATED, eps);
}

/* ---- norm and rotation ----------------------------------------------------------------------------------- */

enum { ROPE_PAIRS = 1, ROPE_WEIGHT = 2 };

void nn_cpu_rope_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    const struct ggml_tensor *x = dst->src[0], *cos = dst->src[1], *sin = dst->src[2];
    const struct vec *v = vec_get();
    uint32_t flags = nn_cpu_low(user);
    struct vec_rope job = {
        .weight = flags & ROPE_WEIGHT ? dst->src[3]->data : NULL,
        .eps = nn_cpu_high(user),
        .pairs = (flags & ROPE_PAIRS) != 0,
        .bf16 = dst->type == GGML_TYPE_BF16,
    };
    int64_t first, last;
    nn_cpu_share(x->ne[2], ith, nth, &first, &last);
    for (int64_t t = first; t < last; t++) {
        job.cos = row_at(cos, t);
        job.sin = row_at(sin, t);
        for (int64_t h = 0; h < x->ne[1]; h++)
            v->rope(&job, row_at(x, t * x->ne[1] + h),
                    (unsigned char *)dst->data + (size_t)(t * x->ne[1] + h) * dst->nb[1], x->ne[0]);
    }
}

struct ggml_tensor *nn_cpu_norm_rope(struct nn_graph *g, struct ggml_tensor *x,
                                     struct ggml_tensor *weight, float eps, struct ggml_tensor *cos,
                                     struct ggml_tensor *sin, bool pairs)
{
    enum nn_cpu_mode mode = nn_cpu_mode(g);
    if (mode == NN_CPU_GGML || x->type != GGML_TYPE_F32 || x->nb[0] != sizeof(float) ||
        x->ne[3] != 1 || x->ne[0] % 2 != 0 || (weight && !plain_row(weight, x->ne[0])))
        return NULL;
    struct ggml_tensor *src[] = {x, cos, sin, weight};
    uint32_t flags = (pairs ? ROPE_PAIRS : 0) | (weight ? ROPE_WEIGHT : 0);
    return ggml_custom_4d(nn_ctx(g), product_type(mode), x->ne[0], x->ne[1], x->ne[2], 1, src,
                          weight ? 4 : 3, nn_cpu_rope_op, GGML_N_TASKS_MAX,
                          nn_cpu_pack(flags, eps));
}

/* ---- two tensors side by side ---------------------------------------------------------------------------- */

/* Row r of dst is a row of each, side by side (axis 0), or a row of one of them. */
void nn_cpu_join_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    const struct ggml_tensor *a = dst->src[0], *b = dst->src[1];
    uint32_t axis = nn_cpu_low(user);
    size_t one = ggml_element_size(dst), a_bytes = (size_t)a->ne[0] * one,
           b_bytes = (size_t)b->ne[0] * one;
    int64_t first, last;
    nn_cpu_share(ggml_nrows(dst), ith, nth, &first, &last);
    for (int64_t r = first; r < last; r++) {
        unsigned char *to = (unsigned char *)dst->data + (size_t)r * dst->nb[1];
        int64_t i1 = r % dst->ne[1], i2 = r / dst->ne[1];
        if (axis == 0) {
            memcpy(to, row_at(a, r), a_bytes);
            memcpy(to + a_bytes, row_at(b, r), b_bytes);
        } else if (axis == 1) {
            bool in_a = i1 < a->ne[1];
            memcpy(to,
                   in_a ? row_at(a, i2 * a->ne[1] + i1) : row_at(b, i2 * b->ne[1] + i1 - a->ne[1]),
                   a_bytes);
        } else {
            bool in_a = i2 < a->ne[2];
            memcpy(to, in_a ? row_at(a, r) : row_at(b, r - a->ne[2] * a->ne[1]), a_bytes);
        }
    }
}

struct ggml_tensor *nn_cpu_join(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b,
                                int axis)
{
    if (nn_cpu_mode(g) == NN_CPU_GGML || a->ne[3] != 1 || b->ne[3] != 1 || axis > 2)
        return NULL;
    if (a->type != b->type) {
        a = a->type == GGML_TYPE_F32 ? nn_cpu_to_bf16(g, a) : a;
        b = b->type == GGML_TYPE_F32 ? nn_cpu_to_bf16(g, b) : b;
    }
    if (a->type != b->type || a->nb[0] != ggml_element_size(a) || b->nb[0] != ggml_element_size(b))
        return NULL;
    int64_t ne[3] = {a->ne[0], a->ne[1], a->ne[2]};
    ne[axis] += b->ne[axis];
    return ggml_custom_4d(nn_ctx(g), a->type, ne[0], ne[1], ne[2], 1,
                          (struct ggml_tensor *[]){a, b}, 2, nn_cpu_join_op, GGML_N_TASKS_MAX,
                          nn_cpu_pack((uint32_t)axis, 0));
}
