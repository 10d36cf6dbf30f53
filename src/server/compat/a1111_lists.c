/* a1111_lists.c - what Automatic1111's clients ask for before and while they make images: models, samplers, lists of
 * things that are not here, progress, memory. */
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/json_text.h"
#include "http/base64.h"
#include "memory/budget.h"
#include "server/compat/a1111.h"
#include "server/jobs/lora_choice.h"
#include "server/jobs/model_choice.h"
#include "server/routes.h"
#include "server/server_internal.h"

static void put_nothing(struct buf *b, const char *key)
{
    json_object(b, key);
    json_end_object(b);
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
    double within = p->stage == VT_STAGE_DECODE  ? 0.95 + 0.05 * p->done
                    : p->stage == VT_STAGE_STEPS ? 0.05 + 0.9 * p->done
                                                 : 0.02;
    return v->has_progress ? ((double)p->image + within) / images : 0;
}

static void put_preview(struct http_request *rq, const char *id, struct buf *b)
{
    struct buf jpeg;
    int step;
    buf_init(&jpeg, 1 << 20);
    if (*id && !http_query_bool(rq, "skip_current_image", false) &&
        queue_preview(server_of(rq)->queue, id, &jpeg, &step)) {
        json_string(b, "current_image");
        base64_add(b, buf_str(&jpeg));
        json_end_string(b);
    } else {
        json_put_null(b, "current_image");
    }
    buf_deinit(&jpeg);
}

/* The job that this API tells of, and stops: the one that has run for the longest time. "": none runs. */
static const char *job_of(const struct queue_state *q)
{
    return q->longest ? q->longest->running_id : "";
}

static void put_state(const struct queue_state *q, const struct vt_progress *p, struct buf *b)
{
    json_object(b, "state");
    json_put_bool(b, "skipped", false);
    json_put_bool(b, "interrupted", false);
    json_put_bool(b, "stopping_generation", false);
    json_put_z(b, "job", job_of(q));
    json_put_int(b, "job_count", q->waiting + q->running);
    json_put_z(b, "job_timestamp", "0");
    json_put_int(b, "job_no", p->image);
    json_put_int(b, "sampling_step", p->step);
    json_put_int(b, "sampling_steps", p->step_count);
    json_end_object(b);
}

static enum err_code run_progress(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct queue_state q;
    struct queue_view v = {0};
    struct buf *b = &re->body;
    (void)e;
    queue_state(server_of(rq)->queue, &q);
    if (q.running)
        queue_view(server_of(rq)->queue, job_of(&q), &v);
    double left = v.has_progress && v.progress.seconds_left > 0 ? v.progress.seconds_left : 0;
    json_object(b, NULL);
    json_put_fixed(b, "progress", v.live ? part_done(&v) : 0.0, 4);
    json_put_fixed(b, "eta_relative", left, 3);
    put_state(&q, &v.progress, b);
    put_preview(rq, job_of(&q), b);
    json_put_null(b, "textinfo");
    json_end_object(b);
    return ERR_OK;
}

static enum err_code cancel_running(struct http_request *rq)
{
    struct queue_state q;
    struct err ignored = {0};
    queue_state(server_of(rq)->queue, &q);
    if (q.running && queue_cancel(server_of(rq)->queue, job_of(&q), &ignored) != ERR_OK)
        err_clear(&ignored);
    return ERR_OK;
}

static enum err_code run_interrupt(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)e;
    put_nothing(&re->body, NULL);
    return cancel_running(rq);
}

/* Of a batch one image cannot be left out. */
static enum err_code run_skip(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct queue_state q;
    struct queue_view v = {0};
    queue_state(server_of(rq)->queue, &q);
    if (q.running)
        queue_view(server_of(rq)->queue, job_of(&q), &v);
    if (v.live && v.progress.image_count > 1)
        return http_refuse(rq, 409, NULL, e,
                           "one image of a batch cannot be skipped; interrupt ends the batch");
    json_put_null(&re->body, NULL);
    return cancel_running(rq);
}

static enum err_code run_unload(struct http_request *rq, struct http_reply *re, struct err *e)
{
    enum err_code rc = route_unload_model(rq, re, e);
    re->status = 200; /* also when a job runs: theirs is no other answer */
    if (rc == ERR_OK && !re->later)
        put_nothing(&re->body, NULL);
    return rc;
}

static enum err_code run_reload(struct http_request *rq, struct http_reply *re, struct err *e)
{
    const char *model = NULL;
    enum err_code rc = a1111_model(rq, &model, e);
    if (rc == ERR_OK)
        rc = route_load_model(rq, re, model, MODEL_TASK_IMAGES, e);
    re->status = 200;
    if (rc == ERR_OK && !re->later)
        put_nothing(&re->body, NULL);
    return rc;
}

