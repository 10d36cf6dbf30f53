/* Opening a store in every state that it may be found in, and looking after it. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "store/jobs.h"
#include "store/projects.h"

static struct project keep_project(struct store *s, const struct asset *a)
{
    struct project p;
    struct project_layer l = project_layer_defaults();
    project_init(&p, 16, 16);
    memcpy(l.asset, a->id, sizeof l.asset);
    assert_int_equal(project_insert(&p, 0, &l, NULL), ERR_OK);
    assert_int_equal(project_create(s, &p, NULL), ERR_OK);
    return p;
}

static struct job_record keep_job(struct store *s)
{
    struct job_record r;
    struct job_new job = {.kind = "generate", .model = "m", .request = STR_LIT("{}")};
    assert_int_equal(jobs_add(s, &job, &r, NULL), ERR_OK);
    return r;
}

static void write_at(const char *dir, const char *name, long offset, const char *text)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), offset), strlen(text));
    close(fd);
}

static bool there(const char *dir, const char *name)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return file_exists(path);
}

/* ---- one process -------------------------------------------------------------------------------- */

static void second_process_is_refused_when_the_store_is_open(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir), *other;
    struct err e = {0};
    struct store_options o = {.dir = p->dir};
    char pid[32];
    assert_int_equal(store_open(&o, &other, &e), ERR_BUSY);
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(e.text, pid));
    /* Looking is allowed, writing is not. */
    struct asset a = put_png(s, 9, 9, 1), b;
    o.look_only = true;
    assert_int_equal(store_open(&o, &other, &e), ERR_OK);
    assert_int_equal(asset_get(other, a.id, &b, &e), ERR_OK);
    assert_int_equal(asset_put(other, STR_LIT("x"), NULL, &b, &e), ERR_IO);
    struct store_gc_params gc = {0};
    struct store_gc_result gone;
    assert_int_equal(store_gc(other, &gc, &gone, &e), ERR_IO);
    store_close(other);
    store_close(s);
    store_close(open_store(p->dir));
}

static mode_t mode_of(const char *dir, const char *name)
{
    char path[512];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static const char *const own_folders[] = {".", "assets", "thumbs", "tmp"};
static const char *const own_files[] = {"veetance.db", "veetance.db-wal", "veetance.db-shm",
                                        "lock"};

static void assert_private(const char *dir)
{
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(mode_of(dir, own_folders[i]), 0700);
        assert_int_equal(mode_of(dir, own_files[i]), 0600);
    }
}

static void others_cannot_read_a_store_when_it_is_new_or_was_open_to_them(void **state)
{
    struct place *p = *state;
    char path[512];
    mode_t mask = umask(0);
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 9, 9, 1);
    assert_private(p->dir);
    (void)snprintf(path, sizeof path, "assets/%.2s/%s", a.id, a.id);
    assert_int_equal(mode_of(p->dir, path), 0600);
    store_close(s);
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", p->dir, own_folders[i]);
        assert_int_equal(chmod(path, 0755), 0);
        (void)snprintf(path, sizeof path, "%s/%s", p->dir, own_files[i]);
        assert_true(chmod(path, 0644) == 0 || errno == ENOENT);
    }
    s = open_store(p->dir);
    (void)put_png(s, 9, 9, 2);
    assert_private(p->dir);
    store_close(s);
    (void)umask(mask);
}

static void nothing_is_removed_behind_a_link_when_opened(void **state)
{
    static const char ours[] = "0123456789abcdef-0123456789abcdef";
    struct place *p = *state;
    struct store_options o = {.dir = p->dir};
    struct store *s;
    struct err e = {0};
    char tmp[512], other[512];
    store_close(open_store(p->dir));
    write_at(p->dir, "tmp/notes.txt", 0, "not ours");
    write_at(p->dir, "tmp/0123456789abcdef-0123456789abcdef", 0, "ours");
    store_close(open_store(p->dir));
    (void)snprintf(tmp, sizeof tmp, "%s/tmp", p->dir);
    assert_true(there(tmp, "notes.txt"));
    assert_false(there(tmp, ours));
    (void)snprintf(other, sizeof other, "%s/other", p->dir);
    assert_int_equal(rename(tmp, other), 0);
    write_at(other, ours, 0, "somebody's");
    assert_int_equal(symlink(other, tmp), 0);
    assert_int_equal(store_open(&o, &s, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "is a link"));
    assert_true(there(other, ours));
}

