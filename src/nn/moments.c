/* moments.c - group normalisation whose sums may come from bands.
 *
 * The same norm in three forms. On the CPU two custom nodes (sums, then normalising) keep four doubles a channel
 * and add rows in one fixed order, so bands and the whole agree bit for bit. On an NVIDIA card the sums are a
 * kernel. On other devices they are ggml's operations in float32: there a band's own mean comes first and squares
 * are taken around it, because x^2 alone would lose the digits that the variance needs.
 *
 * Order for a banded map: every band's sums (nn_moments_take joins them on the host), then every band's
 * normalising with the joined sums (nn_moments_give). A nn_moments_sum belongs to the run that made it; one
 * thread.
 */
#include "nn/moments.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/cpu/cpu.h"
#include "nn/buffer.h"
#include "nn/moments_kern.h"
#include "nn/nvidia/nodes.h"

enum { FLOAT_SUMS_BIT = 1u << 30 };

/* A node's parameters are packed into its user pointer: nothing else lives as long as the node. */
static void *pack(int groups, float eps, enum nn_moments moments)
{
    uint32_t bits, low = (uint32_t)groups | (moments == NN_MOMENTS_FLOAT_SUMS ? FLOAT_SUMS_BIT : 0);
    memcpy(&bits, &eps, sizeof bits);
    return (void *)(uintptr_t)((uint64_t)bits << 32 | low);
}

static void sum_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    const struct ggml_tensor *x = dst->src[0], *carry = dst->src[1];
    int64_t channels = x->ne[2];
    moments_sum_kern((struct moments_sum_job){
        .x = x->data,
        .carry = carry ? carry->data : NULL,
        .state = dst->data,
        .rows = x->ne[1],
        .width = x->ne[0],
        .first = channels * ith / nth,
        .last = channels * (ith + 1) / nth,
        .float_sums = ((uintptr_t)user & FLOAT_SUMS_BIT) != 0,
    });
}

static void apply_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    const struct ggml_tensor *x = dst->src[0];
    uint64_t u = (uintptr_t)user;
    uint32_t bits = (uint32_t)(u >> 32);
    int64_t channels = x->ne[2];
    struct moments_apply_job j = {
        .x = x->data,
        .state = dst->src[1]->data,
        .w = dst->src[2]->data,
        .b = dst->src[3]->data,
        .y = dst->data,
        .channels = channels,
        .pixels = x->ne[0] * x->ne[1],
        .groups = (int64_t)((uint32_t)u & ~(uint32_t)FLOAT_SUMS_BIT),
        .first = channels * ith / nth,
        .last = channels * (ith + 1) / nth,
        .float_sums = (u & FLOAT_SUMS_BIT) != 0,
    };
    memcpy(&j.eps, &bits, sizeof bits);
    moments_apply_kern(j);
}

struct ggml_tensor *nn_moments_input(struct nn_graph *g, int64_t channels)
{
    bool cpu = nn_device_is_cpu(g->device);
    struct ggml_tensor *t =
        cpu ? ggml_new_tensor_2d(nn_ctx(g), GGML_TYPE_F64, MOMENTS_STATE, channels)
            : ggml_new_tensor_3d(nn_ctx(g), GGML_TYPE_F32, 1, channels, 2);
    ggml_set_input(t);
    return t;
}

/* [2, channels]: means, and sums of squared distances from them. */
static struct ggml_tensor *band_moments(struct nn_graph *g, struct ggml_tensor *x)
{
    struct ggml_tensor *rows = ggml_reshape_2d(nn_ctx(g), x, x->ne[0] * x->ne[1], x->ne[2]);
    struct ggml_tensor *mean = ggml_mean(nn_ctx(g), rows);
    struct ggml_tensor *d = ggml_sub(nn_ctx(g), rows, mean);
    struct ggml_tensor *squares = ggml_sum_rows(nn_ctx(g), ggml_sqr(nn_ctx(g), d));
    return ggml_concat(nn_ctx(g), mean, squares, 2);
}

struct ggml_tensor *nn_moments_add(struct nn_graph *g, struct ggml_tensor *x,
                                   struct ggml_tensor *carry, enum nn_moments moments)
{
    if (nn_device_card(g->device))
        return nv_channel_moments(g, x);
    if (!nn_device_is_cpu(g->device))
        return band_moments(g, x);
    struct ggml_tensor *args[] = {x, carry};
    return ggml_custom_4d(nn_ctx(g), GGML_TYPE_F64, MOMENTS_STATE, x->ne[2], 1, 1, args,
                          carry ? 2 : 1, sum_op, GGML_N_TASKS_MAX, pack(0, 0, moments));
}

static struct ggml_tensor *apply_on_cpu(struct nn_graph *g, struct ggml_tensor *x,
                                        struct ggml_tensor *sums, const struct nn_group_norm *norm)
{
    struct ggml_tensor *args[] = {x, sums, norm->w->t, norm->b->t};
    return ggml_custom_4d(nn_ctx(g), GGML_TYPE_F32, x->ne[0], x->ne[1], x->ne[2], 1, args, 4,
                          apply_op, GGML_N_TASKS_MAX, pack(norm->groups, norm->eps, norm->moments));
}

