#include "server/jobs/work.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "http/request.h"
#include "pipeline/engine.h"
#include "pipeline/recipe.h"
#include "pipeline/result_json.h"
#include "server/jobs/lora_choice.h"
#include "server/jobs/model_choice.h"
#include "server/limits.h"
#include "store/assets.h"

enum {
    RESULT_ARENA_BYTES = 1 << 20,
    MAX_IMAGES = VT_MAX_IMAGES + 1,
};

void work_result_init(struct work_result *r)
{
    memset(r, 0, sizeof *r);
    buf_init(&r->json, LIMIT_RESULT);
    buf_init(&r->images, LIMIT_RESULT);
    buf_init(&r->made, LIMIT_RESULT);
    arena_init(&r->arena, RESULT_ARENA_BYTES);
}

void work_result_deinit(struct work_result *r)
{
    buf_deinit(&r->json);
    buf_deinit(&r->images);
    buf_deinit(&r->made);
    arena_deinit(&r->arena);
}

/* ---- requests ---------------------------------------------------------------------------------------- */

/* The images' files and the model's path live as long as the request struct is used. */
struct inputs {
    struct store *store;
    /* The stored files, opened; the engine decodes them. */
    struct {
        int fd;
        char name[32];
    } files[MAX_IMAGES];
    int n;
    char path[MODEL_PATH_BYTES];
    struct lora_paths loras;
};

static void inputs_free(struct inputs *in)
{
    for (int i = 0; i < in->n; i++)
        (void)close(in->files[i].fd);
    mem_free(in);
}

static enum err_code load(struct inputs *in, yyjson_val *id, struct vt_image *out, struct err *e)
{
    if (in->n == MAX_IMAGES)
        return err_set(e, ERR_ARG, "too many images");
    int fd;
    TRY(asset_open(in->store, yyjson_get_str(id), NULL, &fd, e));
    char *name = in->files[in->n].name;
    in->files[in->n++].fd = fd;
    (void)snprintf(name, sizeof in->files->name, "/proc/self/fd/%d", fd);
    *out = (struct vt_image){.file = name};
    return ERR_OK;
}

static enum err_code load_list(struct inputs *in, yyjson_val *list, struct vt_request *rq,
                               struct err *e)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(list, i, max, v)
    {
        TRY(rq->image_count < VT_MAX_IMAGES
                ? load(in, v, &rq->images[rq->image_count++], e)
                : err_set(e, ERR_ARG, "at most %d images can be used", VT_MAX_IMAGES));
    }
    return ERR_OK;
}

static int64_t whole(yyjson_val *v)
{
    if (yyjson_is_real(v))
        return (int64_t)yyjson_get_real(v);
    return yyjson_is_uint(v) ? (int64_t)yyjson_get_uint(v) : yyjson_get_sint(v);
}

static void set_sides(yyjson_val *v, int *out)
{
    for (size_t i = 0; i < 4; i++)
        out[i] = (int)whole(yyjson_arr_get(v, i));
}

static enum err_code set_member(struct inputs *in, const struct param *p, yyjson_val *v,
                                unsigned char *at, void *request, struct err *e)
{
    switch (p->type) {
    case PARAM_TEXT:
    case PARAM_CHOICE:
    case PARAM_MATTE:
        *(const char **)(void *)at = yyjson_get_str(v);
        return ERR_OK;
    case PARAM_INT:
        *(int *)(void *)at = (int)whole(v);
        return ERR_OK;
    case PARAM_LONG:
        *(int64_t *)(void *)at = whole(v);
        return ERR_OK;
    case PARAM_NUMBER:
        *(double *)(void *)at = yyjson_get_num(v);
        return ERR_OK;
    case PARAM_SWITCH:
        *(int *)(void *)at = yyjson_get_bool(v);
        return ERR_OK;
    case PARAM_SIDES:
        set_sides(v, (int *)(void *)at);
        return ERR_OK;
    case PARAM_LORAS:
        return lora_request(v, &in->loras, (struct vt_loras *)(void *)at, e);
    case PARAM_IMAGE:
    case PARAM_NEEDED_IMAGE:
        return load(in, v, (struct vt_image *)(void *)at, e);
    case PARAM_IMAGES:
    default:
        return load_list(in, v, request, e);
    }
}

static enum err_code fill(struct inputs *in, const struct param *table, yyjson_val *body,
                          void *request, struct err *e)
{
    for (const struct param *p = table; p->name; p++) {
        yyjson_val *v = yyjson_obj_get(body, p->name);
        if (v && !yyjson_is_null(v))
            TRY(set_member(in, p, v, (unsigned char *)request + p->offset, request, e));
    }
    return ERR_OK;
}

