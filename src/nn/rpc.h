/* rpc.h - inside this room: another machine's device through ggml's RPC backend.
 *
 * The protocol has no passwords and no encryption, and ggml's client ends the process when a worker vanishes
 * or is none (the program's ggml_set_abort_callback says so first). Addresses are "HOST:PORT". */
#ifndef VT_NN_RPC_H
#define VT_NN_RPC_H

#include <ggml-backend.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "base/err.h"

/* "rpc:HOST:PORT" gives HOST:PORT, anything else NULL. Borrowed from want. */
const char *nn_rpc_address(const char *want);

ERR_MUST_CHECK enum err_code nn_rpc_check_address(const char *address, struct err *e);

/* The worker's device. The backend library must be loaded. */
ERR_MUST_CHECK enum err_code nn_rpc_connect(const char *address, ggml_backend_dev_t *out,
                                            struct err *e);
/* A worker as the sockets of this process know it, in the network's order. By its name it is told from others by its port
 * alone: we resolve no names (docs/air-gap.md). */
struct nn_rpc_peer {
    in_addr_t ip;   /* 0: it has a name */
    in_port_t port; /* 0: nobody */
};

/* Of an address that was checked. */
struct nn_rpc_peer nn_rpc_peer_of(const char *address);
/* From now on this process's connections to it (NULL: to anybody) fail when the network takes or answers nothing for so
 * many seconds. ggml keeps them to itself, and would wait for ever. */
void nn_rpc_guard(const struct nn_rpc_peer *p, double seconds);

/* For a worker: clients that the network took away are let go, from now on, by a thread that lives as long as the process. */
ERR_MUST_CHECK enum err_code nn_rpc_watch_clients(struct err *e);

/* Serves one client after the other; returns only when it cannot. */
ERR_MUST_CHECK enum err_code nn_rpc_serve(const char *address, ggml_backend_dev_t dev, int threads,
                                          struct err *e);

#endif
