/* openai.c - the images API of OpenAI over our jobs: /v1/images/generations and /v1/images/edits, whole or as a
 * stream with partial images (openai_stream.c). Models of that API's names stand for the first of ours. What cannot
 * be done as asked is refused with the parameter's name; quality asks for no less than what is always made. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "http/check.h"
#include "server/compat/face.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/assets.h"

enum {
    SIDE_UNIT = 16,
};

#define COMMON_FIELDS                                                                              \
    {.name = "prompt", .type = HTTP_STRING, .lo = 1, .hi = 4194304, .required = true},             \
        {.name = "model",                                                                          \
         .type = HTTP_STRING,                                                                      \
         .hi = 255,                                                                                \
         .nullable = true,                                                                         \
         .help = "one of ours; a name of OpenAI's stands for the first of ours"},                  \
        {.name = "n", .type = HTTP_INT, .lo = 1, .hi = 10, .fallback = "1", .nullable = true},     \
        {.name = "size",                                                                           \
         .type = HTTP_STRING,                                                                      \
         .hi = 20,                                                                                 \
         .fallback = "\"auto\"",                                                                   \
         .nullable = true,                                                                         \
         .help = "\"1024x768\", sides of 64 to 2048 in steps of 16, or \"auto\""},                 \
        {.name = "quality",                                                                        \
         .type = HTTP_STRING,                                                                      \
         .values = "auto|low|medium|high|standard|hd",                                             \
         .fallback = "\"auto\"",                                                                   \
         .nullable = true,                                                                         \
         .help = "the least that is wanted: it is always the best that the model does"},           \
        {.name = "background",                                                                     \
         .type = HTTP_STRING,                                                                      \
         .values = "auto|opaque",                                                                  \
         .fallback = "\"auto\"",                                                                   \
         .nullable = true,                                                                         \
         .help = "always opaque: \"transparent\" is refused"},                                     \
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
        {.name = "output_compression",                                                             \
         .type = HTTP_INT,                                                                         \
         .lo = 0,                                                                                  \
         .hi = 100,                                                                                \
         .fallback = "100",                                                                        \
         .nullable = true,                                                                         \
         .help = "quality of jpeg and webp"},                                                      \
        {.name = "stream", .type = HTTP_BOOL, .fallback = "false", .nullable = true},              \
        {.name = "partial_images",                                                                 \
         .type = HTTP_INT,                                                                         \
         .lo = 0,                                                                                  \
         .hi = 3,                                                                                  \
         .fallback = "0",                                                                          \
         .nullable = true,                                                                         \
         .help = "previews of each image; needs stream"},                                          \
        {.name = "user",                                                                           \
         .type = HTTP_STRING,                                                                      \
         .hi = 255,                                                                                \
         .nullable = true,                                                                         \
         .help = "not looked at"},                                                                 \
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

static const struct http_field generation_body[] = {COMMON_FIELDS,
                                                    {.name = "moderation",
                                                     .type = HTTP_STRING,
                                                     .values = "auto|low",
                                                     .fallback = "\"auto\"",
                                                     .nullable = true,
                                                     .help = "nothing is moderated here"},
                                                    {0}};

static const struct http_field reference_fields[] = {
    {.name = "image_url",
     .type = HTTP_STRING,
     .nullable = true,
     .help = "a data URL, or an image of this server: its id or its address; nothing is fetched"},
    {.name = "file_id", .type = HTTP_STRING, .nullable = true, .help = "an image's id"},
    {0}};

static const struct http_field edit_body[] = {
    COMMON_FIELDS,
    {.name = "image",
     .type = HTTP_ARRAY,
     .items = HTTP_STRING,
     .lo = 1,
     .hi = VT_MAX_IMAGES,
     .nullable = true,
     .file = true,
     .help = "in forms: files; the first is edited, others are references"},
    {.name = "images",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = reference_fields,
     .lo = 1,
     .hi = VT_MAX_IMAGES,
     .nullable = true,
     .help = "in JSON: the first is edited, others are references"},
    {.name = "mask",
     .type = HTTP_ANY,
     .nullable = true,
     .file = true,
     .help = "a file, or an object like those of images: painted where it is transparent (without "
             "alpha: where it is white)"},
    {.name = "input_fidelity",
     .type = HTTP_STRING,
     .values = "high",
     .nullable = true,
     .help = "images are always followed closely: \"low\" is refused"},
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

/* Azure's clients send one; there is one version here. */
static const struct http_field version_query[] = {
    {.name = "api-version", .type = HTTP_STRING, .hi = 64, .help = "not looked at"}, {0}};

/* ---- the request --------------------------------------------------------------------------------------- */

static bool is_theirs(const char *model)
{
    return strncmp(model, "gpt-image", 9) == 0 || strncmp(model, "dall-e", 6) == 0 ||
           strncmp(model, "chatgpt-image", 13) == 0;
}

