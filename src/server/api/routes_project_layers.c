/* routes_project_layers.c - the layers of a project one by one, and those that a job made; what a layer is. */
#include <string.h>

#include "server/api/project_change.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/project_json.h"
#include "store/projects.h"

/* ---- what a layer is ---------------------------------------------------------------------------- */

#define BLEND_MODE_NAMES                                                                           \
    "normal|multiply|screen|overlay|darken|lighten|color-dodge|color-burn|hard-light|soft-light|"  \
    "difference|exclusion|add|hue|saturation|color|luminosity"

#define LAYER_ROWS                                                                                 \
    {.name = "id",                                                                                 \
     .type = HTTP_STRING,                                                                          \
     .lo = 0,                                                                                      \
     .hi = LAYER_ID_SIZE - 1,                                                                      \
     .help = "stays with the layer for life; made when it is not given"},                          \
        {.name = "kind",                                                                           \
         .type = HTTP_STRING,                                                                      \
         .values = "image|group",                                                                  \
         .fallback = "\"image\"",                                                                  \
         .help = "the members of a group lie together, directly below it in the list"},            \
        {.name = "parent",                                                                         \
         .type = HTTP_STRING,                                                                      \
         .lo = 1,                                                                                  \
         .hi = LAYER_ID_SIZE - 1,                                                                  \
         .nullable = true,                                                                         \
         .help = "the group that it lies in"},                                                     \
        {.name = "name", .type = HTTP_STRING, .hi = LAYER_NAME_SIZE - 1, .help = "for people"},    \
        {.name = "warning",                                                                        \
         .type = HTTP_STRING,                                                                      \
         .hi = PROJECT_WARNING_SIZE - 1,                                                           \
         .nullable = true,                                                                         \
         .help = "why it is doubtful"},                                                            \
        {.name = "asset",                                                                          \
         .type = HTTP_ASSET,                                                                       \
         .nullable = true,                                                                         \
         .help = "the image that it shows, or that a group was taken apart from; an image needs "  \
                 "one"},                                                                           \
        {.name = "mask",                                                                           \
         .type = HTTP_ASSET,                                                                       \
         .nullable = true,                                                                         \
         .help = "grey levels, stretched over the layer's image; black hides"},                    \
        {.name = "x",                                                                              \
         .type = HTTP_NUMBER,                                                                      \
         .lo = -LAYER_OFFSET_MAX,                                                                  \
         .hi = LAYER_OFFSET_MAX,                                                                   \
         .fallback = "0",                                                                          \
         .help = "of the image's upper left corner on the canvas"},                                \
        {.name = "y",                                                                              \
         .type = HTTP_NUMBER,                                                                      \
         .lo = -LAYER_OFFSET_MAX,                                                                  \
         .hi = LAYER_OFFSET_MAX,                                                                   \
         .fallback = "0"},                                                                         \
        {.name = "scale_x",                                                                        \
         .type = HTTP_NUMBER,                                                                      \
         .lo = -1000,                                                                              \
         .hi = 1000,                                                                               \
         .fallback = "1",                                                                          \
         .help = "not 0; negative mirrors"},                                                       \
        {.name = "scale_y", .type = HTTP_NUMBER, .lo = -1000, .hi = 1000, .fallback = "1"},        \
        {.name = "rotation",                                                                       \
         .type = HTTP_NUMBER,                                                                      \
         .lo = -360,                                                                               \
         .hi = 360,                                                                                \
         .fallback = "0",                                                                          \
         .help = "degrees, clockwise, about the image's upper left corner"},                       \
        {.name = "opacity", .type = HTTP_NUMBER, .lo = 0, .hi = 1, .fallback = "1"},               \
        {.name = "blend_mode",                                                                     \
         .type = HTTP_STRING,                                                                      \
         .values = BLEND_MODE_NAMES,                                                               \
         .fallback = "\"normal\""},                                                                \
        {.name = "visible", .type = HTTP_BOOL, .fallback = "true"},                                \
    {                                                                                              \
        .name = "locked", .type = HTTP_BOOL, .fallback = "false"                                   \
    }

const struct http_field layer_fields[] = {LAYER_ROWS, {0}};

static const struct http_field layer_body[] = {
    {.name = "index",
     .type = HTTP_INT,
     .lo = 0,
     .hi = PROJECT_LAYERS_MAX,
     .help =
         "its place in the stack, 0 is the bottom; a new layer goes on top, also of its group's "
         "members. A group's members go where it goes"},
    LAYER_ROWS,
    {0}};

/* ---- single layers ------------------------------------------------------------------------------ */

static enum err_code find_layer(struct http_request *rq, const struct project *p, size_t *at,
                                struct err *e)
{
    const char *id = http_path(rq, "layer");
    *at = project_find(p, id);
    if (*at == p->n)
        return err_set(e, ERR_NOTFOUND, "the project has no layer '%.70s'", id);
    return ERR_OK;
}

static enum err_code add_change(struct http_request *rq, struct project *p,
                                struct project_change *c, struct err *e)
{
    (void)c;
    struct project_layer l = project_layer_defaults();
    enum err_code rc = project_json_layer(http_body(rq), "layer", &l, e);
    int64_t index = http_body_int(rq, "index", (int64_t)project_top_of(p, l.parent));
    if (rc == ERR_OK)
        rc = project_insert(p, (size_t)index, &l, e);
    if (rc == ERR_OK)
        rc = project_check(p, e);
    return project_blame_member(rq, rc, e);
}

