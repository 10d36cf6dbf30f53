/* weights.h - a safetensors file of random bf16 weights, written as fast as the disk takes it.
 *
 *     struct bench_weights w;
 *     bench_weights_init(&w);
 *     bench_weights_add(&w, BENCH_RANDOM, 2, (int64_t[]){3072, 128}, "x_embedder.weight");
 *     rc = bench_weights_write(&w, path, &run, e);
 *     bench_weights_deinit(&w);
 *
 * A random matrix has elements of variance 1 / fan-in (the product of all its dims but the first), so that
 * activations keep their size from layer to layer. All come from one block of normal numbers, taken at
 * another offset for each piece: good enough to time with, and much faster than drawing each.
 */
#ifndef VT_BENCH_WEIGHTS_H
#define VT_BENCH_WEIGHTS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum bench_fill { BENCH_RANDOM, BENCH_ONES, BENCH_ZEROS };

enum { BENCH_NAME_BYTES = 112, BENCH_MAX_DIMS = 4 };

struct bench_tensor {
    char name[BENCH_NAME_BYTES];
    int64_t dims[BENCH_MAX_DIMS];
    int n_dims;
    enum bench_fill fill;
    uint64_t first, count; /* elements in the file's data */
};

struct bench_weights {
    struct buf list; /* of struct bench_tensor */
    uint64_t count;  /* elements of all */
};

/* What goes along with writing. */
struct bench_writing {
    int threads;                                                 /* 1 or more */
    const atomic_bool *cancel;                                   /* may be NULL */
    void (*progress)(uint64_t done, uint64_t total, void *user); /* in bytes; may be NULL */
    void *user;
    uint64_t done_before, total; /* of the files that belong together */
};

void bench_weights_init(struct bench_weights *w);
void bench_weights_deinit(struct bench_weights *w);
/* Failures stick and show when writing. */
void bench_weights_add(struct bench_weights *w, enum bench_fill fill, int n_dims,
                       const int64_t *dims, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Bytes of tensor data that the file will hold. */
uint64_t bench_weights_bytes(const struct bench_weights *w);

/* Writes and syncs; removes what is there of the file on failure. */
ERR_MUST_CHECK enum err_code bench_weights_write(const struct bench_weights *w, const char *path,
                                                 const struct bench_writing *run, struct err *e);

/* The loop that turns a block of normal numbers into bf16 weights.
 * dst[i] = scale * src[i], rounded to the nearest bf16 (ties to even). src is finite. */
void bench_fill_bf16_kern(const float *src, size_t n, float scale, uint16_t *dst);

#endif
