/* upload.c - worker threads that bring tensors from mapped files to a device.
 *
 * Why threads: one core reads a mapped file and converts at a few GB/s, a PCIe bus takes far more. An upload is
 * cut into slices that a core's cache holds; workers take the next slice from an atomic counter, fill their own
 * page-locked buffer and send it. The caller is worker 0, so small tensors start no thread at all.
 *
 * Order of a shared upload: set what/bytes/part/next, raise `turn` and `busy` under the lock (this publishes
 * them), wake the workers, work along, wait until busy is 0. Threads are started once, before the first turn, and
 * sleep between uploads. `one` serialises uploads; `lock` guards what the struct says. The first error wins and
 * stops the others.
 */
#include "nn/upload.h"

#include <ggml-backend.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "nn/nvidia/card.h"

/* A slice stays in a core's own cache between being filled and being sent. */
enum { SLICE = 2 << 20, MAX_WORKERS = 16 };

struct worker {
    struct nn_uploader *u;
    int lane;             /* on a card */
    unsigned char *slice; /* page-locked; NULL: there is none */
    pthread_t thread;     /* not of the first, which is whoever calls */
};

struct nn_uploader {
    pthread_mutex_t one;  /* one upload at a time */
    struct nv_card *card; /* NULL: a backend of ggml */
    void *card_slices;    /* page-locked, for all workers; of that context */
    unsigned generation;
    ggml_backend_buffer_t locked;
    struct worker workers[MAX_WORKERS];
    int wanted, n; /* workers; threads are started by the first upload that has work for them */

    /* The upload that runs. */
    const struct nn_upload *what;
    size_t bytes, part;
    atomic_size_t next; /* the first byte that nobody has taken */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t begun, ended;
    unsigned turn; /* counts uploads */
    int busy;      /* threads that are at it */
    bool quit;
    enum err_code rc;
    struct err err;
};

/* Page-locked memory for every worker's slice; NULL when there is none. */
static unsigned char *take_slices(struct nn_uploader *u, struct nn_device *d)
{
    size_t bytes = (size_t)u->wanted * SLICE;
    u->card = nn_device_card(d);
    if (u->card) {
        u->generation = nv_card_generation(u->card);
        u->card_slices = nv_host_new(u->card, bytes);
        return u->card_slices;
    }
    ggml_backend_buffer_type_t host = ggml_backend_dev_host_buffer_type(nn_device_ggml(d));
    if (host)
        u->locked = ggml_backend_buft_alloc_buffer(host, bytes);
    return u->locked ? ggml_backend_buffer_get_base(u->locked) : NULL;
}

struct nn_uploader *nn_uploader_new(struct nn_device *d)
{
    struct nn_uploader *u = mem_alloc(sizeof *u);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_mutex_init(&u->one, NULL);
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->begun, NULL);
    pthread_cond_init(&u->ended, NULL);
    u->n = 1;
    u->wanted = cores < 1 ? 1 : cores > MAX_WORKERS ? MAX_WORKERS : (int)cores;
    unsigned char *base = take_slices(u, d);
    for (int i = 0; i < MAX_WORKERS; i++)
        u->workers[i] =
            (struct worker){.u = u,
                            .lane = i + 1,
                            .slice = base && i < u->wanted ? base + (size_t)i * SLICE : NULL};
    return u;
}

void nn_uploader_free(struct nn_uploader *u)
{
    if (!u)
        return;
    pthread_mutex_lock(&u->lock);
    u->quit = true;
    pthread_cond_broadcast(&u->begun);
    pthread_mutex_unlock(&u->lock);
    for (int i = 1; i < u->n; i++)
        pthread_join(u->workers[i].thread, NULL);
    if (u->locked)
        ggml_backend_buffer_free(u->locked);
    if (u->card)
        nv_host_free(u->card, u->card_slices, u->generation);
    pthread_cond_destroy(&u->ended);
    pthread_cond_destroy(&u->begun);
    pthread_mutex_destroy(&u->lock);
    pthread_mutex_destroy(&u->one);
    mem_free(u);
}

static bool has_slices(const struct nn_uploader *u)
{
    return u->locked || u->card_slices;
}

uint64_t nn_uploader_locked_bytes(const struct nn_uploader *u)
{
    return has_slices(u) ? (uint64_t)u->wanted * SLICE : 0;
}

/* ---- parts -------------------------------------------------------------------------------------------- */

static enum err_code send_part(const struct worker *me, const struct nn_upload *w, const void *src,
                               size_t at, size_t n, struct err *e)
{
    if (w->rows) {
        int64_t first = (int64_t)(at / w->unit);
        struct nv_rows part = *w->rows;
        part.q.y = (char *)part.q.y + first * part.q.ldy;
        part.q.scales += first * part.q.ld_scales;
        part.q.rows = (int)(n / w->unit);
        return nv_write_rows(me->u->card, me->lane, &part, src, n, e);
    }
    if (me->u->card)
        return nv_write(me->u->card, me->lane, (nv_ptr)(uintptr_t)w->t->data + at, src, n, e);
    ggml_backend_tensor_set(w->t, src, at, n);
    return ERR_OK;
}

