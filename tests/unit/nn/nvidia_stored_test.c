/* Matrices that lie on a card as they are stored: what they take, what is unpacked of them, and products with them against
 * those with the same numbers in bf16. The card is none; its kernels are loops in C, written from the formats. */
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_card.h"
#include "nn/dtype_ggml.h"
#include "nn/nvidia/stored.h"
#include "nn/ops.h"
#include "nn/params_impl.h"
#include "nn/project.h"
#include "weights/held.h"

enum { MAX_MADE = 8 };

static int setup(void **state)
{
    (void)state;
    struct fake_cuda *fake = fake_card_driver();
    if (!fake)
        return -1;
    fake->cards = 1;
    fake->major = 9;
    fake->minor = 0;
    fake->total_bytes = (size_t)1 << 30;
    (void)unsetenv("VEETANCE_CUDA_ARCH");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(fake_card_driver()->complaints, 0);
    assert_int_equal(fake_card_driver()->held, 0);
    return 0;
}

static struct nn_device *must_open(void)
{
    struct err e = {0};
    struct nn_device *d;
    if (nn_device_open("cuda", 1, &d, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return d;
}

/* ---- stored matrices ------------------------------------------------------------------------------------- */

struct made {
    struct weights_tensor stored;
    struct weights_view v;
    unsigned char *bytes;
    float *rows; /* scales of rows; NULL: none */
};

static uint32_t seed = 1;

static unsigned random_byte(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 24;
}

static void put_half(unsigned char *at)
{
    uint16_t h = (uint16_t)(0x2800 | random_byte() << 2 | random_byte() >> 7 << 15);
    memcpy(at, &h, sizeof h);
}

/* Scales that are numbers, where random bytes may be none. */
static void tame(enum dtype t, unsigned char *block)
{
    static const struct {
        enum dtype t;
        int at[2];
    } halves[] = {{DTYPE_Q4_0, {0, 0}},     {DTYPE_Q4_1, {0, 2}},   {DTYPE_Q5_0, {0, 0}},
                  {DTYPE_Q5_1, {0, 2}},     {DTYPE_Q8_0, {0, 0}},   {DTYPE_Q2_K, {80, 82}},
                  {DTYPE_Q3_K, {108, 108}}, {DTYPE_Q4_K, {0, 2}},   {DTYPE_Q5_K, {0, 2}},
                  {DTYPE_Q6_K, {208, 208}}, {DTYPE_IQ4_NL, {0, 0}}, {DTYPE_IQ4_XS, {0, 0}},
                  {DTYPE_TQ1_0, {52, 52}},  {DTYPE_TQ2_0, {64, 64}}};
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++)
        for (int k = 0; k < 2 && halves[i].t == t; k++)
            put_half(block + halves[i].at[k]);
    if (t == DTYPE_MXFP4)
        block[0] = (unsigned char)(118 + block[0] % 8);
    for (int k = 0; k < 4 && t == DTYPE_NVFP4; k++)
        block[k] = (unsigned char)(0x18 + block[k] % 0x20);
    if (t == DTYPE_F8_E4M3 && (block[0] & 0x7f) == 0x7f)
        block[0] = 0x3f;
    if (t == DTYPE_F8_E5M2)
        block[0] &= 0xbf;
}

static void *room_for(size_t n)
{
    void *p = calloc(1, n + 1);
    assert_non_null(p);
    return p;
}

static struct made make(enum dtype t, int64_t rows, int64_t columns)
{
    const struct dtype_info *info = dtype_info(t);
    struct made m = {.stored = {.name = "stored", .dtype = t}};
    size_t n = (size_t)(rows * columns) / info->block_elems * info->block_bytes;
    m.bytes = room_for(n);
    for (size_t i = 0; i < n; i++)
        m.bytes[i] = (unsigned char)random_byte();
    for (size_t i = 0; i < n; i += info->block_bytes)
        tame(t, m.bytes + i);
    m.v = (struct weights_view){
        .dtype = t, .n_dims = 2, .dims = {rows, columns}, .data = m.bytes, .bytes = n, .scale = 1};
    return m;
}

static void add_row_scales(struct made *m)
{
    m->rows = room_for((size_t)m->v.dims[0] * sizeof *m->rows);
    for (int64_t i = 0; i < m->v.dims[0]; i++)
        m->rows[i] = 0.01f + (float)(i % 7) / 64;
    m->v.rows = (struct weights_numbers){(const unsigned char *)m->rows, DTYPE_F32};
    m->v.n_scales = m->v.dims[0];
}

/* The same numbers as bf16, without the scales that are the product's, and these beside them. */
static struct made as_bf16(const struct made *m)
{
    const struct weights_view *v = &m->v;
    int64_t row = v->dims[1];
    struct made out = {.stored = {.name = "bf16", .dtype = DTYPE_BF16}, .v = *v};
    struct weights_view bare = weights_view_without_row_scales(v);
    struct err e = {0};
    out.v.dtype = DTYPE_BF16;
    out.v.grid = (struct weights_grid){0};
    out.v.bytes = (uint64_t)(v->dims[0] * row) * sizeof(uint16_t);
    out.bytes = room_for(out.v.bytes);
    float *f = room_for((size_t)row * sizeof *f);
    for (int64_t r = 0; r < v->dims[0]; r++) {
        assert_int_equal(nn_view_rows_f32(&bare, r, 1, f, &e), ERR_OK);
        for (int64_t i = 0; i < row; i++) {
            uint16_t h = dtype_f32_to_bf16(f[i]);
            memcpy(out.bytes + (size_t)(r * row + i) * sizeof h, &h, sizeof h);
        }
    }
    free(f);
    out.v.data = out.bytes;
    return out;
}

static void drop(struct made *m)
{
    free(m->bytes);
    free(m->rows);
}

/* Declares the matrix as if it had been found in a file. */
static struct nn_param *declare(struct nn_params *ps, struct made *m)
{
    struct nn_param *p;
    struct err e = {0};
    assert_int_equal(nn_params_add_made(ps, "w", m->v.dims, NULL, NULL, &p, &e), ERR_OK);
    m->v.stored = &m->stored;
    p->view = m->v;
    return p;
}

static struct nn_params *new_params(struct nn_device *d)
{
    struct nn_params *ps;
    struct err e = {0};
    assert_int_equal(nn_params_new(NULL, d, NN_PRECISION_STORED, &ps, &e), ERR_OK);
    return ps;
}

static void must_engage(struct nn_params *ps)
{
    struct err e = {0};
    if (nn_params_engage(ps, &e) != ERR_OK)
        fail_msg("%s", e.text);
}

/* ---- numbers --------------------------------------------------------------------------------------------- */

static void cards_hold_what_their_kernel_unpacks(void **state)
{
    (void)state;
    for (int t = DTYPE_F64; t < DTYPE_COUNT; t++) {
        const struct weights_view v = {
            .dtype = (enum dtype)t, .n_dims = 2, .dims = {2, 256}, .scale = 1};
        enum dtype held = weights_held(&v, WEIGHTS_NVIDIA);
        if (nv_stored_kind((enum dtype)t) != NV_BLOCKS_NONE)
            assert_int_equal(held, t);
        else
            assert_int_equal(held, DTYPE_BF16);
    }
}

/* Unpacks rows 1 to 4 of 5, so that they do not begin where the matrix does. */
static void expect_numbers(struct nn_device *d, enum dtype t)
{
    enum { ROWS = 5, COLUMNS = 1280, FROM = 1, N = 4 };
    struct made m = make(t, ROWS, COLUMNS), want = as_bf16(&m);
    struct nn_params *ps = new_params(d);
    struct nn_param *p = declare(ps, &m);
    struct nv_card *card = nn_device_card(d);
    struct nv_memory room;
    struct err e = {0};
    static uint16_t have[N * COLUMNS];
    const void *at;
    must_engage(ps);
    assert_int_equal(ggml_nbytes(p->t), m.v.bytes);
    assert_int_equal(nv_memory_new(card, sizeof have, &room, &e), ERR_OK);
    const struct nv_job j = {.card = card, .e = &e};
    assert_int_equal(nv_stored_rows(&j, p->t, FROM, N, room.p, &at, &e), ERR_OK);
    assert_int_equal((uintptr_t)at, room.p);
    assert_int_equal(nv_read(card, have, room.p, sizeof have, &e), ERR_OK);
    const unsigned char *row1 = want.bytes + FROM * COLUMNS * sizeof have[0];
    for (size_t i = 0; i < N * COLUMNS; i++)
        if (memcmp(&have[i], row1 + i * sizeof have[0], sizeof have[0]) != 0)
            fail_msg("%s: number %zu", dtype_info(t)->name, i);
    nv_memory_free(card, &room);
    nn_params_free(ps);
    drop(&m);
    drop(&want);
}

static void numbers_are_those_of_the_hosts_conversion(void **state)
{
    (void)state;
    int n = 0;
    struct nn_device *d = must_open();
    for (int t = DTYPE_F64; t < DTYPE_COUNT; t++)
        if (nv_stored_kind((enum dtype)t) != NV_BLOCKS_NONE) {
            expect_numbers(d, (enum dtype)t);
            n++;
        }
    assert_int_equal(n, NV_BLOCKS_KINDS - 1);
    nn_device_close(d);
}

/* ---- products -------------------------------------------------------------------------------------------- */

struct net {
    struct nn_device *d;
    struct nn_graph g;
    struct nn_params *ps;
    struct nn_param *w[MAX_MADE];
    int tokens;
};

typedef struct ggml_tensor *(*build_fn)(struct net *n, struct ggml_tensor *x);

static void fill_floats(float *f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        f[i] = (float)(int)(i * 37 % 101) / 64 - 0.75f;
}

/* Runs what is built of these matrices. */
static float *run(struct made *m, int n, int tokens, const struct nn_placement *place,
                  build_fn build, size_t *count)
{
    struct net net = {.d = must_open(), .tokens = tokens};
    struct err e = {0};
    net.ps = new_params(net.d);
    for (int i = 0; i < n; i++) {
        nn_params_set_group(net.ps, place ? i + 1 : 0);
        net.w[i] = declare(net.ps, &m[i]);
    }
    if (place)
        nn_params_place(net.ps, *place);
    must_engage(net.ps);
    nn_graph_init(&net.g, net.d, false);
    int64_t dim = m[0].v.dims[1];
    struct ggml_tensor *x = nn_input(&net.g, dim, tokens, 1, 1), *y = build(&net, x);
    nn_graph_output(&net.g, y);
    if (nn_graph_prepare(&net.g, &e) != ERR_OK)
        fail_msg("%s", e.text);
    float *f = room_for((size_t)(dim * tokens) * sizeof *f);
    fill_floats(f, (size_t)(dim * tokens));
    nn_graph_set(&net.g, x, f);
    free(f);
    if (nn_graph_run(&net.g, NULL, &e) != ERR_OK)
        fail_msg("%s", e.text);
    *count = (size_t)ggml_nelements(y);
    float *out = calloc(*count, sizeof *out);
    nn_graph_get(&net.g, y, out);
    nn_graph_deinit(&net.g);
    nn_params_free(net.ps);
    nn_device_close(net.d);
    return out;
}

/* To the bit what the same numbers in bf16 give, whatever the kernels. */
static void expect_as_bf16(struct made *m, int n, build_fn build)
{
    static const int tokens[] = {3, 20};
    static const char *const architectures[] = {"90", "80"};
    struct made wide[MAX_MADE];
    for (int i = 0; i < n; i++)
        wide[i] = as_bf16(&m[i]);
    for (int a = 0; a < 2; a++)
        for (int t = 0; t < 2; t++) {
            size_t have_n, want_n;
            (void)setenv("VEETANCE_CUDA_ARCH", architectures[a], 1);
            float *have = run(m, n, tokens[t], NULL, build, &have_n);
            float *want = run(wide, n, tokens[t], NULL, build, &want_n);
            assert_int_equal(have_n, want_n);
            assert_memory_equal(have, want, have_n * sizeof *have);
            free(have);
            free(want);
        }
    for (int i = 0; i < n; i++) {
        drop(&wide[i]);
        drop(&m[i]);
    }
}

static struct ggml_tensor *one_layer(struct net *n, struct ggml_tensor *x)
{
    return nn_linear(&n->g, n->w[0], NULL, x);
}

static struct ggml_tensor *halves(struct net *n, struct ggml_tensor *x)
{
    return nn_linear(&n->g, n->w[1], NULL, nn_linear_swiglu_in(&n->g, n->w[0], x));
}

static struct ggml_tensor *two_matrices(struct net *n, struct ggml_tensor *x)
{
    return nn_linear_gate_add(&n->g, n->w[2], NULL,
                              nn_linear_silu_mul_in(&n->g, n->w[0], n->w[1], x), NULL, x);
}

static struct ggml_tensor *heads(struct net *n, struct ggml_tensor *x)
{
    enum { HEAD = 128 };
    struct nn_projections p = {.head_dim = HEAD, .eps = 1e-6f, .mode = NN_ROPE_PAIRS};
    struct ggml_tensor *table = ggml_view_2d(nn_ctx(&n->g), x, HEAD / 2, x->ne[1], x->nb[1], 0);
    p.cos = p.sin = ggml_cont(nn_ctx(&n->g), table);
    p.q.w = n->w[0];
    p.k.w = n->w[1];
    p.v.w = n->w[2];
    struct nn_qkv h = nn_project(&n->g, x, &p);
    return nn_attention(&n->g, h.q, h.k, h.v, NULL, 0.09f);
}

static void products_are_those_of_bf16(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_Q5_0, DTYPE_Q6_K, DTYPE_F8_E4M3, DTYPE_I8};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct made m[3] = {make(types[i], 256, 256)};
        if (!dtype_info(types[i])->quantised)
            add_row_scales(&m[0]);
        expect_as_bf16(m, 1, one_layer);
        m[0] = make(types[i], 512, 256);
        m[1] = make(types[i], 64, 256);
        m[1].v.scale = dtype_info(types[i])->quantised ? 1 : 0.5f;
        expect_as_bf16(m, 2, halves);
        for (int k = 0; k < 3; k++) {
            m[k] = make(types[i], 256, 256);
            if (!dtype_info(types[i])->quantised)
                m[k].v.scale = 0.25f * (float)(k + 1);
        }
        if (!dtype_info(types[i])->quantised)
            add_row_scales(&m[1]);
        expect_as_bf16(m, 3, heads);
    }
}

