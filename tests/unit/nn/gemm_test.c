/* Our own products against a loop in float64, on odd sizes; and that a row's bits depend on nothing but itself. */
#include "help.h"

#include "nn/cpu/gemm.h"

enum { GAP = 3, MOST = 40 * 600 };

/* C of [rows, cols] with gaps between rows, from B as rows (packed from float32 or bf16) or plain. */
struct sample {
    int64_t rows, cols, k;
    bool bf16, plain, add;
};

struct arrays {
    float *a, *b, *packed, *c, *scratch;
    uint16_t *half;
};

static float *aligned(size_t n)
{
    float *f = mem_try_aligned(64, n * sizeof *f);
    assert_non_null(f);
    return f;
}

static void arrays_init(struct arrays *x)
{
    x->a = numbers(MOST, 1);
    x->b = numbers(MOST, 2);
    x->c = numbers(MOST, 3);
    x->packed = aligned(2 * MOST);
    x->scratch = aligned(GEMM_SCRATCH);
    x->half = mem_try_array(MOST, sizeof *x->half);
    assert_non_null(x->half);
    for (int i = 0; i < MOST; i++) {
        x->half[i] = dtype_f32_to_bf16(x->b[i]);
        x->b[i] = bf16_round(x->b[i]);
    }
}

static void arrays_deinit(struct arrays *x)
{
    mem_free(x->a);
    mem_free(x->b);
    mem_free(x->c);
    mem_free(x->packed);
    mem_free(x->scratch);
    mem_free(x->half);
}

static double multiply_ref(const struct sample *s, const struct arrays *x, int64_t row, int64_t col)
{
    double sum = 0;
    for (int64_t i = 0; i < s->k; i++) {
        double b =
            (double)(s->plain ? x->b[i * (s->cols + GAP) + col] : x->b[col * (s->k + GAP) + i]);
        sum += (double)x->a[row * (s->k + GAP) + i] * b;
    }
    return sum;
}

static void multiply(const struct gemm *g, const struct sample *s, const struct arrays *x,
                     int64_t row, int64_t rows, float *c)
{
    const struct gemm_pack p = {
        .from = s->bf16 ? (const void *)x->half : x->b,
        .ld = (s->plain ? s->cols : s->k) + GAP,
        .cols = s->cols,
        .k = s->k,
        .bf16 = s->bf16,
        .to = x->packed,
    };
    assert_true(gemm_packed(s->cols, s->k) <= 2 * MOST);
    if (s->plain)
        g->pack_plain(&p);
    else
        g->pack(&p);
    g->multiply(&(struct gemm_job){
        .a = x->a + row * (s->k + GAP),
        .b = x->packed,
        .c = c,
        .lda = s->k + GAP,
        .ldc = s->cols + GAP,
        .rows = rows,
        .cols = s->cols,
        .k = s->k,
        .add = s->add,
        .scratch = x->scratch,
    });
}

static void check(const struct gemm *g, const struct sample *s)
{
    struct arrays x;
    arrays_init(&x);
    int64_t ldc = s->cols + GAP;
    float *c = numbers((size_t)(s->rows * ldc), 3);
    multiply(g, s, &x, 0, s->rows, c);
    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t i = 0; i < ldc; i++) {
            double before = (double)x.c[r * ldc + i];
            double want =
                i >= s->cols ? before : multiply_ref(s, &x, r, i) + (s->add ? before : 0.0);
            double off = fabs((double)c[r * ldc + i] - want);
            if (!(off < 1e-4))
                fail_msg("%lld x %lld x %lld: %g instead of %g", (long long)s->rows,
                         (long long)s->cols, (long long)s->k, (double)c[r * ldc + i], want);
        }
    float *alone = numbers((size_t)ldc, 4);
    for (int64_t r = 0; r < s->rows; r++) {
        memcpy(alone, x.c + r * ldc, (size_t)ldc * sizeof *alone);
        multiply(g, s, &x, r, 1, alone);
        assert_memory_equal(alone, c + r * ldc, (size_t)s->cols * sizeof *alone);
    }
    mem_free(alone);
    mem_free(c);
    arrays_deinit(&x);
}

static void product_agrees_with_a_plain_loop_when_sizes_are_odd(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1},     {6, 16, 8},    {7, 17, 9},   {5, 15, 7},
                                       {13, 33, 512}, {12, 40, 100}, {1, 24, 511}, {30, 8, 64}};
    const struct gemm *g = gemm_get();
    for (size_t i = 0; g && i < sizeof sizes / sizeof sizes[0]; i++)
        for (int how = 0; how < 6; how++) {
            struct sample s = {.rows = sizes[i][0],
                               .cols = sizes[i][1],
                               .k = sizes[i][2],
                               .bf16 = how / 2 == 1,
                               .plain = how / 2 == 2,
                               .add = how % 2 == 1};
            check(g, &s);
        }
}

/* All bytes at the ends of their ranges: sums of four just fit into 16 bits. */
static void check_bytes(const struct gemm *g, int64_t rows, int64_t cols, int64_t k, bool ends)
{
    int64_t depth = (k + GEMM_BYTES - 1) / GEMM_BYTES * GEMM_BYTES, lda = depth + 64;
    uint8_t *a = mem_try_array((size_t)(rows * lda), 1);
    int8_t *b = mem_try_array((size_t)(cols * depth), 1);
    int32_t *c = mem_try_array((size_t)(rows * cols), sizeof *c);
    float *r = numbers((size_t)(rows * k), 7), *q = numbers((size_t)(cols * k), 8);
    float *packed = aligned(gemm_packed(cols, depth / 4));
    assert_true(a && b && c);
    for (int64_t i = 0; i < rows * k; i++)
        a[i / k * lda + i % k] = ends ? 127 : (uint8_t)(63.5f + 63.5f * r[i]);
    for (int64_t i = 0; i < cols * k; i++)
        b[i / k * depth + i % k] = ends ? (i / k % 2 ? 63 : -63) : (int8_t)(63.0f * q[i]);
    g->pack(&(struct gemm_pack){
        .from = b, .ld = depth / 4, .cols = cols, .k = depth / 4, .to = packed});
    g->multiply_bytes(&(struct gemm_bytes_job){.a = a,
                                               .b = packed,
                                               .c = c,
                                               .lda = lda,
                                               .ldc = cols,
                                               .rows = rows,
                                               .cols = cols,
                                               .k = depth});
    for (int64_t i = 0; i < rows; i++)
        for (int64_t o = 0; o < cols; o++) {
            int32_t want = 0;
            for (int64_t x = 0; x < k; x++)
                want += a[i * lda + x] * b[o * depth + x];
            assert_int_equal(c[i * cols + o], want);
        }
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(r);
    mem_free(q);
    mem_free(packed);
}

static void product_of_bytes_is_exact_when_sizes_are_odd(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1},    {4, 16, 8},    {5, 17, 9}, {3, 15, 7},
                                       {9, 33, 500}, {7, 40, 4500}, {8, 24, 64}};
    const struct gemm *g = gemm_get();
    for (size_t i = 0; g && i < sizeof sizes / sizeof sizes[0]; i++)
        for (int ends = 0; ends < 2; ends++)
            check_bytes(g, sizes[i][0], sizes[i][1], sizes[i][2], ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_of_bytes_is_exact_when_sizes_are_odd),
        cmocka_unit_test(product_agrees_with_a_plain_loop_when_sizes_are_odd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
