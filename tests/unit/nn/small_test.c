/* Norms, rotation and joining on the CPU against what ggml's operations make of the same numbers, and the loops
 * of every instruction set that this processor has against plain ones. */
#include "help.h"

#include "nn/cpu/nodes.h"
#include "nn/cpu/vec.h"

enum { DIM = 100, HEADS = 3, TOKENS = 7 };

/* The result with our kernels, and with ggml's in an exact graph. */
struct both {
    struct test_graph b;
    float *x, *w, *s, *t;
    struct nn_param *param;
    struct ggml_tensor *in, *shift, *scale;
};

static void both_open(struct both *o, bool exact, int64_t dim, int64_t heads)
{
    graph_open(&o->b, 2);
    o->b.g.exact = exact;
    o->param = graph_param(&o->b, GGML_TYPE_F32, (int64_t[]){dim, 1, 1, 1});
    graph_params(&o->b);
    o->x = numbers((size_t)(dim * heads * TOKENS), 1);
    o->w = numbers((size_t)dim, 2);
    o->s = numbers((size_t)(dim * TOKENS), 3);
    o->t = numbers((size_t)(dim * TOKENS), 4);
    param_set(o->param, o->w);
    o->in = graph_input(&o->b, o->x, dim, heads, TOKENS);
}

static void both_close(struct both *o)
{
    mem_free(o->x);
    mem_free(o->w);
    mem_free(o->s);
    mem_free(o->t);
    graph_close(&o->b);
}

typedef struct ggml_tensor *(*make_fn)(struct both *o);

/* bf16 results: 2^-9 of each value. */
static void expect_the_same(make_fn make, int64_t dim, int64_t heads)
{
    float *y[2];
    size_t n = 0;
    for (int exact = 0; exact < 2; exact++) {
        struct both o;
        both_open(&o, exact != 0, dim, heads);
        struct ggml_tensor *t = make(&o);
        n = (size_t)ggml_nelements(t);
        y[exact] = graph_result(&o.b, t);
        both_close(&o);
    }
    double *want = mem_try_array(n, sizeof *want);
    assert_non_null(want);
    for (size_t i = 0; i < n; i++)
        want[i] = (double)y[1][i];
    double error = relative_rms(y[0], want, n);
    if (!(error < 3e-3))
        fail_msg("off by %g", error);
    mem_free(want);
    mem_free(y[0]);
    mem_free(y[1]);
}

static struct ggml_tensor *make_rms(struct both *o)
{
    return nn_rms_norm_in(&o->b.g, o->in, o->param, 1e-6f);
}

static struct ggml_tensor *make_modulated(struct both *o)
{
    struct ggml_tensor *x = ggml_reshape_2d(nn_ctx(&o->b.g), o->in, DIM, HEADS * TOKENS);
    return nn_norm_modulate_in(&o->b.g, x, graph_input(&o->b, o->s, DIM, 1, 1),
                               graph_input(&o->b, o->t, DIM, 1, 1), 1e-6f);
}

static struct ggml_tensor *rotated(struct both *o, enum nn_rope mode)
{
    int64_t half = o->in->ne[0] / 2;
    return nn_norm_rope_in(&o->b.g, o->in, o->param, 1e-6f,
                           graph_input(&o->b, o->s, half, TOKENS, 1),
                           graph_input(&o->b, o->t, half, TOKENS, 1), mode);
}

static struct ggml_tensor *make_pairs(struct both *o)
{
    return rotated(o, NN_ROPE_PAIRS);
}

static struct ggml_tensor *make_halves(struct both *o)
{
    return rotated(o, NN_ROPE_HALVES);
}

static struct ggml_tensor *join(struct both *o, int axis)
{
    struct nn_graph *g = &o->b.g;
    struct ggml_tensor *a = nn_rms_norm_in(g, o->in, o->param, 1e-6f);
    return nn_join(g, a, nn_silu(g, o->in), axis);
}

static struct ggml_tensor *make_join_0(struct both *o)
{
    return join(o, 0);
}

static struct ggml_tensor *make_join_1(struct both *o)
{
    return join(o, 1);
}

static struct ggml_tensor *make_join_2(struct both *o)
{
    return join(o, 2);
}

static void norms_agree_with_ggml(void **state)
{
    (void)state;
    expect_the_same(make_rms, DIM, HEADS);
    expect_the_same(make_rms, 13, HEADS);
    expect_the_same(make_modulated, DIM, HEADS);
}

static void rotation_agrees_with_ggml(void **state)
{
    (void)state;
    for (int64_t dim = 12; dim <= 128; dim += 58) {
        expect_the_same(make_pairs, dim, HEADS);
        expect_the_same(make_halves, dim, HEADS);
    }
}

static void joining_agrees_with_ggml(void **state)
{
    (void)state;
    expect_the_same(make_join_0, DIM, HEADS);
    expect_the_same(make_join_1, DIM, HEADS);
    expect_the_same(make_join_2, DIM, HEADS);
}

/* ---- loops -------------------------------------------------------------------------------------------- */

