/* queue_internal.h - shared by the files queue*.c only. queue.c: opening, ending, and what routes ask for;
 * queue_line.c: who waits, and which engine takes whom; queue_edit.c: what clients change of that; queue_orders.c: what
 * engines are told to do beside jobs; queue_run.c: the workers; queue_plan.c: questions; queue_tell.c: what clients
 * hear. */
#ifndef VT_SERVER_JOBS_QUEUE_INTERNAL_H
#define VT_SERVER_JOBS_QUEUE_INTERNAL_H

#include <pthread.h>

#include "server/jobs/deadly.h"
#include "server/jobs/queue.h"
#include "server/jobs/work.h"
#include "server/server_internal.h"

/* Who sleeps until a job has ended; in the request's arena. */
struct waiter {
    struct http_request *rq;
    struct waiter *next;
};

struct live {
    char id[STORE_ID_SIZE], kind[24];
    char project[STORE_ID_SIZE], layer[LAYER_ID_SIZE]; /* that it is for; "" none */
    char *model;
    int passed; /* by how many that came later; QUEUE_MAX_PASSED: no more pass */
    atomic_bool cancel;
    bool
        is_ending; /* the store is being told that it is cancelled: keeps its place, is not chosen */
    bool is_attended;  /* ends when the last of its waiters has left */
    bool is_abandoned; /* cancelled because nobody was left who would take its result */
    double started;
    struct vt_progress progress;
    bool has_progress;
    struct buf preview; /* JPEG */
    int preview_step;
    struct buf notes;           /* items of a list in JSON; the worker's alone */
    struct work_result *result; /* while it runs; the worker's alone */
    struct waiter *waiters;
    struct live *next;
};

/* One engine and the thread that runs it. */
struct worker {
    struct queue *queue;
    struct vt_engine_options options; /* without a budget */
    bool is_remote; /* computes on another machine, which serves one engine at a time */
    pthread_t thread;
    bool has_thread;
    struct vt_engine *planner; /* the planner's thread's alone; NULL until the first question */

    /* The queue's lock guards what follows. */
    struct vt_engine *engine; /* NULL until the first job; only the worker changes it */
    char device[64], budget[32];
    uint64_t device_bytes; /* of the least of the engine's devices */
    uint64_t new_budget;   /* what the engine has not taken up yet; 0: the default */
    bool has_new_budget;
    struct live *running; /* taken off the line */
    bool busy;
    char open_model[256];
    struct vt_memory memory;
    uint64_t used; /* when it was last given a job: a number that grows */
    int failures;  /* of its device, one after the other */
    double rests_until;
    char failure[480]; /* why it rests or did, until it works again; "": nothing */
};

struct queue {
    struct server *server;
    struct queue_watcher watcher;
    int max_length;
    double idle_seconds; /* after which an engine without work is closed; 0: never */
    struct worker workers[QUEUE_MAX_ENGINES];
    int n_workers;
    pthread_t planner_thread;
    bool has_planner; /* of all engines that are not remote */

    /* Held from a job's row to its place in the line. Before the lock. */
    pthread_mutex_t add_lock;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* workers: always all, each of which looks what there is for it */
    struct live *first;
    struct queue_order *orders;
    pthread_cond_t asked; /* the planner */
    int length;
    uint64_t given; /* how many jobs were given to workers */
    bool stopping, at_once;
    int at_work; /* workers whose threads have not ended */
    bool paused; /* no further job starts until somebody goes on */
    double mean_seconds;
    uint64_t outcomes[JOB_STATES]; /* how many, each way */
    struct deadly deadly;          /* requests that ended engines */
};

/* A job of the line has ended, and the store knows: whoever listens or waits is told, and it is counted. The lock is
 * held. */
void queue_end(struct queue *q, struct live *j, const struct job_outcome *o);

/* ---- the line: the lock is held, but for live_new and live_free --------------------------------------- */

/* NULL without memory. */
struct live *live_new(const struct job_record *rec);
/* Accepts NULL. */
void live_free(struct live *j);
/* Its sleeping requests go on. */
void live_wake_waiters(struct live *j);
/* The line is in the order in which the jobs will run. Behind the last job of its model, so that a model stays open,
 * where those that it passes may be passed; else at the end. Its position: 1 is next. */
