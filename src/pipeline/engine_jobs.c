/* engine_jobs.c - the jobs of veetance.h: a line of requests, and the thread of an engine that runs them one by one.
 *
 *     queued --thread takes it--> running --> over --vt_job_free--> gone
 *          \-------- cancelled, engine closed ---^
 *
 * The thread calls the same functions as any other caller, and stands between them and the job's callbacks: it notes
 * progress, asks again for a cancel that came before the run could hear it, and is silent once the job is freed. A job
 * that is freed while it runs is cancelled and belongs to the thread from then on. What jobs share outlives the engine
 * while there is one of them.
 *
 * The lock guards all of struct line, and of its jobs all that changes after they were submitted. It is not held while
 * a request or a callback runs.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "child/process.h"
#include "pipeline/engine_internal.h"
#include "pipeline/request_copy.h"

enum job_kind { JOB_IMAGES, JOB_LAYERS, JOB_CAPTION };

struct vt_job {
    struct line *line;
    struct vt_job *next; /* of those that wait */
    enum job_kind kind;
    struct arena copied;
    union {
        struct vt_request images;
        struct vt_layers_request layers;
        struct vt_caption_request caption;
    } request;
    struct vt_callbacks callbacks;

    enum vt_job_state state;
    bool cancelled;
    bool silent, in_callback; /* no callback is to begin; one is called now */
    bool freed;               /* by its user: the thread frees it when it is over */
    int fd;                   /* an eventfd; -1: nobody asked for it */
    struct vt_progress progress;
    struct vt_error error; /* how it ended */
    void *made;            /* of its kind; NULL: nothing, or it was taken */
    char last_words[PROCESS_LOG_BYTES];
};

struct line {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct vt_engine *engine; /* the thread's */
    struct vt_job *first, *running;
    bool closing;
    int users; /* the engine and the jobs that are there */
};

/* ---- the line -------------------------------------------------------------------------------------------- */

static void line_free(struct line *l)
{
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    mem_free(l);
}

/* The lock is held, and no longer when this returns. */
static void leave(struct line *l)
{
    const bool last = --l->users == 0;
    pthread_mutex_unlock(&l->lock);
    if (last)
        line_free(l);
}

static void job_discard(struct vt_job *j)
{
    if (j->kind == JOB_IMAGES)
        vt_result_free(j->made);
    else if (j->kind == JOB_LAYERS)
        vt_layers_result_free(j->made);
    else
        vt_caption_result_free(j->made);
    arena_deinit(&j->copied);
    if (j->fd >= 0)
        (void)close(j->fd);
    mem_free(j);
}

/* The lock is held. */
static void tell(struct vt_job *j)
{
    const uint64_t one = 1;
    if (j->fd >= 0)
        (void)!write(j->fd, &one, sizeof one);
}

/* The lock is held. */
static void end(struct vt_job *j)
{
    j->state = VT_JOB_OVER;
    tell(j);
    pthread_cond_broadcast(&j->line->changed);
}

/* The lock is held, and the job waits: then it is over. */
static void end_unbegun(struct vt_job *j, const char *why)
{
    struct vt_job **at = &j->line->first;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    j->error.status = VT_ERR_CANCELLED;
    (void)snprintf(j->error.text, sizeof j->error.text, "%s", why);
    end(j);
}

/* The lock is held. */
static void cancel(struct vt_job *j, const char *why)
{
    if (j->state == VT_JOB_QUEUED)
        end_unbegun(j, why);
    if (j->state != VT_JOB_RUNNING)
        return;
    j->cancelled = true;
    vt_engine_cancel(j->line->engine);
}

/* ---- callbacks, in the thread ------------------------------------------------------------------------------ */

/* False: nobody is to hear of this any more. */
static bool enter_callback(struct vt_job *j)
{
    pthread_mutex_lock(&j->line->lock);
    const bool wanted = j->in_callback = !j->silent;
    pthread_mutex_unlock(&j->line->lock);
    return wanted;
}

static void leave_callback(struct vt_job *j)
{
    pthread_mutex_lock(&j->line->lock);
    j->in_callback = false;
    pthread_cond_broadcast(&j->line->changed);
    pthread_mutex_unlock(&j->line->lock);
}

static void on_progress(const struct vt_progress *progress, void *user)
{
    struct vt_job *j = user;
    pthread_mutex_lock(&j->line->lock);
    j->progress = *progress;
    tell(j);
    if (j->cancelled) /* it may have come before the run began to listen */
        vt_engine_cancel(j->line->engine);
    pthread_mutex_unlock(&j->line->lock);
    if (!j->callbacks.progress || !enter_callback(j))
        return;
    j->callbacks.progress(progress, j->callbacks.user);
    leave_callback(j);
}

static void on_note(const char *text, void *user)
{
    struct vt_job *j = user;
    if (!enter_callback(j))
        return;
    j->callbacks.note(text, j->callbacks.user);
    leave_callback(j);
}

