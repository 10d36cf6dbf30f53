#include "cli/offline.h"

#include <string.h>

#include "base/log.h"
#include "sandbox/sandbox.h"

bool cli_go_offline(bool rpc)
{
    struct err e = {0};
    if (sandbox_drop_network(rpc ? SANDBOX_RPC : SANDBOX_OFFLINE, &e) != ERR_OK) {
        log_warn("the right to use the network could not be given up: %s", e.text);
        return false;
    }
    if (rpc)
        log_warn("--rpc keeps the network open for the compute server that it names");
    return true;
}

bool cli_wants_rpc(const struct cli_command *c, int argc, char **argv)
{
    bool known = false;
    for (const struct cli_option *o = c->options; o->name; o++)
        known = known || strcmp(o->name, "rpc") == 0;
    for (int i = 1; known && i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--rpc") == 0 || strncmp(argv[i], "--rpc=", 6) == 0)
            return true;
    return false;
}
