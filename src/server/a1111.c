/* a1111.c - the API of Automatic1111 over our jobs: what its clients send to make pictures, ask for progress and
 * choose a model. Samplers, upscalers and scripts have no meaning here; their members are taken and left alone. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "server/base64.h"
#include "server/face.h"
#include "server/model_choice.h"
#include "server/routes.h"
#include "server/server_internal.h"

static const struct http_field override_fields[] = {
    {.name = "sd_model_checkpoint", .type = HTTP_STRING, .hi = 255, .nullable = true},
    {.name = "*", .type = HTTP_ANY},
    {0}};

#define COMMON_FIELDS                                                                              \
    {.name = "prompt", .type = HTTP_STRING, .hi = 4194304, .fallback = "\"\"", .nullable = true},  \
        {.name = "seed",                                                                           \
         .type = HTTP_INT,                                                                         \
         .lo = -1,                                                                                 \
         .hi = 9e15,                                                                               \
         .fallback = "-1",                                                                         \
         .nullable = true},                                                                        \
        {.name = "steps", .type = HTTP_INT, .lo = 1, .hi = 1000, .nullable = true},                \
        {.name = "cfg_scale", .type = HTTP_NUMBER, .lo = 0, .hi = 100, .nullable = true},          \
        {.name = "width", .type = HTTP_INT, .lo = 64, .hi = 2048, .nullable = true},               \
        {.name = "height", .type = HTTP_INT, .lo = 64, .hi = 2048, .nullable = true},              \
        {.name = "batch_size", .type = HTTP_INT, .lo = 1, .hi = 16, .nullable = true},             \
        {.name = "n_iter", .type = HTTP_INT, .lo = 1, .hi = 16, .nullable = true},                 \
    {                                                                                              \
        .name = "override_settings", .type = HTTP_OBJECT, .fields = override_fields,               \
        .nullable = true                                                                           \
    }

static const struct http_field txt2img_body[] = {
    COMMON_FIELDS, {.name = "*", .type = HTTP_ANY}, {0}};

static const struct http_field img2img_body[] = {
    COMMON_FIELDS,
    {.name = "init_images",
     .type = HTTP_ARRAY,
     .items = HTTP_STRING,
     .lo = 1,
     .hi = VT_MAX_IMAGES,
     .required = true,
     .help = "in base64"},
    {.name = "mask", .type = HTTP_STRING, .nullable = true, .help = "in base64; white is painted"},
    {.name = "mask_blur", .type = HTTP_INT, .lo = 0, .hi = 1024, .nullable = true},
    {.name = "denoising_strength",
     .type = HTTP_NUMBER,
     .lo = 0,
     .hi = 1,
     .fallback = "0.75",
     .nullable = true},
    {.name = "*", .type = HTTP_ANY},
    {0}};

static const struct http_field answer_fields[] = {
    {.name = "images", .type = HTTP_ARRAY, .items = HTTP_STRING, .required = true},
    {.name = "parameters", .type = HTTP_OBJECT, .required = true},
    {.name = "info", .type = HTTP_STRING, .required = true, .help = "JSON in a string"},
    {0}};

/* ---- the request --------------------------------------------------------------------------------------- */

static const char *chosen_model(struct http_request *rq)
{
    yyjson_val *o = yyjson_obj_get(http_body(rq), "override_settings");
    const char *model = yyjson_get_str(yyjson_obj_get(o, "sd_model_checkpoint"));
    char kept[MODEL_NAME_BYTES];
    if (!model || !*model) {
        pthread_mutex_lock(&rq->server->settings_lock);
        (void)snprintf(kept, sizeof kept, "%s", rq->server->preferred_model);
        pthread_mutex_unlock(&rq->server->settings_lock);
        model = kept[0] ? arena_strdup(&rq->arena, str_from(kept)) : NULL;
    }
    return model;
}

