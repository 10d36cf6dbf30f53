/* buffer.h - a piece of the device's memory, counted.
 *
 * Everything that a network keeps on the device outside of a graph (weights, keys and values, spilled feature
 * maps) lies in such buffers. On a dry device (device.h) a buffer is counted but has no memory: tensors get
 * an address that must not be read. */
#ifndef VT_NN_BUFFER_H
#define VT_NN_BUFFER_H

#include "nn/device.h"

struct nn_buffer;

/* Format with MiB and a purpose, for memory that the budget allowed and the device refused. */
#define NN_NO_ROOM                                                                                 \
    "the device has no %zu MiB for %s; end what else uses its memory, or give a smaller --budget"

/* what: for messages, a static string. ERR_NOMEM when the accountant or the device refuses. */
ERR_MUST_CHECK enum err_code nn_buffer_new(struct nn_device *d, enum nn_memory_kind kind,
                                           size_t bytes, const char *what, struct nn_buffer **out,
                                           struct err *e);
/* Accepts NULL. */
void nn_buffer_free(struct nn_buffer *b);
/* False on a dry device. */
bool nn_buffer_is_real(const struct nn_buffer *b);
/* Its address if it is host memory; NULL otherwise. */
void *nn_buffer_host(const struct nn_buffer *b);

/* Gives t its place, `at` bytes into b (a multiple of the device's alignment). ERR_DEVICE when it refuses. */
ERR_MUST_CHECK enum err_code nn_buffer_place(const struct nn_buffer *b, struct ggml_tensor *t,
                                             size_t at, struct err *e);

/* Whether t has memory that may be read and written: false on a dry device, and for an input that no node uses. */
bool nn_tensor_is_real(const struct nn_device *d, const struct ggml_tensor *t);
/* Bytes `at` to at + n of t, which must be real. An error of a card is reported by the next run; what is read
 * from it until then is NaN. */
void nn_tensor_set(struct nn_device *d, struct ggml_tensor *t, const void *data, size_t at,
                   size_t n);
void nn_tensor_get(struct nn_device *d, const struct ggml_tensor *t, void *data, size_t at,
                   size_t n);
/* Both of the same shape and type, contiguous. */
void nn_tensor_copy(struct nn_device *d, struct ggml_tensor *from, struct ggml_tensor *to);

/* Gives t an address that must not be read, so that graphs can be measured around it. */
void nn_tensor_set_dry(struct ggml_tensor *t);

/* What a tensor takes in a buffer on this device, rounded up to its alignment. */
size_t nn_tensor_room(const struct nn_device *d, const struct ggml_tensor *t);

#endif
