/* layers_out.h - a stack's files, put where they belong all together or not at all.
 *
 * Everything is written into a folder of its own first. A folder that is not there yet comes into being by one
 * rename; in one that is there, the finished files take their places one by one, the manifest last. Nothing
 * else in it is touched. */
#ifndef VT_CLI_LAYERS_OUT_H
#define VT_CLI_LAYERS_OUT_H

#include "base/err.h"
#include "cli/progress.h"
#include "image/layers.h"
#include "image/layers_file.h"

/* "png,psd,...": one bit a format. */
ERR_MUST_CHECK enum err_code layers_formats_parse(const char *list, unsigned *out, struct err *e);
/* By a file's ending; LAYERS_PNG (a folder) for any other. */
enum layers_format layers_format_of(const char *path);

/* Before work: ERR_IO or ERR_ARG when the folder (or file, by its format) could not be written. */
ERR_MUST_CHECK enum err_code layers_out_check(const char *path, enum layers_format format,
                                              struct err *e);

/* The layers as PNG files, composite.png and layers.json into dir, and stack.EXT of each further format. Layer
 * files of an earlier and larger stack stay; a note says so. */
ERR_MUST_CHECK enum err_code layers_out_folder(const struct layer_stack *s, unsigned formats,
                                               const char *dir, struct cli_progress *p,
                                               struct err *e);
/* A folder or a file, by its format. */
ERR_MUST_CHECK enum err_code layers_out_any(const struct layer_stack *s, enum layers_format format,
                                            const char *path, struct cli_progress *p,
                                            struct err *e);

#endif
