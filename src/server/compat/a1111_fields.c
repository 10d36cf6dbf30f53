/* a1111_fields.c - the members of txt2img and img2img. Each is done, or cannot change the image, or is refused when
 * its value asks for something that is not there; a member of another name is refused as well. */
#include <stdio.h>
#include <string.h>

#include "http/check.h"
#include "server/compat/a1111.h"
#include "server/server_internal.h"

enum { BATCH_MAX = 16, BLUR_MAX = 256 };

#define IGNORED(NAME)                                                                              \
    {                                                                                              \
        .name = NAME, .type = HTTP_ANY, .nullable = true, .help = "without effect"                 \
    }
#define FIXED(NAME, HELP)                                                                          \
    {                                                                                              \
        .name = NAME, .type = HTTP_ANY, .nullable = true, .help = HELP                             \
    }

static const struct http_field any_settings[] = {{.name = "*", .type = HTTP_ANY}, {0}};

/* Clients send these along for their own use. */
#define CLIENTS_OWN                                                                                \
    IGNORED("url"), IGNORED("auth"), IGNORED("mode"), IGNORED("selection_info"),                   \
        IGNORED("mask_expansion"), IGNORED("expanded_mask"), IGNORED("original_prompt"),           \
        IGNORED("original_negative_prompt"), IGNORED("use_sharp_mask"),                            \
        IGNORED("use_prompt_shortcut"), IGNORED("prompt_shortcut_ui_dict"),                        \
        IGNORED("uniqueDocumentId")

#define COMMON_FIELDS                                                                              \
    {.name = "prompt", .type = HTTP_STRING, .hi = 4194304, .fallback = "\"\"", .nullable = true},  \
        {.name = "negative_prompt",                                                                \
         .type = HTTP_STRING,                                                                      \
         .hi = 4194304,                                                                            \
         .nullable = true,                                                                         \
         .help = "without effect: the models have none"},                                          \
        {.name = "seed",                                                                           \
         .type = HTTP_ANY,                                                                         \
         .fallback = "-1",                                                                         \
         .nullable = true,                                                                         \
         .help = "a whole number, as text, too; -1: any"},                                         \
        {.name = "steps", .type = HTTP_INT, .lo = 1, .hi = 1000, .nullable = true},                \
        {.name = "cfg_scale", .type = HTTP_NUMBER, .lo = 0, .hi = 100, .nullable = true},          \
        {.name = "width", .type = HTTP_INT, .lo = 64, .hi = 2048, .nullable = true},               \
        {.name = "height", .type = HTTP_INT, .lo = 64, .hi = 2048, .nullable = true},              \
        {.name = "batch_size", .type = HTTP_INT, .lo = 1, .hi = BATCH_MAX, .nullable = true},      \
        {.name = "n_iter", .type = HTTP_INT, .lo = 1, .hi = BATCH_MAX, .nullable = true},          \
        {.name = "sampler_name",                                                                   \
         .type = HTTP_STRING,                                                                      \
         .hi = 80,                                                                                 \
         .nullable = true,                                                                         \
         .help = "all of theirs run as Euler, as info says"},                                      \
        {.name = "sampler_index", .type = HTTP_STRING, .hi = 80, .nullable = true},                \
        {.name = "scheduler", .type = HTTP_STRING, .hi = 80, .nullable = true},                    \
        {.name = "override_settings",                                                              \
         .type = HTTP_OBJECT,                                                                      \
         .fields = any_settings,                                                                   \
         .nullable = true,                                                                         \
         .help = "sd_model_checkpoint; others as GET /sdapi/v1/options has them"},                 \
        {.name = "override_settings_restore_afterwards",                                           \
         .type = HTTP_BOOL,                                                                        \
         .fallback = "true",                                                                       \
         .nullable = true},                                                                        \
        {.name = "send_images",                                                                    \
         .type = HTTP_BOOL,                                                                        \
         .fallback = "true",                                                                       \
         .nullable = true,                                                                         \
         .help = "false: none in the answer"},                                                     \
        FIXED("alwayson_scripts", "{}"), FIXED("script_name", "none"), IGNORED("script_args"),     \
        FIXED("enable_hr", "false"), FIXED("restore_faces", "false"), FIXED("tiling", "false"),    \
        FIXED("styles", "[]"), FIXED("subseed_strength", "0"), FIXED("seed_resize_from_h", "-1"),  \
        FIXED("seed_resize_from_w", "-1"), FIXED("s_churn", "0"), FIXED("s_min_uncond", "0"),      \
        FIXED("refiner_checkpoint", "none"), FIXED("infotext", "none"), FIXED("clip_skip", "1"),   \
        IGNORED("subseed"), IGNORED("eta"), IGNORED("s_tmax"), IGNORED("s_tmin"),                  \
        IGNORED("s_noise"), IGNORED("refiner_switch_at"), IGNORED("disable_extra_networks"),       \
        IGNORED("comments"), IGNORED("force_task_id"), IGNORED("do_not_save_samples"),             \
        IGNORED("do_not_save_grid"), IGNORED("save_images"), CLIENTS_OWN