static void heads_of_scaled_weights_are_one_launch_behind_unpacking(void **state)
{
    (void)state;
    struct made m[3], wide[3];
    const struct fake_cuda *fake = fake_card_driver();
    long launches[2], before;
    size_t n;
    for (int i = 0; i < 3; i++) {
        m[i] = make(DTYPE_F8_E4M3, 256, 256);
        wide[i] = as_bf16(&m[i]);
        m[i].v.scale = 0.5f;
    }
    for (int i = 0; i < 2; i++) {
        before = fake->launches;
        free(run(i ? wide : m, 3, 20, NULL, heads, &n));
        launches[i] = fake->launches - before;
    }
    assert_int_equal(launches[0], launches[1] + 3);
    for (int i = 0; i < 3; i++) {
        drop(&m[i]);
        drop(&wide[i]);
    }
}

static void matrices_of_several_types_and_scales_meet(void **state)
{
    (void)state;
    struct made s[3] = {make(DTYPE_F8_E4M3, 256, 256), make(DTYPE_F8_E4M3, 256, 256),
                        make(DTYPE_I8, 256, 256)};
    s[0].v.scale = 0.5f;
    s[1].v.scale = 0.03f;
    expect_as_bf16(s, 3, two_matrices);
    struct made m[3] = {make(DTYPE_Q4_K, 256, 256), make(DTYPE_Q6_K, 256, 256),
                        make(DTYPE_BF16, 256, 256)};
    for (size_t i = 0; i < m[2].v.bytes; i += 2)
        m[2].bytes[i + 1] = 0x3d;
    expect_as_bf16(m, 3, two_matrices);
}

