/* kill -9 while images, jobs and projects are written: what was said to be done is there and whole, and
 * nothing is half. */
#include "support.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "store/jobs.h"
#include "store/projects.h"

enum { ROUNDS = 50, MAX_PROMISES = 20000, LONGEST_US = 120000 };

/* What the child has been told is done, as it tells the parent. */
struct promise {
    char
        kind; /* 'a' asset, 'q' queued job, 'd' done job with its asset, 'p' project at a revision */
    char id[ASSET_ID_SIZE];
    char asset[ASSET_ID_SIZE];
    int64_t revision;
};

static void tell(int fd, const struct promise *p)
{
    if (write(fd, p, sizeof *p) != (ssize_t)sizeof *p)
        _exit(0);
}

static struct asset child_image(struct store *s, int fd, unsigned seed)
{
    struct buf png;
    struct asset a;
    struct asset_writer *w;
    struct promise p = {.kind = 'a'};
    make_png(20 + (int)(seed % 60), 20, seed, &png);
    if (asset_writer_begin(s, 0, &w, NULL) != ERR_OK)
        _exit(1);
    for (size_t at = 0; at < png.n; at += 100) {
        size_t n = png.n - at < 100 ? png.n - at : 100;
        if (asset_writer_write(w, png.p + at, n, NULL) != ERR_OK)
            _exit(1);
    }
    if (asset_writer_finish(w, NULL, &a, NULL) != ERR_OK)
        _exit(1);
    buf_deinit(&png);
    memcpy(p.id, a.id, sizeof p.id);
    tell(fd, &p);
    return a;
}

static void child_job(struct store *s, int fd, const struct asset *input, unsigned seed)
{
    const char *in = input->id;
    struct job_record r;
    struct job_new job = {.kind = "edit", .model = "m", .inputs = &in, .n_inputs = 1};
    if (jobs_add(s, &job, &r, NULL) != ERR_OK)
        _exit(1);
    struct promise p = {.kind = 'q'};
    (void)snprintf(p.id, sizeof p.id, "%s", r.id);
    tell(fd, &p);
    if (seed % 3 == 0) {
        job_record_deinit(&r);
        return; /* stays in the queue */
    }
    if (jobs_start(s, r.id, NULL) != ERR_OK)
        _exit(1);
    struct asset a = child_image(s, fd, seed + 1);
    const char *out = a.id;
    struct job_outcome done = {
        .state = JOB_DONE, .result = str_from(a.id), .assets = &out, .n_assets = 1};
    if (jobs_finish(s, r.id, &done, NULL) != ERR_OK)
        _exit(1);
    p.kind = 'd';
    memcpy(p.asset, a.id, sizeof p.asset);
    tell(fd, &p);
    job_record_deinit(&r);
}

static void child_project(struct store *s, int fd, const struct asset *a)
{
    struct project pr;
    struct project_layer l = project_layer_defaults();
    project_init(&pr, 32, 32);
    memcpy(l.asset, a->id, sizeof l.asset);
    if (project_insert(&pr, 0, &l, NULL) != ERR_OK || project_create(s, &pr, NULL) != ERR_OK)
        _exit(1);
    for (int i = 1; i < 4; i++) {
        struct promise p = {.kind = 'p', .revision = pr.revision};
        (void)snprintf(p.id, sizeof p.id, "%s", pr.id);
        tell(fd, &p);
        pr.layers[0].x = i;
        if (project_save(s, &pr, NULL, NULL) != ERR_OK)
            _exit(1);
    }
    project_deinit(&pr);
}

static void child(const char *dir, int fd, unsigned seed)
{
    struct store *s;
    struct store_options o = {.dir = dir};
    if (store_open(&o, &s, NULL) != ERR_OK)
        _exit(1);
    for (unsigned i = 0;; i += 2) {
        struct asset a = child_image(s, fd, seed + i);
        child_job(s, fd, &a, seed + i);
        if (i % 6 == 0)
            child_project(s, fd, &a);
    }
}

