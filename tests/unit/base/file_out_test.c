/* One way to write a file: many writers of one path, links, pipes, rights, and nothing left behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/folder.h"

enum { PROCESSES = 4, THREADS = 8, ROUNDS = 25, BYTES = 30000 };

static char dir[64];

static const char *at(const char *name)
{
    static char paths[4][4096];
    static int next;
    char *out = paths[next++ % 4];
    assert_int_equal(file_join(out, sizeof paths[0], dir, name, NULL), ERR_OK);
    return out;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/vt-file-out-XXXXXX");
    (void)umask(022);
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove_tree(dir);
    return 0;
}

static int entries(const char *path)
{
    int n = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void put(const char *path, const char *text)
{
    struct err e = {0};
    if (file_write_atomic(path, text, strlen(text), &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static void assert_holds(const char *path, const char *text)
{
    struct buf b;
    struct err e = {0};
    if (file_read(path, 1 << 20, &b, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_string_equal(buf_z(&b), text);
    buf_deinit(&b);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

/* ---- many writers ---- */

static void *write_often(void *arg)
{
    const char *path = arg;
    char bytes[BYTES];
    intptr_t failed = 0;
    for (int i = 0; i < ROUNDS; i++) {
        memset(bytes, 'a' + (int)(((uintptr_t)pthread_self() >> 6) + (uintptr_t)i) % 26,
               sizeof bytes);
        failed += file_write_atomic(path, bytes, sizeof bytes, NULL) != ERR_OK;
    }
    return (void *)failed;
}

static int write_in_threads(const char *path)
{
    pthread_t threads[THREADS];
    intptr_t failed = 0;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, write_often, (void *)(uintptr_t)path) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++) {
        void *one;
        (void)pthread_join(threads[i], &one);
        failed += (intptr_t)one;
    }
    return failed != 0;
}

