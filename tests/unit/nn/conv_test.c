/* Convolutions on the CPU against a twin in float64: strides, padding on one side, channels that fill no block,
 * and the norm, SiLU or doubling before them that they take over. */
#include "help.h"

#include "nn/cpu/nodes.h"
#include "nn/cpu/onednn.h"
#include "nn/moments.h"

struct conv_case {
    int64_t in, out, k, h, w;
    int stride;
    struct nn_padding pad;
    bool bias, silu, twice;
    int groups;
    int threads;
};

static double at(const struct conv_case *c, const float *x, int64_t i, int64_t y, int64_t z)
{
    int64_t h = c->twice ? 2 * c->h : c->h, w = c->twice ? 2 * c->w : c->w;
    y -= c->pad.top;
    z -= c->pad.left;
    if (y < 0 || z < 0 || y >= h || z >= w)
        return 0;
    if (c->twice) {
        y /= 2;
        z /= 2;
    }
    return (double)x[(i * c->h + y) * c->w + z];
}

static double *twin(const struct conv_case *c, const float *x, const float *w, const float *b,
                    int64_t oh, int64_t ow)
{
    double *y = mem_try_array((size_t)(c->out * oh * ow), sizeof *y);
    assert_non_null(y);
    for (int64_t o = 0; o < c->out; o++)
        for (int64_t r = 0; r < oh; r++)
            for (int64_t s = 0; s < ow; s++) {
                double v = c->bias ? (double)b[o] : 0;
                for (int64_t i = 0; i < c->in; i++)
                    for (int64_t p = 0; p < c->k * c->k; p++)
                        v += (double)w[(o * c->in + i) * c->k * c->k + p] *
                             at(c, x, i, r * c->stride + p / c->k, s * c->stride + p % c->k);
                y[(o * oh + r) * ow + s] = v;
            }
    return y;
}

/* What the norm and SiLU make of x, rounded as products see it. */
static void before(const struct conv_case *c, float *x, const float *w, const float *b, bool bf16)
{
    int64_t plane = c->h * c->w, per = c->groups ? c->in / c->groups * plane : 1;
    for (int64_t i = 0; i < c->in * plane && c->groups; i += per) {
        double s = 0, s2 = 0;
        for (int64_t j = i; j < i + per; j++)
            s += (double)x[j] / (double)per;
        for (int64_t j = i; j < i + per; j++)
            s2 += ((double)x[j] - s) * ((double)x[j] - s) / (double)per;
        for (int64_t j = i; j < i + per; j++)
            x[j] = (float)(((double)x[j] - s) / sqrt(s2 + 1e-6) * (double)w[j / plane] +
                           (double)b[j / plane]);
    }
    for (int64_t j = 0; j < c->in * plane; j++) {
        x[j] = c->silu ? x[j] / (1 + expf(-x[j])) : x[j];
        x[j] = bf16 ? bf16_round(x[j]) : x[j];
    }
}

static float *run(const struct conv_case *c, double *error)
{
    struct test_graph b;
    graph_open(&b, c->threads ? c->threads : 2);
    struct nn_param *w = graph_param(&b, GGML_TYPE_F32, (int64_t[]){c->k, c->k, c->in, c->out}),
                    *bias = graph_param(&b, GGML_TYPE_F32, (int64_t[]){c->out, 1, 1, 1}),
                    *nw = graph_param(&b, GGML_TYPE_F32, (int64_t[]){c->in, 1, 1, 1}),
                    *nb = graph_param(&b, GGML_TYPE_F32, (int64_t[]){c->in, 1, 1, 1});
    graph_params(&b);
    float *fw = numbers((size_t)(c->k * c->k * c->in * c->out), 1),
          *fb = numbers((size_t)c->out, 2), *fx = numbers((size_t)(c->in * c->h * c->w), 3),
          *fnw = numbers((size_t)c->in, 4), *fnb = numbers((size_t)c->in, 5);
    for (int64_t i = 0; i < c->k * c->k * c->in * c->out; i++)
        fw[i] = bf16_round(fw[i]);
    param_set(w, fw);
    param_set(bias, fb);
    param_set(nw, fnw);
    param_set(nb, fnb);
    struct ggml_tensor *x = graph_input(&b, fx, c->w, c->h, c->in);
    if (c->groups)
        x = nn_moments_apply(
            &b.g, x, nn_moments_add(&b.g, x, NULL, NN_MOMENTS_EXACT),
            &(struct nn_group_norm){.w = nw, .b = nb, .groups = c->groups, .eps = 1e-6f});
    if (c->silu)
        x = nn_silu(&b.g, x);
    if (c->twice)
        x = nn_upsample2x(&b.g, x);
    struct ggml_tensor *y = nn_cpu_conv(&b.g, w->t, c->bias ? bias->t : NULL, x, c->stride, c->pad);
    float *got = NULL;
    *error = 0;
    if (y) {
        int64_t oh = y->ne[1], ow = y->ne[0];
        got = graph_result(&b, y);
        before(c, fx, fnw, fnb, nn_cpu_mode(&b.g) == NN_CPU_BF16);
        double *want = twin(c, fx, fw, fb, oh, ow);
        *error = relative_rms(got, want, (size_t)(c->out * oh * ow));
        mem_free(want);
    }
    mem_free(fw);
    mem_free(fb);
    mem_free(fx);
    mem_free(fnw);
    mem_free(fnb);
    graph_close(&b);
    return got;
}

