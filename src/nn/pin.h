/* pin.h - which backend library and device to load at a start, so that no search is needed.
 *
 * `veetance devices --pin` measures the devices and writes pin.json into the config folder:
 *
 *     {
 *       "veetance_pin": 1,
 *       "device": "vulkan0",
 *       "gflops": 8123.4,
 *       "library": {"path": "/usr/lib/.../libggml-vulkan.so", "bytes": 61000000, "mtime_ns": 17..., "sha256": "..."},
 *       "cpu_library": {...}
 *     }
 *
 * nn_device_open reads it, loads exactly that library and lists no folder. A library that is gone, has other bytes
 * (size and time are compared, the hash when they differ) or does not run on this processor makes the pin
 * invalid; device.c then says so, looks for the devices as if there were none, and writes a new one.
 */
#ifndef VT_NN_PIN_H
#define VT_NN_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include <ggml-backend.h>

#include "base/err.h"
#include "base/sha256.h"
#include "base/str.h"
#include "nn/device.h"

enum { NN_PIN_PATH_BYTES = 4096, NN_PIN_MAX_BYTES = 64 << 10 };

struct nn_pin_library {
    char path[NN_PIN_PATH_BYTES]; /* "": none */
    uint64_t bytes;
    int64_t mtime_ns;
    char sha256[SHA256_HEX_SIZE];
};

struct nn_pin {
    char device[64];
    double gflops; /* measured; 0: not measured (a pin that was re-made by itself) */
    struct nn_pin_library library; /* of a device that is not the CPU */
    struct nn_pin_library cpu;
};

/* The path of pin.json. */
ERR_MUST_CHECK enum err_code nn_pin_path(char *out, size_t size, struct err *e);
/* ERR_NOTFOUND when there is no pin. *out is large: not on a small stack. */
ERR_MUST_CHECK enum err_code nn_pin_read(const char *path, struct nn_pin *out, struct err *e);
ERR_MUST_CHECK enum err_code nn_pin_parse(struct str text, struct nn_pin *out, struct err *e);
/* Written atomically, folders made. */
ERR_MUST_CHECK enum err_code nn_pin_write(const char *path, const struct nn_pin *pin,
                                          struct err *e);

/* Records the file as it is now, hash and all. */
ERR_MUST_CHECK enum err_code nn_pin_library_note(const char *path, struct nn_pin_library *out,
                                                 struct err *e);
/* Checks that it is still the recorded file. ERR_NOTFOUND: gone, ERR_FORMAT: changed. */
ERR_MUST_CHECK enum err_code nn_pin_library_check(const struct nn_pin_library *lib, struct err *e);

/* ---- starting by the pin --------------------------------------------------------------------- */

/* The pin as device.c uses it: loading the library that it names, and writing it. */

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
