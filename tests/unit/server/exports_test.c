#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/api/exports.h"

enum { KEPT = 16 };

/* A file without a name that holds its key. */
static int make(const char *key)
{
    int fd = memfd_create(key, MFD_CLOEXEC);
    if (fd < 0 || write(fd, key, strlen(key)) != (ssize_t)strlen(key))
        abort();
    return fd;
}

static void keep(struct exports *x, const char *key, uint64_t bytes)
{
    int fd = make(key);
    exports_keep(x, key, fd, bytes);
    (void)close(fd);
}

static void key_of(char out[32], int i)
{
    (void)snprintf(out, 32, "project-%d", i);
}

static bool holds(struct exports *x, const char *key)
{
    char text[32] = "";
    uint64_t bytes = 0;
    int fd = -1;
    if (!exports_find(x, key, &fd, &bytes))
        return false;
    bool same = pread(fd, text, sizeof text - 1, 0) == (ssize_t)strlen(key) && !strcmp(text, key);
    (void)close(fd);
    return same;
}

static void kept_file_is_found_until_it_is_the_oldest(void **state)
{
    struct exports *x = exports_new(EXPORTS_FILES);
    char key[32];
    (void)state;
    assert_false(holds(x, "project-0"));
    for (int i = 0; i < KEPT; i++) {
        key_of(key, i);
        keep(x, key, 10);
    }
    assert_true(holds(x, "project-0")); /* used: now project-1 is the oldest */
    keep(x, "project-16", 10);
    assert_true(holds(x, "project-0"));
    assert_false(holds(x, "project-1"));
    for (int i = 2; i <= KEPT; i++) {
        key_of(key, i);
        assert_true(holds(x, key));
    }
    exports_free(x);
}

static void bytes_bound_what_is_kept(void **state)
{
    const uint64_t mib = (uint64_t)1 << 20;
    struct exports *x = exports_new(EXPORTS_FILES);
    (void)state;
    keep(x, "a", 600 * mib);
    keep(x, "b", 300 * mib);
    assert_true(holds(x, "a") && holds(x, "b"));
    keep(x, "c", 500 * mib);
    assert_false(holds(x, "a"));
    assert_true(holds(x, "b") && holds(x, "c"));
    keep(x, "d", 1025 * mib); /* alone too large */
    assert_false(holds(x, "d"));
    assert_true(holds(x, "b") && holds(x, "c"));
    exports_free(x);
}

static void file_in_use_stays_when_it_goes(void **state)
{
    struct exports *x = exports_new(EXPORTS_FILES);
    char text[16] = "", key[32];
    uint64_t bytes;
    int fd;
    (void)state;
    keep(x, "first", 5);
    assert_true(exports_find(x, "first", &fd, &bytes));
    assert_int_equal(bytes, 5);
    for (int i = 0; i < KEPT; i++) {
        key_of(key, i);
        keep(x, key, 1);
    }
    assert_false(holds(x, "first"));
    assert_int_equal(pread(fd, text, sizeof text - 1, 0), 5);
    assert_string_equal(text, "first");
    (void)close(fd);
    exports_free(x);
}

/* ---- many threads --------------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 500, KEYS = 40 };

struct user {
    struct exports *x;
    unsigned seed;
    int wrong;
};

static void *use(void *arg)
{
    struct user *u = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char key[32], text[32] = "";
        uint64_t bytes = 0;
        int fd;
        key_of(key, rand_r(&u->seed) % KEYS);
        if (!exports_find(u->x, key, &fd, &bytes)) {
            keep(u->x, key, strlen(key));
            continue;
        }
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        u->wrong += n != (ssize_t)bytes || strcmp(text, key) != 0;
        (void)close(fd);
    }
    return NULL;
}

static void everyone_finds_the_right_file_when_many_keep(void **state)
{
    struct exports *x = exports_new(EXPORTS_FILES);
    struct user users[THREADS];
    pthread_t threads[THREADS];
    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        users[i] = (struct user){.x = x, .seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL, use, &users[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(users[i].wrong, 0);
    }
    exports_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_file_is_found_until_it_is_the_oldest),
        cmocka_unit_test(bytes_bound_what_is_kept),
        cmocka_unit_test(file_in_use_stays_when_it_goes),
        cmocka_unit_test(everyone_finds_the_right_file_when_many_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
