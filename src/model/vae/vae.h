/* vae.h - an autoencoder of two halves, whichever family it is of: the family declares the operations (half.h),
 * runs are the same.
 *
 * Images and latents are float32, [channels, height, width]. */
#ifndef VT_MODEL_VAE_VAE_H
#define VT_MODEL_VAE_VAE_H

#include "model/vae/run.h"

enum vae_side { VAE_ENCODER = 1, VAE_DECODER = 2 };

struct vae {
    struct nn_device *device;
    struct vae_half enc, dec;
    int scale; /* pixels per latent along a side */
};

/* Appends a half's operations to half, whose params are there; user is the family's. */
typedef enum err_code (*vae_declare_fn)(const void *user, struct vae_half *half, struct err *e);
struct vae_family {
    vae_declare_fn encoder, decoder;
    const void *user;
    int scale;
};

/* Declares one half or both (bits of enum vae_side). *v is to be given to vae_deinit whatever comes back. */
ERR_MUST_CHECK enum err_code vae_init(struct vae *v, struct component *c, struct nn_device *d,
                                      enum nn_precision precision, const struct vae_family *family,
                                      int sides, struct err *e);
void vae_deinit(struct vae *v);
/* Each half has its own, so that one can be engaged without the other. NULL when it was not declared. */
struct nn_params *vae_params(const struct vae *v, enum vae_side side);

struct vae_call {
    const atomic_bool *cancel;
    vae_mid_fn mid; /* NULL: no trace */
    void *user;
    struct vae_limits limits; /* zeros: one graph over the whole image */
};

/* Latents of h x w, un-normalised, to an image of h scale x w scale. call may be NULL. */
ERR_MUST_CHECK enum err_code vae_decode(const struct vae *v, const float *latents, int64_t h,
                                        int64_t w, float *out, const struct vae_call *call,
                                        struct err *e);
/* An image with sides multiples of the scale to moments [2 * latent channels, h / scale, w / scale]; the first
 * half of the channels is the mean. */
ERR_MUST_CHECK enum err_code vae_encode(const struct vae *v, const float *image, int64_t h,
                                        int64_t w, float *moments, const struct vae_call *call,
                                        struct err *e);

/* What a run of one half takes, and the smallest limits.compute that works; h and w as for vae_decode (latents)
 * or vae_encode (pixels). Parameters must be engaged (or dry). */
ERR_MUST_CHECK enum err_code vae_need(const struct vae *v, enum vae_side side, int64_t h, int64_t w,
                                      struct vae_limits limits, struct vae_need *need,
                                      struct err *e);
ERR_MUST_CHECK enum err_code vae_smallest(const struct vae *v, enum vae_side side, int64_t h,
                                          int64_t w, size_t *bytes, struct err *e);

#endif
