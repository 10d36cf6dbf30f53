/* jobs.h - the durable side of the queue: what was asked, how it stands, what came out.
 *
 *      jobs_add          jobs_start           jobs_finish
 *         |  ____________    |     ___________    |     ______________________________
 *         '->|  queued  |----'---->| running |----'---->| done | failed | cancelled  |
 *            '----------'          '---------'          '------------------------------'
 *              ^   |                    | the process ended            |
 *              |   |                    v                              |
 *              |   |              | interrupted |                      |
 *              |   '-> cancelled                                       |
 *              '----------- jobs_again (not from done) ----------------'
 *
 * The queue's order is by `turn`, a number that only grows: clocks do not matter. Which job runs next is the
 * server's decision; this only remembers. Images named as inputs or results of a job stay as long as its
 * record.
 *
 * A job that left layers says so in its result, and project_import takes it from there:
 *
 *     {"width": 640, "height": 480, "layers": [{"asset": "<id>", "name": "...", "x": 0, "y": 0,
 *      "opacity": 1.0, "blend_mode": "normal", "visible": true}, ...]}          bottom first
 *
 * and one that left images: {"images": [{"asset": "<id>", ...}, ...]}. Other keys are the server's own.
 */
#ifndef VT_STORE_JOBS_H
#define VT_STORE_JOBS_H

#include "layers/stack.h"
#include "store/assets.h"
#include "store/store.h"

/* Every state: its name in the database, in JSON and of the event that tells of it; the states that it is reached
 * from; and what a job in another state cannot do. */
#define JOB_STATES_UNDERWAY(ROW)                                                                   \
    ROW(QUEUED, "queued", JOB_BIT(FAILED) | JOB_BIT(CANCELLED) | JOB_BIT(INTERRUPTED),             \
        "run again")                                                                               \
    ROW(RUNNING, "running", JOB_BIT(QUEUED), "start")
#define JOB_STATES_ENDED(ROW)                                                                      \
    ROW(DONE, "done", JOB_BIT(RUNNING), "finish")                                                  \
    ROW(FAILED, "failed", JOB_BIT(RUNNING), "finish")                                              \
    ROW(CANCELLED, "cancelled", JOB_BIT(RUNNING) | JOB_BIT(QUEUED), "finish")                      \
    ROW(INTERRUPTED, "interrupted", JOB_BIT(RUNNING), "finish")

#define JOB_BIT(STATE) (1u << JOB_##STATE)
#define JOB_ENUM_ROW(STATE, ...) JOB_##STATE,
enum job_state { JOB_STATES_UNDERWAY(JOB_ENUM_ROW) JOB_STATES_ENDED(JOB_ENUM_ROW) JOB_STATES };

/* "queued|running|...", and those a job ends with, as http_field has values. */
#define JOB_OR_NAME(STATE, NAME, ...) "|" NAME
#define JOB_STATE_VALUES (&JOB_STATES_UNDERWAY(JOB_OR_NAME) JOB_STATES_ENDED(JOB_OR_NAME)[1])
#define JOB_END_VALUES (&JOB_STATES_ENDED(JOB_OR_NAME)[1])

/* "queued", ...: static string. */
const char *job_state_name(enum job_state state);
bool job_state_from_name(struct str name, enum job_state *out);
/* It neither waits nor runs. */
bool job_has_ended(enum job_state state);

/* What became of the result of a job for a project. */
enum job_candidate {
    JOB_NO_CANDIDATE, /* it is for no project */
    JOB_OPEN,
    JOB_ACCEPTED,
    JOB_DISCARDED,
    JOB_CANDIDATES
};

/* "open", ...; "" for none: static string. */
const char *job_candidate_name(enum job_candidate candidate);
bool job_candidate_from_name(struct str name, enum job_candidate *out);

struct job_record {
    char id[STORE_ID_SIZE]; /* "j..." */
    int64_t seq;            /* in order of creation */
    int64_t turn;           /* in order of queueing */
    char kind[24];          /* "generate", "edit", "layers", "caption", ... */
    char *model;            /* owned, as all text here; never NULL */
    enum job_state state;
    int attempts;  /* how often it was started */
    char *request; /* JSON */
    char *result;  /* JSON, "" while there is none */
    char *error;   /* JSON (or plain text, as the server likes), "" while there is none */
    int64_t created_ms, started_ms, finished_ms;       /* 0: not yet */
    char project[STORE_ID_SIZE], layer[LAYER_ID_SIZE]; /* that it is for; "" none */
    enum job_candidate candidate;
    bool is_placed; /* somebody has ordered the queue: it keeps its place there */
    bool repeated;  /* jobs_add: it was there before */
};

