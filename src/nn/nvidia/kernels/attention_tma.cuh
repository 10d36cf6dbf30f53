/* attention_tma.cuh - what attention on sm_90a does between its products: softmax as keys come by, and the result's way out.
 *
 * A thread holds N sums of two rows: sum i is of row r where i / 2 is even and of row r + 8 where it is odd, of column
 * i / 4 * 8 + i % 2 beyond its own two. */
#ifndef VT_NN_NVIDIA_ATTENTION_TMA_CUH
#define VT_NN_NVIDIA_ATTENTION_TMA_CUH

#include "hopper.cuh"

#define LOWEST (-1e30f)
#define LOG2E 1.4426950408889634f

struct softmax {
    float max[2], sum[2], shrink[2]; /* of rows r and r + 8; shrink: of what was summed before */
    float scale;                     /* to the logarithm to base 2 */
};

/* Scores become weights. */
template <int N> DEVICE void soften(struct softmax *st, float *s)
{
    UNROLL for (int h = 0; h < 2; h++)
    {
        float m = st->max[h];
        UNROLL for (int i = 0; i < N / 2; i += 2)
            m = max_of(m, max_of(s[2 * i + 2 * h], s[2 * i + 2 * h + 1]));
        m = max_of(m, shuffle_xor(m, 1));
        m = max_of(m, shuffle_xor(m, 2));
        st->shrink[h] = exp2_fast((st->max[h] - m) * st->scale);
        st->max[h] = m;
        float offset = m * st->scale, sum = 0.0f;
        UNROLL for (int i = 0; i < N / 2; i += 2)
            UNROLL for (int j = 2 * i + 2 * h; j < 2 * i + 2 * h + 2; j++)
            {
                s[j] = exp2_fast(s[j] * st->scale - offset);
                sum += s[j];
            }
        st->sum[h] = st->sum[h] * st->shrink[h] + sum;
    }
}

template <int N> DEVICE void pack_weights(u32 *p, const float *s)
{
    UNROLL for (int i = 0; i < N / 2; i++) p[i] = pack_bf16(s[2 * i], s[2 * i + 1]);
}

template <int N> DEVICE void shrink_sums(const struct softmax *st, float *o)
{
    UNROLL for (int i = 0; i < N; i++) o[i] *= st->shrink[(i >> 1) & 1];
}

/* The sums of queries `row` and row + 8, from y's element `column` of a query on. */
template <int N> DEVICE void store_rows(const struct nv_attention *a, const struct softmax *st, const float *o, int row, i64 column)
{
    column += (thread_x() & 3) * 2;
    UNROLL for (int h = 0; h < 2; h++)
    {
        float sum = st->sum[h];
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        float inverse = sum > 0.0f ? 1.0f / sum : 0.0f;
        int t = row + h * 8;
        if (t >= a->n_q)
            continue;
        i64 at = t * a->y_token + column;
        UNROLL for (int i = 0; i < N / 4; i++)
        {
            float x = o[4 * i + 2 * h] * inverse, y = o[4 * i + 2 * h + 1] * inverse;
            if (a->y_type == NV_BF16) {
                *(u32 *)((u16 *)a->y + at + i * 8) = pack_bf16(x, y);
            } else {
                ((float *)a->y)[at + i * 8] = x;
                ((float *)a->y)[at + i * 8 + 1] = y;
            }
        }
    }
}

#endif
