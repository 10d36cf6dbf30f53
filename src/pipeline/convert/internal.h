/* internal.h - what the files about conversion share. */
#ifndef VT_PIPELINE_CONVERT_INTERNAL_H
#define VT_PIPELINE_CONVERT_INTERNAL_H

#include "pipeline/convert/convert.h"

/* Where a component stands in a job of several, for progress. */
struct convert_span {
    uint64_t before, total; /* source bytes */
};

void convert_note(const struct convert_request *rq, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Refuses what can be refused before anything is opened. */
ERR_MUST_CHECK enum err_code convert_check(const struct convert_request *rq, struct err *e);

/* c comes from component_open: its files are mapped. rq->source is not looked at; adds to *out. span may be
 * NULL. */
ERR_MUST_CHECK enum err_code convert_component(struct component *c,
                                               const struct convert_request *rq,
                                               const struct convert_span *span,
                                               struct convert_result *out, struct err *e);

#endif
