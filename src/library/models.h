/* models.h - which models there are, wherever they lie.
 *
 * Nothing is copied or moved: the store is one file, models.json in the data folder (docs/formats/models-manifest.md),
 * that says what was found where. A component (a transformer, a text encoder, a VAE, a tokenizer, ...) is known by
 * its bytes, so that two copies of it are one component in two places, models share it, and it is found again when
 * it moved. A model is a name for a set of components. Files are recognised by what is in them, never by name.
 *
 *     struct models *m;
 *     if ((rc = models_load_to_change(NULL, &options, &m, e)) != ERR_OK) ...
 *     rc = models_add(m, "/mnt/big/FLUX.2-klein-4B", &options, e);
 *     if (rc == ERR_OK)
 *         rc = models_save(m, e);
 *     models_free(m);
 *
 * While a drive is offline (nothing is mounted where it was) its models have the state "away"; the rest works. A
 * component with a second place is used from there. A struct models belongs to one thread. models_resolve may be
 * called from any: it loads for itself.
 */
#ifndef VT_LIBRARY_MODELS_H
#define VT_LIBRARY_MODELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/sha256.h"

enum { MODELS_PATH_BYTES = 4096, MODELS_NAME_BYTES = 128 };

/* ---- what the manifest holds (plain data; strings live in the store's arena) --------------------------- */

struct models_file {
    uint64_t bytes;
    char quick[SHA256_HEX_SIZE];  /* of the size and pieces: tells files apart in milliseconds */
    char sha256[SHA256_HEX_SIZE]; /* of all bytes; "" until somebody took the time */
};

struct models_place {
    const char *path;   /* the file, or the folder that the named files lie in */
    const char *volume; /* mount point of its drive when it was seen there */
    const char **names; /* one a file of the component; NULL: path is the file */
};

struct models_component {
    const char *id;    /* "qwen3-" and 12 digits of its files' hash */
    const char *kind;  /* component_kind_id, "tokenizer", "processor" or "lora" */
    const char *about; /* a line for people */
    /* What must agree between components of one model; 0 where it does not apply. */
    int64_t text;      /* width of the text states that it takes or gives */
    int64_t latent;    /* channels of a latent */
    int64_t channels;  /* of an image */
    int64_t rows;      /* token embeddings, or tokens of a tokenizer */
    int64_t rank;      /* of a LoRA */
    const char *base;  /* of a LoRA: what it is for, as people say it; else "" */
    int64_t own_bytes; /* of its tensors, in a file with other networks; else 0 */
    bool layered;      /* takes apart (Qwen-Image-Layered) */
    bool tokens;       /* a text encoder that carries its tokenizer (GGUF) */
    bool vision;       /* has a vision tower; a tokenizer: Qwen3's rather than Qwen2.5's */
    struct models_file *files;
    size_t n_files;
    struct models_place *places;
    size_t n_places;
};

enum models_role {
    MODELS_TRANSFORMER,
    MODELS_TEXT_ENCODER,
    MODELS_VAE,
    MODELS_VISION, /* optional */
    MODELS_TOKENIZER,
    MODELS_PROCESSOR, /* optional */
    MODELS_ROLES,
};

struct models_model {
    const char *name;
    const char *pipeline; /* "klein" or "layered" */
    const char *layout;   /* "folder", "hub" or "assembled" */
    const char *path;     /* the folder; "" for an assembled one */
    const char *volume;
    const char
        *settings; /* JSON: what the folder says besides its parts (settings.c); NULL: not known */
    const char
        *chosen; /* JSON: what a person, or the file's name, says before all others; may be NULL */
    bool distilled;                  /* klein, assembled: no guidance */
    const char *parts[MODELS_ROLES]; /* ids; NULL: none */
};

struct models {
    struct arena arena;
    char dir[MODELS_PATH_BYTES]; /* models.json's folder */
    int lock_fd;                 /* of models.lock, while loaded to change; else -1 */
    struct models_model *models;
    size_t n_models, cap_models;
    struct models_component *components;
    size_t n_components, cap_components;
};

enum models_state {
    MODELS_READY,
    MODELS_AWAY,       /* its drive is offline */
    MODELS_MISSING,    /* the drive is, the file is not */
    MODELS_CHANGED,    /* another file of that name */
    MODELS_INCOMPLETE, /* a model without one of its parts */
};

/* "ready", "away", ...; "transformer", "text_encoder", .... Static strings. */
const char *models_state_name(enum models_state s);
const char *models_role_name(enum models_role r);

/* ---- the manifest ------------------------------------------------------------------------------------ */

struct models_options;

/* dir: NULL for the user's own ($VEETANCE_HOME, $XDG_DATA_HOME/veetance, ~/.local/share/veetance). No file
 * is an empty store. Caller: models_free. */
ERR_MUST_CHECK enum err_code models_load(const char *dir, struct models **out, struct err *e);
/* The same to change it: until models_free nobody else does, in this process or another, so that no change is
 * lost. Waits for whoever does now, and reports that (MODELS_WAITING). o may be NULL. */
ERR_MUST_CHECK enum err_code models_load_to_change(const char *dir, const struct models_options *o,
                                                   struct models **out, struct err *e);
/* The text of a manifest; m is fresh from models_new. */
ERR_MUST_CHECK enum err_code models_parse(struct models *m, struct str text, struct err *e);
/* Written whole or not at all. Only what was loaded to change. */
ERR_MUST_CHECK enum err_code models_save(const struct models *m, struct err *e);
struct models *models_new(void);
/* Accepts NULL. */
void models_free(struct models *m);

