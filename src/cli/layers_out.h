/* layers_out.h - where a stack goes, by -o, --format and --force.
 *
 * The ending of -o says what is written: .psd, .ora, .pptx or .zip a file, the ending of another kind of file is
 * refused, everything else is a folder (stack_folder.h). Files go by the rule of output.h. A folder that has a stack
 * already counts as a file that is there: --force, a person, or a note. */
#ifndef VT_CLI_LAYERS_OUT_H
#define VT_CLI_LAYERS_OUT_H

#include "base/err.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "layers/file.h"
#include "layers/stack.h"

struct layers_out {
    struct cli_output to; /* -o and --force; .folder of the settings */
    unsigned formats;     /* --format, one bit each; 0: not given */
    bool is_export; /* writes just the formats; others have layers, too, and these beside them */
    enum layers_format kind; /* after the check: of the one file; LAYERS_PNG: a folder */
    bool into_folder; /* after the check: files called stack.EXT, without layers beside them */
    char path[CLI_PATH_BYTES]; /* after writing: the file or the folder */
    bool replaced;             /* likewise: something was there */
};

/* Where it goes unless an option says so: a folder called layers. */
struct layers_out layers_out_defaults(void);
/* "png,psd,...": one bit a format. */
ERR_MUST_CHECK enum err_code layers_formats_parse(const char *list, unsigned *out, struct err *e);
/* -o has the ending of a file that is written here. */
bool layers_out_is_file(const struct layers_out *o);
/* Before work: what is written, whether it can be, and whether it may replace what is there. ERR_ARG when -o and
 * --format do not go together, or the ending is that of a file which is not written here. */
ERR_MUST_CHECK enum err_code layers_out_check(struct layers_out *o, struct err *e);
ERR_MUST_CHECK enum err_code layers_out_write(struct layers_out *o, const struct layer_stack *s,
                                              struct cli_progress *p, struct err *e);

#endif
