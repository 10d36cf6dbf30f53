/* Attention on the CPU against a twin in float64: shared heads, masks, sizes that fill no tile. */
#include "help.h"

#include "nn/cpu/nodes.h"
#include "nn/cpu/onednn.h"

struct attention_case {
    int64_t dim, heads, kv_heads, n_q, n_kv;
    bool causal, random_mask;
    int threads;
};

static double *twin(const struct attention_case *c, const float *q, const float *k, const float *v,
                    const float *mask, double scale)
{
    double *y = mem_try_array((size_t)(c->dim * c->heads * c->n_q), sizeof *y);
    double *p = mem_try_array((size_t)c->n_kv, sizeof *p);
    assert_non_null(y);
    assert_non_null(p);
    for (int64_t h = 0; h < c->heads; h++)
        for (int64_t t = 0; t < c->n_q; t++) {
            int64_t kh = h / (c->heads / c->kv_heads);
            double max = -1e300, sum = 0, *out = y + (t * c->heads + h) * c->dim;
            for (int64_t s = 0; s < c->n_kv; s++) {
                double d = 0;
                for (int64_t i = 0; i < c->dim; i++)
                    d += (double)q[(t * c->heads + h) * c->dim + i] *
                         (double)k[(s * c->kv_heads + kh) * c->dim + i];
                p[s] = d * scale + (mask ? (double)mask[t * c->n_kv + s] : 0);
                max = fmax(max, p[s]);
            }
            for (int64_t s = 0; s < c->n_kv; s++) {
                p[s] = exp(p[s] - max);
                sum += p[s];
            }
            for (int64_t s = 0; s < c->n_kv; s++)
                for (int64_t i = 0; i < c->dim; i++)
                    out[i] += p[s] / sum * (double)v[(s * c->kv_heads + kh) * c->dim + i];
        }
    mem_free(p);
    return y;
}

static float *make_mask(const struct attention_case *c)
{
    float *m = numbers((size_t)(c->n_q * c->n_kv), 9);
    for (int64_t q = 0; q < c->n_q; q++)
        for (int64_t k = 0; k < c->n_kv; k++)
            if (c->causal)
                m[q * c->n_kv + k] = k <= q + (c->n_kv - c->n_q) ? 0.0f : -INFINITY;
    return m;
}

static float *numbers_bf16(int64_t n, uint32_t seed, float scale)
{
    float *f = numbers((size_t)n, seed);
    for (int64_t i = 0; i < n; i++)
        f[i] = bf16_round(f[i] * scale);
    return f;
}

static float *run(const struct attention_case *c, double *error)
{
    struct test_graph b;
    graph_open(&b, c->threads ? c->threads : 2);
    float *q = numbers_bf16(c->dim * c->heads * c->n_q, 1, 3),
          *k = numbers_bf16(c->dim * c->kv_heads * c->n_kv, 2, 3),
          *v = numbers_bf16(c->dim * c->kv_heads * c->n_kv, 3, 1);
    float *mask = c->causal || c->random_mask ? make_mask(c) : NULL;
    float scale = 1.0f / sqrtf((float)c->dim);
    struct ggml_tensor *m = mask ? graph_input(&b, mask, c->n_kv, c->n_q, 1) : NULL;
    struct ggml_tensor *y =
        nn_cpu_attention(&b.g, graph_input(&b, q, c->dim, c->heads, c->n_q),
                         graph_input(&b, k, c->dim, c->kv_heads, c->n_kv),
                         graph_input(&b, v, c->dim, c->kv_heads, c->n_kv), m, scale);
    float *got = NULL;
    *error = 0;
    if (y) {
        got = graph_result(&b, y);
        double *want = twin(c, q, k, v, mask, (double)scale);
        *error = relative_rms(got, want, (size_t)(c->dim * c->heads * c->n_q));
        mem_free(want);
    }
    mem_free(q);
    mem_free(k);
    mem_free(v);
    mem_free(mask);
    graph_close(&b);
    return got;
}

/* Probabilities and results are rounded to bf16: 2^-9 each. */
static void expect(struct attention_case c)
{
    double error;
    float *y = run(&c, &error);
    if (!y) {
        assert_true(!onednn_get() || !onednn_get()->f32);
        return;
    }
    if (!(error < 4e-3))
        fail_msg("%lld heads of %lld, %lld x %lld: off by %g", (long long)c.heads, (long long)c.dim,
                 (long long)c.n_q, (long long)c.n_kv, error);
    mem_free(y);
}

static void result_agrees_when_sizes_fill_no_tile(void **state)
{
    (void)state;
    expect((struct attention_case){.dim = 64, .heads = 3, .kv_heads = 3, .n_q = 130, .n_kv = 700});
    expect((struct attention_case){.dim = 16, .heads = 2, .kv_heads = 2, .n_q = 5, .n_kv = 513});
    expect((struct attention_case){.dim = 80, .heads = 2, .kv_heads = 1, .n_q = 129, .n_kv = 1});
    expect((struct attention_case){.dim = 24, .heads = 1, .kv_heads = 1, .n_q = 1, .n_kv = 77});
}

static void result_agrees_when_heads_share_keys(void **state)
{
    (void)state;
    expect((struct attention_case){.dim = 32, .heads = 8, .kv_heads = 2, .n_q = 200, .n_kv = 200});
}

static void result_agrees_when_masked(void **state)
{
    (void)state;
    expect((struct attention_case){
        .dim = 32, .heads = 4, .kv_heads = 2, .n_q = 600, .n_kv = 600, .causal = true});
    expect((struct attention_case){
        .dim = 32, .heads = 2, .kv_heads = 2, .n_q = 3, .n_kv = 620, .causal = true});
    expect((struct attention_case){
        .dim = 32, .heads = 2, .kv_heads = 2, .n_q = 150, .n_kv = 90, .random_mask = true});
}

static void bits_are_the_same_when_threads_differ(void **state)
{
    (void)state;
    struct attention_case c = {.dim = 64, .heads = 3, .kv_heads = 3, .n_q = 300, .n_kv = 600};
    float *y[4] = {0};
    for (int i = 0; i < 4; i++) {
        double error;
        c.threads = i + 1;
        y[i] = run(&c, &error);
        if (y[0])
            assert_memory_equal(y[0], y[i], (size_t)(c.dim * c.heads * c.n_q) * sizeof(float));
    }
    for (int i = 0; i < 4; i++)
        mem_free(y[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(result_agrees_when_sizes_fill_no_tile),
        cmocka_unit_test(result_agrees_when_heads_share_keys),
        cmocka_unit_test(result_agrees_when_masked),
        cmocka_unit_test(bits_are_the_same_when_threads_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
