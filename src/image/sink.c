#include "image/sink.h"

static enum err_code to_buf(const void *p, size_t n, void *user, struct err *e)
{
    struct buf *b = user;
    if (n > 0)
        buf_add(b, p, n);
    return buf_failed(b)
               ? err_set(e, ERR_NOMEM, "no memory for a file of more than %zu bytes", b->n)
               : ERR_OK;
}

struct image_out image_out_buf(struct buf *b)
{
    return (struct image_out){to_buf, b};
}
