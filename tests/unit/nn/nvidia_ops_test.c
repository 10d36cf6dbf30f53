/* Blocks on a card against the same blocks on the processor in float32: in float32 throughout, and in bf16 with parameters
 * and inputs that bf16 holds exactly. The card's kernels are loops in C here; what is tested is what they are given. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_card.h"
#include "nn/buffer.h"
#include "nn/moments.h"
#include "nn/ops.h"
#include "nn/nvidia/stored.h"
#include "nn/params_impl.h"
#include "nn/project.h"
#include "weights/dtype.h"

enum { COUNT = 29, MAX_PARAMS = 16, MAX_INPUTS = 8, PARAM_ROOM = 4 << 20 };

/* One device's side of a comparison. */
struct side {
    struct nn_device *d;
    struct nn_graph g;
    struct ggml_context *ctx;
    struct nn_buffer *buffer;
    size_t used;
    struct nn_param params[MAX_PARAMS];
    int n_params, n_inputs;
    struct ggml_tensor *inputs[MAX_INPUTS];
    float *data[MAX_INPUTS];
    struct ggml_tensor *count; /* an int32 that is COUNT; NULL: none */
    bool bf16;                 /* parameters are stored so */
    enum nn_compute eight;     /* matrices of whole 16 are held so */
    uint32_t seed;
};

