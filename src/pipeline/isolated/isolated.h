/* isolated.h - the engine in a process of its own, seen from here: the functions of veetance.h, for one that is
 * isolated. engine*.c call these where an engine has its process.
 *
 * The process is started when something is asked of it and there is none: at first, after it died, and when a request
 * needs files that a confined one may not reach. What it was told before (the budget) it is told again. Its death is
 * the failure of the request that ran, with one of ERR_ENGINE_*, and closes the model.
 *
 *     request ----write----> process         the caller waits in poll()
 *             <-- progress, notes, previews, images: its callbacks
 *             <-- pulses: that it lives
 *             <-- reply
 *
 * What comes is checked (messages.h); a process that sends nonsense is killed. Results are rebuilt here, out of shared
 * memory, so they outlive it. */
#ifndef VT_PIPELINE_ISOLATED_ISOLATED_H
#define VT_PIPELINE_ISOLATED_ISOLATED_H

#include <stdint.h>

#include "base/err.h"
#include "veetance.h"

struct isolated;

/* Starts the process, so that a device that is not there is told at once. */
ERR_MUST_CHECK enum err_code isolated_open(const struct vt_engine_options *o, struct isolated **out,
                                           struct err *e);
/* Accepts NULL. */
void isolated_close(struct isolated *g);
/* Any thread, and a signal handler. */
void isolated_cancel(struct isolated *g);
const char *isolated_device(const struct isolated *g);
const char *isolated_model(const struct isolated *g);
const char *isolated_last_words(const struct isolated *g);
void isolated_memory(const struct isolated *g, struct vt_memory *out);

ERR_MUST_CHECK enum err_code isolated_set_budget(struct isolated *g, uint64_t bytes, struct err *e);
ERR_MUST_CHECK enum err_code isolated_parse_budget(struct isolated *g, const char *text,
                                                   uint64_t *bytes, struct err *e);
void isolated_release(struct isolated *g);
ERR_MUST_CHECK enum err_code isolated_load(struct isolated *g, const char *model, struct err *e);
void isolated_unload(struct isolated *g);

ERR_MUST_CHECK enum err_code isolated_images(struct isolated *g, bool edit,
                                             const struct vt_request *rq,
                                             const struct vt_callbacks *cb, struct vt_result **out,
                                             struct err *e);
ERR_MUST_CHECK enum err_code isolated_plan_images(struct isolated *g, const struct vt_request *rq,
                                                  struct vt_plan *out, struct err *e);
ERR_MUST_CHECK enum err_code isolated_layers(struct isolated *g, const struct vt_layers_request *rq,
                                             const struct vt_callbacks *cb,
                                             struct vt_layers_result **out, struct err *e);
ERR_MUST_CHECK enum err_code isolated_plan_layers(struct isolated *g,
                                                  const struct vt_layers_request *rq,
                                                  struct vt_plan *out, struct err *e);
ERR_MUST_CHECK enum err_code isolated_caption(struct isolated *g,
                                              const struct vt_caption_request *rq,
                                              const struct vt_callbacks *cb,
                                              struct vt_caption_result **out, struct err *e);

/* ---- in the process ---------------------------------------------------------------------------------------- */

struct grants;

/* What the program that is the process does for it. */
struct isolated_host {
    /* Gives up everything but these files (and what libraries and drivers need), and the network unless it stays. */
    enum err_code (*confine)(const struct grants *g, bool network, struct err *e);
    void (*say_more)(void);  /* --verbose */
    void (*leave)(int code); /* ends the process */
};

/* Answers on PROCESS_SOCKET (child/process.h) until the parent is gone; then it leaves. */
ERR_MUST_CHECK enum err_code isolated_serve(const struct isolated_host *host, struct err *e);

#endif
