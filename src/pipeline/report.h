/* report.h - telling the caller how a run goes. */
#ifndef VT_PIPELINE_REPORT_H
#define VT_PIPELINE_REPORT_H

#include "base/err.h"
#include "text/chat.h"
#include "veetance.h"

void report_progress(const struct vt_callbacks *cb, const struct vt_progress *p);
/* A stage of a picture begins. */
void report_stage(const struct vt_callbacks *cb, enum vt_stage stage, int image, int image_count);
void report_note(const struct vt_callbacks *cb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

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
