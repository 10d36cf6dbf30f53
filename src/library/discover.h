/* discover.h - shared by adding one path (discover.c) and scanning a folder (walk.c). */
#ifndef VT_LIBRARY_DISCOVER_H
#define VT_LIBRARY_DISCOVER_H

#include "library/impl.h"

struct models_scan {
    struct models *m;
    const struct models_options *o;
    bool
        in_model; /* in a model's folder, whose transformer is the model's: another makes no second one */
};

/* Links in the folders are followed, a link that is the file itself is kept: the hub's names lie there. */
ERR_MUST_CHECK enum err_code models_canonical(const char *path, char out[MODELS_PATH_BYTES],
                                              struct err *e);
/* "models--org--name" -> "name", "x.safetensors" -> "x"; what -m would trip over becomes '-'. */
void models_make_name(const char *path, char out[MODELS_NAME_BYTES]);
/* Begins as a GGUF or safetensors file does. */
bool models_seems_weights(const char *path);
/* Holds the index of a component in shards. */
bool models_has_index(const char *dir);
/* hub_cache.c: the revision of a repository in the hub's cache: the newest that is whole, which is reported where it
 * is not the newest of all. */
bool models_hub_snapshot(const char *repo, const struct models_options *o,
                         char out[MODELS_PATH_BYTES]);

/* A folder for which models_is_folder. */
ERR_MUST_CHECK enum err_code models_add_folder(struct models_scan *s, const char *dir,
                                               struct err *e);
/* A file, or a folder that is one component in shards. */
ERR_MUST_CHECK enum err_code models_add_file(struct models_scan *s, const char *path,
                                             struct err *e);
/* What a folder is besides the files in it: a tokenizer, a processor. Counts what was found. */
size_t models_add_small_parts(struct models_scan *s, const char *dir);

#endif