static struct ggml_tensor *apply_by_ops(struct nn_graph *g, struct ggml_tensor *x,
                                        struct ggml_tensor *sums, const struct nn_group_norm *norm)
{
    int64_t channels = x->ne[2];
    struct ggml_tensor *mean =
        ggml_view_3d(nn_ctx(g), sums, 1, 1, channels, sums->nb[1], sums->nb[1], 0);
    struct ggml_tensor *r =
        ggml_view_3d(nn_ctx(g), sums, 1, 1, channels, sums->nb[1], sums->nb[1], sums->nb[2]);
    struct ggml_tensor *w = ggml_reshape_3d(nn_ctx(g), norm->w->t, 1, 1, channels);
    struct ggml_tensor *b = ggml_reshape_3d(nn_ctx(g), norm->b->t, 1, 1, channels);
    struct ggml_tensor *scale = ggml_mul(nn_ctx(g), w, r);
    struct ggml_tensor *shift = ggml_sub(nn_ctx(g), b, ggml_mul(nn_ctx(g), scale, mean));
    return ggml_add(nn_ctx(g), ggml_mul(nn_ctx(g), x, scale), shift);
}

struct ggml_tensor *nn_moments_apply(struct nn_graph *g, struct ggml_tensor *x,
                                     struct ggml_tensor *sums, const struct nn_group_norm *norm)
{
    struct ggml_tensor *y = nv_group_norm(g, x, sums, norm);
    if (y)
        return y;
    if (nn_device_is_cpu(g->device))
        y = apply_on_cpu(g, x, sums ? sums : nn_moments_add(g, x, NULL, norm->moments), norm);
    else if (sums)
        y = apply_by_ops(g, x, sums, norm);
    else
        y = nn_group_norm(g, x, norm->w, norm->b, norm->groups, norm->eps, norm->moments);
    return norm->silu ? nn_silu(g, y) : y;
}

bool nn_moments_norm_of(const struct ggml_tensor *t, struct nn_moments_norm *out)
{
    if (nn_cpu_function(t) != apply_op)
        return false;
    uint32_t low = nn_cpu_low(nn_cpu_user(t));
    *out = (struct nn_moments_norm){.groups = (int)(low & ~(uint32_t)FLOAT_SUMS_BIT),
                                    .eps = nn_cpu_high(nn_cpu_user(t))};
    return (low & FLOAT_SUMS_BIT) == 0;
}

/* ---- on the host ----------------------------------------------------------------------------------- */

enum err_code nn_moments_sum_init(struct nn_moments_sum *s, int64_t channels, struct err *e)
{
    *s = (struct nn_moments_sum){.channels = channels};
    s->state = mem_try_array((size_t)channels, MOMENTS_STATE * sizeof *s->state);
    s->scratch = mem_try_array((size_t)channels, 2 * sizeof *s->scratch);
    return s->state && s->scratch ? ERR_OK
                                  : err_set(e, ERR_NOMEM, "no memory for the sums of a norm");
}

void nn_moments_sum_deinit(struct nn_moments_sum *s)
{
    mem_free(s->state);
    mem_free(s->scratch);
    *s = (struct nn_moments_sum){0};
}

/* Means and variances of channels, [2, channels] in float32: a card makes groups of them itself. */
static void give_channels(const struct nn_moments_sum *s, struct nn_graph *g,
                          struct ggml_tensor *input)
{
    for (int64_t c = 0; c < s->channels; c++) {
        struct moments_pair p = moments_of_group(s->state + c * MOMENTS_STATE, 1, false);
        s->scratch[c] = (float)p.mean;
        s->scratch[s->channels + c] = (float)p.variance;
    }
    nn_graph_set_bytes(g, input, s->scratch);
}

/* Means and 1 / sqrt(var + eps), [2, channels] in float32. */
static void give_norm(const struct nn_moments_sum *s, struct nn_graph *g, struct ggml_tensor *input,
                      const struct nn_group_norm *norm)
{
    int64_t per = s->channels / norm->groups;
    for (int64_t i = 0; i < norm->groups; i++) {
        struct moments_pair p = moments_of_group(s->state + i * per * MOMENTS_STATE, per, false);
        for (int64_t c = i * per; c < (i + 1) * per; c++) {
            s->scratch[c] = (float)p.mean;
            s->scratch[s->channels + c] = 1.0f / sqrtf((float)p.variance + norm->eps);
        }
    }
    nn_graph_set_bytes(g, input, s->scratch);
}

void nn_moments_give(const struct nn_moments_sum *s, struct nn_graph *g, struct ggml_tensor *input,
                     const struct nn_group_norm *norm)
{
    if (nn_device_is_cpu(g->device))
        nn_graph_set_bytes(g, input, s->state);
    else if (norm && nn_device_card(g->device))
        give_channels(s, g, input);
    else if (norm)
        give_norm(s, g, input, norm);
}

/* Joins a band's mean and squares with those of the rows before it (Chan, Golub and LeVeque). */
static void join(double *state, double n, double mean, double squares)
{
    if (state[0] == 0)
        state[1] = mean;
    double before = state[0], d = mean - state[1];
    /* state holds sums around its pivot, so the band's sums are moved to that pivot first. */
    state[2] += n * d;
    state[3] += squares + n * d * d;
    state[0] = before + n;
}

void nn_moments_take(struct nn_moments_sum *s, const struct nn_graph *g,
                     const struct ggml_tensor *result, int64_t pixels)
{
    if (!nn_tensor_is_real(g->device, result))
        return;
    if (nn_device_is_cpu(g->device)) {
        nn_tensor_get(g->device, result, s->state, 0, ggml_nbytes(result));
        return;
    }
    nn_tensor_get(g->device, result, s->scratch, 0, ggml_nbytes(result));
    for (int64_t c = 0; c < s->channels; c++)
        join(s->state + c * MOMENTS_STATE, (double)pixels, (double)s->scratch[c],
             (double)s->scratch[s->channels + c]);
}
