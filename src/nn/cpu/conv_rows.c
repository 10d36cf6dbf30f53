/* conv_rows.c - an image [channels, height, width] as rows of channels with padding around it, in the type of
 * products. Operations before a convolution that work on single pixels are fused into this copy: the scale and shift
 * of a group norm, SiLU, upsampling. */
#include <math.h>
#include <string.h>

#include "nn/cpu/nodes.h"
#include "nn/moments.h"
#include "nn/moments_kern.h"

enum { MAX_CHANNELS = 2048 }; /* a norm's scales and shifts lie on the stack */
enum { NORM = 1, SILU = 2, TWICE = 4, LEFT_SHIFT = 8, TOP_SHIFT = 16, GROUPS_SHIFT = 24 };
enum { MAX_PADDING = 255, MAX_GROUPS = 255 };

struct job {
    const struct ggml_tensor *x;
    struct ggml_tensor *dst;          /* [height + padding, width + padding, channels] */
    int64_t left, top, width, height; /* where the image is in dst */
    bool twice;
    struct vec_to_channels row;
};

static void write_row(const struct vec *v, struct job *j, int64_t y)
{
    unsigned char *row = (unsigned char *)j->dst->data + (size_t)y * j->dst->nb[2];
    size_t pixel = j->dst->nb[1];
    if (y < j->top || y >= j->top + j->height) {
        memset(row, 0, j->dst->nb[2]);
        return;
    }
    unsigned char *image = row + (size_t)j->left * pixel;
    unsigned char *right = image + (size_t)j->width * pixel;
    memset(row, 0, (size_t)j->left * pixel);
    memset(right, 0, (size_t)(j->dst->ne[1] - j->left - j->width) * pixel);
    int64_t from = (y - j->top) / (j->twice ? 2 : 1);
    j->row.x = (const float *)(const void *)((const unsigned char *)j->x->data +
                                             (size_t)from * j->x->nb[1]);
    j->row.y = image;
    v->to_channels(&j->row);
    for (unsigned char *p = image; j->twice && p < right; p += 2 * pixel)
        memcpy(p + pixel, p, pixel);
}

/* Scale and shift of each channel from the sums of the whole map, as moments_apply_kern has them. */
static void fold_norm(const struct ggml_tensor *dst, int64_t groups, float eps, float *scale,
                      float *shift)
{
    int64_t channels = dst->ne[0], per = channels / groups;
    const double *state = dst->src[1]->data;
    const float *w = dst->src[2]->data, *b = dst->src[3]->data;
    for (int64_t g = 0; g < groups; g++) {
        struct moments_pair p = moments_of_group(state + g * per * MOMENTS_STATE, per, false);
        float m = (float)p.mean, r = 1.0f / sqrtf((float)p.variance + eps);
        for (int64_t c = g * per; c < (g + 1) * per; c++) {
            scale[c] = r * w[c];
            shift[c] = b[c] - scale[c] * m;
        }
    }
}

void nn_cpu_rows_op(struct ggml_tensor *dst, int ith, int nth, void *user)
{
    uint32_t flags = nn_cpu_low(user);
    float scale[MAX_CHANNELS], shift[MAX_CHANNELS];
    const struct ggml_tensor *x = dst->src[0];
    int64_t times = flags & TWICE ? 2 : 1, first, last;
    struct job j = {
        .x = x,
        .dst = dst,
        .left = flags >> LEFT_SHIFT & MAX_PADDING,
        .top = flags >> TOP_SHIFT & MAX_PADDING,
        .width = x->ne[0] * times,
        .height = x->ne[1] * times,
        .twice = times == 2,
        .row = {.plane = (int64_t)(x->nb[2] / sizeof(float)),
                .channels = x->ne[2],
                .n = x->ne[0],
                .ldy = dst->ne[0] * times,
                .silu = (flags & SILU) != 0,
                .bf16 = dst->type == GGML_TYPE_BF16},
    };
    if (flags & NORM) {
        fold_norm(dst, flags >> GROUPS_SHIFT, nn_cpu_high(user), scale, shift);
        j.row.scale = scale;
        j.row.shift = shift;
    }
    nn_cpu_share(dst->ne[2], ith, nth, &first, &last);
    for (int64_t y = first; y < last; y++)
        write_row(vec_get(), &j, y);
}

/* ---- making ------------------------------------------------------------------------------------------ */

static bool is_silu(const struct ggml_tensor *t)
{
    return t->op == GGML_OP_UNARY && ggml_get_unary_op(t) == GGML_UNARY_OP_SILU;
}

static bool is_upsampled_twice(const struct ggml_tensor *t)
{
    return t->op == GGML_OP_UPSCALE && t->ne[0] == 2 * t->src[0]->ne[0] &&
           t->ne[1] == 2 * t->src[0]->ne[1] && t->ne[2] == t->src[0]->ne[2];
}

/* Skips the node that made the convolution's input if its work can be fused here: without another reader it never
 * becomes part of the graph. */
struct ggml_tensor *nn_cpu_rows(struct nn_graph *g, struct ggml_tensor *x, struct nn_padding pad,
                                bool bf16)
{
    struct nn_moments_norm norm = {0};
    struct ggml_tensor *src[4] = {x};
    uint32_t flags = 0;
    int n = 1;
    if (is_silu(x)) {
        flags |= SILU;
        src[0] = x->src[0];
    } else if (is_upsampled_twice(x)) {
        flags |= TWICE;
        src[0] = x->src[0];
    }
    if (!(flags & TWICE) && src[0]->ne[2] <= MAX_CHANNELS && nn_moments_norm_of(src[0], &norm) &&
        norm.groups <= MAX_GROUPS) {
        flags |= NORM | (uint32_t)norm.groups << GROUPS_SHIFT;
        struct ggml_tensor *applied = src[0];
        for (n = 0; n < 4; n++)
            src[n] = applied->src[n];
    }
    if (src[0]->type != GGML_TYPE_F32 || src[0]->nb[0] != sizeof(float) || src[0]->ne[3] != 1 ||
        pad.left > MAX_PADDING || pad.top > MAX_PADDING)
        return NULL;
    flags |= (uint32_t)pad.left << LEFT_SHIFT | (uint32_t)pad.top << TOP_SHIFT;
    return ggml_custom_4d(nn_ctx(g), bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32, x->ne[2],
                          x->ne[0] + pad.left + pad.right, x->ne[1] + pad.top + pad.bottom, 1, src,
                          n, nn_cpu_rows_op, GGML_N_TASKS_MAX, nn_cpu_pack(flags, norm.eps));
}
