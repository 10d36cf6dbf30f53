/* report.h - telling the caller how a run goes. */
#ifndef VT_PIPELINE_REPORT_H
#define VT_PIPELINE_REPORT_H

#include "base/err.h"
#include "image/image.h"
#include "text/chat.h"
#include "veetance.h"

void report_progress(const struct vt_callbacks *cb, const struct vt_progress *p);
/* A stage of a picture begins. */
void report_stage(const struct vt_callbacks *cb, enum vt_stage stage, int image, int image_count);
void report_note(const struct vt_callbacks *cb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Whoever takes previews gets this one (RGB, tiles side by side). */
void report_preview(const struct vt_callbacks *cb, const struct image *im, int step, int tiles);

/* A prompt that was cut is told; nothing for one that fits. */
void report_prompt_cut(const struct vt_callbacks *cb, const struct prompt_cut *cut);

/* A picture's steps. */
struct report_steps {
    const struct vt_callbacks *callbacks;
    int image, image_count, count;
    enum err_code (*step)(void *user, int i, struct err *e);
    void *user;
};

/* Runs them one after the other and tells of each, with the time that is left; adds to *seconds. */
ERR_MUST_CHECK enum err_code report_steps_run(const struct report_steps *s, double *seconds,
                                              struct err *e);

#endif
