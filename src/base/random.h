/* random.h - random bytes from the system, for names and keys that nobody can guess. The noise of images comes
 * from sample/rng.h, which is repeatable on purpose. */
#ifndef VT_BASE_RANDOM_H
#define VT_BASE_RANDOM_H

#include <stddef.h>

#include "base/err.h"

ERR_MUST_CHECK enum err_code random_bytes(void *out, size_t n, struct err *e);

#endif
