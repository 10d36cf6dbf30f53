/* engine_internal.h - shared by the files engine*.c only. */
#ifndef VT_PIPELINE_ENGINE_INTERNAL_H
#define VT_PIPELINE_ENGINE_INTERNAL_H

#include <stdatomic.h>

#include "base/err.h"
#include "pipeline/caption/caption.h"
#include "pipeline/convert/cache.h"
#include "pipeline/engine.h"
#include "pipeline/klein/klein.h"
#include "pipeline/layered/layered.h"
#include "pipeline/model_dir.h"
#include "pipeline/placement.h"
#include "veetance.h"

/* One model is open at a time: klein, layered or captioner. */
struct vt_engine {
    struct placement placement;
    struct nn_device_info info; /* of the transformer's device */
    int threads;                /* for converting; 0: one a core */
    atomic_bool cancel;
    struct model_dir *dir; /* of the open model; NULL for a captioner of its own */
    char model[MODEL_PATH_BYTES];
    char weights[16]; /* the type to run in; "": as stored */
    struct klein *klein;
    struct layered *layered;
    struct captioner *captioner;
};

/* engine_memory.c: plans a request and leaves the governors placed for it; ERR_NOMEM when it is refused and out
 * is NULL. request runs once or more on dry devices. */
ERR_MUST_CHECK enum err_code engine_plan(struct vt_engine *g, memory_request_fn request, void *user,
                                         struct vt_plan *out, struct err *e);
/* Before and after the run itself: what it took goes into the stats. */
void engine_begin_run(struct vt_engine *g);
void engine_end_run(struct vt_engine *g, struct vt_stats *stats);

enum vt_status engine_finish(enum err_code rc, const struct err *e, struct vt_error *out);
void engine_close_model(struct vt_engine *g);
ERR_MUST_CHECK enum err_code engine_check_range(const char *what, int64_t v, int64_t lo, int64_t hi,
                                                struct err *e);
ERR_MUST_CHECK enum err_code engine_check_image(const struct vt_image *im, const char *what,
                                                struct err *e);
/* Opens the model for one kind of work unless it is open, closing what was. */
ERR_MUST_CHECK enum err_code engine_open_model(struct vt_engine *g, const char *model,
                                               enum model_pipeline pipeline,
                                               const struct vt_callbacks *cb, struct err *e);
/* How weights are converted, where the engine runs in another type than they are stored in. */
struct convert_cache_run engine_conversion(struct vt_engine *g, const struct vt_callbacks *cb);
enum chat_language engine_language(const char *language);

#endif
