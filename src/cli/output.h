/* output.h - where an image goes: the file that -o names, standard output, or a name of our own.
 *
 * Nothing is lost without a word. A name of our own (no -o) is numbered on: out.png, out-2.png, ... A file that -o
 * names is replaced with --force; else a person at a terminal is asked, and "no" numbers on; without a terminal it
 * is replaced, which scripts rely on as with cp or curl, and a note says so.
 *
 *     rc = cli_output_check(&o, e);                            // before minutes of work
 *     rc = cli_output_write(&o, &words, bytes, n, path, e);    // each image
 */
#ifndef VT_CLI_OUTPUT_H
#define VT_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { CLI_PATH_BYTES = 4096 };

struct cli_output {
    const char *named;  /* -o; NULL: not given */
    const char *folder; /* for names of our own; NULL: here */
    const char *name;   /* template of those; NULL: "out" */
    const char *ending; /* of those; NULL: ".png" */
    bool force;
    int count;      /* images that will be written; several carry their seed in the name */
    bool number_on; /* a person said that the file stays */
};

/* What a name may be made of. */
struct cli_output_words {
    const char *prompt, *model;
    int64_t seed;
};

/* "{seed}" and its like, in a name without folders that leave the output folder. */
enum err_code cli_output_check_name(const char *name, struct err *e);
/* -o is "-", a pipe, a device or a descriptor: bytes go there as they come. */
bool cli_output_is_stream(const char *path);
/* ERR_ARG or ERR_IO when nothing could be written there; asks whether to replace a file. */
ERR_MUST_CHECK enum err_code cli_output_check(struct cli_output *o, struct err *e);
/* The same for one file that is no image (a trace): its folder is there, and it is no folder itself. */
ERR_MUST_CHECK enum err_code cli_output_check_file(const char *what, const char *path,
                                                   struct err *e);
/* path: where it went ("-" for standard output). *replaced: an older file was there. */
ERR_MUST_CHECK enum err_code cli_output_write(const struct cli_output *o,
                                              const struct cli_output_words *words, const void *p,
                                              size_t n, char path[CLI_PATH_BYTES], bool *replaced,
                                              struct err *e);
/* A name of our own that is free now, for folders; its parents are made. */
ERR_MUST_CHECK enum err_code cli_output_free_name(const struct cli_output *o,
                                                  char path[CLI_PATH_BYTES], struct err *e);
/* The folder that a path lies in is there and can be written; else the part that is missing is named. */
ERR_MUST_CHECK enum err_code cli_output_check_folder(const char *path, struct err *e);

#endif