static enum err_code take(struct http_request *rq, bool edit, struct face_request *f, struct err *e)
{
    yyjson_val *list = yyjson_obj_get(http_body(rq), "init_images"), *v;
    const char *mask = http_body_str(rq, "mask", NULL);
    size_t i, max;
    enum err_code rc = ERR_OK;
    *f = face_request_defaults();
    f->model = chosen_model(rq);
    f->prompt = http_body_str(rq, "prompt", "");
    f->seed = http_body_int(rq, "seed", -1);
    f->steps = http_body_int(rq, "steps", -1);
    f->width = http_body_int(rq, "width", -1);
    f->height = http_body_int(rq, "height", -1);
    f->guidance = http_body_double(rq, "cfg_scale", -1);
    f->count = http_body_int(rq, "batch_size", 1) * http_body_int(rq, "n_iter", 1);
    if (f->count >= FACE_MAX_IMAGES)
        return http_refuse(rq, 422, "n_iter", e, "at most %d pictures can be made at once",
                           FACE_MAX_IMAGES - 1);
    if (!edit)
        return ERR_OK;
    f->strength = http_body_double(rq, "denoising_strength", 0.75);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (rc == ERR_OK && f->n_images < VT_MAX_IMAGES)
            rc = face_upload(rq, str_from(yyjson_get_str(v)), "init_images",
                             &f->images[f->n_images++], e);
    }
    if (rc == ERR_OK && mask && *mask) {
        rc = face_upload(rq, str_from(mask), "mask", &f->mask, e);
        f->feather = http_body_int(rq, "mask_blur", -1);
    }
    return rc;
}

/* ---- the answer ---------------------------------------------------------------------------------------- */

static void add_info(const struct face_image *p, size_t n, const struct job_record *rec,
                     struct buf *b)
{
    struct buf info;
    buf_init(&info, 1 << 20);
    buf_printf(&info, "{\"job\":\"%s\",\"sd_model_name\":", rec->id);
    json_add_z(&info, rec->model);
    if (n)
        buf_printf(&info, ",\"seed\":%lld,\"width\":%lld,\"height\":%lld,\"all_seeds\":[",
                   (long long)p[0].seed, (long long)p[0].width, (long long)p[0].height);
    for (size_t i = 0; i < n; i++)
        buf_printf(&info, "%s%lld", i ? "," : "", (long long)p[i].seed);
    buf_add_z(&info, n ? "]}" : "}");
    json_add_z(b, buf_z(&info));
    buf_deinit(&info);
}

static enum err_code answer(struct http_request *rq, struct http_reply *re,
                            const struct job_record *rec, struct err *e)
{
    struct face_image *p = arena_array(&rq->arena, FACE_MAX_IMAGES, sizeof *p);
    size_t n = 0;
    enum err_code rc =
        p ? face_images(rec->result, p, &n, e) : err_set(e, ERR_NOMEM, "no memory for the answer");
    buf_deinit(&re->body);
    buf_init(&re->body, 1u << 30);
    buf_add_z(&re->body, "{\"images\":[");
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        buf_add_z(&re->body, i ? ",\"" : "\"");
        rc = face_base64(http_store(rq), p[i].asset, (struct face_format){IMAGE_FORMAT_PNG, 100},
                         &re->body, e);
        buf_add_byte(&re->body, '"');
    }
    buf_printf(&re->body, "],\"parameters\":%s,\"info\":", rec->request);
    if (rc == ERR_OK && p)
        add_info(p, n, rec, &re->body);
    buf_add_byte(&re->body, '}');
    return rc;
}

static enum err_code run(struct http_request *rq, struct http_reply *re, bool edit, struct err *e)
{
    struct job_record rec = {0}, ended = {0};
    struct face_request f;
    enum err_code rc = ERR_OK;
    if (!face_heavy(rq, re))
        return ERR_OK;
    if (!http_again(rq)) {
        rc = take(rq, edit, &f, e);
        if (rc == ERR_OK)
            rc = face_submit(rq, &f, &rec, e);
    }
    if (rc == ERR_OK)
        rc = job_wait(rq, rec.id, &re->later, &ended, e);
    if (rc == ERR_OK && !re->later)
        rc = answer(rq, re, &ended, e);
    job_record_deinit(&ended);
    job_record_deinit(&rec);
    return rc;
}

static enum err_code run_txt2img(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, false, e);
}

