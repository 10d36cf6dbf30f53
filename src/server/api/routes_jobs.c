/* routes_jobs.c - jobs: how they stand, what they tell while they run, and ending them. */
#include <string.h>

#include "server/api/job_json.h"
#include "server/api/page.h"
#include "server/api/schemas.h"
#include "server/routes.h"
#include "server/server_internal.h"

static const struct http_field list_query[] = {
    {.name = "state",
     .type = HTTP_STRING,
     .help = "only those: queued, running, done, failed, cancelled or interrupted, or several with "
             "commas between"},
    {.name = "project",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = STORE_ID_SIZE - 1,
     .help = "only those for this project"},
    {.name = "candidate",
     .type = HTTP_STRING,
     .values = "open|accepted|discarded",
     .help = "only those"},
    PAGE_QUERY(0),
    {0}};

static const struct http_field list_fields[] = {{.name = "jobs",
                                                 .type = HTTP_ARRAY,
                                                 .items = HTTP_OBJECT,
                                                 .fields = job_fields,
                                                 .required = true},
                                                PAGE_NEXT,
                                                {0}};

/* "queued,running" as bits. */
static enum err_code read_states(struct http_request *rq, unsigned *out, struct err *e)
{
    const char *p = http_query(rq, "state");
    enum job_state state;
    *out = 0;
    while (p) {
        struct str name = {p, strcspn(p, ",")};
        if (!job_state_from_name(name, &state))
            return http_refuse(rq, 400, "state", e, "'%.*s' is no state of a job",
                               (int)(name.n < 40 ? name.n : 40), name.p);
        *out |= 1u << state;
        p = p[name.n] ? p + name.n + 1 : NULL;
    }
    return ERR_OK;
}

static enum err_code read_filter(struct http_request *rq, struct job_filter *out, struct err *e)
{
    const char *candidate = http_query(rq, "candidate");
    *out = (struct job_filter){.project = http_query(rq, "project")};
    if (candidate)
        (void)job_candidate_from_name(str_from(candidate), &out->candidate);
    return read_states(rq, &out->states, e);
}

static enum err_code run_list(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct job_list l = {0};
    struct job_filter filter;
    TRY(read_filter(rq, &filter, e));
    TRY(jobs_list(store_of(rq), &filter, page_before(rq), page_limit(rq), &l, e));
    page_begin(&re->body, "jobs");
    for (size_t i = 0; i < l.n; i++)
        job_json(server_of(rq)->queue, &l.items[i], &re->body);
    page_end(&re->body, l.next);
    job_list_deinit(&l);
    return ERR_OK;
}

static enum err_code answer_job(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct job_record rec = {0};
    enum err_code rc = jobs_get(store_of(rq), http_path(rq, "id"), &rec, e);
    if (rc == ERR_OK)
        job_json(server_of(rq)->queue, &rec, &re->body);
    job_record_deinit(&rec);
    return rc;
}

static const struct http_field forget_query[] = {
    {.name = "forget",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "remove the record of a job that has ended"},
    {0}};

static enum err_code run_delete(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct job_record rec = {0};
    const char *id = http_path(rq, "id");
    enum err_code rc = jobs_get(store_of(rq), id, &rec, e);
    bool ended = rc == ERR_OK && job_has_ended(rec.state);
    bool cancelled = rc == ERR_OK && rec.state == JOB_CANCELLED;
    job_record_deinit(&rec);
    if (rc != ERR_OK)
        return rc;
    if (ended && http_query_bool(rq, "forget", false)) {
        rc = answer_job(rq, re, e);
        return rc == ERR_OK ? jobs_forget(store_of(rq), id, e) : rc;
    }
    if (!cancelled)
        rc = queue_cancel(server_of(rq)->queue, id, e);
    return rc == ERR_OK ? answer_job(rq, re, e) : rc;
}

static const struct http_field change_body[] = {
    {.name = "candidate",
     .type = HTTP_STRING,
     .values = "open|accepted|discarded",
     .help = "what became of its result in the project that it is for; 409 when it is for none"},
    {.name = "position",
     .type = HTTP_INT,
     .lo = 0,
     .hi = 1000000,
     .help = "its new place in the queue, 0 is next; 409 when it does not wait. Those that wait "
             "now keep "
             "their order from then on"},
    {0}};

