/* plan.h - what a request will put on the device, known before the first kernel runs.
 *
 * A plan is a dry run of the request itself (nn/device.h): the same code takes the same memory in the same
 * order, only nothing is allocated and nothing computed. When a component does not fit whole beside what it
 * computes, its blocks are streamed through slots and the request is run dry again. A run does what its plan says
 * because both are the same code.
 */
#ifndef VT_MEMORY_PLAN_H
#define VT_MEMORY_PLAN_H

#include "memory/governor.h"

enum memory_verdict { MEMORY_RESIDENT, MEMORY_STREAMED, MEMORY_REFUSED };

enum {
    MEMORY_MAX_ADVICE = 4,
    MEMORY_ADVICE_BYTES = 200,
    MEMORY_MAX_DEVICES = 3,
    MEMORY_MAX_STAGES = GOVERNOR_MAX_STAGES,
};

struct memory_plan_stage {
    char component[GOVERNOR_NAME_BYTES];
    char precision[16]; /* of its matrices: "bf16", "q5_0", "f32", ... */
    char device[64];
    uint64_t resident_bytes, streamed_bytes, compute_bytes, peak_bytes;
    char widened_from[64]; /* stored types that the device holds in a wider one; "": none */
    char widened_to[16];
    uint64_t widened_bytes; /* how much more than in the files */
};

struct memory_plan_device {
    char name[64];
    uint64_t budget_bytes, peak_bytes;
};

struct memory_plan {
    enum memory_verdict verdict;
    uint64_t budget_bytes, peak_bytes; /* of the first device */
    size_t n_devices;
    struct memory_plan_device devices[MEMORY_MAX_DEVICES];
    uint64_t swap_bytes;  /* weights that will be uploaded to devices */
    uint64_t least_bytes; /* the smallest budget that is enough, as far as known */
    size_t n_stages;
    struct memory_plan_stage stages[MEMORY_MAX_STAGES]; /* grouped by device */
    size_t n_advice;
    char advice[MEMORY_MAX_ADVICE][MEMORY_ADVICE_BYTES];
};

/* The governors of all devices that a request uses. */
struct memory_governors {
    struct governor *of[MEMORY_MAX_DEVICES];
    size_t n;
};

/* Runs the request on dry devices; must change nothing that outlives it. */
typedef enum err_code (*memory_request_fn)(void *user, struct err *e);

/* Plans the request and leaves the governors placed for it. A request that cannot be served within the budget
 * is not an error of the planner: *out says MEMORY_REFUSED. */
ERR_MUST_CHECK enum err_code memory_plan_make(const struct memory_governors *all,
                                              memory_request_fn request, void *user,
                                              struct memory_plan *out, struct err *e);

/* ERR_NOMEM with the numbers of a refused plan; ERR_OK for others. */
ERR_MUST_CHECK enum err_code memory_plan_check(const struct memory_plan *p, struct err *e);

/* "resident", "streamed", "refused". Static string. */
const char *memory_verdict_name(enum memory_verdict v);

#endif
