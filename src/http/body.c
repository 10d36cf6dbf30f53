/* body.c - what a request brings: JSON kept in memory up to a bound, files straight into the application's sink. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/internal.h"
#include "http/limits.h"

enum { POST_BUFFER_BYTES = 32 << 10 };

static const struct http_sink *sink(const struct http_request *rq)
{
    return rq->route->sink ? rq->route->sink : &rq->core->app.sink;
}

static bool is_type(const char *type, size_t n, const char *name)
{
    return strlen(name) == n && strncasecmp(type, name, n) == 0;
}

static unsigned kind_of(const struct http_request *rq, const char *type)
{
    size_t n = type ? strcspn(type, "; \t") : 0;
    if (n == 0)
        return 0;
    if (is_type(type, n, "application/json"))
        return HTTP_JSON;
    if (is_type(type, n, "multipart/form-data"))
        return HTTP_MULTIPART;
    for (const char *const *name = sink(rq)->types; name && *name; name++)
        if (is_type(type, n, *name))
            return HTTP_BYTES;
    return 0;
}

static uint64_t json_max(const struct http_request *rq)
{
    return rq->route->max_body ? rq->route->max_body : LIMIT_JSON_BODY;
}

static uint64_t file_max(const struct http_request *rq)
{
    return rq->route->max_file ? rq->route->max_file : LIMIT_FILE;
}

static uint64_t body_max(const struct http_request *rq, unsigned kind)
{
    if (kind == HTTP_MULTIPART)
        return json_max(rq) + HTTP_MAX_UPLOADS * file_max(rq);
    return kind == HTTP_BYTES ? file_max(rq) : json_max(rq);
}

/* Content-Length; -1 when there is none (chunked, or no body at all). */
static int64_t declared_length(const struct http_request *rq)
{
    const char *v = http_header(rq, "Content-Length");
    int64_t n;
    return v && str_to_i64(str_from(v), &n) && n >= 0 ? n : -1;
}

unsigned http_body_kind(const struct http_request *rq)
{
    return rq->body_kind;
}

size_t http_body_bytes(const struct http_request *rq)
{
    return rq->body.n;
}

bool http_has_body(const struct http_request *rq)
{
    return declared_length(rq) > 0 || http_header(rq, "Transfer-Encoding");
}

/* Without its folders: browsers send none, other clients a whole path. */
static enum err_code take_file_name(struct http_request *rq, const char *path, struct err *e)
{
    const char *name = path;
    for (const char *p = path; *p; p++)
        if (*p == '/' || *p == '\\')
            name = p + 1;
    if (strlen(name) >= sizeof rq->file_name)
        return http_refuse(rq, 422, rq->n_form ? rq->form[rq->n_form - 1].name : "X-File-Name", e,
                           "the file's name has %zu bytes; at most %zu are kept", strlen(name),
                           sizeof rq->file_name - 1);
    (void)snprintf(rq->file_name, sizeof rq->file_name, "%s", name);
    return ERR_OK;
}

static enum err_code begin_file(struct http_request *rq, const char *filename, struct err *e)
{
    if (rq->n_files == HTTP_MAX_UPLOADS)
        return http_refuse(rq, 413, NULL, e, "at most %d files can come at once", HTTP_MAX_UPLOADS);
    if (!rq->files) {
        rq->files = arena_array(&rq->arena, HTTP_MAX_UPLOADS, sizeof *rq->files);
        rq->uploads = arena_array(&rq->arena, HTTP_MAX_UPLOADS, sizeof *rq->uploads);
    }
    if (!rq->files || !rq->uploads)
        return err_set(e, ERR_NOMEM, "no memory for files");
    rq->file_bytes = 0;
    enum err_code rc = take_file_name(rq, filename ? filename : "", e);
    return rc != ERR_OK ? rc : sink(rq)->begin(http_app_of(rq), file_max(rq), &rq->writer, e);
}

static void drop(const struct http_request *rq, void **writer)
{
    if (*writer)
        sink(rq)->abort(*writer);
    *writer = NULL;
}

/* The file just ended: its bytes are looked at when all has come. */
static void end_file(struct http_request *rq)
{
    struct http_file *f = &rq->files[rq->n_files++];
    f->writer = rq->writer;
    rq->writer = NULL;
    f->field = rq->n_form ? rq->n_form - 1 : 0;
    memcpy(f->name, rq->file_name, sizeof f->name);
}

static const char *field_of(const struct http_request *rq, const struct http_file *f)
{
    return rq->n_form ? rq->form[f->field].name : "";
}

