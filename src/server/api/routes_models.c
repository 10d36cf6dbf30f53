/* routes_models.c - models, and the memory that they may take. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "server/jobs/lora_choice.h"
#include "server/jobs/model_choice.h"
#include "server/jobs/queue.h"
#include "server/routes.h"
#include "server/server_internal.h"

const struct http_field model_fields[] = {
    {.name = "id", .type = HTTP_STRING, .required = true},
    {.name = "object", .type = HTTP_STRING, .required = true},
    {.name = "created", .type = HTTP_INT, .required = true},
    {.name = "owned_by", .type = HTTP_STRING, .required = true},
    {.name = "tasks", .type = HTTP_ARRAY, .items = HTTP_STRING, .required = true},
    {.name = "state", .type = HTTP_STRING, .required = true},
    {.name = "bytes", .type = HTTP_INT, .required = true},
    {.name = "embedded", .type = HTTP_BOOL, .required = true},
    {.name = "open", .type = HTTP_BOOL, .required = true},
    {0}};

static const struct http_field list_fields[] = {
    {.name = "object", .type = HTTP_STRING, .required = true},
    {.name = "data",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = model_fields,
     .required = true},
    {0}};

struct listing {
    struct buf *b;
    const char *only; /* NULL: all */
    struct queue_state queue;
    bool found;
};

static void put_tasks(unsigned tasks, struct buf *b)
{
    bool layers = tasks & MODEL_TASK_LAYERS;
    json_array(b, "tasks");
    json_put_z(b, NULL, layers ? "layers" : "generate");
    json_put_z(b, NULL, layers ? "caption" : "edit");
    json_end_array(b);
}

static bool put_model(const struct model_seen *m, void *user)
{
    struct listing *l = user;
    struct buf *b = l->b;
    if (l->only && strcmp(l->only, m->name) != 0)
        return true;
    l->found = true;
    json_object(b, NULL);
    json_put_z(b, "id", m->name);
    json_put_z(b, "object", "model");
    json_put_int(b, "created", 0);
    json_put_z(b, "owned_by", "veetance");
    put_tasks(m->tasks, b);
    json_put_z(b, "state", m->state);
    json_put_uint(b, "bytes", m->bytes);
    json_put_bool(b, "embedded", m->embedded);
    json_put_bool(b, "open", queue_state_is_open(&l->queue, m->name));
    json_end_object(b);
    return !l->only;
}

static enum err_code run_list(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct listing l = {.b = &re->body};
    (void)e;
    queue_state(server_of(rq)->queue, &l.queue);
    json_object(&re->body, NULL);
    json_put_z(&re->body, "object", "list");
    json_array(&re->body, "data");
    model_each(put_model, &l);
    json_end_array(&re->body);
    json_end_object(&re->body);
    return ERR_OK;
}

static enum err_code run_get(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct listing l = {.b = &re->body, .only = http_path(rq, "id")};
    queue_state(server_of(rq)->queue, &l.queue);
    model_each(put_model, &l);
    return l.found ? ERR_OK : err_set(e, ERR_NOTFOUND, "there is no model '%.100s'", l.only);
}

/* ---- LoRAs ---------------------------------------------------------------------------------------------- */

static const struct http_field one_lora_fields[] = {
    {.name = "name", .type = HTTP_STRING, .required = true},
    {.name = "base",
     .type = HTTP_STRING,
     .required = true,
     .help = "the model that it was trained for, as far as its file tells"},
    {.name = "rank", .type = HTTP_INT, .required = true, .help = "0: it has none"},
    {.name = "about", .type = HTTP_STRING, .required = true},
    {.name = "tasks", .type = HTTP_ARRAY, .items = HTTP_STRING, .required = true},
    {.name = "state", .type = HTTP_STRING, .required = true},
    {.name = "bytes", .type = HTTP_INT, .required = true},
    {0}};

static const struct http_field loras_fields[] = {{.name = "data",
                                                  .type = HTTP_ARRAY,
                                                  .items = HTTP_OBJECT,
                                                  .fields = one_lora_fields,
                                                  .required = true},
                                                 {0}};

