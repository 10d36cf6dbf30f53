/* queue.h - jobs in line for one engine or several.
 *
 * Durable first: a job is in the store before its client hears of it, and so is what came of it; this remembers
 * only what is lost with the process anyway: who waits, how far the running one is, its preview.
 *
 *   order     first come, first served; a job may pass others to follow one of its own model, each of which is
 *             passed QUEUE_MAX_PASSED times at most; once somebody has moved a job, those that waited keep their order
 *   engines   each runs one job at a time. A free one takes the first job, or passes those whose model another has open
 *             for one of its own; a job goes to a free engine that has its model open before any other, and no engine
 *             rests while a job could run
 *   cancel    within a step: a flag that the engine's callback looks at, and vt_engine_cancel
 *             Opened by its worker at the first job, never before: the server answers long before a model could
 *
 * Threads: any may call; a worker an engine. The queue's lock guards the line and what running jobs tell about
 * themselves; the store is never called under it, and of an engine only vt_engine_cancel. Lock order: queue, then
 * events. */
#ifndef VT_SERVER_JOBS_QUEUE_H
#define VT_SERVER_JOBS_QUEUE_H

#include "http/events.h"
#include "http/request.h"
#include "pipeline/model_dir.h"
#include "server/server.h"
#include "store/jobs.h"
#include "veetance.h"

enum {
    QUEUE_MAX_PASSED = 4,
    QUEUE_DEFAULT_LENGTH = 1000,
    QUEUE_MAX_ENGINES = SERVER_MAX_ENGINES,
    QUEUE_BUDGET_BYTES = 32 * QUEUE_MAX_ENGINES
};

struct image;
struct queue;

/* Who tells of jobs in words of its own. Both are called without a lock, by the thread that runs the job or cancels it;
 * those of several jobs at once. */
struct queue_watcher {
    void (*preview)(struct server *s, const char *job, const struct vt_progress *at, int step,
                    const struct image *preview);
    void (*end)(struct server *s, const char *job, enum job_state state, const char *result,
                const char *error);
};

/* Takes up what the store has waiting, and starts the workers. */
ERR_MUST_CHECK enum err_code queue_open(struct server *s, const struct server_options *o,
                                        const struct queue_watcher *watcher, struct queue **out,
                                        struct err *e);
/* No further job starts; at_once: those that run are cancelled, too. */
void queue_stop(struct queue *q, bool at_once);
/* Nothing runs, and after queue_stop nothing will. */
bool queue_is_idle(struct queue *q);
void queue_join(struct queue *q);
void queue_close(struct queue *q);

/* ---- jobs ------------------------------------------------------------------------------------------ */

/* Stores and queues it. 429 when the line is full. */
ERR_MUST_CHECK enum err_code queue_add(struct http_request *rq, const struct job_new *job,
                                       struct job_record *out, struct err *e);
/* Who found a job in the store finds it in the line, too, from here on. */
void queue_settle(struct queue *q);
/* Queued or running -> cancelled. ERR_BUSY when it has ended already. */
ERR_MUST_CHECK enum err_code queue_cancel(struct queue *q, const char *id, struct err *e);
/* Queues again what failed, was cancelled or interrupted. 429 when the line is full. */
ERR_MUST_CHECK enum err_code queue_again(struct http_request *rq, const char *id, struct err *e);

/* Makes a job that waits the one at this index (0: next). ERR_BUSY when it does not wait. */
ERR_MUST_CHECK enum err_code queue_move(struct queue *q, const char *id, int index, struct err *e);
/* A paused queue finishes what runs and starts nothing, also after a restart. */
ERR_MUST_CHECK enum err_code queue_pause(struct queue *q, bool paused, struct err *e);
/* {"paused", "running", "running_jobs", "queued"} */
void queue_json(struct queue *q, struct buf *b);

/* What is known about a job that waits or runs. */
struct queue_view {
    bool live;    /* false: it does neither */
    int position; /* 0 runs, 1 is next, ... */
    struct vt_progress progress;
    bool has_progress;
    double seconds; /* since it started */
    char project[STORE_ID_SIZE], layer[LAYER_ID_SIZE];
};
void queue_view(struct queue *q, const char *id, struct queue_view *out);
/* Members of JSON: how far a running job is. */
void queue_put_progress(const struct queue_view *v, struct buf *b);

