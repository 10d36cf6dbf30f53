/* stream.h - streams blocks through a few slots: a thread of its own loads block i + 1 while block i is computed.
 *
 * Blocks are used in order 0 .. n - 1, again and again; block i always lies in slot i % slots, so that a tensor
 * keeps its address. A block that is asked for out of turn (a run that was stopped half way) restarts the
 * order from there.
 */
#ifndef VT_NN_STREAM_H
#define VT_NN_STREAM_H

#include <stdint.h>

#include "base/err.h"

struct nn_stream;

struct nn_stream_spec {
    int blocks, slots; /* slots >= 1, at most blocks */
    /* Fills the block's slot; called on the stream's thread, one at a time. */
    enum err_code (*load)(void *user, int block, struct err *e);
    void *user;
};

ERR_MUST_CHECK enum err_code nn_stream_start(const struct nn_stream_spec *spec,
                                             struct nn_stream **out, struct err *e);
/* Ends the thread once the block that it is loading is done. Accepts NULL. */
void nn_stream_stop(struct nn_stream *s);

/* Waits until the block is in its slot, and keeps it there until nn_stream_done. A load that failed is
 * reported here; the next call tries again. */
ERR_MUST_CHECK enum err_code nn_stream_acquire(struct nn_stream *s, int block, struct err *e);
void nn_stream_done(struct nn_stream *s, int block);

#endif
