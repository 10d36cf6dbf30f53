/* reply.c - from a reply to bytes on the wire: compression, ranges, ETags, the headers that every answer
 * has. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/internal.h"
#include "http/limits.h"

enum { GZIP_MIN_BYTES = 1024 };

void http_reply_init(struct http_reply *re, const struct http_route *route)
{
    memset(re, 0, sizeof *re);
    re->status = route && route->status ? route->status : 200;
    re->type = route && route->type ? route->type : "application/json";
    re->fd = -1;
    buf_init(&re->body, LIMIT_REPLY);
}

void http_reply_free(struct http_reply *re)
{
    buf_deinit(&re->body);
    if (re->fd >= 0)
        (void)close(re->fd);
    re->fd = -1;
    if (re->stream)
        re->stream->close(re->stream);
    re->stream = NULL;
}

__attribute__((format(printf, 3, 0))) static void format(char *out, size_t size, const char *fmt,
                                                         va_list ap)
{
    (void)vsnprintf(out, size, fmt, ap);
}

void http_reply_header(struct http_reply *re, const char *name, const char *fmt, ...)
{
    va_list ap;
    if (re->n_extra == HTTP_EXTRA_HEADERS)
        return;
    re->extra[re->n_extra].name = name;
    va_start(ap, fmt);
    format(re->extra[re->n_extra].value, sizeof re->extra[0].value, fmt, ap);
    va_end(ap);
    re->n_extra++;
}

/* ---- ETags and ranges -------------------------------------------------------------------------------- */

/* A list of "x", W/"y" or * against our tag; weak ones count as equal (RFC 9110, 13.1.2). */
static bool etag_listed(const char *list, const char *etag)
{
    size_t n = strlen(etag);
    for (const char *p = list; p && *p;) {
        p += strspn(p, " ,\t");
        if (*p == '*')
            return true;
        if (strncmp(p, "W/", 2) == 0)
            p += 2;
        if (*p != '"')
            return false;
        const char *end = strchr(p + 1, '"');
        if (!end)
            return false;
        if ((size_t)(end - p - 1) == n && memcmp(p + 1, etag, n) == 0)
            return true;
        p = end + 1;
    }
    return false;
}

struct range {
    uint64_t first, n;
    bool is_part, is_bad;
};

/* "bytes=a-b", "bytes=a-", "bytes=-n". Several ranges, or another unit: the whole is sent. */
static struct range parse_range(const char *v, uint64_t size)
{
    struct range whole = {.n = size}, r = {.is_part = true};
    uint64_t a = 0, b = size ? size - 1 : 0;
    if (!v || strncmp(v, "bytes=", 6) != 0 || strchr(v, ','))
        return whole;
    v += 6;
    const char *dash = strchr(v, '-');
    if (!dash)
        return whole;
    struct str left = {v, (size_t)(dash - v)}, right = str_from(dash + 1);
    if ((left.n && !str_to_u64(left, &a)) || (right.n && !str_to_u64(right, &b)) ||
        (!left.n && !right.n))
        return whole;
    if (!left.n) {
        a = b >= size ? 0 : size - b;
        if (b == 0)
            return (struct range){.is_bad = true};
        b = size ? size - 1 : 0;
    }
    if (a >= size || a > b)
        return (struct range){.is_bad = true};
    r.first = a;
    r.n = (b >= size ? size - 1 : b) - a + 1;
    return r;
}

/* ---- compression ------------------------------------------------------------------------------------- */

static bool is_text(const char *type)
{
    return strncmp(type, "text/", 5) == 0 || strstr(type, "json") || strstr(type, "javascript") ||
           strstr(type, "svg");
}

static bool accepts_gzip(const struct http_request *rq)
{
    const char *v = http_header(rq, "Accept-Encoding");
    const char *p = v ? strstr(v, "gzip") : NULL;
    return p && strncmp(p + 4, ";q=0", 4) != 0;
}