/* NULL when there is none. Borrowed from m. */
struct models_model *models_find(const struct models *m, const char *name);
struct models_component *models_component(const struct models *m, const char *id);

/* ---- using ------------------------------------------------------------------------------------------- */

/* What to give to the engine for what a person wrote after -m: for a name of the store its folder, for a name
 * of a downloaded set that one's; anything else (a path, an embedded model's name) is copied as it is.
 * ERR_NOTFOUND: the store knows the name, but files are not there (the text says which, and why). */
ERR_MUST_CHECK enum err_code models_resolve(const char *name, char out[MODELS_PATH_BYTES],
                                            struct err *e);
/* For a name of an opened store only (else ERR_NOTFOUND); brings the generated veetance.json of an assembled
 * model up to date. */
ERR_MUST_CHECK enum err_code models_resolve_in(struct models *m, const char *name,
                                               char out[MODELS_PATH_BYTES], struct err *e);

/* ---- LoRA -------------------------------------------------------------------------------------------- */

/* LoRAs are components that belong to no model. One is called after its file, or after the folder where the file has a
 * name that every trainer gives. */
bool models_is_lora(const struct models_component *c);
void models_lora_name(const struct models_component *c, char out[MODELS_NAME_BYTES]);
/* NULL when there is none of the name. ERR_BUSY: there are several. */
ERR_MUST_CHECK enum err_code models_find_lora(const struct models *m, const char *name,
                                              struct models_component **out, struct err *e);
/* The file of a LoRA of the user's own store. ERR_NOTFOUND: there is none, or its file is not there. */
ERR_MUST_CHECK enum err_code models_resolve_lora(const char *name, char out[MODELS_PATH_BYTES],
                                                 struct err *e);
/* The same of an opened store. */
ERR_MUST_CHECK enum err_code models_resolve_lora_in(const struct models *m, const char *name,
                                                    char out[MODELS_PATH_BYTES], struct err *e);

enum models_state models_place_state(const struct models_component *c,
                                     const struct models_place *p);
/* The best of its places, and where its files are now: also when the drive is mounted elsewhere. path: the
 * file or folder, "" unless ready. */
enum models_state models_component_state(const struct models_component *c,
                                         char path[MODELS_PATH_BYTES]);
/* The worst of its parts'. missing: the role that is at fault (may be NULL). */
enum models_state models_model_state(const struct models *m, const struct models_model *model,
                                     enum models_role *fault);
/* Does the model need a component of its own for the role? */
bool models_role_is_needed(const struct models *m, const struct models_model *x,
                           enum models_role r);
uint64_t models_component_bytes(const struct models_component *c);
/* Of all its parts; a file that several parts are in counts once. */
uint64_t models_model_bytes(const struct models *m, const struct models_model *x);
/* How many models use it. */
size_t models_users(const struct models *m, const struct models_component *c);

/* ---- changing ---------------------------------------------------------------------------------------- */

enum models_news {
    MODELS_FOUND_MODEL,     /* text: the name */
    MODELS_FOUND_COMPONENT, /* text: what it is */
    MODELS_REFUSED,         /* text: why the file at path is of no use */
    MODELS_HASHING,         /* text: "" ; done and bytes tell how far */
    MODELS_MOVED,           /* text: the component; path: where it is now */
    MODELS_VERIFIED,        /* text: the component */
    MODELS_BROKEN,          /* text: what is wrong */
    MODELS_LEFT_OUT,        /* text: why nothing at or below path was looked at */
    MODELS_NOTE,            /* text: what a person should know about path */
    MODELS_WAITING,         /* for another process that changes the store; path: its lock */
};

struct models_report {
    enum models_news news;
    const char *path, *text;
    uint64_t done, bytes;
};

struct models_options {
    const char *name; /* of the model; NULL: made from the folder's or file's */
    bool hash;        /* also sha256 of whole files, which takes as long as reading them */
    /* May the model at path not have this name? NULL: every name is free. */
    bool (*reserved)(const char *name, const char *path);
    int distilled; /* 1 yes, 0 no, -1: as the model says or its file's name suggests */
    void (*report)(const struct models_report *r, void *user); /* NULL: none */
    void *user;
};

/* One model folder, component folder or file, of any layout that is accepted. ERR_FORMAT when it is none,
 * ERR_BUSY when the name is taken by another model. */
ERR_MUST_CHECK enum err_code models_add(struct models *m, const char *path,
                                        const struct models_options *o, struct err *e);
/* Everything below a folder: model folders, ComfyUI's tree, the hub's cache, single files; found again what had
 * moved. Links to folders are followed, each folder is entered once. What is of no use (MODELS_REFUSED) and what
 * was not looked at (MODELS_LEFT_OUT) is reported and is no error. */
ERR_MUST_CHECK enum err_code models_scan(struct models *m, const char *dir,
                                         const struct models_options *o, struct err *e);
/* Compares every file that is there with what was recorded; with o->hash all bytes, and missing hashes are added.
 * Returns how many components are broken or gone (those on a drive that is offline do not count). */
size_t models_verify(struct models *m, const struct models_options *o);
/* Sets "reference_cache" or "distilled" to "yes" or "no" ("true", "false"). */
ERR_MUST_CHECK enum err_code models_set(struct models *m, const char *name, const char *key,
                                        const char *value, struct err *e);
/* Forgets the model and the components that no other uses, or a LoRA; touches none of their files. */
ERR_MUST_CHECK enum err_code models_remove(struct models *m, const char *name, struct err *e);

#endif