const struct http_field a1111_txt2img[] = {
    COMMON_FIELDS,

    /* Of the hires fix, which is refused. */
    IGNORED("denoising_strength"),
    IGNORED("firstphase_width"),
    IGNORED("firstphase_height"),
    IGNORED("firstpass_image"),
    IGNORED("hr_scale"),
    IGNORED("hr_upscaler"),
    IGNORED("hr_second_pass_steps"),
    IGNORED("hr_resize_x"),
    IGNORED("hr_resize_y"),
    IGNORED("hr_checkpoint_name"),
    IGNORED("hr_sampler_name"),
    IGNORED("hr_scheduler"),
    IGNORED("hr_prompt"),
    IGNORED("hr_negative_prompt"),
    /* Plugins send these with every mode. */
    IGNORED("mask_blur"),
    {0},
};

const struct http_field a1111_img2img[] = {
    COMMON_FIELDS,
    {.name = "init_images",
     .type = HTTP_ARRAY,
     .items = HTTP_STRING,
     .lo = 1,
     .hi = VT_MAX_IMAGES,
     .required = true,
     .help = "in base64; more than one: the others are references"},
    {.name = "resize_mode",
     .type = HTTP_INT,
     .lo = 0,
     .hi = 2,
     .fallback = "0",
     .nullable = true,
     .help = "0 stretch, 1 cut, 2 repeat the edges"},
    {.name = "denoising_strength",
     .type = HTTP_NUMBER,
     .lo = 0,
     .hi = 1,
     .fallback = "0.75",
     .nullable = true},
    {.name = "mask", .type = HTTP_STRING, .nullable = true, .help = "in base64; white is painted"},
    {.name = "mask_blur",
     .type = HTTP_INT,
     .lo = 0,
     .hi = BLUR_MAX,
     .fallback = "4",
     .nullable = true},
    {.name = "mask_blur_x", .type = HTTP_INT, .lo = 0, .hi = BLUR_MAX, .nullable = true},
    {.name = "mask_blur_y", .type = HTTP_INT, .lo = 0, .hi = BLUR_MAX, .nullable = true},
    {.name = "inpainting_fill",
     .type = HTTP_INT,
     .lo = 0,
     .hi = 3,
     .fallback = "0",
     .nullable = true,
     .help = "under the mask: 0 colours from around it, 1 the image, 2 noise, 3 grey"},
    {.name = "inpaint_full_res",
     .type = HTTP_ANY,
     .fallback = "true",
     .nullable = true,
     .help = "true: work on the masked part alone, at the size of width and height"},
    {.name = "inpaint_full_res_padding",
     .type = HTTP_INT,
     .lo = 0,
     .hi = 4096,
     .fallback = "0",
     .nullable = true},
    {.name = "inpainting_mask_invert",
     .type = HTTP_ANY,
     .fallback = "0",
     .nullable = true,
     .help = "1: black is painted"},
    {.name = "include_init_images", .type = HTTP_BOOL, .fallback = "false", .nullable = true},
    FIXED("latent_mask", "none"),
    FIXED("initial_noise_multiplier", "1"),
    FIXED("mask_round", "true"),
    IGNORED("image_cfg_scale"),
    {0}};

/* ---- numbers ----------------------------------------------------------------------------------------------- */

static bool as_int(yyjson_val *v, int64_t *out)
{
    if (yyjson_is_bool(v))
        *out = yyjson_get_bool(v);
    else if (yyjson_is_uint(v))
        *out = yyjson_get_uint(v) > INT64_MAX ? INT64_MAX : (int64_t)yyjson_get_uint(v);
    else if (yyjson_is_sint(v))
        *out = yyjson_get_sint(v);
    else if (yyjson_equals_str(v, "true") || yyjson_equals_str(v, "false"))
        *out = yyjson_equals_str(v, "true");
    else
        return yyjson_is_str(v) && str_to_i64(str_from(yyjson_get_str(v)), out);
    return true;
}

enum err_code a1111_int(struct http_request *rq, const char *name, int64_t lo, int64_t hi,
                        int64_t fallback, int64_t *out, struct err *e)
{
    yyjson_val *v = yyjson_obj_get(http_body(rq), name);
    *out = fallback;
    if (!v || yyjson_is_null(v))
        return ERR_OK;
    if (as_int(v, out) && *out >= lo && *out <= hi)
        return ERR_OK;
    return http_refuse(rq, 422, name, e, "%s should be a whole number from %lld to %lld", name,
                       (long long)lo, (long long)hi);
}

/* ---- what is refused --------------------------------------------------------------------------------------- */

/* A member whose values are fine up to limit, as a number; 1 stands for true and for anything that is not empty. */
struct rule {
    const char *name;
    double lo, hi;
    const char *why;
};

