/* params_form.c - converts quantised matrices of safetensors files to ggml's blocks, with next to no loss.
 *
 *   int8 with a scale a row   Q8_0, whose blocks of 32 have that scale (in half precision); on NVIDIA cards as stored
 *   NVFP4                     NVFP4: the same blocks of 16 in another order; the scale of all goes to the product
 *   float8                    as stored, on the CPU in the map; both it and NVIDIA cards unpack it for their products
 *
 * ggml has no type for bytes as stored: they are I8, which it only carries.
 *
 * Anything else becomes bf16.
 */
#include <string.h>

#include "base/mem.h"
#include "nn/dtype_ggml.h"
#include "nn/params_impl.h"
#include "weights/held.h"

enum { Q8_BLOCK = 32, NVFP4_SUPER = 64, NVFP4_BLOCK = 16, NVFP4_BLOCKS = 4 };

struct block_q8_0 {
    uint16_t d;
    int8_t q[Q8_BLOCK];
};

struct block_nvfp4 {
    uint8_t d[NVFP4_BLOCKS];
    uint8_t q[NVFP4_SUPER /
              2]; /* of each 16 the first eight in the low bits, the others in the high ones */
};

enum ggml_type nn_param_form(const struct nn_device *d, const struct weights_view *v)
{
    enum weights_device on = nn_device_card(d)     ? WEIGHTS_NVIDIA
                             : nn_device_is_cpu(d) ? WEIGHTS_CPU
                                                   : WEIGHTS_VULKAN;
    enum dtype t = weights_held(v, on);
    return nn_ggml_type(t) == GGML_TYPE_COUNT ? GGML_TYPE_I8 : nn_ggml_type(t);
}

/* ---- what became wider --------------------------------------------------------------------------------- */

static const char *plain_name(enum ggml_type t)
{
    return t == GGML_TYPE_BF16  ? "bfloat16"
           : t == GGML_TYPE_F16 ? "float16"
           : t == GGML_TYPE_F32 ? "float32"
                                : NULL;
}

void nn_params_widened(const struct nn_params *ps, struct nn_widened *out)
{
    *out = (struct nn_widened){.to = ""};
    for (const struct nn_param *p = ps->first; p; p = p->next) {
        const char *to = p->t && p->role != NN_VECTOR ? plain_name(p->t->type) : NULL;
        uint64_t bytes = p->t ? ggml_nbytes(p->t) : 0;
        if (!to || !weights_is_narrow(p->view.dtype) || bytes <= p->view.bytes)
            continue;
        weights_add_form(out->from, sizeof out->from, weights_form_name(&p->view));
        out->to = to;
        out->bytes += bytes - p->view.bytes;
    }
}

/* ---- filling ------------------------------------------------------------------------------------------- */

static void fill_q8_0(const struct weights_view *v, int64_t row, struct block_q8_0 *to)
{
    int64_t n = v->dims[1];
    const unsigned char *from = v->data + (size_t)(row * n);
    float scale = v->scale * (v->n_scales ? weights_number(&v->rows, row) : 1.0f);
    uint16_t d = dtype_f32_to_f16(scale);
    for (int64_t i = 0; i < n; i += Q8_BLOCK, to++) {
        to->d = d;
        memcpy(to->q, from + i, Q8_BLOCK);
    }
}

/* The four bits of value i of a row. */
static unsigned code_at(const struct weights_view *v, const unsigned char *row, int64_t i)
{
    bool high = (i % 2 == 0) == v->high_first;
    return high ? row[i / 2] >> 4 : row[i / 2] & 15u;
}

/* False when a scale has a sign, which ggml's blocks do not have. */
static bool fill_nvfp4(const struct weights_view *v, int64_t row, struct block_nvfp4 *to)
{
    int64_t n = v->dims[1];
    const unsigned char *from = v->data + (size_t)(row * n / 2);
    for (int64_t at = 0; at < n; at += NVFP4_BLOCK) {
        struct block_nvfp4 *b = to + at / NVFP4_SUPER;
        int64_t k = at % NVFP4_SUPER / NVFP4_BLOCK;
        uint8_t scale = weights_grid_byte(&v->grid, row, at / NVFP4_BLOCK);
        if (scale > 0x7e)
            return false;
        b->d[k] = scale;
        for (int64_t i = 0; i < NVFP4_BLOCK / 2; i++)
            b->q[k * NVFP4_BLOCK / 2 + i] =
                (uint8_t)(code_at(v, from, at + i) | code_at(v, from, at + i + NVFP4_BLOCK / 2)
                                                         << 4);
    }
    return true;
}

