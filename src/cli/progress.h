/* progress.h - how a run's progress looks on standard error: one line that is redrawn on a terminal and never wider
 * than it, elsewhere one plain line a stage (verbose: one a step), nothing when quiet. */
#ifndef VT_CLI_PROGRESS_H
#define VT_CLI_PROGRESS_H

#include <stdbool.h>

#include "base/buf.h"
#include "veetance.h"

struct preview_out;
struct result_out;

struct cli_progress {
    bool quiet, verbose, terminal, line_open;
    unsigned told;                /* stages of this image that have had their line, a bit each */
    int image;                    /* that the last report was of, from 0; -1: there was none */
    int image_count;              /* of that report */
    struct vt_engine *engine;     /* cancelled at the next report after a signal; NULL: nobody */
    struct result_out *out;       /* takes images as they are done; NULL: nobody */
    struct preview_out *previews; /* takes previews; NULL: nobody wants any */
    struct buf notes;             /* JSON strings, comma-separated: for --json */
};

void cli_progress_init(struct cli_progress *p, bool quiet);
void cli_progress_deinit(struct cli_progress *p);
/* Says a note and keeps it for --json. */
void cli_progress_note(struct cli_progress *p, const char *text);
/* Ends a line that is still open, before anything else is printed. */
void cli_progress_finish(struct cli_progress *p);
/* Takes that line away instead: the next report draws it anew. */
void cli_progress_clear(struct cli_progress *p);
struct vt_callbacks cli_progress_callbacks(struct cli_progress *p);

/* How far a run is, as one line. */

enum { PROGRESS_LINE_BYTES = 256 };

/* At most width columns: a line that wraps cannot be redrawn, so the bar goes first, then the end. terminal: with a
 * bar and what changes all the time; else what is worth a line that stays. */
void progress_line(const struct vt_progress *v, bool terminal, int width,
                   char out[PROGRESS_LINE_BYTES]);

#endif