static void default_folder_follows_the_environment_when_it_is_set(void **state)
{
    (void)state;
    char dir[256];
    setenv("VEETANCE_HOME", "/somewhere/else", 1);
    assert_int_equal(store_default_dir(dir, sizeof dir, NULL), ERR_OK);
    assert_string_equal(dir, "/somewhere/else");
    unsetenv("VEETANCE_HOME");
    setenv("XDG_DATA_HOME", "/xdg", 1);
    assert_int_equal(store_default_dir(dir, sizeof dir, NULL), ERR_OK);
    assert_string_equal(dir, "/xdg/veetance");
    unsetenv("XDG_DATA_HOME");
    setenv("HOME", "/home/somebody", 1);
    assert_int_equal(store_default_dir(dir, sizeof dir, NULL), ERR_OK);
    assert_string_equal(dir, "/home/somebody/.local/share/veetance");
}

/* ---- broken databases --------------------------------------------------------------------------- */

static void everything_comes_back_when_only_the_database_is_gone(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 9, 7, 1), b;
    char path[512];
    store_close(s);
    (void)snprintf(path, sizeof path, "%s/veetance.db", p->dir);
    assert_int_equal(unlink(path), 0);
    write_at(p->dir, "assets/readme.txt", 0, "not ours");
    s = open_store(p->dir);
    assert_int_equal(asset_get(s, a.id, &b, NULL), ERR_OK);
    assert_int_equal(b.width, 9);
    assert_string_equal(b.origin, "found");
    /* Nobody refers to it any more, and yet it stays until it is said otherwise. */
    struct store_gc_params gc = {.grace_s = 0};
    struct store_gc_result gone;
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 0);
    gc.found_too = true;
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 1);
    assert_true(there(p->dir, "assets/readme.txt"));
    store_close(s);
}

static void files_are_kept_when_the_database_is_garbage(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 9, 7, 1);
    store_close(s);
    write_at(p->dir, "veetance.db", 0, "this is no database, and never was one, that much is sure");
    s = open_store(p->dir);
    assert_true(there(p->dir, "veetance.db.broken-1"));
    assert_int_equal(asset_get(s, a.id, &a, NULL), ERR_OK);
    store_close(s);
    write_at(p->dir, "veetance.db", 0, "this is no database, and never was one, that much is sure");
    store_close(open_store(p->dir));
    assert_true(there(p->dir, "veetance.db.broken-2"));
}

static void projects_and_jobs_are_saved_when_pages_are_damaged(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 9, 7, 1);
    struct project project = keep_project(s, &a), again;
    struct job_record job = keep_job(s), job_again;
    for (unsigned i = 0; i < 100; i++) /* pages of the table of assets, to damage one */
        (void)put_png(s, 3, 3, 100 + i);
    store_close(s);
    /* The first pages are the roots of tables and indexes; behind them lie only leaves of the largest. */
    char path[512];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/veetance.db", p->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 16 * 4096);
    for (long at = 16 * 4096; at < st.st_size; at += 4096)
        write_at(p->dir, "veetance.db", at, "broken broken broken broken broken broken");
    s = open_store(p->dir);
    assert_true(there(p->dir, "veetance.db.broken-1"));
    struct store_numbers n;
    assert_int_equal(store_count(s, &n, NULL), ERR_OK);
    assert_int_equal(n.assets, 101);
    assert_int_equal(project_get(s, project.id, &again, NULL), ERR_OK);
    assert_int_equal(again.n, 1);
    assert_int_equal(jobs_get(s, job.id, &job_again, NULL), ERR_OK);
    struct store_report r;
    assert_int_equal(store_check(s, true, NULL, NULL, &r, NULL), ERR_OK);
    assert_int_equal(r.damaged + r.dangling + r.broken_rows + r.strays, 0);
    project_deinit(&project);
    project_deinit(&again);
    job_record_deinit(&job);
    job_record_deinit(&job_again);
    store_close(s);
}