static const struct rule rules[] = {
    {"enable_hr", 0, 0,
     "there is no hires fix here: ask for the size itself, or enlarge with extra-single-image"},
    {"restore_faces", 0, 0, "no face restorer is here"},
    {"tiling", 0, 0, "images that tile cannot be made"},
    {"styles", 0, 0, "there are no prompt styles here"},
    {"subseed_strength", 0, 0, "variation seeds cannot be mixed in"},
    {"seed_resize_from_h", -1, 0, "seeds cannot be resized"},
    {"seed_resize_from_w", -1, 0, "seeds cannot be resized"},
    {"s_churn", 0, 0, "the sampler adds no noise on the way"},
    {"s_min_uncond", 0, 0, "no step leaves guidance out"},
    {"refiner_checkpoint", 0, 0, "no refiner can take over"},
    {"infotext", 0, 0, "parameters cannot be taken from a text; send them as members"},
    {"clip_skip", 0, 1, "layers of the text encoder cannot be skipped"},
    {"latent_mask", 0, 0, "there is one mask"},
    {"initial_noise_multiplier", 1, 1, "noise is not scaled"},
    {"mask_round", 1, 1, "masks are round in latents; mask_blur makes soft edges"},
};

static double weight_of(yyjson_val *v)
{
    if (yyjson_is_num(v))
        return yyjson_get_num(v);
    if (yyjson_is_bool(v))
        return yyjson_get_bool(v);
    if (yyjson_is_str(v))
        return yyjson_get_len(v) && !yyjson_equals_str(v, "None");
    return yyjson_get_len(v) > 0;
}

static enum err_code check_rules(struct http_request *rq, struct err *e)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *r = &rules[i];
        yyjson_val *v = yyjson_obj_get(http_body(rq), r->name);
        double w = weight_of(v);
        if (v && !yyjson_is_null(v) && !(w >= r->lo && w <= r->hi))
            return http_refuse(rq, 422, r->name, e, "%s: %s", r->name, r->why);
    }
    return ERR_OK;
}

/* As they answer for scripts that are not installed. */
static enum err_code check_scripts(struct http_request *rq, struct err *e)
{
    yyjson_val *always = yyjson_obj_get(http_body(rq), "alwayson_scripts");
    yyjson_val *script = yyjson_obj_get(http_body(rq), "script_name");
    yyjson_obj_iter it;
    if (yyjson_is_str(script) && yyjson_get_len(script) && !yyjson_equals_str(script, "None"))
        return http_refuse(rq, 422, NULL, e, "Script '%.80s' not found", yyjson_get_str(script));
    if (always && !yyjson_is_null(always) && !yyjson_is_obj(always) && yyjson_get_len(always))
        return http_refuse(rq, 422, "alwayson_scripts", e, "alwayson_scripts should be an object");
    if (yyjson_is_obj(always) && yyjson_obj_iter_init(always, &it)) {
        yyjson_val *name = yyjson_obj_iter_next(&it);
        if (name)
            return http_refuse(rq, 422, NULL, e, "always on script %.80s not found",
                               yyjson_get_str(name));
    }
    return ERR_OK;
}

/* Names that their clients have as defaults; older ones put the scheduler behind. */
static const char known_samplers[] =
    "DPM++ 2M|DPM++ SDE|DPM++ 2M SDE|DPM++ 2M SDE Heun|DPM++ 2S a|DPM++ 3M SDE|Euler "
    "a|Euler|LMS|Heun|"
    "DPM2|DPM2 a|DPM fast|DPM adaptive|Restart|DDIM|DDIM CFG++|PLMS|UniPC|LCM|k_euler|euler";
static const char known_schedulers[] =
    "Automatic|Uniform|Karras|Exponential|Polyexponential|SGM Uniform|KL Optimal|Align Your Steps|"
    "Simple|Normal|DDIM|Beta|automatic|uniform|karras|exponential|polyexponential|sgm_uniform|"
    "kl_optimal|align_your_steps|simple|normal|ddim|beta";

bool a1111_is_sampler(const char *name)
{
    const struct str schedulers[] = {STR_LIT(" Karras"), STR_LIT(" Exponential")};
    struct str s = str_from(name);
    for (size_t i = 0; i < sizeof schedulers / sizeof schedulers[0]; i++)
        if (str_ends(s, schedulers[i]))
            s.n -= schedulers[i].n;
    return check_among(known_samplers, s);
}

static enum err_code check_sampler(struct http_request *rq, struct err *e)
{
    const char *name = http_body_str(rq, "sampler_name", NULL);
    const char *scheduler = http_body_str(rq, "scheduler", NULL);
    if (!name || !*name)
        name = http_body_str(rq, "sampler_index", NULL);
    if (name && *name && !a1111_is_sampler(name))
        return http_refuse(rq, 400, NULL, e, "Sampler not found: %.80s", name);
    if (scheduler && *scheduler && !check_among(known_schedulers, str_from(scheduler)))
        return http_refuse(rq, 422, "scheduler", e, "there is no scheduler '%.80s'", scheduler);
    return ERR_OK;
}

enum err_code a1111_check(struct http_request *rq, struct err *e)
{
    TRY(check_rules(rq, e));
    TRY(check_scripts(rq, e));
    TRY(check_sampler(rq, e));
    return a1111_check_settings(rq, yyjson_obj_get(http_body(rq), "override_settings"),
                                "override_settings.", e);
}
