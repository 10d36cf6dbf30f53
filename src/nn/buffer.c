/* buffer.c - memory of a device, and the bytes of tensors in it.
 *
 * The one place that knows where a tensor's bytes are: in a ggml buffer, on an NVIDIA card, or, on a dry device,
 * nowhere. Memory is taken from the accountant first and from the device second, and given back in the other
 * order, so that the ledger never says less than what is held. Reading back from a card that failed gives NaN (all
 * bits set) and not old bytes, so that whoever checks a result for NaN refuses it.
 */
#include "nn/buffer.h"

#include <ggml.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "nn/nvidia/card.h"
#include "nn/nvidia/layout.h"

struct nn_buffer {
    struct nn_device *device;
    enum nn_memory_kind kind;
    size_t bytes;
    ggml_backend_buffer_t b;
    struct nv_memory card;
};

static char nothing; /* where tensors of a dry device lie */

static enum err_code take_backend(struct nn_buffer *b, const char *what, struct err *e)
{
    b->b = ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(nn_device_ggml(b->device)),
                                          b->bytes);
    nn_device_guard(b->device); /* a connection lasts as long as the buffers that came over it */
    if (!b->b)
        return err_set(e, ERR_NOMEM, NN_NO_ROOM, b->bytes >> 20, what);
    ggml_backend_buffer_set_usage(b->b, b->kind == NN_MEMORY_WEIGHTS
                                            ? GGML_BACKEND_BUFFER_USAGE_WEIGHTS
                                            : GGML_BACKEND_BUFFER_USAGE_COMPUTE);
    return ERR_OK;
}

static enum err_code take_card(struct nn_buffer *b, const char *what, struct err *e)
{
    enum err_code rc = nv_memory_new(nn_device_card(b->device), b->bytes, &b->card, e);
    return rc == ERR_NOMEM ? err_set(e, rc, NN_NO_ROOM, b->bytes >> 20, what) : rc;
}

enum err_code nn_buffer_new(struct nn_device *d, enum nn_memory_kind kind, size_t bytes,
                            const char *what, struct nn_buffer **out, struct err *e)
{
    *out = NULL;
    struct nn_buffer *b = mem_try_alloc(sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, "no memory for %s", what);
    *b = (struct nn_buffer){.device = d, .kind = kind, .bytes = bytes};
    enum err_code rc = nn_device_take(d, kind, bytes, what, e);
    if (rc != ERR_OK) {
        mem_free(b);
        return rc;
    }
    if (!nn_device_is_dry(d) && bytes > 0)
        rc = nn_device_card(d) ? take_card(b, what, e) : take_backend(b, what, e);
    if (rc != ERR_OK) {
        nn_buffer_free(b);
        return rc;
    }
    *out = b;
    return ERR_OK;
}

void nn_buffer_free(struct nn_buffer *b)
{
    if (!b)
        return;
    if (b->b)
        ggml_backend_buffer_free(b->b);
    if (b->card.p)
        nv_memory_free(nn_device_card(b->device), &b->card);
    nn_device_give(b->device, b->kind, b->bytes);
    mem_free(b);
}

bool nn_buffer_is_real(const struct nn_buffer *b)
{
    return b->b || b->card.p;
}

void *nn_buffer_host(const struct nn_buffer *b)
{
    return b->b && ggml_backend_buffer_is_host(b->b) ? ggml_backend_buffer_get_base(b->b) : NULL;
}

enum err_code nn_buffer_place(const struct nn_buffer *b, struct ggml_tensor *t, size_t at,
                              struct err *e)
{
    if (at > b->bytes)
        return err_set(e, ERR_INTERNAL, "tensor '%s' lies outside its buffer", t->name);
    if (b->card.p) {
        t->data = (char *)(uintptr_t)b->card.p + at;
        return ERR_OK;
    }
    if (!b->b) {
        nn_tensor_set_dry(t);
        return ERR_OK;
    }
    char *base = ggml_backend_buffer_get_base(b->b);
    if (ggml_backend_tensor_alloc(b->b, t, base + at) != GGML_STATUS_SUCCESS)
        return err_set(e, ERR_DEVICE, "the device refuses tensor '%s'", t->name);
    return ERR_OK;
}

bool nn_tensor_is_real(const struct nn_device *d, const struct ggml_tensor *t)
{
    if (nn_device_is_dry(d))
        return false;
    return nn_device_card(d) ? t->data && t->data != &nothing : t->buffer != NULL;
}

static nv_ptr card_address(const struct ggml_tensor *t, size_t at)
{
    return (nv_ptr)(uintptr_t)t->data + at;
}

void nn_tensor_set(struct nn_device *d, struct ggml_tensor *t, const void *data, size_t at,
                   size_t n)
{
    struct err e = {0};
    if (!nn_device_card(d))
        ggml_backend_tensor_set(t, data, at, n);
    else if (nv_write(nn_device_card(d), 0, card_address(t, at), data, n, &e) != ERR_OK)
        log_debug("%s", e.text);
}

void nn_tensor_get(struct nn_device *d, const struct ggml_tensor *t, void *data, size_t at,
                   size_t n)
{
    struct err e = {0};
    if (!nn_device_card(d)) {
        ggml_backend_tensor_get(t, data, at, n);
    } else if (nv_read(nn_device_card(d), data, card_address(t, at), n, &e) != ERR_OK) {
        log_warn("%s", e.text);
        memset(data, 0xff, n);
    }
}

void nn_tensor_copy(struct nn_device *d, struct ggml_tensor *from, struct ggml_tensor *to)
{
    struct err e = {0};
    if (!nn_device_card(d))
        ggml_backend_tensor_copy(from, to);
    else if (nv_copy(nn_device_card(d), card_address(to, 0), card_address(from, 0), ggml_nbytes(to),
                     &e) != ERR_OK)
        log_debug("%s", e.text);
}

void nn_tensor_set_dry(struct ggml_tensor *t)
{
    t->data = &nothing; /* not NULL, or ggml's allocator would place it itself */
}

size_t nn_tensor_room(const struct nn_device *d, const struct ggml_tensor *t)
{
    if (nn_device_card(d))
        return GGML_PAD(ggml_nbytes(t), (size_t)NV_ALIGN);
    ggml_backend_buffer_type_t buft = ggml_backend_dev_buffer_type(nn_device_ggml(d));
    size_t align = ggml_backend_buft_get_alignment(buft);
    return GGML_PAD(ggml_backend_buft_get_alloc_size(buft, t), align);
}
