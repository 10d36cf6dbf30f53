/* placement.h - which device each component runs on, and how much of each device's memory may be used.
 *
 *     placement_open(&(struct placement_options){.device = "vulkan0", .place = "vae=cpu"}, &p, e);
 *     klein_open(dir, p.devices, NULL, &k, e);
 *     placement_close(&p);
 *
 * What goes from one component to the next (embeddings, latents, pixels) passes through host memory, so
 * components need not share a device.
 */
#ifndef VT_PIPELINE_PLACEMENT_H
#define VT_PIPELINE_PLACEMENT_H

#include "memory/plan.h"
#include "nn/device.h"
#include "veetance.h"

/* The same device for several of them, or for all. A captioner is text's. */
struct devices {
    struct nn_device *text, *transformer, *vae;
};

struct devices devices_all(struct nn_device *d);

struct placement_options {
    const char *device; /* as nn_device_open takes it: of all that `place` does not name */
    const char *place;  /* "text=vulkan1,vae=cpu", "text=rpc:HOST:PORT"; NULL: none */
    const char *budget; /* of each device, as budget_parse takes it; NULL: the default */
    int threads;
};

struct placement {
    struct devices devices;
    struct nn_device *all[MEMORY_MAX_DEVICES]; /* each once, that of the transformer first */
    struct memory_governors governors;         /* of all, in their order */
};

/* Refuses a text that names no component or no device, before any device is opened. NULL is fine. */
ERR_MUST_CHECK enum err_code placement_check(const char *place, struct err *e);
ERR_MUST_CHECK enum err_code placement_open(const struct placement_options *o,
                                            struct placement *out, struct err *e);
/* Accepts a zeroed one. */
void placement_close(struct placement *p);

/* ---- in which precision ---------------------------------------------------------------------- */

/* In what arithmetic a request computes: the parameter `compute`. */

/* compute: "default"; "int8" or "fp8" for products of eight bits in the blocks of transformers and text encoders, on those of
 * the devices that have them; "auto" for what is fastest on each and near enough to the default; NULL is the default. For
 * what is planned and run from here on: on a card, weights that lie there in another form are evicted. On a
 * processor that gains nothing by int8 a note says so and nothing changes. ERR_ARG where no device has it. */
ERR_MUST_CHECK enum err_code compute_choose(struct devices on, const char *compute,
                                            const struct vt_callbacks *cb, struct err *e);

#endif
