/* request.h - routes as tables, requests as checked values, answers as plain structs.
 *
 * A route is one row: method, path, what it takes, what it gives, and a handler. The same rows run the server,
 * check what comes in, and make /openapi.json, so the document cannot say anything else than what happens.
 *
 *     static const struct http_field query[] = {
 *         {"limit", HTTP_INT, .lo = 1, .hi = 1000, .fallback = "50", .help = "how many at most"},
 *         {0}};
 *     static enum err_code list(struct http_request *rq, struct http_reply *re, struct err *e)
 *     {
 *         int64_t limit = http_query_int(rq, "limit", 50);
 *         struct asset_list l;
 *         enum err_code rc = asset_list(store_of(rq), 0, (int)limit, &l, e);
 *         if (rc != ERR_OK)
 *             return rc;              // the core makes problem+json of it, with the status that fits
 *         ... buf_printf(&re->body, ...);
 *     }
 *     const struct http_route routes_assets[] = {
 *         {HTTP_GET, "/v1/assets", "listAssets", "List images", .tag = "assets", .run = list, .query = query,
 *          .gives = asset_list_fields},
 *         {0}};
 *
 * Before a handler runs, the core has checked: Host, Origin, token, content type, size, the query against
 * .query, and the body against .body (types, ranges, unknown and missing members; what is wrong is answered
 * 400 or 422 with the member's name). Multipart files, and bodies of HTTP_BYTES, were written to the
 * application's sink (core.h) as they came in and have their ids already.
 *
 * Threads: handlers run on several threads at once, each request on one. What takes longer than a look into the
 * database is done on others (http_heavy), or while the request sleeps.
 */
#ifndef VT_HTTP_REQUEST_H
#define VT_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct http_sink;    /* core.h */
struct http_request; /* one request; lives until it is answered */

/* ---- tables --------------------------------------------------------------------------------------- */

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_METHODS };

enum http_type {
    HTTP_STRING,
    HTTP_INT,
    HTTP_NUMBER,
    HTTP_BOOL,
    HTTP_OBJECT, /* .fields; without them any object */
    HTTP_ARRAY,  /* of .items, objects have .fields */
    HTTP_ASSET, /* a string that is a file's id, SHA-256 in hex; in multipart a file may stand for it */
    HTTP_ANY,
};

/* A member of an object, a query parameter, or a form field. A table ends with a NULL name. */
struct http_field {
    const char *name;
    enum http_type type;
    const char *help;
    double lo, hi;        /* numbers: range; strings: bytes; arrays: items. Both 0: none is set */
    const char *values;   /* strings: the only ones allowed, "normal|multiply|screen" */
    const char *fallback; /* JSON text of the default, for the document; the handler applies it */
    enum http_type items;
    const struct http_field *fields;
    const char
        *schemas; /* objects of several shapes: their names in the document, "A|B" (schemas.h) */
    bool required, nullable;
    bool file; /* in multipart a file stands for it, whatever the type is in JSON */
    /* Clients of foreign faces send members that mean nothing here: the table's last row
     * {.name = "*", .type = HTTP_ANY} takes whatever no other row names. */
};

enum {
    HTTP_JSON = 1,      /* application/json: an object of .body */
    HTTP_MULTIPART = 2, /* multipart/form-data: the same members as form fields; files become ids */
    HTTP_BYTES = 4,     /* the body is a file, of a type that the application's sink takes */
};

enum {
    HTTP_OPEN = 1,     /* answered without a token (health) */
    HTTP_EVENTS = 2,   /* gives text/event-stream, or does when asked to */
    HTTP_MERGE = 4,    /* no member of .body is required (PATCH) */
    HTTP_IF_MATCH = 8, /* looks at If-Match: 412 for another revision */
    HTTP_ETAG = 16,    /* gives an ETag: 304 for who has it */
    HTTP_KEYED = 32,   /* looks at Idempotency-Key */
    HTTP_LATER = 64,   /* 202 while a job runs: it is done after that */
};

