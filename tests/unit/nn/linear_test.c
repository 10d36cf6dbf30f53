/* Linear layers on the CPU against a twin in float64: every stored type, odd sizes, everything that may
 * follow the product, any number of threads. */
#include "help.h"

#include "nn/cpu/nodes.h"
#include "nn/cpu/onednn.h"

struct layer {
    int64_t m, n, k;
    enum ggml_type type;
    bool pair, halves, bias, gate, residual, scales, int8;
    enum vec_act act;
    int threads;
};

static double act(enum vec_act a, double v)
{
    if (a == VEC_SILU || a == VEC_SILU_MUL)
        return v / (1 + exp(-v));
    if (a == VEC_GELU_TANH)
        return 0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
    return v;
}

struct values {
    float *x, *w, *w2, *bias, *gate, *residual;
};

static double dot(const float *x, const float *w, int64_t k)
{
    double s = 0;
    for (int64_t i = 0; i < k; i++)
        s += (double)x[i] * (double)w[i];
    return s;
}

static double *twin(const struct layer *l, const struct values *v, double scale)
{
    double *y = mem_try_array((size_t)(l->m * l->n), sizeof *y);
    assert_non_null(y);
    for (int64_t r = 0; r < l->m; r++)
        for (int64_t c = 0; c < l->n; c++) {
            double s = dot(v->x + r * l->k, v->w + c * l->k, l->k) * scale;
            if (l->bias)
                s += (double)v->bias[c];
            s = act(l->pair || l->halves ? VEC_SILU : l->act, s);
            if (l->pair || l->halves)
                s *= dot(v->x + r * l->k, v->w2 + c * l->k, l->k);
            if (l->gate)
                s *= (double)v->gate[c];
            if (l->residual)
                s += (double)v->residual[r * l->n + c];
            y[r * l->n + c] = s;
        }
    return y;
}

static void round_all(float *f, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        f[i] = bf16_round(f[i]);
}

/* To the nearest whole number, with one rounding: numbers halfway between two are common where weights were quantised
 * before, and must go the way that the kernel takes. */
static double whole(float f, float to)
{
    return (double)(fmaf(f, to, 12582912.0f) - 12582912.0f);
}

/* What is left of rows of activations in eight bits, and of weights. */
static void round_rows_u8(float *f, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, f += n) {
        float lo = 0, hi = 0;
        for (int64_t i = 0; i < n; i++) {
            lo = fminf(lo, f[i]);
            hi = fmaxf(hi, f[i]);
        }
        float to = (float)((1 << nn_cpu_int8_bits()) - 2) / (hi - lo);
        double zero = (double)rintf(-lo * to);
        for (int64_t i = 0; i < n; i++) {
            double u = whole(f[i], to) + zero;
            assert_true(u >= 0 && u < 1 << nn_cpu_int8_bits());
            f[i] = (float)((u - zero) / (double)to);
        }
    }
}

static void round_rows_s8(float *f, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, f += n) {
        float most = 0;
        for (int64_t i = 0; i < n; i++)
            most = fmaxf(most, fabsf(f[i]));
        float to = (float)((1 << (nn_cpu_int8_bits() - 1)) - 1) / most;
        for (int64_t i = 0; i < n; i++)
            f[i] = (float)(whole(f[i], to) / (double)to);
    }
}

static int64_t rows_of(const struct layer *l)
{
    return l->halves ? 2 * l->n : l->n;
}

static void round_for_int8(const struct layer *l, struct values *v)
{
    round_rows_u8(v->x, l->m, l->k);
    round_rows_s8(v->w, rows_of(l), l->k);
    if (l->pair)
        round_rows_s8(v->w2, l->n, l->k);
}

static void round_for_bf16(const struct layer *l, struct values *v)
{
    round_all(v->x, l->m * l->k);
    round_all(v->w, rows_of(l) * l->k);
    if (l->pair)
        round_all(v->w2, l->n * l->k);
}

