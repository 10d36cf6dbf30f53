/* dtype_ggml.h - stored dtypes as ggml's types. */
#ifndef VT_NN_DTYPE_GGML_H
#define VT_NN_DTYPE_GGML_H

#include <ggml.h>

#include "weights/dtype.h"

/* ggml's type ids are GGUF's. GGML_TYPE_COUNT for what ggml does not compute with (float8, float4, integers). */
static inline enum ggml_type nn_ggml_type(enum dtype t)
{
    const struct dtype_info *i = dtype_info(t);
    return i->is_float && i->gguf_id >= 0 && t != DTYPE_I8 ? (enum ggml_type)i->gguf_id
                                                           : GGML_TYPE_COUNT;
}

#endif
