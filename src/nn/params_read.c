/* params_read.c - parameters as numbers on the host. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/dtype_ggml.h"
#include "nn/params_impl.h"

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

static enum err_code check_param_finite(const struct nn_param *p, struct err *e)
{
    const struct weights_view *v = &p->view;
    int64_t row = v->n_dims ? v->dims[v->n_dims - 1] : 1, rows = 1;
    for (int i = 0; i + 1 < v->n_dims; i++)
        rows *= v->dims[i];
    float *f = mem_try_array((size_t)row, sizeof *f);
    enum err_code rc = f ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to check '%s'", p->name);
    for (int64_t r = 0; rc == ERR_OK && r < rows; r++) {
        rc = nn_view_rows_f32(v, r, 1, f, e);
        for (int64_t i = 0; rc == ERR_OK && i < row; i++)
            if (!isfinite(f[i]))
                rc = err_set(e, ERR_NUMERIC, "tensor '%s' (stored as '%s') holds NaN or infinity",
                             p->name, v->stored->name);
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
