/* routes_tasks.c - what the engine is asked to do: each answers 202 and a job, or waits for its result. */
#include <string.h>

#include "base/json_text.h"
#include "http/check.h"
#include "pipeline/result_json.h"
#include "server/api/job_json.h"
#include "server/jobs/estimate.h"
#include "server/jobs/model_choice.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/server_internal.h"

static const struct http_field task_query[] = {
    {.name = "wait",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "answer with the result when it is there, instead of at once with the job"},
    {.name = "project",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = STORE_ID_SIZE - 1,
     .help = "the project that it is for: the job's result is a candidate of it"},
    {.name = "layer",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = LAYER_ID_SIZE - 1,
     .help = "the layer of that project that it is for"},
    {0}};

static enum err_code answer_result(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct job_record rec = {0};
    enum err_code rc = job_wait(rq, http_memo(rq)->user, &re->later, &rec, e);
    if (rc == ERR_OK && !re->later) {
        re->status = 200;
        json_object(&re->body, NULL);
        json_put_z(&re->body, "job", rec.id);
        json_put_members(&re->body, str_from(rec.result));
        json_end_object(&re->body);
    }
    job_record_deinit(&rec);
    return rc;
}

static enum err_code run(struct http_request *rq, struct http_reply *re, const char *kind,
                         struct err *e)
{
    struct job_record rec = {0};
    const struct job_purpose purpose = {http_query(rq, "project"), http_query(rq, "layer")};
    if (http_again(rq))
        return answer_result(rq, re, e);
    enum err_code rc = job_submit(rq, kind, http_body(rq), &purpose, &rec, e);
    if (rc == ERR_OK && http_query_bool(rq, "wait", false)) {
        struct job_record ended = {0};
        rc = job_wait(rq, rec.id, &re->later, &ended, e);
        job_record_deinit(&ended);
        if (rc == ERR_OK && !re->later)
            rc = answer_result(rq, re, e);
    } else if (rc == ERR_OK) {
        (void)snprintf(re->location, sizeof re->location, "/v1/jobs/%s", rec.id);
        job_json(server_of(rq)->queue, &rec, &re->body);
    }
    job_record_deinit(&rec);
    return rc;
}

static enum err_code run_generate(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, "generate", e);
}

static enum err_code run_edit(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, "edit", e);
}

static enum err_code run_layers(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, "layers", e);
}

static enum err_code run_caption(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, "caption", e);
}

/* ---- plans -------------------------------------------------------------------------------------------- */

static const struct http_field widened_fields[] = {
    {.name = "from", .type = HTTP_STRING, .required = true, .help = "as the files store them"},
    {.name = "to", .type = HTTP_STRING, .required = true},
    {.name = "bytes", .type = HTTP_INT, .required = true, .help = "more than in the files"},
    {0}};

static const struct http_field stage_fields[] = {
    {.name = "component", .type = HTTP_STRING, .required = true},
    {.name = "precision", .type = HTTP_STRING, .required = true},
    {.name = "device", .type = HTTP_STRING, .required = true},
    {.name = "resident_bytes", .type = HTTP_INT, .required = true},
    {.name = "streamed_bytes", .type = HTTP_INT, .required = true},
    {.name = "compute_bytes", .type = HTTP_INT, .required = true},
    {.name = "peak_bytes", .type = HTTP_INT, .required = true},
    {.name = "widened",
     .type = HTTP_OBJECT,
     .fields = widened_fields,
     .help =
         "weights that the device holds in a wider type than the files; left out where none are"},
    {0}};

static const struct http_field device_fields[] = {
    {.name = "name", .type = HTTP_STRING, .required = true},
    {.name = "budget_bytes", .type = HTTP_INT, .required = true},
    {.name = "peak_bytes", .type = HTTP_INT, .required = true},
    {0}};

const struct http_field plan_fields[] = {
    {.name = "verdict",
     .type = HTTP_STRING,
     .values = "resident|streamed|refused",
     .required = true},
    {.name = "budget_bytes", .type = HTTP_INT, .required = true},
    {.name = "peak_bytes", .type = HTTP_INT, .required = true},
    {.name = "stages",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = stage_fields,
     .required = true},
    {.name = "devices",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = device_fields,
     .required = true},
    {.name = "swap_bytes", .type = HTTP_INT, .required = true},
    {.name = "advice", .type = HTTP_ARRAY, .items = HTTP_STRING, .required = true},
    {.name = "seconds",
     .type = HTTP_NUMBER,
     .required = true,
     .nullable = true,
     .help = "how long it will take, from the last jobs of this model and task here; null: none "
             "has finished"},
    {0}};

static const struct http_field plan_body[] = {
    {.name = "task", .type = HTTP_STRING, .values = "generate|edit|layers", .required = true},
    {.name = "request",
     .type = HTTP_OBJECT,
     .required = true,
     .help = "what would be sent to /v1/generate, /v1/edit or /v1/layers"},
    {0}};

static const struct plan_task {
    const char *name;
    const struct http_field *fields;
    unsigned tasks;
} plan_tasks[] = {{"generate", fields_generate, MODEL_TASK_IMAGES},
                  {"edit", fields_edit, MODEL_TASK_IMAGES},
                  {"layers", fields_layers, MODEL_TASK_LAYERS}};

