/* weights.c - a safetensors file of random bf16 numbers, by several threads; see weights.h.
 *
 * Drawing normal numbers for gigabytes would take longer than writing them, so one block of a prime number of them
 * is drawn, and each piece starts at another offset in it, scaled by its tensor's fan-in. Pieces are numbered in
 * order of the file, so the bytes do not depend on the number of threads. The caller's thread works too and is the
 * one that reports.
 */
#include "bench/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "sample/rng.h"

enum {
    BLOCK = 1048583,      /* normal numbers; a prime, so that rows do not repeat with it */
    PIECE = 4 << 20,      /* elements that a thread writes at a time */
    OFFSET_STEP = 611953, /* between the offsets of pieces that follow each other; a prime */
    HEADER_ALIGN = 64,    /* of the first tensor's place in the file */
    MAX_LIST_BYTES = 4 << 20,
    MAX_THREADS = 64,
    BF16_ONE = 0x3f80,
};

/* ---- the list --------------------------------------------------------------------------------------- */

void bench_weights_init(struct bench_weights *w)
{
    buf_init(&w->list, MAX_LIST_BYTES);
    w->count = 0;
}

void bench_weights_deinit(struct bench_weights *w)
{
    buf_deinit(&w->list);
}

void bench_weights_add(struct bench_weights *w, enum bench_fill fill, int n_dims,
                       const int64_t *dims, const char *fmt, ...)
{
    struct bench_tensor t = {.n_dims = n_dims, .fill = fill, .first = w->count, .count = 1};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(t.name, sizeof t.name, fmt, ap);
    va_end(ap);
    for (int i = 0; i < n_dims; i++) {
        t.dims[i] = dims[i];
        t.count *= (uint64_t)dims[i];
    }
    w->count += t.count;
    buf_add(&w->list, &t, sizeof t);
}

uint64_t bench_weights_bytes(const struct bench_weights *w)
{
    return w->count * sizeof(uint16_t);
}

static size_t list_size(const struct bench_weights *w)
{
    return w->list.n / sizeof(struct bench_tensor);
}

/* A copy: the buffer's bytes are not aligned for the struct. */
static struct bench_tensor list_at(const struct bench_weights *w, size_t i)
{
    struct bench_tensor t;
    memcpy(&t, w->list.p + i * sizeof t, sizeof t);
    return t;
}

static void write_header(const struct bench_weights *w, struct buf *b)
{
    json_object(b, NULL);
    json_object(b, "__metadata__");
    json_put_z(b, "format", "pt");
    json_end_object(b);
    for (size_t i = 0; i < list_size(w); i++) {
        struct bench_tensor t = list_at(w, i);
        json_object(b, t.name);
        json_put_z(b, "dtype", "BF16");
        json_put_ints(b, "shape", t.dims, (size_t)t.n_dims);
        json_array(b, "data_offsets");
        json_put_uint(b, NULL, 2 * t.first);
        json_put_uint(b, NULL, 2 * (t.first + t.count));
        json_end_array(b);
        json_end_object(b);
    }
    json_end_object(b);
    while ((sizeof(uint64_t) + b->n) % HEADER_ALIGN != 0 && !buf_failed(b))
        buf_add_byte(b, ' ');
}

/* ---- several threads, one file ---------------------------------------------------------------------- */

struct job { /* elements [at, at + n) of a tensor */
    struct bench_tensor tensor;
    uint64_t at, n, serial;
};

struct writer {
    const struct bench_weights *w;
    const struct bench_writing *run;
    const float *block;
    int fd;
    uint64_t data_at; /* where tensor data begins in the file */

    pthread_mutex_t lock; /* guards what follows */
    size_t tensor;        /* next piece: of this tensor, from this element */
    uint64_t at, serial;
    uint64_t done; /* elements written */
    enum err_code rc;
    int sys;
};

static bool next_job(struct writer *wr, struct job *j)
{
    bool found = false;
    pthread_mutex_lock(&wr->lock);
    if (wr->rc == ERR_OK && wr->run->cancel && atomic_load(wr->run->cancel))
        wr->rc = ERR_CANCELLED;
    if (wr->rc == ERR_OK && wr->tensor < list_size(wr->w)) {
        j->tensor = list_at(wr->w, wr->tensor);
        j->at = wr->at;
        j->n = j->tensor.count - wr->at < PIECE ? j->tensor.count - wr->at : PIECE;
        j->serial = wr->serial++;
        wr->at += j->n;
        if (wr->at == j->tensor.count) {
            wr->tensor++;
            wr->at = 0;
        }
        found = true;
    }
    pthread_mutex_unlock(&wr->lock);
    return found;
}

static void fill_piece(const struct writer *wr, const struct job *j, uint16_t *out)
{
    const struct bench_tensor *t = &j->tensor;
    if (t->fill != BENCH_RANDOM) {
        for (uint64_t i = 0; i < j->n; i++)
            out[i] = t->fill == BENCH_ONES ? BF16_ONE : 0;
        return;
    }
    float scale = sqrtf((float)t->dims[0] / (float)t->count); /* 1 / sqrt(fan-in) */
    size_t from = (size_t)(j->serial * OFFSET_STEP % BLOCK);
    for (size_t i = 0; i < j->n;) {
        size_t n = BLOCK - from < j->n - i ? BLOCK - from : (size_t)j->n - i;
        bench_fill_bf16_kern(wr->block + from, n, scale, out + i);
        i += n;
        from = 0;
    }
}