/* ---- models -------------------------------------------------------------------------------------------- */

static bool put_model(const struct model_seen *m, void *user)
{
    struct buf *b = user;
    if (!(m->tasks & MODEL_TASK_IMAGES))
        return true;
    json_object(b, NULL);
    json_put_z(b, "title", m->name);
    json_put_z(b, "model_name", m->name);
    json_put_null(b, "hash");
    json_put_null(b, "sha256");
    json_put_z(b, "filename", m->name);
    json_put_null(b, "config");
    json_end_object(b);
    return true;
}

static enum err_code run_models(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    json_array(&re->body, NULL);
    model_each(put_model, &re->body);
    json_end_array(&re->body);
    return ERR_OK;
}

/* ---- what never changes -------------------------------------------------------------------------------- */

static void put_strings(struct buf *b, const char *key, const char *const *texts, size_t n)
{
    json_array(b, key);
    for (size_t i = 0; i < n; i++)
        json_put_z(b, NULL, texts[i]);
    json_end_array(b);
}

static void samplers_json(struct buf *b)
{
    json_array(b, NULL);
    json_object(b, NULL);
    json_put_z(b, "name", "Euler");
    put_strings(b, "aliases", (const char *const[]){"k_euler", "euler"}, 2);
    put_nothing(b, "options");
    json_end_object(b);
    json_end_array(b);
}

static void schedulers_json(struct buf *b)
{
    json_array(b, NULL);
    json_object(b, NULL);
    json_put_z(b, "name", "automatic");
    json_put_z(b, "label", "Automatic");
    json_put_null(b, "aliases");
    json_put_int(b, "default_rho", -1);
    json_put_bool(b, "need_inner_model", false);
    json_end_object(b);
    json_end_array(b);
}

static void upscalers_json(struct buf *b)
{
    static const char *const names[] = {"None", "Lanczos", "Nearest"};
    json_array(b, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_object(b, NULL);
        json_put_z(b, "name", names[i]);
        json_put_null(b, "model_name");
        json_put_null(b, "model_path");
        json_put_null(b, "model_url");
        json_put_int(b, "scale", 4);
        json_end_object(b);
    }
    json_end_array(b);
}

static void embeddings_json(struct buf *b)
{
    json_object(b, NULL);
    put_nothing(b, "loaded");
    put_nothing(b, "skipped");
    json_end_object(b);
}

static void put_lora(const struct lora_seen *l, void *user)
{
    struct buf *b = user;
    json_object(b, NULL);
    json_put_z(b, "name", l->name);
    json_put_z(b, "alias", l->name);
    json_put_z(b, "path", "");
    json_object(b, "metadata");
    json_put_z(b, "base", l->base);
    json_put_int(b, "rank", l->rank);
    json_end_object(b);
    json_end_object(b);
}

static void loras_json(struct buf *b)
{
    json_array(b, NULL);
    lora_each(put_lora, b);
    json_end_array(b);
}

static void scripts_json(struct buf *b)
{
    json_object(b, NULL);
    put_strings(b, "txt2img", NULL, 0);
    put_strings(b, "img2img", NULL, 0);
    json_end_object(b);
}

static void list_json(struct buf *b)
{
    put_strings(b, NULL, NULL, 0);
}

static void object_json(struct buf *b)
{
    put_nothing(b, NULL);
}

static void null_json(struct buf *b)
{
    json_put_null(b, NULL);
}

#define GIVES(NAME)                                                                                \
    static enum err_code run_##NAME(struct http_request *rq, struct http_reply *re, struct err *e) \
    {                                                                                              \
        (void)rq;                                                                                  \
        (void)e;                                                                                   \
        NAME##_json(&re->body);                                                                    \
        return ERR_OK;                                                                             \
    }

GIVES(samplers)
GIVES(schedulers)
GIVES(upscalers)
GIVES(embeddings)
GIVES(loras)
GIVES(scripts)
GIVES(list)
/* The model store is read whenever it is asked, so that nothing is left to refresh. */
GIVES(null)
GIVES(object)

/* ---- this process -------------------------------------------------------------------------------------- */

static enum err_code run_flags(struct http_request *rq, struct http_reply *re, struct err *e)
{
    static const char *const none[] = {"ckpt", "vae_path", "gradio_auth", "api_auth", "subpath"};
    static const char *const off[] = {"lowvram", "medvram", "no_half"};
    const struct http_core *core = server_of(rq)->http;
    struct buf *b = &re->body;
    (void)e;
    json_object(b, NULL);
    json_put_bool(b, "api", true);
    json_put_bool(b, "nowebui", true);
    json_put_bool(b, "listen", !http_core_is_loopback(core));
    json_put_int(b, "port", http_core_port(core));
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        json_put_null(b, none[i]);
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        json_put_bool(b, off[i], false);
    json_end_object(b);
    return ERR_OK;
}

