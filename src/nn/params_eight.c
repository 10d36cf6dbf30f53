/* params_eight.c - matrices that a card holds in 8 bits a number, with a float32 scale a row: int8, or float8 (e4m3).
 *
 * What is stored like that stays as it is, bytes and scales. All else goes over the bus, and the card finds
 * each row's scale and rounds: numbers in f32, f16 and bf16, and blocks that a card unpacks, as they lie in the file;
 * other forms as bf16, which the uploader's workers make. NaN and infinities are refused on the way, as in
 * params_upload.c.
 */
#include <string.h>

#include "base/mem.h"
#include "nn/cpu/vec.h"
#include "nn/dtype_ggml.h"
#include "nn/nvidia/stored.h"
#include "nn/params_impl.h"
#include "nn/upload.h"

/* Products want multiples of 16 in both dimensions; a row must fit what a lane has room for. */
bool nn_param_suits_eight(const struct nn_param *p)
{
    enum { WHOLE = 16, LONGEST = 1 << 16 };
    const struct weights_view *v = &p->view;
    return v->n_dims == 2 && v->dims[0] % WHOLE == 0 && v->dims[1] % WHOLE == 0 &&
           v->dims[1] <= LONGEST;
}

static bool has_row_scales_alone(const struct weights_view *v)
{
    struct weights_view plain = weights_view_without_row_scales(v);
    return weights_view_is_plain(&plain);
}

/* Stored as it is to be held, so that nothing is rounded. */
static bool stays(const struct nn_param *p)
{
    enum dtype as = p->eight == NN_COMPUTE_INT8 ? DTYPE_I8 : DTYPE_F8_E4M3;
    return p->view.dtype == as && has_row_scales_alone(&p->view);
}

/* ---- numbers for the card ------------------------------------------------------------------------------ */

/* Whether one of n numbers of 16 bits has an exponent of ones only. */
static bool any_wild(const uint16_t *h, size_t n, enum dtype t)
{
    unsigned bad = 0;
    uint16_t ones = t == DTYPE_F16 ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < n; i++)
        bad |= (h[i] & ones) == ones;
    return bad != 0;
}

static enum err_code fill_plain(const void *user, size_t at, size_t n, void *dst, struct err *e)
{
    const struct nn_param *p = user;
    memcpy(dst, p->view.data + at, n);
    if (p->view.dtype == DTYPE_F32)
        return nn_param_check_floats(p, dst, (int64_t)(n / sizeof(float)), e);
    return any_wild(dst, n / sizeof(uint16_t), p->view.dtype) ? nn_param_refuse_nan(p, e) : ERR_OK;
}

/* As bf16. */
static enum err_code fill_rows(const void *user, size_t at, size_t n, void *dst, struct err *e)
{
    const struct nn_param *p = user;
    int64_t k = p->t->ne[0];
    size_t row = (size_t)k * sizeof(uint16_t);
    float *f = mem_try_array((size_t)k, sizeof *f);
    enum err_code rc = f ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to convert '%s'", p->name);
    for (size_t done = 0; rc == ERR_OK && done < n; done += row) {
        rc = nn_view_rows_f32(&p->view, (int64_t)((at + done) / row), 1, f, e);
        if (rc == ERR_OK)
            rc = nn_param_check_floats(p, f, k, e);
        if (rc == ERR_OK)
            vec_get()->to_bf16(f, (uint16_t *)(void *)((unsigned char *)dst + done), k);
    }
    mem_free(f);
    return rc;
}

/* How a matrix goes over the bus. */
struct way {
    int type; /* enum nv_type of its numbers, on the card */
    enum nv_blocks blocks;
    enum err_code (*fill)(const void *user, size_t at, size_t n, void *dst, struct err *e);
    size_t row; /* bytes */
};

static struct way way_of(const struct nn_param *p)
{
    enum dtype t = p->view.dtype;
    enum ggml_type g = nn_ggml_type(t);
    size_t k = (size_t)p->t->ne[0];
    struct way half = {NV_BF16, NV_BLOCKS_NONE, fill_rows, k * sizeof(uint16_t)};
    if (!weights_view_is_plain(&p->view) || g == GGML_TYPE_COUNT)
        return half;
    if (t == DTYPE_F32)
        return (struct way){NV_F32, NV_BLOCKS_NONE, fill_plain, k * sizeof(float)};
    if (t == DTYPE_BF16 || t == DTYPE_F16)
        return (struct way){t == DTYPE_F16 ? NV_F16 : NV_BF16, NV_BLOCKS_NONE, fill_plain,
                            half.row};
    if (nv_stored_kind(t))
        return (struct way){NV_BF16, nv_stored_kind(t), nn_param_fill_stored,
                            ggml_row_size(g, p->t->ne[0])};
    if (ggml_is_quantized(g))
        half.fill = nn_param_fill_unpacked;
    return half;
}

static enum err_code upload_rounded(struct nn_device *d, struct nn_param *p,
                                    const atomic_bool *cancel, struct err *e)
{
    struct way way = way_of(p);
    int64_t k = p->t->ne[0];
    const struct nv_rows rows = {.q = {.y = p->t->data,
                                       .scales = p->row_scales->data,
                                       .ldx = k,
                                       .ldy = k,
                                       .ld_scales = 1,
                                       .dim = (int)k,
                                       .x_type = way.type,
                                       .y_type = nv_eight_type(p->eight)},
                                 .blocks = way.blocks};
    const struct nn_upload w = {.t = p->t,
                                .fill = way.fill,
                                .user = p,
                                .rows = &rows,
                                .stored_bytes = way.row * (size_t)p->t->ne[1],
                                .unit = way.row,
                                .cancel = cancel};
    return nn_upload(nn_device_uploader(d), &w, e);
}

enum err_code nn_param_upload_eight(struct nn_device *d, struct nn_param *p,
                                    const atomic_bool *cancel, struct err *e)
{
    if (!stays(p))
        return upload_rounded(d, p, cancel, e);
    const struct nn_upload w = {
        .t = p->t, .fill = nn_param_fill_stored, .user = p, .unit = 1, .cancel = cancel};
    TRY(nn_upload(nn_device_uploader(d), &w, e));
    return nn_param_upload_row_scales(d, p, e);
}
