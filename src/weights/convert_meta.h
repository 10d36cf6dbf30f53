/* convert_meta.h - inside this room: what a converted file says about itself. */
#ifndef VT_WEIGHTS_CONVERT_META_H
#define VT_WEIGHTS_CONVERT_META_H

#include "base/arena.h"
#include "weights/component_impl.h"
#include "weights/convert_plan.h"

/* The source's metadata goes along where the format can hold it (a tokenizer's arrays only from GGUF to GGUF),
 * but for what is about the old file's layout. Everything lies in the arena. */
ERR_MUST_CHECK enum err_code convert_meta_make(struct component *c, const struct convert_options *o,
                                               struct arena *a, struct write_meta **out, size_t *n,
                                               struct err *e);

#endif
