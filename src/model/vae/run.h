/* run.h - runs a half on an image or latents, as one graph or band by band (plan.h), with the same result: on
 * the CPU bit for bit. */
#ifndef VT_MODEL_VAE_RUN_H
#define VT_MODEL_VAE_RUN_H

#include "model/vae/plan.h"

/* Gets each traced module of a run; data is valid only during the call. */
typedef void (*vae_mid_fn)(const char *name, const float *data, const int64_t *dims, int n_dims,
                           void *user);

struct vae_run {
    const struct vae_half *half;
    struct nn_device *device;
    bool exact; /* float32 arithmetic throughout */
    const float *in;
    float *out;
    int64_t h, w; /* of `in` */
    struct vae_limits limits;
    const atomic_bool *cancel; /* may be NULL */
    vae_mid_fn mid;            /* NULL: no trace. A traced run is one graph, whatever the limits. */
    void *user;
};

ERR_MUST_CHECK enum err_code vae_half_run(const struct vae_run *r, struct err *e);
/* What vae_half_run takes; and the smallest limits.compute that works. in, out and mid are not looked at. */
ERR_MUST_CHECK enum err_code vae_half_need(const struct vae_run *r, struct vae_need *need,
                                           struct err *e);
ERR_MUST_CHECK enum err_code vae_half_smallest(const struct vae_run *r, size_t *bytes,
                                               struct err *e);

#endif