static bool gzip(struct buf *b)
{
    z_stream z = {0};
    struct buf out;
    if (deflateInit2(&z, 5, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    uLong bound = deflateBound(&z, b->n);
    buf_init(&out, LIMIT_REPLY);
    z.next_out = buf_grow(&out, bound);
    bool ok = z.next_out != NULL;
    z.next_in = (unsigned char *)b->p;
    z.avail_in = (uInt)b->n;
    z.avail_out = (uInt)bound;
    ok = ok && deflate(&z, Z_FINISH) == Z_STREAM_END;
    out.n = ok ? z.total_out : 0;
    deflateEnd(&z);
    if (!ok || out.n >= b->n) {
        buf_deinit(&out);
        return false;
    }
    buf_deinit(b);
    *b = out;
    return true;
}

/* ---- sending ---------------------------------------------------------------------------------------- */

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    (void)MHD_add_response_header(r, name, value);
}

static void add_common_headers(struct http_request *rq, const struct http_reply *re,
                               struct MHD_Response *r)
{
    bool page = strncmp(re->type, "text/html", 9) == 0;
    if (re->type[0])
        add_header(r, "Content-Type", re->type);
    add_header(r, "Cache-Control", re->cache ? re->cache : "no-store");
    add_header(r, "X-Content-Type-Options", "nosniff");
    add_header(r, "Referrer-Policy", "no-referrer");
    add_header(r, "Cross-Origin-Resource-Policy", "same-origin");
    add_header(r, "Cross-Origin-Opener-Policy", "same-origin");
    add_header(r, "X-Frame-Options", "DENY");
    add_header(r, "Content-Security-Policy",
               page ? "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
                      "data: blob:; connect-src 'self'; font-src 'self'; worker-src 'self' blob:; "
                      "manifest-src 'self'; base-uri 'none'; form-action 'none'; "
                      "frame-ancestors 'none'"
                    : "default-src 'none'; frame-ancestors 'none'; sandbox");
    if (re->location[0])
        add_header(r, "Location", re->location);
    for (int i = 0; i < re->n_extra; i++)
        add_header(r, re->extra[i].name, re->extra[i].value);
    if (rq->set_cookie) {
        char cookie[HTTP_TOKEN_BYTES + 64];
        (void)snprintf(cookie, sizeof cookie,
                       "veetance_token=%s; HttpOnly; SameSite=Strict; Path=/", rq->core->token);
        add_header(r, "Set-Cookie", cookie);
    }
}

/* A quoted file name: what would end the quotes or the line becomes '_'; others as UTF-8 (RFC 8187). */
static void add_filename(struct MHD_Response *r, const char *name)
{
    char ascii[300], value[1400];
    size_t n = 0;
    for (const char *p = name; *p && n + 1 < sizeof ascii; p++)
        ascii[n++] = *p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f ? '_' : *p;
    ascii[n] = 0;
    int k = snprintf(value, sizeof value, "attachment; filename=\"%s\"; filename*=UTF-8''", ascii);
    for (const char *p = name; *p && k > 0 && (size_t)k + 4 < sizeof value; p++) {
        bool plain = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z') ||
                     *p == '.' || *p == '-' || *p == '_';
        k += snprintf(value + k, sizeof value - (size_t)k, plain ? "%c" : "%%%02X",
                      (unsigned)(unsigned char)*p);
    }
    for (char *p = value; *p; p++)
        if ((unsigned char)*p > 0x7e)
            *p = '_';
    add_header(r, "Content-Disposition", value);
}

static ssize_t stream_read(void *stream, uint64_t at, char *out, size_t max)
{
    struct http_stream *s = stream;
    (void)at;
    ptrdiff_t n = s->read(s, out, max);
    return n >= 0                 ? n
           : n == HTTP_STREAM_END ? MHD_CONTENT_READER_END_OF_STREAM
                                  : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void stream_close(void *stream)
{
    struct http_stream *s = stream;
    s->close(s);
}

static struct MHD_Response *stream_response(struct http_reply *re, bool is_head)
{
    struct MHD_Response *r;
    if (is_head) {
        re->stream->close(re->stream);
        r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, stream_read, re->stream,
                                              stream_close);
    }
    re->stream = NULL;
    return r;
}

static struct MHD_Response *file_response(struct http_request *rq, struct http_reply *re)
{
    char value[80];
    const char *if_range = http_header(rq, "If-Range");
    const char *range = http_header(rq, "Range");
    if (if_range && !etag_listed(if_range, re->etag))
        range = NULL;
    struct range part = parse_range(re->status == 200 ? range : NULL, re->fd_bytes);
    struct MHD_Response *r;
    if (part.is_bad) {
        re->status = 416;
        r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
        (void)snprintf(value, sizeof value, "bytes */%llu", (unsigned long long)re->fd_bytes);
        add_header(r, "Content-Range", value);
        return r;
    }
    r = MHD_create_response_from_fd_at_offset64(part.n, re->fd, part.first);
    if (!r)
        return NULL;
    re->fd = -1; /* closed with the response */
    add_header(r, "Accept-Ranges", "bytes");
    if (part.is_part) {
        re->status = 206;
        (void)snprintf(value, sizeof value, "bytes %llu-%llu/%llu", (unsigned long long)part.first,
                       (unsigned long long)(part.first + part.n - 1),
                       (unsigned long long)re->fd_bytes);
        add_header(r, "Content-Range", value);
    }
    return r;
}

static struct MHD_Response *body_response(struct http_request *rq, struct http_reply *re,
                                          bool *zipped)
{
    bool text = is_text(re->type);
    *zipped = text && re->body.n >= GZIP_MIN_BYTES && accepts_gzip(rq) && gzip(&re->body);
    size_t n = re->body.n;
    char *bytes = buf_take(&re->body);
    struct MHD_Response *r =
        n ? MHD_create_response_from_buffer_with_free_callback(n, bytes, mem_free)
          : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!r || !n)
        mem_free(bytes);
    if (r && *zipped)
        add_header(r, "Content-Encoding", "gzip");
    if (r && text)
        add_header(r, "Vary", "Accept-Encoding");
    return r;
}