static void newer_database_is_left_alone_when_it_is_found(void **state)
{
    struct place *p = *state;
    struct err e = {0};
    struct store *s = open_store(p->dir);
    store_close(s);
    write_at(p->dir, "veetance.db", 60, "\x7f"); /* user_version, big end first */
    struct store_options o = {.dir = p->dir};
    assert_int_equal(store_open(&o, &s, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "newer version"));
    assert_false(there(p->dir, "veetance.db.broken-1"));
}

/* ---- no room, no right -------------------------------------------------------------------------- */

/* Runs f in a child, for what cannot be taken back; the child's exit code, or -1. */
static int in_child(int (*f)(const char *dir), const char *dir)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(f(dir));
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int open_as_nobody(const char *dir)
{
    struct store *s;
    struct err e = {0};
    struct store_options o = {.dir = dir};
    if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 77;
    enum err_code rc = store_open(&o, &s, &e);
    return rc == ERR_IO && strstr(e.text, "Permission denied") && !store_is_full(&e) ? 0 : 1;
}

static void error_is_clear_when_the_folder_is_read_only(void **state)
{
    struct place *p = *state;
    store_close(open_store(p->dir));
    assert_int_equal(chmod(p->dir, 0555), 0);
    int rc = in_child(open_as_nobody, p->dir);
    assert_int_equal(chmod(p->dir, 0755), 0);
    if (rc == 77)
        print_message("skipped: cannot become another user\n");
    else
        assert_int_equal(rc, 0);
}

/* Puts images in until it is refused: then all that is there must be whole, small things must still be
 * read, and room must help. */
static int fill_up(const char *dir)
{
    struct store *s;
    struct store_options o = {.dir = dir};
    struct err e = {0};
    struct store_report r;
    struct asset a;
    enum err_code rc = store_open(&o, &s, &e);
    unsigned n = 0;
    for (; rc == ERR_OK && n < 4000; n++) {
        struct buf png;
        make_png(200, 200, n, &png);
        rc = asset_put(s, buf_str(&png), NULL, &a, &e);
        buf_deinit(&png);
    }
    if (rc != ERR_IO || !store_is_full(&e)) {
        print_message("%u images: %s\n", n, e.text);
        return 1;
    }
    if (store_check(s, true, NULL, NULL, &r, &e) != ERR_OK || r.damaged || r.broken_rows)
        return 2;
    store_close(s);
    return 0;
}

static int fill_tmpfs(const char *dir)
{
    if (mount("tmpfs", dir, "tmpfs", 0, "size=2m") != 0)
        return 77;
    int rc = fill_up(dir);
    struct store *s = NULL;
    struct err e = {0};
    struct store_options o = {.dir = dir};
    /* A full disk is no reason not to open, or at least to say so. */
    enum err_code again = rc == 0 ? store_open(&o, &s, &e) : ERR_OK;
    if (rc == 0 && again == ERR_OK)
        store_close(s);
    else if (rc == 0 && !store_is_full(&e))
        rc = 3;
    umount2(dir, MNT_DETACH);
    return rc;
}

static void full_disk_is_told_apart_when_it_is_a_small_tmpfs(void **state)
{
    struct place *p = *state;
    int rc = in_child(fill_tmpfs, p->dir);
    if (rc == 77)
        print_message("skipped: cannot mount a tmpfs\n");
    else
        assert_int_equal(rc, 0);
}

static int fill_to_limit(const char *dir)
{
    struct rlimit limit = {.rlim_cur = 200000, .rlim_max = 200000};
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 77;
    return fill_up(dir);
}

static void full_disk_is_told_apart_when_files_may_not_grow(void **state)
{
    struct place *p = *state;
    assert_int_equal(in_child(fill_to_limit, p->dir), 0);
    /* And all is well once they may. */
    struct store *s = open_store(p->dir);
    struct store_report r;
    assert_int_equal(store_check(s, true, NULL, NULL, &r, NULL), ERR_OK);
    assert_int_equal(r.damaged + r.broken_rows + r.dangling, 0);
    (void)put_png(s, 50, 50, 1);
    store_close(s);
}

/* ---- clocks ------------------------------------------------------------------------------------- */

static int64_t told_time(void *user)
{
    return *(int64_t *)user;
}

static struct store *open_at(const char *dir, int64_t *at)
{
    struct store *s;
    struct store_options o = {.dir = dir, .wall_clock_ms = told_time, .user = at};
    assert_int_equal(store_open(&o, &s, NULL), ERR_OK);
    return s;
}

