#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "http/pool.h"

/* A gate that tasks wait at, and what they have seen. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_open;
    int inside, most, order[16], n;
};

static struct gate gate;

struct job {
    struct pool_task task;
    int number;
};

static void run(struct pool_task *t)
{
    pthread_mutex_lock(&gate.lock);
    gate.order[gate.n++] = ((struct job *)(void *)t)->number;
    gate.inside++;
    gate.most = gate.inside > gate.most ? gate.inside : gate.most;
    pthread_cond_broadcast(&gate.wake);
    while (!gate.is_open)
        pthread_cond_wait(&gate.wake, &gate.lock);
    gate.inside--;
    pthread_mutex_unlock(&gate.lock);
}

static void wait_inside(int n)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.inside < n)
        pthread_cond_wait(&gate.wake, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.wake);
    pthread_mutex_unlock(&gate.lock);
}

static struct pool *begin(int threads, int max_waiting, uint64_t allowance)
{
    struct pool *p;
    struct err e = {0};
    gate = (struct gate){0};
    pthread_mutex_init(&gate.lock, NULL);
    pthread_cond_init(&gate.wake, NULL);
    assert_int_equal(pool_open(&(struct pool_options){threads, max_waiting, allowance}, &p, &e),
                     ERR_OK);
    return p;
}

static enum err_code add(struct pool *p, struct job *j, int number, uint64_t bytes)
{
    *j = (struct job){{.run = run, .bytes = bytes}, number};
    return pool_add(p, &j->task, NULL);
}

static void end(struct pool *p)
{
    open_gate();
    pool_stop(p);
    pool_free(p);
}

static void more_than_the_allowance_is_refused(void **state)
{
    (void)state;
    struct pool *p = begin(1, 4, 100);
    struct job j;
    assert_int_equal(add(p, &j, 0, 101), ERR_LIMIT);
    assert_int_equal(add(p, &j, 0, 100), ERR_OK);
    end(p);
    assert_int_equal(gate.n, 1);
}

static void memory_bounds_what_runs_at_once(void **state)
{
    (void)state;
    struct pool *p = begin(4, 8, 100);
    struct pool_state st;
    struct job j[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(add(p, &j[i], i, 50), ERR_OK);
    wait_inside(2);
    pool_state(p, &st);
    assert_int_equal(st.running, 2);
    assert_int_equal(st.waiting, 2);
    assert_int_equal(st.bytes, 100);
    end(p);
    assert_int_equal(gate.n, 4);
    assert_true(gate.most <= 2);
}

static void large_one_at_the_head_is_not_passed(void **state)
{
    (void)state;
    struct pool *p = begin(1, 8, 100);
    struct job j[3];
    assert_int_equal(add(p, &j[0], 0, 60), ERR_OK);
    wait_inside(1);
    assert_int_equal(add(p, &j[1], 1, 60), ERR_OK);
    assert_int_equal(add(p, &j[2], 2, 10), ERR_OK);
    end(p);
    for (int i = 0; i < 3; i++)
        assert_int_equal(gate.order[i], i);
}

static void too_many_that_wait_are_refused(void **state)
{
    (void)state;
    struct pool *p = begin(1, 2, 100);
    struct job j[4];
    assert_int_equal(add(p, &j[0], 0, 1), ERR_OK);
    wait_inside(1);
    assert_int_equal(add(p, &j[1], 1, 1), ERR_OK);
    assert_int_equal(add(p, &j[2], 2, 1), ERR_OK);
    assert_int_equal(add(p, &j[3], 3, 1), ERR_BUSY);
    open_gate();
    pool_stop(p);
    assert_int_equal(add(p, &j[3], 3, 1), ERR_BUSY);
    pool_free(p);
    assert_int_equal(gate.n, 3);
}

/* ---- many threads ------------------------------------------------------------------------------------- */

enum { ADDERS = 8, TASKS = 400, ALLOWANCE = 100 };

static atomic_int runs_now, bytes_now, most_runs, most_bytes;

struct counted {
    struct pool_task task;
    atomic_int runs;
    bool taken;
};

struct adder {
    struct pool *pool;
    struct counted tasks[TASKS];
    int refused;
    bool gives_up; /* at the first refusal: the pool is stopped under it */
};

