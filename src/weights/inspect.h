/* inspect.h - what a file or folder is: for `veetance inspect` and the model store. */
#ifndef VT_WEIGHTS_INSPECT_H
#define VT_WEIGHTS_INSPECT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* Human-readable text, or JSON, about a checkpoint file, component folder or whole pipeline folder:
 * format, kind, naming, parameters, tensors with dtype, shape and size (in text at most `max_tensors`
 * of them, 0 = all), bytes by dtype, which component it can serve, problems found. Appends to out. */
ERR_MUST_CHECK enum err_code inspect_path(const char *path, bool as_json, size_t max_tensors,
                                          struct buf *out, struct err *e);

#endif