static enum err_code read_file(struct http_request *rq, struct http_file *f, struct err *e)
{
    struct http_upload *u = &rq->uploads[rq->n_uploads];
    void *w = f->writer;
    const char *field = field_of(rq, f);
    f->writer = NULL;
    (void)snprintf(u->name, sizeof u->name, "%s", field);
    enum err_code rc = sink(rq)->finish(http_app_of(rq), w, f->name, &rq->arena, u, e);
    if (rc != ERR_OK) {
        (void)snprintf(rq->field, sizeof rq->field, "%s", field[0] ? field : "body");
        return rc;
    }
    rq->n_uploads++;
    if (rq->n_form)
        buf_add_z(&rq->form[f->field].text, u->id);
    return ERR_OK;
}

static enum err_code read_files(struct http_request *rq, struct err *e)
{
    for (size_t i = 0; i < rq->n_files; i++) {
        enum err_code rc = http_is_left(rq) ? err_set(e, ERR_CANCELLED, "the client has gone")
                                            : read_file(rq, &rq->files[i], e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

uint64_t http_body_weight(const struct http_request *rq)
{
    uint64_t most = 0;
    for (size_t i = 0; i < rq->n_files; i++) {
        uint64_t n = sink(rq)->weight(rq->files[i].writer);
        most = n > most ? n : most;
    }
    return most;
}

/* ---- multipart --------------------------------------------------------------------------------------- */

static struct http_form_field *last_field(struct http_request *rq)
{
    return rq->n_form ? &rq->form[rq->n_form - 1] : NULL;
}

/* What came for the field before is complete. */
static enum err_code end_field(struct http_request *rq, struct err *e)
{
    struct http_form_field *f = last_field(rq);
    if (!f || !f->is_file || !rq->writer)
        return ERR_OK;
    if (rq->file_bytes == 0) {
        drop(rq, &rq->writer);
        /* A browser's file field in which nothing was chosen. */
        if (!rq->file_name[0]) {
            buf_deinit(&f->text);
            rq->n_form--;
            return ERR_OK;
        }
        return http_refuse(rq, 422, f->name, e, "the file in %s is empty", f->name);
    }
    end_file(rq);
    return ERR_OK;
}

static enum err_code add_part(struct http_request *rq, const char *name, const char *filename,
                              const char *p, size_t n, uint64_t off, struct err *e)
{
    struct http_form_field *f = last_field(rq);
    bool same = f && rq->form_bytes == 0 && strcmp(f->name, name) == 0;
    enum err_code rc = ERR_OK;
    if (off == 0 && !same) {
        rc = end_field(rq, e);
        if (rc == ERR_OK)
            rc = http_form_add(rq, name, filename != NULL, &f, e);
        if (rc == ERR_OK && filename)
            rc = begin_file(rq, filename, e);
        rq->form_bytes = 0;
    }
    if (rc != ERR_OK || !f)
        return rc;
    rq->form_bytes += n;
    if (f->is_file) {
        rq->file_bytes += n;
        rc = n ? sink(rq)->write(rq->writer, p, n, e) : ERR_OK;
        if (rc != ERR_OK)
            (void)snprintf(rq->field, sizeof rq->field, "%s", name);
        return rc;
    }
    buf_add(&f->text, p, n);
    return buf_failed(&f->text) ? http_refuse(rq, 413, name, e, "%s is too long", name) : ERR_OK;
}

static enum MHD_Result on_part(void *user, enum MHD_ValueKind kind, const char *key,
                               const char *filename, const char *type, const char *encoding,
                               const char *data, uint64_t off, size_t size)
{
    struct http_request *rq = user;
    (void)kind;
    (void)type;
    (void)encoding;
    if (rq->refused)
        return MHD_NO;
    if (!key || add_part(rq, key, filename, data, size, off, &rq->err) != ERR_OK)
        rq->refused = true;
    if (!key)
        (void)http_refuse(rq, 400, NULL, &rq->err, "a part of the form has no name");
    return rq->refused ? MHD_NO : MHD_YES;
}

/* ---- begin, add, end --------------------------------------------------------------------------------- */

enum err_code http_body_begin(struct http_request *rq, struct err *e)
{
    const char *type = http_header(rq, "Content-Type");
    int64_t length = declared_length(rq);
    const char *coding = http_header(rq, "Content-Encoding");
    unsigned kind = kind_of(rq, type);
    if (!http_has_body(rq))
        return ERR_OK;
    if (rq->route->accepts == 0) {
        if (length > LIMIT_DRAIN)
            return http_refuse(rq, 413, NULL, e, "this request takes no body");
        return ERR_OK;
    }
    if (coding && *coding && strcasecmp(coding, "identity") != 0)
        return http_refuse(rq, 415, "Content-Encoding", e,
                           "bodies are taken as they are, not in %.40s", coding);
    if (!(kind & rq->route->accepts))
        return http_refuse(rq, 415, "Content-Type", e, "'%.60s' is not taken here%s",
                           type ? type : "",
                           rq->route->accepts & HTTP_JSON ? "; application/json is" : "");
    if (length >= 0 && (uint64_t)length > body_max(rq, kind))
        return http_refuse(rq, 413, NULL, e, "the body has %lld bytes, the limit is %llu",
                           (long long)length, (unsigned long long)body_max(rq, kind));
    rq->body_kind = kind;
    buf_init(&rq->body, json_max(rq));
    if (kind == HTTP_BYTES)
        return begin_file(rq, http_header(rq, "X-File-Name"), e);
    if (kind == HTTP_MULTIPART) {
        rq->post = MHD_create_post_processor(rq->connection, POST_BUFFER_BYTES, on_part, rq);
        if (!rq->post)
            return http_refuse(rq, 400, "Content-Type", e, "the form names no boundary");
    }
    return ERR_OK;
}

enum err_code http_body_add(struct http_request *rq, const char *p, size_t n, struct err *e)
{
    rq->received += n;
    switch (rq->body_kind) {
    case HTTP_JSON:
        buf_add(&rq->body, p, n);
        return buf_failed(&rq->body)
                   ? http_refuse(rq, 413, NULL, e, "the body is larger than %llu bytes",
                                 (unsigned long long)json_max(rq))
                   : ERR_OK;
    case HTTP_BYTES:
        rq->file_bytes += n;
        return sink(rq)->write(rq->writer, p, n, e);
    case HTTP_MULTIPART:
        if (MHD_post_process(rq->post, p, n) != MHD_YES && !rq->refused)
            return http_refuse(rq, 400, NULL, e, "the form is not well-formed");
        return rq->refused ? rq->err.code : ERR_OK;
    default:
        return rq->received > LIMIT_UNWANTED_BODY
                   ? http_refuse(rq, 413, NULL, e, "this request takes no body")
                   : ERR_OK;
    }
}

/* The last byte has come. */
enum err_code http_body_close(struct http_request *rq, struct err *e)
{
    if (rq->body_kind == HTTP_BYTES) {
        if (rq->file_bytes == 0)
            return http_refuse(rq, 400, NULL, e, "the body is empty");
        end_file(rq);
    }
    if (!rq->post)
        return ERR_OK;
    enum MHD_Result ok = MHD_destroy_post_processor(rq->post);
    rq->post = NULL;
    if (rq->refused)
        return rq->err.code;
    return ok == MHD_YES ? end_field(rq, e)
                         : http_refuse(rq, 400, NULL, e, "the form ends too early");
}

static enum err_code end_form(struct http_request *rq, struct err *e)
{
    TRY(read_files(rq, e));
    return http_form_to_json(rq, e);
}

static enum err_code end_json(struct http_request *rq, struct err *e)
{
    struct str text = buf_str(&rq->body);
    if (rq->body_kind == 0 || text.n == 0)
        text = STR_LIT("{}");
    enum err_code rc = json_parse(text, "the body", &rq->doc, e);
    if (rc == ERR_OK && !yyjson_is_obj(http_body(rq)))
        rc = err_set(e, ERR_FORMAT, "the body should be a JSON object");
    if (rc != ERR_OK)
        rq->status = 400;
    return rc;
}

enum err_code http_body_end(struct http_request *rq, struct err *e)
{
    const struct http_route *r = rq->route;
    enum err_code rc = ERR_OK;
    if (r->accepts == 0)
        return ERR_OK;
    if (rq->body_kind == 0 && !(r->accepts & HTTP_JSON))
        return http_refuse(rq, 400, NULL, e, "the request has no body");
    if (rq->body_kind == HTTP_BYTES)
        return read_files(rq, e);
    rc = rq->body_kind == HTTP_MULTIPART ? end_form(rq, e) : end_json(rq, e);
    if (rc == ERR_OK)
        rc = check_object(r->body, http_body(rq), r->flags & HTTP_MERGE, rq->field, e);
    if (rc != ERR_OK && rq->status == 0)
        rq->status = rc == ERR_ARG ? 422 : 0;
    return rc;
}

void http_body_free(struct http_request *rq)
{
    if (rq->post)
        (void)MHD_destroy_post_processor(rq->post);
    rq->post = NULL;
    drop(rq, &rq->writer);
    for (size_t i = 0; i < rq->n_files; i++)
        drop(rq, &rq->files[i].writer);
    rq->n_files = 0;
    for (size_t i = 0; i < rq->n_form; i++)
        buf_deinit(&rq->form[i].text);
    mem_free(rq->form);
    rq->form = NULL;
    rq->n_form = 0;
    yyjson_doc_free(rq->doc);
    rq->doc = NULL;
    buf_deinit(&rq->body);
}
