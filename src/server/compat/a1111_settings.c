/* a1111_settings.c - the options of Automatic1111: the model can be chosen, the others are what they are. A client
 * may send back what it got; a setting that asks for something else is refused. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "http/check.h"
#include "server/compat/a1111.h"
#include "server/jobs/model_choice.h"
#include "server/server_internal.h"

const struct http_field a1111_options[] = {
    {.name = "sd_model_checkpoint", .type = HTTP_STRING, .hi = 255, .nullable = true},
    {.name = "*", .type = HTTP_ANY},
    {0}};

/* Names, and their values as JSON: the first is what GET says. */
struct setting {
    const char *name, *values[3];
};

static const struct setting settings[] = {
    {"sd_checkpoint_hash", {"\"\""}},
    {"sd_vae", {"\"Automatic\"", "\"None\"", "\"\""}},
    {"CLIP_stop_at_last_layers", {"1", "0"}},
    {"samples_format", {"\"png\""}},
    {"enable_pnginfo", {"true"}},
    {"return_grid", {"false"}},
    {"return_mask", {"false"}},
    {"return_mask_composite", {"false"}},
    {"img2img_color_correction", {"false"}},
    {"img2img_fix_steps", {"false"}},
    {"img2img_background_color", {"\"#ffffff\""}},
    {"inpainting_mask_weight", {"1"}},
    {"initial_noise_multiplier", {"1"}},
    {"eta_noise_seed_delta", {"0"}},
    {"token_merging_ratio", {"0"}},
    {"use_old_karras_scheduler_sigmas", {"false"}},
    {"live_previews_enable", {"true"}},
    {"show_progress_every_n_steps", {"1"}},
    {"show_progress_type", {"\"Approx cheap\""}},
};

static bool is_value(yyjson_val *v, const char *text)
{
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    yyjson_val *held = yyjson_doc_get_root(doc);
    bool same = yyjson_is_num(held) && yyjson_is_num(v) ? yyjson_get_num(held) == yyjson_get_num(v)
                                                        : yyjson_equals(held, v);
    yyjson_doc_free(doc);
    return same;
}

static enum err_code check_setting(struct http_request *rq, const char *name, yyjson_val *v,
                                   const char *field, struct err *e)
{
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        const struct setting *s = &settings[i];
        if (strcmp(s->name, name) != 0)
            continue;
        for (size_t k = 0; k < 3 && s->values[k]; k++)
            if (yyjson_is_null(v) || is_value(v, s->values[k]))
                return ERR_OK;
        return http_refuse(rq, 422, field, e, "%s is %s here; it cannot be changed", name,
                           s->values[0]);
    }
    return http_refuse(rq, 422, field, e, "there is no setting '%.80s' here", name);
}

enum err_code a1111_check_settings(struct http_request *rq, yyjson_val *object, const char *prefix,
                                   struct err *e)
{
    size_t i, max;
    yyjson_val *key, *v;
    char field[CHECK_FIELD_SIZE];
    if (!object)
        return ERR_OK;
    yyjson_obj_foreach(object, i, max, key, v)
    {
        const char *name = yyjson_get_str(key);
        enum err_code rc = ERR_OK;
        (void)snprintf(field, sizeof field, "%s%.100s", prefix, name);
        if (strcmp(name, "sd_model_checkpoint") != 0)
            rc = check_setting(rq, name, v, field, e);
        else if (!yyjson_is_str(v) && !yyjson_is_null(v))
            rc = http_refuse(rq, 422, field, e, "%s should be a model's name", field);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* ---- the model ----------------------------------------------------------------------------------------- */

static void preferred_model(struct server *s, char out[MODEL_NAME_BYTES])
{
    pthread_mutex_lock(&s->settings_lock);
    (void)snprintf(out, MODEL_NAME_BYTES, "%s", s->preferred_model);
    pthread_mutex_unlock(&s->settings_lock);
}

enum err_code a1111_model(struct http_request *rq, const char **out, struct err *e)
{
    yyjson_val *o = yyjson_obj_get(http_body(rq), "override_settings");
    const char *model = yyjson_get_str(yyjson_obj_get(o, "sd_model_checkpoint"));
    char kept[MODEL_NAME_BYTES];
    if (model && *model) {
        *out = model;
        return http_body_bool(rq, "override_settings_restore_afterwards", true)
                   ? ERR_OK
                   : a1111_prefer_model(rq, model, e);
    }
    preferred_model(server_of(rq), kept);
    *out = kept[0] ? arena_strdup(http_arena(rq), str_from(kept)) : NULL;
    return kept[0] && !*out ? err_set(e, ERR_NOMEM, "no memory for the request") : ERR_OK;
}

enum err_code a1111_prefer_model(struct http_request *rq, const char *model, struct err *e)
{
    char name[MODEL_NAME_BYTES];
    enum err_code rc = model_choose(model, MODEL_TASK_IMAGES, name, NULL, e);
    if (rc != ERR_OK) {
        http_set_error_field(rq, "sd_model_checkpoint");
        http_set_error_status(rq, 422);
        return rc;
    }
    pthread_mutex_lock(&server_of(rq)->settings_lock);
    (void)snprintf(server_of(rq)->preferred_model, sizeof server_of(rq)->preferred_model, "%s",
                   name);
    pthread_mutex_unlock(&server_of(rq)->settings_lock);
    return ERR_OK;
}

/* ---- routes -------------------------------------------------------------------------------------------- */

static bool first_model(const struct model_seen *m, void *user)
{
    if (m->tasks & MODEL_TASK_IMAGES)
        (void)snprintf(user, MODEL_NAME_BYTES, "%s", m->name);
    return !(m->tasks & MODEL_TASK_IMAGES);
}

enum err_code a1111_get_options(struct http_request *rq, struct http_reply *re, struct err *e)
{
    char model[MODEL_NAME_BYTES];
    (void)e;
    preferred_model(server_of(rq), model);
    if (!model[0] && server_model(server_of(rq), NULL, MODEL_TASK_IMAGES))
        (void)snprintf(model, sizeof model, "%s", server_of(rq)->model);
    else if (!model[0])
        model_each(first_model, model);
    json_object(&re->body, NULL);
    json_put_z(&re->body, "sd_model_checkpoint", model);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        json_put_raw(&re->body, settings[i].name, str_from(settings[i].values[0]));
    json_end_object(&re->body);
    return ERR_OK;
}

enum err_code a1111_set_options(struct http_request *rq, struct http_reply *re, struct err *e)
{
    const char *model = http_body_str(rq, "sd_model_checkpoint", NULL);
    TRY(a1111_check_settings(rq, http_body(rq), "", e));
    if (model && *model)
        TRY(a1111_prefer_model(rq, model, e));
    json_put_null(&re->body, NULL);
    return ERR_OK;
}
