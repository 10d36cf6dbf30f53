/* jobs_edit.c - what clients change of a job: whether its result was taken, and its place in the queue. */
#include "store/jobs.h"
#include "store/store_impl.h"

static enum err_code set_candidate(struct store *s, const char *id, enum job_candidate candidate,
                                   struct err *e)
{
    struct db_query q =
        db_query(&s->rw, "UPDATE jobs SET candidate = ?2 WHERE id = ?1 RETURNING project = ''", e);
    db_bind_text(&q, 1, id);
    db_bind_text(&q, 2, job_candidate_name(candidate));
    bool there = db_row(&q);
    bool for_nothing = there && db_int(&q, 0);
    TRY(db_run(&q));
    if (!there)
        return err_set(e, ERR_NOTFOUND, "there is no job '%.40s'", id);
    if (for_nothing)
        return err_set(e, ERR_BUSY, "job %s is for no project: its result is no candidate", id);
    return ERR_OK;
}

enum err_code jobs_set_candidate(struct store *s, const char *id, enum job_candidate candidate,
                                 struct err *e)
{
    TRY(store_begin(s, e));
    return db_end(&s->rw, set_candidate(s, id, candidate, e), e);
}

static enum err_code place(struct store *s, const char *id, struct err *e)
{
    struct db_query q = db_query(&s->rw,
                                 "UPDATE jobs SET placed = 1, turn = (SELECT max(turn) + 1 FROM"
                                 " jobs) WHERE id = ?1 AND state = 'queued'",
                                 e);
    db_bind_text(&q, 1, id);
    return db_run(&q);
}

enum err_code jobs_place(struct store *s, const char (*ids)[STORE_ID_SIZE], size_t n, struct err *e)
{
    TRY(store_begin(s, e));
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < n; i++)
        TRY_GOTO(place(s, ids[i], e), done);
done:
    return db_end(&s->rw, rc, e);
}
