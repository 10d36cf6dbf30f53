#include "pipeline/bench_peak.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { COPY_BYTES = 256 << 20, MAX_THREADS = 64 };

/* A linear layer of klein-4B on a 256 x 256 picture: 256 image and 512 text tokens. */
static const struct nn_peak_shape LAYER = {768, 3072, 9216};
/* The decoder's widest convolution on a 512 x 512 picture. */
static const struct nn_peak_picture PICTURE = {128, 512};

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

/* ---- memory ----------------------------------------------------------------------------------------- */

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

static enum err_code measure_copy(int threads, double seconds, const atomic_bool *cancel,
                                  double *bytes_per_second, struct err *e)
{
    unsigned char *from = mem_try_aligned(4096, COPY_BYTES),
                  *to = mem_try_aligned(4096, COPY_BYTES);
    double best = 0, start = clock_s();
    enum err_code rc = from && to ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to measure copying");
    if (rc == ERR_OK) { /* pages are there before the clock runs */
        memset(from, 1, COPY_BYTES);
        memset(to, 2, COPY_BYTES);
    }
    threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    for (int i = 0; rc == ERR_OK && (i < 3 || clock_s() - start < seconds); i++) {
        double t = copy_once(to, from, threads);
        if (i == 0 || t < best)
            best = t;
        if (cancel && atomic_load(cancel))
            rc = err_set(e, ERR_CANCELLED, "stopped on request");
    }
    if (rc == ERR_OK)
        *bytes_per_second = (double)COPY_BYTES / best;
    mem_free(from);
    mem_free(to);
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
    enum err_code rc = nn_peak_conv(&p->picture, threads, seconds, cancel, &r, e);
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
    out->picture = PICTURE;
    describe_cpu(out);
    if (threads <= 0)
        threads = out->cores;
    enum err_code rc = measure_copy(threads, seconds, cancel, &out->copy_bytes, e);
    if (rc == ERR_OK)
        rc = measure_matmul(NN_PEAK_F32, threads, seconds, cancel, out, &out->f32_flops, e);
    if (rc == ERR_OK)
        rc = measure_matmul(NN_PEAK_BF16, threads, seconds, cancel, out, &out->bf16_flops, e);
    if (rc == ERR_OK)
        rc = measure_conv(threads, seconds, cancel, out, e);
    return rc;
}