/* A value that the norm leaves between two bf16 numbers may be rounded either way. */
static void expect(struct conv_case c)
{
    double error;
    float *y = run(&c, &error);
    if (!y) {
        assert_null(onednn_get());
        return;
    }
    if (!(error < (c.groups || c.silu ? 5e-4 : 1e-5)))
        fail_msg("%lld -> %lld, %lld x %lld: off by %g", (long long)c.in, (long long)c.out,
                 (long long)c.h, (long long)c.w, error);
    mem_free(y);
}

static const struct nn_padding around = {1, 1, 1, 1}, right_bottom = {0, 1, 0, 1}, none = {0};

static void result_agrees_when_channels_fill_no_block(void **state)
{
    (void)state;
    expect((struct conv_case){
        .in = 3, .out = 20, .k = 3, .h = 9, .w = 21, .stride = 1, .pad = around, .bias = true});
    expect((struct conv_case){
        .in = 40, .out = 3, .k = 3, .h = 17, .w = 5, .stride = 1, .pad = around, .bias = true});
    expect(
        (struct conv_case){.in = 70, .out = 33, .k = 1, .h = 6, .w = 7, .stride = 1, .pad = none});
}

static void result_agrees_when_tiles_overlap(void **state)
{
    (void)state;
    expect((struct conv_case){
        .in = 16, .out = 130, .k = 3, .h = 43, .w = 40, .stride = 1, .pad = around, .bias = true});
}

static void result_agrees_when_the_stride_is_two(void **state)
{
    (void)state;
    expect((struct conv_case){.in = 32,
                              .out = 32,
                              .k = 3,
                              .h = 16,
                              .w = 22,
                              .stride = 2,
                              .pad = right_bottom,
                              .bias = true});
}

static void norm_and_silu_are_taken_over(void **state)
{
    (void)state;
    struct conv_case c = {
        .in = 24, .out = 16, .k = 3, .h = 11, .w = 18, .stride = 1, .pad = around, .bias = true};
    c.silu = true;
    expect(c);
    c.groups = 4;
    expect(c);
    c.silu = false;
    expect(c);
    c.groups = 0;
    c.twice = true;
    expect(c);
}

static void bits_are_the_same_when_threads_differ(void **state)
{
    (void)state;
    struct conv_case c = {
        .in = 32, .out = 64, .k = 3, .h = 37, .w = 64, .stride = 1, .pad = around, .bias = true};
    float *y[3] = {0};
    for (int i = 0; i < 3; i++) {
        double error;
        c.threads = i + 1;
        y[i] = run(&c, &error);
        if (y[0])
            assert_memory_equal(y[0], y[i], (size_t)(c.out * c.h * c.w) * sizeof(float));
    }
    for (int i = 0; i < 3; i++)
        mem_free(y[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(result_agrees_when_channels_fill_no_block),
        cmocka_unit_test(result_agrees_when_tiles_overlap),
        cmocka_unit_test(result_agrees_when_the_stride_is_two),
        cmocka_unit_test(norm_and_silu_are_taken_over),
        cmocka_unit_test(bits_are_the_same_when_threads_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
