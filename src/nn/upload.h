/* upload.h - copies tensors from mapped files to their place on a device, converting them where needed.
 *
 * Several threads share a tensor, a few megabytes at a time: each fills a slice of its own in page-locked memory
 * from the map and sends it off, so that copying, converting and the bus overlap. Memory that the processor writes
 * itself (the CPU's) is filled in place. Where the device has no page-locked memory one thread does it.
 * Safe to call from several threads; one upload runs at a time. */
#ifndef VT_NN_UPLOAD_H
#define VT_NN_UPLOAD_H

#include <ggml.h>

#include "nn/device.h"
#include "nn/nvidia/card.h"

struct nn_uploader;

/* The contents for the whole of t. */
struct nn_upload {
    struct ggml_tensor *t;
    const void *src; /* its bytes as they are; NULL: fill makes them */
    /* Makes the bytes [at, at + n) of t, both multiples of `unit`. Called from several threads at once. */
    enum err_code (*fill)(const void *user, size_t at, size_t n, void *dst, struct err *e);
    const void *user;
    /* On an NVIDIA card: fill makes rows of numbers or blocks, `unit` bytes each, stored_bytes in all, and the card rounds
     * them, as this says of the first one. NULL: none. */
    const struct nv_rows *rows;
    size_t stored_bytes;
    size_t unit;               /* a row, say; divides the size of t; 1 where there is none */
    const atomic_bool *cancel; /* looked at before every part: ERR_CANCELLED; NULL: never */
};

/* Never NULL: without page-locked memory it uploads with what there is. */
struct nn_uploader *nn_uploader_new(struct nn_device *d);
/* Accepts NULL. */
void nn_uploader_free(struct nn_uploader *u);

/* The first failure of any of its parts. */
ERR_MUST_CHECK enum err_code nn_upload(struct nn_uploader *u, const struct nn_upload *what,
                                       struct err *e);
uint64_t nn_uploader_locked_bytes(const struct nn_uploader *u);

#endif
