/* trace.c - what a run computes on the way, under the names of the reference cases. */
#include "pipeline/klein/internal.h"

#include "base/mem.h"
#include "pipeline/trace.h"
#include "sample/schedule.h"

void klein_trace_packed(const struct klein_state *s, const char *name, const float *x, int64_t rows)
{
    trace_add_f32(s->run->trace, name, x, (int64_t[]){1, rows, s->channels}, 3);
}

void klein_trace_start(const struct klein_state *s)
{
    struct trace *t = s->run->trace;
    klein_trace_packed(s, "initial_latents", s->latents, s->tokens);
    if (s->cond.n) {
        int64_t *ids = t ? mem_try_array((size_t)s->cond.n * FLUX2_AXES, sizeof *ids) : NULL;
        klein_trace_packed(s, "condition_latents", s->cond.latents, s->cond.n);
        for (int64_t i = 0; ids && i < s->cond.n * FLUX2_AXES; i++)
            ids[i] = s->cond.ids[i / FLUX2_AXES].axis[i % FLUX2_AXES];
        if (ids)
            trace_add_i64(t, "condition_ids", ids, (int64_t[]){1, s->cond.n, FLUX2_AXES}, 3);
        mem_free(ids);
    }
    if (!s->rq->inpaint)
        return;
    klein_trace_packed(s, "image_latents", s->canvas.latents, s->tokens);
    klein_trace_packed(s, "noise", s->noise, s->tokens);
    if (s->canvas.token_mask)
        trace_add_f32(t, "mask", s->canvas.token_mask, (int64_t[]){1, s->tokens, 1}, 3);
}

/* The traced blocks of the first step's conditional pass. */
enum err_code klein_trace_blocks(struct klein_state *s, int step, struct err *e)
{
    struct flux2_pass *p;
    enum err_code rc = klein_pass_make(s, true, &p, e);
    if (rc != ERR_OK)
        return rc;
    rc = flux2_pass_run(p, s->input, s->pos, schedule_network_time(s->timesteps[step]), s->velocity,
                        s->run->cancel, e);
    const struct nn_graph *g = flux2_pass_graph(p);
    for (size_t i = 0; rc == ERR_OK && i < g->n_mids; i++) {
        const struct ggml_tensor *t = g->mids[i].t;
        float *f = mem_try_array((size_t)ggml_nelements(t), sizeof *f);
        if (!f)
            rc = err_set(e, ERR_NOMEM, "no memory for a trace");
        if (f)
            nn_graph_get(g, t, f);
        int64_t dims[] = {1, t->ne[1], t->ne[0]};
        bool vector = t->ne[1] == 1; /* time embedding and modulation: [1, dim] */
        if (f)
            trace_add_f32(s->run->trace, g->mids[i].name, f, vector ? dims + 1 : dims,
                          vector ? 2 : 3);
        mem_free(f);
    }
    flux2_pass_free(p);
    return rc;
}

void klein_trace_vae_mid(const char *name, const float *data, const int64_t *dims, int n_dims,
                         void *user)
{
    trace_add_f32(user, name, data, dims, n_dims);
}
