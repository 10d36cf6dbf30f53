#include "child/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/str.h"
#include "child/wire.h"

enum {
    LOWEST_FD = 16, /* above those that a program is given */
    MAX_VARIABLES = 128,
    LINE_BYTES = 1024,
    PATIENCE_MS = 2000, /* with one that is to end */
};

struct process {
    int socket, said; /* said: its standard error */
    pthread_t keeper;
    bool has_keeper;
    const char *name;
    const struct process_start *start; /* until it runs */
    uint64_t oom_kills;                /* when it was started */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool is_running, has_failed;
    pid_t pid;
    int pidfd, theirs, their_error; /* theirs: the child's ends, until it runs */
    struct process_ending ending;
    struct err err; /* why it was not started */
    char log[PROCESS_LOG_BYTES];
    size_t log_n;
};

/* ---- the kernel's memory killer -------------------------------------------------------------------------- */

/* The number behind a word of a small file of the kernel; 0 without it. */
static uint64_t number_in(const char *path, const char *word)
{
    char line[256];
    uint64_t n = 0;
    size_t length = strlen(word);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, word, length) == 0 && line[length] == ' ')
            n = strtoull(line + length + 1, NULL, 10);
    if (f)
        (void)fclose(f);
    return n;
}

/* How often it has killed in our control group, and on the machine: either counter may be all that a container shows. */
static uint64_t count_oom_kills(void)
{
    char line[512], path[600] = "/sys/fs/cgroup/memory.events";
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "0::/", 4) == 0 && line[4])
            (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%s/memory.events", line + 4);
    }
    if (f)
        (void)fclose(f);
    return number_in(path, "oom_kill") + number_in("/proc/vmstat", "oom_kill");
}

/* ---- what it says ---------------------------------------------------------------------------------------- */

/* "veetance: warning: ..." of its log into ours. */
static void tell(const char *name, const char *line)
{
    static const struct {
        const char *head;
        enum log_level level;
    } heads[] = {{"veetance: error: ", LOG_ERROR},
                 {"veetance: warning: ", LOG_WARN},
                 {"veetance: info: ", LOG_INFO},
                 {"veetance: debug: ", LOG_DEBUG}};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        if (str_starts(str_from(line), str_from(heads[i].head))) {
            log_line(heads[i].level, "%s", line + strlen(heads[i].head));
            return;
        }
    log_warn("%s: %s", name, line);
}

/* Keeps the end of all that came. */
static void keep(struct process *p, const char *line, size_t n)
{
    enum { ROOM = PROCESS_LOG_BYTES - 1 };
    pthread_mutex_lock(&p->lock);
    if (n > ROOM) {
        line += n - ROOM;
        n = ROOM;
    }
    size_t over = p->log_n + n > ROOM ? p->log_n + n - ROOM : 0;
    memmove(p->log, p->log + over, p->log_n - over);
    memcpy(p->log + p->log_n - over, line, n);
    p->log_n += n - over;
    p->log[p->log_n] = 0;
    pthread_mutex_unlock(&p->lock);
}

struct lines {
    char text[LINE_BYTES];
    size_t n;
};

static void end_line(struct process *p, struct lines *l)
{
    if (l->n == 0)
        return;
    l->text[l->n] = '\n';
    keep(p, l->text, l->n + 1);
    l->text[l->n] = 0;
    tell(p->name, l->text);
    l->n = 0;
}

/* What is no text becomes '?', so that nothing in it moves a terminal's cursor. */
static void hear(struct process *p, struct lines *l, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '\n' || byte == '\r' || l->n == LINE_BYTES - 1)
            end_line(p, l);
        if (byte != '\n' && byte != '\r')
            l->text[l->n++] = (char)((byte < ' ' && byte != '\t') || byte == 127 ? '?' : byte);
    }
}

/* False: it will say no more. */
static bool read_said(struct process *p, struct lines *l)
{
    char bytes[4096];
    for (;;) {
        ssize_t n = read(p->said, bytes, sizeof bytes);
        if (n > 0)
            hear(p, l, bytes, (size_t)n);
        else if (n == 0 || (errno != EINTR && errno != EAGAIN))
            return false;
        else if (errno == EAGAIN)
            return true;
    }
}

void process_log(struct process *p, char out[PROCESS_LOG_BYTES])
{
    pthread_mutex_lock(&p->lock);
    const char *whole = p->log;
    if (p->log_n == PROCESS_LOG_BYTES - 1 && strchr(whole, '\n')) /* its first line is cut */
        whole = strchr(whole, '\n') + 1;
    (void)snprintf(out, PROCESS_LOG_BYTES, "%s", whole);
    pthread_mutex_unlock(&p->lock);
    size_t bad;
    while (!str_is_utf8(str_from(out), &bad))
        out[bad] = '?';
}

