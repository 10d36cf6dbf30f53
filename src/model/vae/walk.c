/* walk.c - which rows a band needs, and the graph of a band.
 *
 * Rows are worked out backwards: from the rows of the result that are wanted to those of the input that are
 * needed. The second loop turns the absolute rows into what each step must cut off from what it has. A kept map
 * (the shortcut of a resnet) is needed where it is added and where it was kept, so KEEP takes the union.
 *
 * At the edges of the image the missing rows are padding, inside the image they are real rows of the neighbouring
 * band: this is why bands give the bits of the whole.
 */
#include "model/vae/walk.h"

#include <math.h>
#include <string.h>

#include "model/vae/plan.h"

static const float NORM_EPS = 1e-6f;

/* ---- rows ------------------------------------------------------------------------------------------ */

/* The rows that op needs for rows `out`; s.h: of its input. */
static struct vae_rows rows_before(const struct vae_op *op, int64_t height, struct vae_rows out,
                                   struct vae_step *s)
{
    struct vae_rows in = out;
    if (op->kind == VAE_CONV) {
        int64_t top = op->stride == 1 ? op->kernel / 2 : 0;
        in.lo = out.lo * op->stride - top;
        in.hi = (out.hi - 1) * op->stride - top + op->kernel;
        s->pad_top = in.lo < 0 ? -in.lo : 0;
        s->pad_bottom = in.hi > height ? in.hi - height : 0;
        in.lo += s->pad_top;
        in.hi -= s->pad_bottom;
    } else if (op->kind == VAE_UPSAMPLE) {
        in = (struct vae_rows){out.lo / 2, (out.hi + 1) / 2};
        s->skip = out.lo - 2 * in.lo;
    } else if (op->kind == VAE_ATTEND) {
        in = (struct vae_rows){0, height};
        s->skip = out.lo;
    }
    return in;
}

void vae_walk_steps(const struct vae_half *h, const struct vae_shape *shapes, int first, int last,
                    struct vae_rows out, struct vae_step *steps, struct vae_rows *input,
                    struct vae_rows *kept)
{
    const struct vae_rows none = {0, 0};
    struct vae_rows need = out, wanted = none; /* wanted: of what is kept */
    for (int i = last - 1; i >= first; i--) {
        struct vae_step *s = &steps[i - first];
        *s = (struct vae_step){.out_rows = need.hi - need.lo};
        if (h->ops[i].kind == VAE_ADD) {
            wanted = need;
        } else if (h->ops[i].kind == VAE_KEEP && wanted.hi > 0) {
            need.lo = wanted.lo < need.lo ? wanted.lo : need.lo;
            need.hi = wanted.hi > need.hi ? wanted.hi : need.hi;
            s->out_rows = need.hi - need.lo;
            wanted = none;
        }
        need = rows_before(&h->ops[i], shapes[i].h, need, s);
        s->rows = need.hi - need.lo;
        s->crop = need.lo; /* absolute until the way back */
    }
    *input = need;
    *kept = wanted;
    int64_t have = input->lo, have_kept = kept->lo;
    for (int i = first; i < last; i++) {
        struct vae_step *s = &steps[i - first];
        const struct vae_op *op = &h->ops[i];
        int64_t in = s->crop;
        s->crop = in - have;
        have = in;
        if (op->kind == VAE_CONV)
            have = (in - s->pad_top + (op->stride == 1 ? op->kernel / 2 : 0)) / op->stride;
        else if (op->kind == VAE_UPSAMPLE)
            have = 2 * in + s->skip;
        else if (op->kind == VAE_ATTEND)
            have = s->skip;
        else if (op->kind == VAE_KEEP)
            have_kept = in;
        else if (op->kind == VAE_ADD)
            s->kept_skip = in - have_kept;
    }
}

/* ---- graph ----------------------------------------------------------------------------------------- */

/* Rows from `skip` on: a view, or x itself. */
static struct ggml_tensor *rows_of(struct nn_graph *g, struct ggml_tensor *x, int64_t skip,
                                   int64_t rows)
{
    if (skip == 0 && rows == x->ne[1])
        return x;
    struct ggml_tensor *y = ggml_view_3d(nn_ctx(g), x, x->ne[0], rows, x->ne[2], x->nb[1], x->nb[2],
                                         (size_t)skip * x->nb[1]);
    y->nb[0] = x->nb[0]; /* channels may lie side by side */
    return y;
}

/* residual NULL: nothing is added. */
static struct ggml_tensor *conv(struct nn_graph *g, const struct vae_op *op,
                                const struct vae_step *s, struct ggml_tensor *x,
                                struct ggml_tensor *residual)
{
    int left = op->kernel == 3 && op->stride == 1, right = op->kernel == 3;
    struct nn_padding pad = {left, right, (int)s->pad_top, (int)s->pad_bottom};
    if (residual)
        return nn_conv2d_add(g, op->conv.w, op->conv.b, x, op->stride, pad, residual);
    return nn_conv2d(g, op->conv.w, op->conv.b, x, op->stride, pad);
}