static enum err_code run_img2img(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, true, e);
}

/* ---- progress ------------------------------------------------------------------------------------------ */

static const struct http_field progress_query[] = {
    {.name = "skip_current_image", .type = HTTP_BOOL, .fallback = "false"}, {0}};

static const struct http_field progress_fields[] = {
    {.name = "progress", .type = HTTP_NUMBER, .lo = 0, .hi = 1, .required = true},
    {.name = "eta_relative", .type = HTTP_NUMBER, .required = true},
    {.name = "state", .type = HTTP_OBJECT, .required = true},
    {.name = "current_image", .type = HTTP_STRING, .nullable = true, .required = true},
    {.name = "textinfo", .type = HTTP_STRING, .nullable = true, .required = true},
    {0}};

/* Steps are nearly all of it. */
static double part_done(const struct queue_view *v)
{
    const struct vt_progress *p = &v->progress;
    int images = p->image_count > 0 ? p->image_count : 1;
    double within = p->stage == VT_STAGE_DECODE ? 0.95
                    : p->stage == VT_STAGE_STEPS && p->step_count > 0
                        ? 0.05 + 0.9 * p->step / p->step_count
                        : 0.02;
    return v->has_progress ? ((double)p->image + within) / images : 0;
}

static void add_preview(struct http_request *rq, const char *id, struct buf *b)
{
    struct buf jpeg;
    int step;
    buf_init(&jpeg, 1 << 20);
    if (*id && !http_query_bool(rq, "skip_current_image", false) &&
        queue_preview(rq->server->queue, id, &jpeg, &step)) {
        buf_add_byte(b, '"');
        base64_add(b, buf_str(&jpeg));
        buf_add_byte(b, '"');
    } else {
        buf_add_z(b, "null");
    }
    buf_deinit(&jpeg);
}

static enum err_code run_progress(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct queue_state q;
    struct queue_view v = {0};
    struct buf *b = &re->body;
    (void)e;
    queue_state(rq->server->queue, &q);
    if (q.running)
        queue_view(rq->server->queue, q.running_id, &v);
    double left = v.has_progress && v.progress.seconds_left > 0 ? v.progress.seconds_left : 0;
    buf_printf(b,
               "{\"progress\":%.4f,\"eta_relative\":%.3f,\"state\":{\"skipped\":false,"
               "\"interrupted\":false,\"job\":\"%s\",\"job_count\":%d,\"job_timestamp\":\"0\","
               "\"job_no\":0,\"sampling_step\":%d,\"sampling_steps\":%d},\"current_image\":",
               v.live ? part_done(&v) : 0.0, left, q.running_id, q.waiting + q.running,
               v.progress.step, v.progress.step_count);
    add_preview(rq, q.running_id, b);
    buf_add_z(b, ",\"textinfo\":null}");
    return ERR_OK;
}

static enum err_code run_interrupt(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct queue_state q;
    struct err ignored = {0};
    (void)e;
    queue_state(rq->server->queue, &q);
    if (q.running && queue_cancel(rq->server->queue, q.running_id, &ignored) != ERR_OK)
        err_clear(&ignored);
    buf_add_z(&re->body, "{}");
    return ERR_OK;
}

/* ---- models and options -------------------------------------------------------------------------------- */

struct listing {
    struct buf *b;
    int n;
    char first[MODEL_NAME_BYTES];
};

static bool add_model(const struct model_seen *m, void *user)
{
    struct listing *l = user;
    if (!(m->tasks & MODEL_TASK_PICTURES))
        return true;
    if (!l->n)
        (void)snprintf(l->first, sizeof l->first, "%s", m->name);
    if (l->b) {
        buf_add_z(l->b, l->n ? ",{\"title\":" : "{\"title\":");
        json_add_z(l->b, m->name);
        buf_add_z(l->b, ",\"model_name\":");
        json_add_z(l->b, m->name);
        buf_add_z(l->b, ",\"hash\":null,\"sha256\":null,\"filename\":");
        json_add_z(l->b, m->name);
        buf_add_z(l->b, ",\"config\":null}");
    }
    l->n++;
    return true;
}

