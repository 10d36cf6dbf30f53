/* One store, many threads: images and jobs come and go while others collect, list and change limits. */
#include "support.h"

#include <pthread.h>
#include <sched.h>

#include "store/jobs.h"
#include "store/tidy.h"

enum { WORKERS = 4, ROUNDS = 12 };

struct worker {
    struct store *s;
    unsigned number;
    atomic_bool *over;
    int wrong;
};

/* An image, a job on it, its end, its record gone again: nobody else may have touched either. */
static void *work(void *user)
{
    struct worker *w = user;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct asset a = put_png(w->s, 8, 8, 1000 * w->number + i), read;
        const char *input = a.id;
        struct job_record r = {0}, now = {0};
        struct job_new job = {.kind = "edit",
                              .model = "m",
                              .request = STR_LIT("{}"),
                              .inputs = &input,
                              .n_inputs = 1};
        struct job_outcome done = {.state = i % 3 ? JOB_DONE : JOB_FAILED,
                                   .result = STR_LIT("{\"images\":[]}"),
                                   .assets = &input,
                                   .n_assets = 1};
        w->wrong += jobs_add(w->s, &job, &r, NULL) != ERR_OK;
        w->wrong += jobs_start(w->s, r.id, NULL) != ERR_OK;
        w->wrong += jobs_finish(w->s, r.id, &done, NULL) != ERR_OK;
        w->wrong += jobs_get(w->s, r.id, &now, NULL) != ERR_OK || now.state != done.state;
        w->wrong += asset_get(w->s, a.id, &read, NULL) != ERR_OK;
        w->wrong += asset_delete(w->s, a.id, NULL) != ERR_BUSY;
        int fd = -1;
        w->wrong += asset_thumb_open(w->s, a.id, 64, &fd, NULL, NULL, NULL) != ERR_OK;
        if (fd >= 0)
            (void)close(fd);
        if (i % 2)
            w->wrong += jobs_forget(w->s, r.id, NULL) != ERR_OK;
        job_record_deinit(&now);
        job_record_deinit(&r);
    }
    return NULL;
}

/* With a grace time nothing of the last days goes, whatever else happens. */
static void *look_after(void *user)
{
    struct worker *w = user;
    while (!atomic_load(w->over)) {
        struct store_gc_params gc = {.grace_s = STORE_GRACE_S};
        struct store_gc_result gone;
        struct store_limits limits = store_limits_defaults(), kept;
        struct store_tidied tidied;
        w->wrong += store_gc(w->s, &gc, &gone, NULL) != ERR_OK || gone.assets;
        w->wrong += store_limits_set(w->s, &limits, NULL) != ERR_OK;
        w->wrong += store_limits_get(w->s, &kept, NULL) != ERR_OK;
        w->wrong += store_tidy(w->s, &kept, w->over, &tidied, NULL) == ERR_IO;
        (void)sched_yield();
    }
    return NULL;
}

static void *look(void *user)
{
    const struct asset_filter all = asset_filter_all();
    struct worker *w = user;
    while (!atomic_load(w->over)) {
        struct asset_list assets = {0};
        struct job_list jobs = {0};
        struct store_numbers n;
        w->wrong += asset_list(w->s, &all, 0, 100, &assets, NULL) != ERR_OK;
        w->wrong += jobs_list(w->s, &(struct job_filter){0}, 0, 100, &jobs, NULL) != ERR_OK;
        w->wrong += store_count(w->s, &n, NULL) != ERR_OK || n.jobs > WORKERS * ROUNDS;
        asset_list_deinit(&assets);
        job_list_deinit(&jobs);
        (void)sched_yield();
    }
    return NULL;
}

static void nothing_is_lost_when_many_work(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    atomic_bool over = false;
    struct worker w[WORKERS + 2];
    pthread_t threads[WORKERS + 2];
    struct store_numbers n;
    struct store_report rep;
    for (unsigned i = 0; i < WORKERS + 2; i++) {
        void *(*what)(void *) = i < WORKERS ? work : i == WORKERS ? look_after : look;
        w[i] = (struct worker){.s = s, .number = i, .over = &over};
        assert_int_equal(pthread_create(&threads[i], NULL, what, &w[i]), 0);
    }
    for (int i = 0; i < WORKERS + 2; i++) {
        if (i == WORKERS)
            atomic_store(&over, true);
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < WORKERS + 2; i++)
        assert_int_equal(w[i].wrong, 0);
    assert_int_equal(store_count(s, &n, NULL), ERR_OK);
    assert_int_equal(n.assets, WORKERS * ROUNDS);
    assert_int_equal(n.jobs, WORKERS * ROUNDS / 2);
    assert_int_equal(store_check(s, true, NULL, NULL, &rep, NULL), ERR_OK);
    assert_int_equal(rep.damaged + rep.strays + rep.dangling + rep.broken_rows, 0);
    store_close(s);
}

static void *put_same(void *user)
{
    struct worker *w = user;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct asset a = put_png(w->s, 8, 8, i), read;
        w->wrong += asset_get(w->s, a.id, &read, NULL) != ERR_OK || read.seq != a.seq;
    }
    return NULL;
}

static void same_bytes_from_many_threads_are_one_image(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct worker w[WORKERS];
    pthread_t threads[WORKERS];
    struct store_numbers n;
    for (unsigned i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){.s = s, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, put_same, &w[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(w[i].wrong, 0);
    }
    assert_int_equal(store_count(s, &n, NULL), ERR_OK);
    assert_int_equal(n.assets, ROUNDS);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost_when_many_work, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(same_bytes_from_many_threads_are_one_image, place_setup,
                                        place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
