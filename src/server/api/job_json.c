#include "server/api/job_json.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "pipeline/engine.h"
#include "pipeline/engine_inputs.h"
#include "pipeline/params_table.h"
#include "server/jobs/lora_choice.h"
#include "server/jobs/model_choice.h"
#include "server/limits.h"
#include "server/server_internal.h"
#include "store/projects.h"

/* ---- fields from the one table ------------------------------------------------------------------------ */

#define KIND_TEXT .type = HTTP_STRING, .nullable = true
#define KIND_CHOICE .type = HTTP_STRING, .nullable = true
#define KIND_MATTE .type = HTTP_STRING, .nullable = true
#define KIND_INT .type = HTTP_INT, .nullable = true
#define KIND_LONG .type = HTTP_INT, .nullable = true
#define KIND_NUMBER .type = HTTP_NUMBER, .nullable = true
#define KIND_SWITCH .type = HTTP_BOOL, .nullable = true
#define KIND_SIDES .type = HTTP_ARRAY, .items = HTTP_INT, .nullable = true
#define KIND_LORAS .type = HTTP_ARRAY, .items = HTTP_OBJECT, .fields = lora_fields, .nullable = true
#define KIND_IMAGE .type = HTTP_ASSET, .nullable = true
#define KIND_NEEDED_IMAGE .type = HTTP_ASSET, .required = true
#define KIND_IMAGES .type = HTTP_ARRAY, .items = HTTP_ASSET, .required = true

const struct http_field lora_fields[] = {{.name = "name",
                                          .type = HTTP_STRING,
                                          .lo = 1,
                                          .hi = 255,
                                          .required = true,
                                          .help = "as GET /v1/loras has it"},
                                         {.name = "strength",
                                          .type = HTTP_NUMBER,
                                          .lo = -VT_MAX_LORA_STRENGTH,
                                          .hi = VT_MAX_LORA_STRENGTH,
                                          .fallback = "1"},
                                         {0}};

