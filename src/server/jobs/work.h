/* work.h - one job on the engine: its stored request to images in the store and a result in JSON. Runs on the
 * worker's thread. */
#ifndef VT_SERVER_JOBS_WORK_H
#define VT_SERVER_JOBS_WORK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "pipeline/params_table.h"
#include "store/assets.h"
#include "store/jobs.h"
#include "veetance.h"

enum { WORK_MAX_ASSETS = 1024 };

struct work_result {
    struct buf json;
    const char *assets[WORK_MAX_ASSETS]; /* ids in the arena */
    size_t n_assets;
    struct arena arena;
    struct buf images; /* of a job for images: those that are finished, as JSON, commas between */
    struct buf made;   /* members that say how they are made; since the first */
    struct err lost;   /* why a finished image could not be stored */
    bool refused;      /* it has ended the engine, and is not tried again */
    const char *job, *kind, *model; /* whose result it is, for its images; set by the caller */
};

void work_result_init(struct work_result *r);
void work_result_deinit(struct work_result *r);

/* kind: "generate", "edit", "layers", "caption". request: checked when it came in. notes: sentences that the
 * engine said, as JSON strings with commas between. */
ERR_MUST_CHECK enum err_code work_run(struct vt_engine *engine, struct store *store,
                                      const char *kind, yyjson_val *request,
                                      const struct vt_callbacks *callbacks, const struct buf *notes,
                                      struct work_result *out, struct err *e);
/* For vt_callbacks.image: stores the image at once. Not ERR_OK: the run has to end. */
ERR_MUST_CHECK enum err_code work_keep_image(struct store *store, const struct vt_result *res,
                                             int i, struct work_result *r);
/* The result of a run that ended early, of the images that were finished; none: r->json stays empty. */
void work_keep_rest(const struct vt_engine *engine, const struct buf *notes, double seconds,
                    struct work_result *r);
/* What it would take. */
ERR_MUST_CHECK enum err_code work_plan(struct vt_engine *engine, struct store *store,
                                       const char *kind, yyjson_val *request, struct vt_plan *out,
                                       struct err *e);

#endif