/* Puts the request to sleep until the job has ended; false when it has already. The handler then sets
 * re->later and is called again. */
bool queue_wait(struct queue *q, const char *id, struct http_request *rq);
/* The request's client has gone. A job that a request of its own waited for (http_memo(rq)->owner) is cancelled with the
 * last that waited. */
void queue_leave(struct queue *q, const char *id, struct http_request *rq);
/* Cancels the job: nobody is left who would take its result. */
void queue_abandon(struct queue *q, const char *id);
/* Cancelled by that. */
bool queue_was_abandoned(const struct job_record *rec);
/* A stream of the job's events; begins with how it stands. A job that has ended gives that alone. */
ERR_MUST_CHECK enum err_code queue_subscribe(struct http_request *rq, const char *id,
                                             struct http_stream **out, struct err *e);
/* The topic of all that happens: "job.NAME" as the jobs' own events, "job.changed", "queue", "models", "asset", ... */
#define QUEUE_ALL_EVENTS "events"
/* A stream of it; begins with how all stands, or with what the client missed. */
ERR_MUST_CHECK enum err_code queue_subscribe_all(struct http_request *rq, struct http_stream **out,
                                                 struct err *e);
/* The last preview as JPEG, appended to b; false when there is none (yet). */
bool queue_preview(struct queue *q, const char *id, struct buf *b, int *step);

/* ---- the engines ----------------------------------------------------------------------------------- */

enum queue_task { QUEUE_LOAD, QUEUE_UNLOAD, QUEUE_BUDGET, QUEUE_PLAN };

/* Work for an engine that is no job: to load for the one that would run a job of the model, to unload and budgets for
 * all. To load and unload waits for its turn behind the running job, before those that wait; plans and budgets are
 * answered at once (queue_plan.c). */
struct queue_order {
    enum queue_task task;
    char model[256]; /* to load and plan: its name; to load: where it lies */
    char path[MODEL_PATH_BYTES];
    char budget[QUEUE_BUDGET_BYTES]; /* one for all engines, or one each, with commas between */
    const char *kind;                /* of a plan: "generate", "edit", "layers" */
    yyjson_val *body;                /* of a plan: the request */
    struct vt_plan plan;
    bool is_open; /* of a plan: the engine that it is for has the model open */
    struct err err;
    struct http_request *rq; /* NULL: nobody waits; the order is on the heap */

    /* The queue's own. */
    struct worker *worker; /* that a plan is for */
    unsigned todo;         /* who has not taken it yet */
    bool is_for_any;       /* the first of them does it for all */
    int left;              /* how many have not done it yet */
    struct queue_order *next;
};

/* Puts rq to sleep until the order is done: the handler sets re->later, returns at once, and looks at the order only
 * when it is called again. False when the server ends: the order has its error. It lives in the request's arena. */
bool queue_order(struct queue *q, struct queue_order *order);

/* To load and unload without waiting for a running job. OPEN: such a job has the model open; LATER: a copy of the order
 * is carried out when jobs have ended, and takes the place of another that was left so; NOW: nothing runs there,
 * queue_order will do. */
enum queue_answer { QUEUE_NOW, QUEUE_OPEN, QUEUE_LATER };
enum queue_answer queue_leave_order(struct queue *q, const struct queue_order *what);

/* What an engine was last seen to do. */
struct queue_engine {
    bool running;
    char running_id[STORE_ID_SIZE], running_kind[24];
    char stage[24];  /* of the running job */
    char model[256]; /* open; "" none */
    char device[64]; /* "" until the engine is open */
    struct vt_memory memory;
    uint64_t device_bytes; /* all that the device has; 0 until the engine is open */
    char budget[32];       /* as asked for; "" the device's default */
    char failure[480]; /* of its device: it gets jobs now and then alone, until it works; "" none */
};

/* For telemetry. */
struct queue_state {
    int waiting, running;
    struct queue_engine engines[QUEUE_MAX_ENGINES];
    int n_engines;
    const struct queue_engine
        *longest; /* whose job has run for the longest time; NULL: nothing runs */
    uint64_t done, failed, cancelled;
};
void queue_state(struct queue *q, struct queue_state *out);
/* Whether any engine has it open. */
bool queue_state_is_open(const struct queue_state *s, const char *model);
/* Until there is a place again, or all that waits has run. */
double queue_seconds_left(struct queue *q);

#endif
