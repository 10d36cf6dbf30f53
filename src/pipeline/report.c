#include "pipeline/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

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
    const struct vt_preview p = {
        .image = {im->w, im->h, im->channels, im->p}, .tiles = tiles, .step = step};
    if (cb && cb->preview)
        cb->preview(&p, cb->user);
}

void report_prompt_cut(const struct vt_callbacks *cb, const struct prompt_cut *cut)
{
    if (cut->cut > 0)
        report_note(cb,
                    "the prompt is %zu token%s too long (%zu with the text around it, the limit is "
                    "%zu): it is cut behind '%s'",
                    cut->cut, cut->cut == 1 ? "" : "s", cut->total, cut->limit, cut->behind);
}

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
        p.step_seconds = clock_s() - t;
        p.seconds_left = (clock_s() - start) / (i + 1) * (s->count - i - 1);
        if (rc == ERR_OK)
            report_progress(s->callbacks, &p);
    }
    *seconds += clock_s() - start;
    return rc;
}