#define FIELD(MEMBER, TYPE, LO, HI, VALUES, FALLBACK, HELP)                                        \
    {.name = #MEMBER,                                                                              \
     .help = HELP,                                                                                 \
     .lo = LO,                                                                                     \
     .hi = HI,                                                                                     \
     .values = VALUES,                                                                             \
     .fallback = FALLBACK,                                                                         \
     KIND_##TYPE},

const struct http_field fields_generate[] = {PARAMS_IMAGE(FIELD){0}};
const struct http_field fields_edit[] = {PARAMS_IMAGE(FIELD)
                                             PARAMS_EDIT(FIELD){.name = PARAM_EDIT_REGISTER,
                                                                .help = PARAM_HELP_EDIT_REGISTER,
                                                                .fallback = "false",
                                                                KIND_SWITCH},
                                         {0}};
const struct http_field fields_layers[] = {
    PARAMS_LAYERS(FIELD){
        .name = PARAM_LAYERS_CFG, .help = PARAM_HELP_LAYERS_CFG, .hi = 100, KIND_NUMBER},
    {0}};
const struct http_field fields_caption[] = {PARAMS_CAPTION(FIELD){0}};

const struct http_field job_fields[] = {
    {.name = "id", .type = HTTP_STRING, .required = true},
    {.name = "kind",
     .type = HTTP_STRING,
     .required = true,
     .help = "generate, edit, layers or caption"},
    {.name = "model", .type = HTTP_STRING, .required = true},
    {.name = "state", .type = HTTP_STRING, .required = true, .values = JOB_STATE_VALUES},
    {.name = "project",
     .type = HTTP_STRING,
     .nullable = true,
     .required = true,
     .help = "the project that it is for"},
    {.name = "layer",
     .type = HTTP_STRING,
     .nullable = true,
     .required = true,
     .help = "the layer of that project that it is for"},
    {.name = "candidate",
     .type = HTTP_STRING,
     .nullable = true,
     .required = true,
     .values = "open|accepted|discarded",
     .help = "what became of its result in that project"},
    {.name = "position", .type = HTTP_INT, .help = "in the queue: 0 runs, 1 is next"},
    {.name = "stage", .type = HTTP_STRING, .values = "load|text|encode|steps|decode"},
    {.name = "done", .type = HTTP_NUMBER, .help = "of this stage, 0 to 1"},
    {.name = "step", .type = HTTP_INT},
    {.name = "steps", .type = HTTP_INT},
    {.name = "image", .type = HTTP_INT, .help = "which of the images, from 0"},
    {.name = "images", .type = HTTP_INT},
    {.name = "elapsed", .type = HTTP_NUMBER, .help = "seconds since it started"},
    {.name = "seconds_left", .type = HTTP_NUMBER, .help = "of this stage"},
    {.name = "attempts", .type = HTTP_INT},
    {.name = "created_ms", .type = HTTP_INT},
    {.name = "started_ms", .type = HTTP_INT},
    {.name = "finished_ms", .type = HTTP_INT},
    {.name = "request", .type = HTTP_OBJECT},
    {.name = "result",
     .type = HTTP_OBJECT,
     .nullable = true,
     .schemas = "ImagesResult|LayersResult|CaptionResult"},
    {.name = "error", .type = HTTP_OBJECT, .nullable = true, .schemas = "JobError"},
    {0}};

static void put_place(const struct queue_view *v, struct buf *b)
{
    json_put_int(b, "position", v->position);
    if (v->position == 0)
        queue_put_progress(v, b);
}

static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

static void put_purpose(const struct job_record *rec, struct buf *b)
{
    json_put_z(b, "project", or_null(rec->project));
    json_put_z(b, "layer", or_null(rec->layer));
    json_put_z(b, "candidate", or_null(job_candidate_name(rec->candidate)));
}

void job_json(struct queue *q, const struct job_record *rec, struct buf *b)
{
    struct queue_view v;
    queue_view(q, rec->id, &v);
    json_object(b, NULL);
    json_put_z(b, "id", rec->id);
    json_put_z(b, "kind", rec->kind);
    json_put_z(b, "model", rec->model);
    json_put_z(b, "state", job_state_name(rec->state));
    put_purpose(rec, b);
    json_put_int(b, "attempts", rec->attempts);
    json_put_int(b, "created_ms", rec->created_ms);
    json_put_int(b, "started_ms", rec->started_ms);
    json_put_int(b, "finished_ms", rec->finished_ms);
    if (v.live && !job_has_ended(rec->state))
        put_place(&v, b);
    json_put_raw(b, "request", str_from(rec->request[0] ? rec->request : "{}"));
    json_put_raw(b, "result", str_from(rec->result[0] ? rec->result : "null"));
    json_put_raw(b, "error", str_from(rec->error[0] ? rec->error : "null"));
    json_end_object(b);
}

/* ---- putting in line ---------------------------------------------------------------------------------- */

struct kind {
    const char *name;
    unsigned tasks;
    const struct http_field *fields;
};

static const struct kind kinds[] = {
    {"generate", MODEL_TASK_IMAGES, fields_generate},
    {"edit", MODEL_TASK_IMAGES, fields_edit},
    {"layers", MODEL_TASK_LAYERS, fields_layers},
    {"caption", MODEL_TASK_LAYERS, fields_caption},
};

static const struct kind *find_kind(const char *name)
{
    size_t i = 0;
    while (strcmp(kinds[i].name, name) != 0)
        i++;
    return &kinds[i];
}

enum { MAX_INPUTS = VT_MAX_IMAGES + 1 };

struct inputs {
    const char *ids[MAX_INPUTS];
    size_t n;
};

static void add_input(struct inputs *in, yyjson_val *v)
{
    if (yyjson_is_str(v) && in->n < MAX_INPUTS)
        in->ids[in->n++] = yyjson_get_str(v);
}

static void find_inputs(const struct http_field *fields, yyjson_val *body, struct inputs *in)
{
    size_t i, max;
    yyjson_val *v;
    for (const struct http_field *f = fields; f->name; f++) {
        yyjson_val *m = yyjson_obj_get(body, f->name);
        if (f->type == HTTP_ASSET)
            add_input(in, m);
        if (f->type == HTTP_ARRAY && f->items == HTTP_ASSET)
            yyjson_arr_foreach(m, i, max, v) add_input(in, v);
    }
}

/* Names that are not there are refused now rather than by the job. */
static enum err_code check_loras(struct http_request *rq, yyjson_val *list, struct err *e)
{
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, n, v)
    {
        char path[MODEL_PATH_BYTES], field[64];
        struct err why = {0};
        (void)snprintf(field, sizeof field, "loras[%zu].name", i);
        if (lora_choose(yyjson_get_str(yyjson_obj_get(v, "name")), path, &why) != ERR_OK)
            return http_refuse(rq, 422, field, e, "%s; GET /v1/loras lists them", why.text);
    }
    return ERR_OK;
}