static enum err_code inputs_new(struct store *store, yyjson_val *body, unsigned task,
                                struct inputs **out, struct err *e)
{
    struct inputs *in = mem_alloc(sizeof *in);
    in->store = store;
    enum err_code rc =
        model_choose(yyjson_get_str(yyjson_obj_get(body, "model")), task, NULL, in->path, e);
    if (rc != ERR_OK) {
        inputs_free(in);
        in = NULL;
    }
    *out = in;
    return rc;
}

static enum err_code from_vt(const struct vt_error *v, struct err *e)
{
    return err_set(e, (enum err_code)v->status, "%s", v->text);
}

/* ---- what came out ----------------------------------------------------------------------------------- */

static struct asset_made made_by(const struct work_result *r, const char *prompt, int64_t seed)
{
    return (struct asset_made){
        .job = r->job, .task = r->kind, .model = r->model, .prompt = prompt, .seed = seed};
}

static enum err_code put(struct store *store, struct work_result *r, struct str png,
                         const char *name, const struct asset_made *made, struct asset *a,
                         struct err *e)
{
    struct asset_note note = {.name = name, .origin = "result", .trusted = true, .made = made};
    if (r->n_assets == WORK_MAX_ASSETS)
        return err_set(e, ERR_LIMIT, "a job has at most %d images", WORK_MAX_ASSETS);
    TRY(asset_put(store, png, &note, a, e));
    char *id = arena_strdup(&r->arena, str_from(a->id));
    if (!id)
        return err_set(e, ERR_NOMEM, "no memory for the result");
    r->assets[r->n_assets++] = id;
    return ERR_OK;
}

static void put_stats(struct buf *b, const struct vt_stats *s)
{
    result_json_passes(b, s);
    result_json_seconds(b, s, NULL);
    result_json_memory(b, s, NULL);
}

/* Where only the whole time is known. */
static void put_total(struct buf *b, double seconds)
{
    json_object(b, "seconds");
    json_put_fixed(b, "total", seconds, 4);
    json_end_object(b);
}

static void put_tail(struct buf *b, const struct vt_engine *engine, const struct buf *notes,
                     const struct layers_doubt *doubts, size_t n_doubts)
{
    json_put_z(b, "device", vt_engine_device(engine));
    result_json_notes(b, notes);
    result_json_doubts(b, doubts, n_doubts);
    json_end_object(b);
}

/* ---- images ---------------------------------------------------------------------------------------- */

static enum err_code put_image(struct store *store, const struct vt_result *res, int i,
                               struct work_result *r, struct err *e)
{
    struct buf png;
    struct asset a;
    char name[64];
    buf_init(&png, LIMIT_JOB_PNG);
    const struct asset_made made =
        made_by(r, vt_result_request(res)->prompt, vt_result_seed(res, i));
    (void)snprintf(name, sizeof name, "seed-%lld.png", (long long)made.seed);
    enum err_code rc = image_file(res, i, IMAGE_FORMAT_PNG, 0, &png, e);
    if (rc == ERR_OK)
        rc = put(store, r, buf_str(&png), name, &made, &a, e);
    buf_deinit(&png);
    if (rc != ERR_OK)
        return rc;
    json_object(&r->images, NULL);
    json_put_z(&r->images, "asset", a.id);
    json_put_int(&r->images, "seed", vt_result_seed(res, i));
    json_put_int(&r->images, "width", a.width);
    json_put_int(&r->images, "height", a.height);
    json_end_object(&r->images);
    return ERR_OK;
}

/* The size is the image's: a request may have left it to the engine. */
static void how_made(const struct vt_result *res, int i, struct buf *b)
{
    const struct vt_image im = vt_result_image(res, i);
    result_json_request(b, vt_result_request(res));
    json_put_int(b, "width", im.width);
    json_put_int(b, "height", im.height);
}

enum err_code work_keep_image(struct store *store, const struct vt_result *res, int i,
                              struct work_result *r)
{
    if (!r->made.n)
        how_made(res, i, &r->made);
    return put_image(store, res, i, r, &r->lost);
}

static void begin_images(struct work_result *r)
{
    json_object(&r->json, NULL);
    json_array(&r->json, "images");
    json_put_raw(&r->json, NULL, buf_str(&r->images));
    json_end_array(&r->json);
    json_put_raw(&r->json, NULL, buf_str(&r->made));
}

