/* reader.c - the processes that read files for this one: one waits, one is asked, and each ends with its file or its
 * series. */
#include "reader/reader.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "child/process.h"
#include "reader/messages.h"

enum {
    WAITING_MAX = 2, /* started before they are needed */
    DEFAULT_PATIENCE = 60,
    SLOWNESS = 3, /* how much slower a busy machine may be than its processor */
    END_MS = 2000,
};

struct reader {
    struct reader_options options;
    pthread_t filler;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct process *waiting[WAITING_MAX];
    int n;
    bool is_wanted; /* one was taken since the filler looked */
    bool ends;
};

/* ---- those that wait --------------------------------------------------------------------------------------- */

static enum err_code start(const struct reader *r, struct process **out, struct err *e)
{
    static const char *const words[] = {"veetance", "reader", NULL};
    const struct reader_options *o = &r->options;
    return process_start(
        &(struct process_start){.name = "reader",
                                .program = o->program ? o->program : "/proc/self/exe",
                                .arguments = o->arguments ? o->arguments : words},
        out, e);
}

/* One that lives: what waited may have been killed. NULL: none waits. */
static struct process *take_waiting(struct reader *r)
{
    struct process_ending how = {.ended = true};
    struct process *p = NULL;
    while (how.ended) {
        process_free(p);
        pthread_mutex_lock(&r->lock);
        p = r->n ? r->waiting[--r->n] : NULL;
        pthread_mutex_unlock(&r->lock);
        if (!p)
            return NULL;
        process_end(p, 0, &how);
    }
    return p;
}

/* Starts what is to wait, beside those who ask. One that cannot be started is tried again when one is taken; who finds
 * none starts his own, and tells why he cannot. */