/* What a row of the table cannot say. */
static enum err_code check_more(struct http_request *rq, yyjson_val *body, struct err *e)
{
    yyjson_val *extend = yyjson_obj_get(body, "extend");
    yyjson_val *resolution = yyjson_obj_get(body, "resolution");
    const char *matte = yyjson_get_str(yyjson_obj_get(body, "matte"));
    struct matte parsed;
    struct err why = {0};
    if (yyjson_is_arr(extend) && yyjson_arr_size(extend) != 4)
        return http_refuse(rq, 422, "extend", e,
                           "extend should be four numbers: left, top, right, bottom");
    if (engine_check_prompt(yyjson_get_str(yyjson_obj_get(body, "prompt")), &why) != ERR_OK)
        return http_refuse(rq, 422, "prompt", e, "%s", why.text);
    if (matte_parse(matte, &parsed, &why) != ERR_OK)
        return http_refuse(rq, 422, "matte", e, "%s", why.text);
    if (yyjson_is_num(resolution) && (int64_t)yyjson_get_num(resolution) % 32)
        return http_refuse(rq, 422, "resolution", e, "resolution should be a multiple of 32");
    return check_loras(rq, yyjson_obj_get(body, "loras"), e);
}

/* The request as it will be kept: with the name of the model that was chosen. */
enum err_code job_request_with_model(yyjson_val *body, const char *model, struct buf *out,
                                     struct err *e)
{
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = d ? yyjson_val_mut_copy(d, body) : NULL;
    enum err_code rc = err_set(e, ERR_NOMEM, "no memory for the request");
    if (root) {
        (void)yyjson_mut_obj_remove_key(root, "model");
        if (yyjson_mut_obj_add_str(d, root, "model", model)) {
            yyjson_mut_doc_set_root(d, root);
            rc = json_write(d, out, e);
        }
    }
    yyjson_mut_doc_free(d);
    return rc;
}

/* ---- the same request again ---------------------------------------------------------------------------- */

struct request_key {
    const char *key; /* NULL: the client gave none */
    char digest[SHA256_HEX_SIZE];
};

