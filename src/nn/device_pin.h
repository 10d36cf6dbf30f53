/* device_pin.h - device.c's part of the pin: loading what it names, and writing it. */
#ifndef VT_NN_DEVICE_PIN_H
#define VT_NN_DEVICE_PIN_H

#include <ggml-backend.h>

#include "nn/device.h"
#include "nn/pin.h"

enum device_pin_state {
    DEVICE_PIN_NONE,   /* nothing is pinned for what is wanted */
    DEVICE_PIN_LOADED, /* the library is there; the device's name was stored */
    DEVICE_PIN_STALE,  /* it was not usable, and that was said; a new one is wanted */
};

enum { DEVICE_NAME_BYTES = 64 };

/* VEETANCE_GGML_DIR goes before a pin. */
enum device_pin_state device_pin_load(const char *want, char name[DEVICE_NAME_BYTES]);
/* After devices were looked for in vain of the pin: remembers the one that was found, which comes from that library.
 * Failing is no harm. */
void device_pin_renew(const char *want, const struct nn_device_info *found, const char *library);
/* The library that a backend's code lies in; false when that cannot be told. */
bool device_pin_library_of(ggml_backend_dev_t dev, char *out, size_t size);

#endif
