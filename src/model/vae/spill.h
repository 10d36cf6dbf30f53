/* spill.h - where maps lie between stages: on the device, in host memory or in a temporary file without a name,
 * mapped. */
#ifndef VT_MODEL_VAE_SPILL_H
#define VT_MODEL_VAE_SPILL_H

#include "model/vae/plan.h"
#include "nn/buffer.h"

struct vae_spill {
    enum vae_place place;
    struct nn_buffer *buffer;
    unsigned char *p; /* host memory or the mapping; NULL on the device, and while that is dry */
    size_t bytes;
};

ERR_MUST_CHECK enum err_code vae_spill_open(struct vae_spill *s, struct nn_device *d,
                                            enum vae_place place, size_t bytes, struct err *e);
/* Accepts one that is all zeros. */
void vae_spill_close(struct vae_spill *s);

/* Where it lies in host memory; NULL when it does not, or nowhere yet (a dry device). */
unsigned char *vae_spill_memory(const struct vae_spill *s);

/* The bytes from `at` on into a graph's input, and from its output. */
ERR_MUST_CHECK enum err_code vae_spill_load(const struct vae_spill *s, size_t at,
                                            struct nn_graph *g, struct ggml_tensor *input,
                                            struct err *e);
ERR_MUST_CHECK enum err_code vae_spill_save(const struct vae_spill *s, size_t at,
                                            const struct nn_graph *g, struct ggml_tensor *output,
                                            struct err *e);

#endif
