#include "cli/item.h"

#include <stdio.h>

#include "base/json_text.h"

static struct cli_item *now;

void cli_item_set(struct cli_item *item)
{
    now = item;
}

const struct cli_item *cli_item_now(void)
{
    return now;
}

bool cli_item_keep_error(enum vt_status status, const char *text)
{
    if (!now)
        return false;
    now->error.status = status;
    (void)snprintf(now->error.text, sizeof now->error.text, "%s", text);
    return true;
}

void cli_item_json(struct buf *b, const char *status)
{
    if (!now)
        return;
    json_put_uint(b, "n", now->n);
    if (now->line)
        json_put_int(b, "line", now->line);
    json_put_z(b, "status", status);
}
