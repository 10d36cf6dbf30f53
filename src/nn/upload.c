#include "nn/upload.h"

#include <ggml-backend.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "nn/half_kern.h"

enum { CHUNK = 16 << 20, BUFFERS = 2, MAX_FILLERS = 16, PART_AT_LEAST = 1 << 20 };

struct nn_uploader {
    pthread_mutex_t lock;
    ggml_backend_buffer_t pinned[BUFFERS];
    unsigned char *plain; /* for conversion without page-locked memory */
    int fillers;
};

struct nn_uploader *nn_uploader_new(ggml_backend_dev_t dev)
{
    struct nn_uploader *u = mem_alloc(sizeof *u);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    ggml_backend_buffer_type_t host = ggml_backend_dev_host_buffer_type(dev);
    pthread_mutex_init(&u->lock, NULL);
    u->fillers = cores < 1 ? 1 : cores > MAX_FILLERS ? MAX_FILLERS : (int)cores;
    for (int i = 0; i < BUFFERS && host; i++)
        u->pinned[i] = ggml_backend_buft_alloc_buffer(host, CHUNK);
    return u;
}

void nn_uploader_free(struct nn_uploader *u)
{
    if (!u)
        return;
    for (int i = 0; i < BUFFERS; i++)
        if (u->pinned[i])
            ggml_backend_buffer_free(u->pinned[i]);
    mem_free(u->plain);
    pthread_mutex_destroy(&u->lock);
    mem_free(u);
}

uint64_t nn_uploader_pinned_bytes(const struct nn_uploader *u)
{
    uint64_t n = 0;
    for (int i = 0; i < BUFFERS; i++)
        n += u->pinned[i] ? CHUNK : 0;
    return n;
}

/* ---- filling a chunk ---------------------------------------------------------------------------------- */

struct part {
    unsigned char *dst;
    const unsigned char *src;
    size_t bytes;
    enum nn_upload_form form;
    bool ok;
};

static void *fill_part(void *arg)
{
    struct part *p = arg;
    p->ok = true;
    if (p->form == NN_UPLOAD_BF16_AS_F16)
        p->ok = half_from_bf16((const uint16_t *)(const void *)p->src, (uint16_t *)(void *)p->dst,
                               p->bytes / 2);
    else
        memcpy(p->dst, p->src, p->bytes);
    return NULL;
}

static bool fill(const struct nn_uploader *u, unsigned char *dst, const unsigned char *src,
                 size_t bytes, enum nn_upload_form form)
{
    struct part parts[MAX_FILLERS];
    pthread_t threads[MAX_FILLERS];
    bool started[MAX_FILLERS] = {false}, ok = true;
    size_t n = bytes / PART_AT_LEAST + 1;
    n = n > (size_t)u->fillers ? (size_t)u->fillers : n;
    size_t each = (bytes / n + 63) / 64 * 64;
    for (size_t i = 0; i < n; i++) {
        size_t at = i * each < bytes ? i * each : bytes;
        size_t len = i + 1 == n || bytes - at < each ? bytes - at : each;
        parts[i] = (struct part){.dst = dst + at, .src = src + at, .bytes = len, .form = form};
        started[i] = i + 1 < n && pthread_create(&threads[i], NULL, fill_part, &parts[i]) == 0;
        if (!started[i])
            fill_part(&parts[i]);
    }
    for (size_t i = 0; i < n; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
        ok &= parts[i].ok;
    }
    return ok;
}

/* ---- uploading ---------------------------------------------------------------------------------------- */

/* A full buffer on its way. The call that waits, on a thread of its own: it uses the device's own queue for
 * copies, while an asynchronous one stands in line behind what is computed (Vulkan). */
struct sending {
    struct ggml_tensor *t;
    const void *buffer;
    size_t at, bytes;
    pthread_t thread;
    bool running;
};

static void *send(void *arg)
{
    struct sending *s = arg;
    ggml_backend_tensor_set(s->t, s->buffer, s->at, s->bytes);
    return NULL;
}

static void wait_for(struct sending *s)
{
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
}

/* Through the two page-locked buffers in turn. */
static bool upload_pinned(struct nn_uploader *u, struct ggml_tensor *t, const unsigned char *src,
                          size_t bytes, enum nn_upload_form form)
{
    struct sending s = {.t = t};
    bool ok = true;
    for (size_t at = 0, i = 0; at < bytes && ok; at += CHUNK, i++) {
        size_t n = bytes - at < CHUNK ? bytes - at : CHUNK;
        unsigned char *buffer = ggml_backend_buffer_get_base(u->pinned[i % BUFFERS]);
        ok = fill(u, buffer, src + at, n, form);
        wait_for(&s);
        s.buffer = buffer;
        s.at = at;
        s.bytes = n;
        s.running = pthread_create(&s.thread, NULL, send, &s) == 0;
        if (!s.running)
            send(&s);
    }
    wait_for(&s);
    return ok;
}

static enum err_code upload_plain(struct nn_uploader *u, struct ggml_tensor *t,
                                  const unsigned char *src, size_t bytes, enum nn_upload_form form,
                                  bool *ok, struct err *e)
{
    *ok = true;
    if (form == NN_UPLOAD_AS_IT_IS) {
        ggml_backend_tensor_set(t, src, 0, bytes);
        return ERR_OK;
    }
    if (!u->plain)
        u->plain = mem_try_alloc(CHUNK);
    if (!u->plain)
        return err_set(e, ERR_NOMEM, "no memory to convert weights");
    for (size_t at = 0; at < bytes && *ok; at += CHUNK) {
        size_t n = bytes - at < CHUNK ? bytes - at : CHUNK;
        *ok = fill(u, u->plain, src + at, n, form);
        ggml_backend_tensor_set(t, u->plain, at, n);
    }
    return ERR_OK;
}

enum err_code nn_upload(struct nn_uploader *u, struct ggml_tensor *t, const void *src,
                        enum nn_upload_form form, struct err *e)
{
    size_t bytes = ggml_nbytes(t);
    bool ok = true, pinned = u->pinned[0] && u->pinned[1] && bytes >= PART_AT_LEAST;
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&u->lock);
    if (pinned)
        ok = upload_pinned(u, t, src, bytes, form);
    else
        rc = upload_plain(u, t, src, bytes, form, &ok, e);
    pthread_mutex_unlock(&u->lock);
    if (rc == ERR_OK && !ok)
        rc = err_set(e, ERR_NUMERIC,
                     "a number is too large for half precision, and this device has no bf16: use "
                     "other weights (--weights q8_0)");
    return rc;
}
