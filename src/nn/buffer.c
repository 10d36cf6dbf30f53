#include "nn/buffer.h"

#include <ggml.h>

#include "base/mem.h"

struct nn_buffer {
    struct nn_device *device;
    enum nn_memory_kind kind;
    size_t bytes;
    ggml_backend_buffer_t b;
};

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
    if (!nn_device_is_dry(d) && bytes > 0) {
        b->b =
            ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(nn_device_ggml(d)), bytes);
        if (!b->b) {
            nn_buffer_free(b);
            return err_set(e, ERR_NOMEM, NN_NO_ROOM, bytes >> 20, what);
        }
        ggml_backend_buffer_set_usage(b->b, kind == NN_MEMORY_WEIGHTS
                                                ? GGML_BACKEND_BUFFER_USAGE_WEIGHTS
                                                : GGML_BACKEND_BUFFER_USAGE_COMPUTE);
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
    nn_device_give(b->device, b->kind, b->bytes);
    mem_free(b);
}

ggml_backend_buffer_t nn_buffer_ggml(const struct nn_buffer *b)
{
    return b->b;
}

enum err_code nn_buffer_place(const struct nn_buffer *b, struct ggml_tensor *t, size_t at,
                              struct err *e)
{
    if (at > b->bytes)
        return err_set(e, ERR_INTERNAL, "tensor '%s' lies outside its buffer", t->name);
    if (!b->b) {
        nn_tensor_set_dry(t);
        return ERR_OK;
    }
    char *base = ggml_backend_buffer_get_base(b->b);
    if (ggml_backend_tensor_alloc(b->b, t, base + at) != GGML_STATUS_SUCCESS)
        return err_set(e, ERR_DEVICE, "the device refuses tensor '%s'", t->name);
    return ERR_OK;
}

void nn_tensor_set_dry(struct ggml_tensor *t)
{
    static char nothing;
    t->data = &nothing; /* not NULL, or ggml's allocator would place it itself */
}

size_t nn_tensor_room(const struct nn_device *d, const struct ggml_tensor *t)
{
    ggml_backend_buffer_type_t buft = ggml_backend_dev_buffer_type(nn_device_ggml(d));
    size_t align = ggml_backend_buft_get_alignment(buft);
    return GGML_PAD(ggml_backend_buft_get_alloc_size(buft, t), align);
}
