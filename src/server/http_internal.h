/* http_internal.h - one request on its way: shared by the files http_*.c, events.c and those that wait. */
#ifndef VT_SERVER_HTTP_INTERNAL_H
#define VT_SERVER_HTTP_INTERNAL_H

#include <microhttpd.h>

#include "server/check.h"
#include "server/http.h"
#include "server/http_sleep.h"
#include "server/pool.h"

enum {
    HTTP_MAX_PATH_PARAMS = 3,
    HTTP_MAX_QUERY = 16,
    HTTP_MAX_UPLOADS = 16,
    HTTP_MAX_FORM_FIELDS = 64,
};

struct http_form_field {
    char name[64];
    bool is_file;
    struct buf text; /* an asset's id for files */
};

/* A file that came whole. */
struct http_file {
    struct asset_writer *writer;
    char name[ASSET_NAME_SIZE];
    size_t field; /* of the form */
};

struct http_request {
    struct server *server;
    struct MHD_Connection *connection;
    struct arena arena;
    const struct http_route *route; /* NULL: refused before one was found */
    enum http_method method;
    bool is_head;
    const char *url; /* as sent, without the query; in the arena */
    const char *host;
    const char *param_names[HTTP_MAX_PATH_PARAMS];
    size_t param_name_bytes[HTTP_MAX_PATH_PARAMS];
    const char *param_values[HTTP_MAX_PATH_PARAMS];
    int n_params;
    const char *query_names[HTTP_MAX_QUERY], *query_values[HTTP_MAX_QUERY]; /* decoded */
    int n_query;

    /* body */
    unsigned body_kind; /* HTTP_JSON, ... ; 0: none */
    struct buf body;
    uint64_t received;
    struct MHD_PostProcessor *post;
    struct http_form_field *form;
    size_t n_form, form_bytes;
    struct asset_writer *writer; /* of the file that comes in */
    uint64_t file_bytes;
    struct http_file *files; /* that came, not looked at yet; in the arena, made for the first */
    size_t n_files;
    char file_name[ASSET_NAME_SIZE];
    struct http_upload *uploads; /* in the arena, made for the first */
    size_t n_uploads;
    yyjson_doc *doc;

    /* failure */
    bool refused;
    int status; /* 0: by code */
    struct err err;
    char field[CHECK_FIELD_SIZE];
    char allow[64]; /* of a 405 or an OPTIONS */
    bool is_options;
    bool ends_connection; /* where the next request begins is not known */
    bool set_cookie;      /* a token came in the address of a page */

    /* Between two calls of one handler: set by who puts the request to sleep. */
    void *user;
    void *face; /* what a face remembers until then; in the arena */
    struct http_nap nap;
    /* Called when the request ends without an answer, before it is freed: its client has gone. */
    void (*left)(struct http_request *rq);
    bool is_answered;
    struct pool_task task; /* heavy work for this request */
    bool on_pool;          /* it runs */
    bool is_read;          /* the body is complete and checked */
    struct http_reply reply;
    bool is_ready; /* the reply waits to be sent */
    bool owns_job; /* what it waits for was begun by this request, and ends with it */
    int64_t start_ns;
};

/* http_frame.c: one Host, one length, and a target that is a path: rq->url and rq->host. */
ERR_MUST_CHECK enum err_code http_frame_check(struct http_request *rq, struct err *e);

/* http_route.c: the method first, for the guard asks for it; HTTP_METHODS for one that is not known. Then the route
 * and its path parameters; 404 or 405 where there is none. */
void http_method_read(struct http_request *rq, const char *method);
ERR_MUST_CHECK enum err_code http_route_find(struct http_request *rq, struct err *e);
/* Percent-decoding in place; false for a broken escape or a zero byte. */
bool http_unescape(char *text, bool plus_is_space);

/* http_guard.c: who may ask. */
ERR_MUST_CHECK enum err_code http_guard(struct http_request *rq, struct err *e);
ERR_MUST_CHECK enum err_code http_guard_token(struct http_request *rq, struct err *e);

/* http_query.c */
ERR_MUST_CHECK enum err_code http_query_check(struct http_request *rq, struct err *e);

/* http_body.c: begin chooses by Content-Type and refuses what is too large; add takes bytes as they come; close
 * takes the last; end parses, looks at files and checks: on a thread for such work when there are files. */
bool http_has_body(const struct http_request *rq);
ERR_MUST_CHECK enum err_code http_body_begin(struct http_request *rq, struct err *e);
ERR_MUST_CHECK enum err_code http_body_add(struct http_request *rq, const char *p, size_t n,
                                           struct err *e);
ERR_MUST_CHECK enum err_code http_body_close(struct http_request *rq, struct err *e);
ERR_MUST_CHECK enum err_code http_body_end(struct http_request *rq, struct err *e);
/* The memory that http_body_end will take to look at the files that came; 0 when there are none. */
uint64_t http_body_weight(const struct http_request *rq);
void http_body_free(struct http_request *rq);

/* http_form.c: form fields into the object that a JSON body would have been. */
ERR_MUST_CHECK enum err_code http_form_add(struct http_request *rq, const char *name, bool is_file,
                                           struct http_form_field **out, struct err *e);
ERR_MUST_CHECK enum err_code http_form_to_json(struct http_request *rq, struct err *e);

/* http_reply.c */
void http_reply_init(struct http_reply *re, const struct http_route *route);
void http_reply_free(struct http_reply *re);
/* problem+json for rq->err. */
void http_problem(struct http_request *rq, struct http_reply *re);
int http_status_of(const struct err *e);
const char *http_status_text(int status);
/* The problem's code: one for each status that says it all, else that of the error. */
const char *http_code(const struct http_request *rq, int status);
enum MHD_Result http_reply_send(struct http_request *rq, struct http_reply *re);

/* http.c */
enum MHD_Result http_access(void *server, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *upload,
                            size_t *upload_bytes, void **state);
void http_completed(void *server, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode why);
/* The handler sets re->later and is called again after http_wake. watched: a client that goes meanwhile ends the
 * request at once (rq->left). */
void http_sleep(struct http_request *rq, bool watched);
void http_wake(struct http_request *rq);
/* True when the handler is called for the second time, after the connection slept. */
static inline bool http_again(const struct http_request *rq)
{
    return rq->user != NULL;
}

#endif
