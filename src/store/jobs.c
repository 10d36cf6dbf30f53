/* jobs.c - the table of jobs: one transaction a change of state.
 *
 * A change first reads the state within the same transaction and refuses it unless it is one of the allowed ones
 * (the diagram is in jobs.h), so that two processes, or a cancel and a finish, cannot both succeed. The assets
 * that a job names are entered as references of owner "j:ID" in that transaction too. Lists come in pages by seq,
 * bounded in rows and bytes, because requests may be large.
 */
#include "store/jobs.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/store_impl.h"

#define COLUMNS                                                                                    \
    "id, seq, turn, kind, model, state, attempts, request, result, error, created_ms, started_ms," \
    " finished_ms, project, layer, candidate, placed"

enum { N_COLUMNS = 17, OWNER_SIZE = STORE_ID_SIZE + 4, LIST_MAX_BYTES = 4 << 20 };

#define STATE_ROW(STATE, NAME, FROM, VERB) [JOB_##STATE] = {NAME, FROM, VERB},
static const struct {
    const char *name;
    unsigned from; /* bits */
    const char *verb;
} states[JOB_STATES] = {JOB_STATES_UNDERWAY(STATE_ROW) JOB_STATES_ENDED(STATE_ROW)};

const char *job_state_name(enum job_state state)
{
    return (unsigned)state < JOB_STATES ? states[state].name : "unknown";
}

#define OR_BIT(STATE, ...) | JOB_BIT(STATE)
bool job_has_ended(enum job_state state)
{
    return (0 JOB_STATES_ENDED(OR_BIT)) >> state & 1;
}

bool job_state_from_name(struct str name, enum job_state *out)
{
    for (unsigned i = 0; i < JOB_STATES; i++) {
        if (str_eq_z(name, states[i].name)) {
            *out = (enum job_state)i;
            return true;
        }
    }
    return false;
}

static const char *const candidate_names[JOB_CANDIDATES] = {
    [JOB_NO_CANDIDATE] = "",
    [JOB_OPEN] = "open",
    [JOB_ACCEPTED] = "accepted",
    [JOB_DISCARDED] = "discarded",
};

const char *job_candidate_name(enum job_candidate candidate)
{
    return (unsigned)candidate < JOB_CANDIDATES ? candidate_names[candidate] : "";
}

bool job_candidate_from_name(struct str name, enum job_candidate *out)
{
    for (unsigned i = 0; i < JOB_CANDIDATES; i++) {
        if (str_eq_z(name, candidate_names[i])) {
            *out = (enum job_candidate)i;
            return true;
        }
    }
    return false;
}

void job_record_deinit(struct job_record *r)
{
    mem_free(r->model);
    mem_free(r->request);
    mem_free(r->result);
    mem_free(r->error);
    *r = (struct job_record){0};
}

void job_list_deinit(struct job_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        job_record_deinit(&l->items[i]);
    mem_free(l->items);
    *l = (struct job_list){0};
}

static void owner_of(const char *id, char out[OWNER_SIZE])
{
    snprintf(out, OWNER_SIZE, "j:%s", id);
}

/* Failures of memory stick to the query. */
static void read_row(struct db_query *q, struct job_record *r)
{
    *r = (struct job_record){.seq = db_int(q, 1),
                             .turn = db_int(q, 2),
                             .attempts = (int)db_int(q, 6),
                             .created_ms = db_int(q, 10),
                             .started_ms = db_int(q, 11),
                             .finished_ms = db_int(q, 12),
                             .is_placed = db_int(q, 16) != 0};
    db_text_into(q, 0, r->id, sizeof r->id);
    db_text_into(q, 3, r->kind, sizeof r->kind);
    if (!job_state_from_name(db_text(q, 5), &r->state))
        r->state = JOB_FAILED;
    db_text_into(q, 13, r->project, sizeof r->project);
    db_text_into(q, 14, r->layer, sizeof r->layer);
    if (!job_candidate_from_name(db_text(q, 15), &r->candidate))
        r->candidate = JOB_NO_CANDIDATE;
    r->model = db_text_dup(q, 4);
    r->request = db_text_dup(q, 7);
    r->result = db_text_dup(q, 8);
    r->error = db_text_dup(q, 9);
}