static int variants(const struct vec *out[4])
{
    int n = 0;
    out[n++] = &vec_base;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        out[n++] = &vec_avx2;
    if (vec_get() == &vec_avx512 || vec_get() == &vec_avx512_bf16)
        out[n++] = &vec_avx512;
    if (vec_get() == &vec_avx512_bf16)
        out[n++] = &vec_avx512_bf16;
#endif
    return n;
}

static void check_softmax(const struct vec *v, int64_t n)
{
    float *s = numbers((size_t)n, 7), *p = numbers((size_t)n, 8), max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        s[i] *= 40;
    const struct vec_softmax j = {.s = s, .p = p, .n = n, .scale = 0.5f, .max = &max, .sum = &sum};
    (void)v->softmax(&j);
    double want = 0;
    for (int64_t i = 0; i < n; i++)
        want += exp((double)s[i] * 0.5 - (double)max);
    assert_true(fabs((double)sum - want) < 1e-5 * want);
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs((double)p[i] - exp((double)s[i] * 0.5 - (double)max)) < 1e-6);
    /* What follows has a greater maximum: sums made before shrink. */
    float bigger = 100;
    const struct vec_softmax next = {
        .s = &bigger, .p = p, .n = 1, .scale = 1, .max = &max, .sum = &sum};
    float before = max, again = v->softmax(&next);
    assert_true(max == 100.0f && fabsf(again - expf(before - 100.0f)) <= 1e-6f * again);
    mem_free(s);
    mem_free(p);
}

static void check_transposition(const struct vec *v, int64_t channels, int64_t n)
{
    float *x = numbers((size_t)(channels * n), 9), *rows = numbers((size_t)(channels * n), 10),
          *back = numbers((size_t)(channels * n), 11);
    v->to_channels(&(struct vec_to_channels){
        .x = x, .plane = n, .channels = channels, .n = n, .ldy = channels, .y = rows});
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < n; i++)
            assert_true(rows[i * channels + c] == x[c * n + i]);
    v->from_channels(&(struct vec_from_channels){
        .x = rows, .y = back, .plane = n, .channels = channels, .n = n, .ldx = channels});
    assert_memory_equal(x, back, (size_t)(channels * n) * sizeof *x);
    mem_free(x);
    mem_free(rows);
    mem_free(back);
}

static void check_bf16(const struct vec *v, int64_t n)
{
    float *x = numbers((size_t)n, 12), *y = numbers((size_t)n, 13);
    uint16_t *h = mem_try_array((size_t)n, sizeof *h);
    assert_non_null(h);
    v->to_bf16(x, h, n);
    v->from_bf16(h, y, n);
    for (int64_t i = 0; i < n; i++)
        assert_true(y[i] == bf16_round(x[i]));
    mem_free(x);
    mem_free(y);
    mem_free(h);
}

static void check_unpacking(const struct vec *v)
{
    static const enum ggml_type types[] = {GGML_TYPE_F16,  GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,
                                           GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_Q8_0,
                                           GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K};
    enum { N = 1024 };
    float *f = numbers(N, 14), *want = numbers(N, 0), *got = numbers(N, 0);
    unsigned char *q = mem_try_array(N, sizeof *f);
    assert_non_null(q);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        ggml_quantize_chunk(types[i], f, q, 0, 1, N, NULL);
        ggml_get_type_traits(types[i])->to_float(q, want, N);
        assert_true(v->unpack((int)types[i], q, got, N, false));
        for (int k = 0; k < N; k++)
            if (!(fabsf(got[k] - want[k]) <= 1e-6f))
                fail_msg("%s, %s: %g is not %g at %d", v->name, ggml_type_name(types[i]),
                         (double)got[k], (double)want[k], k);
    }
    mem_free(f);
    mem_free(want);
    mem_free(got);
    mem_free(q);
}

static void loops_agree_on_every_instruction_set(void **state)
{
    (void)state;
    const struct vec *v[4];
    for (int i = variants(v) - 1; i >= 0; i--) {
        for (int64_t n = 1; n < 70; n += 11) {
            check_softmax(v[i], n);
            check_transposition(v[i], n, 37);
            check_bf16(v[i], n);
        }
        check_unpacking(v[i]);
    }
}

/* Infinities, denormals and both zeros of half floats. */
static void half_floats_convert_when_they_are_special(void **state)
{
    (void)state;
    static const uint16_t half[] = {0, 0x8000, 1, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0xbc00};
    enum { N = sizeof half / sizeof half[0] };
    float f[N];
    assert_true(vec_get()->unpack(GGML_TYPE_F16, half, f, N, false));
    for (int i = 0; i < N; i++) {
        float want = ggml_fp16_to_fp32(half[i]);
        assert_memory_equal(&f[i], &want, sizeof want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_agree_with_ggml),
        cmocka_unit_test(rotation_agrees_with_ggml),
        cmocka_unit_test(joining_agrees_with_ggml),
        cmocka_unit_test(loops_agree_on_every_instruction_set),
        cmocka_unit_test(half_floats_convert_when_they_are_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
