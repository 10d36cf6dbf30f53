#include "server/api/schemas.h"

#include "server/api/job_json.h"
#include "server/routes.h"

#define NEEDED(NAME, TYPE)                                                                         \
    {                                                                                              \
        .name = NAME, .type = TYPE, .required = true                                               \
    }
#define MORE                                                                                       \
    {                                                                                              \
        .name = "*", .type = HTTP_ANY                                                              \
    }

/* ---- results ------------------------------------------------------------------------------------------- */

static const struct http_field image_fields[] = {NEEDED("asset", HTTP_ASSET),
                                                 NEEDED("seed", HTTP_INT),
                                                 NEEDED("width", HTTP_INT),
                                                 NEEDED("height", HTTP_INT),
                                                 MORE,
                                                 {0}};

static const struct http_field seconds_fields[] = {{.name = "load", .type = HTTP_NUMBER},
                                                   {.name = "text", .type = HTTP_NUMBER},
                                                   {.name = "encode", .type = HTTP_NUMBER},
                                                   {.name = "steps", .type = HTTP_NUMBER},
                                                   {.name = "decode", .type = HTTP_NUMBER},
                                                   NEEDED("total", HTTP_NUMBER),
                                                   {0}};

static const struct http_field warning_fields[] = {NEEDED("code", HTTP_STRING),
                                                   NEEDED("detail", HTTP_STRING),
                                                   {.name = "value", .type = HTTP_NUMBER},
                                                   {0}};

static const struct http_field passes_fields[] = {
    NEEDED("computed", HTTP_INT),
    {.name = "left_out", .type = HTTP_INT, .required = true, .help = "by `fast`"},
    {0}};

/* What every result ends with. job: where a request waited for it. */
#define RESULT_ROWS                                                                                \
    {.name = "job", .type = HTTP_STRING, .help = "with ?wait=true"},                               \
        {.name = "seconds", .type = HTTP_OBJECT, .fields = seconds_fields, .required = true},      \
        {.name = "passes", .type = HTTP_OBJECT, .fields = passes_fields},                          \
        NEEDED("device", HTTP_STRING),                                                             \
        {.name = "notes", .type = HTTP_ARRAY, .items = HTTP_STRING, .required = true},             \
        {.name = "warnings",                                                                       \
         .type = HTTP_ARRAY,                                                                       \
         .items = HTTP_OBJECT,                                                                     \
         .fields = warning_fields,                                                                 \
         .required = true},                                                                        \
        NEEDED("doubtful", HTTP_BOOL), MORE

static const struct http_field images_result[] = {{.name = "images",
                                                   .type = HTTP_ARRAY,
                                                   .items = HTTP_OBJECT,
                                                   .fields = image_fields,
                                                   .required = true},
                                                  NEEDED("model", HTTP_STRING),
                                                  NEEDED("prompt", HTTP_STRING),
                                                  NEEDED("steps", HTTP_INT),
                                                  NEEDED("guidance", HTTP_NUMBER),
                                                  NEEDED("width", HTTP_INT),
                                                  NEEDED("height", HTTP_INT),
                                                  RESULT_ROWS,
                                                  {0}};

static const struct http_field result_layer_fields[] = {NEEDED("asset", HTTP_ASSET),
                                                        NEEDED("id", HTTP_STRING),
                                                        NEEDED("name", HTTP_STRING),
                                                        NEEDED("x", HTTP_INT),
                                                        NEEDED("y", HTTP_INT),
                                                        NEEDED("width", HTTP_INT),
                                                        NEEDED("height", HTTP_INT),
                                                        NEEDED("opacity", HTTP_NUMBER),
                                                        NEEDED("blend_mode", HTTP_STRING),
                                                        NEEDED("visible", HTTP_BOOL),
                                                        MORE,
                                                        {0}};

static const struct http_field layers_result[] = {NEEDED("width", HTTP_INT),
                                                  NEEDED("height", HTTP_INT),
                                                  {.name = "layers",
                                                   .type = HTTP_ARRAY,
                                                   .items = HTTP_OBJECT,
                                                   .fields = result_layer_fields,
                                                   .required = true},
                                                  NEEDED("composite", HTTP_ASSET),
                                                  NEEDED("model", HTTP_STRING),
                                                  NEEDED("seed", HTTP_INT),
                                                  NEEDED("steps", HTTP_INT),
                                                  RESULT_ROWS,
                                                  {0}};

static const struct http_field caption_result[] = {NEEDED("caption", HTTP_STRING),
                                                   NEEDED("language", HTTP_STRING),
                                                   NEEDED("tokens", HTTP_INT),
                                                   NEEDED("complete", HTTP_BOOL),
                                                   RESULT_ROWS,
                                                   {0}};

static const struct http_field error_fields[] = {
    NEEDED("code", HTTP_STRING),
    NEEDED("status", HTTP_INT),
    NEEDED("detail", HTTP_STRING),
    {.name = "log",
     .type = HTTP_STRING,
     .help = "the last lines of an engine whose process died of the job"},
    {.name = "refused",
     .type = HTTP_BOOL,
     .help =
         "true: the request has ended the engine twice, and is not tried again until the server "
         "is started anew"},
    {0}};

/* ---- events -------------------------------------------------------------------------------------------- */

