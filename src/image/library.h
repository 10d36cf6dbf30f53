/* library.h - a shared library that is opened when the first file needs it, so that it costs nothing at start and a
 * machine without it runs. Only for this folder.
 *
 *     static struct { int (*width)(struct thing *); } api;
 *     static const struct library_entry entries[] = {{"thing_width", (void **)&api.width}};
 *     static struct library lib = {"libthing.so.2", "reading THING", "libthing2", entries, 1};
 *     if ((rc = library_open(&lib, e)) != ERR_OK) ...
 *
 * Any thread may call; the table is filled once and never changes. */
#ifndef VT_IMAGE_LIBRARY_H
#define VT_IMAGE_LIBRARY_H

#include <stddef.h>

#include "base/err.h"

struct library_entry {
    const char *name;
    void **to;
};

struct library {
    const char *file;    /* "libtiff.so.6" */
    const char *task;    /* "reading TIFF" */
    const char *package; /* that has it, in Debian */
    const struct library_entry *entries;
    size_t n_entries;
    void *handle; /* NULL until it is open */
};

/* ERR_NOTFOUND when the library, or a function of it, is not there. */
ERR_MUST_CHECK enum err_code library_open(struct library *l, struct err *e);

#endif
