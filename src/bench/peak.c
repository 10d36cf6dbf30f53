/* peak.c - what the machine can do at best: copying, products, convolutions, attention; see peak.h.
 *
 * Shapes are those of klein-4B, so that a share of the peak means the same for a layer as for the whole. oneDNN's
 * own times are the peak of products and convolutions; attention is measured with our kernel, by its own time from
 * a profile. Something that this machine lacks has a peak of 0 and is no error.
 */
#include "bench/peak.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/mem.h"
#include "nn/ops.h"
#include "nn/profile.h"
#include "sample/rng.h"

/* ---- copying --------------------------------------------------------------------------------- */

enum { COPY_BYTES = 256 << 20, MAX_THREADS = 64 };

struct copier {
    unsigned char *to;
    const unsigned char *from;
    size_t n;
};

static void *copy(void *arg)
{
    const struct copier *c = arg;
    memcpy(c->to, c->from, c->n);
    return NULL;
}

/* One copy of the whole by so many threads; the seconds that it took. */
static double copy_once(unsigned char *to, const unsigned char *from, int threads)
{
    pthread_t id[MAX_THREADS];
    struct copier part[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    double start = clock_s();
    for (int i = 0; i < threads; i++) {
        size_t first = (size_t)COPY_BYTES / (size_t)threads * (size_t)i;
        size_t last = i + 1 == threads ? (size_t)COPY_BYTES
                                       : (size_t)COPY_BYTES / (size_t)threads * (size_t)(i + 1);
        part[i] = (struct copier){to + first, from + first, last - first};
        started[i] = i + 1 < threads && pthread_create(&id[i], NULL, copy, &part[i]) == 0;
        if (!started[i])
            copy(&part[i]);
    }
    for (int i = 0; i < threads; i++)
        if (started[i])
            (void)pthread_join(id[i], NULL);
    return clock_s() - start;
}

static unsigned char *map_memory(void)
{
    void *p = mmap(NULL, COPY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void unmap_memory(unsigned char *p)
{
    if (p)
        (void)munmap(p, COPY_BYTES);
}

/* Finding the pages belongs to the copy when it is one into new memory, and comes before it otherwise. */
static enum err_code time_copy(enum bench_copy_kind kind, const unsigned char *from, int threads,
                               double *seconds, struct err *e)
{
    unsigned char *to = map_memory();
    if (!to)
        return err_set(e, ERR_NOMEM, "no memory to measure copying");
    if (kind == BENCH_COPY_IN_MEMORY)
        memset(to, 2, COPY_BYTES);
    *seconds = copy_once(to, from, threads);
    unmap_memory(to);
    return ERR_OK;
}

enum err_code bench_copy_measure(enum bench_copy_kind kind, int threads, double seconds,
                                 const atomic_bool *cancel, double *bytes_per_second, struct err *e)
{
    unsigned char *from = map_memory();
    double best = 0, t = 0, start = clock_s();
    enum err_code rc;
    TRY_GOTO(from ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to measure copying"), done);
    memset(from, 1, COPY_BYTES);
    threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    for (int i = 0; i < 3 || clock_s() - start < seconds; i++) {
        TRY_GOTO(time_copy(kind, from, threads, &t, e), done);
        if (i == 0 || t < best)
            best = t;
        if (cancel && atomic_load(cancel)) {
            rc = err_set(e, ERR_CANCELLED, "stopped on request");
            goto done;
        }
    }
    *bytes_per_second = COPY_BYTES / best;
done:
    unmap_memory(from);
    return rc;
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* A linear layer of klein-4B on a 256 x 256 image: 256 image and 512 text tokens. */
static const struct nn_peak_shape LAYER = {768, 3072, 9216};
/* The decoder's widest convolution on a 512 x 512 image. */
static const struct nn_peak_image NEEDED_IMAGE = {128, 512};

static void describe_cpu(struct bench_peak *p)
{
    char line[256];
    cpu_set_t set;
    FILE *f = fopen("/proc/cpuinfo", "re");
    (void)snprintf(p->cpu, sizeof p->cpu, "unknown processor");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon || colon[1] != ' ')
            continue;
        colon[strcspn(colon, "\n")] = 0;
        (void)snprintf(p->cpu, sizeof p->cpu, "%.90s", colon + 2);
        break;
    }
    if (f)
        (void)fclose(f);
    p->cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    if (getloadavg(&p->load, 1) != 1)
        p->load = 0;
}

/* ---- attention -------------------------------------------------------------------------------------- */

struct attention {
    struct nn_graph g;
    struct ggml_tensor *x, *cos, *sin;
    float *numbers; /* [tokens, heads, head_dim]: enough for each of the inputs */
};

/* Queries, keys and values come out of a rotation, as in a network, so that they have the type that the
 * kernel works on. */
static enum err_code attention_prepare(struct attention *a, int64_t tokens, struct err *e)
{
    int64_t dim = BENCH_ATTENTION_HEAD_DIM, heads = BENCH_ATTENTION_HEADS;
    size_t n = (size_t)(tokens * heads * dim);
    struct rng r;
    a->numbers = mem_try_array(n, sizeof(float));
    if (!a->numbers)
        return err_set(e, ERR_NOMEM, "no memory to measure attention");
    rng_seed(&r, 1);
    rng_normal_f32(&r, a->numbers, n);
    a->x = nn_input(&a->g, dim, heads, tokens, 1);
    a->cos = nn_input(&a->g, dim / 2, tokens, 1, 1);
    a->sin = nn_input(&a->g, dim / 2, tokens, 1, 1);
    struct ggml_tensor *q =
        nn_norm_rope_in(&a->g, a->x, NULL, 1e-6f, a->cos, a->sin, NN_ROPE_PAIRS);
    nn_graph_output(&a->g, nn_attention(&a->g, q, q, q, NULL, 1.0f / sqrtf((float)dim)));
    return nn_graph_prepare(&a->g, e);
}

/* The kernel's own time, from a profile: 0 where ggml computes attention instead. */
static double kernel_seconds(const struct nn_profile *p)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->kinds[i].name, "attention") == 0)
            return p->kinds[i].seconds;
    return 0;
}