/* The layer's result; *error: how far it is from the twin that sees the same rounded numbers. */
static float *run(const struct layer *l, double *error)
{
    struct test_graph b;
    graph_open(&b, l->threads ? l->threads : 2);
    nn_device_use_compute(b.device, l->int8 ? NN_COMPUTE_INT8 : NN_COMPUTE_DEFAULT);
    nn_graph_allow_int8(&b.g, true);
    int64_t rows = rows_of(l);
    struct nn_param *w = graph_param(&b, l->type, (int64_t[]){l->k, rows, 1, 1});
    struct nn_param *w2 = l->pair ? graph_param(&b, l->type, (int64_t[]){l->k, l->n, 1, 1}) : NULL;
    struct nn_param *bias =
        l->bias ? graph_param(&b, GGML_TYPE_F32, (int64_t[]){l->n, 1, 1, 1}) : NULL;
    struct nn_param *s =
        l->scales ? graph_param(&b, GGML_TYPE_F32, (int64_t[]){l->n, 1, 1, 1}) : NULL;
    graph_params(&b);
    struct values v = {.x = numbers((size_t)(l->m * l->k), 1),
                       .bias = numbers((size_t)l->n, 4),
                       .gate = numbers((size_t)l->n, 5),
                       .residual = numbers((size_t)(l->m * l->n), 6)};
    float *f = numbers((size_t)(l->k * rows), 2), *f2 = numbers((size_t)(l->k * l->n), 3);
    param_set(w, f);
    v.w = param_get(w);
    if (w2)
        param_set(w2, f2);
    v.w2 = w2 ? param_get(w2) : v.w + (l->halves ? l->n * l->k : 0);
    if (bias)
        param_set(bias, v.bias);
    double scale = 1;
    if (s) {
        for (int64_t i = 0; i < l->n; i++)
            ((float *)s->t->data)[i] = 0.5f;
        w->row_scales = s->t;
        w->scale = 3.0f;
        scale = 1.5;
    }
    struct nn_cpu_linear spec = {.x = graph_input(&b, v.x, l->k, l->m, 1),
                                 .w = w,
                                 .w2 = w2,
                                 .b = bias,
                                 .halves = l->halves,
                                 .act = l->act};
    if (l->gate)
        spec.gate = graph_input(&b, v.gate, l->n, 1, 1);
    if (l->residual)
        spec.residual = graph_input(&b, v.residual, l->n, l->m, 1);
    struct ggml_tensor *y = nn_cpu_linear(&b.g, &spec);
    float *got = NULL;
    *error = 0;
    if (y) {
        assert_true(nn_cpu_flops(y) > 0);
        bool int8 = y->src[0]->type == GGML_TYPE_I8;
        assert_int_equal(int8, l->int8 && nn_cpu_has_int8() && l->m >= 16);
        got = graph_result(&b, y);
        if (int8)
            round_for_int8(l, &v);
        else if (nn_cpu_mode(&b.g) == NN_CPU_BF16 && l->type != GGML_TYPE_F32)
            round_for_bf16(l, &v);
        double *want = twin(l, &v, scale);
        *error = relative_rms(got, want, (size_t)(l->m * l->n));
        mem_free(want);
    }
    mem_free(f);
    mem_free(f2);
    mem_free(v.x);
    mem_free(v.w);
    if (w2)
        mem_free(v.w2);
    mem_free(v.bias);
    mem_free(v.gate);
    mem_free(v.residual);
    graph_close(&b);
    return got;
}

static void expect(const struct layer *l)
{
    double error;
    float *y = run(l, &error);
    if (!y) { /* ggml's kernels stay: without oneDNN, and for a few tokens */
        assert_true(!onednn_get() || !onednn_get()->f32 || l->m < 8);
        return;
    }
    if (!(error < 2e-5))
        fail_msg("%s %lld x %lld x %lld: off by %g", ggml_type_name(l->type), (long long)l->m,
                 (long long)l->n, (long long)l->k, error);
    mem_free(y);
}

static void product_agrees_when_sizes_are_odd(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 8},      {1, 200, 64},  {3, 129, 96}, {17, 64, 32},
                                       {530, 40, 160}, {1025, 7, 48}, {64, 300, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        expect(&(struct layer){
            .m = sizes[i][0], .n = sizes[i][1], .k = sizes[i][2], .type = GGML_TYPE_BF16});
}

