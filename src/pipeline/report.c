/* report.c - progress, notes and previews for whoever asked; see report.h.
 *
 * A run is stages, a stage is equal parts, a part is what a device's graphs do. Progress inside a part comes from
 * the device's watch and is passed on once a whole per cent, since a callback may write to a terminal or a socket.
 * Callbacks run on the thread that computes.
 */
#include "pipeline/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "pipeline/lend.h"

void report_progress(const struct vt_callbacks *cb, const struct vt_progress *p)
{
    if (cb && cb->progress)
        cb->progress(p, cb->user);
}

void report_stage(const struct vt_callbacks *cb, enum vt_stage stage, int image, int image_count)
{
    report_progress(
        cb, &(struct vt_progress){
                .stage = stage, .image = image, .image_count = image_count, .seconds_left = -1});
}

void report_note(const struct vt_callbacks *cb, const char *fmt, ...)
{
    char text[480];
    if (!cb || !cb->note)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cb->note(text, cb->user);
}

void report_preview(const struct vt_callbacks *cb, const struct image *im, int step, int tiles)
{
    const struct vt_preview p = {.image = lend_image(im), .tiles = tiles, .step = step};
    if (cb && cb->preview)
        cb->preview(&p, cb->user);
}

void report_prompt_cut(const struct vt_callbacks *cb, const struct prompt_cut *cut)
{
    if (cut->cut > 0)
        report_note(cb,
                    "the prompt is %zu token%s too long (%zu with the text around it, the limit is "
                    "%zu): it is cut after '%s'",
                    cut->cut, cut->cut == 1 ? "" : "s", cut->total, cut->limit, cut->behind);
}

/* ---- within a stage ---------------------------------------------------------------------------------- */

static double stage_part(struct report_part p, double done)
{
    return (p.i + done) / p.n;
}

static int percent(double done)
{
    return (int)(done * 100 + 1e-9);
}

/* For nn_watch: done is of the part. The last step of a stage is done when the part is. */
static void on_graph(void *user, double done)
{
    struct report_graphs *r = user;
    double now = stage_part(r->part, done);
    if (percent(now) <= percent(r->at.done))
        return;
    double seconds = clock_s() - r->began;
    r->at.done = now;
    r->at.seconds_left = done > 0 ? seconds / done * (r->part.n - r->part.i - done) : -1;
    struct vt_progress told = r->at;
    told.step += r->at.step_count > 0 && done >= 1;
    report_progress(r->callbacks, &told);
}

void report_graphs_begin(struct report_graphs *r, struct nn_device *d)
{
    r->at.done = stage_part(r->part, 0);
    r->at.seconds_left = -1;
    r->began = clock_s();
    report_progress(r->callbacks, &r->at);
    if (r->callbacks && r->callbacks->progress)
        nn_device_set_watch(d, &(struct nn_watch){on_graph, r});
}

void report_graphs_end(struct nn_device *d)
{
    nn_device_set_watch(d, NULL);
}

/* Until the first token a caption takes about a quarter of its time. */
static const double LOOKING = 0.25;

static void on_looking(void *user, double done)
{
    on_graph(user, done * LOOKING);
}

void report_caption_begin(struct report_caption *r, const struct vt_callbacks *cb, int parts,
                          int64_t max_tokens, struct nn_device *d)
{
    *r = (struct report_caption){
        .graphs = {.callbacks = cb,
                   .at = {.stage = VT_STAGE_TEXT, .image_count = 1},
                   .part = {0, parts}},
        .max_tokens = max_tokens,
        .began = clock_s(),
    };
    report_graphs_begin(&r->graphs, d);
    if (cb && cb->progress)
        nn_device_set_watch(d, &(struct nn_watch){on_looking, &r->graphs});
}

/* A caption's steps are its tokens. How many there will be is not known. */
void report_caption_token(void *user, int32_t id, int64_t n)
{
    const struct report_caption *r = user;
    struct vt_progress p = r->graphs.at;
    double done = LOOKING + (1 - LOOKING) * (double)n / (double)r->max_tokens;
    (void)id;
    p.step = (int)n;
    p.step_count = (int)r->max_tokens;
    p.step_seconds = (clock_s() - r->began) / (double)n;
    p.done = stage_part(r->graphs.part, done);
    p.seconds_left = -1;
    report_progress(r->graphs.callbacks, &p);
}

/* ---- steps ------------------------------------------------------------------------------------------- */

enum err_code report_steps_run(const struct report_steps *s, double *seconds, struct err *e)
{
    struct vt_progress p = {.stage = VT_STAGE_STEPS,
                            .image = s->image,
                            .image_count = s->image_count,
                            .step_count = s->count,
                            .seconds_left = -1};
    enum err_code rc = ERR_OK;
    double start = clock_s();
    report_progress(s->callbacks, &p);
    for (int i = 0; rc == ERR_OK && i < s->count; i++) {
        double t = clock_s();
        rc = s->step(s->user, i, e);
        p.step = i + 1;
        p.done = (double)p.step / s->count;
        p.step_seconds = clock_s() - t;
        p.seconds_left = (clock_s() - start) / (i + 1) * (s->count - i - 1);
        if (rc == ERR_OK)
            report_progress(s->callbacks, &p);
    }
    *seconds += clock_s() - start;
    return rc;
}