static const struct plan_task *plan_task(const char *name)
{
    size_t i = 0;
    while (strcmp(plan_tasks[i].name, name) != 0)
        i++;
    return &plan_tasks[i];
}

/* A request that names no model gets the server's; the request's document is then another one. */
static enum err_code name_model(struct http_request *rq, unsigned tasks, yyjson_val **body,
                                struct err *e)
{
    const char *named = yyjson_get_str(yyjson_obj_get(*body, "model"));
    const char *model = server_model(server_of(rq), named, tasks);
    yyjson_doc *doc = NULL;
    struct buf text;
    if (!model || model == named)
        return ERR_OK;
    buf_init(&text, LIMIT_REQUEST);
    enum err_code rc = job_request_with_model(*body, model, &text, e);
    if (rc == ERR_OK)
        rc = json_parse(buf_str(&text), "the request", &doc, e);
    buf_deinit(&text);
    if (rc != ERR_OK)
        return rc;
    http_set_body(rq, doc);
    *body = yyjson_doc_get_root(doc);
    return ERR_OK;
}

static enum err_code begin_plan(struct http_request *rq, struct http_reply *re, struct err *e)
{
    char inner[CHECK_FIELD_SIZE];
    const struct plan_task *task = plan_task(http_body_str(rq, "task", "generate"));
    yyjson_val *body = yyjson_obj_get(http_body(rq), "request");
    enum err_code rc = check_object(task->fields, body, false, inner, e);
    if (rc != ERR_OK) {
        http_set_error_field(rq, "request.%.140s", inner);
        http_set_error_status(rq, 422);
        return rc;
    }
    rc = name_model(rq, task->tasks, &body, e);
    if (rc != ERR_OK)
        return rc;
    struct queue_order *o = arena_alloc(http_arena(rq), sizeof *o);
    if (!o)
        return err_set(e, ERR_NOMEM, "no memory for a plan");
    *o = (struct queue_order){.task = QUEUE_PLAN, .kind = task->name, .body = body, .rq = rq};
    TRY(model_choose(yyjson_get_str(yyjson_obj_get(body, "model")), task->tasks, o->model, NULL,
                     e));
    re->later = queue_order(server_of(rq)->queue, o);
    return ERR_OK;
}

static enum err_code answer_plan(struct http_request *rq, const struct queue_order *o,
                                 struct buf *b, struct err *e)
{
    double seconds;
    struct buf plan;
    TRY(estimate_seconds(store_of(rq), o->kind, o->model, o->body, o->is_open, &seconds, e));
    buf_init(&plan, LIMIT_SMALL_EVENT);
    result_json_plan(&plan, &o->plan);
    json_object(b, NULL);
    json_put_members(b, buf_str(&plan));
    if (seconds >= 0)
        json_put_fixed(b, "seconds", seconds, 3);
    else
        json_put_null(b, "seconds");
    json_end_object(b);
    buf_deinit(&plan);
    return ERR_OK;
}

static enum err_code run_plan(struct http_request *rq, struct http_reply *re, struct err *e)
{
    enum err_code rc = http_again(rq) ? ERR_OK : begin_plan(rq, re, e);
    struct queue_order *o = http_memo(rq)->user;
    if (rc != ERR_OK || re->later)
        return rc;
    if (o->err.code != ERR_OK) {
        *e = o->err;
        http_set_error_status(rq, e->code == ERR_NOTFOUND ? 422 : 0);
        return e->code;
    }
    return answer_plan(rq, o, &re->body, e);
}

#define TASK_ACCEPTS (HTTP_JSON | HTTP_MULTIPART)

const struct http_route routes_tasks[] = {
    {HTTP_POST, "/v1/generate", "generate", "Make an image from words", "tasks", run_generate,
     .query = task_query, .body = fields_generate, .gives = job_fields, .accepts = TASK_ACCEPTS,
     .flags = HTTP_KEYED, .max_body = LIMIT_TASK_BODY, .status = 202, .waited = "ImagesResult"},
    {HTTP_POST, "/v1/edit", "edit", "Change an image by words, references, or inside a mask",
     "tasks", run_edit, .query = task_query, .body = fields_edit, .gives = job_fields,
     .accepts = TASK_ACCEPTS, .flags = HTTP_KEYED, .max_body = LIMIT_TASK_BODY, .status = 202,
     .waited = "ImagesResult"},
    {HTTP_POST, "/v1/layers", "layers", "Take an image apart into RGBA layers", "tasks", run_layers,
     .query = task_query, .body = fields_layers, .gives = job_fields, .accepts = TASK_ACCEPTS,
     .flags = HTTP_KEYED, .max_body = LIMIT_TASK_BODY, .status = 202, .waited = "LayersResult"},
    {HTTP_POST, "/v1/caption", "caption", "Describe an image in words", "tasks", run_caption,
     .query = task_query, .body = fields_caption, .gives = job_fields, .accepts = TASK_ACCEPTS,
     .flags = HTTP_KEYED, .max_body = LIMIT_TASK_BODY, .status = 202, .waited = "CaptionResult"},
    {HTTP_POST, "/v1/plan", "plan", "Say what a request would take, without running it", "tasks",
     run_plan, .body = plan_body, .gives = plan_fields, .accepts = HTTP_JSON,
     .max_body = LIMIT_TASK_BODY},
    {0}};
