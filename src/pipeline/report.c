#include "pipeline/report.h"

#include <stdarg.h>
#include <stdio.h>

void report_progress(const struct vt_callbacks *cb, const struct vt_progress *p)
{
    if (cb && cb->progress)
        cb->progress(p, cb->user);
}

void report_note(const struct vt_callbacks *cb, const char *fmt, ...)
{
    char text[480];
    if (!cb || !cb->note)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cb->note(text, cb->user);
}