struct nn_group_norm vae_group_norm(const struct vae_half *h, const struct nn_graph *g,
                                    const struct vae_op *op)
{
    return (struct nn_group_norm){
        .w = op->conv.w,
        .b = op->conv.b,
        .groups = h->norm_groups,
        .eps = NORM_EPS,
        .moments = g->exact && h->from_file ? NN_MOMENTS_FLOAT_SUMS : NN_MOMENTS_EXACT,
    };
}

static struct ggml_tensor *group_norm(const struct vae_half *h, struct nn_graph *g,
                                      const struct vae_op *op, struct ggml_tensor *x,
                                      struct ggml_tensor *sums)
{
    struct nn_group_norm n = vae_group_norm(h, g, op);
    bool shows = op->mid[0] && g->trace; /* the trace shows the result before SiLU */
    n.silu = op->silu && !shows;
    x = nn_moments_apply(g, x, sums, &n);
    if (!shows)
        return x;
    nn_mid(g, x, "%s", op->mid);
    return op->silu ? nn_silu(g, x) : x;
}

/* x / |x| * sqrt(channels) * gamma over the channels of a pixel, which is an RMS norm. The reference holds |x|
 * above 1e-12; here the tiny eps does that: pixels of zeros stay zeros. */
static struct ggml_tensor *rms_norm(struct nn_graph *g, const struct vae_op *op,
                                    struct ggml_tensor *x)
{
    struct ggml_tensor *t = nn_rms_norm(g, nn_pixels_to_tokens(g, x), op->conv.w, 1e-30f);
    if (op->mid[0] && g->trace)
        nn_mid(g, nn_tokens_to_pixels(g, t, x->ne[1], x->ne[0]), "%s", op->mid);
    if (op->silu)
        t = nn_silu(g, t);
    return nn_tokens_to_pixels(g, t, x->ne[1], x->ne[0]);
}

static struct ggml_tensor *one_head(struct nn_graph *g, const struct vae_conv *c,
                                    struct ggml_tensor *t)
{
    struct ggml_tensor *y = nn_linear(g, c->w, c->b, t);
    return ggml_reshape_3d(nn_ctx(g), y, y->ne[0], 1, y->ne[1]);
}

/* Keys and values of the whole map; queries of the rows that are wanted. */
static struct ggml_tensor *attend(struct nn_graph *g, const struct vae_op *op,
                                  const struct vae_step *s, struct ggml_tensor *x)
{
    struct ggml_tensor *t = nn_pixels_to_tokens(g, x), *tq = t;
    if (s->out_rows < x->ne[1])
        tq = ggml_view_2d(nn_ctx(g), t, t->ne[0], s->out_rows * x->ne[0], t->nb[1],
                          (size_t)(s->skip * x->ne[0]) * t->nb[1]);
    struct ggml_tensor *a =
        nn_attention(g, one_head(g, &op->q, tq), one_head(g, &op->k, t), one_head(g, &op->v, t),
                     NULL, 1.0f / sqrtf((float)t->ne[0]));
    return nn_tokens_to_pixels(g, nn_linear(g, op->out.w, op->out.b, a), s->out_rows, x->ne[0]);
}

/* What was kept, as an ADD adds it to `rows` rows. */
static struct ggml_tensor *kept_part(struct nn_graph *g, const struct vae_op *op,
                                     const struct vae_step *s, int64_t rows,
                                     struct ggml_tensor *kept)
{
    kept = rows_of(g, kept, s->kept_skip, rows);
    if (op->conv.w)
        kept =
            nn_conv2d(g, op->conv.w, op->conv.b, nn_image_rows(g, kept), 1, (struct nn_padding){0});
    return kept;
}

/* A convolution whose result is only added to what was kept: both in one. */
static struct ggml_tensor *conv_and_add(struct nn_graph *g, const struct vae_op *ops,
                                        const struct vae_step *s, struct vae_ends *at)
{
    struct ggml_tensor *x = nn_image_rows(g, rows_of(g, at->x, s[0].crop, s[0].rows));
    return conv(g, &ops[0], &s[0], x, kept_part(g, &ops[1], &s[1], s[1].rows, at->kept));
}

static bool adds_convolution(const struct nn_graph *g, const struct vae_op *ops,
                             const struct vae_step *s, int left)
{
    return left > 1 && ops[0].kind == VAE_CONV && ops[1].kind == VAE_ADD && s[1].crop == 0 &&
           s[0].out_rows == s[1].rows && !(g->trace && ops[0].mid[0]);
}

