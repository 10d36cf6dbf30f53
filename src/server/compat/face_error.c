/* face_error.c - failures as the clients of other APIs expect them. They stay problem+json; what those clients look
 * for is there beside its members.
 *
 *     OpenAI           "error": {"message", "type", "param", "code"}
 *     Automatic1111    "detail": [{"type", "loc": ["body", "steps"], "msg"}] for a wrong value, as FastAPI has it;
 *                      for others its text, and "error", "body", "errors" beside it */
#include <string.h>

#include "base/json_text.h"
#include "server/compat/face.h"
#include "server/server_internal.h"

enum face { FACE_NONE, FACE_OPENAI, FACE_A1111 };

/* By the path: a request may be refused before its route is known. */
/* What clients of that API ask for, also where there is nothing of that kind here. */
static bool is_openai(struct str url)
{
    static const char *const paths[] = {
        "images", "chat",  "completions", "responses",   "embeddings", "audio",   "files",
        "videos", "batch", "fine_tuning", "moderations", "assistants", "threads", "uploads"};
    if (!str_starts(url, STR_LIT("/v1/")))
        return false;
    url = str_skip(url, 4);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        size_t n = strlen(paths[i]);
        if (str_starts(url, str_from(paths[i])) && (url.n == n || url.p[n] == '/'))
            return true;
    }
    return false;
}

static enum face face_of(const struct http_request *rq)
{
    struct str url = str_from(http_url(rq) ? http_url(rq) : "");
    if (str_starts(url, STR_LIT("/sdapi/")))
        return FACE_A1111;
    if (is_openai(url) ||
        (http_method_of(rq) == HTTP_GET && str_starts(url, STR_LIT("/v1/models"))))
        return FACE_OPENAI;
    return FACE_NONE;
}

int face_status(const struct http_request *rq, int status)
{
    return status == 422 && face_of(rq) == FACE_OPENAI ? 400 : status;
}

void openai_put_error(struct buf *b, struct str message, const char *type, const char *param,
                      const char *code)
{
    json_object(b, "error");
    json_put_str(b, "message", message);
    json_put_z(b, "type", type);
    json_put_z(b, "param", param);
    json_put_z(b, "code", code);
    json_end_object(b);
}

static void openai_error(const struct http_request *rq, int status, struct buf *b)
{
    const char *field = http_error_field(rq);
    openai_put_error(b, str_from(http_error(rq)->text),
                     status < 500 ? "invalid_request_error" : "server_error",
                     field[0] ? field : NULL, http_error_code(rq, status));
}

/* "layers[2].opacity" as ["body","layers",2,"opacity"]. */
static void put_location(const char *field, struct buf *b)
{
    json_array(b, "loc");
    json_put_z(b, NULL, "body");
    for (const char *p = field; *p;) {
        size_t n = strcspn(p, ".[]");
        size_t digits = strspn(p, "0123456789");
        struct str part = {p, n};
        if (n && digits == n && p != field && p[-1] == '[')
            json_put_raw(b, NULL, part);
        else if (n)
            json_put_str(b, NULL, part);
        p += n;
        p += *p ? 1 : 0;
    }
    json_end_array(b);
}

static void a1111_error(const struct http_request *rq, int status, struct buf *b)
{
    if (status == 422 && http_error_field(rq)[0]) {
        json_array(b, "detail");
        json_object(b, NULL);
        json_put_z(b, "type", "value_error");
        put_location(http_error_field(rq), b);
        json_put_z(b, "msg", http_error(rq)->text);
        json_end_object(b);
        json_end_array(b);
        return;
    }
    json_put_z(b, "detail", http_error(rq)->text);
    json_put_z(b, "error", "HTTPException");
    json_put_z(b, "body", "");
    json_put_z(b, "errors", http_error(rq)->text);
}

bool face_error(const struct http_request *rq, int status, struct buf *b)
{
    enum face face = face_of(rq);
    if (face == FACE_OPENAI)
        openai_error(rq, status, b);
    if (face == FACE_A1111)
        a1111_error(rq, status, b);
    return face == FACE_A1111;
}