static void put_lora(const struct lora_seen *l, void *user)
{
    struct buf *b = user;
    json_object(b, NULL);
    json_put_z(b, "name", l->name);
    json_put_z(b, "base", l->base);
    json_put_int(b, "rank", l->rank);
    json_put_z(b, "about", l->about);
    json_array(b, "tasks");
    if (l->tasks & MODEL_TASK_IMAGES) {
        json_put_z(b, NULL, "generate");
        json_put_z(b, NULL, "edit");
    }
    if (l->tasks & MODEL_TASK_LAYERS)
        json_put_z(b, NULL, "layers");
    json_end_array(b);
    json_put_z(b, "state", l->state);
    json_put_uint(b, "bytes", l->bytes);
    json_end_object(b);
}

static enum err_code run_loras(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    json_object(&re->body, NULL);
    json_array(&re->body, "data");
    lora_each(put_lora, &re->body);
    json_end_array(&re->body);
    json_end_object(&re->body);
    return ERR_OK;
}

/* ---- orders to the engine ------------------------------------------------------------------------------ */

/* Sends the order at the first call; at the second gives what came of it. */
static enum err_code order(struct http_request *rq, struct http_reply *re,
                           const struct queue_order *what, struct err *e)
{
    if (!http_again(rq)) {
        struct queue_order *o = arena_alloc(http_arena(rq), sizeof *o);
        if (!o)
            return err_set(e, ERR_NOMEM, "no memory for the order");
        *o = *what;
        o->rq = rq;
        re->later = queue_order(server_of(rq)->queue, o);
        if (re->later)
            return ERR_OK;
    }
    const struct queue_order *o = http_memo(rq)->user;
    *e = o->err;
    return o->err.code;
}

static const struct http_field loaded_fields[] = {
    {.name = "model", .type = HTTP_STRING, .nullable = true, .required = true},
    {.name = "open",
     .type = HTTP_BOOL,
     .help = "with 202: how it stands while a job runs, after which the model is opened or closed"},
    {0}};

/* Leaves the order behind a running job, which is a 202; else waits until it is done. */
static enum err_code leave_or_order(struct http_request *rq, struct http_reply *re,
                                    const struct queue_order *o, struct err *e)
{
    enum queue_answer a = http_again(rq) ? QUEUE_NOW : queue_leave_order(server_of(rq)->queue, o);
    re->status = a == QUEUE_LATER ? 202 : 200;
    return a == QUEUE_NOW ? order(rq, re, o, e) : ERR_OK;
}

enum err_code route_load_model(struct http_request *rq, struct http_reply *re, const char *name,
                               unsigned tasks, struct err *e)
{
    struct queue_order o = {.task = QUEUE_LOAD};
    TRY(model_choose(server_model(server_of(rq), name, tasks), tasks, o.model, o.path, e));
    return leave_or_order(rq, re, &o, e);
}

enum err_code route_unload_model(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return leave_or_order(rq, re, &(struct queue_order){.task = QUEUE_UNLOAD}, e);
}

/* model: NULL when it was closed. */
static void loaded_json(struct http_reply *re, const char *model)
{
    json_object(&re->body, NULL);
    json_put_z(&re->body, "model", model);
    if (re->status == 202)
        json_put_bool(&re->body, "open", !model);
    json_end_object(&re->body);
}

static enum err_code run_load(struct http_request *rq, struct http_reply *re, struct err *e)
{
    enum err_code rc =
        route_load_model(rq, re, http_path(rq, "id"), MODEL_TASK_IMAGES | MODEL_TASK_LAYERS, e);
    if (rc != ERR_OK || re->later)
        return rc;
    loaded_json(re, http_path(rq, "id"));
    return ERR_OK;
}

static enum err_code run_unload(struct http_request *rq, struct http_reply *re, struct err *e)
{
    TRY(route_unload_model(rq, re, e));
    if (!re->later)
        loaded_json(re, NULL);
    return ERR_OK;
}

/* ---- budget -------------------------------------------------------------------------------------------- */

