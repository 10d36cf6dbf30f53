/* grants.h - the files that an engine's process has to reach, found out before it is started: it is then confined to
 * them (and to what the system's libraries and drivers need, which it knows best itself). */
#ifndef VT_PIPELINE_ISOLATED_GRANTS_H
#define VT_PIPELINE_ISOLATED_GRANTS_H

#include <stdbool.h>

#include "base/err.h"

enum { GRANTS_MAX = 512 };

/* Real paths of files and of folders with all that is in them. */
struct grant_list {
    const char *paths[GRANTS_MAX];
    int n;
};

struct grants {
    struct grant_list read, write;
};

void grants_deinit(struct grants *g);
/* A model as the engine takes it: a folder, a file, or an embedded model's name; with all that its veetance.json names
 * and its links lead to. What is not there is left out: the engine will say so. */
ERR_MUST_CHECK enum err_code grants_add_model(struct grants *g, const char *model, struct err *e);
/* To read one path. */
ERR_MUST_CHECK enum err_code grants_add_read(struct grants *g, const char *path, struct err *e);
/* To read and write one path, or what lies in it. */
ERR_MUST_CHECK enum err_code grants_add_written(struct grants *g, const char *path, struct err *e);
/* A folder to write into, which is made. NULL and "" are fine. */
ERR_MUST_CHECK enum err_code grants_add_write(struct grants *g, const char *folder, struct err *e);
/* Whether all of b is in a, or below what is. */
bool grants_cover(const struct grants *a, const struct grants *b);
/* Adds what b has and a does not. */
ERR_MUST_CHECK enum err_code grants_join(struct grants *a, const struct grants *b, struct err *e);

#endif
