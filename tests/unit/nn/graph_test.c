/* Graphs grow with what is put into them: no number of nodes, leafs or traced results is too many. */
#include "help.h"

enum { MANY = 20000 };

/* ggml puts nodes in order by recursion, so that long chains are added a part at a time. */
static struct ggml_tensor *add_up(struct test_graph *b, struct ggml_tensor *x, int times)
{
    struct ggml_tensor *y = x;
    for (int i = 1; i < times; i++) {
        y = ggml_add(nn_ctx(&b->g), y, x);
        if (i % 100 == 0)
            nn_graph_add(&b->g, y);
    }
    return y;
}

static void a_graph_takes_any_number_of_nodes(void **state)
{
    (void)state;
    struct test_graph b;
    const float one[4] = {1, 2, 3, 4};
    graph_open(&b, 1);
    struct ggml_tensor *x = graph_input(&b, one, 4, 1, 1);
    float *y = graph_result(&b, add_up(&b, x, MANY));
    for (int i = 0; i < 4; i++)
        assert_float_equal(y[i], (float)MANY * one[i], 0.0f);
    mem_free(y);
    graph_close(&b);
}

static void a_graph_takes_any_number_of_leafs(void **state)
{
    (void)state;
    struct test_graph b;
    const float one = 1;
    graph_open(&b, 1);
    struct ggml_init_params init = {.mem_size = MANY * ggml_tensor_overhead(), .no_alloc = true};
    struct ggml_context *others = ggml_init(init); /* as parameters are */
    struct ggml_tensor *sum = graph_input(&b, &one, 1, 1, 1);
    for (int i = 0; i < MANY; i++) {
        sum = ggml_add(nn_ctx(&b.g), sum, ggml_new_tensor_1d(others, GGML_TYPE_F32, 1));
        if (i % 100 == 0)
            nn_graph_add(&b.g, sum);
    }
    ggml_backend_buffer_t buffer =
        ggml_backend_alloc_ctx_tensors(others, nn_device_backend(b.device));
    assert_non_null(buffer);
    ggml_backend_buffer_clear(buffer, 0);
    float *y = graph_result(&b, sum);
    assert_float_equal(y[0], 1.0f, 0.0f);
    mem_free(y);
    graph_close(&b);
    ggml_backend_buffer_free(buffer);
    ggml_free(others);
}

static void every_traced_result_is_kept(void **state)
{
    (void)state;
    enum { MIDS = 3000 };
    struct test_graph b;
    const float one = 1;
    float f;
    graph_open(&b, 1);
    b.g.trace = true;
    struct ggml_tensor *x = graph_input(&b, &one, 1, 1, 1), *y = x;
    for (int i = 0; i < MIDS; i++) {
        y = ggml_add(nn_ctx(&b.g), y, x);
        nn_mid(&b.g, y, "mid.%d", i);
    }
    mem_free(graph_result(&b, y));
    assert_int_equal(b.g.n_mids, MIDS);
    nn_graph_get(&b.g, b.g.mids[MIDS - 1].t, &f);
    assert_float_equal(f, MIDS + 1, 0.0f);
    assert_string_equal(b.g.mids[MIDS - 1].name, "mid.2999");
    graph_close(&b);
}

struct told {
    int n;
    double last, largest_step;
};

static void on_done(void *user, double done)
{
    struct told *t = user;
    assert_true(done >= t->last && done <= 1);
    if (done - t->last > t->largest_step)
        t->largest_step = done - t->last;
    t->last = done;
    t->n++;
}

/* Views between operations are no operations: what is told neither runs ahead of them nor stays behind. */
static void who_watches_is_told_operation_by_operation(void **state)
{
    (void)state;
    enum { OPERATIONS = 50 };
    struct test_graph b;
    struct err e = {0};
    struct told t = {0};
    const struct nn_watch watch = {on_done, &t};
    float f[64] = {1};
    graph_open(&b, 1);
    struct ggml_tensor *x = graph_input(&b, f, 64, 1, 1), *y = x;
    for (int i = 0; i < OPERATIONS; i++) {
        y = ggml_sin(nn_ctx(&b.g), y);
        y = ggml_reshape_1d(nn_ctx(&b.g), ggml_reshape_2d(nn_ctx(&b.g), y, 8, 8), 64);
    }
    mem_free(graph_result(&b, y)); /* nobody watches */
    assert_int_equal(t.n, 0);
    nn_device_set_watch(b.device, &watch);
    assert_int_equal(nn_graph_run(&b.g, NULL, &e), ERR_OK);
    assert_in_range(t.n, OPERATIONS, OPERATIONS + 1); /* and the end */
    assert_true(fabs(t.largest_step - 1.0 / OPERATIONS) < 1e-6);
    assert_true(t.last == 1);
    /* The second half of something larger. */
    t = (struct told){0};
    nn_device_set_watch(b.device, &watch);
    nn_device_set_span(b.device, nn_span_part(nn_device_span(b.device), 0.5, 0.5));
    assert_int_equal(nn_graph_run(&b.g, NULL, &e), ERR_OK);
    assert_true(fabs(t.largest_step - 0.5 - 0.5 / OPERATIONS) < 1e-6); /* the first */
    assert_true(t.last == 1);
    nn_device_set_watch(b.device, NULL);
    assert_int_equal(nn_graph_run(&b.g, NULL, &e), ERR_OK);
    assert_in_range(t.n, OPERATIONS, OPERATIONS + 1);
    graph_close(&b);
}

static void a_graph_without_memory_says_so(void **state)
{
    (void)state;
    struct test_graph b;
    struct err e = {0};
    const float one = 1;
    graph_open(&b, 1);
    struct ggml_tensor *x = graph_input(&b, &one, 1, 1, 1);
    mem_fail_after(1);
    nn_graph_output(&b.g, ggml_add(nn_ctx(&b.g), x, x));
    mem_fail_after(0);
    assert_int_equal(nn_graph_prepare(&b.g, &e), ERR_NOMEM);
    graph_close(&b);
}

/* Attention of many tokens goes in many bands, most of all where float32 is asked for. */
static void attention_of_any_size_is_measured(void **state)
{
    (void)state;
    static const int64_t tokens[] = {1, 17, 4096, 16896, 40000};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        for (int k = 0; k < 4; k++) {
            struct test_graph b;
            struct err e = {0};
            size_t bytes;
            graph_open(&b, 1);
            b.g.exact = (k & 1) != 0;
            int64_t dim = 24, heads = 8, n = tokens[i];
            struct ggml_tensor *q = nn_input(&b.g, dim, heads, n, 1);
            struct ggml_tensor *v = nn_input(&b.g, dim, heads, n, 1);
            struct ggml_tensor *mask = (k & 2) != 0 ? nn_input(&b.g, n, n, 1, 1) : NULL;
            nn_graph_output(&b.g, nn_attention(&b.g, q, q, v, mask, 0.2f));
            assert_int_equal(nn_graph_measure(&b.g, &bytes, &e), ERR_OK);
            assert_true(bytes >= (size_t)(dim * heads * n) * sizeof(float));
            graph_close(&b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_takes_any_number_of_nodes),
        cmocka_unit_test(a_graph_takes_any_number_of_leafs),
        cmocka_unit_test(every_traced_result_is_kept),
        cmocka_unit_test(who_watches_is_told_operation_by_operation),
        cmocka_unit_test(a_graph_without_memory_says_so),
        cmocka_unit_test(attention_of_any_size_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