static bool write_at(int fd, const void *p, size_t n, uint64_t at)
{
    const unsigned char *c = p;
    while (n > 0) {
        ssize_t got = pwrite(fd, c, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        c += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

/* Returns how many elements are written in all. */
static uint64_t job_done(struct writer *wr, const struct job *j, int sys)
{
    pthread_mutex_lock(&wr->lock);
    if (sys && wr->rc == ERR_OK) {
        wr->rc = ERR_IO;
        wr->sys = sys;
    }
    wr->done += j->n;
    uint64_t done = wr->done;
    pthread_mutex_unlock(&wr->lock);
    return done;
}

/* Does pieces until none is left; only the caller's own thread reports progress. */
static void work(struct writer *wr, bool reports)
{
    const struct bench_writing *run = wr->run;
    struct job j;
    uint16_t *out = mem_try_array(PIECE, sizeof *out);
    if (!out) {
        pthread_mutex_lock(&wr->lock);
        wr->rc = ERR_NOMEM;
        pthread_mutex_unlock(&wr->lock);
        return;
    }
    while (next_job(wr, &j)) {
        fill_piece(wr, &j, out);
        int sys = write_at(wr->fd, out, (size_t)j.n * sizeof *out,
                           wr->data_at + (j.tensor.first + j.at) * sizeof *out)
                      ? 0
                      : errno;
        uint64_t done = job_done(wr, &j, sys);
        if (reports && run->progress)
            run->progress(run->done_before + done * sizeof *out, run->total, run->user);
    }
    mem_free(out);
}

static void *work_thread(void *arg)
{
    work(arg, false);
    return NULL;
}

static void work_together(struct writer *wr)
{
    pthread_t threads[MAX_THREADS];
    int n = 0, wanted = wr->run->threads < MAX_THREADS ? wr->run->threads : MAX_THREADS;
    while (n + 1 < wanted && pthread_create(&threads[n], NULL, work_thread, wr) == 0)
        n++;
    work(wr, true);
    for (int i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static float *make_block(void)
{
    struct rng r;
    float *block = mem_try_array(BLOCK, sizeof *block);
    if (!block)
        return NULL;
    rng_seed(&r, 1);
    rng_normal_f32(&r, block, BLOCK);
    return block;
}

static enum err_code write_failed(const struct writer *wr, const char *path, struct err *e)
{
    switch (wr->rc) {
    case ERR_OK:
        return ERR_OK;
    case ERR_CANCELLED:
        return err_set(e, ERR_CANCELLED, "stopped on request");
    case ERR_NOMEM:
        return err_set(e, ERR_NOMEM, "no memory to write '%s'", path);
    default:
        return err_set_sys(e, ERR_IO, wr->sys, "cannot write '%s'", path);
    }
}

static enum err_code write_open_file(const struct bench_weights *w, int fd, const char *path,
                                     const float *block, const struct bench_writing *run,
                                     struct err *e)
{
    struct buf h;
    buf_init(&h, 2 * (size_t)MAX_LIST_BYTES);
    write_header(w, &h);
    uint64_t n = h.n; /* little-endian, as every machine this runs on */
    struct writer wr = {
        .w = w, .run = run, .block = block, .fd = fd, .data_at = sizeof n + h.n, .rc = ERR_OK};
    enum err_code rc = ERR_OK;
    pthread_mutex_init(&wr.lock, NULL);
    if (buf_failed(&h) || buf_failed(&w->list))
        rc = err_set(e, ERR_NOMEM, "no memory for the header of '%s'", path);
    /* Where the file system can, room is taken now, so that a full disk shows at once. */
    if (rc == ERR_OK && fallocate(fd, 0, 0, (off_t)(wr.data_at + bench_weights_bytes(w))) != 0 &&
        errno == ENOSPC)
        rc = err_set_sys(e, ERR_IO, ENOSPC, "cannot write '%s'", path);
    if (rc == ERR_OK && (!write_at(fd, &n, sizeof n, 0) || !write_at(fd, h.p, h.n, sizeof n)))
        rc = err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    buf_deinit(&h);
    if (rc == ERR_OK) {
        work_together(&wr);
        rc = write_failed(&wr, path, e);
    }
    pthread_mutex_destroy(&wr.lock);
    return rc;
}

enum err_code bench_weights_write(const struct bench_weights *w, const char *path,
                                  const struct bench_writing *run, struct err *e)
{
    float *block = make_block();
    if (!block)
        return err_set(e, ERR_NOMEM, "no memory for random numbers");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    enum err_code rc;
    TRY_GOTO(fd >= 0 ? write_open_file(w, fd, path, block, run, e)
                     : err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path),
             done);
    if (fsync(fd) != 0)
        rc = err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
done:
    if (fd >= 0 && close(fd) != 0 && rc == ERR_OK)
        rc = err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    if (rc != ERR_OK && fd >= 0)
        (void)unlink(path);
    mem_free(block);
    return rc;
}
