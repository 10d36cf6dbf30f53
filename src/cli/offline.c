#include "cli/offline.h"

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
        log_warn("--rpc keeps the network open for the compute server that is named");
    return true;
}