/* What every event of a job begins with. */
#define EVENT_ROWS                                                                                 \
    NEEDED("id", HTTP_STRING),                                                                     \
        {.name = "project", .type = HTTP_STRING, .nullable = true, .required = true},              \
    {                                                                                              \
        .name = "layer", .type = HTTP_STRING, .nullable = true, .required = true                   \
    }

static const struct http_field queued_fields[] = {EVENT_ROWS,
                                                  NEEDED("state", HTTP_STRING),
                                                  NEEDED("position", HTTP_INT),
                                                  {.name = "kind", .type = HTTP_STRING},
                                                  {0}};

static const struct http_field progress_fields[] = {EVENT_ROWS,
                                                    NEEDED("state", HTTP_STRING),
                                                    NEEDED("elapsed", HTTP_NUMBER),
                                                    {.name = "stage", .type = HTTP_STRING},
                                                    {.name = "done",
                                                     .type = HTTP_NUMBER,
                                                     .help = "of this stage and image, 0 to 1, "
                                                             "never less than before"},
                                                    {.name = "step", .type = HTTP_INT},
                                                    {.name = "steps", .type = HTTP_INT},
                                                    {.name = "image", .type = HTTP_INT},
                                                    {.name = "images", .type = HTTP_INT},
                                                    {.name = "seconds_left", .type = HTTP_NUMBER},
                                                    {0}};

static const struct http_field preview_fields[] = {
    EVENT_ROWS,
    NEEDED("step", HTTP_INT),
    NEEDED("width", HTTP_INT),
    NEEDED("height", HTTP_INT),
    {.name = "tiles",
     .type = HTTP_INT,
     .required = true,
     .help = "images of equal width side by side: the layers, bottom first; else 1"},
    {.name = "type", .type = HTTP_STRING, .values = "image/jpeg", .required = true},
    {.name = "data", .type = HTTP_STRING, .required = true, .help = "in base64"},
    {0}};

static const struct http_field end_fields[] = {
    EVENT_ROWS,
    {.name = "state", .type = HTTP_STRING, .values = JOB_END_VALUES, .required = true},
    {.name = "result", .type = HTTP_OBJECT, .schemas = "ImagesResult|LayersResult|CaptionResult"},
    {.name = "error", .type = HTTP_OBJECT, .schemas = "JobError"},
    {0}};

static const struct http_field changed_fields[] = {
    NEEDED("id", HTTP_STRING),
    NEEDED("revision", HTTP_INT),
    {.name = "deleted", .type = HTTP_BOOL, .help = "true when it is gone"},
    {0}};

static const struct http_field asset_changed_fields[] = {
    NEEDED("id", HTTP_ASSET),
    {.name = "deleted", .type = HTTP_BOOL, .help = "true: it is gone; else new or changed"},
    {0}};

static const struct http_field nothing[] = {{0}};

static const struct http_field models_fields[] = {
    {.name = "open",
     .type = HTTP_STRING,
     .nullable = true,
     .required = true,
     .help = "of several engines that of the first which has one open"},
    {.name = "open_models",
     .type = HTTP_ARRAY,
     .items = HTTP_STRING,
     .required = true,
     .help = "of all engines, each once"},
    {0}};

/* ---- names --------------------------------------------------------------------------------------------- */

const struct schema_name schema_names[] = {
    {"GenerateRequest", fields_generate},
    {"EditRequest", fields_edit},
    {"LayersRequest", fields_layers},
    {"CaptionRequest", fields_caption},
    {"Job", job_fields},
    {"JobError", error_fields},
    {"ImagesResult", images_result},
    {"LayersResult", layers_result},
    {"CaptionResult", caption_result},
    {"JobQueued", queued_fields},
    {"JobProgress", progress_fields},
    {"JobPreview", preview_fields},
    {"JobEnd", end_fields},
    {"Queue", queue_fields},
    {"Plan", plan_fields},
    {"PreferencesChanged", nothing},
    {"OpenModel", models_fields},
    {"AssetChanged", asset_changed_fields},
    {"Telemetry", telemetry_fields},
    {"ProjectChanged", changed_fields},
    {"Project", project_fields},
    {"Layer", layer_fields},
    {"Asset", asset_fields},
    {"Model", model_fields},
    {NULL, NULL},
};

#define END_EVENT(STATE, NAME, ...) NAME " JobEnd",
const char *const schema_job_events[] = {"queued JobQueued", "stage JobProgress",
                                         "step JobProgress", "preview JobPreview",
                                         JOB_STATES_ENDED(END_EVENT) NULL};

#define ALL_END_EVENT(STATE, NAME, ...) "job." NAME " JobEnd",
const char *const schema_all_events[] = {"job.queued JobQueued",
                                         "job.stage JobProgress",
                                         "job.step JobProgress",
                                         "job.preview JobPreview",
                                         JOB_STATES_ENDED(ALL_END_EVENT) "job.changed Job",
                                         "queue Queue",
                                         "asset AssetChanged",
                                         "preferences PreferencesChanged",
                                         "models OpenModel",
                                         "project ProjectChanged",
                                         "telemetry Telemetry",
                                         NULL};

const char *const schema_telemetry_events[] = {"telemetry Telemetry", NULL};

const char *schema_name_of(const struct http_field *fields)
{
    for (const struct schema_name *n = schema_names; fields && n->name; n++)
        if (n->fields == fields)
            return n->name;
    return NULL;
}
