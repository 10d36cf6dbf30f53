/* convert_plan.h - a conversion before a byte of it is written: the new file's header, and for every tensor
 * where it goes and what it is made of.
 *
 *     struct convert_options o = {.format = CHECKPOINT_GGUF, .type = DTYPE_Q5_0, .naming = "diffusers"};
 *     convert_plan_make(component, &o, &plan, &e);
 *     ... write plan->header at 0, then each part of each tensor behind the other from its offset on ...
 *     convert_plan_free(plan);
 *
 * The component must outlive the plan, whose views point into its map. Immutable once made: threads may
 * share it.
 */
#ifndef VT_WEIGHTS_CONVERT_PLAN_H
#define VT_WEIGHTS_CONVERT_PLAN_H

#include "base/buf.h"
#include "weights/component.h"
#include "weights/header_write.h"

struct convert_options {
    enum checkpoint_format format;
    enum dtype type;    /* DTYPE_INVALID: as stored */
    const char *naming; /* a word of convert_plan_make's list; NULL: "diffusers" */
    const char
        *source; /* written as "veetance.source" when not NULL: which file this was made of */
};

struct convert_tensor {
    const char *canonical;
    const struct weights_view *parts; /* their rows follow each other; scales not yet applied */
    size_t n_parts;
};

struct convert_plan {
    struct write_tensor *out;       /* n of them */
    struct convert_tensor *tensors; /* same order */
    size_t n;
    struct buf header;
    uint64_t file_bytes, source_bytes; /* source: what is read */
    size_t quantised;                  /* tensors in the wanted quantised type */
    size_t fallback;                   /* in another, since their rows do not fit */
    size_t unfit;                      /* as stored, since their rows fit none */
    size_t requantised;                /* that were quantised before, differently */
    size_t left_out;                   /* stored, but without a place in the new file */
    const char *left_out_name;         /* one of them; "" when none */
    const char *naming;                /* the naming's id */
};

/* naming: "diffusers" (the canonical names), "original" or "comfy", "gguf", "keep", or an id that
 * component_naming gives; an unknown word is ERR_ARG. */
ERR_MUST_CHECK enum err_code convert_plan_make(struct component *c, const struct convert_options *o,
                                               struct convert_plan **out, struct err *e);
/* Accepts NULL. */
void convert_plan_free(struct convert_plan *p);

#endif
