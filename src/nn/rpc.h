/* rpc.h - inside this room: another machine's device through ggml's RPC backend.
 *
 * The protocol has no passwords and no encryption, and ggml's client ends the process when a worker vanishes
 * or is none (the program's ggml_set_abort_callback says so first). Addresses are "HOST:PORT". */
#ifndef VT_NN_RPC_H
#define VT_NN_RPC_H

#include <ggml-backend.h>
#include <stdbool.h>

#include "base/err.h"

/* "rpc:HOST:PORT" gives HOST:PORT, anything else NULL. Borrowed from want. */
const char *nn_rpc_address(const char *want);

ERR_MUST_CHECK enum err_code nn_rpc_check_address(const char *address, struct err *e);

/* The worker's device. The backend library must be loaded. */
ERR_MUST_CHECK enum err_code nn_rpc_connect(const char *address, ggml_backend_dev_t *out,
                                            struct err *e);
/* Serves one client after the other; returns only when it cannot. */
ERR_MUST_CHECK enum err_code nn_rpc_serve(const char *address, ggml_backend_dev_t dev, int threads,
                                          struct err *e);

#endif