void work_keep_rest(const struct vt_engine *engine, const struct buf *notes, double seconds,
                    struct work_result *r)
{
    buf_clear(&r->json);
    if (!r->images.n)
        return;
    begin_images(r);
    put_total(&r->json, seconds);
    put_tail(&r->json, engine, notes, NULL, 0);
}

static enum err_code run_image(struct vt_engine *engine, struct store *store, bool edit,
                               yyjson_val *body, const struct vt_callbacks *cb,
                               const struct buf *notes, struct vt_plan *plan, struct work_result *r,
                               struct err *e)
{
    struct vt_request rq = vt_request_defaults();
    struct vt_result *res = NULL;
    struct vt_error err = {0};
    struct inputs *in;
    enum err_code rc = inputs_new(store, body, MODEL_TASK_IMAGES, &in, e);
    if (rc != ERR_OK)
        return rc;
    rc = fill(in, edit ? params_edit : params_generate, body, &rq, e);
    rq.model = in->path;
    rq.previews = 1; /* every job has them */
    if (rc == ERR_OK) {
        enum vt_status st = plan   ? vt_plan_picture(engine, &rq, plan, &err)
                            : edit ? vt_edit(engine, &rq, cb, &res, &err)
                                   : vt_generate(engine, &rq, cb, &res, &err);
        rc = st == VT_OK ? ERR_OK : from_vt(&err, e);
    }
    if (r && r->lost.code != ERR_OK) {
        *e = r->lost;
        rc = e->code;
    }
    if (rc == ERR_OK && res) {
        begin_images(r);
        put_stats(&r->json, vt_result_stats(res));
        put_tail(&r->json, engine, notes, NULL, 0);
    }
    vt_result_free(res);
    inputs_free(in);
    return rc;
}

/* ---- layers ------------------------------------------------------------------------------------------ */

static enum err_code put_rgba(struct store *store, struct work_result *r, const struct vt_image *im,
                              const struct asset_note *note, struct asset *a, struct err *e)
{
    struct image view = {.w = im->width,
                         .h = im->height,
                         .channels = im->channels,
                         .stride = (size_t)im->width * (size_t)im->channels,
                         .p = (unsigned char *)(uintptr_t)im->pixels};
    if (r->n_assets == WORK_MAX_ASSETS)
        return err_set(e, ERR_LIMIT, "a job has at most %d images", WORK_MAX_ASSETS);
    enum err_code rc = asset_put_image(store, &view, note, a, e);
    char *id = rc == ERR_OK ? arena_strdup(&r->arena, str_from(a->id)) : NULL;
    if (rc == ERR_OK && !id)
        rc = err_set(e, ERR_NOMEM, "no memory for the result");
    if (rc == ERR_OK)
        r->assets[r->n_assets++] = id;
    return rc;
}

static bool is_opaque(const struct vt_image *im)
{
    size_t n = (size_t)im->width * (size_t)im->height;
    if (im->channels != 4)
        return true;
    for (size_t i = 0; i < n; i++)
        if (im->pixels[4 * i + 3] != 255)
            return false;
    return true;
}

static void put_layer(struct buf *b, const struct vt_layer *l, const char *asset)
{
    json_object(b, NULL);
    json_put_z(b, "asset", asset);
    json_put_z(b, "id", l->id);
    json_put_z(b, "name", l->name);
    result_json_place(b, l->x, l->y, l->image.width, l->image.height);
    json_put_int(b, "opacity", 1);
    json_put_z(b, "blend_mode", "normal");
    json_put_bool(b, "visible", true);
    json_put_bool(b, "opaque", is_opaque(&l->image));
    json_end_object(b);
}

static enum err_code put_layers(struct store *store, const struct vt_layers_result *res,
                                const struct image_about *about, struct work_result *r,
                                struct err *e)
{
    const struct vt_layers_report *rep = vt_layers_report(res);
    const struct asset_made made = made_by(r, rep->prompt, rep->seed);
    struct asset_note note = {.origin = "result", .made = &made, .about = about};
    struct buf *b = &r->json;
    struct asset a;
    enum err_code rc = ERR_OK;
    json_object(b, NULL);
    json_put_int(b, "width", rep->width);
    json_put_int(b, "height", rep->height);
    json_array(b, "layers");
    for (int i = 0; rc == ERR_OK && i < vt_layers_count(res); i++) {
        struct vt_layer l = vt_layers_layer(res, i);
        note.name = l.name;
        rc = put_rgba(store, r, &l.image, &note, &a, e);
        if (rc == ERR_OK)
            put_layer(b, &l, a.id);
    }
    json_end_array(b);
    struct vt_image composite = vt_layers_composite(res);
    note.name = "composite";
    if (rc == ERR_OK)
        rc = put_rgba(store, r, &composite, &note, &a, e);
    if (rc == ERR_OK)
        json_put_z(b, "composite", a.id);
    return rc;
}

