/* device_pin.h - the pin as device.c uses it: loading the library that it names, and writing it. */
#ifndef VT_NN_DEVICE_PIN_H
#define VT_NN_DEVICE_PIN_H

#include <ggml-backend.h>

#include "nn/device.h"
#include "nn/pin.h"

enum device_pin_state {
    DEVICE_PIN_NONE,   /* nothing is pinned for what is wanted */
    DEVICE_PIN_LOADED, /* the library is there; the device's name was stored */
    DEVICE_PIN_STALE,  /* it was not usable, which was logged; a new one should be written */
};

enum { DEVICE_NAME_BYTES = 64 };

/* VEETANCE_GGML_DIR takes precedence over a pin. */
enum device_pin_state device_pin_load(const char *want, char name[DEVICE_NAME_BYTES]);
/* When a pin was stale: pins the device that was found instead, with its library. A failure is only logged. */
void device_pin_renew(const char *want, const struct nn_device_info *found, const char *library);
/* The library that a backend's code lies in; false when unknown. */
bool device_pin_library_of(ggml_backend_dev_t dev, char *out, size_t size);

#endif
