/* layers_out.h - a stack's files, put where they belong all together or not at all.
 *
 * The ending of -o says what is written: .psd, .ora, .pptx or .zip a file, the ending of another kind of file is
 * refused, everything else is a folder. A folder's files are written into a folder of their own first. A folder
 * that is not there yet comes into being by one rename; in one that is there, the finished files take their places
 * one by one, the manifest last, and what an earlier stack had beyond them goes. Nothing else in it is touched. */
#ifndef VT_CLI_LAYERS_OUT_H
#define VT_CLI_LAYERS_OUT_H

#include "base/err.h"
#include "cli/progress.h"
#include "layers/file.h"
#include "layers/stack.h"

/* "png,psd,...": one bit a format. */
ERR_MUST_CHECK enum err_code layers_formats_parse(const char *list, unsigned *out, struct err *e);

/* What -o (and --format; 0: not given) asks for: a file's format, or LAYERS_PNG for a folder. one_file: a single
 * format makes a file whatever its name. ERR_ARG when they do not go together, or the ending is that of a file
 * which is not written here. */
ERR_MUST_CHECK enum err_code layers_out_kind(const char *path, unsigned formats, bool one_file,
                                             enum layers_format *out, struct err *e);

/* Before work: ERR_IO or ERR_ARG when the folder (or file, by its format) could not be written. */
ERR_MUST_CHECK enum err_code layers_out_check(const char *path, enum layers_format format,
                                              struct err *e);

/* The layers as PNG files, composite.png and layers.json into dir, and stack.EXT of each further format.
 * composite.png carries the recipe; "": none. */
ERR_MUST_CHECK enum err_code layers_out_folder(const struct layer_stack *s, unsigned formats,
                                               struct str recipe, const char *dir,
                                               struct cli_progress *p, struct err *e);
/* A folder or a file, by its format; "-" is standard output. A file that was there is replaced with a note. */
ERR_MUST_CHECK enum err_code layers_out_any(const struct layer_stack *s, enum layers_format format,
                                            unsigned formats, const char *path,
                                            struct cli_progress *p, struct err *e);

#endif
