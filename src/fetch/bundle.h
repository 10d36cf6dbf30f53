/* bundle.h - a model as one file, for machines that never see a network: a tar archive whose first entry,
 * veetance-bundle.json, names every other with its size and SHA-256 (the same format as fetch.json), and whose
 * other entries are NAME/path. Any tar can unpack one; importing checks it on the way. */
#ifndef VT_FETCH_BUNDLE_H
#define VT_FETCH_BUNDLE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"
#include "fetch/paths.h"
#include "fetch/tar.h"

#define BUNDLE_MANIFEST "veetance-bundle.json"

struct bundle_watch {
    const atomic_bool *stop; /* NULL: never */
    /* Now and then; NULL: silence. */
    void (*progress)(const char *doing, uint64_t done, uint64_t total, void *user);
    void *user;
};

/* The model in DIR into FILE, which appears only when it is whole. Files that fetch.json knows are compared with
 * it; links to files are followed; work folders of downloads are left out. */
ERR_MUST_CHECK enum err_code bundle_export(const char *dir, const char *name, const char *file,
                                           const struct bundle_watch *w, struct err *e);

/* From any input into TO, NULL: the models folder under the bundle's name; out_dir says which it was. Each file
 * appears only when it is whole and its digest fits. */
ERR_MUST_CHECK enum err_code bundle_import(tar_read_fn read, void *user, const char *to,
                                           const struct bundle_watch *w,
                                           char out_dir[FETCH_PATH_BYTES], struct err *e);

#endif
