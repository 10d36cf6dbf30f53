/* compute.h - in what arithmetic a request computes: the parameter `compute`. */
#ifndef VT_PIPELINE_COMPUTE_H
#define VT_PIPELINE_COMPUTE_H

#include "pipeline/placement.h"
#include "veetance.h"

/* compute: "default", or "int8" for products of eight bits in the blocks of transformers and text encoders, on the
 * CPU; NULL is the default. For what is planned and run from here on. On a processor that gains nothing by it a
 * note says so and nothing changes. */
ERR_MUST_CHECK enum err_code compute_choose(struct devices on, const char *compute,
                                            const struct vt_callbacks *cb, struct err *e);

#endif
