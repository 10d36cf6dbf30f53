/* layered.h - how fast one step of taking an image apart runs here, with a synthetic transformer.
 *
 * Only the transformer exists: 60 blocks of the published dimensions, random weights in Q5_0, written as
 * blocks of that type straight away. A step is what a decomposition does in one: the noisy frames (the layers
 * and the composite) and the image itself as condition, its modulation from tables made beforehand.
 */
#ifndef VT_BENCH_LAYERED_H
#define VT_BENCH_LAYERED_H

#include "bench/klein.h"
#include "bench/weights.h"
#include "model/qwen_image/transformer.h"

enum { BENCH_LAYERED_SIDE = 640, BENCH_LAYERED_LAYERS = 4 };

/* "qwen-layered": what --synthetic takes. */
extern const char bench_layered_name[];

/* The published model's dimensions. */
struct qwen_image_config bench_layered_config(void);
/* Bytes of weights on disk. */
uint64_t bench_layered_bytes(const struct qwen_image_config *c);

/* The model's GGUF under cache_dir, made if it is not there (bench/cache.h). run's done_before, total and
 * threads are not read. */
ERR_MUST_CHECK enum err_code bench_layered_get(const struct qwen_image_config *c, const char *name,
                                               const char *cache_dir,
                                               const struct bench_writing *run, char *out,
                                               size_t out_size, struct err *e);

/* ERR_LIMIT where the memory that is available does not hold the weights and a step's activations. */
ERR_MUST_CHECK enum err_code bench_layered_check_memory(const struct qwen_image_config *c,
                                                        struct err *e);

struct bench_layered_request {
    const char *weights; /* of the transformer */
    int side, layers;    /* of a square image; a multiple of 32 */
    int text_tokens, steps;
    const char *device;
    int threads;         /* 0 = one a core */
    const char *compute; /* as pipeline/placement.h has it */
    bool profile;        /* time every operation */
    const atomic_bool *cancel;
    const struct vt_callbacks *callbacks; /* may be NULL */
};

struct bench_layered_result {
    char device[64];
    bool on_cpu;
    int threads;
    int side, layers, text_tokens, image_tokens;
    struct bench_stage step; /* the fastest of the steps */
    double mean_step_seconds, load_seconds, table_seconds;
    uint64_t compute_bytes;           /* activations of a step */
    uint64_t mapped_bytes, own_bytes; /* weights in place in files, and converted or uploaded */
    struct nn_profile profile;
};

ERR_MUST_CHECK enum err_code bench_layered_run(const struct bench_layered_request *rq,
                                               struct bench_layered_result *out, struct err *e);

#endif