static const struct http_field engine_budget_fields[] = {
    {.name = "device", .type = HTTP_STRING, .nullable = true, .required = true},
    {.name = "budget", .type = HTTP_STRING, .nullable = true, .required = true},
    {.name = "budget_bytes", .type = HTTP_INT, .required = true},
    {.name = "used_bytes", .type = HTTP_INT, .required = true},
    {.name = "peak_bytes", .type = HTTP_INT, .required = true},
    {0}};

static const struct http_field budget_fields[] = {
    {.name = "budget",
     .type = HTTP_STRING,
     .nullable = true,
     .required = true,
     .help = "of the first engine, as it was asked for; null: the device's default"},
    {.name = "budget_bytes",
     .type = HTTP_INT,
     .required = true,
     .help = "of the first engine; 0 until the device is open"},
    {.name = "used_bytes", .type = HTTP_INT, .required = true},
    {.name = "peak_bytes", .type = HTTP_INT, .required = true},
    {.name = "engines",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = engine_budget_fields,
     .required = true,
     .help = "the same of each"},
    {0}};

static const struct http_field budget_body[] = {
    {.name = "budget",
     .type = HTTP_STRING,
     .hi = QUEUE_BUDGET_BYTES - 1,
     .nullable = true,
     .required = true,
     .help =
         "16G, 512M, 80% of the device's memory, or bytes; null: the default. Of several engines "
         "one for all, or one each: 16G,8G"},
    {0}};

static void put_budget(const struct queue_engine *g, struct buf *b)
{
    json_put_z(b, "budget", g->budget[0] ? g->budget : NULL);
    json_put_uint(b, "budget_bytes", g->memory.budget);
    json_put_uint(b, "used_bytes", g->memory.current);
    json_put_uint(b, "peak_bytes", g->memory.peak);
}

static enum err_code run_budget(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct queue_state q;
    struct buf *b = &re->body;
    (void)e;
    queue_state(server_of(rq)->queue, &q);
    json_object(b, NULL);
    put_budget(&q.engines[0], b);
    json_array(b, "engines");
    for (int i = 0; i < q.n_engines; i++) {
        const struct queue_engine *g = &q.engines[i];
        json_object(b, NULL);
        json_put_z(b, "device", g->device[0] ? g->device : NULL);
        put_budget(g, b);
        json_end_object(b);
    }
    json_end_array(b);
    json_end_object(b);
    return ERR_OK;
}

static enum err_code run_set_budget(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct queue_order o = {.task = QUEUE_BUDGET};
    (void)snprintf(o.budget, sizeof o.budget, "%s", http_body_str(rq, "budget", ""));
    enum err_code rc = order(rq, re, &o, e);
    if (rc == ERR_ARG)
        http_set_error_field(rq, "budget");
    return rc != ERR_OK || re->later ? rc : run_budget(rq, re, e);
}

const struct http_route routes_models[] = {
    {HTTP_GET, "/v1/models", "listModels", "List models", "models", run_list, .gives = list_fields},
    {HTTP_GET, "/v1/models/{id}", "getModel", "One model", "models", run_get,
     .gives = model_fields},
    {HTTP_GET, "/v1/loras", "listLoras", "List the LoRAs of the model store", "models", run_loras,
     .gives = loras_fields},
    {HTTP_POST, "/v1/models/{id}/load", "loadModel", "Open a model ahead of the first job",
     "models", run_load, .gives = loaded_fields, .accepts = HTTP_JSON, .flags = HTTP_LATER},
    {HTTP_POST, "/v1/models/unload", "unloadModel", "Close the open models and free their memory",
     "models", run_unload, .gives = loaded_fields, .accepts = HTTP_JSON, .flags = HTTP_LATER},
    {HTTP_GET, "/v1/budget", "getBudget", "Device memory that may be used", "models", run_budget,
     .gives = budget_fields},
    {HTTP_PUT, "/v1/budget", "setBudget", "Change it, from the next job on", "models",
     run_set_budget, .body = budget_body, .gives = budget_fields, .accepts = HTTP_JSON},
    {0}};