static void raise_to(atomic_int *most, int now)
{
    int seen = atomic_load(most);
    while (now > seen && !atomic_compare_exchange_weak(most, &seen, now)) {
    }
}

static void run_counted(struct pool_task *t)
{
    struct counted *c = (struct counted *)(void *)t;
    int bytes = (int)t->bytes;
    raise_to(&most_runs, atomic_fetch_add(&runs_now, 1) + 1);
    raise_to(&most_bytes, atomic_fetch_add(&bytes_now, bytes) + bytes);
    (void)sched_yield();
    atomic_fetch_sub(&bytes_now, bytes);
    atomic_fetch_sub(&runs_now, 1);
    atomic_fetch_add(&c->runs, 1);
}

static void *add_many(void *user)
{
    struct adder *a = user;
    for (int i = 0; i < TASKS; i++) {
        struct counted *c = &a->tasks[i];
        c->task = (struct pool_task){.run = run_counted, .bytes = (uint64_t)(1 + i * 7 % 60)};
        while (!c->taken) {
            c->taken = pool_add(a->pool, &c->task, NULL) == ERR_OK;
            a->refused += !c->taken;
            if (!c->taken && a->gives_up)
                return NULL;
            (void)sched_yield();
        }
    }
    return NULL;
}

/* How many tasks ran. Each that was taken did, once, and no other. */
static int check_adders(struct adder *adders)
{
    int ran = 0;
    for (int k = 0; k < ADDERS; k++)
        for (int i = 0; i < TASKS; i++) {
            struct counted *c = &adders[k].tasks[i];
            assert_int_equal(atomic_load(&c->runs), c->taken ? 1 : 0);
            ran += atomic_load(&c->runs);
        }
    return ran;
}

static struct adder *start_adders(struct pool *p, bool give_up, pthread_t threads[ADDERS])
{
    struct adder *adders = test_calloc(ADDERS, sizeof *adders);
    for (int k = 0; k < ADDERS; k++) {
        adders[k].pool = p;
        adders[k].gives_up = give_up;
        assert_int_equal(pthread_create(&threads[k], NULL, add_many, &adders[k]), 0);
    }
    return adders;
}

static void each_task_runs_once_when_many_threads_add(void **state)
{
    (void)state;
    struct pool *p = begin(4, 32, ALLOWANCE);
    struct pool_state st;
    pthread_t threads[ADDERS];
    struct adder *adders = start_adders(p, false, threads);
    for (int k = 0; k < ADDERS; k++)
        pthread_join(threads[k], NULL);
    pool_state(p, &st);
    assert_true(st.waiting <= 32 && st.running <= 4 && st.bytes <= ALLOWANCE);
    pool_stop(p);
    pool_state(p, &st);
    assert_int_equal(st.begun, ADDERS * TASKS);
    assert_int_equal(st.running + st.waiting, 0);
    assert_int_equal(st.bytes, 0);
    assert_int_equal(check_adders(adders), ADDERS * TASKS);
    assert_true(atomic_load(&most_runs) <= 4 && atomic_load(&most_bytes) <= ALLOWANCE);
    test_free(adders);
    pool_free(p);
}

static void what_was_taken_runs_when_the_pool_is_stopped_meanwhile(void **state)
{
    (void)state;
    struct pool *p = begin(2, ADDERS * TASKS, ALLOWANCE);
    struct pool_state st;
    pthread_t threads[ADDERS];
    struct adder *adders = start_adders(p, true, threads);
    do
        pool_state(p, &st);
    while (st.begun < 50);
    pool_stop(p);
    for (int k = 0; k < ADDERS; k++)
        pthread_join(threads[k], NULL);
    pool_state(p, &st);
    assert_int_equal(check_adders(adders), st.begun);
    assert_int_equal(st.waiting, 0);
    test_free(adders);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_the_allowance_is_refused),
        cmocka_unit_test(memory_bounds_what_runs_at_once),
        cmocka_unit_test(large_one_at_the_head_is_not_passed),
        cmocka_unit_test(too_many_that_wait_are_refused),
        cmocka_unit_test(each_task_runs_once_when_many_threads_add),
        cmocka_unit_test(what_was_taken_runs_when_the_pool_is_stopped_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
