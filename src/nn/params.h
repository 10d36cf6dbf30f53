/* params.h - a network's parameters on a device.
 *
 * A model declares every tensor that it needs (canonical name and shape, checked against the component at
 * once, so that a wrong checkpoint is refused before anything is loaded), then engages them: puts them on
 * the device. On the CPU matrices are used in place, in the mapped file; what must change form (float8,
 * biases and norms to float32, convolution kernels to float32) is converted into memory of its own. On other
 * devices everything is uploaded from the map.
 *
 * Parameters belong to groups (a block each) so that a memory plan can engage them apart.
 *
 *     nn_params_new(component, device, NN_PRECISION_STORED, &ps);
 *     nn_params_add(ps, NN_MATRIX, "x_embedder.weight", 2, (int64_t[]){3072, 128}, &m->x_embedder, &e);
 *     nn_params_engage(ps, &e);
 *     ... nn_linear(g, m->x_embedder, NULL, x) ...
 *     nn_params_free(ps);
 */
#ifndef VT_NN_PARAMS_H
#define VT_NN_PARAMS_H

#include <ggml.h>

#include "nn/device.h"
#include "weights/component.h"

enum nn_param_role {
    NN_MATRIX,            /* [out, in]: may stay in its stored type */
    NN_VECTOR,            /* biases, norms: float32 on the device */
    NN_KERNEL,            /* convolution kernels [out, in, kh, kw]: float32 on the device */
    NN_KERNEL_LAST_SLICE, /* causal 3-D kernels [out, in, kt, kh, kw]: the last of the kt slices, which
                           * is all that a single frame meets, as [out, in, kh, kw] in float32 */
    NN_HOST,              /* never on the device: read row by row from the map (embedding tables) */
};

/* How matrices are held. STORED: as in the file (float8 as bf16). F32: converted, so that arithmetic is plain
 * float32 throughout: what the reference computes, for small models and for proof. */
enum nn_precision { NN_PRECISION_STORED, NN_PRECISION_F32 };

/* What suits a component: one under 64 MiB costs nothing in float32, and then agrees with the reference to the
 * last digits. */
enum nn_precision nn_precision_for(const struct component *c);

struct nn_param {
    struct ggml_tensor *t; /* on the device while engaged, ne = dims reversed; NULL for NN_HOST */
    struct ggml_tensor *row_scales; /* [out] when the stored matrix has a scale a row, else NULL */
    float scale; /* multiply the product by this; 1 unless float8 kept as stored */
    struct weights_view view;
    const char *name; /* canonical */
    enum nn_param_role role;
    int group;
    bool in_place;
    struct nn_param *next;
};

struct nn_params;

ERR_MUST_CHECK enum err_code nn_params_new(struct component *c, struct nn_device *d,
                                           enum nn_precision precision, struct nn_params **out,
                                           struct err *e);
/* Releases first. The component and device must still be there. Accepts NULL. */
void nn_params_free(struct nn_params *ps);

/* Parameters added from now on belong to this group (0 at first). */
void nn_params_set_group(struct nn_params *ps, int group);
/* dims in reading order. *out lives as long as ps. */
ERR_MUST_CHECK enum err_code nn_params_add(struct nn_params *ps, enum nn_param_role role,
                                           const char *name, int n_dims, const int64_t *dims,
                                           struct nn_param **out, struct err *e);

ERR_MUST_CHECK enum err_code nn_params_engage(struct nn_params *ps, struct err *e);
void nn_params_release(struct nn_params *ps);
bool nn_params_engaged(const struct nn_params *ps);
enum nn_precision nn_params_precision(const struct nn_params *ps);
struct component *nn_params_component(const struct nn_params *ps);

/* Bytes on the device (or in memory of our own on the CPU), and bytes used in place in mapped files. */
uint64_t nn_params_device_bytes(const struct nn_params *ps);
uint64_t nn_params_mapped_bytes(const struct nn_params *ps);
/* What all declared tensors take in their files, engaged or not. */
uint64_t nn_params_stored_bytes(const struct nn_params *ps);

/* Looks for NaN and infinities in everything declared: names the first bad tensor. Reads all bytes. */
ERR_MUST_CHECK enum err_code nn_params_check_finite(const struct nn_params *ps, struct err *e);

/* n_rows rows of a matrix from row0 on, as float32, scales applied; for any dtype. */
ERR_MUST_CHECK enum err_code nn_view_rows_f32(const struct weights_view *v, int64_t row0,
                                              int64_t n_rows, float *dst, struct err *e);

#endif
