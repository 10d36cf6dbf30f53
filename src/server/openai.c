/* openai.c - the images API of OpenAI over our jobs: /v1/images/generations and /v1/images/edits, whole or as a
 * stream with partial images. Members that have no meaning here (quality, style, user, ...) are taken and left
 * alone. Models of that API's names stand for the first of ours. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "server/base64.h"
#include "base/mem.h"
#include "server/face.h"
#include "server/routes.h"
#include "server/server_internal.h"

#define COMMON_FIELDS                                                                              \
    {.name = "prompt", .type = HTTP_STRING, .lo = 1, .hi = 4194304, .required = true},             \
        {.name = "model", .type = HTTP_STRING, .hi = 255, .nullable = true},                       \
        {.name = "n", .type = HTTP_INT, .lo = 1, .hi = 10, .fallback = "1", .nullable = true},     \
        {.name = "size",                                                                           \
         .type = HTTP_STRING,                                                                      \
         .hi = 20,                                                                                 \
         .nullable = true,                                                                         \
         .help = "\"1024x768\", sides of 64 to 2048, or \"auto\""},                                \
        {.name = "response_format",                                                                \
         .type = HTTP_STRING,                                                                      \
         .values = "b64_json|url",                                                                 \
         .fallback = "\"b64_json\"",                                                               \
         .nullable = true},                                                                        \
        {.name = "output_format",                                                                  \
         .type = HTTP_STRING,                                                                      \
         .values = "png|jpeg|webp",                                                                \
         .fallback = "\"png\"",                                                                    \
         .nullable = true},                                                                        \
        {.name = "stream", .type = HTTP_BOOL, .fallback = "false", .nullable = true},              \
        {.name = "partial_images", .type = HTTP_INT, .lo = 0, .hi = 3, .nullable = true},          \
        {.name = "seed",                                                                           \
         .type = HTTP_INT,                                                                         \
         .lo = 0,                                                                                  \
         .hi = 9e15,                                                                               \
         .nullable = true,                                                                         \
         .help = "not of the original"},                                                           \
    {                                                                                              \
        .name = "steps", .type = HTTP_INT, .lo = 1, .hi = 1000, .nullable = true,                  \
        .help = "not of the original"                                                              \
    }

static const struct http_field generation_body[] = {
    COMMON_FIELDS, {.name = "*", .type = HTTP_ANY}, {0}};

static const struct http_field edit_body[] = {
    COMMON_FIELDS,
    {.name = "image",
     .type = HTTP_ARRAY,
     .items = HTTP_ASSET,
     .lo = 1,
     .hi = VT_MAX_IMAGES,
     .required = true,
     .help = "one or more files; the first is edited, others are references"},
    {.name = "mask",
     .type = HTTP_ASSET,
     .nullable = true,
     .help = "paint where it is transparent (without alpha: where it is white)"},
    {.name = "*", .type = HTTP_ANY},
    {0}};

static const struct http_field item_fields[] = {
    {.name = "b64_json", .type = HTTP_STRING}, {.name = "url", .type = HTTP_STRING}, {0}};

static const struct http_field answer_fields[] = {
    {.name = "created", .type = HTTP_INT, .required = true},
    {.name = "data",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = item_fields,
     .required = true},
    {.name = "*", .type = HTTP_ANY},
    {0}};

/* ---- the request --------------------------------------------------------------------------------------- */

static bool is_theirs(const char *model)
{
    return strncmp(model, "gpt-image", 9) == 0 || strncmp(model, "dall-e", 6) == 0 ||
           strncmp(model, "chatgpt-image", 13) == 0;
}

static enum err_code parse_size(struct http_request *rq, const char *size, struct face_request *f,
                                struct err *e)
{
    const char *x = size ? strchr(size, 'x') : NULL;
    if (!size || strcmp(size, "auto") == 0)
        return ERR_OK;
    if (x && str_to_i64((struct str){size, (size_t)(x - size)}, &f->width) &&
        str_to_i64(str_from(x + 1), &f->height) && f->width >= 64 && f->width <= 2048 &&
        f->height >= 64 && f->height <= 2048)
        return ERR_OK;
    return http_refuse(rq, 400, "size", e,
                       "size should be \"auto\" or two sides of 64 to 2048, as \"1024x768\"");
}

