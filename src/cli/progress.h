/* progress.h - how a run's progress looks on standard error: one line that is redrawn on a terminal, plain
 * lines elsewhere, nothing when quiet. */
#ifndef VT_CLI_PROGRESS_H
#define VT_CLI_PROGRESS_H

#include <stdbool.h>

#include "base/buf.h"
#include "veetance.h"

struct cli_progress {
    bool quiet, terminal, line_open;
    enum vt_stage last_stage;
    int last_image;
    bool started;
    struct vt_engine *engine; /* cancelled at the next report after a signal; NULL: nobody */
    struct buf notes;         /* JSON strings, comma-separated: for --json */
};

void cli_progress_init(struct cli_progress *p, bool quiet);
void cli_progress_deinit(struct cli_progress *p);
/* Says a note and keeps it for --json. */
void cli_progress_note(struct cli_progress *p, const char *text);
/* Ends a line that is still open, before anything else is printed. */
void cli_progress_finish(struct cli_progress *p);
struct vt_callbacks cli_progress_callbacks(struct cli_progress *p);

#endif
