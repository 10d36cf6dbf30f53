/* get.h - a set of the catalogue into a folder: what is wanted, what is there, the rest downloaded, and a
 * veetance.json so that the folder is a model.
 *
 *     struct get *g;
 *     get_new(catalogue, &request, &g, &e);   // checks names and choices; touches nothing
 *     get_licences(g, ...);                   // what has to be agreed to
 *     get_run(g, &e);
 *     get_free(g);
 *
 * In the folder: the files, fetch.json (record.h), and while something is missing .fetch/ with the parts, their
 * states and a lock. */
#ifndef VT_FETCH_GET_H
#define VT_FETCH_GET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "fetch/catalogue.h"
#include "fetch/download.h"
#include "fetch/record.h"

enum { GET_MAX_PICKS = 8, GET_MAX_LICENCES = 16 };

struct get_pick {
    const char *component, *choice;
};

struct get_request {
    const char *set;
    const char *to;     /* NULL: the models folder, under the set's name */
    const char *mirror; /* NULL: $HF_ENDPOINT, else the catalogue's hub */
    struct get_pick picks[GET_MAX_PICKS];
    size_t pick_count;
    int connections, tries;
    bool trust_hub; /* take what the hub offers where it is not what the catalogue pins */
    const atomic_bool *stop;
    hub_note_fn note;
    void (*progress)(void *user); /* get_files may be looked at */
    void *user;
};

struct get_totals {
    uint64_t bytes, bytes_before; /* of the set; of that, what was there at the start */
    size_t files;
};

struct get;

ERR_MUST_CHECK enum err_code get_new(const struct catalogue *c, const struct get_request *r,
                                     struct get **out, struct err *e);
void get_free(struct get *g); /* accepts NULL */

const char *get_dir(const struct get *g);
/* The address that is asked; differs from the catalogue's hub with a mirror. */
const char *get_base(const struct get *g);
/* The licences of all chosen sources, each once; *agreed: this folder's record has them already. */
size_t get_licences(const struct get *g, const struct catalogue_licence *out[GET_MAX_LICENCES],
                    bool *agreed);

/* Agreeing is the caller's business; this notes it. */
ERR_MUST_CHECK enum err_code get_run(struct get *g, struct err *e);

/* The files that this run downloads; only in callbacks and after get_run. */
const struct download_file *get_files(const struct get *g, size_t *count);
struct get_totals get_totals(const struct get *g);

#endif
