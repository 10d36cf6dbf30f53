/* openapi.c - /openapi.json (3.1) from the tables that the routes run on. */
#include "server/api/openapi.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "server/api/schemas.h"
#include "server/routes.h"
#include "veetance.h"

static void schema(const struct http_field *f, enum http_type type, bool is_form, bool merge,
                   struct buf *b);

static void add_ref(struct buf *b, const char *name, size_t n)
{
    buf_printf(b, "{\"$ref\":\"#/components/schemas/%.*s\"}", (int)n, name);
}

/* "A|B", and null: one of these shapes. */
static void add_shapes(const struct http_field *f, struct buf *b)
{
    buf_add_z(b, "\"anyOf\":[");
    for (const char *p = f->schemas;; p++) {
        size_t n = strcspn(p, "|");
        add_ref(b, p, n);
        p += n;
        if (!*p)
            break;
        buf_add_byte(b, ',');
    }
    buf_add_z(b, f->nullable ? ",{\"type\":\"null\"}]" : "]");
}

static void object_schema(const struct http_field *fields, bool is_form, bool merge, struct buf *b)
{
    bool any = !fields, first = true;
    buf_add_z(b, "\"properties\":{");
    for (const struct http_field *f = fields; f && f->name; f++) {
        if (strcmp(f->name, "*") == 0) {
            any = true;
            continue;
        }
        buf_add_z(b, first ? "" : ",");
        first = false;
        json_add_z(b, f->name);
        buf_add_z(b, ":{");
        schema(f, f->type, is_form, merge, b);
        buf_add_byte(b, '}');
    }
    buf_add_byte(b, '}');
    first = true;
    for (const struct http_field *f = fields; f && f->name && !merge; f++)
        if (f->required) {
            buf_add_z(b, first ? ",\"required\":[" : ",");
            json_add_z(b, f->name);
            first = false;
        }
    buf_add_z(b, first ? "" : "]");
    buf_printf(b, ",\"additionalProperties\":%s", any ? "true" : "false");
}

static void add_type(const struct http_field *f, const char *type, struct buf *b)
{
    buf_printf(b, f->nullable ? "\"type\":[\"%s\",\"null\"]" : "\"type\":\"%s\"", type);
}

static void add_values(const struct http_field *f, struct buf *b)
{
    buf_add_z(b, ",\"enum\":[");
    for (const char *p = f->values;; p++) {
        size_t n = strcspn(p, "|");
        json_add_str(b, (struct str){p, n});
        p += n;
        if (!*p)
            break;
        buf_add_byte(b, ',');
    }
    buf_add_z(b, f->nullable ? ",null]" : "]");
}

static bool has_range(const struct http_field *f)
{
    return f->lo < f->hi || f->hi != 0;
}

static void add_string(const struct http_field *f, struct buf *b)
{
    add_type(f, "string", b);
    if (f->values)
        add_values(f, b);
    else if (has_range(f))
        buf_printf(b, ",\"minLength\":%.0f,\"maxLength\":%.0f", f->lo, f->hi);
}

static void add_number(const struct http_field *f, const char *type, struct buf *b)
{
    add_type(f, type, b);
    if (has_range(f))
        buf_printf(b, ",\"minimum\":%.17g,\"maximum\":%.17g", f->lo, f->hi);
}

static void add_array(const struct http_field *f, bool is_form, bool merge, struct buf *b)
{
    struct http_field item = *f;
    bool numbers = f->items == HTTP_INT || f->items == HTTP_NUMBER;
    add_type(f, "array", b);
    item.nullable = false;
    item.help = item.fallback = NULL;
    if (!numbers) {
        if (has_range(f))
            buf_printf(b, ",\"minItems\":%.0f,\"maxItems\":%.0f", f->lo, f->hi);
        item.lo = item.hi = 0;
    }
    buf_add_z(b, ",\"items\":{");
    schema(&item, f->items, is_form, merge, b);
    buf_add_byte(b, '}');
}

