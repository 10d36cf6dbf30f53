/* doubt.h - is a decomposition what was asked for? Reasons to look at it before using it; the result stands. */
#ifndef VT_PIPELINE_LAYERED_DOUBT_H
#define VT_PIPELINE_LAYERED_DOUBT_H

#include <stddef.h>

#include "veetance.h"

enum { LAYERS_DOUBTS_MAX = 16 };

struct layers_doubt {
    const char *code, *text; /* a word for programs, a sentence for people; static */
    double value;            /* decibels, a count or a layer's number; NaN: none */
};

/* How many there are in out. */
size_t layers_doubts(const struct vt_layers_result *result,
                     struct layers_doubt out[LAYERS_DOUBTS_MAX]);

#endif
