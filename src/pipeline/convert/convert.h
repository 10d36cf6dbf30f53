/* convert.h - a component's weights in another type, container or naming, written by several threads.
 *
 * The source stays mapped and is read once; memory holds a few megabytes a thread, whatever the size of the
 * file. The new file appears whole or not at all. Bytes do not depend on the number of threads.
 *
 *     struct convert_request rq = {.source = "a.safetensors", .target = "b.gguf", .type = DTYPE_Q5_0};
 *     struct convert_result done;
 *     rc = convert_run(&rq, &done, &e);
 */
#ifndef VT_PIPELINE_CONVERT_CONVERT_H
#define VT_PIPELINE_CONVERT_CONVERT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "weights/convert_plan.h"

enum convert_format { CONVERT_AUTO, CONVERT_TO_SAFETENSORS, CONVERT_TO_GGUF };

struct convert_request {
    const char *source; /* what component_open takes; for convert_model a whole model, too */
    const char *target; /* its ending tells the format unless `format` does */
    enum convert_format format;
    enum dtype type;           /* DTYPE_INVALID: as stored */
    const char *naming;        /* as convert_options' */
    const char *source_mark;   /* goes into the file as "veetance.source"; NULL: none */
    int threads;               /* 0: one a core */
    bool force;                /* replace a file that is there */
    const atomic_bool *cancel; /* NULL: nobody does */
    /* From the caller's thread only: bytes of the source that are done, of how many. */
    void (*progress)(uint64_t done, uint64_t total, void *user);
    void (*note)(const char *text, void *user);
    void *user;
};

struct convert_result {
    uint64_t source_bytes, file_bytes; /* of tensors read, of files written */
    size_t files, tensors, quantised, fallback;
    double seconds;
};

/* One component. */
ERR_MUST_CHECK enum err_code convert_run(const struct convert_request *rq,
                                         struct convert_result *out, struct err *e);

/* A component, or a whole model into a new folder: its networks, and beside them everything else that makes it
 * a model. With a quantised type the VAE, which would lose too much, keeps its file. */
ERR_MUST_CHECK enum err_code convert_any(const struct convert_request *rq,
                                         struct convert_result *out, struct err *e);

#endif