static void *fill(void *reader)
{
    struct reader *r = reader;
    pthread_mutex_lock(&r->lock);
    while (!r->ends) {
        struct process *p = NULL;
        struct err e = {0};
        if (r->n == WAITING_MAX || !r->is_wanted) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        r->is_wanted = r->n + 1 < WAITING_MAX;
        pthread_mutex_unlock(&r->lock);
        if (start(r, &p, &e) != ERR_OK)
            log_debug("%s", e.text);
        pthread_mutex_lock(&r->lock);
        if (p)
            r->waiting[r->n++] = p;
        else
            r->is_wanted = false;
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void want_another(struct reader *r)
{
    pthread_mutex_lock(&r->lock);
    r->is_wanted = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

enum err_code reader_open(const struct reader_options *o, struct reader **out, struct err *e)
{
    struct reader *r = mem_alloc(sizeof *r);
    *out = NULL;
    r->options = *o;
    if (r->options.patience <= 0)
        r->options.patience = DEFAULT_PATIENCE;
    r->is_wanted = true;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    if (parallel_start(&r->filler, fill, r)) {
        *out = r;
        return ERR_OK;
    }
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
    return err_set(e, ERR_NOMEM, "no thread for reading files");
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->ends = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->filler, NULL);
    for (int i = 0; i < r->n; i++)
        process_free(r->waiting[i]);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

/* ---- asking ------------------------------------------------------------------------------------------------ */

static int cpu_seconds(const struct reader *r)
{
    return r->options.patience < 1 ? 1 : (int)r->options.patience;
}

/* It was told, or was gone by then (ERR_NOTFOUND). */
static enum err_code send_question(struct process *p, struct reader_question *q, struct err *e)
{
    struct code c;
    code_to(&c);
    reader_code_question(&c, q);
    enum err_code rc = code_send(&c, process_socket(p), READER_ASK, false, e);
    code_deinit(&c);
    return rc;
}

/* Waits for a message. False: none came in time. */
static bool wait_for_message(struct process *p, double end)
{
    for (;;) {
        struct pollfd f = {.fd = process_socket(p), .events = POLLIN};
        double left = end - clock_s();
        int n = left > 0 ? poll(&f, 1, (int)(1000 * left) + 1) : 0;
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
        if (n == 0)
            return false;
    }
}

static enum err_code took_too_long(const struct reader *r, struct err *e)
{
    return err_set(
        e, ERR_LIMIT,
        "the file takes longer to read than the %d seconds of the processor that it may; "
        "it is damaged, or made for that",
        cpu_seconds(r));
}

static enum err_code tell_death(const struct reader *r, struct process *p, struct err *e)
{
    struct process_ending how;
    process_end(p, END_MS, &how);
    if (!how.ended) { /* it closed its socket and lives on */
        process_kill(p);
        process_end(p, END_MS, &how);
    }
    if (how.out_of_memory)
        return err_set(e, ERR_NOMEM, "the system's memory ran out while the file was read");
    if (how.signal == SIGXCPU)
        return took_too_long(r, e);
    if (how.signal == SIGKILL)
        return err_set(e, ERR_IO, "the process that read the file was killed; try again");
    const char *name = how.signal ? sigabbrev_np(how.signal) : NULL;
    if (how.signal)
        return err_set(e, ERR_FORMAT,
                       "the file crashed the process that read it (SIG%s); it is damaged, or made "
                       "for that",
                       name ? name : "?");
    return err_set(e, ERR_FORMAT,
                   "the process that read the file ended with code %d and without an answer",
                   how.code);
}

static enum err_code sent_nonsense(struct process *p, const struct err *why, struct err *e)
{
    log_error("reader: %s", why->text);
    process_kill(p);
    return err_set(e, ERR_FORMAT,
                   "the process that read the file answered what makes no sense; the file is made "
                   "for that");
}

static enum err_code take_answer(const struct reader *r, struct process *p, struct reader_taking *t,
                                 struct err *e)
{
    const double end = clock_s() + SLOWNESS * r->options.patience;
    while (!t->is_done) {
        struct wire_message m;
        struct err why = {0};
        if (!wait_for_message(p, end)) {
            process_kill(p);
            return took_too_long(r, e);
        }
        enum err_code rc = wire_receive(process_socket(p), &m, &why);
        if (rc == ERR_NOTFOUND)
            return tell_death(r, p, e);
        if (rc == ERR_OK)
            rc = reader_take(&m, t, &why);
        wire_message_deinit(&m);
        if (rc != ERR_OK)
            return sent_nonsense(p, &why, e);
    }
    if (t->rc != ERR_OK && e)
        *e = t->why;
    return t->rc;
}

/* Nobody has seen a thing of the file yet, so that another process may be asked: a text that was handed on cannot be
 * taken back. */
static bool nothing_came(const struct reader_taking *t)
{
    return !t->is_done && !t->has_size && !t->has_stack && !t->has_said && t->text_bytes == 0;
}

/* One that has answered may read the next file of the series; else it ends. */
static void end_or_keep(struct process *p, struct reader_series *s, const struct reader_taking *t)
{
    if (!s || !t->is_done) {
        process_free(p);
        return;
    }
    s->process = p;
    s->files++;
}

static enum err_code ask_new(struct reader *r, struct reader_question *q, struct reader_series *s,
                             struct reader_taking *t, struct err *e)
{
    for (bool again = false;; again = true) {
        struct process *p = again ? NULL : take_waiting(r);
        bool waited = p != NULL;
        want_another(r);
        if (!p)
            TRY(start(r, &p, e));
        enum err_code rc = send_question(p, q, e);
        if (rc == ERR_OK)
            rc = take_answer(r, p, t, e);
        end_or_keep(p, s, t);
        /* One that waited was killed just now: not for this file. */
        if (!waited || !nothing_came(t) || (rc != ERR_NOTFOUND && rc != ERR_IO))
            return rc;
        if (e)
            err_clear(e);
    }
}

void reader_series_end(struct reader_series *s)
{
    process_free(s->process);
    *s = (struct reader_series){0};
}

/* What the process that read the series so far makes of it. It ends without an answer when the file needs a library
 * that it can no longer open, or more memory than it may still get; whatever else ended it may be the fault of a file
 * before. */
static enum err_code ask_same(const struct reader *r, struct reader_question *q,
                              struct reader_series *s, struct reader_taking *t, struct err *e)
{
    struct process *p = s->process;
    s->process = NULL;
    enum err_code rc = send_question(p, q, e);
    if (rc == ERR_OK)
        rc = take_answer(r, p, t, e);
    end_or_keep(p, s, t);
    return rc;
}

static enum err_code ask_process(struct reader *r, struct reader_question *q,
                                 struct reader_series *s, struct reader_taking *t, struct err *e)
{
    if (s && s->process && s->files < READER_SERIES_FILES) {
        enum err_code rc = ask_same(r, q, s, t, e);
        if (!nothing_came(t) || rc == ERR_LIMIT)
            return rc;
        if (e)
            err_clear(e);
    }
    if (s)
        reader_series_end(s);
    return ask_new(r, q, s, t, e);
}

static uint64_t bytes_of(const struct reader_file *f)
{
    return f->fd < 0 ? f->memory.n : f->bytes;
}

static enum err_code ask(struct reader *r, const struct reader_file *f, struct reader_taking *t,
                         struct err *e)
{
    char path[32];
    int fd = f->fd;
    struct reader_question q = {.wish = t->wish,
                                .confined = r->options.confined,
                                .series = f->series != NULL,
                                .seconds = cpu_seconds(r),
                                .limits = t->limits,
                                .file.file = path,
                                .bytes = bytes_of(f)};
    if (f->fd < 0)
        TRY(shared_put(f->memory, &fd, e));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum err_code rc = ask_process(r, &q, f->series, t, e);
    if (f->fd < 0)
        (void)close(fd);
    return rc;
}

/* ---- here -------------------------------------------------------------------------------------------------- */

/* Caller: unmap. */
static enum err_code map(const struct reader_file *f, struct str *out, struct err *e)
{
    *out = f->memory;
    if (f->fd < 0)
        return ERR_OK;
    void *p = mmap(NULL, (size_t)f->bytes, PROT_READ, MAP_SHARED, f->fd, 0);
    if (p == MAP_FAILED)
        return err_set_sys(e, ERR_IO, errno, "cannot read the file");
    *out = (struct str){p, (size_t)f->bytes};
    return ERR_OK;
}

static void unmap(const struct reader_file *f, struct str bytes)
{
    if (f->fd >= 0)
        (void)munmap((void *)(uintptr_t)bytes.p, bytes.n);
}

static enum err_code check_file(const struct reader_file *f, struct err *e)
{
    return bytes_of(f) ? ERR_OK : err_set(e, ERR_FORMAT, "the file is empty");
}

enum err_code reader_image(struct reader *r, const struct reader_file *f, enum reader_wish wish,
                           struct image_info *info, struct image *out, struct err *e)
{
    struct image_info unwanted;
    struct str bytes;
    info = info ? info : &unwanted;
    *info = (struct image_info){.orientation = 1, .frames = 1};
    if (reader_wants_pixels(wish))
        *out = (struct image){0};
    TRY(check_file(f, e));
    if (r)
        return ask(r, f, &(struct reader_taking){.wish = wish, .info = info, .out = out}, e);
    TRY(map(f, &bytes, e));
    enum err_code rc = reader_decode(bytes, wish, info, out, e);
    unmap(f, bytes);
    return rc;
}

enum err_code reader_layers_size(struct reader *r, const struct reader_file *f,
                                 struct layers_size *out, struct err *e)
{
    struct reader_taking t = {.wish = READER_LAYERS_SIZE};
    struct str bytes;
    enum err_code rc;
    *out = (struct layers_size){0};
    TRY(check_file(f, e));
    if (r) {
        rc = ask(r, f, &t, e);
        *out = rc == ERR_OK ? t.size : *out;
        return rc;
    }
    TRY(map(f, &bytes, e));
    rc = layers_measure(bytes, out, e);
    unmap(f, bytes);
    return rc;
}

static enum err_code import_here(struct str bytes, struct layers_limits limits,
                                 struct layer_stack *out, struct err *e)
{
    struct layers_size size;
    TRY(layers_measure(bytes, &size, e));
    reader_limit_pixels(&limits, &size);
    return layers_import_memory(bytes, &limits, out, e);
}

enum err_code reader_layers(struct reader *r, const struct reader_file *f,
                            const struct layers_limits *limits, struct layer_stack *out,
                            struct err *e)
{
    struct reader_taking t = {.wish = READER_LAYERS, .stack = out, .limits = *limits};
    struct str bytes;
    enum err_code rc;
    layer_stack_init(out, 0, 0);
    TRY(check_file(f, e));
    if (r) {
        rc = ask(r, f, &t, e);
        if (rc != ERR_OK)
            layer_stack_deinit(out);
        return rc;
    }
    TRY(map(f, &bytes, e));
    rc = import_here(bytes, *limits, out, e);
    unmap(f, bytes);
    return rc;
}

static enum err_code read_words(struct reader *r, const struct reader_file *f,
                                struct reader_taking *t, struct err *e)
{
    struct str bytes;
    image_about_clear(t->about);
    TRY(check_file(f, e));
    if (r)
        return ask(r, f, t, e);
    TRY(map(f, &bytes, e));
    enum err_code rc = reader_words(bytes, t->wish, t->texts, t->about, e);
    unmap(f, bytes);
    return rc;
}

enum err_code reader_about(struct reader *r, const struct reader_file *f, struct image_about *out,
                           struct err *e)
{
    struct err why = {0};
    struct reader_taking t = {.wish = READER_ABOUT, .about = out};
    enum err_code rc = read_words(r, f, &t, &why);
    if (rc == ERR_OK)
        return rc;
    image_about_clear(out);
    if (rc == ERR_FORMAT || rc == ERR_LIMIT) {
        log_debug("%s", why.text);
        return ERR_OK;
    }
    if (e)
        *e = why;
    return rc;
}

enum err_code reader_texts(struct reader *r, const struct reader_file *f,
                           const struct reader_texts *to, struct buf *parameters, struct err *e)
{
    struct image_about about;
    struct reader_taking t = {.wish = READER_TEXTS, .about = &about, .texts = to};
    image_about_init(&about);
    enum err_code rc = read_words(r, f, &t, e);
    if (rc == ERR_OK)
        buf_add_str(parameters, buf_str(&about.recipe));
    image_about_deinit(&about);
    return rc;
}
