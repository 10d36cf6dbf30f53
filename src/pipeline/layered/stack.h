/* stack.h - from a decomposition's planes to a stack that a person can work with: 8-bit layers, bottom
 * first, without empty ones, named, at the source's size if wanted, and how well they add up. */
#ifndef VT_PIPELINE_LAYERED_STACK_H
#define VT_PIPELINE_LAYERED_STACK_H

#include <stddef.h>

#include "image/composite.h"
#include "layers/stack.h"
#include "pipeline/layered/layered.h"
#include "veetance.h"

struct layered_stack_options {
    const struct image *source; /* the image as it was given, any mode, 8 bits */
    bool full_size; /* bring the layers to the source's size, and its colours where known */
    bool keep_empty;
    bool merge_duplicates; /* neighbours that hardly differ become one */
};

struct layered_stack {
    struct layer_stack stack;
    struct image composite; /* the stack flattened, RGBA */
    size_t dropped, merged; /* layers that went because they were empty, or like their neighbour */
    struct image_difference
        source; /* the flattened stack against the source, at the stack's size */
    struct image_difference
        frame; /* all layers against the model's own composite, both as the model made them */
};

/* r stays the caller's. On failure *out holds nothing. */
ERR_MUST_CHECK enum err_code layered_stack_make(const struct layered_result *r,
                                                const struct layered_stack_options *options,
                                                struct layered_stack *out, struct err *e);
/* Accepts NULL and a zeroed one. */
void layered_stack_deinit(struct layered_stack *s);

/* ---- doubts ---------------------------------------------------------------------------------- */

/* Is a decomposition what was asked for? Reasons to look at it before using it; the result stands. */

enum { LAYERS_DOUBTS_MAX = 16 };

struct layers_doubt {
    const char *code, *text; /* a word for programs, a sentence for people; static */
    double value;            /* decibels, a count or a layer's number; NaN: none */
};

/* How many there are in out. */
size_t layers_doubts(const struct vt_layers_result *result,
                     struct layers_doubt out[LAYERS_DOUBTS_MAX]);

#endif