static void order_and_grace_hold_when_the_clock_jumps(void **state)
{
    struct place *p = *state;
    const int64_t day = 24 * 3600 * 1000;
    int64_t at = 1800000000000;
    struct store_gc_params gc = {.grace_s = STORE_GRACE_S};
    struct store_gc_result gone;
    struct asset a, b;
    struct job_list l;
    struct store *s = open_at(p->dir, &at);
    a = put_png(s, 5, 5, 1);
    struct job_record first = keep_job(s);
    store_close(s);
    at -= 100 * day; /* back: what comes now must not look older than what came before */
    s = open_at(p->dir, &at);
    b = put_png(s, 5, 5, 2);
    struct job_record second = keep_job(s);
    assert_true(b.created_ms >= a.created_ms);
    assert_int_equal(jobs_waiting(s, 10, &l, NULL), ERR_OK);
    assert_string_equal(l.items[0].id, first.id);
    assert_string_equal(l.items[1].id, second.id);
    job_list_deinit(&l);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 0);
    store_close(s);
    at += 4000 * day; /* a clock far in the future puts something in, and is then set right */
    s = open_at(p->dir, &at);
    struct asset c = put_png(s, 5, 5, 3);
    struct project keeper = keep_project(s, &c);
    store_close(s);
    at -= 3890 * day;
    s = open_at(p->dir, &at);
    assert_true(store_now_ms(s) < at + day);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 2);
    assert_int_equal(project_delete(s, keeper.id, 0, NULL), ERR_OK);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 0);
    store_close(s);
    at += 8 * day; /* its time began anew when the clock was seen to be wrong */
    s = open_at(p->dir, &at);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 1);
    store_close(s);
    project_deinit(&keeper);
    job_record_deinit(&first);
    job_record_deinit(&second);
}

/* ---- collection and backup ---------------------------------------------------------------------- */

static void only_what_nobody_needs_goes_when_collected(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset used = put_png(s, 9, 9, 1), orphan = put_png(s, 9, 9, 2), a;
    struct project project = keep_project(s, &used);
    struct store_gc_params gc = {.grace_s = 3600};
    struct store_gc_result gone;
    int fd;
    assert_int_equal(asset_thumb_open(s, orphan.id, 64, &fd, NULL, NULL, NULL), ERR_OK);
    close(fd);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 0);
    char stray[100];
    (void)snprintf(stray, sizeof stray, "assets/%.2s/%.2s%062d", used.id, used.id, 7);
    write_at(p->dir, stray, 0, "left by a crash");
    write_at(p->dir, "tmp/0123456789abcdef-0123456789abcdef", 0, "left by a crash");
    struct asset_writer *w; /* an upload that is under way is nobody's rubbish */
    assert_int_equal(asset_writer_begin(s, 0, &w, NULL), ERR_OK);
    gc.grace_s = 0;
    gc.dry_run = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
        assert_int_equal(gone.assets, 1);
        assert_int_equal(gone.strays, 1);
        assert_int_equal(gone.temporary, 1);
        assert_int_equal(gone.bytes, orphan.bytes + 30);
        gc.dry_run = false;
    }
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets + gone.strays + gone.temporary, 0);
    assert_int_equal(asset_get(s, orphan.id, &a, NULL), ERR_NOTFOUND);
    assert_int_equal(asset_get(s, used.id, &a, NULL), ERR_OK);
    struct buf png;
    make_png(5, 5, 9, &png);
    assert_int_equal(asset_writer_write(w, png.p, png.n, NULL), ERR_OK);
    assert_int_equal(asset_writer_finish(w, NULL, &a, NULL), ERR_OK);
    buf_deinit(&png);
    project_deinit(&project);
    store_close(s);
}

