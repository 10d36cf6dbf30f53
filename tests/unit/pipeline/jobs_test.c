/* jobs_test.c - requests that run beside the caller: the line, waiting, cancelling, freeing at any time, and, with the
 * engine in a process of its own, that process's death. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "veetance.h"

#define KLEIN VT_SOURCE_DIR "/models/micro-klein"
#define LAYERED VT_SOURCE_DIR "/models/micro-layered"

enum { MANY_STEPS = 1000, PATIENCE_S = 120 };

static struct vt_engine *engine;
static bool isolated;

static int set_up(void **state)
{
    const struct vt_engine_options options = {.device = "cpu",
                                              .threads = 1,
                                              .isolated = isolated,
                                              .program = getenv("VT_TEST_ISOLATED"),
                                              .patience = 2};
    (void)state;
    return vt_engine_open(&options, &engine, NULL) == VT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vt_engine_close(engine);
    engine = NULL;
    return 0;
}

/* ---- what is submitted -------------------------------------------------------------------------------------- */

static struct vt_request quick(int64_t seed)
{
    struct vt_request rq = vt_request_defaults();
    rq.model = KLEIN;
    rq.prompt = "star";
    rq.width = rq.height = 64;
    rq.steps = 1;
    rq.seed = seed;
    return rq;
}

static struct vt_job *submitted(const struct vt_request *rq, const struct vt_callbacks *cb)
{
    struct vt_error err;
    struct vt_job *job;
    if (vt_submit(engine, rq, cb, &job, &err) != VT_OK)
        fail_msg("%s", err.text);
    return job;
}

static struct vt_job *submitted_quick(int64_t seed)
{
    struct vt_request rq = quick(seed);
    return submitted(&rq, NULL);
}

/* One that does not end by itself while a test lasts, in the midst of its steps. */
static struct vt_job *running(const struct vt_callbacks *cb)
{
    struct vt_request rq = quick(1);
    struct vt_progress p = {0};
    rq.steps = MANY_STEPS;
    rq.count = VT_MAX_COUNT;
    struct vt_job *job = submitted(&rq, cb);
    struct pollfd look = {.fd = vt_job_fd(job), .events = POLLIN};
    while (vt_job_poll(job, &p) != VT_JOB_OVER && (p.stage != VT_STAGE_STEPS || p.step < 2))
        assert_int_equal(poll(&look, 1, PATIENCE_S * 1000), 1);
    assert_int_equal(vt_job_poll(job, NULL), VT_JOB_RUNNING);
    return job;
}

static void ends_with(struct vt_job *job, enum vt_status status)
{
    struct vt_error err;
    if (vt_job_wait(job, PATIENCE_S, &err) != status || err.status != status)
        fail_msg("status %d, '%s'; expected %d", (int)err.status, err.text, (int)status);
    assert_int_equal(vt_job_poll(job, NULL), VT_JOB_OVER);
}

static void has_pixels_of(const struct vt_result *a, const struct vt_result *b)
{
    struct vt_image x = vt_result_image(a, 0), y = vt_result_image(b, 0);
    assert_int_equal(x.width, y.width);
    assert_int_equal(x.height, y.height);
    assert_memory_equal(x.pixels, y.pixels, (size_t)x.width * (size_t)x.height * 3);
}

static struct vt_result *made_at_once(int64_t seed)
{
    struct vt_error err;
    struct vt_request rq = quick(seed);
    struct vt_result *r;
    if (vt_generate(engine, &rq, NULL, &r, &err) != VT_OK)
        fail_msg("%s", err.text);
    return r;
}

/* ---- results ------------------------------------------------------------------------------------------------ */

static void a_job_makes_what_a_call_makes(void **state)
{
    (void)state;
    struct vt_result *expected = made_at_once(7);
    struct vt_job *job = submitted_quick(7);
    ends_with(job, VT_OK);
    assert_null(vt_job_take_layers(job));
    assert_null(vt_job_take_caption(job));
    struct vt_result *r = vt_job_take_result(job);
    assert_non_null(r);
    assert_null(vt_job_take_result(job));
    assert_string_equal(vt_job_last_words(job), "");
    vt_job_free(job);
    has_pixels_of(r, expected);
    vt_result_free(r);
    vt_result_free(expected);
}