static void put_memory(struct buf *b, const char *key, uint64_t used, uint64_t total)
{
    json_object(b, key);
    json_put_uint(b, "free", total - used);
    json_put_uint(b, "used", used);
    json_put_uint(b, "total", total);
    json_end_object(b);
}

static enum err_code run_memory(struct http_request *rq, struct http_reply *re, struct err *e)
{
    uint64_t anonymous = 0, mapped = 0;
    struct sysinfo i = {0};
    struct buf *b = &re->body;
    (void)rq;
    (void)e;
    procmem_read(&anonymous, &mapped);
    (void)sysinfo(&i);
    uint64_t total = (uint64_t)i.totalram * i.mem_unit;
    uint64_t used = anonymous + mapped < total ? anonymous + mapped : total;
    json_object(b, NULL);
    put_memory(b, "ram", used, total);
    json_object(b, "cuda");
    json_put_z(b, "error", "unavailable");
    json_end_object(b);
    json_end_object(b);
    return ERR_OK;
}

#define LIST(PATH, NAME, SUMMARY, RUN)                                                             \
    {                                                                                              \
        HTTP_GET, PATH, NAME, "Automatic1111: " SUMMARY, "a1111", RUN, .type = "application/json"  \
    }
#define DO(PATH, NAME, SUMMARY, RUN)                                                               \
    {                                                                                              \
        HTTP_POST, PATH, NAME, "Automatic1111: " SUMMARY, "a1111", RUN, .accepts = HTTP_JSON,      \
                                                                        .type = "application/json" \
    }

const struct http_route a1111_lists[] = {
    {HTTP_GET, "/sdapi/v1/progress", "a1111Progress", "Automatic1111: how far it is", "a1111",
     run_progress, .query = progress_query, .gives = progress_fields},
    DO("/sdapi/v1/interrupt", "a1111Interrupt", "cancel the running job", run_interrupt),
    DO("/sdapi/v1/skip", "a1111Skip", "cancel the running job of one image", run_skip),
    DO("/sdapi/v1/unload-checkpoint", "a1111Unload", "close the open model and free its memory",
       run_unload),
    DO("/sdapi/v1/reload-checkpoint", "a1111Reload", "open the model that requests get",
       run_reload),
    LIST("/sdapi/v1/sd-models", "a1111Models", "list models", run_models),
    LIST("/sdapi/v1/samplers", "a1111Samplers", "list samplers", run_samplers),
    LIST("/sdapi/v1/schedulers", "a1111Schedulers", "list schedulers", run_schedulers),
    LIST("/sdapi/v1/upscalers", "a1111Upscalers", "list upscalers", run_upscalers),
    LIST("/sdapi/v1/latent-upscale-modes", "a1111LatentUpscaleModes", "none", run_list),
    LIST("/sdapi/v1/sd-vae", "a1111Vaes", "none: models bring theirs", run_list),
    LIST("/sdapi/v1/loras", "a1111Loras", "list LoRAs", run_loras),
    LIST("/sdapi/v1/hypernetworks", "a1111Hypernetworks", "none", run_list),
    LIST("/sdapi/v1/face-restorers", "a1111FaceRestorers", "none", run_list),
    LIST("/sdapi/v1/realesrgan-models", "a1111RealesrganModels", "none", run_list),
    LIST("/sdapi/v1/prompt-styles", "a1111PromptStyles", "none", run_list),
    LIST("/sdapi/v1/script-info", "a1111ScriptInfo", "none", run_list),
    LIST("/sdapi/v1/extensions", "a1111Extensions", "none", run_list),
    LIST("/sdapi/v1/embeddings", "a1111Embeddings", "none", run_embeddings),
    LIST("/sdapi/v1/scripts", "a1111Scripts", "none", run_scripts),
    LIST("/sdapi/v1/cmd-flags", "a1111CmdFlags", "how it was started", run_flags),
    LIST("/sdapi/v1/memory", "a1111Memory", "memory of this process", run_memory),
    DO("/sdapi/v1/refresh-checkpoints", "a1111RefreshCheckpoints", "lists are always fresh",
       run_null),
    DO("/sdapi/v1/refresh-vae", "a1111RefreshVae", "lists are always fresh", run_null),
    DO("/sdapi/v1/refresh-loras", "a1111RefreshLoras", "lists are always fresh", run_null),
    LIST("/internal/ping", "a1111Ping", "answers {}", run_object),
    {0}};
