/* upload.h - large tensors from mapped files to a device with memory of its own.
 *
 * Two page-locked buffers take turns: while one is on its way to the device, several threads fill the other
 * from the map (converting where the device needs another form). Where the device has no page-locked memory
 * the bytes go there straight from the map. Safe to call from several threads; one upload runs at a time. */
#ifndef VT_NN_UPLOAD_H
#define VT_NN_UPLOAD_H

#include <ggml.h>

#include "nn/device.h"

struct nn_uploader;

enum nn_upload_form { NN_UPLOAD_AS_IT_IS, NN_UPLOAD_BF16_AS_F16 };

/* Never NULL: without memory for the buffers it uploads plainly. */
struct nn_uploader *nn_uploader_new(ggml_backend_dev_t dev);
/* Accepts NULL. */
void nn_uploader_free(struct nn_uploader *u);

/* All of t from src. ERR_NUMERIC when a number does not fit the form. */
ERR_MUST_CHECK enum err_code nn_upload(struct nn_uploader *u, struct ggml_tensor *t,
                                       const void *src, enum nn_upload_form form, struct err *e);
uint64_t nn_uploader_pinned_bytes(const struct nn_uploader *u);

#endif
