/* device_impl.h - a device's insides, for device.c and device_run.c only. */
#ifndef VT_NN_DEVICE_IMPL_H
#define VT_NN_DEVICE_IMPL_H

#include "nn/device.h"
#include "nn/pin.h"
#include "nn/rpc.h"

struct nn_device {
    char library[NN_PIN_PATH_BYTES];
    struct nv_card *card; /* NULL: a backend of ggml */
    unsigned generation;  /* of the card's context, when it was last asked */
    ggml_backend_t backend;
    ggml_backend_dev_t dev;
    bool is_cpu;
    int threads, threads_in_use;
    ggml_backend_set_n_threads_t set_threads;
    void (*set_abort)(ggml_backend_t backend, ggml_abort_callback cb, void *user);
    struct nn_accountant accountant;
    bool has_accountant, dry;
    enum nn_compute compute;
    struct nn_params *streaming;
    struct nn_uploader *uploader;
    struct nn_profile *profile;
    const atomic_bool *cancel;
    struct nn_watch watch;
    struct nn_span span;
    double told;               /* to the watch */
    struct nn_rpc_peer worker; /* port 0: it is here */
    double patience;           /* seconds that the network to it may be silent */
};

#endif