static void a_request_is_copied_when_submitted(void **state)
{
    (void)state;
    enum { BYTES = 64 * 64 * 4 };
    unsigned char *pixels = malloc(BYTES), *mask = malloc(64 * 64);
    char prompt[] = "a blue star", model[] = KLEIN;
    struct vt_request rq = quick(3);
    struct vt_result *expected;
    assert_non_null(pixels);
    assert_non_null(mask);
    for (int i = 0; i < BYTES; i++)
        pixels[i] = (unsigned char)(i * 7 ^ i >> 5);
    for (int i = 0; i < 64 * 64; i++)
        mask[i] = i % 64 < 32 ? 255 : 0;
    rq.model = model;
    rq.prompt = prompt;
    rq.images[0] = (struct vt_image){64, 64, 4, pixels, 8, NULL};
    rq.images[1] =
        (struct vt_image){.file = VT_SOURCE_DIR "/tests/data/micro/klein/edit-00-input.png"};
    rq.image_count = 2;
    rq.mask = (struct vt_image){64, 64, 1, mask, 8, NULL};
    rq.steps = 4;
    assert_int_equal(vt_edit(engine, &rq, NULL, &expected, NULL), VT_OK);
    struct vt_job *before = running(NULL);
    struct vt_job *job = submitted(&rq, NULL);
    memset(pixels, 0, BYTES);
    memset(mask, 0, 64 * 64);
    free(pixels);
    free(mask);
    memset(prompt, 'x', sizeof prompt - 1);
    memset(model, 'x', sizeof model - 1);
    memset(&rq, 0, sizeof rq);
    vt_job_free(before);
    ends_with(job, VT_OK);
    struct vt_result *r = vt_job_take_result(job);
    has_pixels_of(r, expected);
    assert_string_equal(vt_result_request(r)->prompt, "a blue star");
    vt_result_free(r);
    vt_job_free(job);
    vt_result_free(expected);
}

static void layers_and_captions_are_jobs_too(void **state)
{
    (void)state;
    struct vt_layers_request apart = vt_layers_request_defaults();
    struct vt_caption_request words = vt_caption_request_defaults();
    struct vt_job *jobs[2];
    apart.model = words.model = LAYERED;
    apart.image.file = words.image.file =
        VT_SOURCE_DIR "/tests/data/micro/layered/scene-00-input.png";
    apart.layers = apart.steps = 2;
    apart.seed = 1;
    words.max_new_tokens = 4;
    assert_int_equal(vt_submit_layers(engine, &apart, NULL, &jobs[0], NULL), VT_OK);
    assert_int_equal(vt_submit_caption(engine, &words, NULL, &jobs[1], NULL), VT_OK);
    ends_with(jobs[0], VT_OK);
    struct vt_layers_result *layers = vt_job_take_layers(jobs[0]);
    assert_int_equal(vt_layers_report(layers)->layers_asked, 2);
    assert_null(vt_job_take_result(jobs[0]));
    vt_layers_result_free(layers);
    ends_with(jobs[1], VT_OK);
    struct vt_caption_result *caption = vt_job_take_caption(jobs[1]);
    assert_true(vt_caption_tokens(caption) > 0);
    vt_caption_result_free(caption);
    vt_job_free(jobs[0]);
    vt_job_free(jobs[1]);
}

static void nonsense_fails_alone(void **state)
{
    (void)state;
    struct vt_error err;
    struct vt_request rq = quick(1);
    struct vt_job *none = (void *)&rq;
    rq.image_count = VT_MAX_IMAGES + 1;
    assert_int_equal(vt_submit(engine, &rq, NULL, &none, &err), VT_ERR_ARG);
    assert_non_null(strstr(err.text, "at most 10"));
    assert_null(none);
    rq.image_count = 1; /* without pixels */
    assert_int_equal(vt_submit(engine, &rq, NULL, &none, &err), VT_ERR_ARG);
    rq = quick(1);
    rq.width = 5;
    struct vt_job *bad = submitted(&rq, NULL), *good = submitted_quick(1);
    ends_with(bad, VT_ERR_ARG);
    assert_int_equal(vt_job_wait(bad, 0, &err), VT_ERR_ARG);
    assert_non_null(strstr(err.text, "the width is 5"));
    assert_null(vt_job_take_result(bad));
    ends_with(good, VT_OK);
    vt_job_free(bad);
    vt_job_free(good);
}