static void schema(const struct http_field *f, enum http_type type, bool is_form, bool merge,
                   struct buf *b)
{
    size_t start = b->n;
    switch (is_form && f->file && type != HTTP_ARRAY ? HTTP_ASSET : type) {
    case HTTP_STRING:
        add_string(f, b);
        break;
    case HTTP_ASSET:
        add_type(f, "string", b);
        buf_add_z(b, is_form ? ",\"format\":\"binary\"" : ",\"pattern\":\"^[0-9a-f]{64}$\"");
        break;
    case HTTP_INT:
        add_number(f, "integer", b);
        break;
    case HTTP_NUMBER:
        add_number(f, "number", b);
        break;
    case HTTP_BOOL:
        add_type(f, "boolean", b);
        break;
    case HTTP_OBJECT:
        if (f->schemas) {
            add_shapes(f, b);
        } else if (schema_name_of(f->fields) && !is_form && !merge && !f->nullable) {
            buf_printf(b, "\"$ref\":\"#/components/schemas/%s\"", schema_name_of(f->fields));
        } else {
            add_type(f, "object", b);
            buf_add_byte(b, ',');
            object_schema(f->fields, is_form, merge, b);
        }
        break;
    case HTTP_ARRAY:
        add_array(f, is_form, merge, b);
        break;
    case HTTP_ANY:
    default:
        break;
    }
    if (f->help) {
        buf_add_z(b, b->n > start ? ",\"description\":" : "\"description\":");
        json_add_z(b, f->help);
    }
    if (f->fallback)
        buf_printf(b, b->n > start ? ",\"default\":%s" : "\"default\":%s", f->fallback);
}

/* {...} of a whole body or answer. */
static void shape(const struct http_field *fields, bool is_form, bool merge, struct buf *b)
{
    const char *name = is_form || merge ? NULL : schema_name_of(fields);
    if (name) {
        add_ref(b, name, strlen(name));
        return;
    }
    buf_add_z(b, "{\"type\":\"object\",");
    object_schema(fields, is_form, merge, b);
    buf_add_byte(b, '}');
}

/* ---- operations --------------------------------------------------------------------------------------- */

static void add_parameter(struct buf *b, bool *first, const char *in, const struct http_field *f)
{
    struct http_field shown = *f;
    shown.help = NULL;
    buf_add_z(b, *first ? "{\"name\":" : ",{\"name\":");
    *first = false;
    json_add_z(b, f->name);
    buf_printf(b, ",\"in\":\"%s\",\"required\":%s,\"schema\":{", in,
               f->required ? "true" : "false");
    schema(&shown, f->type, false, false, b);
    buf_add_byte(b, '}');
    if (f->help) {
        buf_add_z(b, ",\"description\":");
        json_add_z(b, f->help);
    }
    buf_add_byte(b, '}');
}

/* A page sends a form, a DELETE or a POST without a body only with a header of its own. */
static bool wants_own_header(const struct http_route *r)
{
    return r->method == HTTP_DELETE || (r->accepts & HTTP_MULTIPART) ||
           (r->method == HTTP_POST && !r->body);
}

