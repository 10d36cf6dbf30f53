/* report.h - telling the caller how a run goes. */
#ifndef VT_PIPELINE_REPORT_H
#define VT_PIPELINE_REPORT_H

#include "veetance.h"

void report_progress(const struct vt_callbacks *cb, const struct vt_progress *p);
void report_note(const struct vt_callbacks *cb, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
