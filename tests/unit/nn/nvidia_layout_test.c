#include "nn/nvidia/layout.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ggml.h>

enum { ITEMS = 300, NODES = 64 };

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static bool overlap(const struct nv_layout_item *a, const struct nv_layout_item *b)
{
    bool in_time = a->first <= b->last && b->first <= a->last;
    return in_time && a->at < b->at + b->bytes && b->at < a->at + a->bytes;
}

static void items_needed_together_lie_apart(void **state)
{
    (void)state;
    static struct nv_layout_item items[ITEMS];
    struct err e = {0};
    uint32_t seed = 7;
    for (int round = 0; round < 20; round++) {
        size_t bytes, sum = 0, live = 0;
        for (int i = 0; i < ITEMS; i++) {
            int first = (int)(next(&seed) % 200);
            items[i] = (struct nv_layout_item){.bytes = NV_ALIGN * (next(&seed) % 50),
                                               .first = first,
                                               .last = first + (int)(next(&seed) % 30)};
            sum += items[i].bytes;
        }
        assert_int_equal(nv_layout_pack(items, ITEMS, &bytes, &e), ERR_OK);
        for (int i = 0; i < ITEMS; i++)
            for (int j = 0; j < i; j++)
                assert_false(items[i].bytes && items[j].bytes && overlap(&items[i], &items[j]));
        for (int t = 0; t < 230; t++) {
            size_t now = 0;
            for (int i = 0; i < ITEMS; i++)
                now += items[i].first <= t && t <= items[i].last ? items[i].bytes : 0;
            live = now > live ? now : live;
        }
        assert_true(bytes >= live && bytes < sum);
        assert_true(bytes < live + live / 4); /* first fit by size wastes little */
    }
}

static void nothing_takes_nothing(void **state)
{
    (void)state;
    size_t bytes = 1;
    struct err e = {0};
    assert_int_equal(nv_layout_pack(NULL, 0, &bytes, &e), ERR_OK);
    assert_int_equal(bytes, 0);
}

/* ---- graphs --------------------------------------------------------------------------------------------------- */

struct fixture {
    struct ggml_context *ctx;
    struct ggml_cgraph *gf;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct ggml_init_params p = {.mem_size = NODES * ggml_tensor_overhead() +
                                             ggml_graph_overhead_custom(NODES, false),
                                 .no_alloc = true};
    f->ctx = ggml_init(p);
    f->gf = ggml_new_graph_custom(f->ctx, NODES, false);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ggml_free(f->ctx);
    free(f);
    return 0;
}

static struct ggml_tensor *input(struct fixture *f, int64_t n)
{
    struct ggml_tensor *t = ggml_new_tensor_1d(f->ctx, GGML_TYPE_F32, n);
    ggml_set_input(t);
    return t;
}

static size_t lay_out(struct fixture *f, const struct nv_layout_rules *rules, struct nv_layout **l)
{
    struct err e = {0};
    assert_int_equal(nv_layout_new(f->gf, rules, l, &e), ERR_OK);
    nv_layout_place(*l, 0x10000);
    return nv_layout_bytes(*l);
}

static void a_chain_takes_two_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct ggml_tensor *x = input(f, 1024);
    for (int i = 0; i < 10; i++)
        x = ggml_sqr(f->ctx, x);
    ggml_set_output(x);
    ggml_build_forward_expand(f->gf, x);
    struct nv_layout *l;
    assert_int_equal(lay_out(f, &(struct nv_layout_rules){0}, &l), 2 * 4096);
    nv_layout_free(l);
}

static struct ggml_tensor *first_source(const struct ggml_tensor *t)
{
    return t->src[0];
}

static void a_node_may_write_over_what_only_it_reads(void **state)
{
    struct fixture *f = *state;
    const struct nv_layout_rules rules = {.in_place = first_source};
    struct ggml_tensor *in = input(f, 1024), *x = ggml_sqr(f->ctx, in);
    struct ggml_tensor *kept = x;
    for (int i = 0; i < 5; i++)
        x = ggml_sqr(f->ctx, x);
    x = ggml_add(f->ctx, x, kept);
    ggml_set_output(x);
    ggml_build_forward_expand(f->gf, x);
    struct nv_layout *l;
    assert_int_equal(lay_out(f, &rules, &l), 2 * 4096);
    assert_ptr_equal(x->data, x->src[0]->data);        /* in place */
    assert_ptr_not_equal(kept->data, in->data);        /* an input stays as it was set */
    assert_ptr_not_equal(kept->data, x->src[0]->data); /* is read later */
    nv_layout_free(l);
}

static void views_lie_in_what_they_are_views_of(void **state)
{
    struct fixture *f = *state;
    struct ggml_tensor *x = ggml_sqr(f->ctx, input(f, 1024));
    struct ggml_tensor *v = ggml_view_1d(f->ctx, x, 512, 2048);
    struct ggml_tensor *y = ggml_sqr(f->ctx, ggml_reshape_2d(f->ctx, v, 256, 2));
    for (int i = 0; i < 3; i++)
        y = ggml_sqr(f->ctx, y);
    y = ggml_add(f->ctx, y, ggml_reshape_2d(f->ctx, v, 256, 2)); /* x is needed until here */
    ggml_set_output(y);
    ggml_build_forward_expand(f->gf, y);
    struct nv_layout *l;
    (void)lay_out(f, &(struct nv_layout_rules){0}, &l);
    assert_ptr_equal(v->data, (char *)x->data + 2048);
    for (int i = 0; i < ggml_graph_n_nodes(f->gf); i++) {
        const struct ggml_tensor *t = ggml_graph_node(f->gf, i);
        if (t->op == GGML_OP_SQR && t != x)
            assert_true((char *)t->data >= (char *)x->data + 4096 ||
                        (char *)t->data + ggml_nbytes(t) <= (char *)x->data);
    }
    nv_layout_free(l);
}

static size_t much_scratch(const struct ggml_tensor *t)
{
    return t->op == GGML_OP_ADD ? 10000 : 0;
}

static void scratch_is_a_nodes_own(void **state)
{
    struct fixture *f = *state;
    const struct nv_layout_rules rules = {.scratch = much_scratch};
    struct ggml_tensor *x = input(f, 64), *y = ggml_add(f->ctx, x, x);
    ggml_set_output(y);
    ggml_build_forward_expand(f->gf, y);
    struct nv_layout *l;
    assert_int_equal(lay_out(f, &rules, &l), 2 * 256 + 10240);
    assert_int_not_equal(nv_layout_scratch(l, 0), 0);
    assert_int_equal(nv_layout_scratch(l, 0) % NV_ALIGN, 0);
    nv_layout_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_needed_together_lie_apart),
        cmocka_unit_test(nothing_takes_nothing),
        cmocka_unit_test_setup_teardown(a_chain_takes_two_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_may_write_over_what_only_it_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(views_lie_in_what_they_are_views_of, setup, teardown),
        cmocka_unit_test_setup_teardown(scratch_is_a_nodes_own, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