/* ---- the line ------------------------------------------------------------------------------------------------ */

struct order {
    int *next, mine;
};

static void note_order(const struct vt_result *result, int i, void *user)
{
    struct order *o = user;
    (void)result;
    (void)i;
    o->mine = (*o->next)++;
}

static void jobs_run_in_their_order(void **state)
{
    enum { JOBS = 6 };
    int next = 0;
    struct order seen[JOBS];
    struct vt_job *jobs[JOBS];
    (void)state;
    for (int i = 0; i < JOBS; i++) {
        struct vt_request rq = quick(i);
        seen[i] = (struct order){&next, -1};
        jobs[i] = submitted(&rq, &(struct vt_callbacks){.image = note_order, .user = &seen[i]});
    }
    ends_with(jobs[JOBS - 1], VT_OK);
    for (int i = 0; i < JOBS; i++) {
        ends_with(jobs[i], VT_OK);
        assert_int_equal(seen[i].mine, i);
        vt_job_free(jobs[i]);
    }
}

static void the_engine_is_busy_until_its_jobs_are_over(void **state)
{
    (void)state;
    struct vt_error err;
    struct vt_request rq = quick(1);
    struct vt_result *r;
    struct vt_plan *plan = malloc(sizeof *plan);
    struct vt_layers_request apart = vt_layers_request_defaults();
    struct vt_layers_result *layers;
    struct vt_caption_request words = vt_caption_request_defaults();
    struct vt_caption_result *caption;
    uint64_t bytes;
    struct vt_job *job = running(NULL);
    assert_non_null(plan);
    assert_int_equal(vt_generate(engine, &rq, NULL, &r, &err), VT_ERR_BUSY);
    assert_non_null(strstr(err.text, "jobs that are not over"));
    assert_int_equal(vt_plan_picture(engine, &rq, plan, NULL), VT_ERR_BUSY);
    assert_int_equal(vt_layers(engine, &apart, NULL, &layers, NULL), VT_ERR_BUSY);
    assert_int_equal(vt_plan_layers(engine, &apart, plan, NULL), VT_ERR_BUSY);
    assert_int_equal(vt_caption(engine, &words, NULL, &caption, NULL), VT_ERR_BUSY);
    assert_int_equal(vt_engine_load(engine, KLEIN, NULL), VT_ERR_BUSY);
    assert_int_equal(vt_engine_set_budget(engine, 0, NULL), VT_ERR_BUSY);
    assert_int_equal(vt_engine_parse_budget(engine, "1G", &bytes, NULL), VT_ERR_BUSY);
    vt_engine_unload(engine);
    vt_engine_release(engine);
    assert_int_equal(vt_job_poll(job, NULL), VT_JOB_RUNNING);
    vt_engine_cancel(engine);
    ends_with(job, VT_ERR_CANCELLED);
    assert_int_equal(vt_generate(engine, &rq, NULL, &r, NULL), VT_OK);
    vt_result_free(r);
    vt_job_free(job);
    free(plan);
}

/* ---- waiting ------------------------------------------------------------------------------------------------- */

