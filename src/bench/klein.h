/* klein.h - how fast a klein model runs here, and in how much memory.
 *
 * Images are made as for a user (klein_generate), so that what is measured is what runs: the text encoder
 * once, then for each size so many steps and the VAE decoder.
 */
#ifndef VT_BENCH_KLEIN_H
#define VT_BENCH_KLEIN_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"
#include "bench/flops.h"
#include "nn/params.h"
#include "nn/profile.h"
#include "pipeline/model_dir.h"
#include "veetance.h"

enum { BENCH_MAX_SIZES = 8, BENCH_TEXT_TOKENS = 512 };

struct bench_request {
    const char *model;          /* as model_dir_open takes it */
    int sizes[BENCH_MAX_SIZES]; /* sides of square images */
    int n_sizes;
    int steps;      /* of each image */
    int max_tokens; /* that the prompt is padded to */
    const char *device;
    int threads;         /* 0 = one a core */
    const char *weights; /* type to run in, as pipeline/convert/cache.h has it; NULL: as stored */
    const char *compute; /* as pipeline/placement.h has it */
    bool profile;        /* time every operation: results then hold a profile a stage */
    bool swap_only; /* make no image: only bring the transformer to the device, several times */
    const atomic_bool *cancel;
    const struct vt_callbacks *callbacks; /* may be NULL */
};

struct bench_stage {
    double seconds;
    double cpu_seconds; /* of all threads: on a busy machine nearer to the truth than seconds */
    struct bench_flops flops;
    uint64_t anonymous_bytes, file_bytes; /* the most that the process held meanwhile */
};

struct bench_image {
    int width, height;
    struct bench_stage step; /* the fastest of the steps */
    double mean_step_seconds;
    struct bench_stage decode;
    uint64_t compute_bytes; /* activations of a step */
};

enum bench_profile {
    BENCH_PROFILE_TEXT,
    BENCH_PROFILE_STEPS,
    BENCH_PROFILE_DECODE,
    BENCH_PROFILES
};

/* How fast weights come onto a device with memory of its own. */
struct bench_swap {
    double bytes_per_second;
    uint64_t bytes;      /* on the device */
    uint64_t disk_bytes; /* read from disks meanwhile: none, for weights that were engaged before */
};

struct bench_result {
    char model[256], device[64];
    bool on_cpu;
    int threads;
    int text_tokens, steps;
    struct bench_stage text;
    struct bench_image images[BENCH_MAX_SIZES];
    int n_images;
    struct nn_profile profiles[BENCH_PROFILES]; /* of all sizes together */
    double load_seconds;                        /* putting weights in place, all components */
    uint64_t mapped_bytes, own_bytes;     /* weights in place in files, and converted or uploaded */
    uint64_t anonymous_bytes, file_bytes; /* the most of the whole run */
    struct bench_swap swap; /* of the transformer; zeros on the CPU, where nothing moves */
};

ERR_MUST_CHECK enum err_code bench_run(const struct bench_request *rq, struct bench_result *out,
                                       struct err *e);

/* That all threads of the process took so far. */
double bench_cpu_seconds(void);

/* Releases and engages a parameter set several times; the fastest counts. It was engaged before, and is
 * afterwards. */
ERR_MUST_CHECK enum err_code bench_swap_measure(struct nn_params *ps, struct bench_swap *out,
                                                struct err *e);

#endif
