/* preview_out.h - early guesses of an image while it is made: in a file that has the newest, on the terminal, or in a
 * file for each step beside the result. One that cannot be written is a note, said once: the run goes on. */
#ifndef VT_CLI_PREVIEW_OUT_H
#define VT_CLI_PREVIEW_OUT_H

#include <stdbool.h>

#include "cli/output.h"
#include "cli/progress.h"
#include "image/load.h"
#include "veetance.h"

struct cli_command;

struct preview_out {
    const char *to;  /* --preview: a file, "kitty" or "sixel"; NULL: not given */
    bool save_steps; /* --save-steps */
    /* What step files are named after: the result's name, and its words with the seed of the first image. */
    const struct cli_output *result;
    struct cli_output_words words;
    bool result_is_folder;

    enum image_format format; /* after the check: of the file */
    int rows;                 /* of the terminal, that the last one took; 0: there was none */
    int drawn;                /* which result that one was of, from 0 */
    bool is_lost;             /* one could not be written, and that was said */
};

/* Rows for the tables of commands that make images. */
#define PREVIEW_OPTIONS(preview_id, save_steps_id)                                                 \
    {preview_id, 0, "preview", "FILE|kitty|sixel",                                                 \
     "show early guesses: in a file that has the newest (.png, .jpg, .webp), or on a terminal "    \
     "that draws images"},                                                                         \
    {                                                                                              \
        save_steps_id, 0, "save-steps", NULL,                                                      \
            "keep the guess after each step beside the result, as NAME-step-N.png"                 \
    }

bool preview_out_wanted(const struct preview_out *p);
/* Before the work. CLI_OK, or an exit code after saying what is wrong. */
int preview_out_check(struct preview_out *p, const struct cli_command *c);
/* One came, of the image that progress told of last. */
void preview_out_take(struct preview_out *p, const struct vt_preview *v,
                      struct cli_progress *progress);

#endif
