#include "nn/rope_kern.h"

void nn_rope_pairs_kern(struct nn_rope_rows r)
{
    int64_t half = r.head_dim / 2;
    for (int64_t t = r.first; t < r.last; t++) {
        const float *c = r.cos + t * half, *s = r.sin + t * half;
        for (int64_t h = 0; h < r.heads; h++) {
            const float *x = r.x + t * r.x_token_stride + h * r.x_head_stride;
            float *y = r.dst + (t * r.heads + h) * r.head_dim;
            for (int64_t i = 0; i < half; i++) {
                y[2 * i] = x[2 * i] * c[i] - x[2 * i + 1] * s[i];
                y[2 * i + 1] = x[2 * i + 1] * c[i] + x[2 * i] * s[i];
            }
        }
    }
}

void nn_rope_halves_kern(struct nn_rope_rows r)
{
    int64_t half = r.head_dim / 2;
    for (int64_t t = r.first; t < r.last; t++) {
        const float *c = r.cos + t * half, *s = r.sin + t * half;
        for (int64_t h = 0; h < r.heads; h++) {
            const float *x = r.x + t * r.x_token_stride + h * r.x_head_stride;
            float *y = r.dst + (t * r.heads + h) * r.head_dim;
            for (int64_t i = 0; i < half; i++) {
                y[i] = x[i] * c[i] - x[i + half] * s[i];
                y[i + half] = x[i + half] * c[i] + x[i] * s[i];
            }
        }
    }
}