/* ---- scratch --------------------------------------------------------------------------------------------- */

static size_t scratch_of(enum ggml_type type, int64_t k, int64_t rows, int64_t n)
{
    struct ggml_init_params init = {.mem_size = 2 * ggml_tensor_overhead(), .no_alloc = true};
    struct ggml_context *ctx = ggml_init(init);
    struct nn_param p = {.t = ggml_new_tensor_2d(ctx, type, k, rows), .scale = 1};
    p.view.dtype = type == GGML_TYPE_BF16 ? DTYPE_BF16 : DTYPE_Q4_K;
    nv_stored_mark(&p);
    size_t bytes = nv_stored_scratch(p.t, NULL, n);
    ggml_free(ctx);
    return bytes;
}

static void scratch_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(scratch_of(GGML_TYPE_BF16, 4096, 4096, 4096), 0);
    assert_int_equal(scratch_of(GGML_TYPE_Q4_K, 4096, 4096, 4096), 4096 * 4096 * 2);
    for (int64_t n = 256; n < 40000; n += 1111) {
        size_t one = scratch_of(GGML_TYPE_Q4_K, 4096, n, n);
        assert_true(one > 0 && one <= NV_UNPACKED_BYTES);
        assert_true(scratch_of(GGML_TYPE_Q4_K, 4096, 2 * n, n) <= NV_UNPACKED_BYTES);
    }
    /* Two equal bands rather than one that is full and one that is not. */
    assert_int_equal(scratch_of(GGML_TYPE_Q4_K, 4096, 24576, 24576), 12288 * 4096 * 2);
}

