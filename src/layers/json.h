/* json.h - a stack as a set of PNG files with a manifest, layers.json, in a folder or in a ZIP.
 * Format: docs/formats/layers-json.md.
 *
 * Written: layer_0.png (bottom) ... layer_{n-1}.png, composite.png (the stack flattened), layers.json.
 * Read: any manifest of version 1. Its file names are relative and stay inside the folder, links
 * included; the images have the sizes that it tells. One thread at a time per call; no state. */
#ifndef VT_LAYERS_JSON_H
#define VT_LAYERS_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "image/sink.h"
#include "layers/stack.h"

#define LAYERS_JSON_NAME "layers.json"

/* The manifest alone, as the folder's writer makes it. Appended to out. */
ERR_MUST_CHECK enum err_code layers_json_write(const struct layer_stack *s, struct buf *out,
                                               struct err *e);

/* Into a folder, which is made when it is not there; each file all or nothing, the manifest last. */
ERR_MUST_CHECK enum err_code layers_folder_write(const struct layer_stack *s, const char *dir,
                                                 struct err *e);
/* Fills out (empty after a failure). limits NULL = defaults. Caller: layer_stack_deinit. */
ERR_MUST_CHECK enum err_code layers_folder_read(const char *dir, const struct layers_limits *limits,
                                                struct layer_stack *out, struct err *e);

/* The same files as one archive, entry by entry: no more than one packed layer is in memory. */
ERR_MUST_CHECK enum err_code layers_zip_write(const struct layer_stack *s,
                                              const struct image_out *out, struct err *e);
ERR_MUST_CHECK enum err_code layers_zip_decode(struct str bytes, const struct layers_limits *limits,
                                               struct layer_stack *out, struct err *e);

#endif
