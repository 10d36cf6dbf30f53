/* band.c - the graphs of a run: of a band of rows of one stage, or of the whole image. */
#include <string.h>

#include "model/vae/plan.h"

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
    if (s->keep >= 0)
        ends.kept = load(out, p->shapes[s->keep], kept, &out->kept_rows, &out->kept);
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
    *y = vae_walk_build(h, g, 0, h->n, p->steps, (struct vae_ends){.x = *x});
    nn_graph_output(g, *y);
}