struct http_reply;

/* An answer that comes bit by bit (events.h). */
enum { HTTP_STREAM_END = -1, HTTP_STREAM_BROKEN = -2 };
struct http_stream {
    /* Bytes read; 0: none yet, the connection sleeps until there are; HTTP_STREAM_END, HTTP_STREAM_BROKEN. */
    ptrdiff_t (*read)(struct http_stream *s, char *out, size_t max);
    void (*close)(struct http_stream *s); /* frees it; the connection is not used any more */
};

struct http_route {
    enum http_method method;
    const char *path;    /* "/v1/assets/{id}"; NULL ends a table. GET also answers HEAD */
    const char *name;    /* operationId */
    const char *summary; /* one line */
    const char *tag;     /* "assets", "projects", "jobs", ... */
    enum err_code (*run)(struct http_request *rq, struct http_reply *re, struct err *e);
    const struct http_field *query;
    const struct http_field *body;
    const struct http_field *gives; /* members of the JSON answer; NULL: see .type, or no body */
    const char *type;               /* of an answer that is no JSON: "image/png", ... */
    unsigned accepts;               /* HTTP_JSON | ...; 0: no body is read */
    const struct http_sink *sink;   /* of its files; NULL: the application's */
    unsigned flags;
    size_t max_body;          /* bytes of JSON or form fields; 0: 1 MiB */
    size_t max_file;          /* bytes of one file; 0: 256 MiB */
    int status;               /* of success, 0: 200 */
    const char *waited;       /* the schema of what ?wait=true gives */
    const char *const *emits; /* of a stream: "name Schema", ...; ends with NULL */
};

/* ---- requests ------------------------------------------------------------------------------------- */

/* What the application gave the core for itself (struct http_app). */
void *http_app_of(const struct http_request *rq);
/* Memory that lives as long as the request; small things only. */
struct arena *http_arena(struct http_request *rq);

/* What stands for {name} in the path, percent-decoded. Never NULL. Ids are not checked: the store does. */
const char *http_path(const struct http_request *rq, const char *name);
/* NULL when absent. */
const char *http_query(const struct http_request *rq, const char *name);
int64_t http_query_int(const struct http_request *rq, const char *name, int64_t fallback);
bool http_query_bool(const struct http_request *rq, const char *name, bool fallback);
/* NULL when absent. */
const char *http_header(const struct http_request *rq, const char *name);
/* The revision in If-Match: "7", W/"7" -> 7; 0 when there is no such header or it is *. ERR_ARG for other text. */
ERR_MUST_CHECK enum err_code http_if_match(struct http_request *rq, int64_t *revision,
                                           struct err *e);

/* The body, checked against .body; form fields of multipart are brought into the same shape, an uploaded file
 * being its id. NULL when there was none. */
yyjson_val *http_body(const struct http_request *rq);
/* Another in its place, which the request frees; what was borrowed from the old one is gone. */
void http_set_body(struct http_request *rq, yyjson_doc *doc);
/* Members of it: the fallback when absent or null. Borrowed. */
const char *http_body_str(const struct http_request *rq, const char *name, const char *fallback);
int64_t http_body_int(const struct http_request *rq, const char *name, int64_t fallback);
double http_body_double(const struct http_request *rq, const char *name, double fallback);
bool http_body_bool(const struct http_request *rq, const char *name, bool fallback);

/* Files that came with the request, in order. */
struct http_upload {
    char name[64];    /* of the form field; "" for HTTP_BYTES */
    const char *id;   /* that the application's sink gave it */
    const void *info; /* what else the sink says of it */
};
size_t http_upload_count(const struct http_request *rq);
const struct http_upload *http_upload(const struct http_request *rq, size_t i);

