/* ptx.h - the kernels as PTX text, part of the program. The driver compiles it for its card and keeps the result. */
#ifndef VT_NN_NVIDIA_PTX_H
#define VT_NN_NVIDIA_PTX_H

#include "base/err.h"

/* The text of a module, NUL-terminated. Caller frees. */
ERR_MUST_CHECK enum err_code nv_ptx(const char *module, char **out, struct err *e);

#endif
