/* governor.h - who may hold the device's memory: a budget, a ledger, and eviction.
 *
 * Everything on the device is taken through the governor (nn/buffer.h, nn/graph.h). The component in use is never
 * evicted; others stay engaged for as long as there is room and are then evicted, least recently used first. A request
 * that would exceed the budget even so fails with ERR_NOMEM.
 *
 *     governor_new(device, 0, &g, e);                  attaches itself to the device
 *     governor_engage(device, "transformer", ps, e);   evicts others if it must
 *     governor_idle(device);                           from now on everything may be evicted
 *     governor_free(g);
 *
 * On the CPU weights lie in mapped files, and the budget bounds what is computed and converted. One thread
 * at a time, that of the device. Components on several devices have a governor for each.
 */
#ifndef VT_MEMORY_GOVERNOR_H
#define VT_MEMORY_GOVERNOR_H

#include "nn/params.h"

struct governor;

enum { GOVERNOR_MAX_STAGES = 8, GOVERNOR_NAME_BYTES = 32 };

struct governor_usage {
    uint64_t budget, current, peak; /* bytes on the device */
    uint64_t weights, compute;      /* parts of current */
    uint64_t moved;                 /* bytes of weights uploaded to the device since the start */
};

/* One component's part in what ran since governor_begin. */
struct governor_stage {
    char component[GOVERNOR_NAME_BYTES];
    const char *precision;    /* static: nn_params_dtype_name */
    struct nn_params *params; /* the first set that was engaged under the name */
    struct nn_placement placement;
    uint64_t weights;  /* on the device for this component */
    uint64_t streamed; /* through the slots, in one pass */
    uint64_t compute;  /* peak beside them */
    uint64_t peak;     /* of the device while it was in use */
};

/* budget 0: what the device has free less 1 GiB, or half of it where that is more. */
ERR_MUST_CHECK enum err_code governor_new(struct nn_device *d, uint64_t budget,
                                          struct governor **out, struct err *e);
/* Detaches from the device. Parameter sets stay as they are. Accepts NULL. */
void governor_free(struct governor *g);
/* The device's governor; NULL when it has none. */
struct governor *governor_of(const struct nn_device *d);

/* Evicts at once what no longer fits; ERR_NOMEM if what is in use does not fit. 0: the default. */
ERR_MUST_CHECK enum err_code governor_set_budget(struct governor *g, uint64_t bytes, struct err *e);
uint64_t governor_budget(const struct governor *g);
const struct nn_device *governor_device(const struct governor *g);
void governor_usage(const struct governor *g, struct governor_usage *out);

/* Engages ps and makes it the one in use, placed as governor_place said for its component. Without a governor
 * it is engaged whole. governor_engage_also leaves those in use that were. */
ERR_MUST_CHECK enum err_code governor_engage(struct nn_device *d, const char *component,
                                             struct nn_params *ps, struct err *e);
ERR_MUST_CHECK enum err_code governor_engage_also(struct nn_device *d, const char *component,
                                                  struct nn_params *ps, struct err *e);
/* As governor_engage, and ps stays in use beside whatever is engaged after it, until governor_leave or governor_idle:
 * what a component needs besides its own weights. */
ERR_MUST_CHECK enum err_code governor_engage_to_stay(struct nn_device *d, const char *component,
                                                     struct nn_params *ps, struct err *e);
/* What was to stay is in use no longer. */
void governor_leave(struct nn_device *d);
/* Nothing is in use; what is engaged stays for the next run. */
void governor_idle(struct nn_device *d);
/* Takes off the device what is there in another form than the device computes in now (nn_device_use_compute). */
void governor_release_outdated(struct nn_device *d);
/* Takes all weights off the device. */
void governor_release_all(struct nn_device *d);

/* Which of a component's blocks will be resident or streamed, from its next engagement on. */
void governor_place(struct governor *g, const char *component, struct nn_placement want);
void governor_place_all_resident(struct governor *g);

/* Bytes left for computing beside the weights of the component in use, once all others are evicted; 0: no limit. */
uint64_t governor_compute_room(const struct nn_device *d);

/* ---- measuring (plan.h) ----------------------------------------------------------------------------- */

/* Starts the stage table and the peak anew; dry also turns the device dry, from what is really engaged. */
void governor_begin(struct governor *g, bool dry);
/* Ends a dry run: the device is as it was. */
void governor_end_dry(struct governor *g);
/* A dry run never refuses; this says whether a real one would have. */
bool governor_over_budget(const struct governor *g);
size_t governor_stages(const struct governor *g, const struct governor_stage **out);

/* For tests: the n-th request for memory from now on fails (1 = the next); 0: none. */
void governor_fail_at(struct governor *g, uint64_t n);

#endif