/* Lets a child work for a random time, kills it, and reads what it was promised. */
static size_t one_round(const char *dir, unsigned seed, struct promise *promises, size_t n)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child(dir, fds[1], seed);
    }
    close(fds[1]);
    struct timespec t = {.tv_nsec = (long)(seed * 2654435761u % LONGEST_US) * 1000};
    (void)nanosleep(&t, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* it never failed by itself */
    while (n < MAX_PROMISES && read(fds[0], &promises[n], sizeof *promises) > 0)
        n++;
    close(fds[0]);
    return n;
}

static void expect_job(struct store *s, const struct promise *p, struct err *e)
{
    struct job_record r;
    struct asset a;
    if (jobs_get(s, p->id, &r, e) != ERR_OK)
        fail_msg("%s", e->text);
    assert_int_not_equal(r.state, JOB_RUNNING);
    if (p->kind == 'd') {
        assert_int_equal(r.state, JOB_DONE);
        assert_string_equal(r.result, p->asset);
        if (asset_get(s, p->asset, &a, e) != ERR_OK)
            fail_msg("%s", e->text);
    }
    job_record_deinit(&r);
}

static void expect_kept(struct store *s, const struct promise *p)
{
    struct err e = {0};
    struct asset a;
    struct project pr;
    if (p->kind == 'a' && asset_get(s, p->id, &a, &e) != ERR_OK)
        fail_msg("%s", e.text);
    if (p->kind == 'q' || p->kind == 'd')
        expect_job(s, p, &e);
    if (p->kind != 'p')
        return;
    if (project_get(s, p->id, &pr, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_true(pr.revision >= p->revision);
    project_deinit(&pr);
}

static enum err_code nothing_here(const char *name, void *user, struct err *e)
{
    (void)user;
    (void)e;
    fail_msg("tmp still has %s", name);
    return ERR_OK;
}

static void expect_tidy(const char *dir)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/tmp", dir);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(files_walk(fd, false, nothing_here, NULL, NULL), ERR_OK);
    close(fd);
    (void)snprintf(path, sizeof path, "%s/veetance.db.broken-1", dir);
    assert_false(file_exists(path));
}

static void print_finding(const char *line, void *user)
{
    (void)user;
    print_message("%s\n", line);
}

static void nothing_is_lost_when_the_process_is_killed_again_and_again(void **state)
{
    struct place *place = *state;
    struct promise *promises = test_malloc(MAX_PROMISES * sizeof *promises);
    size_t n = 0, interrupted = 0;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    for (int round = 0; round < ROUNDS; round++) {
        size_t before = n;
        n = one_round(place->dir, seed + (unsigned)round * 1000, promises, n);
        struct store *s = open_store(place->dir);
        expect_tidy(place->dir);
        for (size_t i = before; i < n; i++)
            expect_kept(s, &promises[i]);
        struct job_list l;
        assert_int_equal(
            jobs_list(s, &(struct job_filter){.states = 1u << JOB_INTERRUPTED}, 0, 1000, &l, NULL),
            ERR_OK);
        assert_true(l.n <= 1); /* one ran; it can be run again */
        for (size_t i = 0; i < l.n; i++)
            assert_int_equal(jobs_again(s, l.items[i].id, NULL), ERR_OK);
        interrupted += l.n;
        job_list_deinit(&l);
        store_close(s);
    }
    /* All of it, to the last byte; and what crashes left in assets/ goes with the grace time. */
    struct store *s = open_store(place->dir);
    struct store_report r;
    struct store_gc_params gc = {.grace_s = 0};
    struct store_gc_result gone;
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(store_check(s, true, print_finding, NULL, &r, NULL), ERR_OK);
    assert_int_equal(r.damaged + r.dangling + r.broken_rows + r.strays, 0);
    print_message("%zu promises kept, %zu jobs interrupted, %llu strays after %d kills\n", n,
                  interrupted, (unsigned long long)gone.strays, ROUNDS);
    assert_true(n > 0);
    store_close(s);
    test_free(promises);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost_when_the_process_is_killed_again_and_again,
                                        place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
