/* a1111_lists.c - what Automatic1111's clients ask for before and while they make images: models, samplers, lists of
 * things that are not here, progress, memory. */
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/json_text.h"
#include "http/base64.h"
#include "pipeline/procmem.h"
#include "server/compat/a1111.h"
#include "server/jobs/model_choice.h"
#include "server/routes.h"
#include "server/server_internal.h"

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

static void add_preview(struct http_request *rq, const char *id, struct buf *b)
{
    struct buf jpeg;
    int step;
    buf_init(&jpeg, 1 << 20);
    if (*id && !http_query_bool(rq, "skip_current_image", false) &&
        queue_preview(server_of(rq)->queue, id, &jpeg, &step)) {
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
    queue_state(server_of(rq)->queue, &q);
    if (q.running)
        queue_view(server_of(rq)->queue, q.running_id, &v);
    double left = v.has_progress && v.progress.seconds_left > 0 ? v.progress.seconds_left : 0;
    buf_printf(
        b,
        "{\"progress\":%.4f,\"eta_relative\":%.3f,\"state\":{\"skipped\":false,"
        "\"interrupted\":false,\"stopping_generation\":false,\"job\":\"%s\",\"job_count\":%d,"
        "\"job_timestamp\":\"0\",\"job_no\":%d,\"sampling_step\":%d,\"sampling_steps\":%d},"
        "\"current_image\":",
        v.live ? part_done(&v) : 0.0, left, q.running_id, q.waiting + q.running, v.progress.image,
        v.progress.step, v.progress.step_count);
    add_preview(rq, q.running_id, b);
    buf_add_z(b, ",\"textinfo\":null}");
    return ERR_OK;
}

static enum err_code cancel_running(struct http_request *rq)
{
    struct queue_state q;
    struct err ignored = {0};
    queue_state(server_of(rq)->queue, &q);
    if (q.running && queue_cancel(server_of(rq)->queue, q.running_id, &ignored) != ERR_OK)
        err_clear(&ignored);
    return ERR_OK;
}

static enum err_code run_interrupt(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)e;
    buf_add_z(&re->body, "{}");
    return cancel_running(rq);
}

/* Of a batch one image cannot be left out. */
static enum err_code run_skip(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct queue_state q;
    struct queue_view v = {0};
    queue_state(server_of(rq)->queue, &q);
    if (q.running)
        queue_view(server_of(rq)->queue, q.running_id, &v);
    if (v.live && v.progress.image_count > 1)
        return http_refuse(rq, 409, NULL, e,
                           "one image of a batch cannot be skipped; interrupt ends the batch");
    buf_add_z(&re->body, "null");
    return cancel_running(rq);
}

static enum err_code run_unload(struct http_request *rq, struct http_reply *re, struct err *e)
{
    enum err_code rc = route_unload_model(rq, re, e);
    re->status = 200; /* also when a job runs: theirs is no other answer */
    if (rc == ERR_OK && !re->later)
        buf_add_z(&re->body, "{}");
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
        buf_add_z(&re->body, "{}");
    return rc;
}

/* ---- models -------------------------------------------------------------------------------------------- */

struct listing {
    struct buf *b;
    int n;
};

static bool add_model(const struct model_seen *m, void *user)
{
    struct listing *l = user;
    if (!(m->tasks & MODEL_TASK_IMAGES))
        return true;
    buf_add_z(l->b, l->n++ ? ",{\"title\":" : "{\"title\":");
    json_add_z(l->b, m->name);
    buf_add_z(l->b, ",\"model_name\":");
    json_add_z(l->b, m->name);
    buf_add_z(l->b, ",\"hash\":null,\"sha256\":null,\"filename\":");
    json_add_z(l->b, m->name);
    buf_add_z(l->b, ",\"config\":null}");
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

/* ---- what never changes -------------------------------------------------------------------------------- */

#define GIVES(NAME, JSON)                                                                          \
    static enum err_code run_##NAME(struct http_request *rq, struct http_reply *re, struct err *e) \
    {                                                                                              \
        (void)rq;                                                                                  \
        (void)e;                                                                                   \
        buf_add_z(&re->body, JSON);                                                                \
        return ERR_OK;                                                                             \
    }

GIVES(samplers, "[{\"name\":\"Euler\",\"aliases\":[\"k_euler\",\"euler\"],\"options\":{}}]")
GIVES(schedulers, "[{\"name\":\"automatic\",\"label\":\"Automatic\",\"aliases\":null,"
                  "\"default_rho\":-1,\"need_inner_model\":false}]")
GIVES(
    upscalers,
    "[{\"name\":\"None\",\"model_name\":null,\"model_path\":null,\"model_url\":null,\"scale\":4},"
    "{\"name\":\"Lanczos\",\"model_name\":null,\"model_path\":null,\"model_url\":null,\"scale\":4},"
    "{\"name\":\"Nearest\",\"model_name\":null,\"model_path\":null,\"model_url\":null,"
    "\"scale\":4}]")
GIVES(nothing, "[]")
GIVES(embeddings, "{\"loaded\":{},\"skipped\":{}}")
GIVES(scripts, "{\"txt2img\":[],\"img2img\":[]}")
/* The model store is read whenever it is asked, so that nothing is left to refresh. */
GIVES(null, "null")
GIVES(object, "{}")

static enum err_code run_flags(struct http_request *rq, struct http_reply *re, struct err *e)
{
    const struct http_core *core = server_of(rq)->http;
    (void)e;
    buf_printf(&re->body,
               "{\"api\":true,\"nowebui\":true,\"listen\":%s,\"port\":%d,\"ckpt\":null,"
               "\"vae_path\":null,\"lowvram\":false,\"medvram\":false,\"no_half\":false,"
               "\"gradio_auth\":null,\"api_auth\":null,\"subpath\":null}",
               http_core_is_loopback(core) ? "false" : "true", http_core_port(core));
    return ERR_OK;
}

static enum err_code run_memory(struct http_request *rq, struct http_reply *re, struct err *e)
{
    uint64_t anonymous = 0, mapped = 0;
    struct sysinfo i = {0};
    (void)rq;
    (void)e;
    procmem_read(&anonymous, &mapped);
    (void)sysinfo(&i);
    unsigned long long total = (unsigned long long)i.totalram * i.mem_unit;
    unsigned long long used = anonymous + mapped < total ? anonymous + mapped : total;
    buf_printf(&re->body,
               "{\"ram\":{\"free\":%llu,\"used\":%llu,\"total\":%llu},\"cuda\":{\"error\":"
               "\"unavailable\"}}",
               total - used, used, total);
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
    LIST("/sdapi/v1/latent-upscale-modes", "a1111LatentUpscaleModes", "none", run_nothing),
    LIST("/sdapi/v1/sd-vae", "a1111Vaes", "none: models bring theirs", run_nothing),
    LIST("/sdapi/v1/loras", "a1111Loras", "none", run_nothing),
    LIST("/sdapi/v1/hypernetworks", "a1111Hypernetworks", "none", run_nothing),
    LIST("/sdapi/v1/face-restorers", "a1111FaceRestorers", "none", run_nothing),
    LIST("/sdapi/v1/realesrgan-models", "a1111RealesrganModels", "none", run_nothing),
    LIST("/sdapi/v1/prompt-styles", "a1111PromptStyles", "none", run_nothing),
    LIST("/sdapi/v1/script-info", "a1111ScriptInfo", "none", run_nothing),
    LIST("/sdapi/v1/extensions", "a1111Extensions", "none", run_nothing),
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