static enum err_code take_images(struct http_request *rq, struct face_request *f, struct err *e)
{
    yyjson_val *list = yyjson_obj_get(http_body(rq), "image"), *v;
    const char *mask = http_body_str(rq, "mask", NULL);
    size_t i, max;
    yyjson_arr_foreach(list, i, max, v)
    {
        if (f->n_images < VT_MAX_IMAGES)
            f->images[f->n_images++] = yyjson_get_str(v);
    }
    return mask ? face_mask_of_alpha(rq, mask, &f->mask, e) : ERR_OK;
}

static enum err_code take(struct http_request *rq, bool edit, struct face_request *f, struct err *e)
{
    const char *model = http_body_str(rq, "model", NULL);
    *f = face_request_defaults();
    f->model = model && *model && !is_theirs(model) ? model : NULL;
    f->prompt = http_body_str(rq, "prompt", "");
    f->count = http_body_int(rq, "n", 1);
    f->seed = http_body_int(rq, "seed", -1);
    f->steps = http_body_int(rq, "steps", -1);
    enum err_code rc = parse_size(rq, http_body_str(rq, "size", NULL), f, e);
    return rc == ERR_OK && edit ? take_images(rq, f, e) : rc;
}

/* ---- the whole answer ---------------------------------------------------------------------------------- */

static enum err_code answer(struct http_request *rq, struct http_reply *re,
                            const struct job_record *rec, struct err *e)
{
    const char *format = http_body_str(rq, "output_format", "png");
    bool url = strcmp(http_body_str(rq, "response_format", "b64_json"), "url") == 0;
    struct face_picture *pictures = arena_array(&rq->arena, FACE_MAX_PICTURES, sizeof *pictures);
    size_t n = 0;
    enum err_code rc = pictures ? face_pictures(rec->result, pictures, &n, e)
                                : err_set(e, ERR_NOMEM, "no memory for the answer");
    buf_deinit(&re->body);
    buf_init(&re->body, 1u << 30);
    buf_printf(&re->body, "{\"created\":%lld,\"data\":[", (long long)(rec->finished_ms / 1000));
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        buf_printf(&re->body, "%s{\"%s\":\"", i ? "," : "", url ? "url" : "b64_json");
        if (url)
            buf_printf(&re->body, "http://%s/v1/assets/%s", rq->host, pictures[i].asset);
        else
            rc = face_base64(http_store(rq), pictures[i].asset, format, &re->body, e);
        buf_add_z(&re->body, "\"}");
    }
    if (rc == ERR_OK && n)
        buf_printf(&re->body,
                   "],\"output_format\":\"%s\",\"size\":\"%lldx%lld\",\"background\":\"opaque\","
                   "\"usage\":{\"total_tokens\":0,\"input_tokens\":0,\"output_tokens\":0,"
                   "\"input_tokens_details\":{\"text_tokens\":0,\"image_tokens\":0}}}",
                   format, (long long)pictures[0].width, (long long)pictures[0].height);
    else
        buf_add_z(&re->body, "]}");
    return rc;
}

/* ---- streams ------------------------------------------------------------------------------------------- */

/* Topics tell what was asked for: "g2-ID" a generation with two partial images, "e0-ID" an edit with none. */
static void topic_of(char out[40], bool edit, int partial, const char *job)
{
    (void)snprintf(out, 40, "%c%d-%.24s", edit ? 'e' : 'g', partial, job);
}

static const char *prefix_of(bool edit)
{
    return edit ? "image_edit" : "image_generation";
}

void openai_tell_preview(struct server *s, const char *job, int step, int steps, struct str jpeg)
{
    char topic[40], name[48];
    for (int k = 2; k < 8; k++) {
        bool edit = k % 2;
        int partial = k / 2, index = 0;
        topic_of(topic, edit, partial, job);
        while (index < partial && step != (index + 1) * steps / (partial + 1))
            index++;
        if (index == partial || !events_anyone(s->events, topic))
            continue;
        struct buf b;
        buf_init(&b, 4 << 20);
        (void)snprintf(name, sizeof name, "%s.partial_image", prefix_of(edit));
        buf_printf(&b,
                   "{\"type\":\"%s\",\"partial_image_index\":%d,\"created_at\":%lld,\"size\":"
                   "\"auto\",\"quality\":\"low\",\"background\":\"opaque\",\"output_format\":"
                   "\"jpeg\",\"b64_json\":\"",
                   name, index, (long long)time(NULL));
        base64_add(&b, jpeg);
        buf_add_z(&b, "\"}");
        events_publish(s->events, topic, name, buf_str(&b), EVENTS_DROPPABLE);
        buf_deinit(&b);
    }
}

