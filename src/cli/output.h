/* output.h - where a result goes: the file or the folder that -o names, standard output, or a name of our own.
 *
 * Nothing is lost without a word. A name of our own (no -o, -o FOLDER, or a seed put into the name) is numbered on:
 * out.png, out-2.png, ... What -o names is replaced with --force; else a person at a terminal is asked, and "no"
 * numbers on; without a terminal it is replaced, which scripts rely on as with cp or curl, and a note says so.
 *
 *     rc = cli_output_image(&o, &format, e);                   // what sort of image -o asks for
 *     rc = cli_output_check(&o, e);                            // before minutes of work
 *     rc = cli_output_write(&o, &words, bytes, n, path, e);    // each image
 *
 * What writes its file itself takes a place: cli_output_place, the writing, and cli_output_drop when that failed.
 */
#ifndef VT_CLI_OUTPUT_H
#define VT_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "cli/progress.h"
#include "image/load.h"

enum { CLI_PATH_BYTES = 4096 };

struct cli_output {
    const char *named;           /* -o; NULL: not given, or it names a folder */
    const char *into;            /* the folder that -o names, made when it is missing; NULL: none */
    const char *folder;          /* of the settings, for names of our own; NULL: here */
    const char *name;            /* template of those; NULL: "out" */
    const char *ending;          /* of those; NULL: ".png" */
    const char *number, *source; /* of an item of a batch, for the template; NULL: "1" and "" */
    bool force;
    bool json;      /* standard output has JSON, so that nothing else may go there */
    int count;      /* files that will be written; several carry their seed in the name */
    bool asked;     /* a person was, whether to replace what is there */
    bool number_on; /* and said no */
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
/* -o is "-" or another name of standard output. */
bool cli_output_is_stdout(const char *path);
/* -o ends in a slash, or names a folder that is there. */
bool cli_output_is_folder(const char *path);
/* What sort of image is asked for: by the ending of -o, else a PNG. An ending that is none is refused. */
ERR_MUST_CHECK enum err_code cli_output_image(struct cli_output *o, enum image_format *format,
                                              struct err *e);
/* ERR_ARG or ERR_IO when nothing could be written there; asks whether to replace a file. An -o that names a folder
 * becomes `into`. */
ERR_MUST_CHECK enum err_code cli_output_check(struct cli_output *o, struct err *e);
/* The same for one file that is no image (a trace): its folder is there, and it is no folder itself. */
ERR_MUST_CHECK enum err_code cli_output_check_file(const char *what, const char *path,
                                                   struct err *e);
/* The folder that a path lies in is there and can be written; else the part that is missing is named. */
ERR_MUST_CHECK enum err_code cli_output_check_folder(const char *path, struct err *e);
/* What -o names is there: asks a person whether to replace it. Without one, or with --force, it may be. */
void cli_output_ask(struct cli_output *o, const char *path);

/* path: where it went ("-" for standard output). *replaced: an older file was there. */
ERR_MUST_CHECK enum err_code cli_output_write(const struct cli_output *o,
                                              const struct cli_output_words *words, const void *p,
                                              size_t n, char path[CLI_PATH_BYTES], bool *replaced,
                                              struct err *e);
/* The same without the bytes: path is the caller's to write. */
ERR_MUST_CHECK enum err_code cli_output_place(const struct cli_output *o,
                                              const struct cli_output_words *words,
                                              char path[CLI_PATH_BYTES], bool *replaced,
                                              struct err *e);
/* Nothing was written there after all. */
void cli_output_drop(const struct cli_output *o, const char *path);
/* A name of our own that is free now, for folders; its parents are made. */
ERR_MUST_CHECK enum err_code cli_output_free_name(const struct cli_output *o,
                                                  char path[CLI_PATH_BYTES], struct err *e);
/* "PATH", "PATH-2", ...: the first that is free. */
ERR_MUST_CHECK enum err_code cli_output_number_on(char path[CLI_PATH_BYTES], struct err *e);
/* Says that path was there and is replaced, unless a person wanted that. */
void cli_output_note(const struct cli_output *o, const char *path, bool replaced,
                     struct cli_progress *p);
/* For lines about the result: standard error when the result itself goes to a stream. path: as it was written to. */
FILE *cli_output_lines(const char *path);
/* "standard output" for "-". */
const char *cli_output_name(const char *path);

/* ---- names ----------------------------------------------------------------------------------- */

/* Names of images that nobody named: a template that is filled in, a seed, a number. Looks at nothing
 * but its arguments, the clock and HOME. */

/* "FOLDER/NAME.png" by the template. ERR_LIMIT when it does not fit. */
ERR_MUST_CHECK enum err_code output_name_own(const struct cli_output *o,
                                             const struct cli_output_words *w,
                                             char out[CLI_PATH_BYTES], struct err *e);
/* The file that the next image should go to, be it there or not: what -o names or a name of our own, with the seed
 * where there are several. */
ERR_MUST_CHECK enum err_code output_name_first(const struct cli_output *o,
                                               const struct cli_output_words *w,
                                               char out[CLI_PATH_BYTES], struct err *e);
/* "-TEXT" before the ending. */
void output_name_insert(char path[CLI_PATH_BYTES], const char *text);
/* A PNG beside it: "-TEXT.png" in place of the ending, or behind a folder's name. */
void output_name_beside(char path[CLI_PATH_BYTES], bool is_folder, const char *text);

#endif