static bool is_key(const char *text)
{
    size_t n = strlen(text);
    for (const char *p = text; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            return false;
    return n > 0 && n <= JOB_KEY_MAX;
}

static void add_purpose(struct sha256 *h, const struct job_purpose *p)
{
    const char *const parts[] = {p ? p->project : NULL, p ? p->layer : NULL};
    for (size_t i = 0; i < 2; i++)
        if (parts[i])
            sha256_add(h, parts[i], strlen(parts[i]) + 1);
}

/* Idempotency-Key, and what was asked: the kind, its members as they came, and what it is for. */
static enum err_code read_key(struct http_request *rq, const char *kind, yyjson_val *body,
                              const struct job_purpose *purpose, struct request_key *out,
                              struct err *e)
{
    struct sha256 h;
    size_t n = 0;
    out->key = http_header(rq, "Idempotency-Key");
    if (!out->key)
        return ERR_OK;
    if (!is_key(out->key))
        return http_refuse(rq, 400, "Idempotency-Key", e,
                           "Idempotency-Key should be 1 to %d printable characters", JOB_KEY_MAX);
    char *text = yyjson_val_write(body, YYJSON_WRITE_NOFLAG, &n);
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for the request");
    sha256_init(&h);
    sha256_add(&h, kind, strlen(kind) + 1);
    sha256_add(&h, text, n);
    add_purpose(&h, purpose);
    sha256_hex(&h, out->digest);
    mem_free(text); /* yyjson's default allocator is the one behind mem_free */
    return ERR_OK;
}

static enum err_code other_request(struct http_request *rq, struct err *e)
{
    char text[sizeof e->text];
    (void)snprintf(text, sizeof text, "%s", e->text);
    return http_refuse(rq, 422, "Idempotency-Key", e, "%s", text);
}

/* Sent again: the job that there is; what nobody could take at the time runs now. */
static enum err_code submit_repeated(struct http_request *rq, struct job_record *rec, struct err *e)
{
    queue_settle(server_of(rq)->queue);
    if (rec->state != JOB_INTERRUPTED && !queue_was_abandoned(rec))
        return ERR_OK;
    enum err_code rc = queue_again(rq, rec->id, e);
    if (rc != ERR_OK &&
        (rc != ERR_ARG || http_error_status(rq))) /* ARG: it was queued a moment ago */
        return rc;
    char id[STORE_ID_SIZE];
    memcpy(id, rec->id, sizeof id);
    job_record_deinit(rec);
    http_memo(rq)->owner = rc == ERR_OK;
    return jobs_get(server_of(rq)->store, id, rec, e);
}

static enum err_code submit_new(struct http_request *rq, struct job_new *job, yyjson_val *body,
                                struct job_record *out, struct err *e)
{
    struct buf text;
    buf_init(&text, LIMIT_REQUEST);
    enum err_code rc = job_request_with_model(body, job->model, &text, e);
    job->request = buf_str(&text);
    if (rc == ERR_OK)
        rc = queue_add(rq, job, out, e);
    buf_deinit(&text);
    if (rc == ERR_BUSY)
        return other_request(rq, e);
    if (rc == ERR_NOTFOUND)
        http_set_error_status(rq, 422);
    http_memo(rq)->owner = rc == ERR_OK && !out->repeated;
    return rc;
}

/* The project, too, is looked for before anything is kept; the store looks again. */
static enum err_code check_purpose(struct http_request *rq, const struct job_purpose *p,
                                   struct err *e)
{
    struct project project;
    if (p && p->layer && !p->project)
        return http_refuse(rq, 422, "layer", e, "a job for a layer needs the layer's project");
    if (!p || !p->project)
        return ERR_OK;
    enum err_code rc = project_get(server_of(rq)->store, p->project, &project, e);
    if (rc == ERR_NOTFOUND) {
        http_set_error_field(rq, "project");
        http_set_error_status(rq, 422);
    }
    project_deinit(&project);
    return rc;
}

enum err_code job_submit(struct http_request *rq, const char *kind, yyjson_val *body,
                         const struct job_purpose *purpose, struct job_record *out, struct err *e)
{
    const struct kind *k = find_kind(kind);
    char model[MODEL_NAME_BYTES], path[MODEL_PATH_BYTES];
    struct inputs in = {.n = 0};
    struct request_key key;
    bool repeated = false;
    enum err_code rc = check_more(rq, body, e);
    if (rc == ERR_OK)
        rc = check_purpose(rq, purpose, e);
    if (rc == ERR_OK)
        rc = read_key(rq, kind, body, purpose, &key, e);
    if (rc == ERR_OK && key.key)
        rc = jobs_of_key(server_of(rq)->store, key.key, key.digest, out, &repeated, e);
    if (rc == ERR_BUSY)
        return other_request(rq, e);
    if (rc != ERR_OK || repeated)
        return rc == ERR_OK ? submit_repeated(rq, out, e) : rc;
    rc = model_choose(
        server_model(server_of(rq), yyjson_get_str(yyjson_obj_get(body, "model")), k->tasks),
        k->tasks, model, path, e);
    if (rc != ERR_OK) {
        http_set_error_field(rq, "model");
        http_set_error_status(rq, 422);
        return rc;
    }
    find_inputs(k->fields, body, &in);
    return submit_new(rq,
                      &(struct job_new){.kind = kind,
                                        .model = model,
                                        .inputs = in.ids,
                                        .n_inputs = in.n,
                                        .key = key.key,
                                        .digest = key.digest,
                                        .project = purpose ? purpose->project : NULL,
                                        .layer = purpose ? purpose->layer : NULL},
                      body, out, e);
}

/* ---- waiting ------------------------------------------------------------------------------------------ */

static enum err_code code_of(struct str name)
{
    for (enum err_code c = ERR_ARG; c < ERR_CODES; c++)
        if (str_eq_z(name, err_code_name(c)))
            return c;
    return ERR_INTERNAL;
}

enum err_code job_failure(struct http_request *rq, const struct job_record *rec, struct err *e)
{
    yyjson_doc *doc = NULL;
    int64_t status = 500;
    struct str detail = STR_LIT("the job failed"), code = STR_LIT("internal");
    struct err ignored = {0};
    if (rec->state == JOB_CANCELLED || rec->state == JOB_INTERRUPTED)
        return http_refuse(rq, 409, NULL, e, "the job %s was %s", rec->id,
                           job_state_name(rec->state));
    if (rec->state != JOB_FAILED)
        return http_refuse(rq, 503, NULL, e,
                           "the server ends before the job %s; it stays in the queue", rec->id);
    if (json_parse(str_from(rec->error), "the error", &doc, &ignored) == ERR_OK) {
        yyjson_val *root = yyjson_doc_get_root(doc);
        if (json_get_i64(root, "status", 400, 599, &status, "error", &ignored) != ERR_OK ||
            json_get_str(root, "detail", &detail, "error", &ignored) != ERR_OK ||
            json_get_str(root, "code", &code, "error", &ignored) != ERR_OK)
            err_clear(&ignored);
    }
    (void)http_refuse(rq, (int)status, NULL, e, "%.*s", STR_ARG(detail));
    e->code = code_of(code);
    yyjson_doc_free(doc);
    return e->code;
}

static void waiter_left(struct http_request *rq)
{
    queue_leave(server_of(rq)->queue, http_memo(rq)->user, rq);
}

static void stream_left(void *app, const char *job)
{
    struct server *s = app;
    queue_abandon(s->queue, job);
}

void job_follow(struct http_request *rq, const char *id, struct http_stream *stream)
{
    if (http_memo(rq)->owner)
        events_on_leave(stream, stream_left, id);
}

enum err_code job_wait_end(struct http_request *rq, const char *id, bool *later,
                           struct job_record *out, struct err *e)
{
    *later = false;
    if (!http_again(rq)) {
        http_memo(rq)->user = arena_strdup(http_arena(rq), str_from(id));
        if (!http_memo(rq)->user)
            return err_set(e, ERR_NOMEM, "no memory to wait");
        http_memo(rq)->left = waiter_left;
        if (queue_wait(server_of(rq)->queue, id, rq)) {
            *later = true;
            return ERR_OK;
        }
    }
    return jobs_get(server_of(rq)->store, http_memo(rq)->user, out, e);
}

enum err_code job_wait(struct http_request *rq, const char *id, bool *later, struct job_record *out,
                       struct err *e)
{
    enum err_code rc = job_wait_end(rq, id, later, out, e);
    if (rc == ERR_OK && !*later && out->state != JOB_DONE) {
        rc = job_failure(rq, out, e);
        job_record_deinit(out);
        memset(out, 0, sizeof *out);
    }
    return rc;
}
