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
#include "pipeline/engine_inputs.h"
#include "pipeline/layered/stack.h"
#include "pipeline/model_dir.h"
#include "pipeline/placement.h"
#include "veetance.h"

struct isolated;
struct line;

/* One model is open at a time: klein, layered or captioner. */
struct vt_engine {
    struct isolated *
        isolated; /* it runs in a process of its own, and of the rest only line is used; NULL: here */
    struct line *line; /* of its jobs; NULL: it had none */
    struct placement placement;
    struct ahead *ahead;        /* of the first model; NULL once it is open */
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

/* ---- results -------------------------------------------------------------------------------------- */

struct vt_result {
    int count;
    struct image *images;
    struct vt_stats stats;
    struct vt_request request;
    char model[256];
};

struct vt_layers_result {
    struct layered_stack made;
    struct layered_request used; /* its texts are borrowed from below and the caller */
    struct buf prompt;
    struct matte matte;
    struct vt_layers_report report;
    struct vt_stats stats;
    char model[256];
};

struct vt_caption_result {
    struct buf text;
    int tokens;
    bool complete;
    struct vt_stats stats;
};

/* For a request whose count was checked. */
ERR_MUST_CHECK enum err_code engine_result_new(const struct vt_request *rq, struct vt_result **out,
                                               struct err *e);
struct vt_layers_result *engine_layers_result_new(void);

/* ---- running ---------------------------------------------------------------------------------------- */

/* engine_memory.c: plans a request and leaves the governors placed for it; ERR_NOMEM when it is refused and out
 * is NULL. request runs once or more on dry devices. */
ERR_MUST_CHECK enum err_code engine_plan(struct vt_engine *g, memory_request_fn request, void *user,
                                         struct vt_plan *out, struct err *e);
/* Before and after the run itself: what it took goes into the stats. */
void engine_begin_run(struct vt_engine *g);
void engine_end_run(struct vt_engine *g, struct vt_stats *stats);

/* engine_jobs.c: cancels all jobs and waits for the one that runs. */
void engine_jobs_close(struct vt_engine *g);
/* ERR_BUSY while there are jobs that are not over, but in the thread that runs them. */
ERR_MUST_CHECK enum err_code engine_check_free(const struct vt_engine *g, struct err *e);

enum vt_status engine_finish(enum err_code rc, const struct err *e, struct vt_error *out);
void engine_close_model(struct vt_engine *g);
/* Says so when so few steps leave `fast` nothing to do. */
void engine_note_fast(const struct vt_callbacks *cb, int fast, int steps);
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
/* Of a request: what needs no model. An image that is a file is taken as it is. */
ERR_MUST_CHECK enum err_code engine_check_images(const struct vt_request *rq, struct err *e);
ERR_MUST_CHECK enum err_code engine_check_count(const struct vt_request *rq, struct err *e);

/* ---- images that come as files ------------------------------------------------------------------------ */

enum { ENGINE_MAX_FILES = VT_MAX_IMAGES + 1 };

/* Those of one request, decoded. */
struct engine_files {
    struct image images[ENGINE_MAX_FILES];
    int n;
};

/* Gives an image its pixels, from what fd is open on: they are f's. */
ERR_MUST_CHECK enum err_code engine_file_read(struct engine_files *f, int fd, struct vt_image *im,
                                              struct err *e);
/* The same by its path; one that has its pixels, or no file, is left as it is. */
ERR_MUST_CHECK enum err_code engine_file_open(struct engine_files *f, struct vt_image *im,
                                              struct err *e);
void engine_files_deinit(struct engine_files *f);

#endif
