/* routes_queue.c - the queue as a whole: what waits, and whether it goes on. Places in it are changed a job at a time
 * (routes_jobs.c). */
#include "server/jobs/queue.h"
#include "server/routes.h"
#include "server/server_internal.h"

const struct http_field queue_fields[] = {
    {.name = "paused",
     .type = HTTP_BOOL,
     .required = true,
     .help = "no further job starts; kept across restarts"},
    {.name = "running",
     .type = HTTP_STRING,
     .required = true,
     .nullable = true,
     .help = "id of the job that runs; of several the one that has run for the longest time"},
    {.name = "running_jobs",
     .type = HTTP_ARRAY,
     .items = HTTP_STRING,
     .required = true,
     .help = "ids of all that run, one an engine at most, in the order in which they started"},
    {.name = "queued",
     .type = HTTP_ARRAY,
     .items = HTTP_STRING,
     .required = true,
     .help =
         "ids of those that wait, in the order in which they will run; several engines may start "
         "a later one first whose model they have open"},
    {0}};

static const struct http_field change_body[] = {
    {.name = "paused", .type = HTTP_BOOL, .required = true}, {0}};

static enum err_code run_get(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)e;
    queue_json(server_of(rq)->queue, &re->body);
    return ERR_OK;
}

static enum err_code run_change(struct http_request *rq, struct http_reply *re, struct err *e)
{
    TRY(queue_pause(server_of(rq)->queue, http_body_bool(rq, "paused", false), e));
    return run_get(rq, re, e);
}

const struct http_route routes_queue[] = {
    {HTTP_GET, "/v1/queue", "getQueue", "What runs, and what waits in which order", "jobs", run_get,
     .gives = queue_fields},
    {HTTP_PATCH, "/v1/queue", "changeQueue",
     "Pause the queue, which lets running jobs end, or let it go on", "jobs", run_change,
     .body = change_body, .gives = queue_fields, .accepts = HTTP_JSON},
    {0}};
