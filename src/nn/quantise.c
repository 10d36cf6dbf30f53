#include "nn/quantise.h"

#include <ggml.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "nn/dtype_ggml.h"

static const float float16_max = 65504.0f;

bool nn_can_quantise(enum dtype t)
{
    if (t == DTYPE_F32 || t == DTYPE_F16 || t == DTYPE_BF16)
        return true;
    enum ggml_type g = nn_ggml_type(t);
    if (g == GGML_TYPE_COUNT || !dtype_info(t)->quantised || ggml_quantize_requires_imatrix(g))
        return false;
    /* Types that exist for intermediate results (q8_1, q8_K) have no quantiser for files. */
    return t != DTYPE_Q8_1 && t != DTYPE_Q8_K;
}

static enum err_code check(enum dtype t, const float *src, int64_t n, const char *what,
                           struct err *e)
{
    bool half = t == DTYPE_F16;
    /* First a pass without branches, as there is nearly never anything to report. NaN fails the comparison. Infinity is
     * allowed in a half, but no number may become infinite. */
    int bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= !(fabsf(src[i]) <= (half ? float16_max : 3.4028235e38f));
    for (int64_t i = 0; bad && i < n; i++) {
        if (half && isfinite(src[i]) && isinf(dtype_f16_to_f32(dtype_f32_to_f16(src[i]))))
            return err_set(e, ERR_NUMERIC,
                           "'%.200s' holds %g, which is too large for f16: take bf16 instead", what,
                           (double)src[i]);
        if (!half && !isfinite(src[i]))
            return err_set(e, ERR_NUMERIC, "'%.200s' holds NaN or infinity, which no %s can", what,
                           dtype_info(t)->name);
    }
    return ERR_OK;
}

enum err_code nn_quantise_rows(enum dtype t, const float *src, int64_t n_rows, int64_t row,
                               void *dst, const char *what, struct err *e)
{
    int64_t n = n_rows * row;
    if (t == DTYPE_F32) {
        memcpy(dst, src, (size_t)n * sizeof *src);
        return ERR_OK;
    }
    if (t == DTYPE_BF16) {
        uint16_t *out = dst;
        for (int64_t i = 0; i < n; i++)
            out[i] = dtype_f32_to_bf16(src[i]);
        return ERR_OK;
    }
    if (!nn_can_quantise(t) || row % dtype_info(t)->block_elems != 0)
        return err_set(e, ERR_ARG, "'%.200s' cannot become %s", what, dtype_info(t)->name);
    TRY(check(t, src, n, what, e));
    if (t == DTYPE_F16) {
        uint16_t *out = dst;
        for (int64_t i = 0; i < n; i++)
            out[i] = dtype_f32_to_f16(src[i]);
        return ERR_OK;
    }
    enum ggml_type g = nn_ggml_type(t);
    size_t wanted = (size_t)n_rows * ggml_row_size(g, row);
    size_t made = ggml_quantize_chunk(g, src, dst, 0, n_rows, row, NULL);
    if (made != wanted)
        return err_set(e, ERR_INTERNAL, "'%.200s' became %zu bytes, expected %zu", what, made,
                       wanted);
    return ERR_OK;
}

void nn_quantise_free(void)
{
    ggml_quantize_free();
}