static void all_writers_succeed_when_they_write_one_path(void **state)
{
    (void)state;
    const char *path = at("shared");
    struct buf b;
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(write_in_threads(path));
        assert_true(pids[i] > 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(file_read(path, BYTES, &b, NULL), ERR_OK);
    assert_int_equal(b.n, BYTES); /* one of them, whole */
    for (size_t i = 1; i < b.n; i++)
        assert_int_equal(b.p[i], b.p[0]);
    buf_deinit(&b);
    assert_int_equal(entries(dir), 1);
}

/* ---- what is replaced ---- */

static void old_file_and_folder_stay_when_writing_fails(void **state)
{
    (void)state;
    struct rlimit old, small = {.rlim_cur = 1000};
    static char bytes[BYTES];
    struct err e = {0};
    put(at("f"), "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err_code rc = file_write_atomic(at("f"), bytes, sizeof bytes, &e);
    enum err_code fresh = file_write_atomic(at("g"), bytes, sizeof bytes, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(rc, ERR_IO);
    assert_int_equal(fresh, ERR_IO);
    assert_int_equal(e.sys, EFBIG);
    assert_non_null(strstr(e.text, "/g'"));
    assert_holds(at("f"), "old");
    assert_int_equal(entries(dir), 1);
}

static void nothing_is_left_when_writing_is_given_up(void **state)
{
    (void)state;
    struct file_out f;
    assert_int_equal(file_out_begin(&f, at("f"), 0666, 100, NULL), ERR_OK);
    assert_int_equal(file_out_write(&f, "x", 1, 50, NULL), ERR_OK);
    file_out_end(&f);
    assert_int_equal(entries(dir), 0);
}

static void rights_are_the_callers_when_a_file_is_new(void **state)
{
    (void)state;
    put(at("open"), "x");
    assert_int_equal(mode_of(at("open")), 0644);
    assert_int_equal(file_write_mode(at("secret"), 0600, "x", 1, NULL), ERR_OK);
    assert_int_equal(mode_of(at("secret")), 0600);
}

static void rights_are_kept_when_a_file_is_replaced(void **state)
{
    (void)state;
    put(at("f"), "old");
    assert_int_equal(chmod(at("f"), 0640), 0);
    put(at("f"), "new");
    assert_int_equal(mode_of(at("f")), 0640);
    assert_int_equal(chmod(at("f"), 0666), 0);
    assert_int_equal(file_write_mode(at("f"), 0600, "secret", 6, NULL), ERR_OK);
    assert_int_equal(mode_of(at("f")), 0600);
    assert_holds(at("f"), "secret");
}

static void link_stays_when_the_file_behind_it_is_written(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(mkdir(at("sub"), 0700), 0);
    put(at("sub/real"), "old");
    assert_int_equal(chmod(at("sub/real"), 0600), 0);
    assert_int_equal(symlink("sub/real", at("one")), 0);
    assert_int_equal(symlink("one", at("two")), 0);
    put(at("two"), "new");
    assert_int_equal(readlink(at("two"), text, sizeof text), 3);
    assert_int_equal(readlink(at("one"), text, sizeof text), 8);
    assert_holds(at("sub/real"), "new");
    assert_int_equal(mode_of(at("sub/real")), 0600);
    assert_int_equal(entries(at("sub")), 1);

    assert_int_equal(symlink("sub/fresh", at("dangling")), 0);
    put(at("dangling"), "made");
    assert_holds(at("sub/fresh"), "made");

    struct err e = {0};
    assert_int_equal(symlink("loop", at("loop")), 0);
    assert_int_equal(file_write_atomic(at("loop"), "x", 1, &e), ERR_IO);
    assert_int_equal(e.sys, ELOOP);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(file_write_atomic(dir, "x", 1, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "folder"));
    assert_int_equal(file_write_atomic(at("f/"), "x", 1, &e), ERR_ARG);
    assert_int_equal(file_write_atomic(at("missing/part/f"), "x", 1, &e), ERR_IO);
    assert_non_null(strstr(e.text, "missing/part'"));
}

/* ---- what is written to directly ---- */

static void *read_pipe(void *arg)
{
    const char *path = arg;
    struct buf *b = malloc(sizeof *b);
    char piece[1000];
    buf_init(b, 1 << 20);
    int fd = open(path, O_RDONLY);
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;)
        buf_add(b, piece, (size_t)n);
    close(fd);
    return b;
}

static void bytes_go_through_when_the_path_is_a_pipe(void **state)
{
    (void)state;
    static char bytes[BYTES * 10];
    void *got;
    pthread_t reader;
    const char *path = at("pipe");
    memset(bytes, 'p', sizeof bytes);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(file_out_is_direct(path));
    assert_int_equal(pthread_create(&reader, NULL, read_pipe, (void *)(uintptr_t)path), 0);
    struct err e = {0};
    if (file_write_atomic(path, bytes, sizeof bytes, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_int_equal(pthread_join(reader, &got), 0);
    struct buf *b = got;
    assert_int_equal(b->n, sizeof bytes);
    assert_memory_equal(b->p, bytes, sizeof bytes);
    buf_deinit(b);
    free(b);
    struct stat st;
    assert_true(lstat(path, &st) == 0 && S_ISFIFO(st.st_mode));
}

static void devices_stay_devices_when_written_to(void **state)
{
    (void)state;
    struct stat st;
    put("/dev/null", "x");
    assert_true(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    struct file_out f;
    assert_int_equal(file_out_begin(&f, "/dev/null", 0666, 8, NULL), ERR_OK);
    assert_int_equal(file_out_write(&f, "abcd", 4, 0, NULL), ERR_OK);
    assert_int_equal(file_out_write(&f, "abcd", 4, 6, NULL), ERR_ARG);
    file_out_end(&f);
}

/* (echo before; veetance -o /dev/stdout; echo after) > file */
static void bytes_are_appended_when_the_path_is_an_open_descriptor(void **state)
{
    (void)state;
    char name[64];
    if (access("/dev/fd", X_OK) != 0)
        skip();
    int fd = open(at("out"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "before\n", 7), 7);
    (void)snprintf(name, sizeof name, "/dev/fd/%d", fd);
    assert_true(file_out_is_direct(name));
    put(name, "image\n");
    assert_int_equal(write(fd, "after\n", 6), 6);
    close(fd);
    assert_holds(at("out"), "before\nimage\nafter\n");
    assert_int_equal(file_out_is_direct(at("out")), false);
    assert_int_equal(file_out_is_direct(at("new")), false);
}

/* ---- folders and locks ---- */

static void folders_are_made_with_their_mode(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(folder_make(at("a//b/c/"), 0700, &e), ERR_OK);
    assert_int_equal(mode_of(at("a/b")), 0700);
    assert_int_equal(folder_make(at("a/b/c"), 0777, &e), ERR_OK);
    assert_int_equal(folder_make_parents(at("d/e/file"), 0777, &e), ERR_OK);
    assert_int_equal(mode_of(at("d/e")), 0755);
    put(at("file"), "x");
    assert_int_equal(folder_make(at("file/x"), 0700, &e), ERR_IO);
    assert_non_null(strstr(e.text, "in the way"));
    assert_int_equal(folder_make("", 0700, &e), ERR_ARG);
}

static void lock_is_busy_when_another_holds_it(void **state)
{
    (void)state;
    int a, b;
    assert_int_equal(file_lock(AT_FDCWD, at("lock"), 0600, true, &a, NULL), ERR_OK);
    assert_int_equal(file_lock(AT_FDCWD, at("lock"), 0600, false, &b, NULL), ERR_BUSY);
    assert_int_equal(b, -1);
    file_unlock(a);
    assert_int_equal(file_lock(AT_FDCWD, at("lock"), 0600, false, &b, NULL), ERR_OK);
    file_unlock(b);
}

/* ---- file systems on which a file cannot be without a name ---- */

/* From now on this process's files cannot: as on NFS, FUSE and older kernels. False where the system has no such
 * filter. */
static bool refuse_nameless_files(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof code[0], code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void file_has_a_hidden_name_until_the_commit(void **state)
{
    (void)state;
    struct file_out f;
    struct err e = {0};
    const char *path = at("new");
    assert_int_equal(open(dir, O_TMPFILE | O_RDWR, 0600), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    assert_int_equal(file_out_begin(&f, path, 0666, 0, &e), ERR_OK);
    assert_true(f.linked);
    assert_int_equal(strncmp(f.temp, ".veetance-tmp-", 14), 0);
    assert_true(file_exists(at(f.temp)));
    assert_false(file_exists(path));
    assert_int_equal(file_out_write(&f, "x", 1, 0, &e), ERR_OK);
    assert_int_equal(file_out_commit(&f, &e), ERR_OK);
    file_out_end(&f);
    assert_holds(path, "x");
    assert_int_equal(entries(dir), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    TEST(all_writers_succeed_when_they_write_one_path),
    TEST(old_file_and_folder_stay_when_writing_fails),
    TEST(nothing_is_left_when_writing_is_given_up),
    TEST(rights_are_the_callers_when_a_file_is_new),
    TEST(rights_are_kept_when_a_file_is_replaced),
    TEST(link_stays_when_the_file_behind_it_is_written),
    TEST(what_is_no_file_is_refused),
    TEST(bytes_go_through_when_the_path_is_a_pipe),
    TEST(devices_stay_devices_when_written_to),
    TEST(bytes_are_appended_when_the_path_is_an_open_descriptor),
    TEST(folders_are_made_with_their_mode),
    TEST(lock_is_busy_when_another_holds_it),
};

/* All of it again in a process of its own. */
static int run_without_nameless_files(void)
{
    const struct CMUnitTest own[] = {TEST(file_has_a_hidden_name_until_the_commit)};
    int status = 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (!refuse_nameless_files()) {
            print_message("skipped: this system filters no calls\n");
            _exit(0);
        }
        int failed = cmocka_run_group_tests_name("file_out, names needed", own, NULL, NULL);
        failed += cmocka_run_group_tests_name("file_out, all with names", tests, NULL, NULL);
        (void)fflush(NULL);
        _exit(failed != 0);
    }
    return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0;
}

int main(void)
{
    int failed = cmocka_run_group_tests_name("file_out", tests, NULL, NULL);
    return failed + run_without_nameless_files();
}