static void what_exceeds_scratch_is_multiplied_in_bands(void **state)
{
    (void)state;
    struct made m = make(DTYPE_Q8_0, 33000, 2304), wide = as_bf16(&m);
    size_t n;
    assert_true(m.v.dims[0] * m.v.dims[1] * 2 > NV_UNPACKED_BYTES);
    float *have = run(&m, 1, 1, NULL, one_layer, &n), *want = run(&wide, 1, 1, NULL, one_layer, &n);
    assert_memory_equal(have, want, n * sizeof *have);
    free(have);
    free(want);
    drop(&m);
    drop(&wide);
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

static void a_model_takes_what_its_file_takes(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_Q5_0, DTYPE_Q4_K,   DTYPE_F8_E4M3,
                                       DTYPE_I8,   DTYPE_IQ4_XS, DTYPE_NVFP4};
    enum { N = sizeof types / sizeof types[0] };
    struct nn_device *d = must_open();
    struct nn_params *ps = new_params(d);
    struct nn_params_sizes sizes;
    struct nn_widened wide;
    struct made m[N];
    struct err e = {0};
    uint64_t file = 0;
    for (int i = 0; i < N; i++) {
        m[i] = make(types[i], 512, 1024);
        nn_params_set_group(ps, i);
        (void)declare(ps, &m[i]);
        file += m[i].v.bytes;
    }
    assert_int_equal(nn_params_sizes(ps, &sizes, &e), ERR_OK);
    assert_int_equal(sizes.total, file);
    size_t before = fake_card_driver()->held;
    must_engage(ps);
    assert_int_equal(nn_params_device_bytes(ps), file);
    assert_true(fake_card_driver()->held - before >= file);
    nn_params_widened(ps, &wide);
    assert_int_equal(wide.bytes, 0);
    nn_params_free(ps);
    for (int i = 0; i < N; i++)
        drop(&m[i]);
    nn_device_close(d);
}

