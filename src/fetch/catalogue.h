/* catalogue.h - what can be downloaded: data read from models/catalogue.json, checked before it is believed.
 *
 * A set (klein-4b) has components (transformer), a component has choices (bf16, Q5_0), a choice has files of
 * one source (a repository at a revision, with its licence). docs/fetch.md describes the file.
 *
 * A file's sha256 is a pin: the hub must offer exactly that. A size without a sha256 is only an estimate for
 * `list` and for the check of free space; what is really there is learnt from the hub.
 *
 * Everything lives in the catalogue and dies with it; immutable after catalogue_open. */
#ifndef VT_FETCH_CATALOGUE_H
#define VT_FETCH_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

struct catalogue_licence {
    const char *id, *name, *url;
    const char *note; /* what to know before saying yes; may be "" */
};

struct catalogue_source {
    const char *id, *repo, *revision;
    const char *page; /* where a gated repository is asked for; NULL: its own page at the hub */
    const struct catalogue_licence *licence;
    bool gated;
};

struct catalogue_file {
    const char *path;   /* in the repository */
    const char *to;     /* in the model's folder */
    const char *sha256; /* NULL: not known here */
    int64_t size;       /* -1: not known here */
    bool optional;      /* a repository without it is fine */
    bool shards;        /* an index: the files that it names, beside it, are wanted, too */
};

struct catalogue_choice {
    const char *name;
    const struct catalogue_source *source;
    const char *weights; /* path for veetance.json's components; NULL: the folder layout says it */
    const char
        *vision; /* path of the vision tower that goes with a GGUF text encoder; NULL: none */
    const struct catalogue_file *files;
    size_t file_count;
};

struct catalogue_component {
    const char *name;
    const struct catalogue_choice *choices; /* the first is the default */
    size_t choice_count;
};

struct catalogue_set {
    const char *name, *title;
    yyjson_val *settings; /* object: what veetance.json gets besides the components */
    const struct catalogue_component *components;
    size_t component_count;
};

struct catalogue;

/* text is copied as far as needed. Caller frees with catalogue_free. */
ERR_MUST_CHECK enum err_code catalogue_parse(struct str text, const char *what,
                                             struct catalogue **out, struct err *e);
/* PATH, or NULL: $VEETANCE_CATALOGUE, $VEETANCE_MODELS/catalogue.json, then models/ beside the program. */
ERR_MUST_CHECK enum err_code catalogue_open(const char *path, struct catalogue **out,
                                            struct err *e);
void catalogue_free(struct catalogue *c);

/* "https://huggingface.co" */
const char *catalogue_hub(const struct catalogue *c);
size_t catalogue_count(const struct catalogue *c);
const struct catalogue_set *catalogue_at(const struct catalogue *c, size_t i);
/* ERR_NOTFOUND names the sets that there are. */
ERR_MUST_CHECK enum err_code catalogue_find(const struct catalogue *c, const char *name,
                                            const struct catalogue_set **out, struct err *e);
const struct catalogue_component *catalogue_component_find(const struct catalogue_set *s,
                                                           const char *name);
/* The choice of that name (case does not matter), NULL name: the default. ERR_ARG names the choices. */
ERR_MUST_CHECK enum err_code catalogue_choice_find(const struct catalogue_component *c,
                                                   const char *name,
                                                   const struct catalogue_choice **out,
                                                   struct err *e);
/* Bytes of a choice's files as far as known; *whole says whether all were. */
uint64_t catalogue_choice_bytes(const struct catalogue_choice *c, bool *whole);

#endif
