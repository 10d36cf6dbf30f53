/* output_name.h - names of images that nobody named: a template that is filled in, a seed, a number. Looks at nothing
 * but its arguments, the clock and HOME. */
#ifndef VT_CLI_OUTPUT_NAME_H
#define VT_CLI_OUTPUT_NAME_H

#include "base/err.h"
#include "cli/output.h"

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

#endif