/* ---- starting -------------------------------------------------------------------------------------------- */

/* What a variable's name begins with that a library, a driver or we may need. The rest stays here: a token of another
 * program is nobody's business. */
static bool is_wanted(const char *variable)
{
    static const char *const wanted[] = {"HOME=",
                                         "LANG=",
                                         "LC_",
                                         "TZ=",
                                         "XDG_",
                                         "VEETANCE_",
                                         "GGML_",
                                         "CUDA_",
                                         "NVIDIA_",
                                         "VK_",
                                         "MESA_",
                                         "OMP_",
                                         "DNNL_",
                                         "ONEDNN_",
                                         "MALLOC_",
                                         "HIP_",
                                         "ROCR_",
                                         "ONEAPI_",
                                         "ZES_",
                                         "SYCL_",
                                         "LIBGL_",
                                         "LD_LIBRARY_PATH=",
                                         "ASAN_",
                                         "UBSAN_",
                                         "LSAN_",
                                         "TSAN_",
                                         "GLIBC_TUNABLES=",
                                         "DRI_",
                                         "RADV_",
                                         "LP_NUM_THREADS="};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strncmp(variable, wanted[i], strlen(wanted[i])) == 0)
            return !strstr(variable, "TOKEN=") && !strstr(variable, "SECRET");
    return false;
}

static void choose_environment(const char *temporary, char *out[MAX_VARIABLES + 2], char *tmp,
                               size_t size)
{
    size_t n = 0;
    for (char **v = environ; *v && n < MAX_VARIABLES; v++)
        if (is_wanted(*v))
            out[n++] = *v;
    const char *dir = temporary ? temporary : getenv("TMPDIR");
    (void)snprintf(tmp, size, "TMPDIR=%s", dir ? dir : "");
    if (dir)
        out[n++] = tmp;
    out[n] = NULL;
}

static int spawn(struct process *p)
{
    char *env[MAX_VARIABLES + 2], tmp[4200];
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    pid_t pid = 0;
    sigemptyset(&none);
    sigfillset(&all);
    choose_environment(p->start->temporary, env, tmp, sizeof tmp);
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        return rc;
    if ((rc = posix_spawnattr_init(&how)) != 0)
        goto no_attributes;
    /* A group of its own: Ctrl-C at a terminal is for us, who end it in our order. */
    if ((rc = posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                 POSIX_SPAWN_SETSIGMASK)) == 0 &&
        (rc = posix_spawnattr_setsigmask(&how, &none)) == 0 &&
        (rc = posix_spawnattr_setsigdefault(&how, &all)) == 0 &&
        (rc = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
        (rc = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0)) == 0 &&
        (rc = posix_spawn_file_actions_adddup2(&files, p->their_error, 2)) == 0 &&
        (rc = posix_spawn_file_actions_adddup2(&files, p->theirs, PROCESS_SOCKET)) == 0 &&
        (rc = posix_spawn_file_actions_addclosefrom_np(&files, PROCESS_SOCKET + 1)) == 0)
        rc = posix_spawn(&pid, p->start->program, &files, &how,
                         (char *const *)(uintptr_t)p->start->arguments, env);
    if (rc == 0)
        p->pid = pid;
    (void)posix_spawnattr_destroy(&how);
no_attributes:
    (void)posix_spawn_file_actions_destroy(&files);
    return rc;
}

static void close_theirs(struct process *p)
{
    if (p->theirs >= 0)
        (void)close(p->theirs);
    if (p->their_error >= 0)
        (void)close(p->their_error);
    p->theirs = p->their_error = -1;
}

/* ---- the keeper ------------------------------------------------------------------------------------------ */

