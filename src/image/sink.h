/* sink.h - where an encoder's bytes go, piece by piece and in order.
 *
 * A sink that fails ends the work with its error, and is not called again. Encoders call it with no bytes, too, where
 * they work for long without making any: a sink that knows whether the work is still wanted says so there. */
#ifndef VT_IMAGE_SINK_H
#define VT_IMAGE_SINK_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

typedef enum err_code (*image_sink)(const void *p, size_t n, void *user, struct err *e);

struct image_out {
    image_sink sink;
    void *user;
};

ERR_MUST_CHECK static inline enum err_code image_out_write(const struct image_out *out,
                                                           const void *p, size_t n, struct err *e)
{
    return out->sink(p, n, out->user, e);
}

/* Is it still wanted? */
ERR_MUST_CHECK static inline enum err_code image_out_poll(const struct image_out *out,
                                                          struct err *e)
{
    return out->sink("", 0, out->user, e);
}

/* Appends to b, which must outlive it and has its maximum. */
struct image_out image_out_buf(struct buf *b);

#endif
