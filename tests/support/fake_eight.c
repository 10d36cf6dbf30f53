/* fake_eight.c - the kernels in C: rows to 8 bits. */
#include "fake_kernels_impl.h"

/* To the nearest e4m3, even of two; |v| is at most 448 and a rounding. */
static uint8_t to_f8(float v)
{
    float a = fabsf(v), unit = a < 0.015625f ? 0.001953125f : ldexpf(1.0f, ilogbf(a) - 3);
    float r = rintf(a / unit) * unit;
    int exponent = r < 0.015625f ? -6 : ilogbf(r);
    int code = r < 0.015625f ? (int)(r * 512.0f)
                             : ((exponent + 7) << 3 | (int)(ldexpf(r, 3 - exponent) - 8.0f));
    return (uint8_t)((code < 0x7e ? code : 0x7e) | (signbit(v) ? 0x80 : 0));
}

float fake_quantise(const float *x, int n, int type, void *y)
{
    float most = 0, limit = type == NV_I8 ? 127.0f : 448.0f;
    for (int i = 0; i < n; i++)
        most = fabsf(x[i]) > most || isnan(x[i]) ? fabsf(x[i]) : most;
    float inverse = most > 1e-35f ? limit / most : 0;
    for (int i = 0; i < n; i++) {
        float v = x[i] * inverse;
        if (type == NV_I8)
            ((int8_t *)y)[i] = isfinite(v) ? (int8_t)rintf(v) : 0;
        else
            ((uint8_t *)y)[i] = isfinite(v) ? to_f8(v) : 0;
    }
    return most / limit;
}

const char *run_quantise_rows(const void *p, struct fake_grid grid)
{
    const struct nv_quantise *q = p;
    if (grid.x != q->rows || grid.y != 1)
        return "the grid";
    if (q->y_type != NV_I8 && q->y_type != NV_F8)
        return "y's type";
    if (q->x_type != NV_F32 && q->x_type != NV_BF16 && q->x_type != NV_F16)
        return "x's type";
    float *x = room(q->dim, sizeof *x);
    for (int r = 0; r < q->rows; r++) {
        for (int i = 0; i < q->dim; i++)
            x[i] = load(q->x, r * q->ldx + i, q->x_type);
        q->scales[r * q->ld_scales] =
            fake_quantise(x, q->dim, q->y_type, (char *)q->y + r * q->ldy);
    }
    free(x);
    return NULL;
}