static void on_preview(const struct vt_preview *preview, void *user)
{
    struct vt_job *j = user;
    if (!enter_callback(j))
        return;
    j->callbacks.preview(preview, j->callbacks.user);
    leave_callback(j);
}

static void on_image(const struct vt_result *result, int i, void *user)
{
    struct vt_job *j = user;
    if (!enter_callback(j))
        return;
    j->callbacks.image(result, i, j->callbacks.user);
    leave_callback(j);
}

/* ---- the thread ------------------------------------------------------------------------------------------ */

static void *make(struct vt_engine *g, struct vt_job *j, const struct vt_callbacks *cb)
{
    const struct vt_request *rq = &j->request.images;
    struct vt_result *images = NULL;
    struct vt_layers_result *layers = NULL;
    struct vt_caption_result *caption = NULL;
    switch (j->kind) {
    case JOB_IMAGES:
        (void)(rq->image_count > 0 ? vt_edit : vt_generate)(g, rq, cb, &images, &j->error);
        return images;
    case JOB_LAYERS:
        (void)vt_layers(g, &j->request.layers, cb, &layers, &j->error);
        return layers;
    case JOB_CAPTION:
        (void)vt_caption(g, &j->request.caption, cb, &caption, &j->error);
        return caption;
    }
    return NULL;
}

static void run(struct vt_engine *g, struct vt_job *j)
{
    const struct vt_callbacks cb = {.progress = on_progress,
                                    .note = j->callbacks.note ? on_note : NULL,
                                    .preview = j->callbacks.preview ? on_preview : NULL,
                                    .image = j->callbacks.image ? on_image : NULL,
                                    .user = j};
    j->made = make(g, j, &cb);
    (void)snprintf(j->last_words, sizeof j->last_words, "%s", vt_engine_last_words(g));
}