static enum err_code attention_runs(struct attention *a, double seconds, const atomic_bool *cancel,
                                    double *best, struct err *e)
{
    enum err_code rc = ERR_OK;
    double start = clock_s();
    *best = 0;
    for (int i = 0; rc == ERR_OK && (i < 3 || clock_s() - start < seconds); i++) {
        struct nn_profile p = {0};
        nn_device_set_profile(a->g.device, &p);
        nn_graph_set(&a->g, a->x, a->numbers);
        nn_graph_set(&a->g, a->cos, a->numbers);
        nn_graph_set(&a->g, a->sin, a->numbers);
        rc = nn_graph_run(&a->g, cancel, e);
        nn_device_set_profile(a->g.device, NULL);
        double t = kernel_seconds(&p);
        if (i == 0 || t < *best)
            *best = t;
    }
    return rc;
}

static enum err_code measure_attention(struct nn_device *d, double seconds,
                                       const atomic_bool *cancel, struct bench_attention *out,
                                       struct err *e)
{
    struct attention a = {0};
    double best = 0, n = (double)out->tokens;
    nn_graph_init(&a.g, d, false);
    enum err_code rc;
    TRY_GOTO(attention_prepare(&a, out->tokens, e), done);
    TRY_GOTO(attention_runs(&a, seconds, cancel, &best, e), done);
    if (best > 0)
        out->flops = 4 * n * n * BENCH_ATTENTION_HEADS * BENCH_ATTENTION_HEAD_DIM / best;
done:
    nn_graph_deinit(&a.g);
    mem_free(a.numbers);
    return rc;
}

static enum err_code measure_attentions(int threads, double seconds, const atomic_bool *cancel,
                                        struct bench_peak *p, struct err *e)
{
    static const int64_t tokens[BENCH_ATTENTIONS] = {768, 4608};
    struct nn_device *d;
    enum err_code rc = nn_device_open("cpu", threads, &d, e);
    if (rc != ERR_OK)
        return rc;
    for (int i = 0; rc == ERR_OK && i < BENCH_ATTENTIONS; i++) {
        p->attention[i].tokens = tokens[i];
        rc = measure_attention(d, seconds, cancel, &p->attention[i], e);
    }
    nn_device_close(d);
    return rc;
}

/* ---- all -------------------------------------------------------------------------------------------- */

/* A machine without oneDNN, or a processor that cannot multiply the type, has no such peak: 0. */
static enum err_code measure_matmul(enum nn_peak_dtype dtype, int threads, double seconds,
                                    const atomic_bool *cancel, struct bench_peak *p, double *flops,
                                    struct err *e)
{
    struct nn_peak_result r;
    enum err_code rc = nn_peak_matmul(dtype, &p->shape, threads, seconds, cancel, &r, e);
    *flops = rc == ERR_OK ? r.flops_per_second : 0;
    if (rc == ERR_OK)
        (void)snprintf(p->onednn, sizeof p->onednn, "%s", r.version);
    if (rc != ERR_NOTFOUND && rc != ERR_DEVICE)
        return rc;
    err_clear(e);
    return ERR_OK;
}

static enum err_code measure_conv(int threads, double seconds, const atomic_bool *cancel,
                                  struct bench_peak *p, struct err *e)
{
    struct nn_peak_result r;
    enum err_code rc = nn_peak_conv(NN_PEAK_BF16, &p->image, threads, seconds, cancel, &r, e);
    p->conv_bf16 = rc == ERR_OK;
    if (rc == ERR_DEVICE) {
        err_clear(e);
        rc = nn_peak_conv(NN_PEAK_F32, &p->image, threads, seconds, cancel, &r, e);
    }
    p->conv_flops = rc == ERR_OK ? r.flops_per_second : 0;
    if (rc != ERR_NOTFOUND && rc != ERR_DEVICE)
        return rc;
    err_clear(e);
    return ERR_OK;
}

enum err_code bench_peak_measure(int threads, double seconds, const atomic_bool *cancel,
                                 struct bench_peak *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    out->shape = LAYER;
    out->image = NEEDED_IMAGE;
    describe_cpu(out);
    if (threads <= 0)
        threads = out->cores;
    TRY(bench_copy_measure(BENCH_COPY_IN_MEMORY, threads, seconds, cancel, &out->copy_bytes, e));
    TRY(bench_copy_measure(BENCH_COPY_INTO_NEW, threads, seconds, cancel, &out->copy_into_new_bytes,
                           e));
    TRY(measure_matmul(NN_PEAK_F32, threads, seconds, cancel, out, &out->f32_flops, e));
    TRY(measure_matmul(NN_PEAK_BF16, threads, seconds, cancel, out, &out->bf16_flops, e));
    TRY(measure_conv(threads, seconds, cancel, out, e));
    return measure_attentions(threads, seconds / BENCH_ATTENTIONS, cancel, out, e);
}
