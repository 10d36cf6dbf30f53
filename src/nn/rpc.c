#include "nn/rpc.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

/* The functions that libggml-rpc.so offers by name, as its header declares them. */
typedef ggml_backend_reg_t (*add_server_fn)(const char *endpoint);
typedef void (*start_server_fn)(const char *endpoint, const char *cache_dir, size_t n_threads,
                                size_t n_devices, ggml_backend_dev_t *devices);

const char *nn_rpc_address(const char *want)
{
    return want && strncasecmp(want, "rpc:", 4) == 0 ? want + 4 : NULL;
}

enum err_code nn_rpc_check_address(const char *address, struct err *e)
{
    uint64_t port = 0;
    const char *colon = strrchr(address, ':');
    bool good = colon && colon > address && str_to_u64(str_from(colon + 1), &port) && port > 0 &&
                port < 65536 && strchr(address, ':') == colon;
    return good ? ERR_OK : err_set(e, ERR_ARG, "'%.80s' is no address: write HOST:PORT", address);
}

static enum err_code backend(ggml_backend_reg_t *out, struct err *e)
{
    *out = ggml_backend_reg_by_name("RPC");
    return *out ? ERR_OK
                : err_set(e, ERR_DEVICE,
                          "ggml's RPC backend is not installed; install the package "
                          "libggml0-backend-rpc");
}

enum err_code nn_rpc_connect(const char *address, ggml_backend_dev_t *out, struct err *e)
{
    ggml_backend_reg_t rpc = NULL, worker;
    add_server_fn add_server = NULL;
    TRY(nn_rpc_check_address(address, e));
    TRY(backend(&rpc, e));
    *(void **)&add_server = ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server");
    worker = add_server ? add_server(address) : NULL;
    if (!worker || ggml_backend_reg_dev_count(worker) == 0)
        return err_set(e, ERR_DEVICE,
                       "no worker answers at %s; `veetance worker --listen %s` starts one there",
                       address, address);
    *out = ggml_backend_reg_dev_get(worker, 0);
    return ERR_OK;
}

enum err_code nn_rpc_serve(const char *address, ggml_backend_dev_t dev, int threads, struct err *e)
{
    ggml_backend_reg_t rpc = NULL;
    start_server_fn start_server = NULL;
    TRY(nn_rpc_check_address(address, e));
    TRY(backend(&rpc, e));
    *(void **)&start_server =
        ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_start_server");
    if (start_server)
        start_server(address, NULL, (size_t)threads, 1, &dev);
    return err_set(e, ERR_IO, "cannot listen on %s", address);
}
