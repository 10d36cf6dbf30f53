/* routes_projects.c - projects: JSON documents with a revision as their ETag, and undo. Their layers one by one are in
 * routes_project_layers.c.
 *
 * A change may name the revision that it was made from (If-Match); another one in between is then a 412. A
 * change without If-Match to a part (PATCH, layers) is applied to whatever the project is now. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "server/api/page.h"
#include "server/api/project_change.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/project_json.h"
#include "store/projects.h"

/* ---- what a project is -------------------------------------------------------------------------- */

#define PROJECT_ROWS                                                                               \
    {.name = "name", .type = HTTP_STRING, .hi = PROJECT_NAME_SIZE - 1, .help = "for people"},      \
        {.name = "width",                                                                          \
         .type = HTTP_INT,                                                                         \
         .lo = 1,                                                                                  \
         .hi = PROJECT_SIDE_MAX,                                                                   \
         .help = "of the canvas"},                                                                 \
        {.name = "height", .type = HTTP_INT, .lo = 1, .hi = PROJECT_SIDE_MAX},                     \
        {.name = "selection",                                                                      \
         .type = HTTP_ASSET,                                                                       \
         .nullable = true,                                                                         \
         .help = "grey levels, stretched over the canvas; white is what changes apply to"},        \
    {                                                                                              \
        .name = "layers", .type = HTTP_ARRAY, .items = HTTP_OBJECT, .fields = layer_fields,        \
        .lo = 0, .hi = PROJECT_LAYERS_MAX, .help = "bottom first"                                  \
    }

/* What GET gives and PUT may hand back: set by the store, read over. */
#define STORE_ROWS                                                                                 \
    {.name = "id", .type = HTTP_STRING},                                                           \
        {.name = "revision",                                                                       \
         .type = HTTP_INT,                                                                         \
         .help = "grows with every change, also by undo; the ETag"},                               \
        {.name = "created_ms", .type = HTTP_INT, .help = "milliseconds since 1970"},               \
        {.name = "updated_ms", .type = HTTP_INT}, {.name = "can_undo", .type = HTTP_BOOL},         \
    {                                                                                              \
        .name = "can_redo", .type = HTTP_BOOL                                                      \
    }

const struct http_field project_fields[] = {PROJECT_ROWS, STORE_ROWS, {0}};

const struct http_field project_opened_fields[] = {
    PROJECT_ROWS,
    STORE_ROWS,
    {.name = "notes",
     .type = HTTP_ARRAY,
     .items = HTTP_STRING,
     .required = true,
     .help = "what of the file could not be kept as it was"},
    {0}};

static const struct http_field create_body[] = {
    {.name = "job",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = 64,
     .help = "a finished job: its layers or images become the project's"},
    PROJECT_ROWS,
    STORE_ROWS,
    {0}};

/* ---- whole projects ----------------------------------------------------------------------------- */

static const struct http_field head_fields[] = {{.name = "name", .type = HTTP_STRING},
                                                {.name = "width", .type = HTTP_INT},
                                                {.name = "height", .type = HTTP_INT},
                                                {.name = "layer_count", .type = HTTP_INT},
                                                STORE_ROWS,
                                                {0}};

static const struct http_field list_gives[] = {
    {.name = "projects",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = head_fields,
     .required = true,
     .help = "the last changed first, without their layers"},
    PAGE_NEXT,
    {0}};

static enum err_code list(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct project_list l;
    TRY(project_list(store_of(rq), page_before(rq), page_limit(rq), &l, e));
    enum err_code rc = ERR_OK;
    page_begin(&re->body, "projects");
    for (size_t i = 0; rc == ERR_OK && i < l.n; i++)
        rc = project_put(&l.items[i], &re->body, e);
    page_end(&re->body, l.next);
    project_list_deinit(&l);
    return rc;
}

/* The body without "job", which is not the project's. */
static enum err_code read_new(yyjson_val *body, struct project *p, struct err *e)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *copy = doc ? yyjson_val_mut_copy(doc, body) : NULL;
    if (copy)
        (void)yyjson_mut_obj_remove_key(copy, "job");
    yyjson_doc *rest = copy ? yyjson_mut_val_imut_copy(copy, NULL) : NULL;
    enum err_code rc = rest ? project_json_patch(p, yyjson_doc_get_root(rest), e)
                            : err_set(e, ERR_NOMEM, "no memory for a project");
    yyjson_doc_free(rest);
    yyjson_mut_doc_free(doc);
    return rc;
}

static enum err_code create(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct project p;
    yyjson_val *body = http_body(rq);
    const char *job = http_body_str(rq, "job", NULL);
    enum err_code rc = ERR_OK;
    project_init(&p, 0, 0);
    if (job)
        TRY_GOTO(project_blame_reference(
                     rq, project_import(store_of(rq), &p, &(struct project_source){.job = job}, e),
                     "job", e),
                 done);
    if (!job || yyjson_obj_size(body) > 1)
        TRY_GOTO(project_blame(rq, read_new(body, &p, e), e), done);
    TRY_GOTO(project_blame_reference(rq, project_create(store_of(rq), &p, e), "layers", e), done);
    snprintf(re->location, sizeof re->location, "/v1/projects/%s", p.id);
    project_tell(rq, &p, false);
    rc = project_answer(&p, re, e);
done:
    project_deinit(&p);
    return rc;
}

static enum err_code get(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct project p;
    enum err_code rc = project_get(store_of(rq), http_path(rq, "id"), &p, e);
    if (rc == ERR_OK)
        rc = project_answer(&p, re, e);
    project_deinit(&p);
    return rc;
}

