/* internal.h - the core's insides and one request on its way: for the files of HTTP alone. */
#ifndef VT_HTTP_INTERNAL_H
#define VT_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/late.h"
#include "http/check.h"
#include "http/core.h"
#include "http/pool.h"
#include "http/request.h"
#include "http/sleep.h"

/* late_microhttpd.c */
extern struct late_library http_microhttpd;

enum {
    HTTP_MAX_PATH_PARAMS = 3,
    HTTP_MAX_QUERY = 16,
    HTTP_MAX_UPLOADS = 16,
    HTTP_MAX_FORM_FIELDS = 64,
    HTTP_TOKEN_BYTES = 256,
    HTTP_HOST_BYTES = 256,
};

/* A connection, for the deadlines that libmicrohttpd does not know. */
struct http_connection {
    int fd;
    int64_t
        since_ns; /* it waits for a request's headers, or its body, since then; 0: one is being handled */
    bool in_body;
    uint64_t bytes; /* of the body so far */
    struct http_connection *next, *before;
};

struct http_counters {
    atomic_ullong replies[6]; /* by hundreds of the status */
    atomic_ullong micros;
    atomic_ullong connections, requests; /* open now */
    atomic_ullong refused_slow;
};

struct http_core {
    /* set at the start, never changed */
    struct http_app app;
    char address[128];
    int port;
    bool is_loopback;
    char token[HTTP_TOKEN_BYTES];
    char hosts[HTTP_MAX_HOSTS][HTTP_HOST_BYTES];
    size_t n_hosts;
    int threads;
    uint64_t work_memory;
    struct http_sleepers *sleepers;
    struct pool *pool; /* heavy work of requests */
    struct MHD_Daemon *daemon;
    int listen_fd;

    atomic_bool stopping, ending; /* ending: what is still worked on is for nobody */
    struct http_counters counters;
    pthread_mutex_t connections_lock; /* guards the list and its items */
    struct http_connection *connections;
};

struct http_form_field {
    char name[64];
    bool is_file;
    struct buf text; /* the id, of files */
};

/* A file that came whole. */
struct http_file {
    void *writer; /* the sink's */
    char name[HTTP_FILE_NAME_BYTES];
    size_t field; /* of the form */
};

struct http_request {
    struct http_core *core;
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
    void *writer; /* the sink's, of the file that comes in */
    uint64_t file_bytes;
    struct http_file *files; /* that came, not looked at yet; in the arena, made for the first */
    size_t n_files;
    char file_name[HTTP_FILE_NAME_BYTES];
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

    struct http_memo memo; /* between two calls of one handler */
    struct http_nap nap;
    bool is_answered;
    struct pool_task task; /* heavy work for this request */
    bool on_pool;          /* it runs */
    bool is_read;          /* the body is complete and checked */
    struct http_reply reply;
    bool is_ready; /* the reply waits to be sent */
    int64_t start_ns;
};

/* core.c */
void http_count_reply(struct http_core *c, int status, double seconds);
void http_request_began(struct http_core *c, struct http_request *rq);
/* n bytes of its body have come; 0: that was all. */
void http_request_read(struct http_core *c, struct http_request *rq, size_t n);
void http_request_ended(struct http_core *c, struct http_request *rq);

/* listen.c: the socket, its address as text, and whether it is this machine's alone. */
ERR_MUST_CHECK enum err_code http_listen(struct http_core *c, const char *address, struct err *e);

/* frame.c: one Host, one length, and a target that is a path: rq->url and rq->host. */
ERR_MUST_CHECK enum err_code http_frame_check(struct http_request *rq, struct err *e);

/* route.c: the method first, for the guard asks for it; HTTP_METHODS for one that is not known. Then the route
 * and its path parameters; 404 or 405 where there is none. */
void http_method_read(struct http_request *rq, const char *method);
ERR_MUST_CHECK enum err_code http_route_find(struct http_request *rq, struct err *e);
/* Percent-decoding in place; false for a broken escape or a zero byte. */
bool http_unescape(char *text, bool plus_is_space);

/* guard.c: who may ask. */
ERR_MUST_CHECK enum err_code http_guard(struct http_request *rq, struct err *e);
ERR_MUST_CHECK enum err_code http_guard_token(struct http_request *rq, struct err *e);
bool http_host_allowed(const struct http_core *c, const char *host);
bool http_token_equal(const char *a, const char *b);

/* query.c */
ERR_MUST_CHECK enum err_code http_query_check(struct http_request *rq, struct err *e);

/* body.c: begin chooses by Content-Type and refuses what is too large; add takes bytes as they come; close
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

/* form.c: form fields into the object that a JSON body would have been. */
ERR_MUST_CHECK enum err_code http_form_add(struct http_request *rq, const char *name, bool is_file,
                                           struct http_form_field **out, struct err *e);
ERR_MUST_CHECK enum err_code http_form_to_json(struct http_request *rq, struct err *e);

/* reply.c */
void http_reply_init(struct http_reply *re, const struct http_route *route);
void http_reply_free(struct http_reply *re);
enum MHD_Result http_reply_send(struct http_request *rq, struct http_reply *re);

/* problem.c: problem+json for rq->err. */
void http_problem(struct http_request *rq, struct http_reply *re);

/* request.c */
enum MHD_Result http_access(void *core, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *upload,
                            size_t *upload_bytes, void **state);
void http_completed(void *core, struct MHD_Connection *connection, void **state,
                    enum MHD_RequestTerminationCode why);

#endif
