/* ahead.h - what opening a model needs and no device gives: its tokenizer, read on a thread of its own while the device
 * starts, which takes longer.
 *
 *     struct ahead *a = ahead_begin(model);
 *     ... the device starts ...
 *     TRY(ahead_tokenizer(a, path, &tokenizer, e));
 *     ahead_end(a);
 */
#ifndef VT_PIPELINE_AHEAD_H
#define VT_PIPELINE_AHEAD_H

#include "text/tokenizer.h"

struct ahead;

/* NULL where nothing is read ahead: without a model, a thread or memory. Errors are told by whoever opens the model. */
struct ahead *ahead_begin(const char *model);
/* The tokenizer of that path, from the thread if it read that one, else read now. Caller frees it with tokenizer_free. a may
 * be NULL. */
ERR_MUST_CHECK enum err_code ahead_tokenizer(struct ahead *a, const char *path,
                                             struct tokenizer **out, struct err *e);
/* Accepts NULL. Waits for the thread. */
void ahead_end(struct ahead *a);

#endif