static enum err_code layers_result(struct vt_engine *engine, struct store *store,
                                   struct vt_layers_result *res, const struct buf *notes,
                                   struct work_result *r, struct err *e)
{
    const struct vt_layers_report *rep = vt_layers_report(res);
    struct buf *b = &r->json;
    struct layers_doubt doubts[LAYERS_DOUBTS_MAX];
    enum err_code rc = put_layers(store, res, engine_layers_about(res), r, e);
    json_put_int(b, "layers_asked", rep->layers_asked);
    result_json_layers(b, rep);
    put_stats(b, vt_layers_stats(res));
    put_tail(b, engine, notes, doubts, layers_doubts(res, doubts));
    return rc;
}

static enum err_code run_layers(struct vt_engine *engine, struct store *store, yyjson_val *body,
                                const struct vt_callbacks *cb, const struct buf *notes,
                                struct vt_plan *plan, struct work_result *r, struct err *e)
{
    struct vt_layers_request rq = vt_layers_request_defaults();
    struct vt_layers_result *res = NULL;
    struct vt_error err = {0};
    struct inputs *in;
    enum err_code rc = inputs_new(store, body, MODEL_TASK_LAYERS, &in, e);
    if (rc != ERR_OK)
        return rc;
    rc = fill(in, params_layers, body, &rq, e);
    rq.model = in->path;
    rq.previews = 1; /* every job has them */
    if (rc == ERR_OK) {
        enum vt_status st =
            plan ? vt_plan_layers(engine, &rq, plan, &err) : vt_layers(engine, &rq, cb, &res, &err);
        rc = st == VT_OK ? ERR_OK : from_vt(&err, e);
    }
    if (rc == ERR_OK && res)
        recipe_about_layers(res, &rq, "-", engine_layers_about(res));
    if (rc == ERR_OK && res)
        rc = layers_result(engine, store, res, notes, r, e);
    vt_layers_result_free(res);
    inputs_free(in);
    return rc;
}

/* ---- captions ---------------------------------------------------------------------------------------- */

static enum err_code run_caption(struct vt_engine *engine, struct store *store, yyjson_val *body,
                                 const struct vt_callbacks *cb, const struct buf *notes,
                                 struct work_result *r, struct err *e)
{
    struct vt_caption_request rq = vt_caption_request_defaults();
    struct vt_caption_result *res = NULL;
    struct vt_error err = {0};
    struct inputs *in;
    struct buf *b = &r->json;
    double start = clock_s();
    enum err_code rc = inputs_new(store, body, MODEL_TASK_LAYERS, &in, e);
    if (rc != ERR_OK)
        return rc;
    rc = fill(in, params_caption, body, &rq, e);
    rq.model = in->path;
    if (rc == ERR_OK && vt_caption(engine, &rq, cb, &res, &err) != VT_OK)
        rc = from_vt(&err, e);
    if (rc == ERR_OK) {
        json_object(b, NULL);
        result_json_caption(b, res, rq.language);
        put_total(b, clock_s() - start);
        put_tail(b, engine, notes, NULL, 0);
    }
    vt_caption_result_free(res);
    inputs_free(in);
    return rc;
}

/* ---- all --------------------------------------------------------------------------------------------- */

enum err_code work_run(struct vt_engine *engine, struct store *store, const char *kind,
                       yyjson_val *request, const struct vt_callbacks *callbacks,
                       const struct buf *notes, struct work_result *out, struct err *e)
{
    if (strcmp(kind, "layers") == 0)
        TRY(run_layers(engine, store, request, callbacks, notes, NULL, out, e));
    else {
        if (strcmp(kind, "caption") == 0)
            TRY(run_caption(engine, store, request, callbacks, notes, out, e));
        else
            TRY(run_image(engine, store, strcmp(kind, "edit") == 0, request, callbacks, notes, NULL,
                          out, e));
    }
    if (buf_failed(&out->json))
        return err_set(e, ERR_LIMIT, "the result is larger than %d bytes", LIMIT_RESULT);
    return ERR_OK;
}

enum err_code work_plan(struct vt_engine *engine, struct store *store, const char *kind,
                        yyjson_val *request, struct vt_plan *out, struct err *e)
{
    if (strcmp(kind, "layers") == 0)
        return run_layers(engine, store, request, NULL, NULL, out, NULL, e);
    return run_image(engine, store, strcmp(kind, "edit") == 0, request, NULL, NULL, out, NULL, e);
}
