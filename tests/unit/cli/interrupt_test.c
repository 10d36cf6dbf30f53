/* A signal that arrives while what it is to stop is taken down. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "cli/interrupt.h"

static atomic_bool ready, inside, touched_late, gone, over;

static void pass_ms(int ms)
{
    struct timespec t = {0, ms * 1000000L};
    (void)nanosleep(&t, NULL);
}

/* Is slow about it, on purpose. */
static void stop_slowly(void *user)
{
    (void)user;
    atomic_store(&inside, true);
    for (int i = 0; i < 20; i++)
        pass_ms(10);
    if (atomic_load(&gone))
        atomic_store(&touched_late, true);
    atomic_store(&inside, false);
}

static void *other_thread(void *arg)
{
    (void)arg;
    atomic_store(&ready, true);
    while (!atomic_load(&over))
        pass_ms(1);
    return NULL;
}

static void nobody_is_in_the_old_stop_when_it_is_taken_away(void **state)
{
    pthread_t thread;
    int user = 0;
    (void)state;
    interrupt_set(stop_slowly, &user);
    assert_false(atomic_load(interrupt_flag()));
    assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
    while (!atomic_load(&ready))
        pass_ms(1);
    assert_int_equal(pthread_kill(thread, SIGINT), 0);
    while (!atomic_load(&inside))
        pass_ms(1);
    interrupt_set(NULL, NULL);
    atomic_store(&gone, true); /* where an engine would be freed */
    while (atomic_load(&inside))
        pass_ms(1);
    assert_false(atomic_load(&touched_late));
    assert_true(atomic_load(interrupt_flag()));
    atomic_store(&over, true);
    (void)pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_in_the_old_stop_when_it_is_taken_away),
    };
    return cmocka_run_group_tests_name("interrupt", tests, NULL, NULL);
}
