/* result_out.h - the images of a run: each is written as soon as it is done, so that stopping keeps what is there. */
#ifndef VT_CLI_RESULT_OUT_H
#define VT_CLI_RESULT_OUT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "image/load.h"
#include "veetance.h"

struct result_out {
    struct cli_output to;
    struct cli_progress *progress;
    struct vt_engine *engine; /* cancelled when an image cannot be written */
    enum image_format format;
    int quality; /* 0: the default of the format */
    bool json, quiet;
    int written;
    struct buf images; /* of --json: objects, commas between */
    struct err failed; /* the first image that could not be written */
    int64_t since_ns;  /* start of the image that is being made */
};

void result_out_init(struct result_out *o);
void result_out_deinit(struct result_out *o);
/* Writes image i of the result so far; for vt_callbacks.image. */
void result_out_take(struct result_out *o, const struct vt_result *res, int i);
/* The whole result, once it is there: JSON if asked for. */
void result_out_finish(const struct result_out *o, const struct vt_result *res, const char *device);
/* Exit code of a run that failed or was stopped: says why, and what was written before. */
int result_out_fail(const struct result_out *o, const struct vt_error *err);

/* ---- plans ----------------------------------------------------------------------------------- */

/* Memory plans for people and as JSON. */

/* Prints the plan. CLI_FAILED when it says that the run would be refused, so that scripts can ask. */
int plan_out_print(const struct vt_plan *p, bool json);

#endif