void job_record_deinit(struct job_record *r);

struct job_new {
    const char *kind, *model;
    struct str request;        /* JSON */
    const char *const *inputs; /* asset ids */
    size_t n_inputs;
    const char *key;             /* what the client calls this request; NULL: nothing */
    const char *digest;          /* of what was asked, with a key */
    const char *project, *layer; /* NULL: none; the layer need not be there any more */
};

enum { JOB_KEY_MAX = 255 };

/* Queues it. ERR_NOTFOUND when an input or the project is not there. With a key that a job has already: that job, and repeated is
 * set; ERR_BUSY when that one was asked for something else. */
ERR_MUST_CHECK enum err_code jobs_add(struct store *s, const struct job_new *job,
                                      struct job_record *out, struct err *e);

/* The job of that key; *found false when there is none. ERR_BUSY as jobs_add. */
ERR_MUST_CHECK enum err_code jobs_of_key(struct store *s, const char *key, const char *digest,
                                         struct job_record *out, bool *found, struct err *e);

/* queued -> running. ERR_ARG when it is in another state (it was cancelled meanwhile). */
ERR_MUST_CHECK enum err_code jobs_start(struct store *s, const char *id, struct err *e);

struct job_outcome {
    enum job_state state; /* done, failed, cancelled or interrupted */
    struct str result;    /* JSON or empty */
    struct str error;
    const char *const *assets; /* images that the result names */
    size_t n_assets;
};

/* running (or queued, when cancelled) -> outcome->state. Any other state: ERR_ARG. */
ERR_MUST_CHECK enum err_code jobs_finish(struct store *s, const char *id,
                                         const struct job_outcome *outcome, struct err *e);

/* failed, cancelled or interrupted -> queued, at the end of the queue; the old error goes. */
ERR_MUST_CHECK enum err_code jobs_again(struct store *s, const char *id, struct err *e);

ERR_MUST_CHECK enum err_code jobs_get(struct store *s, const char *id, struct job_record *out,
                                      struct err *e);

struct job_list {
    struct job_record *items;
    size_t n;
    int64_t next; /* `before` for the next page; 0 when there is none */
};
void job_list_deinit(struct job_list *l);

/* All zero: every job. */
struct job_filter {
    unsigned states;                    /* a set of bits (1u << JOB_...); 0: all */
    enum job_candidate candidate;       /* JOB_NO_CANDIDATE: all */
    const char *project, *kind, *model; /* NULL: any */
};

/* Newest first; before and limit as in asset_list. A page of large requests ends after 4 MiB of them. */
ERR_MUST_CHECK enum err_code jobs_list(struct store *s, const struct job_filter *filter,
                                       int64_t before, int limit, struct job_list *out,
                                       struct err *e);
/* What waits, in the order of its turns, at most limit (1 to 10,000): for the worker after a start. */
ERR_MUST_CHECK enum err_code jobs_waiting(struct store *s, int limit, struct job_list *out,
                                          struct err *e);

/* ---- what clients change ------------------------------------------------------------------------ */

/* ERR_BUSY for a job that is for no project. */
ERR_MUST_CHECK enum err_code jobs_set_candidate(struct store *s, const char *id,
                                                enum job_candidate candidate, struct err *e);
/* These are the queue, in this order, and keep their places in it. Those that wait no more are left out. */
ERR_MUST_CHECK enum err_code jobs_place(struct store *s, const char (*ids)[STORE_ID_SIZE], size_t n,
                                        struct err *e);

/* Forgets a job that neither waits nor runs (ERR_BUSY otherwise); its images may then be collected. */
ERR_MUST_CHECK enum err_code jobs_forget(struct store *s, const char *id, struct err *e);
/* Forgets finished jobs but for the newest `keep` (negative: all stay), and those that ended before before_ms (0:
 * none). *gone may be NULL. */
ERR_MUST_CHECK enum err_code jobs_trim(struct store *s, int64_t keep, int64_t before_ms,
                                       uint64_t *gone, struct err *e);
/* Forgets at most so many of those that ended before before_ms, the oldest first. */
ERR_MUST_CHECK enum err_code jobs_trim_oldest(struct store *s, int64_t most, int64_t before_ms,
                                              uint64_t *gone, struct err *e);

#endif