enum err_code nn_param_fill_blocks(const void *param, size_t at, size_t n, void *dst, struct err *e)
{
    const struct nn_param *p = param;
    size_t row_bytes = ggml_row_size(p->t->type, p->t->ne[0]);
    for (size_t r = at / row_bytes; r < (at + n) / row_bytes; r++) {
        void *to = (unsigned char *)dst + (r * row_bytes - at);
        if (p->t->type == GGML_TYPE_Q8_0)
            fill_q8_0(&p->view, (int64_t)r, to);
        else if (!fill_nvfp4(&p->view, (int64_t)r, to))
            return err_set(e, ERR_NUMERIC,
                           "tensor '%s' (stored as '%s') has a scale that is no positive number",
                           p->name, p->view.stored->name);
    }
    return ERR_OK;
}

/* ---- as numbers on the host ------------------------------------------------------------------ */

/* Parameters as numbers on the host. */

enum err_code nn_view_rows_f32(const struct weights_view *v, int64_t row0, int64_t n_rows,
                               float *dst, struct err *e)
{
    int64_t row = v->n_dims ? v->dims[v->n_dims - 1] : 1, rows = 1;
    for (int i = 0; i + 1 < v->n_dims; i++)
        rows *= v->dims[i];
    if (row0 < 0 || n_rows < 0 || row0 > rows || n_rows > rows - row0)
        return err_set(e, ERR_ARG, "%lld rows from %lld on of a tensor that has %lld",
                       (long long)n_rows, (long long)row0, (long long)rows);
    uint64_t row_bytes;
    if (!dtype_bytes(v->dtype, (uint64_t)row, (uint64_t)row, &row_bytes))
        return err_set(e, ERR_FORMAT, "tensor '%s': a row is no whole number of blocks",
                       v->stored->name);
    const unsigned char *src = v->data + (uint64_t)row0 * row_bytes;
    if (!weights_view_numbers(v, src, (size_t)(n_rows * row), dst)) {
        enum ggml_type t = nn_ggml_type(v->dtype);
        const struct ggml_type_traits *tr = t == GGML_TYPE_COUNT ? NULL : ggml_get_type_traits(t);
        if (!tr || !tr->to_float)
            return err_set(e, ERR_FORMAT, "tensor '%s': %s cannot be converted to numbers",
                           v->stored->name, dtype_info(v->dtype)->name);
        for (int64_t r = 0; r < n_rows; r++)
            tr->to_float(src + (uint64_t)r * row_bytes, dst + r * row, row);
    }
    weights_view_apply(v, row0, n_rows, row, dst);
    return ERR_OK;
}

enum err_code nn_param_rows_f32(const struct nn_param *p, const struct weights_view *v,
                                int64_t row0, int64_t n, float *dst, struct err *e)
{
    return p->fill ? p->fill(p->user, row0, n, dst, e) : nn_view_rows_f32(v, row0, n, dst, e);
}

static enum err_code check_param_finite(const struct nn_param *p, struct err *e)
{
    const struct weights_view *v = &p->view;
    int64_t row = v->n_dims ? v->dims[v->n_dims - 1] : 1, rows = 1;
    for (int i = 0; i + 1 < v->n_dims; i++)
        rows *= v->dims[i];
    float *f = mem_try_array((size_t)row, sizeof *f);
    enum err_code rc = f ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to check '%s'", p->name);
    for (int64_t r = 0; rc == ERR_OK && r < rows; r++) {
        rc = nn_param_rows_f32(p, v, r, 1, f, e);
        if (rc == ERR_OK)
            rc = nn_param_check_floats(p, f, row, e);
    }
    mem_free(f);
    return rc;
}

enum err_code nn_params_check_finite(const struct nn_params *ps, struct err *e)
{
    for (const struct nn_param *p = ps->first; p; p = p->next)
        TRY(check_param_finite(p, e));
    return ERR_OK;
}
