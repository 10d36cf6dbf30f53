/* params_upload.c - one parameter from the mapped file into its place on the device, converted on the way.
 *
 * Six ways, cheapest first: the bytes as they are; blocks and float8 as they are, checked; bf16 to half by a vector
 * loop; blocks unpacked to bf16; rows in ggml's blocks made from other blocks (params_form.c); and, for all else, rows
 * to float32, reordered where the kernel's channels come last, then narrowed. The uploader's workers call these
 * functions for ranges of whole rows (`unit`), several at once: they read `user` only and take scratch of their own.
 *
 * NaN and infinities are refused wherever values are converted or lie in fewer than 16 bits, with both names of the
 * tensor; a value too large for half precision is refused as well, since it would silently become infinite.
 */
#include <string.h>

#include "base/mem.h"
#include "nn/cpu/vec.h"
#include "nn/dtype_ggml.h"
#include "nn/params_impl.h"
#include "nn/upload.h"

#define TOO_LARGE                                                                                  \
    "tensor '%s': a number is too large for half precision, and this device has no bf16: use "     \
    "other weights (--weights q8_0)"

enum { BAND_FLOATS = 16 << 10 };

/* Rows of a parameter's view on their way to another type. Of a kernel a row is all of one output channel, or (where
 * it keeps its order) what one input channel has of it. */
struct conversion {
    const struct nn_param *p;
    struct weights_view v;
    int64_t row,
        stored_row; /* of a stored row its last `row` elements are kept, or, of a row with channels: */
    int64_t channels; /* of so many channels in turn, which come to lie side by side; 0: none */
};

/* Sees a kernel [out, in, kt, kh, kw] as rows of kt * kh * kw, one an (out, in) pair; returns kh * kw. */
static int64_t rows_of_slices(struct weights_view *v)
{
    int64_t slice = v->dims[3] * v->dims[4];
    v->dims[0] *= v->dims[1];
    v->dims[1] = v->dims[2] * slice;
    v->n_dims = 2;
    return slice;
}

static void rows_of_outputs(struct conversion *c)
{
    struct weights_view *v = &c->v;
    int64_t stored = 1;
    for (int i = 1; i < v->n_dims; i++)
        stored *= v->dims[i];
    v->dims[1] = stored;
    v->n_dims = 2;
    c->channels = c->p->t->ne[2];
    c->row = c->channels * c->p->t->ne[0] * c->p->t->ne[1];
    c->stored_row = stored;
}

static bool lies_channels_last(const struct nn_param *p)
{
    return nn_param_is_kernel(p) && p->t->nb[2] == ggml_element_size(p->t) &&
           p->t->nb[0] != p->t->nb[2];
}

static struct conversion conversion_of(const struct nn_param *p)
{
    struct conversion c = {.p = p, .v = p->view};
    bool slice = p->role == NN_KERNEL_LAST_SLICE;
    if (lies_channels_last(p)) {
        rows_of_outputs(&c);
    } else {
        c.row = slice ? rows_of_slices(&c.v) : p->t->ne[0];
        c.stored_row = slice ? c.v.dims[1] : c.row;
    }
    if (nn_param_scales_product(p)) /* float8 as stored: the scale is applied to the product */
        c.v = weights_view_without_row_scales(&c.v);
    return c;
}

/* Turns m stored rows in f into the form that is kept, in f or (with channels) in `turned`; returns where they are. */
static float *keep(const struct conversion *c, float *f, float *turned, int64_t m)
{
    if (c->channels) {
        int64_t taps = c->row / c->channels, stored = c->stored_row / c->channels;
        for (int64_t r = 0; r < m; r++)
            for (int64_t i = 0; i < c->channels; i++)
                for (int64_t k = 0; k < taps; k++)
                    turned[r * c->row + k * c->channels + i] =
                        f[r * c->stored_row + (i + 1) * stored - taps + k];
        return turned;
    }
    for (int64_t i = 0; c->row < c->stored_row && i < m; i++)
        memmove(f + i * c->row, f + (i + 1) * c->stored_row - c->row, (size_t)c->row * sizeof *f);
    return f;
}