/* An event is one line; a request is kept as it came, on several: in JSON a newline is nothing but white space. */
static void tell_changed(struct http_request *rq, const struct buf *job)
{
    struct buf line;
    buf_init(&line, job->n);
    for (size_t i = 0; i < job->n; i++)
        buf_add_byte(&line, job->p[i] == '\n' ? ' ' : (unsigned char)job->p[i]);
    events_publish(server_of(rq)->events, QUEUE_ALL_EVENTS, "job.changed", buf_str(&line),
                   EVENTS_KEEP);
    buf_deinit(&line);
}

static enum err_code move(struct http_request *rq, int index, struct err *e)
{
    struct job_record rec = {0};
    const char *id = http_path(rq, "id");
    enum err_code rc = jobs_get(store_of(rq), id, &rec, e);
    job_record_deinit(&rec);
    return rc == ERR_OK ? queue_move(server_of(rq)->queue, id, index, e) : rc;
}

static enum err_code run_change(struct http_request *rq, struct http_reply *re, struct err *e)
{
    const char *id = http_path(rq, "id");
    const char *name = http_body_str(rq, "candidate", NULL);
    const int64_t position = http_body_int(rq, "position", -1);
    enum job_candidate candidate;
    if (position >= 0)
        TRY(move(rq, (int)position, e));
    if (name && job_candidate_from_name(str_from(name), &candidate))
        TRY(jobs_set_candidate(store_of(rq), id, candidate, e));
    TRY(answer_job(rq, re, e));
    if (name || position >= 0)
        tell_changed(rq, &re->body);
    return ERR_OK;
}

static enum err_code run_again(struct http_request *rq, struct http_reply *re, struct err *e)
{
    enum err_code rc = queue_again(rq, http_path(rq, "id"), e);
    if (rc == ERR_ARG && !http_error_status(rq))
        http_set_error_status(rq, 409);
    return rc == ERR_OK ? answer_job(rq, re, e) : rc;
}

static enum err_code run_events(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct job_record rec = {0};
    const char *last = http_header(rq, "Last-Event-ID");
    enum err_code rc = jobs_get(store_of(rq), http_path(rq, "id"), &rec, e);
    /* The client has seen how it ended: an answer that keeps an EventSource from coming back for ever. */
    bool told = rc == ERR_OK && last && strncmp(last, "end-", 4) == 0 &&
                strcmp(last + 4, job_state_name(rec.state)) == 0;
    job_record_deinit(&rec);
    if (told) {
        re->status = 204;
        re->type = "";
        return ERR_OK;
    }
    return rc == ERR_OK ? queue_subscribe(rq, http_path(rq, "id"), &re->stream, e) : rc;
}

static enum err_code run_preview(struct http_request *rq, struct http_reply *re, struct err *e)
{
    int step = 0;
    if (!queue_preview(server_of(rq)->queue, http_path(rq, "id"), &re->body, &step))
        return err_set(e, ERR_NOTFOUND, "the job has no preview now");
    http_reply_header(re, "X-Step", "%d", step);
    return ERR_OK;
}

const struct http_route routes_jobs[] = {
    {HTTP_GET, "/v1/jobs", "listJobs", "List jobs, newest first", "jobs", run_list,
     .query = list_query, .gives = list_fields},
    {HTTP_GET, "/v1/jobs/{id}", "getJob", "How a job stands, and its result", "jobs", answer_job,
     .gives = job_fields},
    {HTTP_DELETE, "/v1/jobs/{id}", "cancelJob",
     "Cancel a job that waits or runs; with forget remove the record of one that has ended", "jobs",
     run_delete, .query = forget_query, .gives = job_fields},
    {HTTP_PATCH, "/v1/jobs/{id}", "changeJob",
     "Say what became of a job's result, or move it in the queue", "jobs", run_change,
     .body = change_body, .gives = job_fields, .accepts = HTTP_JSON, .flags = HTTP_MERGE},
    {HTTP_POST, "/v1/jobs/{id}/again", "againJob",
     "Queue again what failed, was cancelled or interrupted", "jobs", run_again,
     .gives = job_fields, .status = 202, .accepts = HTTP_JSON},
    {HTTP_GET, "/v1/jobs/{id}/events", "jobEvents",
     "Events of a job: queued, stage, step, preview, done, failed, cancelled", "jobs", run_events,
     .type = "text/event-stream", .flags = HTTP_EVENTS, .emits = schema_job_events},
    {HTTP_GET, "/v1/jobs/{id}/preview", "jobPreview",
     "What the running job's image seems to become", "jobs", run_preview, .type = "image/jpeg"},
    {0}};
