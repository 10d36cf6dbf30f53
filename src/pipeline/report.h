/* report.h - telling the caller how a run goes. */
#ifndef VT_PIPELINE_REPORT_H
#define VT_PIPELINE_REPORT_H

#include "base/err.h"
#include "image/image.h"
#include "nn/device.h"
#include "text/chat.h"
#include "veetance.h"

void report_progress(const struct vt_callbacks *cb, const struct vt_progress *p);
/* A stage of an image begins. */
void report_stage(const struct vt_callbacks *cb, enum vt_stage stage, int image, int image_count);
void report_note(const struct vt_callbacks *cb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Whoever takes previews gets this one (RGB, tiles side by side). */
void report_preview(const struct vt_callbacks *cb, const struct image *im, int step, int tiles);

/* A prompt that was cut is told; nothing for one that fits. */
void report_prompt_cut(const struct vt_callbacks *cb, const struct prompt_cut *cut);

/* One of the equal parts that a stage has. */
struct report_part {
    int i, n;
};

/* What a device's graphs do, told as how far the stage is: from one whole per cent to the next. */
struct report_graphs {
    const struct vt_callbacks *callbacks;
    struct vt_progress at; /* stage, image, step: what is told beside how far it is */
    struct report_part part;
    /* for report.c */
    double began;
};
/* Tells that the part begins; from then on d is watched, until report_graphs_end. */
void report_graphs_begin(struct report_graphs *r, struct nn_device *d);
void report_graphs_end(struct nn_device *d);

/* Captions: looking at the image is told as what the device does, then each token. Part 0 of a stage of `parts`. */
struct report_caption {
    struct report_graphs graphs;
    int64_t max_tokens;
    double began;
};
void report_caption_begin(struct report_caption *r, const struct vt_callbacks *cb, int parts,
                          int64_t max_tokens, struct nn_device *d);
/* For struct caption_request, with a struct report_caption. */
void report_caption_token(void *user, int32_t id, int64_t n);

/* An image's steps. */
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
