/* batch_sheet.h - the results of a grid on one sheet, with its values along the edges. */
#ifndef VT_CLI_BATCH_SHEET_H
#define VT_CLI_BATCH_SHEET_H

#include "base/err.h"
#include "cli/batch_list.h"

/* Before the work: there is a grid, it fits on a sheet, and the file can be written. */
ERR_MUST_CHECK enum err_code batch_sheet_check(const struct batch_list *l, const char *path,
                                               struct err *e);
/* The last option of the grid goes across; down go the first of two, and prompts and images where there are several.
 * Results that are not there leave their cells empty. */
ERR_MUST_CHECK enum err_code batch_sheet_write(const struct batch_list *l, char *const *results,
                                               const char *path, struct err *e);

#endif