/* n floats into the type of the parameter. */
static enum err_code narrow(const struct nn_param *p, const float *f, int64_t n, void *dst,
                            struct err *e)
{
    uint16_t *h = dst;
    TRY(nn_param_check_floats(p, f, n, e));
    if (p->t->type == GGML_TYPE_F16) {
        ggml_fp32_to_fp16_row(f, h, n);
        for (int64_t i = 0; i < n; i++)
            if ((h[i] & 0x7c00) == 0x7c00)
                return err_set(e, ERR_NUMERIC, TOO_LARGE, p->name);
    } else if (p->t->type == GGML_TYPE_BF16) {
        for (int64_t i = 0; i < n; i++)
            h[i] = dtype_f32_to_bf16(f[i]);
    } else {
        memcpy(dst, f, (size_t)n * sizeof *f);
    }
    return ERR_OK;
}

/* A few rows at a time, so that they stay in cache between being read and being written. */
static enum err_code fill_converted(const void *user, size_t at, size_t n, void *dst, struct err *e)
{
    const struct conversion *c = user;
    size_t row_bytes = (size_t)c->row * ggml_element_size(c->p->t);
    int64_t first = (int64_t)(at / row_bytes), rows = (int64_t)(n / row_bytes);
    int64_t band = 1 + BAND_FLOATS / c->stored_row;
    float *f = mem_try_array((size_t)(band * c->stored_row), sizeof *f);
    float *turned = mem_try_array(c->channels ? (size_t)(band * c->row) : 0, sizeof *turned);
    enum err_code rc;
    TRY_GOTO(f && turned ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to convert '%s'", c->p->name),
             done);
    for (int64_t r = 0; r < rows; r += band) {
        int64_t m = rows - r < band ? rows - r : band;
        TRY_GOTO(nn_param_rows_f32(c->p, &c->v, first + r, m, f, e), done);
        TRY_GOTO(narrow(c->p, keep(c, f, turned, m), m * c->row,
                        (unsigned char *)dst + (size_t)r * row_bytes, e),
                 done);
    }
done:
    mem_free(f);
    mem_free(turned);
    return rc;
}

enum err_code nn_param_refuse_nan(const struct nn_param *p, struct err *e)
{
    return err_set(e, ERR_NUMERIC, "tensor '%s' (stored as '%s') holds NaN or infinity", p->name,
                   p->view.stored->name);
}

enum err_code nn_param_check_floats(const struct nn_param *p, const float *f, int64_t n,
                                    struct err *e)
{
    unsigned bad = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &f[i], sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return bad ? nn_param_refuse_nan(p, e) : ERR_OK;
}

/* Unpacks rows of ggml's blocks into bf16, with vector instructions where there are loops for the type. */
enum err_code nn_param_fill_unpacked(const void *user, size_t at, size_t n, void *dst,
                                     struct err *e)
{
    const struct nn_param *p = user;
    const struct vec *v = vec_get();
    enum ggml_type type = nn_ggml_type(p->view.dtype);
    int64_t k = p->t->ne[0];
    size_t row_bytes = (size_t)k * sizeof(uint16_t), stored_bytes = ggml_row_size(type, k);
    const unsigned char *src = p->view.data + at / row_bytes * stored_bytes;
    float *f = mem_try_array((size_t)k, sizeof *f);
    enum err_code rc = f ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to convert '%s'", p->name);
    uint16_t *to = dst;
    for (size_t done = 0; rc == ERR_OK && done < n; done += row_bytes) {
        if (!v->unpack((int)type, src, f, k, false))
            ggml_get_type_traits(type)->to_float(src, f, k);
        rc = nn_param_check_floats(p, f, k, e);
        if (rc == ERR_OK)
            v->to_bf16(f, to, k);
        src += stored_bytes;
        to += k;
    }
    mem_free(f);
    return rc;
}