static bool is_side(int64_t v)
{
    return v >= 64 && v <= 2048 && v % SIDE_UNIT == 0;
}

static enum err_code parse_size(struct http_request *rq, const char *size, struct face_request *f,
                                struct err *e)
{
    const char *x = size ? strchr(size, 'x') : NULL;
    if (!size || strcmp(size, "auto") == 0)
        return ERR_OK;
    if (x && str_to_i64((struct str){size, (size_t)(x - size)}, &f->width) &&
        str_to_i64(str_from(x + 1), &f->height) && is_side(f->width) && is_side(f->height))
        return ERR_OK;
    return http_refuse(rq, 400, "size", e,
                       "size is '%.20s'; it should be \"auto\" or two sides of 64 to 2048 in steps "
                       "of %d, as \"1024x768\"",
                       size, SIDE_UNIT);
}

static enum err_code parse_format(struct http_request *rq, struct openai_stream *s, struct err *e)
{
    const char *name = http_body_str(rq, "output_format", "png");
    int64_t quality = http_body_int(rq, "output_compression", 100);
    s->partial = (int)http_body_int(rq, "partial_images", 0);
    s->format.kind = strcmp(name, "jpeg") == 0   ? IMAGE_FORMAT_JPEG
                     : strcmp(name, "webp") == 0 ? IMAGE_FORMAT_WEBP
                                                 : IMAGE_FORMAT_PNG;
    s->format.quality = quality < 1 ? 1 : (int)quality;
    if (s->format.kind == IMAGE_FORMAT_PNG && quality != 100)
        return http_refuse(rq, 400, "output_compression", e,
                           "output_compression is of jpeg and webp; png keeps every bit");
    if (!http_body_bool(rq, "stream", false) && s->partial)
        return http_refuse(rq, 400, "partial_images", e, "partial_images needs stream");
    if (http_body_bool(rq, "stream", false) &&
        strcmp(http_body_str(rq, "response_format", "b64_json"), "url") == 0)
        return http_refuse(rq, 400, "response_format", e, "a stream gives b64_json only");
    return ERR_OK;
}

/* The id at the end of this server's own address of an image, else the text as it is. */
static const char *without_address(const struct http_request *rq, const char *text)
{
    const char *rest = strncmp(text, "https://", 8) == 0  ? text + 8
                       : strncmp(text, "http://", 7) == 0 ? text + 7
                                                          : text;
    size_t n = rest != text && http_host(rq) ? strlen(http_host(rq)) : 0;
    if (rest != text && (!n || strncasecmp(rest, http_host(rq), n) != 0))
        return text;
    rest += n;
    return strncmp(rest, "/v1/assets/", 11) == 0 ? rest + 11 : text;
}

/* What stands for an image: a data URL, or an image that is here already. */
static enum err_code take_image(struct http_request *rq, const char *text, const char *field,
                                const char **id, struct err *e)
{
    struct asset a;
    struct err missing = {0};
    if (strncmp(text, "data:", 5) == 0)
        return face_upload(rq, str_from(text), field, id, e);
    *id = without_address(rq, text);
    if (asset_is_id(*id) && asset_get(store_of(rq), *id, &a, &missing) == ERR_OK)
        return ERR_OK;
    err_clear(&missing);
    return http_refuse(rq, 400, field, e,
                       "%s should be a data URL or an image of this server: its id, as POST "
                       "/v1/assets gives, or its address. Nothing is fetched from elsewhere",
                       field);
}

static enum err_code take_reference(struct http_request *rq, yyjson_val *v, const char *field,
                                    const char **id, struct err *e)
{
    yyjson_val *url = yyjson_obj_get(v, "image_url"), *file = yyjson_obj_get(v, "file_id");
    char path[CHECK_FIELD_SIZE];
    if (yyjson_is_str(v))
        return take_image(rq, yyjson_get_str(v), field, id, e);
    if (yyjson_is_str(url) == yyjson_is_str(file))
        return http_refuse(rq, 400, field, e, "%s should have image_url or file_id", field);
    (void)snprintf(path, sizeof path, "%s.%s", field, yyjson_is_str(url) ? "image_url" : "file_id");
    return take_image(rq, yyjson_get_str(yyjson_is_str(url) ? url : file), path, id, e);
}

