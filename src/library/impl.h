/* impl.h - between the files of the model store. */
#ifndef VT_LIBRARY_IMPL_H
#define VT_LIBRARY_IMPL_H

#include "base/str.h"
#include "library/models.h"

enum {
    MODELS_MAX = 4096,
    MODELS_MAX_COMPONENTS = 16384,
    MODELS_MAX_FILES = 256,
    MODELS_SETTINGS_BYTES = 64 << 10,
    MODELS_PUBLISHED_VOCABULARY = 151643, /* tokens of Qwen3 and Qwen2.5, without the added ones */
};

/* manifest.c: room for one more, zeroed; NULL when there are too many. */
struct models_model *models_more(struct models *m);
struct models_component *models_more_components(struct models *m);
/* Grows an array that lives in the arena; NULL when memory is out. */
void *models_grow(struct models *m, void *old, size_t n, size_t size);
/* A copy in the arena; NULL stays NULL. "" when the arena is full (the caller's save then fails to parse: the
 * arena's limit is far beyond the file's). */
const char *models_keep(struct models *m, const char *z);

/* locate.c: the mount point that a path lies on. */
void models_volume_of(const char *path, char out[MODELS_PATH_BYTES]);
/* Path of a component's i-th file at a place. False when it does not fit. */
bool models_file_path(const struct models_place *p, size_t i, char out[MODELS_PATH_BYTES]);

/* identify.c: recognises a file or folder. The component is added to m, or the place to the one that is
 * known already; *out borrowed from m (until the next is added). ERR_FORMAT: none of ours. */
ERR_MUST_CHECK enum err_code models_look(struct models *m, const char *path,
                                         const struct models_options *o,
                                         struct models_component **out, struct err *e);
ERR_MUST_CHECK enum err_code models_look_tokenizer(struct models *m, const char *dir,
                                                   struct models_component **out, struct err *e);
ERR_MUST_CHECK enum err_code models_look_processor(struct models *m, const char *dir,
                                                   struct models_component **out, struct err *e);
/* Fills bytes and quick. */
ERR_MUST_CHECK enum err_code models_quick(const char *path, struct models_file *out, struct err *e);
/* Of all bytes, with reports. */
ERR_MUST_CHECK enum err_code models_hash(const char *path, const struct models_options *o,
                                         char out[SHA256_HEX_SIZE], struct err *e);
void models_say(const struct models_options *o, enum models_news news, const char *path,
                const char *text);

/* discover.c: does the model's own folder name all that it needs, and is it there? Then it is used as it is. */
bool models_folder_is_whole(const struct models *m, const struct models_model *x);

/* A folder with model_index.json or veetance.json. */
bool models_is_folder(const char *dir);

/* match.c: the model that has the same content in another folder; NULL when there is none. */
struct models_model *models_twin(const struct models *m, const struct models_model *x);

/* published.c: which klein a single file is, as far as can be told. */
enum models_klein { KLEIN_UNKNOWN, KLEIN_DISTILLED, KLEIN_BASE, KLEIN_KV };
enum models_klein models_klein_of(const struct models_component *c, const char *path);

/* settings.c: what the folder says besides its parts, as JSON in the arena: is_distilled, reference_cache,
 * defaults, scheduler. NULL when that is too large. */
const char *models_settings_of(struct models *m, const char *dir);

/* match.c: fills the roles that are empty with the best components that fit; of an assembled model all roles,
 * and reports where that changes one. */
void models_complete(const struct models *m, struct models_model *x,
                     const struct models_options *o);
void models_complete_all(struct models *m, const struct models_options *o);
/* Which role a component can have; false: none. */
bool models_role_of(const struct models_component *c, enum models_role *out);

/* assemble.c: the folder with the generated veetance.json. */
ERR_MUST_CHECK enum err_code models_assemble(struct models *m, const struct models_model *model,
                                             char out[MODELS_PATH_BYTES], struct err *e);
ERR_MUST_CHECK enum err_code models_assembled_dir(const struct models *m, const char *name,
                                                  char out[MODELS_PATH_BYTES], struct err *e);
/* Removes it; silence when there is none. */
void models_disassemble(const struct models *m, const char *name);

#endif