/* Products would only show that something is NaN, not what. */
enum err_code nn_param_fill_stored(const void *user, size_t at, size_t n, void *dst, struct err *e)
{
    const struct nn_param *p = user;
    const unsigned char *src = p->view.data + at;
    if (!dtype_blocks_finite(p->view.dtype, src, n))
        return nn_param_refuse_nan(p, e);
    memcpy(dst, src, n);
    return ERR_OK;
}

static enum err_code fill_half(const void *user, size_t at, size_t n, void *dst, struct err *e)
{
    const struct nn_param *p = user;
    const void *src = p->view.data + at;
    if (!half_from_bf16(src, dst, n / 2))
        return err_set(e, ERR_NUMERIC, TOO_LARGE, p->name);
    return ERR_OK;
}

/* As float32, whatever they are stored in; with the scale of all where that is not the parameter's. */
enum err_code nn_param_upload_row_scales(struct nn_device *d, const struct nn_param *p,
                                         struct err *e)
{
    const struct weights_view *v = &p->view;
    float all = nn_device_card(d) ? v->scale : 1.0f;
    int64_t n = p->row_scales->ne[0];
    float *f = mem_try_array((size_t)n, sizeof *f);
    if (!f)
        return err_set(e, ERR_NOMEM, "no memory for the scales of '%s'", p->name);
    for (int64_t i = 0; i < n; i++)
        f[i] = v->n_scales ? all * weights_number(&v->rows, i) : all;
    enum err_code rc = nn_param_check_floats(p, f, n, e);
    if (rc == ERR_OK)
        nn_tensor_set(d, p->row_scales, f, 0, (size_t)n * sizeof *f);
    mem_free(f);
    return rc;
}

/* ggml's own check reads behind its table for a type that ggml does not have, as float8. */
static bool is_in_blocks(enum ggml_type t)
{
    return t != GGML_TYPE_COUNT && ggml_is_quantized(t);
}

enum err_code nn_param_upload(struct nn_device *d, struct nn_param *p, const atomic_bool *cancel,
                              struct err *e)
{
    if (p->eight)
        return nn_param_upload_eight(d, p, cancel, e);
    struct conversion c = conversion_of(p);
    struct nn_upload w = {.t = p->t, .unit = 1, .cancel = cancel};
    enum ggml_type stored = nn_ggml_type(p->view.dtype), wanted = p->t->type;
    bool whole = !p->fill && weights_view_is_plain(&c.v) && p->role != NN_KERNEL_LAST_SLICE &&
                 !lies_channels_last(p);
    if (whole && (wanted == GGML_TYPE_I8 || (stored == wanted && is_in_blocks(wanted)))) {
        w.fill = nn_param_fill_stored;
        w.user = p;
        w.unit = ggml_type_size(wanted);
    } else if (whole && stored == wanted) {
        w.src = p->view.data;
    } else if (whole && stored == GGML_TYPE_BF16 && wanted == GGML_TYPE_F16) {
        w.fill = fill_half;
        w.user = p;
        w.unit = sizeof(uint16_t);
    } else if (whole && wanted == GGML_TYPE_BF16 && is_in_blocks(stored)) {
        w.fill = nn_param_fill_unpacked;
        w.user = p;
        w.unit = (size_t)p->t->ne[0] * sizeof(uint16_t);
    } else if (ggml_is_quantized(wanted)) {
        w.fill = nn_param_fill_blocks;
        w.user = p;
        w.unit = ggml_row_size(wanted, p->t->ne[0]);
    } else {
        w.fill = fill_converted;
        w.user = &c;
        w.unit = (size_t)c.row * ggml_element_size(p->t);
    }
    TRY(nn_upload(nn_device_uploader(d), &w, e));
    return p->row_scales ? nn_param_upload_row_scales(d, p, e) : ERR_OK;
}