static enum err_code run_models(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct listing l = {.b = &re->body};
    (void)rq;
    (void)e;
    buf_add_byte(&re->body, '[');
    model_each(add_model, &l);
    buf_add_byte(&re->body, ']');
    return ERR_OK;
}

static enum err_code run_samplers(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    buf_add_z(&re->body, "[{\"name\":\"Euler\",\"aliases\":[\"euler\"],\"options\":{}}]");
    return ERR_OK;
}

static const struct http_field options_fields[] = {
    {.name = "sd_model_checkpoint", .type = HTTP_STRING, .required = true},
    {.name = "*", .type = HTTP_ANY},
    {0}};

static enum err_code run_options(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct listing l = {0};
    char kept[MODEL_NAME_BYTES];
    (void)e;
    pthread_mutex_lock(&rq->server->settings_lock);
    (void)snprintf(kept, sizeof kept, "%s", rq->server->preferred_model);
    pthread_mutex_unlock(&rq->server->settings_lock);
    model_each(add_model, &l);
    buf_add_z(&re->body, "{\"sd_model_checkpoint\":");
    json_add_z(&re->body, kept[0] ? kept : l.first);
    buf_add_z(&re->body, ",\"samples_format\":\"png\"}");
    return ERR_OK;
}

static enum err_code run_set_options(struct http_request *rq, struct http_reply *re, struct err *e)
{
    const char *model = http_body_str(rq, "sd_model_checkpoint", NULL);
    char name[MODEL_NAME_BYTES];
    if (model && *model) {
        enum err_code rc = model_choose(model, MODEL_TASK_PICTURES, name, NULL, e);
        if (rc != ERR_OK) {
            (void)snprintf(rq->field, sizeof rq->field, "sd_model_checkpoint");
            rq->status = 422;
            return rc;
        }
        pthread_mutex_lock(&rq->server->settings_lock);
        (void)snprintf(rq->server->preferred_model, sizeof rq->server->preferred_model, "%s", name);
        pthread_mutex_unlock(&rq->server->settings_lock);
    }
    buf_add_z(&re->body, "{}");
    return ERR_OK;
}

enum { IMG2IMG_MAX_BODY = 64 << 20, TXT2IMG_MAX_BODY = 6 << 20 };

const struct http_route routes_a1111[] = {
    {HTTP_POST, "/sdapi/v1/txt2img", "a1111Txt2img", "Automatic1111: make pictures", "a1111",
     run_txt2img, .body = txt2img_body, .gives = answer_fields, .accepts = HTTP_JSON,
     .max_body = TXT2IMG_MAX_BODY},
    {HTTP_POST, "/sdapi/v1/img2img", "a1111Img2img", "Automatic1111: change pictures", "a1111",
     run_img2img, .body = img2img_body, .gives = answer_fields, .accepts = HTTP_JSON,
     .max_body = IMG2IMG_MAX_BODY},
    {HTTP_GET, "/sdapi/v1/progress", "a1111Progress", "Automatic1111: how far it is", "a1111",
     run_progress, .query = progress_query, .gives = progress_fields},
    {HTTP_POST, "/sdapi/v1/interrupt", "a1111Interrupt", "Automatic1111: cancel the running job",
     "a1111", run_interrupt, .accepts = HTTP_JSON, .type = "application/json"},
    {HTTP_GET, "/sdapi/v1/sd-models", "a1111Models", "Automatic1111: list models", "a1111",
     run_models, .type = "application/json"},
    {HTTP_GET, "/sdapi/v1/samplers", "a1111Samplers", "Automatic1111: list samplers", "a1111",
     run_samplers, .type = "application/json"},
    {HTTP_GET, "/sdapi/v1/options", "a1111Options", "Automatic1111: options", "a1111", run_options,
     .gives = options_fields},
    {HTTP_POST, "/sdapi/v1/options", "a1111SetOptions", "Automatic1111: choose a model", "a1111",
     run_set_options, .body = options_fields, .accepts = HTTP_JSON, .flags = HTTP_MERGE,
     .type = "application/json"},
    {0}};
