#include "server/api/asset_json.h"

#include "base/json_text.h"
#include "http/events.h"
#include "image/save.h"
#include "server/api/recipe_json.h"
#include "server/jobs/queue.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/server_internal.h"

#define OF_RESULT(NAME, HELP)                                                                      \
    {                                                                                              \
        .name = NAME, .type = HTTP_STRING, .required = true, .nullable = true, .help = HELP        \
    }

#define ASSET_ROWS                                                                                 \
    {.name = "id",                                                                                 \
     .type = HTTP_ASSET,                                                                           \
     .required = true,                                                                             \
     .help = "sha256 of the file: 64 hexadecimal digits"},                                         \
        {.name = "type",                                                                           \
         .type = HTTP_STRING,                                                                      \
         .required = true,                                                                         \
         .values = "image/png|image/jpeg|image/webp"},                                             \
        {.name = "width", .type = HTTP_INT, .required = true, .help = "upright, in pixels"},       \
        {.name = "height", .type = HTTP_INT, .required = true},                                    \
        {.name = "alpha",                                                                          \
         .type = HTTP_BOOL,                                                                        \
         .required = true,                                                                         \
         .help = "whether it has a channel for transparency"},                                     \
        {.name = "bytes", .type = HTTP_INT, .required = true, .help = "size of the file"},         \
        {.name = "name",                                                                           \
         .type = HTTP_STRING,                                                                      \
         .required = true,                                                                         \
         .help = "what its uploader called it"},                                                   \
        {.name = "origin",                                                                         \
         .type = HTTP_STRING,                                                                      \
         .required = true,                                                                         \
         .help = "who put it in first: upload, result (of a job), render, found"},                 \
        {.name = "created_ms",                                                                     \
         .type = HTTP_INT,                                                                         \
         .required = true,                                                                         \
         .help = "milliseconds since 1970"},                                                       \
        {.name = "url", .type = HTTP_STRING, .required = true, .help = "path of the file"},        \
        {.name = "starred", .type = HTTP_BOOL, .required = true},                                  \
        {.name = "trashed", .type = HTTP_BOOL, .required = true},                                  \
        OF_RESULT("job", "the last job that made it; null where none did"),                        \
        OF_RESULT("task", "generate, edit or layers"), OF_RESULT("model", "its name"),             \
        OF_RESULT("prompt", "of a long one the first 2,000 bytes; the recipe has all of it"),      \
    {                                                                                              \
        .name = "seed", .type = HTTP_INT, .required = true, .nullable = true                       \
    }

const struct http_field asset_fields[] = {ASSET_ROWS, {0}};

const struct http_field asset_info_fields[] = {
    ASSET_ROWS,
    {.name = "digital_source_type",
     .type = HTTP_STRING,
     .values = "trainedAlgorithmicMedia|compositeWithTrainedAlgorithmicMedia|compositeSynthetic",
     .required = true,
     .nullable = true,
     .help = "IPTC's term for where the file says that it comes from; null where it says nothing"},
    {.name = "recipe",
     .type = HTTP_OBJECT,
     .fields = recipe_fields,
     .required = true,
     .nullable = true,
     .help = "what the file says of how it was made; null where it says nothing"},
    {0}};

static void put_made(const struct asset *a, struct buf *b)
{
    const bool made = a->job[0];
    json_put_z(b, "job", made ? a->job : NULL);
    json_put_z(b, "task", made ? a->task : NULL);
    json_put_z(b, "model", made ? a->model : NULL);
    json_put_z(b, "prompt", made ? a->prompt : NULL);
    if (made)
        json_put_int(b, "seed", a->seed);
    else
        json_put_null(b, "seed");
}

void asset_put_url(struct buf *b, const char *id)
{
    json_string(b, "url");
    buf_printf(b, "/v1/assets/%s", id);
    json_end_string(b);
}

static void put_members(const struct asset *a, struct buf *b)
{
    json_put_z(b, "id", a->id);
    json_put_z(b, "type", asset_mime(a->format));
    json_put_int(b, "width", a->width);
    json_put_int(b, "height", a->height);
    json_put_bool(b, "alpha", a->alpha);
    json_put_uint(b, "bytes", a->bytes);
    json_put_z(b, "name", a->name);
    json_put_z(b, "origin", a->origin);
    json_put_int(b, "created_ms", a->created_ms);
    asset_put_url(b, a->id);
    json_put_bool(b, "starred", a->starred);
    json_put_bool(b, "trashed", a->trashed);
    put_made(a, b);
}

void asset_json(const struct asset *a, struct buf *b)
{
    json_object(b, NULL);
    put_members(a, b);
    json_end_object(b);
}

enum err_code asset_info_json(struct store *s, const struct asset *a, struct buf *b, struct err *e)
{
    struct image_about about;
    image_about_init(&about);
    enum err_code rc = asset_about(s, a->id, NULL, &about, e);
    if (rc == ERR_OK) {
        json_object(b, NULL);
        put_members(a, b);
        json_put_z(b, "digital_source_type", image_source_term(about.source));
        recipe_json(b, "recipe", buf_str(&about.recipe));
        json_end_object(b);
    }
    image_about_deinit(&about);
    return rc;
}

void asset_tell(const char *id, bool deleted, void *user)
{
    const struct server *s = user;
    struct buf b;
    buf_init(&b, LIMIT_SMALL_EVENT);
    json_object(&b, NULL);
    json_put_z(&b, "id", id);
    if (deleted)
        json_put_bool(&b, "deleted", true);
    json_end_object(&b);
    events_publish(s->events, QUEUE_ALL_EVENTS, "asset", buf_str(&b), EVENTS_KEEP);
    buf_deinit(&b);
}
