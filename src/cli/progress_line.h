/* progress_line.h - how far a run is, as one line. */
#ifndef VT_CLI_PROGRESS_LINE_H
#define VT_CLI_PROGRESS_LINE_H

#include <stdbool.h>

#include "veetance.h"

enum { PROGRESS_LINE_BYTES = 256 };

/* At most width columns: a line that wraps cannot be redrawn, so the bar goes first, then the end. terminal: with a
 * bar and what changes all the time; else what is worth a line that stays. */
void progress_line(const struct vt_progress *v, bool terminal, int width,
                   char out[PROGRESS_LINE_BYTES]);

#endif