static enum err_code not_found(const char *id, struct err *e)
{
    return err_set(e, ERR_NOTFOUND, "there is no job '%.40s'", id ? id : "");
}

/* ---- in and out of the queue -------------------------------------------------------------------- */

static enum err_code expect_project(struct store *s, const char *id, struct err *e)
{
    struct db_query q = db_query(&s->rw, "SELECT 1 FROM projects WHERE id = ?1", e);
    db_bind_text(&q, 1, id);
    bool there = db_row(&q);
    TRY(db_done(&q));
    return there ? ERR_OK : err_set(e, ERR_NOTFOUND, "there is no project '%.40s'", id);
}

static enum err_code insert(struct store *s, const struct job_new *job, struct job_record *out,
                            struct err *e)
{
    char id[STORE_ID_SIZE], owner[OWNER_SIZE];
    if (job->project)
        TRY(expect_project(s, job->project, e));
    enum err_code rc = store_new_id('j', id, e);
    if (rc != ERR_OK)
        return rc;
    struct db_query q = db_query(
        &s->rw,
        "INSERT INTO jobs (id, turn, kind, model, state, attempts, request, result, error,"
        " created_ms, started_ms, finished_ms, project, layer, candidate) VALUES (?1,"
        " (SELECT coalesce(max(turn), 0) + 1 FROM jobs), ?2, ?3, 'queued', 0, ?4, '', '', ?5, 0, 0,"
        " ?6, ?7, ?8)"
        " RETURNING " COLUMNS,
        e);
    db_bind_text(&q, 1, id);
    db_bind_text(&q, 2, job->kind);
    db_bind_text(&q, 3, job->model);
    db_bind_str(&q, 4, job->request);
    db_bind_int(&q, 5, store_now_ms(s));
    db_bind_text(&q, 6, job->project ? job->project : "");
    db_bind_text(&q, 7, job->layer ? job->layer : "");
    db_bind_text(&q, 8, job_candidate_name(job->project ? JOB_OPEN : JOB_NO_CANDIDATE));
    if (db_row(&q))
        read_row(&q, out);
    rc = db_run(&q);
    owner_of(id, owner);
    for (size_t i = 0; rc == ERR_OK && i < job->n_inputs; i++)
        rc = refs_add(s, owner, job->inputs[i], e);
    return rc;
}

/* *found: a job has that key. On whichever connection; the caller holds it. */
static enum err_code of_key(struct db *db, const char *key, const char *digest,
                            struct job_record *out, bool *found, struct err *e)
{
    struct db_query q = db_query(db,
                                 "SELECT " COLUMNS ", digest FROM jobs JOIN job_keys ON job = id"
                                 " WHERE key = ?1",
                                 e);
    db_bind_text(&q, 1, key);
    bool other = false;
    *found = db_row(&q);
    if (*found) {
        read_row(&q, out);
        out->repeated = true;
        other = !str_eq_z(db_text(&q, N_COLUMNS), digest);
    }
    enum err_code rc = db_done(&q);
    if (rc == ERR_OK && other)
        rc = err_set(e, ERR_BUSY, "this key was used for job %s, which asked for something else",
                     out->id);
    if (rc != ERR_OK)
        job_record_deinit(out);
    return rc;
}

enum err_code jobs_of_key(struct store *s, const char *key, const char *digest,
                          struct job_record *out, bool *found, struct err *e)
{
    *out = (struct job_record){0};
    db_lock(&s->ro);
    enum err_code rc = of_key(&s->ro, key, digest, out, found, e);
    db_unlock(&s->ro);
    return rc;
}

static enum err_code keep_key(struct store *s, const struct job_new *job, const char *id,
                              struct err *e)
{
    struct db_query q =
        db_query(&s->rw, "INSERT INTO job_keys (key, digest, job) VALUES (?1, ?2, ?3)", e);
    db_bind_text(&q, 1, job->key);
    db_bind_text(&q, 2, job->digest);
    db_bind_text(&q, 3, id);
    return db_run(&q);
}

