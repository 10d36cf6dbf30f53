/* item.h - the item of a batch that is worked on: where it comes from, and what went wrong with it.
 *
 * A command does not know that it runs as one of many. While an item is set, what the command says of its failure
 * (cli_fail, cli_usage_error) is kept here instead of being printed; the batch tells it with the item's place. */
#ifndef VT_CLI_ITEM_H
#define VT_CLI_ITEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "veetance.h"

struct cli_item {
    size_t n, count;       /* n from 1 */
    int line;              /* of the file of rows; 0: of none */
    struct vt_error error; /* VT_OK: none */
    double seconds_left;   /* of the whole batch; below 0: not known */
};

/* From now on; NULL: none. One thread. */
void cli_item_set(struct cli_item *item);
/* NULL: the command runs for itself. */
const struct cli_item *cli_item_now(void);
/* False: nobody keeps it, it should be printed. */
bool cli_item_keep_error(enum vt_status status, const char *text);
/* Members of a JSON object that say which item it is of; nothing without one. */
void cli_item_json(struct buf *b, const char *status);

#endif
