/* fake_rows.c - the kernels in C: norms, rotary embeddings, softmax and sums, row by row. */
#include "fake_kernels_impl.h"

static float norm_factor(const struct nv_norm *n, double squares)
{
    if (n->kind == NV_NORM_L2)
        return 1.0f / fmaxf((float)sqrt(squares), n->eps);
    return 1.0f / sqrtf((float)(squares / n->dim) + n->eps);
}

static void norm_row(const struct nv_norm *n, int r, float *y)
{
    double mean = 0, squares = 0;
    for (int i = 0; n->kind == NV_NORM_LAYER && i < n->dim; i++)
        mean += (double)load(n->x, r * n->ldx + i, n->x_type);
    mean /= n->dim;
    for (int i = 0; i < n->dim; i++) {
        double d = (double)load(n->x, r * n->ldx + i, n->x_type) - mean;
        squares += d * d;
    }
    float factor = norm_factor(n, squares);
    for (int i = 0; i < n->dim; i++) {
        float v = (load(n->x, r * n->ldx + i, n->x_type) - (float)mean) * factor;
        if (n->weight)
            v *= n->weight[i];
        if (n->bias)
            v += n->bias[i];
        if (n->scale)
            v *= 1.0f + n->scale[i];
        if (n->shift)
            v += n->shift[i];
        y[i] = n->silu ? silu(v) : v;
    }
}

static void store_row(const struct nv_norm *n, int r, const float *y)
{
    if (n->y_type == NV_I8 || n->y_type == NV_F8) {
        char *to = (char *)n->y + r * n->ldy;
        float scale = fake_quantise(y, n->dim, n->y_type, to);
        memcpy(to + n->dim, &scale, sizeof scale);
        return;
    }
    for (int i = 0; i < n->dim; i++)
        store(n->y, r * n->ldy + i, n->y_type, y[i]);
}

const char *run_norm(const void *p, struct fake_grid grid)
{
    const struct nv_norm *n = p;
    if (grid.x != n->rows)
        return "the grid";
    bool eight = n->y_type == NV_I8 || n->y_type == NV_F8;
    if (eight && ((uintptr_t)n->y % 4 || n->dim % 4 || n->ldy % 4))
        return "y is not at a multiple of 4 bytes";
    float *y = room(n->dim, sizeof *y);
    for (int r = 0; r < n->rows; r++) {
        norm_row(n, r, y);
        store_row(n, r, y);
    }
    free(y);
    return NULL;
}

static void rope_head(const struct nv_norm_rope *n, int t, int h)
{
    float v[256];
    double squares = 0;
    int half = n->head_dim / 2;
    for (int i = 0; i < n->head_dim; i++) {
        v[i] = load(n->x, t * n->x_token + h * n->x_head + i, n->x_type);
        squares += (double)(v[i] * v[i]);
    }
    float factor = 1.0f / sqrtf((float)(squares / n->head_dim) + n->eps);
    for (int i = 0; n->weight && i < n->head_dim; i++)
        v[i] *= factor * n->weight[i];
    for (int i = 0; i < half; i++) {
        int a = n->pairs ? 2 * i : i, b = n->pairs ? 2 * i + 1 : i + half;
        float c = n->cos ? n->cos[t * n->ld_table + i] : 1,
              s = n->cos ? n->sin[t * n->ld_table + i] : 0;
        long long to = t * n->y_token + h * n->y_head;
        store(n->y, to + a, n->y_type, v[a] * c - v[b] * s);
        store(n->y, to + b, n->y_type, v[b] * c + v[a] * s);
    }
}

const char *run_norm_rope(const void *p, struct fake_grid grid)
{
    const struct nv_norm_rope *n = p;
    if (n->head_dim > 256 || n->head_dim % 2)
        return "the head";
    if (grid.x != divide_up((long long)n->tokens * n->heads, 8))
        return "the grid";
    for (int t = 0; t < n->tokens; t++)
        for (int h = 0; h < n->heads; h++)
            rope_head(n, t, h);
    return NULL;
}

static float score(const struct nv_softmax *s, int r, int i)
{
    float x = load(s->x, r * s->ldx + i, s->x_type) * s->scale;
    return s->mask ? x + s->mask[r % s->mask_rows * s->ld_mask + i] : x;
}

const char *run_softmax(const void *p, struct fake_grid grid)
{
    const struct nv_softmax *s = p;
    if (grid.x != s->rows)
        return "the grid";
    for (int r = 0; r < s->rows; r++) {
        float max = -1e30f, sum = 0;
        for (int i = 0; i < s->dim; i++)
            max = fmaxf(max, score(s, r, i));
        for (int i = 0; i < s->dim; i++)
            sum += expf(score(s, r, i) - max);
        for (int i = 0; i < s->dim; i++)
            store(s->y, r * s->ldy + i, s->y_type, expf(score(s, r, i) - max) / sum);
    }
    return NULL;
}

const char *run_reduce_rows(const void *p, struct fake_grid grid)
{
    const struct nv_reduce *s = p;
    if (grid.x != s->rows)
        return "the grid";
    for (int r = 0; r < s->rows; r++) {
        double sum = 0;
        for (int i = 0; i < s->dim; i++)
            sum += (double)load(s->x, r * s->ldx + i, s->x_type);
        s->y[r] = (float)sum * s->factor;
    }
    return NULL;
}
