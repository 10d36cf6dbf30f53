#include "weights/held.h"

#include <stdio.h>
#include <string.h>

enum { Q8_BLOCK = 32, NVFP4_SUPER = 64, NVFP4_BLOCK = 16, CARD_TOGETHER = 8 };

static bool has_blocks(const struct weights_view *v)
{
    return v->grid.n.data || v->columns.data || v->rotation || v->n_dims != 2;
}

static bool is_nvfp4(const struct weights_view *v)
{
    return v->dtype == DTYPE_F4 && v->grid.n.data && v->grid.n.dtype == DTYPE_F8_E4M3 &&
           v->grid.height == 1 && v->grid.width == NVFP4_BLOCK && !v->columns.data &&
           !v->rotation && v->n_dims == 2 && v->dims[1] % NVFP4_SUPER == 0;
}

static bool is_float8(enum dtype t)
{
    return t == DTYPE_F8_E4M3 || t == DTYPE_F8_E5M2;
}

/* What the kernels of NVIDIA cards unpack of GGUF's types: all but those whose codes are places in tables. The same as
 * nv_stored_kind (nn/nvidia/stored.c); a test compares them. */
static bool card_unpacks(enum dtype t)
{
    switch (t) {
    case DTYPE_Q4_0:
    case DTYPE_Q4_1:
    case DTYPE_Q5_0:
    case DTYPE_Q5_1:
    case DTYPE_Q8_0:
    case DTYPE_Q2_K:
    case DTYPE_Q3_K:
    case DTYPE_Q4_K:
    case DTYPE_Q5_K:
    case DTYPE_Q6_K:
    case DTYPE_IQ4_NL:
    case DTYPE_IQ4_XS:
    case DTYPE_TQ1_0:
    case DTYPE_TQ2_0:
    case DTYPE_MXFP4:
    case DTYPE_NVFP4:
        return true;
    default:
        return false;
    }
}

/* Numbers that are whole when they are unpacked a byte at a time, with scales that can be applied to the product. */
static enum dtype held_on_card(const struct weights_view *v)
{
    if (card_unpacks(v->dtype) && v->n_dims == 2)
        return v->dtype;
    if (is_nvfp4(v))
        return DTYPE_NVFP4;
    bool bytes = v->dtype == DTYPE_I8 || is_float8(v->dtype);
    return bytes && !has_blocks(v) && v->dims[1] % CARD_TOGETHER == 0 ? v->dtype : DTYPE_BF16;
}

enum dtype weights_held(const struct weights_view *v, enum weights_device on)
{
    const struct dtype_info *i = dtype_info(v->dtype);
    if (on == WEIGHTS_NVIDIA)
        return held_on_card(v);
    if (i->is_float && i->gguf_id >= 0 && v->dtype != DTYPE_I8)
        return v->dtype;
    if (v->dtype == DTYPE_I8 && !has_blocks(v) && v->dims[1] % Q8_BLOCK == 0)
        return DTYPE_Q8_0;
    if (on == WEIGHTS_CPU && is_nvfp4(v))
        return DTYPE_NVFP4;
    /* Only with a scale for the whole matrix or for rows, which can be applied to the product. */
    if (on == WEIGHTS_CPU && is_float8(v->dtype) && !has_blocks(v))
        return v->dtype;
    return DTYPE_BF16;
}

const char *weights_form_name(const struct weights_view *v)
{
    if (is_float8(v->dtype))
        return v->grid.n.dtype == DTYPE_U8 || v->grid.n.dtype == DTYPE_F8_E8M0 ? "mxfp8" : "float8";
    if (v->dtype == DTYPE_F4)
        return "NVFP4";
    if (v->dtype == DTYPE_I8)
        return v->rotation ? "rotated int8" : "int8";
    if (v->dtype == DTYPE_U4)
        return v->rotation ? "rotated int4" : "int4";
    return dtype_info(v->dtype)->name;
}

bool weights_is_narrow(enum dtype t)
{
    return t != DTYPE_F64 && t != DTYPE_F32 && t != DTYPE_F16 && t != DTYPE_BF16;
}

void weights_add_form(char *list, size_t n, const char *form)
{
    size_t have = strlen(list), k = strlen(form);
    for (const char *at = list; *at; at += strcspn(at, ","), at += strspn(at, ", "))
        if (strncmp(at, form, k) == 0 && (at[k] == ',' || !at[k]))
            return;
    if (have + k + sizeof ", " <= n)
        (void)snprintf(list + have, n - have, "%s%s", have ? ", " : "", form);
}
