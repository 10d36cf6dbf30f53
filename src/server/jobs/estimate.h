/* estimate.h - how long a request will take, from what the last jobs of its model and kind took on this machine. */
#ifndef VT_SERVER_JOBS_ESTIMATE_H
#define VT_SERVER_JOBS_ESTIMATE_H

#include "base/json.h"
#include "store/store.h"

/* Seconds; negative when no such job has finished. kind: "generate", "edit", "layers"; request: checked; is_open: the
 * model need not be loaded. */
ERR_MUST_CHECK enum err_code estimate_seconds(struct store *s, const char *kind, const char *model,
                                              yyjson_val *request, bool is_open, double *out,
                                              struct err *e);

#endif
