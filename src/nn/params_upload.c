/* params_upload.c - one parameter from the map into its place on the device, converted on the way. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "nn/dtype_ggml.h"
#include "nn/params_impl.h"
#include "nn/upload.h"

/* Sees a kernel [out, in, kt, kh, kw] as rows of kt * kh * kw, one an (out, in) pair; returns kh * kw. */
static int64_t rows_of_slices(struct weights_view *v)
{
    int64_t slice = v->dims[3] * v->dims[4];
    v->dims[0] *= v->dims[1];
    v->dims[1] = v->dims[2] * slice;
    v->n_dims = 2;
    return slice;
}

/* Rows [r, r + n) of v into f; of each row only its last `keep` elements, when keep is less than the row. */
static enum err_code read_rows(const struct weights_view *v, int64_t r, int64_t n, int64_t keep,
                               float *f, struct err *e)
{
    int64_t row = v->n_dims ? v->dims[v->n_dims - 1] : 1;
    enum err_code rc = nn_view_rows_f32(v, r, n, f, e);
    for (int64_t i = 0; rc == ERR_OK && keep < row && i < n; i++)
        memmove(f + i * keep, f + (i + 1) * row - keep, (size_t)keep * sizeof *f);
    return rc;
}

/* The float32 or bf16 form of a parameter, a band of rows at a time, into its place on the device. */
static enum err_code upload_converted(struct nn_param *p, struct err *e)
{
    struct weights_view v = p->view;
    bool slice = p->role == NN_KERNEL_LAST_SLICE;
    int64_t row = slice ? rows_of_slices(&v) : p->t->ne[0];
    int64_t rows = ggml_nelements(p->t) / row, stored_row = slice ? v.dims[1] : row;
    int64_t band = 1 + (4 << 20) / stored_row;
    bool half = nn_param_scales_product(p), bf16 = p->t->type == GGML_TYPE_BF16;
    if (half) { /* float8 as stored: the scale is applied to the product */
        v.scale = 1.0f;
        v.n_scales = 0;
    }
    float *f = mem_try_array((size_t)(band * stored_row), sizeof *f);
    uint16_t *h = half ? mem_try_array((size_t)(band * row), sizeof *h) : NULL;
    enum err_code rc =
        f && (h || !half) ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to convert '%s'", p->name);
    for (int64_t r = 0; rc == ERR_OK && r < rows; r += band) {
        int64_t n = rows - r < band ? rows - r : band;
        rc = read_rows(&v, r, n, row, f, e);
        if (rc != ERR_OK)
            break;
        size_t at = (size_t)(r * row) * ggml_element_size(p->t);
        if (half) {
            for (int64_t i = 0; i < n * row; i++)
                h[i] = bf16 ? dtype_f32_to_bf16(f[i]) : ggml_fp32_to_fp16(f[i]);
            ggml_backend_tensor_set(p->t, h, at, (size_t)(n * row) * 2);
        } else {
            for (int64_t i = 0; i < n * row && rc == ERR_OK; i++)
                if (!isfinite(f[i]))
                    rc = err_set(e, ERR_NUMERIC,
                                 "tensor '%s' (stored as '%s') holds NaN or infinity", p->name,
                                 p->view.stored->name);
            ggml_backend_tensor_set(p->t, f, at, (size_t)(n * row) * 4);
        }
    }
    mem_free(f);
    mem_free(h);
    return rc;
}

/* In one piece, and at most from bf16 to half precision on the way. */
static bool is_plain(const struct nn_param *p)
{
    enum ggml_type stored = nn_ggml_type(p->view.dtype);
    return (stored == p->t->type || (stored == GGML_TYPE_BF16 && p->t->type == GGML_TYPE_F16)) &&
           p->view.scale == 1.0f && p->view.n_scales == 0 && p->role != NN_KERNEL_LAST_SLICE;
}

static enum err_code upload_plain(struct nn_device *d, struct nn_param *p, struct err *e)
{
    struct nn_uploader *u = nn_device_uploader(d);
    bool same = nn_ggml_type(p->view.dtype) == p->t->type;
    if (!u) {
        ggml_backend_tensor_set(p->t, p->view.data, 0, (size_t)p->view.bytes);
        return ERR_OK;
    }
    enum err_code rc =
        nn_upload(u, p->t, p->view.data, same ? NN_UPLOAD_AS_IT_IS : NN_UPLOAD_BF16_AS_F16, e);
    return rc == ERR_OK ? rc : err_note(e, "tensor '%s'", p->name);
}

enum err_code nn_param_upload(struct nn_device *d, struct nn_param *p, struct err *e)
{
    if (is_plain(p))
        return upload_plain(d, p, e);
    enum err_code rc = upload_converted(p, e);
    if (rc == ERR_OK && p->row_scales)
        ggml_backend_tensor_set(p->row_scales, p->view.scales, 0, (size_t)p->view.n_scales * 4);
    return rc;
}
