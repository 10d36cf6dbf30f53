/* paths.h - names that come from outside, and the folders that this program writes to.
 *
 * A name from a catalogue, an index file or a bundle is believed only after path_check: relative, made of
 * plain components, so that joined to a folder it stays inside. */
#ifndef VT_FETCH_PATHS_H
#define VT_FETCH_PATHS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { FETCH_PATH_BYTES = 4096, FETCH_NAME_BYTES = 512 };

/* Where a download keeps what is not finished, inside the model's folder. */
#define FETCH_WORK_DIR ".fetch"
/* What lies in a model's folder: which files, from where, with which digests. */
#define FETCH_RECORD "fetch.json"

/* Relative, at most FETCH_NAME_BYTES - 1 bytes of UTF-8 without control characters or backslashes; no empty,
 * "." or ".." component, none that ends in a space or a dot, none of ours (FETCH_WORK_DIR). */
ERR_MUST_CHECK enum err_code path_check(struct str name, const char *what, struct err *e);
/* A set's or model's own name: one component of letters, digits, '-', '_' and '.'. */
bool path_is_plain_name(const char *name);

/* $VEETANCE_HOME/models, $XDG_DATA_HOME/veetance/models or ~/.local/share/veetance/models. */
ERR_MUST_CHECK enum err_code path_models_root(char out[FETCH_PATH_BYTES], struct err *e);
/* $VEETANCE_HOME, else $XDG_CONFIG_HOME/veetance or ~/.config/veetance: where the token is kept. */
ERR_MUST_CHECK enum err_code path_config_dir(char out[FETCH_PATH_BYTES], struct err *e);

/* Free bytes for an ordinary user on DIR's file system; DIR need not exist yet (its nearest parent counts). */
ERR_MUST_CHECK enum err_code path_free_bytes(const char *dir, uint64_t *out, struct err *e);

/* "7.75 GB": decimal units, as the hub's pages show sizes. */
const char *path_size_text(uint64_t bytes, char out[32]);

/* ---- the layout of a model's folder ---------------------------------------------------------- */

/* What makes a folder of downloaded files a model: its veetance.json. */

struct catalogue_set;
struct catalogue_choice;
struct record;

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