int line_append(struct queue *q, struct live *j);
/* Makes it the one at this index, or the last; from here on none of those that wait is passed. */
void line_move(struct queue *q, struct live *j, int index);
struct live *line_take(struct queue *q, struct live *j);
struct live *line_find_waiting(struct queue *q, const char *id);
/* One that is being cancelled. */
struct live *line_find_ending(struct queue *q, const char *id);
/* What a view says of any job that waits or runs. */
void line_view(const struct live *j, struct queue_view *out);
/* How one that runs stands. */
struct queue_view line_view_running(const struct live *j);
/* Waiting or running. */
struct live *line_find(struct queue *q, const char *id);
/* Who runs it; NULL: nobody. */
struct worker *line_worker_of(struct queue *q, const char *id);
/* Those that run, in the order in which they started: how many. */
int line_running(const struct queue *q, const struct live *out[QUEUE_MAX_ENGINES]);
/* Gives the next job to a free engine, which has it as running from here on. NULL: no job waits, or no engine is free. */
struct worker *line_choose(struct queue *q);
/* Its device works, or failed with e. Of several engines it then gets no job for a while, as long as another works; true:
 * it rests. */
bool line_note_device(struct worker *w, const struct err *e);
/* Back to the front: it could not be started. */
void line_return(struct queue *q, struct worker *w);
/* The engine that would take a job of this model next: a free one, best that which has the model open; else the one that
 * has it open; else NULL. */
struct worker *line_worker_for(struct queue *q, const char *model);
/* What the engine has open, or will have when its job runs; "" none. */
const char *line_model_of(const struct worker *w);

/* ---- what clients hear ------------------------------------------------------------------------------- */

const char *queue_stage_name(enum vt_stage stage);
/* The error of a job: {"code", "status", "detail"}, and the last lines of an engine that died of it; log may be NULL.
 * refused: it is not tried again. */
void queue_error_json(struct buf *b, const char *code, int status, const char *detail,
                      const char *log, bool refused);
/* That of one which was abandoned. */
void queue_abandoned_json(struct buf *b);
/* For the engine, of its running job. */
struct vt_callbacks queue_callbacks(struct worker *w);
uint64_t queue_device_bytes(struct vt_engine *g); /* what "100%" is; 0: it cannot be told */
/* Notes what the engine holds, for telemetry. The lock is free. */
void queue_see_memory(struct worker *w);
/* The lock is held for all. */
void queue_tell_positions(struct queue *q);
void queue_tell_added(struct queue *q, const struct live *j, int position);
void queue_tell_line(struct queue *q);
void queue_tell_model(struct queue *q);
void queue_tell_end(struct queue *q, const struct live *j, const struct job_outcome *o);

/* ---- queue_edit.c -------------------------------------------------------------------------------------- */

/* Whether it was paused when the last process ended. */
ERR_MUST_CHECK enum err_code queue_read_pause(struct queue *q, struct err *e);

/* ---- queue_orders.c ------------------------------------------------------------------------------------ */

/* The next order for this worker, NULL: for the planner. NULL when there is none. The lock is held. */
struct queue_order *queue_take_order(struct queue *q, const struct worker *w);
/* One of those that it is for has carried it out; the last wakes who waits. */
void queue_order_done(struct queue *q, struct queue_order *o, const struct err *e);
/* All that are left are refused: the server ends. The lock is held. */
void queue_refuse_orders(struct queue *q);

/* ---- the workers -------------------------------------------------------------------------------------- */

/* When a wait on a condition that begins now is to end: q->idle_seconds from now, or most if that is sooner. False: it
 * has no end. */
bool queue_idle_end(const struct queue *q, double most, struct timespec *out);
/* The thread's function. */
void *queue_work(void *worker);

/* ---- queue_plan.c --------------------------------------------------------------------------------------- */

void *queue_plan_work(void *queue);
/* A plan or a budget, by the worker's engine. */
ERR_MUST_CHECK enum err_code queue_ask(struct worker *w, struct queue_order *o, struct err *e);
/* The worker's engine gets the budget that was asked for meanwhile. */
void queue_take_budget(struct worker *w);

#endif
