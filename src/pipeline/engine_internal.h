/* engine_internal.h - shared by the files engine*.c only. */
#ifndef VT_PIPELINE_ENGINE_INTERNAL_H
#define VT_PIPELINE_ENGINE_INTERNAL_H

#include <stdatomic.h>

#include "base/err.h"
#include "memory/budget.h"
#include "memory/plan.h"
#include "nn/device.h"
#include "pipeline/caption.h"
#include "pipeline/klein.h"
#include "pipeline/layered.h"
#include "pipeline/model_dir.h"
#include "veetance.h"

/* One model is open at a time: klein, layered or captioner. */
struct vt_engine {
    struct nn_device *device;
    struct nn_device_info info;
    struct governor *governor;
    atomic_bool cancel;
    struct model_dir *dir; /* of the open model; NULL for a captioner of its own */
    char model[MODEL_PATH_BYTES];
    char weights[16]; /* the type to run in; "": as stored */
    struct klein *klein;
    struct layered *layered;
    struct captioner *captioner;
};

/* engine_memory.c: plans a request and leaves the governor placed for it; ERR_NOMEM when it is refused and out
 * is NULL. request runs once or more on the dry device. */
ERR_MUST_CHECK enum err_code engine_plan(struct vt_engine *g, memory_request_fn request, void *user,
                                         struct vt_plan *out, struct err *e);
/* Before and after the run itself: what it took goes into the stats. */
void engine_begin_run(struct vt_engine *g);
void engine_end_run(struct vt_engine *g, struct vt_stats *stats);

enum vt_status engine_finish(enum err_code rc, const struct err *e, struct vt_error *out);
void engine_close_model(struct vt_engine *g);
int64_t engine_random_seed(void);
ERR_MUST_CHECK enum err_code engine_check_range(const char *what, int64_t v, int64_t lo, int64_t hi,
                                                struct err *e);
/* The prompt's size and that it is UTF-8. what: "prompt". NULL is fine. */
ERR_MUST_CHECK enum err_code engine_check_text(const char *what, const char *text, struct err *e);
ERR_MUST_CHECK enum err_code engine_check_image(const struct vt_image *im, const char *what,
                                                struct err *e);
/* Opens the model unless it is open, closing what was. */
ERR_MUST_CHECK enum err_code engine_open_klein(struct vt_engine *g, const char *model,
                                               const struct vt_callbacks *cb, struct err *e);
ERR_MUST_CHECK enum err_code engine_open_layered(struct vt_engine *g, const char *model,
                                                 const struct vt_callbacks *cb, struct err *e);
/* Converted copies of g->dir's networks, if the engine runs in another type than they are stored in. */
ERR_MUST_CHECK enum err_code engine_use_weights(struct vt_engine *g, const struct vt_callbacks *cb,
                                                struct err *e);
/* "en", "zh" or NULL. */
ERR_MUST_CHECK enum err_code engine_check_language(const char *language, struct err *e);
enum chat_language engine_language(const char *language);
/* The caller's pixels as a picture of ours. */
struct image engine_borrow(const struct vt_image *im);

#endif
