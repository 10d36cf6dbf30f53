/* held.h - in which type a device holds a matrix: as stored where it can, else in a wider one. */
#ifndef VT_WEIGHTS_HELD_H
#define VT_WEIGHTS_HELD_H

#include "weights/view.h"

/* A component in fewer bytes is computed in float32 throughout. */
enum { WEIGHTS_EXACT_BELOW_BYTES = 64 << 20 };

enum weights_device {
    WEIGHTS_CPU,    /* unpacks float8 and NVFP4 in its products */
    WEIGHTS_NVIDIA, /* multiplies bf16, and unpacks the others before its products */
    WEIGHTS_VULKAN, /* computes with GGUF's types */
    WEIGHTS_DEVICES,
};

/* The type of a matrix on the device: its own, Q8_0 for int8 (on Vulkan and the CPU), NVFP4 for what can become that without
 * loss, or BF16. On NVIDIA cards float16 and float32 become BF16, too. */
enum dtype weights_held(const struct weights_view *v, enum weights_device on);
/* "float8", "NVFP4", "int8", "Q4_0", ...: the usual name of the stored form. Static string. */
const char *weights_form_name(const struct weights_view *v);
/* Whether it has less than 16 bits a value, so that a plain type is wider. */
bool weights_is_narrow(enum dtype t);
/* Adds the name to a list "float8, NVFP4" of n bytes, unless it is there. */
void weights_add_form(char *list, size_t n, const char *form);

#endif