static bool readable(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

static void a_descriptor_tells_of_news(void **state)
{
    (void)state;
    struct vt_progress p = {.step = 9};
    struct vt_job *first = running(NULL), *second = submitted_quick(1);
    int fd = vt_job_fd(second);
    assert_true(fd >= 0);
    assert_int_equal(vt_job_fd(second), fd);
    assert_int_equal(vt_job_poll(second, &p), VT_JOB_QUEUED);
    assert_int_equal(p.step, 0);
    assert_false(readable(fd));
    vt_job_cancel(second);
    assert_true(readable(fd));
    assert_int_equal(vt_job_poll(second, NULL), VT_JOB_OVER);
    assert_true(readable(fd)); /* for ever */
    assert_true(vt_job_fd(first) != fd);
    vt_job_free(second);
    vt_job_cancel(first);
    ends_with(first, VT_ERR_CANCELLED);
    assert_true(readable(vt_job_fd(first)));
    vt_job_free(first);
}

static void waiting_ends_when_the_time_is_up(void **state)
{
    (void)state;
    struct vt_error err;
    struct vt_job *job = running(NULL);
    assert_int_equal(vt_job_wait(job, 0, &err), VT_ERR_BUSY);
    assert_int_equal(vt_job_wait(job, 0.05, &err), VT_ERR_BUSY);
    assert_int_equal(err.status, VT_ERR_BUSY);
    assert_null(vt_job_take_result(job));
    assert_string_equal(vt_job_last_words(job), "");
    vt_job_cancel(job);
    assert_int_equal(vt_job_wait(job, -1, &err), VT_ERR_CANCELLED);
    assert_int_equal(vt_job_wait(job, 1e300, NULL), VT_ERR_CANCELLED);
    vt_job_cancel(job); /* too late for anything */
    vt_job_free(job);
}

/* ---- cancelling and freeing ----------------------------------------------------------------------------------- */

static void cancelling_concerns_one_job(void **state)
{
    (void)state;
    struct vt_error err;
    struct vt_job *first = running(NULL), *second = submitted_quick(1), *third = submitted_quick(2);
    vt_job_cancel(second);
    assert_int_equal(vt_job_wait(second, 0, &err), VT_ERR_CANCELLED);
    assert_string_equal(err.text, "cancelled before it began");
    assert_int_equal(vt_job_poll(first, NULL), VT_JOB_RUNNING);
    vt_job_cancel(first);
    ends_with(first, VT_ERR_CANCELLED);
    ends_with(third, VT_OK);
    vt_job_free(first);
    vt_job_free(second);
    vt_job_free(third);
}

/* A cancel that comes before the run listens is not lost. */
static void a_job_is_cancelled_when_it_has_just_begun(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct vt_request rq = quick(1);
        rq.steps = MANY_STEPS;
        rq.count = VT_MAX_COUNT;
        struct vt_job *job = submitted(&rq, NULL);
        while (vt_job_poll(job, NULL) == VT_JOB_QUEUED)
            sched_yield();
        vt_job_cancel(job);
        ends_with(job, VT_ERR_CANCELLED);
        vt_job_free(job);
    }
}

struct heard {
    atomic_bool freed;
    atomic_int times, too_late;
};

static void hear_slowly(const struct vt_progress *progress, void *user)
{
    struct heard *h = user;
    (void)progress;
    atomic_fetch_add(&h->times, 1);
    (void)usleep(2000);
    if (atomic_load(&h->freed))
        atomic_fetch_add(&h->too_late, 1);
}

static void a_running_job_is_silent_when_freed(void **state)
{
    struct heard h = {.freed = false};
    (void)state;
    struct vt_job *job = running(&(struct vt_callbacks){.progress = hear_slowly, .user = &h});
    vt_job_free(job);
    atomic_store(&h.freed, true);
    struct vt_job *next = submitted_quick(1); /* the freed one has ended when this has */
    ends_with(next, VT_OK);
    vt_job_free(next);
    assert_true(atomic_load(&h.times) > 0);
    assert_int_equal(atomic_load(&h.too_late), 0);
}

struct own {
    struct vt_job *_Atomic job;
    atomic_int calls;
};

static void free_own(const struct vt_progress *progress, void *user)
{
    struct own *o = user;
    (void)progress;
    struct vt_job *job = atomic_exchange(&o->job, NULL);
    if (job)
        atomic_fetch_add(&o->calls, 1);
    vt_job_free(job);
}

static void a_callback_may_free_its_job(void **state)
{
    struct own o = {.job = NULL};
    struct vt_request rq = quick(1);
    (void)state;
    rq.steps = MANY_STEPS;
    rq.count = VT_MAX_COUNT;
    struct vt_job *before = running(NULL);
    atomic_store(&o.job, submitted(&rq, &(struct vt_callbacks){.progress = free_own, .user = &o}));
    vt_job_free(before);
    struct vt_job *next = submitted_quick(1);
    ends_with(next, VT_OK);
    vt_job_free(next);
    assert_int_equal(atomic_load(&o.calls), 1);
}

static void jobs_outlive_their_engine(void **state)
{
    struct vt_error err;
    (void)state;
    struct vt_job *done = submitted_quick(1);
    ends_with(done, VT_OK);
    struct vt_job *runs = running(NULL), *waits = submitted_quick(2);
    vt_engine_close(engine);
    engine = NULL;
    assert_int_equal(vt_job_wait(runs, 0, &err), VT_ERR_CANCELLED);
    assert_int_equal(vt_job_wait(waits, 0, &err), VT_ERR_CANCELLED);
    assert_string_equal(err.text, "the engine was closed");
    struct vt_result *r = vt_job_take_result(done);
    assert_int_equal(vt_result_count(r), 1);
    vt_result_free(r);
    vt_job_free(waits);
    vt_job_free(done);
    vt_job_free(runs);
    vt_job_free(NULL);
}

