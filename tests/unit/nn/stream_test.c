/* Blocks that flow through slots: in order, out of order, and when loading fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>

#include "nn/stream.h"

enum { BLOCKS = 7 };

struct shelf {
    int slots;
    atomic_int held[BLOCKS]; /* by slot: the block that was loaded there last */
    atomic_int loads;
    atomic_int fail_block; /* -1: none */
};

static enum err_code load(void *user, int block, struct err *e)
{
    struct shelf *s = user;
    atomic_fetch_add(&s->loads, 1);
    if (atomic_load(&s->fail_block) == block)
        return err_set(e, ERR_IO, "block %d cannot be read", block);
    atomic_store(&s->held[block % s->slots], block);
    return ERR_OK;
}

static struct nn_stream *start(struct shelf *s, int slots)
{
    struct nn_stream *stream;
    struct err e = {0};
    s->slots = slots;
    atomic_store(&s->fail_block, -1);
    struct nn_stream_spec spec = {.blocks = BLOCKS, .slots = slots, .load = load, .user = s};
    assert_int_equal(nn_stream_start(&spec, &stream, &e), ERR_OK);
    return stream;
}

static void use(struct nn_stream *stream, struct shelf *s, int block)
{
    struct err e = {0};
    assert_int_equal(nn_stream_acquire(stream, block, &e), ERR_OK);
    assert_int_equal(atomic_load(&s->held[block % s->slots]), block);
    nn_stream_done(stream, block);
}

static void every_block_is_there_when_it_is_used(void **state)
{
    (void)state;
    for (int slots = 1; slots <= BLOCKS; slots++) {
        struct shelf s = {0};
        struct nn_stream *stream = start(&s, slots);
        for (int pass = 0; pass < 3; pass++)
            for (int b = 0; b < BLOCKS; b++)
                use(stream, &s, b);
        nn_stream_stop(stream);
        assert_true(atomic_load(&s.loads) <= 3 * BLOCKS + slots);
    }
}

static void a_held_block_is_not_overwritten_while_others_come(void **state)
{
    (void)state;
    struct shelf s = {0};
    struct err e = {0};
    struct nn_stream *stream = start(&s, 2);
    for (int b = 0; b + 1 < BLOCKS; b++) { /* two are alive at a time */
        assert_int_equal(nn_stream_acquire(stream, b, &e), ERR_OK);
        assert_int_equal(nn_stream_acquire(stream, b + 1, &e), ERR_OK);
        assert_int_equal(atomic_load(&s.held[b % 2]), b);
        assert_int_equal(atomic_load(&s.held[(b + 1) % 2]), b + 1);
        nn_stream_done(stream, b);
    }
    nn_stream_done(stream, BLOCKS - 1);
    nn_stream_stop(stream);
}

static void order_starts_anew_when_a_block_is_asked_for_out_of_turn(void **state)
{
    (void)state;
    struct shelf s = {0};
    struct nn_stream *stream = start(&s, 2);
    static const int order[] = {0, 1, 2, 0, 1, 5, 6, 0, 3, 3, 2, 1, 0, 6, 4};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        use(stream, &s, order[i]);
    nn_stream_stop(stream);
}

static void failed_load_is_reported_once_and_tried_again(void **state)
{
    (void)state;
    struct shelf s = {0};
    struct err e = {0};
    struct nn_stream *stream = start(&s, 2);
    atomic_store(&s.fail_block, 3);
    for (int b = 0; b < 3; b++)
        use(stream, &s, b);
    assert_int_equal(nn_stream_acquire(stream, 3, &e), ERR_IO);
    assert_string_equal(e.text, "block 3 cannot be read");
    atomic_store(&s.fail_block, -1);
    for (int b = 0; b < BLOCKS; b++)
        use(stream, &s, b);
    nn_stream_stop(stream);
}

/* A run that was stopped half way: what was loaded ahead for it is nobody's business any more. */
static void failed_load_is_forgotten_when_another_block_is_asked_for(void **state)
{
    (void)state;
    struct shelf s = {0};
    struct nn_stream *stream = start(&s, 2);
    atomic_store(&s.fail_block, 3);
    for (int b = 0; b < 3; b++)
        use(stream, &s, b);
    while (atomic_load(&s.loads) < 4)
        (void)sched_yield();
    use(stream, &s, 5);
    use(stream, &s, 0);
    nn_stream_stop(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_is_there_when_it_is_used),
        cmocka_unit_test(a_held_block_is_not_overwritten_while_others_come),
        cmocka_unit_test(order_starts_anew_when_a_block_is_asked_for_out_of_turn),
        cmocka_unit_test(failed_load_is_reported_once_and_tried_again),
        cmocka_unit_test(failed_load_is_forgotten_when_another_block_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