static enum err_code drop(struct http_request *rq, struct http_reply *re, struct err *e)
{
    int64_t revision;
    struct project p;
    (void)re;
    TRY(http_if_match(rq, &revision, e));
    TRY(project_get(store_of(rq), http_path(rq, "id"), &p, e));
    enum err_code rc = project_delete(store_of(rq), p.id, revision, e);
    if (rc == ERR_OK)
        project_tell(rq, &p, true);
    project_deinit(&p);
    return rc;
}

/* ---- changes ------------------------------------------------------------------------------------ */

static enum err_code patch_change(struct http_request *rq, struct project *p,
                                  struct project_change *c, struct err *e)
{
    (void)c;
    return project_blame(rq, project_json_patch(p, http_body(rq), e), e);
}

static enum err_code patch(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return project_apply(rq, re, "change", patch_change, e);
}

static enum err_code put_change(struct http_request *rq, struct project *p,
                                struct project_change *c, struct err *e)
{
    (void)c;
    struct project fresh;
    TRY(project_blame(rq, project_json_read(http_body(rq), &fresh, e), e));
    memcpy(fresh.id, p->id, sizeof fresh.id);
    fresh.seq = p->seq;
    fresh.created_ms = p->created_ms;
    project_deinit(p);
    *p = fresh;
    return ERR_OK;
}

static enum err_code put(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return project_apply(rq, re, "replace", put_change, e);
}

/* ---- history ------------------------------------------------------------------------------------ */

static enum err_code step(struct http_request *rq, struct http_reply *re, bool undo, struct err *e)
{
    struct project p;
    int64_t revision;
    enum err_code rc = http_if_match(rq, &revision, e);
    if (rc != ERR_OK)
        return rc;
    const char *id = http_path(rq, "id");
    rc = undo ? project_undo(store_of(rq), id, revision, &p, e)
              : project_redo(store_of(rq), id, revision, &p, e);
    if (rc == ERR_ARG)
        return http_refuse(rq, 409, NULL, e, "there is nothing to %s", undo ? "undo" : "redo");
    if (rc == ERR_OK) {
        project_tell(rq, &p, false);
        rc = project_answer(&p, re, e);
    }
    project_deinit(&p);
    return rc;
}

static enum err_code undo(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return step(rq, re, true, e);
}

static enum err_code redo(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return step(rq, re, false, e);
}

static const struct http_field point_fields[] = {
    {.name = "position", .type = HTTP_INT, .required = true},
    {.name = "label", .type = HTTP_STRING, .required = true},
    {.name = "at_ms", .type = HTTP_INT, .required = true},
    {.name = "current", .type = HTTP_BOOL, .required = true},
    {0}};

static const struct http_field history_gives[] = {{.name = "points",
                                                   .type = HTTP_ARRAY,
                                                   .items = HTTP_OBJECT,
                                                   .fields = point_fields,
                                                   .required = true,
                                                   .help = "oldest first"},
                                                  {0}};

static void put_point(const struct project_point *p, struct buf *b)
{
    json_object(b, NULL);
    json_put_int(b, "position", p->position);
    json_put_z(b, "label", p->label);
    json_put_int(b, "at_ms", p->at_ms);
    json_put_bool(b, "current", p->current);
    json_end_object(b);
}

static enum err_code history(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct project_point points[PROJECT_UNDO_MAX + 1];
    size_t n = 0;
    enum err_code rc =
        project_history(store_of(rq), http_path(rq, "id"), points, PROJECT_UNDO_MAX + 1, &n, e);
    if (rc != ERR_OK)
        return rc;
    json_object(&re->body, NULL);
    json_array(&re->body, "points");
    for (size_t i = 0; i < n; i++)
        put_point(&points[i], &re->body);
    json_end_array(&re->body);
    json_end_object(&re->body);
    return ERR_OK;
}

#define TAG .tag = "projects"

const struct http_route routes_projects[] = {
    {HTTP_GET, "/v1/projects", "listProjects", "List projects", TAG, .run = list,
     .query = page_query, .gives = list_gives},
    {HTTP_POST, "/v1/projects", "createProject",
     "Make a project: from a size and layers, or from a job's result", TAG, .run = create,
     .body = create_body, .gives = project_fields, .accepts = HTTP_JSON,
     .max_body = LIMIT_PROJECT_BODY, .status = 201},
    {HTTP_GET, "/v1/projects/{id}", "getProject", "A project with its layers", TAG, .run = get,
     .gives = project_fields, .flags = HTTP_ETAG},
    {HTTP_PUT, "/v1/projects/{id}", "replaceProject", "Replace all of a project", TAG, .run = put,
     .flags = HTTP_IF_MATCH, .query = project_change_query, .body = project_fields,
     .gives = project_fields, .accepts = HTTP_JSON, .max_body = LIMIT_PROJECT_BODY},
    {HTTP_PATCH, "/v1/projects/{id}", "changeProject", "Replace the members that are named", TAG,
     .run = patch, .query = project_change_query, .body = project_fields, .gives = project_fields,
     .accepts = HTTP_JSON, .flags = HTTP_MERGE | HTTP_IF_MATCH, .max_body = LIMIT_PROJECT_BODY},
    {HTTP_DELETE, "/v1/projects/{id}", "deleteProject", "Delete a project and its history", TAG,
     .run = drop, .flags = HTTP_IF_MATCH, .status = 204},
    {HTTP_POST, "/v1/projects/{id}/undo", "undoProject", "Go back to the undo point before", TAG,
     .run = undo, .flags = HTTP_IF_MATCH, .gives = project_fields},
    {HTTP_POST, "/v1/projects/{id}/redo", "redoProject", "Go forward again", TAG, .run = redo,
     .flags = HTTP_IF_MATCH, .gives = project_fields},
    {HTTP_GET, "/v1/projects/{id}/history", "listUndoPoints", "The undo points", TAG,
     .run = history, .gives = history_gives},
    {0}};