static bool client_has_it(const struct http_request *rq, const struct http_reply *re)
{
    return re->etag[0] && re->status == 200 &&
           etag_listed(http_header(rq, "If-None-Match"), re->etag);
}

bool http_wants_body(struct http_request *rq, struct http_reply *re)
{
    bool has_it = client_has_it(rq, re);
    re->no_size = rq->is_head && !has_it;
    return !rq->is_head && !has_it;
}

static ssize_t no_bytes(void *user, uint64_t at, char *out, size_t max)
{
    (void)user;
    (void)at;
    (void)out;
    (void)max;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static struct MHD_Response *make_response(struct http_request *rq, struct http_reply *re)
{
    bool zipped = false, fresh = client_has_it(rq, re);
    struct MHD_Response *r;
    char etag[100];
    if (fresh) {
        re->status = 304;
        r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else if (re->no_size && re->status == 200) {
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, no_bytes, NULL, NULL);
    } else if (re->stream) {
        r = stream_response(re, rq->is_head);
    } else if (re->fd >= 0) {
        r = file_response(rq, re);
    } else {
        r = body_response(rq, re, &zipped);
    }
    if (!r)
        return NULL;
    (void)snprintf(etag, sizeof etag, "%s\"%s\"", zipped ? "W/" : "", re->etag);
    if (re->etag[0])
        add_header(r, "ETag", etag);
    if (re->filename[0])
        add_filename(r, re->filename);
    add_common_headers(rq, re, r);
    return r;
}

enum MHD_Result http_reply_send(struct http_request *rq, struct http_reply *re)
{
    if (buf_failed(&re->body)) {
        rq->status = 0;
        (void)err_set(&rq->err, ERR_NOMEM, "the answer does not fit into memory");
        http_problem(rq, re);
    }
    struct MHD_Response *r = make_response(rq, re);
    if (!r)
        return MHD_NO;
    http_count_reply(rq->core, re->status, (double)(clock_ns() - rq->start_ns) * 1e-9);
    rq->is_answered = true;
    enum MHD_Result ok = MHD_queue_response(rq->connection, (unsigned)re->status, r);
    MHD_destroy_response(r);
    return ok;
}