static enum err_code take_list(struct http_request *rq, const char *name, struct face_request *f,
                               struct err *e)
{
    size_t i, max;
    yyjson_val *v;
    char field[64];
    yyjson_arr_foreach(yyjson_obj_get(http_body(rq), name), i, max, v)
    {
        if (f->n_images == VT_MAX_IMAGES)
            return http_refuse(rq, 400, name, e, "at most %d images can be used", VT_MAX_IMAGES);
        (void)snprintf(field, sizeof field, "%s[%zu]", name, i);
        enum err_code rc = take_reference(rq, v, field, &f->images[f->n_images++], e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code take_images(struct http_request *rq, struct face_request *f, struct err *e)
{
    yyjson_val *mask = yyjson_obj_get(http_body(rq), "mask");
    const char *id = NULL;
    TRY(take_list(rq, "image", f, e));
    TRY(take_list(rq, "images", f, e));
    if (!f->n_images)
        TRY(http_refuse(rq, 400, http_body_kind(rq) == HTTP_MULTIPART ? "image" : "images", e,
                        "there is no image to edit"));
    if (!mask || yyjson_is_null(mask))
        return ERR_OK;
    TRY(take_reference(rq, mask, "mask", &id, e));
    return face_mask_of_alpha(rq, id, &f->mask, e);
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
    TRY(face_check_prompt(rq, e));
    TRY(parse_size(rq, http_body_str(rq, "size", NULL), f, e));
    return edit ? take_images(rq, f, e) : ERR_OK;
}

/* ---- the whole answer ---------------------------------------------------------------------------------- */

/* The address of the image in that format, as a proxy in front says the client sees it: PNG as it is kept, others as an image of their own. */
static enum err_code add_url(struct http_request *rq, const char *id, struct face_format format,
                             struct buf *b, struct err *e)
{
    struct buf file;
    struct asset a;
    struct asset_note note = {.origin = "job", .trusted = true};
    const char *proto = http_header(rq, "X-Forwarded-Proto");
    enum err_code rc = ERR_OK;
    buf_init(&file, LIMIT_FILE);
    if (format.kind != IMAGE_FORMAT_PNG) {
        rc = face_file(store_of(rq), id, format, &file, e);
        if (rc == ERR_OK)
            rc = asset_put(store_of(rq), buf_str(&file), &note, &a, e);
        id = a.id;
    }
    if (rc == ERR_OK)
        buf_printf(b, "%s://%s/v1/assets/%s",
                   proto && strcasecmp(proto, "https") == 0 ? "https" : "http", http_host(rq), id);
    buf_deinit(&file);
    return rc;
}

static enum err_code answer(struct http_request *rq, struct http_reply *re,
                            const struct job_record *rec, struct face_format format, struct err *e)
{
    bool url = strcmp(http_body_str(rq, "response_format", "b64_json"), "url") == 0;
    struct face_image *images = arena_array(http_arena(rq), FACE_MAX_IMAGES, sizeof *images);
    struct buf *b = &re->body;
    size_t n = 0;
    enum err_code rc = images ? face_images(rec->result, images, &n, e)
                              : err_set(e, ERR_NOMEM, "no memory for the answer");
    buf_deinit(b);
    buf_init(b, LIMIT_IMAGES_REPLY);
    json_object(b, NULL);
    json_put_int(b, "created", rec->finished_ms / 1000);
    json_array(b, "data");
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        json_object(b, NULL);
        json_string(b, url ? "url" : "b64_json");
        rc = url ? add_url(rq, images[i].asset, format, b, e)
                 : face_base64(store_of(rq), images[i].asset, format, b, e);
        json_end_string(b);
        json_end_object(b);
    }
    json_end_array(b);
    if (rc == ERR_OK && n) {
        openai_put_look(b, format.kind, images[0].width, images[0].height);
        openai_put_usage(b);
    }
    json_end_object(b);
    return rc;
}

/* ---- routes -------------------------------------------------------------------------------------------- */

static enum err_code run(struct http_request *rq, struct http_reply *re, bool edit, struct err *e)
{
    struct job_record rec = {0}, ended = {0};
    struct openai_stream asked = {.edit = edit};
    struct face_request f;
    if (!face_heavy(rq, re))
        return ERR_OK;
    enum err_code rc = parse_format(rq, &asked, e);
    if (rc == ERR_OK && !http_again(rq)) {
        rc = take(rq, edit, &f, e);
        if (rc == ERR_OK)
            rc = face_submit(rq, &f, &rec, e);
    }
    if (rc == ERR_OK && http_body_bool(rq, "stream", false))
        rc = openai_stream(rq, re, &asked, rec.id, e);
    else if (rc == ERR_OK)
        rc = job_wait(rq, rec.id, &re->later, &ended, e);
    if (rc == ERR_OK && !re->later && !re->stream)
        rc = answer(rq, re, &ended, asked.format, e);
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
     "OpenAI: make images; with stream partial ones on the way", "openai", run_generation,
     .query = version_query, .body = generation_body, .gives = answer_fields, .accepts = HTTP_JSON,
     .max_body = LIMIT_TASK_BODY, .flags = HTTP_EVENTS | HTTP_KEYED},
    {HTTP_POST, "/v1/images/edits", "openaiEdits", "OpenAI: change images", "openai", run_edit,
     .query = version_query, .body = edit_body, .gives = answer_fields,
     .accepts = HTTP_MULTIPART | HTTP_JSON, .max_body = LIMIT_IMAGES_BODY,
     .flags = HTTP_EVENTS | HTTP_KEYED},
    {0}};
