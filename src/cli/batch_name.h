/* batch_name.h - what the results of a batch are called: a folder, or a template such as "out/{n}-{seed}.png". */
#ifndef VT_CLI_BATCH_NAME_H
#define VT_CLI_BATCH_NAME_H

#include "base/err.h"
#include "cli/batch_list.h"
#include "cli/settings.h"

struct batch_names {
    const struct cli_settings *settings;
    const char *ending; /* of names that -o does not give */
    bool again;         /* the same names come out when the batch runs again, for --resume */
    char **of;          /* one an item; in the list's arena */
};

/* Names for all. An item whose name tells its seed gets one if it has none. Names that cannot be, or that two items
 * share, are told as faults of the list. */
ERR_MUST_CHECK enum err_code batch_names_make(struct batch_names *names, struct batch_list *l,
                                              struct err *e);

#endif
