/* inspect_impl.h - inside this room: what inspect.c collects and inspect_write.c writes. */
#ifndef VT_WEIGHTS_INSPECT_IMPL_H
#define VT_WEIGHTS_INSPECT_IMPL_H

#include <stdarg.h>

#include "base/buf.h"
#include "weights/component.h"
#include "weights/held.h"

enum { INSPECT_MAX_PROBLEMS = 16, INSPECT_PROBLEM_BYTES = 480, INSPECT_PATH_BYTES = 4096 };

struct inspect_report {
    const char *path;
    const char *role;                  /* "vae" in a pipeline, else NULL */
    const char *class_name;            /* from model_index.json, else NULL */
    struct checkpoint *cp;             /* NULL when there are no readable weights */
    struct component *component;       /* NULL when it is no known network */
    char lora[128];                    /* "LoRA of rank 16 for FLUX.2-klein 4B"; "": it is none */
    const char *serves;                /* "flux2-klein/vae", NULL for nothing */
    const char *also[COMPONENT_COUNT]; /* titles of other networks in the same file */
    size_t n_also;
    uint64_t parameters, bytes;
    struct {
        char from[64]; /* "float8"; "": nothing becomes wider there */
        uint64_t bytes;
    } widened[WEIGHTS_DEVICES]; /* to bfloat16, at most so much more than in the files */
    uint64_t bytes_by_dtype[DTYPE_COUNT];
    char problems[INSPECT_MAX_PROBLEMS][INSPECT_PROBLEM_BYTES];
    size_t n_problems, more_problems;
};

void inspect_problem(struct inspect_report *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* max_tensors as in inspect_path. */
void inspect_text(const struct inspect_report *r, size_t max_tensors, struct buf *out);
void inspect_json(const struct inspect_report *r, size_t max_tensors, struct buf *out);
void inspect_pipeline_begin(const char *dir, struct str class_name, bool as_json, struct buf *out);
void inspect_pipeline_end(bool as_json, struct buf *out);

#endif