static void *work(void *line)
{
    struct line *l = line;
    pthread_mutex_lock(&l->lock);
    while (!l->closing) {
        struct vt_job *j = l->first;
        if (!j) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        l->first = j->next;
        l->running = j;
        j->state = VT_JOB_RUNNING;
        tell(j);
        pthread_mutex_unlock(&l->lock);
        run(l->engine, j);
        pthread_mutex_lock(&l->lock);
        l->running = NULL;
        end(j);
        if (j->freed) {
            l->users--; /* not the last: the engine is there */
            job_discard(j);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static enum err_code line_open(struct vt_engine *g, struct err *e)
{
    pthread_condattr_t steady;
    if (g->line)
        return ERR_OK;
    struct line *l = mem_alloc(sizeof *l);
    l->engine = g;
    l->users = 1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&l->changed, &steady);
    pthread_condattr_destroy(&steady);
    if (!parallel_start(&l->thread, work, l)) {
        line_free(l);
        return err_set(e, ERR_NOMEM, "no thread for jobs");
    }
    g->line = l;
    return ERR_OK;
}

void engine_jobs_close(struct vt_engine *g)
{
    static const char why[] = "the engine was closed";
    struct line *l = g->line;
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    while (l->first)
        cancel(l->first, why);
    if (l->running)
        cancel(l->running, why);
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    g->line = NULL;
    pthread_mutex_lock(&l->lock);
    leave(l);
}

enum err_code engine_check_free(const struct vt_engine *g, struct err *e)
{
    struct line *l = g->line;
    if (!l || pthread_equal(pthread_self(), l->thread))
        return ERR_OK;
    pthread_mutex_lock(&l->lock);
    const bool is_free = !l->first && !l->running;
    pthread_mutex_unlock(&l->lock);
    return is_free ? ERR_OK : err_set(e, ERR_BUSY, "the engine has jobs that are not over");
}

/* ---- submitting ------------------------------------------------------------------------------------------ */

static struct vt_job *job_new(enum job_kind kind, const struct vt_callbacks *cb)
{
    struct vt_job *j = mem_alloc(sizeof *j);
    j->kind = kind;
    j->fd = -1;
    if (cb)
        j->callbacks = *cb;
    arena_init(&j->copied, SIZE_MAX);
    return j;
}

/* Into the line, if rc says that it was made well. */
static enum vt_status submit(struct vt_engine *g, struct vt_job *j, enum err_code rc, struct err *e,
                             struct vt_job **out, struct vt_error *err)
{
    if (rc == ERR_OK)
        rc = line_open(g, e);
    *out = NULL;
    if (rc != ERR_OK) {
        job_discard(j);
        return engine_finish(rc, e, err);
    }
    struct line *l = j->line = g->line;
    pthread_mutex_lock(&l->lock);
    struct vt_job **last = &l->first;
    while (*last)
        last = &(*last)->next;
    *last = j;
    l->users++;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    *out = j;
    return engine_finish(rc, e, err);
}

enum vt_status vt_submit(struct vt_engine *engine, const struct vt_request *request,
                         const struct vt_callbacks *callbacks, struct vt_job **out,
                         struct vt_error *err)
{
    struct err e = {0};
    struct vt_job *j = job_new(JOB_IMAGES, callbacks);
    enum err_code rc = engine_check_images(request, &e);
    j->request.images = *request;
    if (rc == ERR_OK)
        rc = request_copy(&j->request.images, &j->copied, &e);
    return submit(engine, j, rc, &e, out, err);
}

enum vt_status vt_submit_layers(struct vt_engine *engine, const struct vt_layers_request *request,
                                const struct vt_callbacks *callbacks, struct vt_job **out,
                                struct vt_error *err)
{
    struct err e = {0};
    struct vt_job *j = job_new(JOB_LAYERS, callbacks);
    enum err_code rc = engine_check_image(&request->image, "the image", &e);
    j->request.layers = *request;
    if (rc == ERR_OK)
        rc = request_copy_layers(&j->request.layers, &j->copied, &e);
    return submit(engine, j, rc, &e, out, err);
}

enum vt_status vt_submit_caption(struct vt_engine *engine, const struct vt_caption_request *request,
                                 const struct vt_callbacks *callbacks, struct vt_job **out,
                                 struct vt_error *err)
{
    struct err e = {0};
    struct vt_job *j = job_new(JOB_CAPTION, callbacks);
    enum err_code rc = engine_check_image(&request->image, "the image", &e);
    j->request.caption = *request;
    if (rc == ERR_OK)
        rc = request_copy_caption(&j->request.caption, &j->copied, &e);
    return submit(engine, j, rc, &e, out, err);
}

/* ---- a job ----------------------------------------------------------------------------------------------- */

int vt_job_fd(struct vt_job *job)
{
    pthread_mutex_lock(&job->line->lock);
    if (job->fd < 0)
        job->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    const int fd = job->fd;
    pthread_mutex_unlock(&job->line->lock);
    return fd;
}

enum vt_job_state vt_job_poll(struct vt_job *job, struct vt_progress *progress)
{
    uint64_t told;
    pthread_mutex_lock(&job->line->lock);
    const enum vt_job_state state = job->state;
    if (progress)
        *progress = job->progress;
    if (state != VT_JOB_OVER && job->fd >= 0)
        (void)!read(job->fd, &told, sizeof told);
    pthread_mutex_unlock(&job->line->lock);
    return state;
}

/* Whether it is over by then. The lock is held. */
static bool wait_until(struct vt_job *j, double seconds)
{
    static const double longest = 1e9; /* three decades, which no clock overflows on */
    const double until = clock_s() + (seconds < longest ? seconds : longest);
    const struct timespec at = {(time_t)until, (long)((until - (double)(time_t)until) * 1e9)};
    int rc = 0;
    while (j->state != VT_JOB_OVER && rc == 0)
        rc = seconds < 0 ? pthread_cond_wait(&j->line->changed, &j->line->lock)
                         : pthread_cond_timedwait(&j->line->changed, &j->line->lock, &at);
    return j->state == VT_JOB_OVER;
}

enum vt_status vt_job_wait(struct vt_job *job, double seconds, struct vt_error *err)
{
    struct vt_error how = {.status = VT_ERR_BUSY, .text = "the job is not over"};
    pthread_mutex_lock(&job->line->lock);
    if (wait_until(job, seconds))
        how = job->error;
    pthread_mutex_unlock(&job->line->lock);
    if (err)
        *err = how;
    return how.status;
}

void vt_job_cancel(struct vt_job *job)
{
    pthread_mutex_lock(&job->line->lock);
    cancel(job, "cancelled before it began");
    pthread_mutex_unlock(&job->line->lock);
}

static void *take(struct vt_job *j, enum job_kind kind)
{
    void *made = NULL;
    pthread_mutex_lock(&j->line->lock);
    if (j->state == VT_JOB_OVER && j->kind == kind) {
        made = j->made;
        j->made = NULL;
    }
    pthread_mutex_unlock(&j->line->lock);
    return made;
}

struct vt_result *vt_job_take_result(struct vt_job *job)
{
    return take(job, JOB_IMAGES);
}

struct vt_layers_result *vt_job_take_layers(struct vt_job *job)
{
    return take(job, JOB_LAYERS);
}

struct vt_caption_result *vt_job_take_caption(struct vt_job *job)
{
    return take(job, JOB_CAPTION);
}

const char *vt_job_last_words(struct vt_job *job)
{
    return vt_job_wait(job, 0, NULL) == VT_ERR_BUSY ? "" : job->last_words;
}

void vt_job_free(struct vt_job *job)
{
    if (!job)
        return;
    struct line *l = job->line;
    pthread_mutex_lock(&l->lock);
    job->silent = true;
    cancel(job, "");
    while (job->in_callback && !pthread_equal(pthread_self(), l->thread))
        pthread_cond_wait(&l->changed, &l->lock);
    if (job->state == VT_JOB_RUNNING) {
        job->freed = true;
        pthread_mutex_unlock(&l->lock);
        return;
    }
    job_discard(job);
    leave(l);
}