/* Bytes [at, at + n) by way of `slice`, or, without one, where the device's memory itself can be written. */
static enum err_code put_part(const struct worker *me, const struct nn_upload *w, size_t at,
                              size_t n, unsigned char *slice, struct err *e)
{
    unsigned char *dst = slice ? slice : (unsigned char *)w->t->data + at;
    if (w->cancel && atomic_load_explicit(w->cancel, memory_order_relaxed))
        return err_set(e, ERR_CANCELLED, "stopped on request");
    if (w->src)
        memcpy(dst, (const unsigned char *)w->src + at, n);
    if (!(w->src))
        TRY(w->fill(w->user, at, n, dst, e));
    return slice ? send_part(me, w, slice, at, n, e) : ERR_OK;
}

static void take_parts(struct worker *me, bool in_place)
{
    struct nn_uploader *u = me->u;
    struct err e = {0};
    enum err_code rc = ERR_OK;
    for (size_t at; (at = atomic_fetch_add(&u->next, u->part)) < u->bytes;) {
        size_t n = u->bytes - at < u->part ? u->bytes - at : u->part;
        TRY_GOTO(put_part(me, u->what, at, n, in_place ? NULL : me->slice, &e), done);
    }
    return;
done:
    atomic_store(&u->next, u->bytes);
    pthread_mutex_lock(&u->lock);
    if (u->rc == ERR_OK) {
        u->rc = rc;
        u->err = e;
    }
    pthread_mutex_unlock(&u->lock);
}

static bool writes_in_place(const struct nn_uploader *u, const struct nn_upload *w)
{
    return !u->card && ggml_backend_buffer_is_host(w->t->buffer);
}

static void *help(void *arg)
{
    struct worker *me = arg;
    struct nn_uploader *u = me->u;
    unsigned seen = 0;
    pthread_mutex_lock(&u->lock);
    for (;;) {
        while (!u->quit && seen == u->turn)
            pthread_cond_wait(&u->begun, &u->lock);
        if (u->quit)
            break;
        seen = u->turn;
        pthread_mutex_unlock(&u->lock);
        take_parts(me, writes_in_place(u, u->what));
        pthread_mutex_lock(&u->lock);
        if (--u->busy == 0)
            pthread_cond_signal(&u->ended);
    }
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

/* ---- uploading ---------------------------------------------------------------------------------------- */

/* Workers count turns from 0, so they must be started before the first turn. */
static void start_workers(struct nn_uploader *u)
{
    while (u->n < u->wanted && u->turn == 0) {
        struct worker *w = &u->workers[u->n];
        if (pthread_create(&w->thread, NULL, help, w) != 0)
            break;
        u->n++;
    }
}

static enum err_code upload_shared(struct nn_uploader *u, const struct nn_upload *w, struct err *e)
{
    bool in_place = writes_in_place(u, w), alone = u->bytes <= u->part;
    u->what = w;
    atomic_store(&u->next, 0);
    u->rc = ERR_OK;
    if (!alone) {
        start_workers(u);
        pthread_mutex_lock(&u->lock);
        u->busy = u->n - 1;
        u->turn++;
        pthread_cond_broadcast(&u->begun);
        pthread_mutex_unlock(&u->lock);
    }
    take_parts(&u->workers[0], in_place);
    pthread_mutex_lock(&u->lock);
    while (!alone && u->busy > 0)
        pthread_cond_wait(&u->ended, &u->lock);
    enum err_code rc = u->rc;
    if (rc != ERR_OK && e)
        *e = u->err;
    pthread_mutex_unlock(&u->lock);
    return rc;
}

/* Through ordinary memory. */
static enum err_code upload_alone(struct nn_uploader *u, const struct nn_upload *w, struct err *e)
{
    size_t part = u->bytes < u->part ? u->bytes : u->part;
    unsigned char *slice = mem_try_alloc(part);
    enum err_code rc;
    TRY_GOTO(slice ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to convert weights"), done);
    for (size_t at = 0; at < u->bytes; at += part)
        TRY_GOTO(
            put_part(&u->workers[0], w, at, u->bytes - at < part ? u->bytes - at : part, slice, e),
            done);
done:
    mem_free(slice);
    return rc;
}

enum err_code nn_upload(struct nn_uploader *u, const struct nn_upload *what, struct err *e)
{
    size_t part =
        what->rows ? nv_rows_part(what->rows, what->unit) : SLICE / what->unit * what->unit;
    pthread_mutex_lock(&u->one);
    u->bytes = what->rows ? what->stored_bytes : ggml_nbytes(what->t);
    u->part = part ? part : what->unit;
    bool shared = writes_in_place(u, what) || (has_slices(u) && part);
    enum err_code rc = shared ? upload_shared(u, what, e) : upload_alone(u, what, e);
    pthread_mutex_unlock(&u->one);
    return rc;
}
