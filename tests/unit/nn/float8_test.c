/* Linear layers with float8 weights, as they are stored: the products of the same weights in float32. */
#include "help.h"

#include "nn/params_impl.h"

enum { IN = 96, OUT = 70, MANY = 37, FEW = 2 };

static float value(enum dtype t, unsigned char code)
{
    return t == DTYPE_F8_E5M2 ? dtype_e5m2_to_f32(code) : dtype_e4m3_to_f32(code);
}

struct layer {
    struct nn_param *w8, *w32, *scales, *b;
};

static struct layer make(struct test_graph *b, enum dtype t, bool row_scales)
{
    struct layer l = {.w8 = graph_param(b, GGML_TYPE_I8, (int64_t[]){IN, OUT, 1, 1}),
                      .w32 = graph_param(b, GGML_TYPE_F32, (int64_t[]){IN, OUT, 1, 1}),
                      .scales = graph_param(b, GGML_TYPE_F32, (int64_t[]){OUT, 1, 1, 1}),
                      .b = graph_param(b, GGML_TYPE_F32, (int64_t[]){OUT, 1, 1, 1})};
    graph_params(b);
    unsigned char *q = l.w8->t->data;
    float *f = l.w32->t->data, *s = l.scales->t->data, *bias = l.b->t->data;
    for (int i = 0; i < IN * OUT; i++) {
        q[i] = (unsigned char)((i * 37 + i / IN * 11) % 0x70 | (i % 3 ? 0x80 : 0));
        f[i] = value(t, q[i]);
    }
    for (int i = 0; i < OUT; i++) {
        s[i] = 1.0f / (float)(i + 3);
        bias[i] = (float)i / 16;
    }
    l.w8->view.dtype = t;
    l.w8->scale = l.w32->scale = row_scales ? 1.0f : 0.125f;
    l.w8->row_scales = l.w32->row_scales = row_scales ? l.scales->t : NULL;
    return l;
}

/* kind: 0 plain, 1 with bias and GELU, 2 SwiGLU of the halves. */
static float *run(enum dtype t, bool row_scales, int kind, int64_t tokens, bool exact, bool plain,
                  size_t *n)
{
    struct test_graph b;
    graph_open(&b, 2);
    b.g.exact = exact;
    struct layer l = make(&b, t, row_scales);
    float *x = numbers((size_t)(IN * tokens), 5);
    struct ggml_tensor *in = graph_input(&b, x, IN, tokens, 1);
    const struct nn_param *w = plain ? l.w32 : l.w8;
    struct ggml_tensor *y = kind == 0   ? nn_linear(&b.g, w, NULL, in)
                            : kind == 1 ? nn_linear_gelu_in(&b.g, w, l.b, in)
                                        : nn_linear_swiglu_in(&b.g, w, in);
    *n = (size_t)ggml_nelements(y);
    float *out = graph_result(&b, y);
    mem_free(x);
    graph_close(&b);
    return out;
}

static void products_are_those_of_the_same_numbers(void **state)
{
    static const enum dtype types[] = {DTYPE_F8_E4M3, DTYPE_F8_E5M2};
    (void)state;
    for (int i = 0; i < 2 * 2 * 3 * 2 * 2; i++) {
        enum dtype t = types[i & 1];
        bool row_scales = i >> 1 & 1, exact = i >> 2 & 1;
        int64_t tokens = i >> 3 & 1 ? MANY : FEW;
        int kind = i >> 4;
        size_t n, m;
        float *have = run(t, row_scales, kind, tokens, exact, false, &n);
        float *want = run(t, row_scales, kind, tokens, true, true, &m);
        double *d = mem_alloc(n * sizeof *d);
        assert_int_equal(n, m);
        for (size_t k = 0; k < n; k++)
            d[k] = (double)want[k];
        double off = relative_rms(have, d, n);
        if (!(off < (exact ? 1e-5 : 1e-2)))
            fail_msg("type %d, row scales %d, kind %d, %d tokens, exact %d: off by %g", (int)t,
                     row_scales, kind, (int)tokens, exact, off);
        mem_free(d);
        mem_free(have);
        mem_free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_those_of_the_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