static void copy_opens_as_a_store_when_backed_up(void **state)
{
    struct place *p = *state;
    char to[300];
    uint64_t files;
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 9, 9, 1), b;
    struct project project = keep_project(s, &a), again;
    (void)snprintf(to, sizeof to, "%s/backup", p->dir);
    /* As another process would, beside the one that has the store open. */
    struct store *other;
    struct store_options o = {.dir = p->dir, .look_only = true};
    assert_int_equal(store_open(&o, &other, NULL), ERR_OK);
    assert_int_equal(store_backup(other, to, &files, NULL), ERR_OK);
    assert_int_equal(files, 1);
    assert_int_equal(store_backup(other, to, &files, NULL), ERR_ARG);
    store_close(other);
    store_close(s);
    s = open_store(to);
    struct store_report r;
    assert_int_equal(store_check(s, true, NULL, NULL, &r, NULL), ERR_OK);
    assert_int_equal(r.damaged + r.dangling + r.broken_rows + r.strays, 0);
    assert_int_equal(asset_get(s, a.id, &b, NULL), ERR_OK);
    assert_int_equal(project_get(s, project.id, &again, NULL), ERR_OK);
    project_deinit(&project);
    project_deinit(&again);
    store_close(s);
}

/* ---- threads ------------------------------------------------------------------------------------ */

enum { THREADS = 4, TURNS = 12 };

struct worker {
    struct store *s;
    unsigned seed;
    const char *failed; /* cmocka's assertions belong to the main thread */
};

/* Puts images in that others put in and collect at the same time: what a call gives must be there as long
 * as something refers to it. */
static void *work(void *arg)
{
    struct worker *w = arg;
    struct store_gc_params gc = {.grace_s = 0};
    struct store_gc_result gone;
    for (unsigned i = 0; i < TURNS && !w->failed; i++) {
        struct buf png;
        struct asset a;
        struct job_record r = {0};
        struct image im = {0};
        make_png(12, 12, i % 5, &png);
        if (asset_put(w->s, buf_str(&png), NULL, &a, NULL) != ERR_OK)
            w->failed = "put";
        const char *in = a.id;
        struct job_new job = {.kind = "edit", .model = "m", .inputs = &in, .n_inputs = 1};
        enum err_code rc = jobs_add(w->s, &job, &r, NULL);
        if (rc != ERR_OK && rc != ERR_NOTFOUND) /* collected before the job came: grace is 0 */
            w->failed = "add";
        if (rc == ERR_OK && asset_load(w->s, a.id, &im, NULL) != ERR_OK)
            w->failed = "load";
        if (i % 4 == w->seed && store_gc(w->s, &gc, &gone, NULL) != ERR_OK)
            w->failed = "collect";
        struct job_outcome cancelled = {.state = JOB_CANCELLED};
        if (rc == ERR_OK && (jobs_finish(w->s, r.id, &cancelled, NULL) != ERR_OK ||
                             jobs_forget(w->s, r.id, NULL) != ERR_OK))
            w->failed = "finish";
        image_free(&im);
        job_record_deinit(&r);
        buf_deinit(&png);
    }
    return NULL;
}

static void rows_and_files_agree_when_threads_put_and_collect(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    struct store_report r;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.s = s, .seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        if (workers[i].failed)
            fail_msg("%s", workers[i].failed);
    assert_int_equal(store_check(s, true, NULL, NULL, &r, NULL), ERR_OK);
    assert_int_equal(r.damaged + r.dangling + r.broken_rows + r.strays, 0);
    store_close(s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        CASE(second_process_is_refused_when_the_store_is_open),
        CASE(others_cannot_read_a_store_when_it_is_new_or_was_open_to_them),
        CASE(nothing_is_removed_behind_a_link_when_opened),
        cmocka_unit_test(default_folder_follows_the_environment_when_it_is_set),
        CASE(everything_comes_back_when_only_the_database_is_gone),
        CASE(files_are_kept_when_the_database_is_garbage),
        CASE(projects_and_jobs_are_saved_when_pages_are_damaged),
        CASE(newer_database_is_left_alone_when_it_is_found),
        CASE(error_is_clear_when_the_folder_is_read_only),
        CASE(full_disk_is_told_apart_when_it_is_a_small_tmpfs),
        CASE(full_disk_is_told_apart_when_files_may_not_grow),
        CASE(order_and_grace_hold_when_the_clock_jumps),
        CASE(only_what_nobody_needs_goes_when_collected),
        CASE(copy_opens_as_a_store_when_backed_up),
        CASE(rows_and_files_agree_when_threads_put_and_collect),
    };
    log_set(LOG_ERROR, quiet_log, NULL); /* what is moved aside is said at every turn here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