static enum err_code add_layer(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return project_apply(rq, re, "add layer", add_change, e);
}

/* Where the layer goes when nothing says it: into a new group on top of the members, else nowhere. */
static size_t new_place(const struct project *p, size_t at, const char *parent_before)
{
    const char *parent = p->layers[at].parent;
    size_t lowest = project_lowest(p, at), top = project_top_of(p, parent);
    bool nowhere = top == p->n && parent[0], in_itself = top >= lowest && top <= at;
    if (strcmp(parent, parent_before) == 0 || nowhere || in_itself)
        return at; /* the check has the words for it */
    return top > at ? top - 1 : top + at - lowest;
}

static enum err_code move_layer(struct project *p, size_t at, int64_t to, struct err *e)
{
    size_t members = at - project_lowest(p, at);
    if ((uint64_t)to >= p->n)
        return err_set(e, ERR_ARG, "'index' is %lld; the project has %zu layers", (long long)to,
                       p->n);
    if ((uint64_t)to < members)
        return err_set(e, ERR_ARG, "'index' is %lld; the group has %zu members, which lie below it",
                       (long long)to, members);
    project_move(p, at, (size_t)to);
    return project_check(p, e);
}

/* A group that becomes an image again loses its members. */
static enum err_code change_one(struct http_request *rq, struct project *p, size_t at,
                                struct err *e)
{
    const struct project_layer before = p->layers[at];
    TRY(project_json_layer(http_body(rq), "layer", &p->layers[at], e));
    if (before.kind == PROJECT_GROUP && p->layers[at].kind == PROJECT_IMAGE) {
        project_remove_members(p, at);
        at = project_find(p, before.id);
    }
    int64_t to = http_body_int(rq, "index", (int64_t)new_place(p, at, before.parent));
    return move_layer(p, at, to, e);
}

static enum err_code layer_change(struct http_request *rq, struct project *p,
                                  struct project_change *c, struct err *e)
{
    (void)c;
    size_t at = 0;
    TRY(find_layer(rq, p, &at, e));
    if (strcmp(http_body_str(rq, "id", p->layers[at].id), p->layers[at].id) != 0)
        return http_refuse(rq, 422, "id", e, "a layer's id stays with it for life");
    return project_blame_member(rq, change_one(rq, p, at, e), e);
}

static enum err_code patch_layer(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return project_apply(rq, re, "change layer", layer_change, e);
}

static enum err_code remove_change(struct http_request *rq, struct project *p,
                                   struct project_change *c, struct err *e)
{
    (void)c;
    size_t at = 0;
    TRY(find_layer(rq, p, &at, e));
    project_remove(p, at);
    return ERR_OK;
}

static enum err_code remove_layer(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return project_apply(rq, re, "remove layer", remove_change, e);
}

static const struct http_field import_body[] = {
    {.name = "job",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = 64,
     .required = true,
     .help = "a finished job with layers or images"},
    {.name = "replace",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = LAYER_ID_SIZE - 1,
     .help = "the layer whose image was taken apart; without it they go on top"},
    {.name = "group",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "the replaced layer becomes a group, which remembers its image, and they its members"},
    {0}};

static enum err_code import_change(struct http_request *rq, struct project *p,
                                   struct project_change *c, struct err *e)
{
    (void)c;
    const struct project_source from = {.job = http_body_str(rq, "job", ""),
                                        .replace = http_body_str(rq, "replace", NULL),
                                        .group = http_body_bool(rq, "group", false)};
    const char *field = from.replace && project_find(p, from.replace) == p->n ? "replace" : "job";
    return project_blame_reference(rq, project_import(store_of(rq), p, &from, e), field, e);
}

static enum err_code import(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return project_apply(rq, re, "import", import_change, e);
}

#define TAG .tag = "projects"

const struct http_route routes_project_layers[] = {
    {HTTP_POST, "/v1/projects/{id}/import", "importIntoProject",
     "Put a job's layers or images into a project", TAG, .run = import, .flags = HTTP_IF_MATCH,
     .query = project_change_query, .body = import_body, .gives = project_fields,
     .accepts = HTTP_JSON},
    {HTTP_POST, "/v1/projects/{id}/layers", "addLayer", "Add a layer", TAG, .run = add_layer,
     .flags = HTTP_IF_MATCH, .query = project_change_query, .body = layer_body,
     .gives = project_fields, .accepts = HTTP_JSON, .status = 201},
    {HTTP_PATCH, "/v1/projects/{id}/layers/{layer}", "changeLayer",
     "Change a layer, or its place in the stack", TAG, .run = patch_layer,
     .query = project_change_query, .body = layer_body, .gives = project_fields,
     .accepts = HTTP_JSON, .flags = HTTP_MERGE | HTTP_IF_MATCH},
    {HTTP_DELETE, "/v1/projects/{id}/layers/{layer}", "removeLayer", "Take a layer out", TAG,
     .run = remove_layer, .flags = HTTP_IF_MATCH, .query = project_change_query,
     .gives = project_fields},
    {0}};
