/* Rotary tables of several axes: the same values, to the bit, as computing each one. */
#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "model/rotary.h"

enum { AXES = 3, HALF = 6, TOKENS = 1200 };

static const int64_t dims[AXES] = {2, 4, 6};

struct counted {
    long *calls;
    float factor;
};

static void turn(const void *user, int axis, int64_t i, int64_t position, float *c, float *s)
{
    const struct counted *u = user;
    float angle = (float)position / powf(u->factor, (float)i / (float)dims[axis]);
    ++*u->calls;
    *c = cosf(angle);
    *s = sinf(angle);
}

static void position_of(int64_t t, int64_t out[AXES])
{
    out[0] = t < 900 ? -1 : 7;           /* the same for many */
    out[1] = t / 40 - 15;                /* rows, below 0 too */
    out[2] = t % 2 ? t * 256 % 1024 : 5; /* several with the same low bits */
}

static void a_table_has_each_tokens_own_values(void **state)
{
    (void)state;
    static float cos[TOKENS * HALF], sin[TOKENS * HALF];
    long calls = 0, ignored = 0;
    const struct counted user = {&calls, 50.0f}, own = {&ignored, 50.0f};
    struct model_rotary r = {
        .dims = dims, .axes = AXES, .cos = cos, .sin = sin, .turn = turn, .user = &user};
    int64_t at[AXES];
    for (int64_t t = 0; t < TOKENS; t++) {
        position_of(t, at);
        model_rotary_append(&r, at);
    }
    assert_int_equal(r.n, TOKENS);
    assert_true(calls < TOKENS * HALF / 2);
    for (int64_t t = 0, v = 0; t < TOKENS; t++) {
        position_of(t, at);
        for (int a = 0; a < AXES; a++)
            for (int64_t i = 0; i < dims[a]; i += 2, v++) {
                float c, s;
                turn(&own, a, i, at[a], &c, &s);
                assert_true(cos[v] == c && sin[v] == s);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_table_has_each_tokens_own_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
