/* device_search.h - finds devices for device.c: loads ggml's backends, asks NVIDIA's driver, follows the pin. */
#ifndef VT_NN_DEVICE_SEARCH_H
#define VT_NN_DEVICE_SEARCH_H

#include <ggml-backend.h>

#include "nn/device.h"

/* One of the two. */
struct device_found {
    struct nv_card *card;
    ggml_backend_dev_t dev;
};

/* want as in nn_device_open. */
ERR_MUST_CHECK enum err_code device_find(const char *want, struct device_found *out, struct err *e);
ERR_MUST_CHECK enum err_code device_load_rpc(struct err *e);
void device_describe(ggml_backend_dev_t dev, struct nn_device_info *out);
void device_describe_card(struct nv_card *card, struct nn_device_info *out);
bool device_is_cpu(ggml_backend_dev_t dev);
/* Whether Vulkan's device of that name takes bf16; true for all other devices. */
bool device_has_bf16(ggml_backend_dev_t dev);

#endif