static void add_headers(const struct http_route *r, bool *first, struct buf *b)
{
    const struct {
        const char *name;
        bool is_there;
    } headers[] = {
        {"IfMatch", r->flags & HTTP_IF_MATCH},     {"IfNoneMatch", r->flags & HTTP_ETAG},
        {"IdempotencyKey", r->flags & HTTP_KEYED}, {"LastEventId", r->emits != NULL},
        {"XVeetance", wants_own_header(r)},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (headers[i].is_there) {
            buf_printf(b, "%s{\"$ref\":\"#/components/parameters/%s\"}", *first ? "" : ",",
                       headers[i].name);
            *first = false;
        }
}

static void add_parameters(const struct http_route *r, struct buf *b)
{
    bool first = true;
    char name[64];
    buf_add_z(b, ",\"parameters\":[");
    for (const char *p = strchr(r->path, '{'); p; p = strchr(p + 1, '{')) {
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        add_parameter(b, &first, "path",
                      &(struct http_field){.name = name, .type = HTTP_STRING, .required = true});
    }
    for (const struct http_field *f = r->query; f && f->name; f++)
        if (strcmp(f->name, "*") != 0)
            add_parameter(b, &first, "query", f);
    add_headers(r, &first, b);
    buf_add_byte(b, ']');
}

static void add_body_type(const struct http_route *r, const char *type, bool is_form, bool *first,
                          struct buf *b)
{
    buf_printf(b, "%s\"%s\":{\"schema\":", *first ? "" : ",", type);
    *first = false;
    shape(r->body, is_form, r->flags & HTTP_MERGE, b);
    buf_add_byte(b, '}');
}

static bool needs_body(const struct http_route *r)
{
    if (!(r->accepts & HTTP_JSON))
        return true;
    for (const struct http_field *f = r->body; f && f->name; f++)
        if (f->required && !(r->flags & HTTP_MERGE))
            return true;
    return false;
}

static void add_request_body(const struct http_route *r, struct buf *b)
{
    static const char *const pictures[] = {"image/png",  "image/jpeg", "image/webp",
                                           "image/tiff", "image/heic", "image/heif",
                                           "image/avif", "image/gif",  "image/bmp"};
    bool first = true;
    if (!r->accepts)
        return;
    buf_printf(b, ",\"requestBody\":{\"required\":%s,\"content\":{",
               needs_body(r) ? "true" : "false");
    if (r->accepts & HTTP_JSON)
        add_body_type(r, "application/json", false, &first, b);
    if (r->accepts & HTTP_MULTIPART)
        add_body_type(r, "multipart/form-data", true, &first, b);
    for (size_t i = 0; (r->accepts & HTTP_BYTES) && i < 3; i++) {
        buf_printf(b, "%s\"%s\":{\"schema\":{}}", first ? "" : ",", pictures[i]);
        first = false;
    }
    buf_add_z(b, "}}");
}

/* The events of a stream: OpenAPI 3.1 has no word for them but the text that they come in. */
static void add_events(const struct http_route *r, struct buf *b)
{
    buf_add_z(b, ",\"content\":{\"text/event-stream\":{\"schema\":{\"type\":\"string\","
                 "\"description\":\"Server-sent events; data is one line of JSON\"},"
                 "\"x-events\":{");
    for (const char *const *p = r->emits; *p; p++) {
        size_t n = strcspn(*p, " ");
        buf_printf(b, "%s\"%.*s\":", p == r->emits ? "" : ",", (int)n, *p);
        add_ref(b, *p + n + 1, strlen(*p + n + 1));
    }
    buf_add_z(b, "}}}");
}

static void add_answer_headers(const struct http_route *r, int status, struct buf *b)
{
    bool etag = (r->flags & HTTP_ETAG) || ((r->flags & HTTP_IF_MATCH) && r->gives);
    bool location = status == 201 || (status == 202 && r->status == 202);
    if (!etag && !location)
        return;
    buf_printf(b, ",\"headers\":{%s%s%s}",
               etag ? "\"ETag\":{\"$ref\":\"#/components/headers/ETag\"}" : "",
               etag && location ? "," : "",
               location ? "\"Location\":{\"$ref\":\"#/components/headers/Location\"}" : "");
}

static void add_success(const struct http_route *r, int status, const char *what, struct buf *b)
{
    buf_printf(b, "\"%d\":{\"description\":\"%s\"", status, what);
    add_answer_headers(r, status, b);
    if (r->emits) {
        add_events(r, b);
    } else if (r->gives) {
        buf_add_z(b, ",\"content\":{\"application/json\":{\"schema\":");
        shape(r->gives, false, false, b);
        buf_add_z(b, "}}");
    } else if (r->type) {
        buf_printf(b, ",\"content\":{\"%s\":{\"schema\":{}}}", r->type);
    }
    buf_add_byte(b, '}');
}

static void add_waited(const struct http_route *r, struct buf *b)
{
    if (!r->waited)
        return;
    buf_add_z(b, ",\"200\":{\"description\":\"With wait: the result\",\"content\":{"
                 "\"application/json\":{\"schema\":");
    add_ref(b, r->waited, strlen(r->waited));
    buf_add_z(b, "}}}");
}

static void add_responses(const struct http_route *r, struct buf *b)
{
    int status = r->status ? r->status : 200;
    buf_add_z(b, ",\"responses\":{");
    add_success(r, status,
                status == 202   ? "Accepted: the job"
                : status == 201 ? "Created"
                                : "Success",
                b);
    if (status == 201) {
        buf_add_byte(b, ',');
        add_success(r, 200, "It was there already", b);
    }
    if (r->flags & HTTP_LATER) {
        buf_add_byte(b, ',');
        add_success(r, 202, "A job runs; it is done after that", b);
    }
    add_waited(r, b);
    if (r->emits == schema_job_events)
        buf_add_z(b, ",\"204\":{\"description\":\"The client has seen how the job ended\"}");
    if (r->flags & HTTP_ETAG)
        buf_add_z(b, ",\"304\":{\"description\":\"The client has it\"}");
    if (r->flags & HTTP_IF_MATCH)
        buf_add_z(b, ",\"412\":{\"$ref\":\"#/components/responses/Problem\"}");
    if (r->method != HTTP_GET)
        buf_add_z(b, ",\"429\":{\"$ref\":\"#/components/responses/Later\"}");
    buf_printf(b,
               ",\"503\":{\"$ref\":\"#/components/responses/Later\"}"
               ",\"default\":{\"$ref\":\"#/components/responses/%s\"}}",
               strcmp(r->tag, "a1111") == 0 ? "ProblemA1111" : "Problem");
}

static void add_operation(const struct http_route *r, struct buf *b)
{
    static const char *const methods[] = {"get", "post", "put", "patch", "delete"};
    buf_printf(b, "\"%s\":{\"operationId\":\"%s\",\"summary\":", methods[r->method], r->name);
    json_add_z(b, r->summary);
    buf_printf(b, ",\"tags\":[\"%s\"]", r->tag);
    add_parameters(r, b);
    add_request_body(r, b);
    add_responses(r, b);
    if (r->flags & HTTP_OPEN)
        buf_add_z(b, ",\"security\":[]");
    buf_add_byte(b, '}');
}

/* A path's operations stand together, where the first of them is. */
static void add_path(const struct http_route *first, struct buf *b)
{
    bool any = false;
    json_add_z(b, first->path);
    buf_add_z(b, ":{");
    for (size_t t = 0; routes_all[t]; t++)
        for (const struct http_route *r = routes_all[t]; r->path; r++)
            if (strcmp(r->path, first->path) == 0) {
                buf_add_z(b, any ? "," : "");
                any = true;
                add_operation(r, b);
            }
    buf_add_byte(b, '}');
}

static bool is_first(const struct http_route *route)
{
    for (size_t t = 0; routes_all[t]; t++)
        for (const struct http_route *r = routes_all[t]; r->path; r++)
            if (strcmp(r->path, route->path) == 0)
                return r == route;
    return false;
}

static void add_header_parameter(struct buf *b, const char *key, const char *header,
                                 const char *what)
{
    buf_printf(b,
               "\"%s\":{\"name\":\"%s\",\"in\":\"header\",\"schema\":{\"type\":\"string\"},"
               "\"description\":",
               key, header);
    json_add_z(b, what);
    buf_add_byte(b, '}');
}

static void add_named_parameters(struct buf *b)
{
    buf_add_z(b, "\"parameters\":{");
    add_header_parameter(
        b, "IfMatch", "If-Match",
        "the ETag of the revision that the change was made from; 412 when there is "
        "another by now");
    buf_add_byte(b, ',');
    add_header_parameter(b, "IfNoneMatch", "If-None-Match", "an ETag that the client has: 304");
    buf_add_byte(b, ',');
    add_header_parameter(
        b, "IdempotencyKey", "Idempotency-Key",
        "1 to 255 characters: the same request sent again is the same job; 422 when "
        "it asks for something else");
    buf_add_byte(b, ',');
    add_header_parameter(b, "LastEventId", "Last-Event-ID",
                         "the id of the last event that the client has seen");
    buf_add_byte(b, ',');
    add_header_parameter(
        b, "XVeetance", "X-Veetance",
        "any value; a web page must send it with a form, a DELETE, or a POST without a "
        "body, and so does nobody else need to but with a form: a page of another "
        "origin cannot");
    buf_add_byte(b, '}');
}

/* detail: the schema of that member; a face has its own. */
static void add_problem(const char *name, const char *detail, struct buf *b)
{
    buf_printf(b,
               "\"%s\":{\"type\":\"object\",\"required\":[\"title\",\"status\",\"detail\","
               "\"code\"],\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":"
               "\"string\"},\"status\":{\"type\":\"integer\"},\"detail\":%s,"
               "\"code\":{\"type\":\"string\"},\"field\":{\"type\":\"string\",\"description\":"
               "\"the member, parameter or header that is wrong\"}}}",
               name, detail);
}

static void add_schemas(struct buf *b)
{
    buf_add_z(b, "\"schemas\":{");
    for (const struct schema_name *n = schema_names; n->name; n++) {
        buf_printf(b, "\"%s\":{\"type\":\"object\",", n->name);
        object_schema(n->fields, false, false, b);
        buf_add_z(b, "},");
    }
    add_problem("Problem", "{\"type\":\"string\"}", b);
    buf_add_byte(b, ',');
    add_problem("ProblemA1111",
                "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"type\":"
                "\"object\",\"required\":[\"type\",\"loc\",\"msg\"],\"properties\":{\"type\":{"
                "\"type\":\"string\"},\"loc\":{\"type\":\"array\"},\"msg\":{\"type\":"
                "\"string\"}}}}]}",
                b);
    buf_add_byte(b, '}');
}

static void add_problem_answer(const char *name, struct buf *b)
{
    buf_printf(
        b,
        "\"%s\":{\"description\":\"What went wrong\",\"content\":{"
        "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}},",
        name, name);
}

static void add_components(struct buf *b)
{
    buf_add_z(b, "\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":"
                 "\"bearer\"},\"password\":{\"type\":\"http\",\"scheme\":\"basic\"}},");
    add_schemas(b);
    buf_add_byte(b, ',');
    add_named_parameters(b);
    buf_add_z(b, ",\"headers\":{\"ETag\":{\"schema\":{\"type\":\"string\"},\"description\":"
                 "\"for If-Match and If-None-Match\"},\"Location\":{\"schema\":{\"type\":"
                 "\"string\"},\"description\":\"where it is\"},\"RetryAfter\":{\"schema\":{"
                 "\"type\":\"integer\"},\"description\":\"seconds until it is worth trying "
                 "again\"}},");
    buf_add_z(b, "\"responses\":{");
    add_problem_answer("Problem", b);
    add_problem_answer("ProblemA1111", b);
    buf_add_z(b, "\"Later\":{\"description\":\"Not now: the "
                 "queue is full, or the server is busy\",\"headers\":{\"Retry-After\":{\"$ref\":"
                 "\"#/components/headers/RetryAfter\"}},\"content\":{\"application/problem+json\":{"
                 "\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}}");
}

void openapi_write(struct buf *b)
{
    bool any = false;
    buf_printf(b,
               "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Veetance Asset Editor\",\"version\":"
               "\"%s\",\"summary\":\"Make, edit and take apart images on this machine\"},",
               vt_version());
    buf_add_z(b, "\"security\":[{},{\"token\":[]},{\"password\":[]}],\"paths\":{");
    for (size_t t = 0; routes_all[t]; t++)
        for (const struct http_route *r = routes_all[t]; r->path; r++)
            if (is_first(r)) {
                buf_add_z(b, any ? "," : "");
                any = true;
                add_path(r, b);
            }
    buf_add_z(b, "},");
    add_components(b);
    buf_add_byte(b, '}');
}