enum http_method http_method_of(const struct http_request *rq);
/* The path as sent; NULL before it was read. */
const char *http_url(const struct http_request *rq);
/* Of the target, else the header; NULL: none. */
const char *http_host(const struct http_request *rq);
/* HTTP_JSON, ...; 0: none. */
unsigned http_body_kind(const struct http_request *rq);
/* Of JSON, as it came. */
size_t http_body_bytes(const struct http_request *rq);

/* What a handler remembers until it is called again; all zero when the request begins. */
struct http_memo {
    void *user; /* set by who puts the request to sleep */
    void *face; /* of a handler above that one */
    bool owner; /* what it waits for was begun by this request, and ends with it */
    /* Called when the request ends without an answer, before it is freed: its client has gone. */
    void (*left)(struct http_request *rq);
};
struct http_memo *http_memo(struct http_request *rq);
/* The handler sets re->later and is called again after http_wake. watched: a client that goes meanwhile ends the
 * request at once (left). */
void http_sleep(struct http_request *rq, bool watched);
void http_wake(struct http_request *rq);
/* True when the handler is called for the second time, after the request slept. */
bool http_again(const struct http_request *rq);

/* ---- answers -------------------------------------------------------------------------------------- */

enum { HTTP_EXTRA_HEADERS = 6 };

/* Begins as the route's status with an empty JSON body. */
struct http_reply {
    int status;
    const char *type; /* Content-Type; static string */
    struct buf
        body; /* up to 64 MiB unless the handler inits it anew; text is compressed by the core */
    int fd;   /* a file instead of the body: the core closes it, answers ranges. -1: none */
    uint64_t fd_bytes;
    char etag[80];      /* without quotes: answers If-None-Match with 304. "": none */
    const char *cache;  /* Cache-Control; NULL: no-store */
    char location[200]; /* Location; "": none */
    char filename[280]; /* Content-Disposition: attachment; "": none */
    struct {
        const char *name; /* static */
        char value[200];
    } extra[HTTP_EXTRA_HEADERS];
    int n_extra;
    struct http_stream *stream; /* instead of the body; the core frees it */
    bool later;     /* set by who puts the request to sleep: the handler is called again */
    uint64_t heavy; /* set by http_heavy */
    bool no_size;   /* the answer to HEAD does not know how long the body would be */
};

/* For a handler that decodes, renders or encodes: true on a thread that is for such work, where it is called again;
 * before that the handler returns at once. bytes: the memory that it will take. Nothing heavy is done for HEAD or when
 * the client has the answer already: see http_wants_body. */
bool http_heavy(struct http_request *rq, struct http_reply *re, uint64_t bytes);
/* False for HEAD, and when re's ETag is one that the client has: the reply is complete without a body. */
bool http_wants_body(struct http_request *rq, struct http_reply *re);
/* Nobody will take the answer: a heavy handler ends. */
bool http_is_left(struct http_request *rq);

/* "name": value header. Cut when too long. */
void http_reply_header(struct http_reply *re, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A failure with a status of its own and the member, parameter or header that is wrong (NULL: none):
 *     return http_refuse(rq, 412, "If-Match", e, "the project is at revision %lld", r);
 * Other failures get theirs from the application (struct http_app), or by code: ARG, FORMAT 422, NOTFOUND 404, LIMIT
 * 413, BUSY 409, DEVICE and NOMEM 503, the rest 500. */
enum err_code http_refuse(struct http_request *rq, int status, const char *field, struct err *e,
                          const char *fmt, ...) __attribute__((format(printf, 5, 6)));
int http_status_of(const struct err *e);

/* Of a failure that is being told: what went wrong, the member that is wrong ("": none), the status (0: by code). */
const struct err *http_error(const struct http_request *rq);
const char *http_error_field(const struct http_request *rq);
int http_error_status(const struct http_request *rq);
/* For a failure that http_refuse did not make. */
void http_set_error_field(struct http_request *rq, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void http_set_error_status(struct http_request *rq, int status);
/* The problem's code: one for each status that says it all, else that of the error. */
const char *http_error_code(const struct http_request *rq, int status);

#endif
