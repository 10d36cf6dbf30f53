/* routes_preferences.c - what an editor remembers for its user: one object, which means nothing to the server. */
#include "base/mem.h"
#include "server/jobs/queue.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/meta.h"

#define PREFERENCES "preferences"

static const struct http_field any_fields[] = {
    {.name = "*", .type = HTTP_ANY, .help = "whatever the client keeps"}, {0}};

static enum err_code run_get(struct http_request *rq, struct http_reply *re, struct err *e)
{
    TRY(meta_get(store_of(rq), PREFERENCES, &re->body, e));
    if (re->body.n == 0)
        buf_add_z(&re->body, "{}");
    return ERR_OK;
}

static enum err_code run_put(struct http_request *rq, struct http_reply *re, struct err *e)
{
    size_t n = 0;
    char *text = yyjson_val_write(http_body(rq), YYJSON_WRITE_NOFLAG, &n);
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for the preferences");
    enum err_code rc = meta_put(store_of(rq), PREFERENCES, (struct str){text, n}, e);
    mem_free(text); /* yyjson's default allocator is the one behind mem_free */
    if (rc != ERR_OK)
        return rc;
    events_publish(server_of(rq)->events, QUEUE_ALL_EVENTS, PREFERENCES, STR_LIT("{}"),
                   EVENTS_KEEP);
    return run_get(rq, re, e);
}

const struct http_route routes_preferences[] = {
    {HTTP_GET, "/v1/preferences", "getPreferences", "What clients keep here; {} at first",
     .tag = "system", .run = run_get, .gives = any_fields},
    {HTTP_PUT, "/v1/preferences", "setPreferences",
     "Replace them by another object, of at most 64 KiB", .tag = "system", .run = run_put,
     .body = any_fields, .gives = any_fields, .accepts = HTTP_JSON, .max_body = LIMIT_PREFERENCES},
    {0}};