static struct ggml_tensor *chain(struct net *n, struct ggml_tensor *x)
{
    for (int i = 0; i < 6; i++)
        x = nn_rms_norm(&n->g, nn_linear(&n->g, n->w[i], NULL, x), NULL, 1e-6f);
    return x;
}

static void streamed_is_as_resident(void **state)
{
    (void)state;
    static const enum dtype types[] = {DTYPE_Q5_0,    DTYPE_Q4_K, DTYPE_F8_E5M2,
                                       DTYPE_F8_E4M3, DTYPE_I8,   DTYPE_Q3_K};
    enum { N = sizeof types / sizeof types[0] };
    static const struct nn_placement streamed = {.resident = 1, .slots = 2};
    struct made m[N];
    size_t n;
    for (int i = 0; i < N; i++)
        m[i] = make(types[i], 256, 256);
    add_row_scales(&m[4]);
    float *want = run(m, N, 20, NULL, chain, &n), *have = run(m, N, 20, &streamed, chain, &n);
    assert_memory_equal(have, want, n * sizeof *have);
    free(have);
    free(want);
    for (int i = 0; i < N; i++)
        drop(&m[i]);
}

/* ---- what is no number ----------------------------------------------------------------------------------- */

static void expect_refused(struct nn_device *d, enum dtype t, size_t at, unsigned char byte)
{
    struct made m = make(t, 3, 1024);
    struct nn_params *ps = new_params(d);
    struct err e = {0};
    (void)declare(ps, &m);
    m.bytes[m.v.bytes - dtype_info(t)->block_bytes + at] = byte;
    assert_int_equal(nn_params_engage(ps, &e), ERR_NUMERIC);
    assert_non_null(strstr(e.text, "'w' (stored as 'stored')"));
    nn_params_free(ps);
    drop(&m);
}

static void nan_is_refused_by_name(void **state)
{
    (void)state;
    struct nn_device *d = must_open();
    expect_refused(d, DTYPE_Q5_0, 1, 0x7c);
    expect_refused(d, DTYPE_Q4_K, 3, 0xfc);
    expect_refused(d, DTYPE_Q6_K, 209, 0x7e);
    expect_refused(d, DTYPE_MXFP4, 0, 0xff);
    expect_refused(d, DTYPE_NVFP4, 3, 0x7f);
    expect_refused(d, DTYPE_F8_E4M3, 0, 0xff);
    expect_refused(d, DTYPE_F8_E5M2, 0, 0x7d);
    nn_device_close(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cards_hold_what_their_kernel_unpacks),
        TEST(numbers_are_those_of_the_hosts_conversion),
        TEST(products_are_those_of_bf16),
        TEST(heads_of_scaled_weights_are_one_launch_behind_unpacking),
        TEST(matrices_of_several_types_and_scales_meet),
        TEST(scratch_is_bounded),
        TEST(what_exceeds_scratch_is_multiplied_in_bands),
        TEST(a_model_takes_what_its_file_takes),
        TEST(streamed_is_as_resident),
        TEST(nan_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