static void product_agrees_when_weights_are_of_any_type(void **state)
{
    (void)state;
    static const enum ggml_type types[] = {
        GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,
        GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_Q2_K, GGML_TYPE_Q3_K,
        GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        expect(&(struct layer){.m = 37, .n = 150, .k = 512, .type = types[i]});
}

static void epilogue_agrees_when_all_of_it_is_wanted(void **state)
{
    (void)state;
    const struct layer l = {.m = 70,
                            .n = 145,
                            .k = 64,
                            .type = GGML_TYPE_BF16,
                            .bias = true,
                            .gate = true,
                            .residual = true,
                            .scales = true};
    for (int a = VEC_NONE; a < VEC_SILU_MUL; a++) {
        struct layer one = l;
        one.act = (enum vec_act)a;
        expect(&one);
    }
}

static void pair_agrees_when_weights_are_two_or_one(void **state)
{
    (void)state;
    expect(&(struct layer){.m = 40, .n = 200, .k = 64, .type = GGML_TYPE_BF16, .pair = true});
    expect(&(struct layer){.m = 600, .n = 70, .k = 64, .type = GGML_TYPE_BF16, .halves = true});
    expect(&(struct layer){.m = 600, .n = 70, .k = 64, .type = GGML_TYPE_Q8_0, .halves = true});
    expect(&(struct layer){.m = 33, .n = 70, .k = 64, .type = GGML_TYPE_Q5_0, .pair = true});
}

static void int8_agrees_with_twin_when_sizes_are_odd(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{16, 64, 32},   {17, 1, 100},  {15, 8, 64},
                                       {530, 40, 161}, {1025, 7, 48}, {64, 300, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        expect(&(struct layer){.m = sizes[i][0],
                               .n = sizes[i][1],
                               .k = sizes[i][2],
                               .type = GGML_TYPE_BF16,
                               .int8 = true});
}

static void int8_agrees_with_twin_when_weights_are_of_any_type(void **state)
{
    (void)state;
    static const enum ggml_type types[] = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,
                                           GGML_TYPE_Q5_0, GGML_TYPE_Q8_0, GGML_TYPE_Q2_K,
                                           GGML_TYPE_Q6_K};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        expect(&(struct layer){.m = 37, .n = 150, .k = 512, .type = types[i], .int8 = true});
}

static void int8_agrees_with_twin_when_more_is_wanted(void **state)
{
    (void)state;
    expect(&(struct layer){.m = 70,
                           .n = 145,
                           .k = 64,
                           .type = GGML_TYPE_BF16,
                           .bias = true,
                           .gate = true,
                           .residual = true,
                           .scales = true,
                           .act = VEC_GELU_TANH,
                           .int8 = true});
    expect(&(struct layer){
        .m = 1040, .n = 200, .k = 64, .type = GGML_TYPE_BF16, .pair = true, .int8 = true});
    expect(&(struct layer){
        .m = 600, .n = 70, .k = 64, .type = GGML_TYPE_Q8_0, .halves = true, .int8 = true});
}

/* One bad number in a row of x spoils that row, and in a row of weights that column. */
static void int8_rows_are_spoilt_when_a_number_is_none(void **state)
{
    (void)state;
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    const struct vec *v = vec_get();
    float x[100];
    unsigned char y[100];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int at = 0; at < 100; at += 11) {
            uint16_t h[100];
            for (int k = 0; k < 100; k++)
                x[k] = (float)(k - 40);
            x[at] = bad[i];
            for (int k = 0; k < 100; k++)
                h[k] = dtype_f32_to_bf16(x[k]);
            assert_true(isnan(v->to_u8(x, false, y, 100, 8).scale));
            assert_true(isnan(v->to_u8(h, true, y, 100, 8).scale));
            assert_true(isnan(v->to_s8(x, false, (int8_t *)y, 100, 8).scale));
            assert_true(isnan(v->to_s8(h, true, (int8_t *)y, 100, 8).scale));
        }
}

static void int8_rows_are_zero_when_all_numbers_are(void **state)
{
    (void)state;
    const float tiny = 1e-39f;
    float x[20] = {0};
    unsigned char y[20];
    for (int i = 0; i < 2; i++) {
        struct vec_row_u8 u = vec_get()->to_u8(x, false, y, 20, 7);
        for (int k = 0; k < 20; k++)
            assert_int_equal(y[k], u.zero);
        struct vec_row_s8 s = vec_get()->to_s8(x, false, (int8_t *)y, 20, 7);
        assert_int_equal(s.sum, 0);
        assert_true(u.scale >= 0 && s.scale >= 0);
        x[3] = tiny;
    }
}

static void bits_are_the_same_as_with_one_thread(struct layer l)
{
    float *y[4] = {0};
    for (int i = 0; i < 4; i++) {
        double error;
        l.threads = i + 1;
        y[i] = run(&l, &error);
        if (y[0])
            assert_memory_equal(y[0], y[i], (size_t)(l.m * l.n) * sizeof(float));
    }
    for (int i = 0; i < 4; i++)
        mem_free(y[i]);
}

static void bits_are_the_same_when_threads_differ(void **state)
{
    (void)state;
    struct layer l = {.m = 700, .n = 300, .k = 320, .type = GGML_TYPE_Q8_0, .bias = true};
    bits_are_the_same_as_with_one_thread(l);
    l.int8 = true;
    bits_are_the_same_as_with_one_thread(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_agrees_when_sizes_are_odd),
        cmocka_unit_test(product_agrees_when_weights_are_of_any_type),
        cmocka_unit_test(epilogue_agrees_when_all_of_it_is_wanted),
        cmocka_unit_test(pair_agrees_when_weights_are_two_or_one),
        cmocka_unit_test(int8_agrees_with_twin_when_sizes_are_odd),
        cmocka_unit_test(int8_agrees_with_twin_when_weights_are_of_any_type),
        cmocka_unit_test(int8_agrees_with_twin_when_more_is_wanted),
        cmocka_unit_test(int8_rows_are_spoilt_when_a_number_is_none),
        cmocka_unit_test(int8_rows_are_zero_when_all_numbers_are),
        cmocka_unit_test(bits_are_the_same_when_threads_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
