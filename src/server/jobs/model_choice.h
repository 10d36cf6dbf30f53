/* model_choice.h - which models clients may name: those of the model store, and the embedded ones. Names only:
 * nothing that a client sends becomes a path. */
#ifndef VT_SERVER_JOBS_MODEL_CHOICE_H
#define VT_SERVER_JOBS_MODEL_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pipeline/model_dir.h"

enum { MODEL_NAME_BYTES = 256 };

enum model_task { MODEL_TASK_IMAGES = 1, MODEL_TASK_LAYERS = 2 };

struct model_seen {
    const char *name;
    unsigned tasks;
    const char *state; /* "ready", "away", "missing", ... */
    uint64_t bytes;    /* on the disk; 0: unknown */
    bool embedded;
};

/* Each model, in the order in which they are offered; stops when visit gives false. */
void model_each(bool (*visit)(const struct model_seen *m, void *user), void *user);

/* The name's model for one of the tasks; name NULL or "": the first that is ready and can do it. ERR_NOTFOUND:
 * there is no such model, or it is not ready; ERR_ARG: it does something else. Either out may be NULL. */
ERR_MUST_CHECK enum err_code model_choose(const char *name, unsigned tasks,
                                          char name_out[MODEL_NAME_BYTES],
                                          char path[MODEL_PATH_BYTES], struct err *e);

#endif