static enum err_code insert_once(struct store *s, const struct job_new *job, struct job_record *out,
                                 struct err *e)
{
    bool found = false;
    if (!job->key)
        return insert(s, job, out, e);
    TRY(of_key(&s->rw, job->key, job->digest, out, &found, e));
    if (found)
        return ERR_OK;
    TRY(insert(s, job, out, e));
    return keep_key(s, job, out->id, e);
}

enum err_code jobs_add(struct store *s, const struct job_new *job, struct job_record *out,
                       struct err *e)
{
    *out = (struct job_record){0};
    if (!job->kind || strlen(job->kind) >= sizeof out->kind)
        return err_set(e, ERR_ARG, "a job needs a kind of at most %zu bytes", sizeof out->kind - 1);
    if (job->layer && strlen(job->layer) >= sizeof out->layer)
        return err_set(e, ERR_ARG, "a layer's id has at most %zu bytes", sizeof out->layer - 1);
    enum err_code rc = store_begin(s, e);
    if (rc != ERR_OK)
        return rc;
    rc = db_end(&s->rw, insert_once(s, job, out, e), e);
    if (rc != ERR_OK)
        job_record_deinit(out);
    return rc;
}

/* The job's state, within a transaction. */
static enum err_code current_state(struct store *s, const char *id, enum job_state *out,
                                   struct err *e)
{
    if (!store_is_id(id, 'j'))
        return not_found(id, e);
    struct db_query q = db_query(&s->rw, "SELECT state FROM jobs WHERE id = ?1", e);
    db_bind_text(&q, 1, id);
    bool there = db_row(&q) && job_state_from_name(db_text(&q, 0), out);
    TRY(db_done(&q));
    return there ? ERR_OK : not_found(id, e);
}

static enum err_code expect_state(struct store *s, const char *id, enum job_state next,
                                  struct err *e)
{
    enum job_state state = JOB_QUEUED;
    TRY(current_state(s, id, &state, e));
    if (!(states[next].from >> state & 1))
        return err_set(e, ERR_ARG, "job %s cannot %s: it is %s", id, states[next].verb,
                       job_state_name(state));
    return ERR_OK;
}

/* Brings the job, or all of a state, to another one: column is "id" or "state". Their turn is left alone where it does
 * not change: it is in indexes, which are pages more to write, and the end of a job has to fit on a disk that is full. */
static enum err_code set_state(struct store *s, const char *column, const char *value,
                               const struct job_outcome *next, struct err *e)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "UPDATE jobs SET state = ?2, result = ?3, error = ?4,"
             " attempts = attempts + (?2 = 'running'),"
             " started_ms = CASE ?2 WHEN 'queued' THEN 0 WHEN 'running' THEN ?5"
             " ELSE started_ms END, finished_ms = CASE WHEN ?6 THEN ?5 ELSE 0 END%s"
             " WHERE %s = ?1",
             next->state == JOB_QUEUED ? ", placed = 0, turn = (SELECT max(turn) + 1 FROM jobs)"
                                       : "",
             column);
    struct db_query q = db_query(&s->rw, sql, e);
    db_bind_text(&q, 1, value);
    db_bind_text(&q, 2, job_state_name(next->state));
    db_bind_str(&q, 3, next->result);
    db_bind_str(&q, 4, next->error);
    db_bind_int(&q, 5, store_now_ms(s));
    db_bind_int(&q, 6, job_has_ended(next->state));
    return db_run(&q);
}

static enum err_code change_state(struct store *s, const char *id, const struct job_outcome *next,
                                  struct err *e)
{
    char owner[OWNER_SIZE];
    TRY(expect_state(s, id, next->state, e));
    TRY(set_state(s, "id", id, next, e));
    owner_of(id, owner);
    for (size_t i = 0; i < next->n_assets; i++)
        TRY(refs_add(s, owner, next->assets[i], e));
    return ERR_OK;
}

static enum err_code change(struct store *s, const char *id, const struct job_outcome *next,
                            struct err *e)
{
    TRY(store_begin(s, e));
    return db_end(&s->rw, change_state(s, id, next, e), e);
}

enum err_code jobs_start(struct store *s, const char *id, struct err *e)
{
    return change(s, id, &(struct job_outcome){.state = JOB_RUNNING}, e);
}