static struct ggml_tensor *one_step(const struct vae_half *h, struct nn_graph *g,
                                    const struct vae_op *op, const struct vae_step *s,
                                    struct vae_ends *at)
{
    struct ggml_tensor *x = rows_of(g, at->x, s->crop, s->rows);
    if (op->kind != VAE_KEEP)
        x = nn_image_rows(g, x);
    switch (op->kind) {
    case VAE_CONV:
        return conv(g, op, s, x, NULL);
    case VAE_NORM:
        return h->norm == VAE_RMS_NORM ? rms_norm(g, op, x) : group_norm(h, g, op, x, at->sums);
    case VAE_UPSAMPLE:
        return rows_of(g, nn_upsample2x(g, x), s->skip, s->out_rows);
    case VAE_KEEP:
        at->kept = x;
        return x;
    case VAE_ADD:
        return nn_image_add(g, x, kept_part(g, op, s, x->ne[1], at->kept));
    case VAE_ATTEND:
        return attend(g, op, s, x);
    case VAE_CLAMP:
        return nn_image_clamp(g, x, -1.0f, 1.0f);
    }
    return x;
}

struct ggml_tensor *vae_walk_build(const struct vae_half *h, struct nn_graph *g, int first,
                                   int last, const struct vae_step *steps, struct vae_ends in)
{
    for (int i = first; i < last; i++) {
        const struct vae_step *s = &steps[i - first];
        if (adds_convolution(g, &h->ops[i], s, last - i))
            in.x = conv_and_add(g, &h->ops[i++], s, &in);
        else
            in.x = one_step(h, g, &h->ops[i], s, &in);
        const struct vae_op *op = &h->ops[i];
        if (op->mid[0] && op->kind != VAE_NORM)
            nn_mid(g, in.x, "%s", op->mid);
    }
    return nn_image_out(g, in.x);
}

/* ---- graphs of bands ------------------------------------------------------------------------- */

/* The graphs of a run: of a band of rows of one stage, or of the whole image. */

/* [rows, channels, width] <-> [channels, rows, width]. */
static struct ggml_tensor *swap_rows(struct nn_graph *g, struct ggml_tensor *x)
{
    return ggml_cont(nn_ctx(g), ggml_permute(nn_ctx(g), x, 0, 2, 1, 3));
}

/* Rows of a map of shape s, as [channels, rows, width]. */
static struct ggml_tensor *load(struct vae_band_graph *b, struct vae_shape s, struct vae_rows rows,
                                const struct nn_rows *from, struct ggml_tensor **input)
{
    int64_t n = rows.hi - rows.lo;
    if (b->direct)
        return nn_rows_load(&b->g, from, s.w, n, s.channels);
    *input = nn_input(&b->g, s.w, s.channels, n, 1);
    return swap_rows(&b->g, *input);
}

static void save(struct vae_band_graph *b, struct ggml_tensor *y)
{
    if (b->direct) {
        nn_rows_save(&b->g, y, &b->out_rows);
        return;
    }
    b->out = swap_rows(&b->g, y);
    nn_graph_output(&b->g, b->out);
}

void vae_band_graph_build(const struct vae_plan *p, const struct vae_stage *s,
                          const struct vae_step *steps, struct vae_rows in, struct vae_rows kept,
                          struct vae_band_graph *out)
{
    memset(out, 0, sizeof *out);
    struct nn_graph *g = &out->g;
    nn_graph_init(g, p->device, false);
    g->exact = p->exact;
    struct vae_ends ends = {0};
    out->direct = nn_device_is_cpu(p->device);
    ends.x = load(out, p->shapes[s->first], in, &out->in_rows, &out->in);
    ends.kept =
        s->keep < 0 ? ends.x : load(out, p->shapes[s->keep], kept, &out->kept_rows, &out->kept);
    if (s->norm >= 0)
        ends.sums = out->sums = nn_moments_input(g, p->shapes[s->norm].channels);
    struct ggml_tensor *y = vae_walk_build(p->half, g, s->first, s->last, steps, ends);
    if (s->gathers) {
        if (nn_device_is_cpu(p->device))
            out->carry = nn_moments_input(g, y->ne[2]);
        /* How sums are added up is one for all norms of a half. */
        struct nn_group_norm n = vae_group_norm(p->half, g, &p->half->ops[s->first]);
        out->gathered = nn_moments_add(g, y, out->carry, n.moments);
        nn_graph_output(g, out->gathered);
    }
    save(out, y);
}

void vae_whole_graph_build(const struct vae_plan *p, bool trace, struct nn_graph *g,
                           struct ggml_tensor **x, struct ggml_tensor **y)
{
    const struct vae_half *h = p->half;
    struct vae_shape in = p->shapes[0], out = p->shapes[h->n];
    struct vae_rows input, kept;
    vae_walk_steps(h, p->shapes, 0, h->n, (struct vae_rows){0, out.h}, p->steps, &input, &kept);
    nn_graph_init(g, p->device, trace);
    g->exact = p->exact;
    *x = nn_input(g, in.w, in.h, in.channels, 1);
    *y = vae_walk_build(h, g, 0, h->n, p->steps, (struct vae_ends){.x = *x, .kept = *x});
    nn_graph_output(g, *y);
}