static void end_json(struct server *s, bool edit, const char *result, const char *error,
                     struct buf *b, char name[48])
{
    struct face_picture *pictures = mem_alloc(FACE_MAX_PICTURES * sizeof *pictures);
    struct err e = {0};
    size_t n = 0;
    bool done = result && *result && face_pictures(result, pictures, &n, &e) == ERR_OK && n;
    (void)snprintf(name, 48, "%s", done ? "" : "error");
    if (done) {
        (void)snprintf(name, 48, "%s.completed", prefix_of(edit));
        buf_printf(b,
                   "{\"type\":\"%s\",\"created_at\":%lld,\"size\":\"%lldx%lld\",\"quality\":"
                   "\"high\",\"background\":\"opaque\",\"output_format\":\"png\",\"usage\":{"
                   "\"total_tokens\":0,\"input_tokens\":0,\"output_tokens\":0},\"b64_json\":\"",
                   name, (long long)time(NULL), (long long)pictures[0].width,
                   (long long)pictures[0].height);
        if (face_base64(s->store, pictures[0].asset, "png", b, &e) != ERR_OK)
            err_clear(&e);
        buf_add_z(b, "\"}");
    } else {
        buf_printf(b, "{\"type\":\"error\",\"error\":%s}",
                   error && *error ? error : "{\"message\":\"the job was ended\"}");
    }
    err_clear(&e);
    mem_free(pictures);
}

void openai_tell_end(struct server *s, const char *job, enum job_state state, const char *result,
                     const char *error)
{
    char topic[40], name[48];
    for (int k = 0; k < 8; k++) {
        bool edit = k % 2;
        topic_of(topic, edit, k / 2, job);
        if (!events_anyone(s->events, topic))
            continue;
        struct buf b;
        buf_init(&b, 512 << 20);
        end_json(s, edit, state == JOB_DONE ? result : "", error, &b, name);
        events_publish(s->events, topic, name, buf_str(&b), EVENTS_LAST);
        buf_deinit(&b);
    }
}

static enum err_code stream(struct http_request *rq, struct http_reply *re, bool edit,
                            const char *job, struct err *e)
{
    char topic[40];
    struct queue_view v;
    topic_of(topic, edit, (int)http_body_int(rq, "partial_images", 0), job);
    enum err_code rc = events_subscribe(rq->server->events, rq, topic, &re->stream, e);
    if (rc != ERR_OK)
        return rc;
    re->type = "text/event-stream";
    job_follow(rq, job, re->stream);
    queue_view(rq->server->queue, job, &v);
    if (!v.live) {
        struct job_record rec = {0};
        rc = jobs_get(http_store(rq), job, &rec, e);
        if (rc == ERR_OK)
            openai_tell_end(rq->server, job, rec.state, rec.result, rec.error);
        job_record_deinit(&rec);
    }
    return rc;
}

/* ---- routes -------------------------------------------------------------------------------------------- */

static enum err_code run(struct http_request *rq, struct http_reply *re, bool edit, struct err *e)
{
    struct job_record rec = {0};
    struct face_request f;
    enum err_code rc = ERR_OK;
    if (!http_again(rq)) {
        rc = take(rq, edit, &f, e);
        if (rc == ERR_OK)
            rc = face_submit(rq, &f, &rec, e);
        if (rc == ERR_OK && http_body_bool(rq, "stream", false)) {
            rc = stream(rq, re, edit, rec.id, e);
            job_record_deinit(&rec);
            return rc;
        }
    }
    struct job_record ended = {0};
    if (rc == ERR_OK)
        rc = job_wait(rq, rec.id, &re->later, &ended, e);
    if (rc == ERR_OK && !re->later)
        rc = answer(rq, re, &ended, e);
    job_record_deinit(&ended);
    job_record_deinit(&rec);
    return rc;
}

static enum err_code run_generation(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, false, e);
}

static enum err_code run_edit(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, true, e);
}

const struct http_route routes_openai[] = {
    {HTTP_POST, "/v1/images/generations", "openaiGenerations",
     "OpenAI: make pictures; with stream partial ones on the way", "openai", run_generation,
     .body = generation_body, .gives = answer_fields, .accepts = HTTP_JSON, .max_body = 6 << 20,
     .flags = HTTP_EVENTS},
    {HTTP_POST, "/v1/images/edits", "openaiEdits", "OpenAI: change pictures", "openai", run_edit,
     .body = edit_body, .gives = answer_fields, .accepts = HTTP_MULTIPART | HTTP_JSON,
     .max_body = 6 << 20, .flags = HTTP_EVENTS},
    {0}};