enum err_code jobs_finish(struct store *s, const char *id, const struct job_outcome *outcome,
                          struct err *e)
{
    if (!job_has_ended(outcome->state))
        return err_set(e, ERR_ARG, "a job does not finish as %s", job_state_name(outcome->state));
    return change(s, id, outcome, e);
}

enum err_code jobs_again(struct store *s, const char *id, struct err *e)
{
    return change(s, id, &(struct job_outcome){.state = JOB_QUEUED}, e);
}

enum err_code jobs_interrupt_running(struct store *s, struct err *e)
{
    return set_state(s, "state", job_state_name(JOB_RUNNING),
                     &(struct job_outcome){.state = JOB_INTERRUPTED}, e);
}

/* ---- looking ------------------------------------------------------------------------------------ */

enum err_code jobs_get(struct store *s, const char *id, struct job_record *out, struct err *e)
{
    *out = (struct job_record){0};
    if (!store_is_id(id, 'j'))
        return not_found(id, e);
    db_lock(&s->ro);
    struct db_query q = db_query(&s->ro, "SELECT " COLUMNS " FROM jobs WHERE id = ?1", e);
    db_bind_text(&q, 1, id);
    bool there = db_row(&q);
    if (there)
        read_row(&q, out);
    enum err_code rc = db_done(&q);
    db_unlock(&s->ro);
    if (rc == ERR_OK && !there)
        rc = not_found(id, e);
    if (rc != ERR_OK)
        job_record_deinit(out);
    return rc;
}

static size_t text_bytes(const struct job_record *r)
{
    const char *const texts[] = {r->request, r->result, r->error};
    size_t n = 0;
    for (size_t i = 0; i < 3; i++)
        n += texts[i] ? strlen(texts[i]) : 0;
    return n;
}

/* Rows of a bound query into the list, at most limit, and at least one but no more than max_bytes of text; one
 * more sets `next`. Frees the query. */
static enum err_code collect(struct db_query *q, int limit, size_t max_bytes, struct job_list *out,
                             struct err *e)
{
    size_t bytes = 0;
    out->items = mem_try_array((size_t)limit, sizeof *out->items);
    if (!out->items) {
        (void)db_done(q);
        return err_set(e, ERR_NOMEM, "no memory for a list of %d jobs", limit);
    }
    while (db_row(q)) {
        struct job_record *r = &out->items[out->n];
        bool full = out->n == (size_t)limit;
        if (!full) {
            read_row(q, r);
            bytes += text_bytes(r);
            full = out->n > 0 && bytes > max_bytes;
            if (full)
                job_record_deinit(r);
        }
        if (full) {
            out->next = out->items[out->n - 1].seq;
            break;
        }
        out->n++;
    }
    enum err_code rc = db_done(q);
    if (rc != ERR_OK)
        job_list_deinit(out);
    return rc;
}

enum err_code jobs_list(struct store *s, const struct job_filter *filter, int64_t before, int limit,
                        struct job_list *out, struct err *e)
{
    char names[160] = "";
    size_t n = 0;
    *out = (struct job_list){0};
    limit = limit < 1 ? 1 : limit > 1000 ? 1000 : limit;
    for (unsigned i = 0; i < JOB_STATES; i++)
        if (filter->states == 0 || (filter->states >> i & 1))
            n += (size_t)snprintf(names + n, sizeof names - n, " %s ", states[i].name);
    db_lock(&s->ro);
    struct db_query q = db_query(&s->ro,
                                 "SELECT " COLUMNS " FROM jobs WHERE seq < ?1"
                                 " AND instr(?2, ' ' || state || ' ') > 0"
                                 " AND (?3 = '' OR candidate = ?3)"
                                 " AND (?4 = '' OR project = ?4) AND (?5 = '' OR kind = ?5)"
                                 " AND (?6 = '' OR model = ?6) ORDER BY seq DESC LIMIT ?7",
                                 e);
    db_bind_int(&q, 1, before > 0 ? before : INT64_MAX);
    db_bind_text(&q, 2, names);
    db_bind_text(&q, 3, job_candidate_name(filter->candidate));
    db_bind_text(&q, 4, filter->project ? filter->project : "");
    db_bind_text(&q, 5, filter->kind ? filter->kind : "");
    db_bind_text(&q, 6, filter->model ? filter->model : "");
    db_bind_int(&q, 7, limit + 1);
    enum err_code rc = collect(&q, limit, LIST_MAX_BYTES, out, e);
    db_unlock(&s->ro);
    return rc;
}

