/* project_change.c - one way of changing a project for all routes: read it, let the route change it in memory, save it
 * under the revision that was read, and once more from the beginning when somebody else was faster. Then whoever
 * listens hears of it, and the client gets the project as it is now. */
#include "server/api/project_change.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/json_text.h"
#include "http/events.h"
#include "server/jobs/queue.h"
#include "server/limits.h"
#include "server/server_internal.h"
#include "store/project_json.h"

enum { ATTEMPTS = 8 };

/* ---- answers ------------------------------------------------------------------------------------ */

enum err_code project_put(const struct project *p, struct buf *b, struct err *e)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = doc ? project_json_value(doc, p) : NULL;
    if (root)
        yyjson_mut_doc_set_root(doc, root);
    enum err_code rc =
        root ? json_put_doc(b, NULL, doc, e) : err_set(e, ERR_NOMEM, "no memory for the answer");
    yyjson_mut_doc_free(doc);
    return rc;
}

enum err_code project_answer(const struct project *p, struct http_reply *re, struct err *e)
{
    enum err_code rc = project_put(p, &re->body, e);
    snprintf(re->etag, sizeof re->etag, "%lld", (long long)p->revision);
    re->cache = "private, no-cache";
    return rc;
}

/* The store begins its text with the field that is wrong, in quotes: says so to the client, too. */
enum err_code project_blame(struct http_request *rq, enum err_code rc, struct err *e)
{
    char text[sizeof e->text], field[80];
    const char *end = e && e->text[0] == '\'' ? strchr(e->text + 1, '\'') : NULL;
    if ((rc != ERR_ARG && rc != ERR_LIMIT) || !end || end - e->text > (long)sizeof field)
        return rc;
    snprintf(field, sizeof field, "%.*s", (int)(end - e->text - 1), e->text + 1);
    snprintf(text, sizeof text, "%s", e->text);
    return http_refuse(rq, 422, field, e, "%s", text);
}

/* The body is one layer: its members have no "layers[2]." in front. */
enum err_code project_blame_member(struct http_request *rq, enum err_code rc, struct err *e)
{
    char text[sizeof e->text];
    const char *end = e && e->text[0] == '\'' ? strchr(e->text + 1, '\'') : NULL;
    const char *dot = end ? memchr(e->text, '.', (size_t)(end - e->text)) : NULL;
    if (dot) {
        snprintf(text, sizeof text, "'%s", dot + 1);
        memcpy(e->text, text, sizeof text);
    }
    return project_blame(rq, rc, e);
}

/* A reference to what is not there is the request's fault, not the address'. */
enum err_code project_blame_reference(struct http_request *rq, enum err_code rc, const char *field,
                                      struct err *e)
{
    char text[sizeof e->text];
    if (rc != ERR_NOTFOUND || !e)
        return project_blame(rq, rc, e);
    snprintf(text, sizeof text, "%s", e->text);
    return http_refuse(rq, 422, field, e, "%s", text);
}

static bool is_left(void *rq)
{
    return http_is_left(rq);
}

struct project_stop project_stop_of(struct http_request *rq)
{
    return (struct project_stop){is_left, rq};
}

/* ---- events ------------------------------------------------------------------------------------- */

void project_tell(struct http_request *rq, const struct project *p, bool deleted)
{
    struct buf b;
    buf_init(&b, LIMIT_SMALL_EVENT);
    json_object(&b, NULL);
    json_put_z(&b, "id", p->id);
    json_put_int(&b, "revision", p->revision);
    if (deleted)
        json_put_bool(&b, "deleted", true);
    json_end_object(&b);
    events_publish(server_of(rq)->events, QUEUE_ALL_EVENTS, "project", buf_str(&b), EVENTS_KEEP);
    buf_deinit(&b);
}

/* ---- changes ------------------------------------------------------------------------------------ */

const struct http_field project_change_query[] = {
    {.name = "label",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = PROJECT_LABEL_SIZE - 1,
     .help = "what the undo point is called"},
    {.name = "amend",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "no undo point of its own: one more step of a drag"},
    {0}};

/* A body that names no member. */
static bool is_empty(const struct http_request *rq)
{
    yyjson_val *body = http_body(rq);
    return yyjson_is_obj(body) && yyjson_obj_size(body) == 0;
}

static enum err_code attempt(struct http_request *rq, int64_t if_match, const char *label,
                             project_change_fn change, struct project *p, struct err *e)
{
    struct store *s = store_of(rq);
    TRY(project_get(s, http_path(rq, "id"), p, e));
    struct project_change c = {.if_revision = if_match ? if_match : p->revision,
                               .label = http_query(rq, "label") ? http_query(rq, "label") : label,
                               .amend = http_query_bool(rq, "amend", false),
                               .nothing = is_empty(rq)};
    TRY(change(rq, p, &c, e));
    TRY(project_blame_reference(rq, project_save(s, p, &c, e), "asset", e));
    if (!c.nothing)
        project_tell(rq, p, false);
    return ERR_OK;
}

/* Reads, changes, saves. Without If-Match somebody else's change in between is no conflict: the change is
 * made to what is there now. */
enum err_code project_apply(struct http_request *rq, struct http_reply *re, const char *label,
                            project_change_fn change, struct err *e)
{
    struct project p;
    int64_t if_match;
    enum err_code rc = http_if_match(rq, &if_match, e);
    if (rc != ERR_OK)
        return rc;
    for (int i = 0; i < ATTEMPTS; i++) {
        rc = attempt(rq, if_match, label, change, &p, e);
        if (rc == ERR_OK || if_match || !project_is_conflict(e))
            break;
        project_deinit(&p);
    }
    if (rc == ERR_OK)
        rc = project_answer(&p, re, e);
    project_deinit(&p);
    return rc;
}
