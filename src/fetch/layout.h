/* layout.h - what makes a folder of downloaded files a model: its veetance.json. */
#ifndef VT_FETCH_LAYOUT_H
#define VT_FETCH_LAYOUT_H

#include "base/err.h"
#include "fetch/catalogue.h"
#include "fetch/record.h"

/* Writes DIR/veetance.json from the set's settings and the choices (one a component). One that somebody else
 * wrote or changed is left alone: *kept. The record learns the digest of ours. */
ERR_MUST_CHECK enum err_code layout_write(const char *dir, const struct catalogue_set *set,
                                          const struct catalogue_choice *const *choices,
                                          struct record *record, bool *kept, struct err *e);

/* The files that a safetensors index names, each once, as names beside it. path: of the index file. Calls
 * add(name) for each; stops at its first failure. */
ERR_MUST_CHECK enum err_code
layout_shards(const char *path, enum err_code (*add)(const char *name, void *user, struct err *e),
              void *user, struct err *e);

#endif