/* ---- death ---------------------------------------------------------------------------------------------------- */

/* The one child that this process has. */
static pid_t child(void)
{
    char path[300];
    pid_t found = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *d; (d = readdir(tasks)) != NULL;) {
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/children", d->d_name);
        FILE *f = fopen(path, "r");
        char line[64] = "";
        if (f && fgets(line, sizeof line, f))
            found = (pid_t)strtol(line, NULL, 10);
        if (f)
            (void)fclose(f);
    }
    (void)closedir(tasks);
    assert_true(found > 0);
    return found;
}

static void a_dead_process_is_one_failed_job(void **state)
{
    static const struct {
        int signal;
        enum vt_status status;
        const char *words;
    } deaths[] = {{SIGKILL, VT_ERR_ENGINE_CRASHED, "killed from outside"},
                  {SIGABRT, VT_ERR_ENGINE_CRASHED, "SIGABRT"},
                  {SIGSTOP, VT_ERR_ENGINE_STUCK, "no sign of life"}};
    (void)state;
    if (!isolated)
        skip();
    struct vt_result *expected = made_at_once(5);
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        struct vt_error err;
        struct vt_job *dies = running(NULL), *next = submitted_quick(5);
        pid_t before = child();
        assert_int_equal(kill(before, deaths[i].signal), 0);
        ends_with(dies, deaths[i].status);
        assert_int_equal(vt_job_wait(dies, 0, &err), deaths[i].status);
        assert_non_null(strstr(err.text, deaths[i].words));
        assert_null(vt_job_take_result(dies));
        ends_with(next, VT_OK);
        assert_true(child() != before);
        struct vt_result *r = vt_job_take_result(next);
        has_pixels_of(r, expected);
        vt_result_free(r);
        vt_job_free(dies);
        vt_job_free(next);
    }
    vt_result_free(expected);
}

static void a_stopped_process_can_be_cancelled(void **state)
{
    (void)state;
    if (!isolated)
        skip();
    struct vt_job *stops = running(NULL), *next = submitted_quick(5);
    assert_int_equal(kill(child(), SIGSTOP), 0);
    vt_job_cancel(stops);
    ends_with(stops, VT_ERR_CANCELLED);
    ends_with(next, VT_OK);
    vt_job_free(stops);
    vt_job_free(next);
}

/* The engine's thread takes no signal of the program's. */
static volatile sig_atomic_t taken_elsewhere;
static _Thread_local volatile sig_atomic_t is_programs;

static void take_signal(int number)
{
    (void)number;
    if (!is_programs)
        taken_elsewhere = 1;
}

static void signals_stay_with_the_programs_threads(void **state)
{
    sigset_t one;
    (void)state;
    is_programs = 1;
    assert_true(signal(SIGUSR1, take_signal) != SIG_ERR);
    struct vt_job *job = running(NULL);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    (void)usleep(20000);
    assert_int_equal(taken_elsewhere, 0);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    vt_job_free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        CASE(a_job_makes_what_a_call_makes),
        CASE(a_request_is_copied_when_submitted),
        CASE(layers_and_captions_are_jobs_too),
        CASE(nonsense_fails_alone),
        CASE(jobs_run_in_their_order),
        CASE(the_engine_is_busy_until_its_jobs_are_over),
        CASE(a_descriptor_tells_of_news),
        CASE(waiting_ends_when_the_time_is_up),
        CASE(cancelling_concerns_one_job),
        CASE(a_job_is_cancelled_when_it_has_just_begun),
        CASE(a_running_job_is_silent_when_freed),
        CASE(a_callback_may_free_its_job),
        CASE(jobs_outlive_their_engine),
        CASE(a_dead_process_is_one_failed_job),
        CASE(a_stopped_process_can_be_cancelled),
        CASE(signals_stay_with_the_programs_threads),
    };
    isolated = getenv("VT_TEST_ISOLATED") != NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