enum err_code jobs_waiting(struct store *s, int limit, struct job_list *out, struct err *e)
{
    *out = (struct job_list){0};
    limit = limit < 1 ? 1 : limit > 10000 ? 10000 : limit;
    db_lock(&s->ro);
    struct db_query q = db_query(
        &s->ro, "SELECT " COLUMNS " FROM jobs WHERE state = 'queued' ORDER BY turn LIMIT ?1", e);
    db_bind_int(&q, 1, limit);
    enum err_code rc = collect(&q, limit, SIZE_MAX, out, e);
    db_unlock(&s->ro);
    return rc;
}

/* ---- forgetting --------------------------------------------------------------------------------- */

static enum err_code forget(struct store *s, const char *id, struct err *e)
{
    char owner[OWNER_SIZE];
    enum job_state state = JOB_QUEUED;
    TRY(current_state(s, id, &state, e));
    if (!job_has_ended(state))
        return err_set(e, ERR_BUSY, "job %s is %s", id, job_state_name(state));
    owner_of(id, owner);
    TRY(refs_drop(s, owner, e));
    struct db_query q = db_query(&s->rw, "DELETE FROM jobs WHERE id = ?1", e);
    db_bind_text(&q, 1, id);
    return db_run(&q);
}

enum err_code jobs_forget(struct store *s, const char *id, struct err *e)
{
    TRY(store_begin(s, e));
    return db_end(&s->rw, forget(s, id, e), e);
}

#define SQL_NAME(STATE, NAME, ...) ", '" NAME "'"
#define FINISHED "state IN (''" JOB_STATES_ENDED(SQL_NAME) ")"

/* Deletes the jobs that the query names, with what they refer to. Within a transaction. */
static enum err_code drop_jobs(struct store *s, const char *ids, int64_t a, int64_t b,
                               uint64_t *gone, struct err *e)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "DELETE FROM refs WHERE owner LIKE 'j:%%' AND substr(owner, 3) IN (%s)", ids);
    struct db_query refs = db_query(&s->rw, sql, e);
    db_bind_int(&refs, 1, a);
    db_bind_int(&refs, 2, b);
    TRY(db_run(&refs));
    snprintf(sql, sizeof sql, "DELETE FROM jobs WHERE id IN (%s)", ids);
    struct db_query jobs = db_query(&s->rw, sql, e);
    db_bind_int(&jobs, 1, a);
    db_bind_int(&jobs, 2, b);
    TRY(db_run(&jobs));
    *gone = (uint64_t)sqlite3_changes64(s->rw.h);
    return ERR_OK;
}

static enum err_code trim(struct store *s, const char *ids, int64_t a, int64_t b, uint64_t *gone,
                          struct err *e)
{
    uint64_t n = 0;
    enum err_code rc = store_begin(s, e);
    if (rc == ERR_OK)
        rc = db_end(&s->rw, drop_jobs(s, ids, a, b, &n, e), e);
    if (gone)
        *gone = rc == ERR_OK ? n : 0;
    return rc;
}

enum err_code jobs_trim(struct store *s, int64_t keep, int64_t before_ms, uint64_t *gone,
                        struct err *e)
{
    return trim(s,
                "SELECT id FROM jobs WHERE " FINISHED " AND (finished_ms < ?2 OR (?1 >= 0 AND"
                " seq NOT IN (SELECT seq FROM jobs WHERE " FINISHED
                " ORDER BY seq DESC LIMIT ?1)))",
                keep, before_ms, gone, e);
}

enum err_code jobs_trim_oldest(struct store *s, int64_t most, int64_t before_ms, uint64_t *gone,
                               struct err *e)
{
    return trim(s,
                "SELECT id FROM jobs WHERE " FINISHED " AND finished_ms < ?2 ORDER BY seq LIMIT ?1",
                most, before_ms, gone, e);
}