/* Between -1 and 1, and exact in bf16. */
static float number(struct side *s)
{
    s->seed = s->seed * 1664525u + 1013904223u;
    uint32_t u = (uint32_t)dtype_f32_to_bf16((float)(int32_t)s->seed / 2147483648.0f) << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static struct nn_param *param_of(struct side *s, enum nn_param_role role, const int64_t ne[4])
{
    struct nn_param *p = &s->params[s->n_params++];
    struct err e = {0};
    bool bf16 = s->bf16 && role != NN_VECTOR;
    p->t = ggml_new_tensor(s->ctx, bf16 ? GGML_TYPE_BF16 : GGML_TYPE_F32, 4, ne);
    p->scale = 1.0f;
    p->role = role;
    assert_int_equal(nn_buffer_place(s->buffer, p->t, s->used, &e), ERR_OK);
    s->used += nn_tensor_room(s->d, p->t);
    assert_true(s->used <= PARAM_ROOM);
    return p;
}

static void fill(struct side *s, struct nn_param *p, float scale)
{
    size_t n = (size_t)ggml_nelements(p->t);
    int64_t kw = p->t->ne[0], kh = p->t->ne[1], in = p->t->ne[2];
    uint16_t *half = calloc(n, sizeof *half);
    float *f = calloc(n, sizeof *f);
    for (size_t i = 0; i < n; i++)
        f[i] = number(s) * scale;
    bool turned = p->role == NN_KERNEL && p->t->type == GGML_TYPE_BF16;
    for (size_t i = 0; i < n; i++) {
        int64_t x = (int64_t)i, tap = x % (kw * kh), c = x / (kw * kh) % in, o = x / (kw * kh * in);
        half[turned ? (o * kw * kh + tap) * in + c : x] = dtype_f32_to_bf16(f[i]);
    }
    if (p->t->type == GGML_TYPE_BF16)
        nn_tensor_set(s->d, p->t, half, 0, n * sizeof *half);
    else
        nn_tensor_set(s->d, p->t, f, 0, n * sizeof *f);
    if (turned) {
        p->t->nb[2] = sizeof *half;
        p->t->nb[0] = p->t->nb[2] * (size_t)in;
        p->t->nb[1] = p->t->nb[0] * (size_t)kw;
        p->t->nb[3] = p->t->nb[1] * (size_t)kh;
    }
    free(half);
    free(f);
}

/* From bf16, as a model's are. */
static struct nn_param *matrix_of_eight(struct side *s, int64_t out, int64_t in)
{
    struct nn_param *p = &s->params[s->n_params++];
    size_t n = (size_t)(out * in);
    uint16_t *half = calloc(n, sizeof *half);
    struct weights_tensor stored = {.name = "m.weight", .dtype = DTYPE_BF16};
    struct err e = {0};
    for (size_t i = 0; i < n; i++)
        half[i] = dtype_f32_to_bf16(number(s) * 0.25f);
    *p = (struct nn_param){.name = "m.weight", .role = NN_MATRIX, .scale = 1, .eight = s->eight};
    p->view = (struct weights_view){.stored = &stored,
                                    .dtype = DTYPE_BF16,
                                    .n_dims = 2,
                                    .dims = {out, in},
                                    .data = (unsigned char *)half,
                                    .bytes = n * sizeof *half,
                                    .scale = 1};
    p->t = ggml_new_tensor_2d(s->ctx, GGML_TYPE_I8, in, out);
    p->row_scales = ggml_new_tensor_1d(s->ctx, GGML_TYPE_F32, out);
    nv_stored_mark(p);
    assert_int_equal(nn_buffer_place(s->buffer, p->t, s->used, &e), ERR_OK);
    s->used += nn_tensor_room(s->d, p->t);
    assert_int_equal(nn_buffer_place(s->buffer, p->row_scales, s->used, &e), ERR_OK);
    s->used += nn_tensor_room(s->d, p->row_scales);
    assert_true(s->used <= PARAM_ROOM);
    if (nn_param_upload(s->d, p, NULL, &e) != ERR_OK)
        fail_msg("%s", e.text);
    free(half);
    return p;
}

static struct nn_param *matrix(struct side *s, int64_t out, int64_t in)
{
    if (s->eight && out % 16 == 0 && in % 16 == 0)
        return matrix_of_eight(s, out, in);
    struct nn_param *p = param_of(s, NN_MATRIX, (int64_t[]){in, out, 1, 1});
    fill(s, p, 0.25f);
    return p;
}

static struct nn_param *vector(struct side *s, int64_t n)
{
    struct nn_param *p = param_of(s, NN_VECTOR, (int64_t[]){n, 1, 1, 1});
    fill(s, p, 1.0f);
    return p;
}

static struct nn_param *kernel(struct side *s, int64_t out, int64_t in, int64_t side)
{
    struct nn_param *p = param_of(s, NN_KERNEL, (int64_t[]){side, side, in, out});
    fill(s, p, 0.25f);
    return p;
}

static struct ggml_tensor *input(struct side *s, int64_t ne0, int64_t ne1, int64_t ne2)
{
    struct ggml_tensor *t = nn_input(&s->g, ne0, ne1, ne2, 1);
    size_t n = (size_t)ggml_nelements(t);
    s->data[s->n_inputs] = calloc(n, sizeof(float));
    for (size_t i = 0; i < n; i++)
        s->data[s->n_inputs][i] = number(s);
    s->inputs[s->n_inputs++] = t;
    return t;
}

typedef struct ggml_tensor *(*build_fn)(struct side *s);

/* On a card the second run of a graph is recorded, and the third one a replay of it: of other inputs. */
static void run_with(struct side *s, float times, int32_t count)
{
    struct err e = {0};
    for (int i = 0; i < s->n_inputs; i++) {
        size_t n = (size_t)ggml_nelements(s->inputs[i]);
        float *x = calloc(n, sizeof *x);
        for (size_t k = 0; k < n; k++)
            x[k] = times * s->data[i][k];
        nn_graph_set(&s->g, s->inputs[i], x);
        free(x);
    }
    if (s->count)
        nn_graph_set_bytes(&s->g, s->count, &count);
    if (nn_graph_run(&s->g, NULL, &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static float *run_side(const char *device, bool exact, enum nn_compute eight, build_fn build,
                       size_t *n)
{
    struct err e = {0};
    struct side s = {.seed = 1, .bf16 = !exact && strcmp(device, "cpu") != 0, .eight = eight};
    struct ggml_init_params p = {.mem_size = 48 * ggml_tensor_overhead(), .no_alloc = true};
    if (nn_device_open(device, 1, &s.d, &e) != ERR_OK)
        fail_msg("%s", e.text);
    s.ctx = ggml_init(p);
    nn_graph_init(&s.g, s.d, false);
    assert_int_equal(nn_buffer_new(s.d, NN_MEMORY_WEIGHTS, PARAM_ROOM, "weights", &s.buffer, &e),
                     ERR_OK);
    s.g.exact = exact || nn_device_is_cpu(s.d);
    struct ggml_tensor *out = nn_image_out(&s.g, build(&s));
    nn_graph_output(&s.g, out);
    if (nn_graph_prepare(&s.g, &e) != ERR_OK)
        fail_msg("%s", e.text);
    run_with(&s, -1.0f, COUNT - 3);
    run_with(&s, 0.5f, COUNT - 5);
    run_with(&s, 1.0f, COUNT);
    *n = (size_t)ggml_nelements(out);
    float *y = calloc(*n, sizeof *y);
    nn_graph_get(&s.g, out, y);
    for (int i = 0; i < s.n_inputs; i++)
        free(s.data[i]);
    nn_graph_deinit(&s.g);
    nn_buffer_free(s.buffer);
    ggml_free(s.ctx);
    nn_device_close(s.d);
    return y;
}

static double distance(const float *a, const float *b, size_t n)
{
    double d2 = 0, b2 = 0;
    for (size_t i = 0; i < n; i++) {
        d2 += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        b2 += (double)b[i] * (double)b[i];
    }
    return sqrt(d2 / (b2 + 1e-300));
}

/* In float32, and in bf16 with both sets of kernels. */
static void compare(build_fn build)
{
    static const struct {
        bool exact;
        const char *arch;
        double most;
    } ways[] = {{true, "90", 3e-6}, {false, "90", 8e-3}, {false, "80", 8e-3}};
    size_t n, m;
    float *cpu = run_side("cpu", true, NN_COMPUTE_DEFAULT, build, &n);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        (void)setenv("VEETANCE_CUDA_ARCH", ways[i].arch, 1);
        float *card = run_side("cuda", ways[i].exact, NN_COMPUTE_DEFAULT, build, &m);
        assert_int_equal(m, n);
        double d = distance(card, cpu, n);
        if (!(d <= ways[i].most))
            fail_msg("%s, kernels of sm_%s: relative distance %g",
                     ways[i].exact ? "float32" : "bf16", ways[i].arch, d);
        free(card);
    }
    free(cpu);
}

/* In 8 bits, beside float32 and beside bf16, with the kernels that there are. Far less than one bit more or less would be:
 * a scale forgotten, or one of another row. */
static void compare_eight(build_fn build)
{
    static const struct {
        bool exact;
        enum nn_compute eight;
        const char *arch;
        double most;
    } ways[] = {{true, NN_COMPUTE_INT8, "90", 0.02},
                {false, NN_COMPUTE_INT8, "90", 0.02},
                {false, NN_COMPUTE_INT8, "80", 0.02},
                {true, NN_COMPUTE_FP8, "90", 0.1},
                {false, NN_COMPUTE_FP8, "90", 0.1}};
    size_t n, m;
    float *cpu = run_side("cpu", true, NN_COMPUTE_DEFAULT, build, &n);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        (void)setenv("VEETANCE_CUDA_ARCH", ways[i].arch, 1);
        float *card = run_side("cuda", ways[i].exact, ways[i].eight, build, &m);
        assert_int_equal(m, n);
        double d = distance(card, cpu, n);
        if (!(d <= ways[i].most && d > 1e-4))
            fail_msg("%s beside %s, kernels of sm_%s: relative distance %g",
                     ways[i].eight == NN_COMPUTE_INT8 ? "int8" : "fp8",
                     ways[i].exact ? "float32" : "bf16", ways[i].arch, d);
        free(card);
    }
    free(cpu);
}

static int setup(void **state)
{
    (void)state;
    return fake_card_driver() ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_card_driver()->complaints, 0);
    assert_int_equal(fake_card_driver()->held, 0);
    return 0;
}

/* ---- linear layers ------------------------------------------------------------------------------------------ */

static struct ggml_tensor *one_row(struct side *s)
{
    return nn_linear(&s->g, matrix(s, 40, 64), vector(s, 40), input(s, 64, 1, 1));
}

static struct ggml_tensor *many_rows(struct side *s)
{
    return nn_linear(&s->g, matrix(s, 136, 64), NULL, input(s, 64, 131, 1));
}

static struct ggml_tensor *odd_sizes(struct side *s)
{
    return nn_linear(&s->g, matrix(s, 7, 13), vector(s, 7), input(s, 13, 9, 1));
}

static struct ggml_tensor *scaled(struct side *s)
{
    struct nn_param *w = matrix(s, 24, 32);
    w->scale = 0.5f;
    w->row_scales = vector(s, 24)->t;
    return nn_linear(&s->g, w, NULL, input(s, 32, 20, 1));
}

static struct ggml_tensor *rows_of(struct side *s, struct ggml_tensor *x, int64_t first, int64_t n)
{
    return ggml_view_2d(nn_ctx(&s->g), x, x->ne[0], n, x->nb[1], (size_t)first * x->nb[1]);
}

static struct ggml_tensor *gated(struct side *s)
{
    struct ggml_tensor *mod = input(s, 3 * 48, 1, 1), *x = input(s, 32, 30, 1);
    return nn_linear_gate_add(&s->g, matrix(s, 48, 32), vector(s, 48), rows_of(s, x, 8, 20),
                              nn_chunk(&s->g, mod, 1, 3), input(s, 48, 20, 1));
}

static struct ggml_tensor *residual_chain(struct side *s)
{
    struct ggml_tensor *x = input(s, 32, 20, 1), *r = nn_linear(&s->g, matrix(s, 32, 32), NULL, x);
    for (int i = 0; i < 3; i++)
        r = nn_linear_gate_add(&s->g, matrix(s, 32, 32), NULL, r, NULL, r);
    return r;
}

static struct ggml_tensor *swiglu(struct side *s)
{
    struct ggml_tensor *h = nn_linear_swiglu_in(&s->g, matrix(s, 96, 32), input(s, 32, 20, 1));
    return nn_linear(&s->g, matrix(s, 16, 48), NULL, h);
}

static struct ggml_tensor *silu_times_up(struct side *s)
{
    return nn_linear_silu_mul_in(&s->g, matrix(s, 48, 32), matrix(s, 48, 32), input(s, 32, 20, 1));
}

static struct ggml_tensor *silu_of_scales_apart(struct side *s)
{
    struct nn_param *gate = matrix(s, 48, 32), *up = matrix(s, 48, 32);
    gate->scale = 2.0f;
    return nn_linear_silu_mul_in(&s->g, gate, up, input(s, 32, 20, 1));
}

static struct ggml_tensor *gelu(struct side *s)
{
    return nn_linear_gelu_in(&s->g, matrix(s, 48, 32), vector(s, 48), input(s, 32, 20, 1));
}

static void linear_layers(void **state)
{
    (void)state;
    static const build_fn all[] = {one_row, many_rows,           odd_sizes, scaled,
                                   gated,   residual_chain,      swiglu,    silu_times_up,
                                   gelu,    silu_of_scales_apart};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        compare(all[i]);
}

/* ---- norms, attention, joining --------------------------------------------------------------------------------- */

static struct ggml_tensor *modulated(struct side *s)
{
    struct ggml_tensor *mod = input(s, 2 * 40, 1, 1), *x = input(s, 40, 30, 1);
    return nn_norm_modulate_in(&s->g, rows_of(s, x, 3, 21), nn_chunk(&s->g, mod, 0, 2),
                               nn_chunk(&s->g, mod, 1, 2), 1e-6f);
}

static struct ggml_tensor *rms(struct side *s)
{
    return nn_rms_norm_in(&s->g, input(s, 40, 30, 1), vector(s, 40), 1e-6f);
}

static struct ggml_tensor *rms_of_heads(struct side *s)
{
    return nn_rms_norm(&s->g, input(s, 16, 3, 10), vector(s, 16), 1e-6f);
}

static struct nn_rotary rotary(struct side *s, int64_t tokens, enum nn_rope mode)
{
    return (struct nn_rotary){.norm = vector(s, 64),
                              .head_dim = 64,
                              .eps = 1e-6f,
                              .cos = input(s, 32, tokens, 1),
                              .sin = input(s, 32, tokens, 1),
                              .mode = mode};
}

/* Two heads of keys serve four of queries; a mask hides some. */
static struct ggml_tensor *attend(struct side *s, bool masked, enum nn_rope mode)
{
    enum { TOKENS = 37 };
    struct nn_graph *g = &s->g;
    struct ggml_tensor *x = input(s, 32, TOKENS, 1), *mask = NULL;
    struct nn_rotary r = rotary(s, TOKENS, mode);
    struct ggml_tensor *q = nn_linear_rope_in(g, matrix(s, 4 * 64, 32), NULL, x, &r);
    struct ggml_tensor *k = nn_linear_rope_in(g, matrix(s, 2 * 64, 32), NULL, x, &r);
    struct ggml_tensor *v = nn_linear_in(g, matrix(s, 2 * 64, 32), NULL, x);
    v = ggml_reshape_3d(nn_ctx(g), v, 64, 2, TOKENS);
    if (masked) {
        mask = input(s, TOKENS, TOKENS, 1);
        float *m = s->data[s->n_inputs - 1];
        for (int i = 0; i < TOKENS * TOKENS; i++)
            m[i] = i % TOKENS <= i / TOKENS ? m[i] : -INFINITY;
    }
    return masked ? nn_attention_causal(g, q, k, v, (struct nn_causal){.mask = mask}, 0.125f)
                  : nn_attention(g, q, k, v, NULL, 0.125f);
}

static struct ggml_tensor *attention_pairs(struct side *s)
{
    return attend(s, false, NN_ROPE_PAIRS);
}

static struct ggml_tensor *attention_masked(struct side *s)
{
    return attend(s, true, NN_ROPE_HALVES);
}

/* As text encoders have it: what is behind the COUNT tokens of a prompt is padding. */
static struct ggml_tensor *attention_counted(struct side *s)
{
    enum { TOKENS = 40 };
    struct ggml_tensor *q = input(s, 128, 4, TOKENS), *k = input(s, 128, 2, TOKENS);
    struct ggml_tensor *v = input(s, 128, 2, TOKENS), *mask = input(s, TOKENS, TOKENS, 1);
    float *m = s->data[s->n_inputs - 1];
    for (int i = 0; i < TOKENS * TOKENS; i++)
        m[i] = i % TOKENS <= i / TOKENS && i % TOKENS < COUNT ? 0.0f : -INFINITY;
    s->count = nn_input_ints(&s->g, 1);
    return nn_attention_causal(&s->g, q, k, v, (struct nn_causal){mask, s->count}, 0.09f);
}

/* As autoencoders have it: the scores of all keys do not fit one band only for many queries. */
static struct ggml_tensor *wide_head(struct side *s)
{
    enum { TOKENS = 200, DIM = 160 };
    return nn_attention(&s->g, input(s, DIM, 1, TOKENS), input(s, DIM, 1, TOKENS),
                        input(s, DIM, 1, TOKENS), NULL, 0.08f);
}

static struct ggml_tensor *head_of_512(struct side *s)
{
    return nn_attention(&s->g, input(s, 512, 1, 130), input(s, 512, 1, 70), input(s, 512, 1, 70),
                        NULL, 0.04f);
}

static struct ggml_tensor *head_of_384(struct side *s)
{
    return nn_attention(&s->g, input(s, 384, 1, 9), input(s, 384, 1, 200), input(s, 384, 1, 200),
                        NULL, 0.05f);
}

static struct ggml_tensor *head_of_128(struct side *s)
{
    return nn_attention(&s->g, input(s, 128, 2, 150), input(s, 128, 1, 70), input(s, 128, 1, 70),
                        NULL, 0.09f);
}

static struct ggml_tensor *small_head(struct side *s)
{
    return nn_attention(&s->g, input(s, 16, 2, 5), input(s, 16, 2, 9), input(s, 16, 2, 9), NULL,
                        0.25f);
}

/* Text without queries before an image, as the last block of Qwen-Image has it; text with queries, as all others. */
static struct ggml_tensor *streams(struct side *s, bool queries)
{
    enum { TEXT = 21, IMAGE = 150, DIM = 64, HEADS = 2, HEAD = 128 };
    struct nn_graph *g = &s->g;
    struct ggml_tensor *cos = input(s, HEAD / 2, TEXT + IMAGE, 1);
    struct ggml_tensor *sin = input(s, HEAD / 2, TEXT + IMAGE, 1);
    struct ggml_tensor *x[2] = {input(s, DIM, TEXT, 1), input(s, DIM, IMAGE, 1)};
    struct nn_qkv of[2];
    for (int i = 0; i < 2; i++) {
        int64_t first = i ? TEXT : 0;
        struct nn_projections p = {.head_dim = HEAD, .eps = 1e-6f, .mode = NN_ROPE_PAIRS};
        p.cos = rows_of(s, cos, first, x[i]->ne[1]);
        p.sin = rows_of(s, sin, first, x[i]->ne[1]);
        p.k = (struct nn_projection){matrix(s, HEADS * HEAD, DIM), vector(s, HEADS * HEAD),
                                     vector(s, HEAD)};
        p.v = (struct nn_projection){matrix(s, HEADS * HEAD, DIM), NULL, NULL};
        if (i || queries)
            p.q = (struct nn_projection){matrix(s, HEADS * HEAD, DIM), NULL, vector(s, HEAD)};
        of[i] = nn_project(g, x[i], &p);
    }
    struct nn_qkv a = nn_qkv_join(g, of[0], of[1]);
    return nn_attention(g, a.q, a.k, a.v, NULL, 0.09f);
}

static struct ggml_tensor *two_streams(struct side *s)
{
    return streams(s, true);
}

static struct ggml_tensor *keys_of_text_alone(struct side *s)
{
    return streams(s, false);
}

static void norms_and_attention(void **state)
{
    (void)state;
    static const build_fn all[] = {modulated,        rms,        rms_of_heads, attention_pairs,
                                   attention_masked, wide_head,  head_of_512,  head_of_384,
                                   head_of_128,      small_head, two_streams,  keys_of_text_alone,
                                   attention_counted};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        compare(all[i]);
}

/* Products of one norm: it is made in 8 bits, and once more as it is for the matrix that is not. */
static struct ggml_tensor *of_one_norm(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct ggml_tensor *mod = input(s, 2 * 64, 1, 1), *x = input(s, 64, 30, 1);
    struct ggml_tensor *h =
        nn_norm_modulate_in(g, x, nn_chunk(g, mod, 0, 2), nn_chunk(g, mod, 1, 2), 1e-6f);
    struct ggml_tensor *a = nn_linear(g, matrix(s, 48, 64), vector(s, 48), h);
    struct ggml_tensor *b = nn_linear(g, matrix(s, 48, 64), NULL, h);
    return nn_join(g, nn_join(g, a, b, 0), nn_linear(g, matrix(s, 24, 64), NULL, h), 0);
}

static struct ggml_tensor *few_rows(struct side *s)
{
    return nn_linear_silu_mul_in(&s->g, matrix(s, 48, 64), matrix(s, 48, 64), input(s, 64, 3, 1));
}

static struct ggml_tensor *one_of_eight(struct side *s)
{
    enum nn_compute eight = s->eight;
    struct nn_param *gate = matrix(s, 48, 32);
    s->eight = NN_COMPUTE_DEFAULT;
    struct nn_param *up = matrix(s, 48, 32);
    s->eight = eight;
    return nn_linear_silu_mul_in(&s->g, gate, up, input(s, 32, 20, 1));
}

static struct ggml_tensor *side_by_side(struct side *s);

static void products_of_eight_bits(void **state)
{
    (void)state;
    static const build_fn all[] = {gated,    residual_chain,     swiglu,       silu_times_up,
                                   gelu,     two_streams,        side_by_side, of_one_norm,
                                   few_rows, keys_of_text_alone, one_of_eight};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        compare_eight(all[i]);
}

/* Attention beside SwiGLU, as one matrix for the product behind them. */
static struct ggml_tensor *side_by_side(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct ggml_tensor *x = input(s, 32, 20, 1);
    struct ggml_tensor *q = nn_linear_in(g, matrix(s, 64, 32), NULL, x);
    q = ggml_reshape_3d(nn_ctx(g), q, 64, 1, 20);
    struct ggml_tensor *a = nn_attention(g, q, q, q, NULL, 0.1f);
    struct ggml_tensor *f = nn_linear_swiglu_in(g, matrix(s, 96, 32), x);
    return nn_linear(g, matrix(s, 24, 64 + 48), NULL, nn_join(g, a, f, 0));
}

/* Two streams' residuals, which others read before they are joined. */
static struct ggml_tensor *one_behind_the_other(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct ggml_tensor *a = nn_linear(g, matrix(s, 32, 32), NULL, input(s, 32, 11, 1));
    struct ggml_tensor *b = nn_linear(g, matrix(s, 32, 32), NULL, input(s, 32, 12, 1));
    struct ggml_tensor *early = nn_linear(g, matrix(s, 32, 32), NULL, a);
    nn_graph_block_end(g, a);
    nn_graph_block_end(g, b);
    struct ggml_tensor *x = nn_join(g, a, b, 1);
    x = nn_linear_gate_add(g, matrix(s, 32, 32), NULL, x, NULL, x);
    return nn_join(g, rows_of(s, x, 5, 9), early, 1);
}

static struct ggml_tensor *heads_behind_inputs(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct ggml_tensor *k = nn_linear_in(g, matrix(s, 64, 32), NULL, input(s, 32, 20, 1));
    k = nn_join(g, ggml_reshape_3d(nn_ctx(g), k, 32, 2, 20), input(s, 32, 2, 7), 2);
    return nn_attention(g, input(s, 32, 2, 6), k, k, NULL, 0.2f);
}

static void joined_tensors(void **state)
{
    (void)state;
    compare(side_by_side);
    compare(one_behind_the_other);
    compare(heads_behind_inputs);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

static const struct nn_padding all_round = {1, 1, 1, 1};

static struct ggml_tensor *rows_3d(struct side *s, struct ggml_tensor *x, int64_t skip, int64_t n)
{
    struct ggml_tensor *y = ggml_view_3d(nn_ctx(&s->g), x, x->ne[0], n, x->ne[2], x->nb[1],
                                         x->nb[2], (size_t)skip * x->nb[1]);
    y->nb[0] = x->nb[0];
    return nn_image_rows(&s->g, y);
}

static struct ggml_tensor *convolutions(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct ggml_tensor *x = input(s, 13, 9, 3);
    x = nn_conv2d(g, kernel(s, 24, 3, 3), vector(s, 24), x, 1, all_round);
    x = nn_conv2d(g, kernel(s, 16, 24, 3), vector(s, 16), x, 2, (struct nn_padding){0, 1, 0, 1});
    x = nn_conv2d(g, kernel(s, 40, 16, 1), NULL, x, 1, (struct nn_padding){0});
    return nn_conv2d(g, kernel(s, 3, 40, 3), vector(s, 3), x, 1, all_round);
}

static struct ggml_tensor *doubled(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct ggml_tensor *x =
        nn_conv2d(g, kernel(s, 16, 4, 3), NULL, input(s, 7, 5, 4), 1, all_round);
    return nn_conv2d(g, kernel(s, 8, 16, 3), NULL, nn_upsample2x(g, x), 1, all_round);
}

/* A band: rows are left away above and below, padding only where the image ends. */
static struct ggml_tensor *band_of_rows(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct ggml_tensor *x =
        nn_conv2d(g, kernel(s, 16, 4, 3), NULL, input(s, 7, 12, 4), 1, all_round);
    x = rows_3d(s, x, 2, 8);
    struct ggml_tensor *up = rows_3d(s, nn_upsample2x(g, x), 3, 10);
    return nn_conv2d(g, kernel(s, 8, 16, 3), NULL, up, 1, (struct nn_padding){1, 1, 0, 1});
}

static struct ggml_tensor *resnet(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct nn_group_norm n = {.w = vector(s, 16), .b = vector(s, 16), .groups = 4, .eps = 1e-6f};
    struct ggml_tensor *x =
        nn_conv2d(g, kernel(s, 16, 4, 3), NULL, input(s, 11, 6, 4), 1, all_round);
    struct ggml_tensor *kept = x;
    n.silu = true;
    x = nn_moments_apply(g, x, NULL, &n);
    kept = nn_conv2d(g, kernel(s, 24, 16, 1), vector(s, 24), kept, 1, (struct nn_padding){0});
    x = nn_conv2d_add(g, kernel(s, 24, 16, 3), vector(s, 24), x, 1, all_round, kept);
    return nn_image_clamp(g, x, -1.0f, 1.0f);
}

static struct ggml_tensor *pixels_as_tokens(struct side *s)
{
    struct nn_graph *g = &s->g;
    struct ggml_tensor *x =
        nn_conv2d(g, kernel(s, 16, 4, 3), NULL, input(s, 7, 6, 4), 1, all_round);
    struct ggml_tensor *t = nn_rms_norm(g, nn_pixels_to_tokens(g, x), vector(s, 16), 1e-6f);
    t = nn_silu(g, nn_linear(g, matrix(s, 16, 16), NULL, t));
    return nn_image_add(g, x, nn_tokens_to_pixels(g, t, 6, 7));
}

static void images(void **state)
{
    (void)state;
    compare(convolutions);
    compare(doubled);
    compare(band_of_rows);
    compare(resnet);
    compare(pixels_as_tokens);
}

/* ---- plain operations --------------------------------------------------------------------------------------------- */

static struct ggml_tensor *arithmetic(struct side *s)
{
    struct ggml_context *c = nn_ctx(&s->g); /* fewer than one expression may make */
    struct ggml_tensor *a = input(s, 24, 10, 3), *row = input(s, 24, 1, 1);
    struct ggml_tensor *x = ggml_add(c, ggml_mul(c, a, row), a);
    x = ggml_cont(c, ggml_permute(c, x, 1, 0, 2, 3));
    x = ggml_concat(c, x, ggml_scale(c, x, 2.0f), 1);
    x = ggml_gelu_erf(c, ggml_clamp(c, ggml_sub(c, x, ggml_sqr(c, x)), -1.5f, 1.0f));
    return ggml_cont(c, ggml_permute(c, x, 2, 0, 1, 3));
}

static struct ggml_tensor *plain_product(struct side *s)
{
    struct ggml_tensor *y = ggml_mul_mat(nn_ctx(&s->g), input(s, 21, 30, 1), input(s, 21, 40, 1));
    ggml_prec_set_acc(y, GGML_PREC_F32);
    return y;
}

static void plain_operations(void **state)
{
    (void)state;
    compare(arithmetic);
    compare(plain_product);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(linear_layers),
        TEST(products_of_eight_bits),
        TEST(norms_and_attention),
        TEST(joined_tensors),
        TEST(images),
        TEST(plain_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