static void take_end(struct process *p)
{
    int status = 0;
    struct process_ending how = {.ended = true};
    pid_t got;
    do
        got = waitpid(p->pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (got == p->pid && WIFSIGNALED(status))
        how.signal = WTERMSIG(status);
    else if (got == p->pid)
        how.code = WEXITSTATUS(status);
    how.out_of_memory = how.signal == SIGKILL && count_oom_kills() > p->oom_kills;
    pthread_mutex_lock(&p->lock);
    p->ending = how;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void keep_company(struct process *p)
{
    struct lines l = {.n = 0};
    bool says = true;
    for (;;) {
        struct pollfd both[2] = {{.fd = p->pidfd, .events = POLLIN},
                                 {.fd = says ? p->said : -1, .events = POLLIN}};
        if (poll(both, 2, -1) < 0)
            continue;
        if (both[1].revents)
            says = read_said(p, &l);
        if (both[0].revents || (p->pidfd < 0 && !says))
            break;
    }
    if (says)
        (void)read_said(p, &l);
    end_line(p, &l);
    take_end(p);
}

static void *keeper(void *process)
{
    struct process *p = process;
    p->oom_kills = count_oom_kills();
    int rc = spawn(p);
    close_theirs(p);
    if (rc == 0 && (p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0)) < 0)
        log_warn("the %s's process cannot be watched: %s", p->name,
                 strerror(errno)); /* Linux 5.3 can */
    pthread_mutex_lock(&p->lock);
    p->is_running = rc == 0;
    p->has_failed = rc != 0;
    if (rc != 0)
        (void)err_set_sys(&p->err, rc == ENOENT ? ERR_NOTFOUND : ERR_IO, rc,
                          "the %s's process cannot be started ('%.200s')", p->name,
                          p->start->program);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (rc == 0)
        keep_company(p);
    return NULL;
}

/* Clear of the descriptors that the program is given. */
static int moved(int fd)
{
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
    int kept = errno;
    (void)close(fd);
    errno = kept;
    return higher;
}

static enum err_code open_ends(struct process *p, struct err *e)
{
    int pair[2], said[2];
    TRY(wire_pair(pair, e));
    p->socket = pair[0];
    p->theirs = moved(pair[1]);
    if (p->theirs < 0 || pipe2(said, O_CLOEXEC) != 0)
        return err_set_sys(e, ERR_IO, errno, "no descriptors for the %s's process", p->name);
    p->said = said[0];
    p->their_error = moved(said[1]);
    if (p->their_error < 0 || fcntl(p->said, F_SETFL, O_NONBLOCK) != 0)
        return err_set_sys(e, ERR_IO, errno, "no descriptors for the %s's process", p->name);
    return ERR_OK;
}

static enum err_code run(struct process *p, struct err *e)
{
    TRY(open_ends(p, e));
    if (!parallel_start(&p->keeper, keeper, p))
        return err_set(e, ERR_NOMEM, "no thread for the %s's process", p->name);
    p->has_keeper = true;
    pthread_mutex_lock(&p->lock);
    while (!p->is_running && !p->has_failed)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    p->start = NULL;
    if (!p->has_failed)
        return ERR_OK;
    if (e)
        *e = p->err;
    return p->err.code;
}

enum err_code process_start(const struct process_start *o, struct process **out, struct err *e)
{
    struct process *p = mem_alloc(sizeof *p);
    pthread_condattr_t steady;
    *out = NULL;
    p->socket = p->said = p->theirs = p->their_error = p->pidfd = -1;
    p->start = o;
    p->name = o->name ? o->name : "engine";
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &steady);
    pthread_condattr_destroy(&steady);
    enum err_code rc = run(p, e);
    if (rc != ERR_OK) {
        process_free(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

/* ---- while it runs, and after ------------------------------------------------------------------------------ */

int process_socket(const struct process *p)
{
    return p->socket;
}

void process_kill(struct process *p)
{
    pthread_mutex_lock(&p->lock);
    if (p->is_running && !p->ending.ended)
        (void)syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
    pthread_mutex_unlock(&p->lock);
}

void process_end(struct process *p, int milliseconds, struct process_ending *out)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&p->lock);
    while (!p->ending.ended && pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT) {
    }
    *out = p->ending;
    pthread_mutex_unlock(&p->lock);
}

void process_free(struct process *p)
{
    struct process_ending how;
    if (!p)
        return;
    if (p->socket >= 0)
        (void)close(p->socket);
    if (p->is_running) {
        process_end(p, PATIENCE_MS, &how);
        if (!how.ended)
            process_kill(p);
    }
    if (p->has_keeper)
        pthread_join(p->keeper, NULL);
    close_theirs(p);
    if (p->said >= 0)
        (void)close(p->said);
    if (p->pidfd >= 0)
        (void)close(p->pidfd);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

/* ---- in the child ------------------------------------------------------------------------------------------ */

static void be_killed_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, "500", 3);
    (void)close(fd);
}

bool process_is_child(void)
{
    int type = 0, family = 0;
    socklen_t n = sizeof type;
    if (getsockopt(PROCESS_SOCKET, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_SEQPACKET)
        return false;
    n = sizeof family;
    if (getsockopt(PROCESS_SOCKET, SOL_SOCKET, SO_DOMAIN, &family, &n) != 0 || family != AF_UNIX)
        return false;
    (void)fcntl(PROCESS_SOCKET, F_SETFD, FD_CLOEXEC);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    be_killed_first();
    return true;
}
