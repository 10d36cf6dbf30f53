/* gemv_eight.cu - products of few rows with weights of 8 bits, which only read weights: x stays as it is.
 *
 * A warp a column of y, for up to eight rows at a time; weights come sixteen at a time. */
#include "epilogue.cuh"

enum { MAX_ROWS = 8 };

/* Four neighbours of a row of x. */
template <bool BF16> DEVICE void four_of(const struct nv_gemm *g, int row, int k, float *x)
{
    i64 at = row * g->ldx + k;
    if (BF16) {
        struct two_words h = *(const struct two_words *)((const u16 *)g->x + at);
        UNROLL for (int i = 0; i < 4; i++) x[i] = from_bf16((u16)(h.v[i >> 1] >> (i & 1) * 16));
    } else {
        struct four_words f = *(const struct four_words *)((const float *)g->x + at);
        UNROLL for (int i = 0; i < 4; i++) x[i] = __builtin_bit_cast(float, f.v[i]);
    }
}

template <bool BF16> DEVICE void dots(const struct nv_gemm *g, const void *w, int column, float *sums)
{
    const struct four_words *p = (const struct four_words *)((const u8 *)w + column * g->ldw);
    for (int k = (thread_x() & 31) * 16; k < g->k; k += 512) {
        struct four_words v = p[k >> 4];
        UNROLL for (int q = 0; q < 4; q++)
        {
            float f[4];
            UNROLL for (int i = 0; i < 4; i++)
            {
                u32 b = v.v[q] >> i * 8 & 0xff;
                f[i] = g->w_type == NV_I8 ? (float)(signed char)b : from_e4m3(b);
            }
            UNROLL for (int r = 0; r < MAX_ROWS; r++)
            {
                if (r >= g->m)
                    break;
                float x[4];
                four_of<BF16>(g, r, k + q * 4, x);
                UNROLL for (int i = 0; i < 4; i++) sums[r] = __builtin_fmaf(x[i], f[i], sums[r]);
            }
        }
    }
    UNROLL for (int r = 0; r < MAX_ROWS; r++) sums[r] = warp_sum(sums[r]);
}

template <bool BF16> DEVICE void multiply(const struct nv_gemm *g, int column)
{
    float sums[MAX_ROWS] = {}, ups[MAX_ROWS] = {};
    dots<BF16>(g, g->w, column, sums);
    if (g->act == NV_ACT_SWIGLU)
        dots<BF16>(g, g->w2, column, ups);
    if ((thread_x() & 31) == 0)
        UNROLL for (int r = 0; r < MAX_ROWS; r++)
            if (r < g->m)
                store(g->y, r * g->ldy + column, g->y_type, epilogue(g, r, column, sums[r], ups[r]));
}

KERNEL BOUNDS(256, 1) void gemv_eight(struct nv_gemm g)
{
    int column = block_x() * 8 + (thread_x() >> 5);
    if (column >= g.n)
        return;
    if (g.x_type == NV_BF16)
        multiply<true>(&g, column);
    else
        multiply<false>(&g, column);
}
