/* openapi.c - /openapi.json (3.1) from the tables that the routes run on. */
#include "server/api/openapi.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "http/core.h"
#include "server/api/schemas.h"
#include "server/routes.h"
#include "veetance.h"

static void schema(const struct http_field *f, enum http_type type, bool is_form, bool merge,
                   struct buf *b);

/* A member that stands for something of the components. */
static void put_ref(struct buf *b, const char *kind, struct str name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "#/components/%s/%.*s", kind, STR_ARG(name));
    json_put_z(b, "$ref", path);
}

static void put_ref_object(struct buf *b, const char *key, const char *kind, const char *name)
{
    json_object(b, key);
    put_ref(b, kind, str_from(name));
    json_end_object(b);
}

/* The next of "A|B"; empty at the end. */
static struct str next_word(const char **list)
{
    struct str word = {*list, strcspn(*list, "|")};
    *list += word.n + ((*list)[word.n] == '|');
    return word;
}

/* "A|B", and null: one of these shapes. */
static void put_shapes(const struct http_field *f, struct buf *b)
{
    const char *list = f->schemas;
    json_array(b, "anyOf");
    for (struct str name; (name = next_word(&list)).n > 0;) {
        json_object(b, NULL);
        put_ref(b, "schemas", name);
        json_end_object(b);
    }
    if (f->nullable) {
        json_object(b, NULL);
        json_put_z(b, "type", "null");
        json_end_object(b);
    }
    json_end_array(b);
}

static void put_required(const struct http_field *fields, struct buf *b)
{
    bool any = false;
    for (const struct http_field *f = fields; f && f->name; f++)
        if (f->required) {
            if (!any)
                json_array(b, "required");
            any = true;
            json_put_z(b, NULL, f->name);
        }
    if (any)
        json_end_array(b);
}

static void object_schema(const struct http_field *fields, bool is_form, bool merge, struct buf *b)
{
    bool any = !fields;
    json_object(b, "properties");
    for (const struct http_field *f = fields; f && f->name; f++) {
        if (strcmp(f->name, "*") == 0) {
            any = true;
            continue;
        }
        json_object(b, f->name);
        schema(f, f->type, is_form, merge, b);
        json_end_object(b);
    }
    json_end_object(b);
    if (!merge)
        put_required(fields, b);
    json_put_bool(b, "additionalProperties", any);
}

static void put_type(const struct http_field *f, const char *type, struct buf *b)
{
    if (!f->nullable) {
        json_put_z(b, "type", type);
        return;
    }
    json_array(b, "type");
    json_put_z(b, NULL, type);
    json_put_z(b, NULL, "null");
    json_end_array(b);
}

static void put_values(const struct http_field *f, struct buf *b)
{
    const char *list = f->values;
    json_array(b, "enum");
    for (struct str value; (value = next_word(&list)).n > 0;)
        json_put_str(b, NULL, value);
    if (f->nullable)
        json_put_null(b, NULL);
    json_end_array(b);
}

static bool has_range(const struct http_field *f)
{
    return f->lo < f->hi || f->hi != 0;
}

static void put_string(const struct http_field *f, struct buf *b)
{
    put_type(f, "string", b);
    if (f->values) {
        put_values(f, b);
    } else if (has_range(f)) {
        json_put_fixed(b, "minLength", f->lo, 0);
        json_put_fixed(b, "maxLength", f->hi, 0);
    }
}

/* A bound to its last digit. */
static void put_bound(struct buf *b, const char *key, double value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.17g", value);
    json_put_raw(b, key, str_from(text));
}

static void put_number(const struct http_field *f, const char *type, struct buf *b)
{
    put_type(f, type, b);
    if (has_range(f)) {
        put_bound(b, "minimum", f->lo);
        put_bound(b, "maximum", f->hi);
    }
}

static void put_array(const struct http_field *f, bool is_form, bool merge, struct buf *b)
{
    struct http_field item = *f;
    bool numbers = f->items == HTTP_INT || f->items == HTTP_NUMBER;
    put_type(f, "array", b);
    item.nullable = false;
    item.help = item.fallback = NULL;
    if (!numbers) {
        if (has_range(f)) {
            json_put_fixed(b, "minItems", f->lo, 0);
            json_put_fixed(b, "maxItems", f->hi, 0);
        }
        item.lo = item.hi = 0;
    }
    json_object(b, "items");
    schema(&item, f->items, is_form, merge, b);
    json_end_object(b);
}

static void put_object(const struct http_field *f, bool is_form, bool merge, struct buf *b)
{
    const char *name = schema_name_of(f->fields);
    if (f->schemas) {
        put_shapes(f, b);
    } else if (name && !is_form && !merge && !f->nullable) {
        put_ref(b, "schemas", str_from(name));
    } else {
        put_type(f, "object", b);
        object_schema(f->fields, is_form, merge, b);
    }
}

static void schema(const struct http_field *f, enum http_type type, bool is_form, bool merge,
                   struct buf *b)
{
    switch (is_form && f->file && type != HTTP_ARRAY ? HTTP_ASSET : type) {
    case HTTP_STRING:
        put_string(f, b);
        break;
    case HTTP_ASSET:
        put_type(f, "string", b);
        json_put_z(b, is_form ? "format" : "pattern", is_form ? "binary" : "^[0-9a-f]{64}$");
        break;
    case HTTP_INT:
        put_number(f, "integer", b);
        break;
    case HTTP_NUMBER:
        put_number(f, "number", b);
        break;
    case HTTP_BOOL:
        put_type(f, "boolean", b);
        break;
    case HTTP_OBJECT:
        put_object(f, is_form, merge, b);
        break;
    case HTTP_ARRAY:
        put_array(f, is_form, merge, b);
        break;
    case HTTP_ANY:
    default:
        break;
    }
    if (f->help)
        json_put_z(b, "description", f->help);
    if (f->fallback)
        json_put_raw(b, "default", str_from(f->fallback));
}

/* A whole body or answer. */
static void put_schema(struct buf *b, const struct http_field *fields, bool is_form, bool merge)
{
    const char *name = is_form || merge ? NULL : schema_name_of(fields);
    json_object(b, "schema");
    if (name) {
        put_ref(b, "schemas", str_from(name));
    } else {
        json_put_z(b, "type", "object");
        object_schema(fields, is_form, merge, b);
    }
    json_end_object(b);
}

/* A type of contents of which nothing more is known. */
static void put_any_content(struct buf *b, const char *type)
{
    json_object(b, type);
    json_object(b, "schema");
    json_end_object(b);
    json_end_object(b);
}

/* ---- operations --------------------------------------------------------------------------------------- */

static void put_parameter(struct buf *b, const char *in, const struct http_field *f)
{
    struct http_field shown = *f;
    shown.help = NULL;
    json_object(b, NULL);
    json_put_z(b, "name", f->name);
    json_put_z(b, "in", in);
    json_put_bool(b, "required", f->required);
    json_object(b, "schema");
    schema(&shown, f->type, false, false, b);
    json_end_object(b);
    if (f->help)
        json_put_z(b, "description", f->help);
    json_end_object(b);
}

/* A page sends a form, a DELETE or a POST without a body only with a header of its own. */
static bool wants_own_header(const struct http_route *r)
{
    return r->method == HTTP_DELETE || (r->accepts & HTTP_MULTIPART) ||
           (r->method == HTTP_POST && !r->body);
}

static void put_headers(const struct http_route *r, struct buf *b)
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
        if (headers[i].is_there)
            put_ref_object(b, NULL, "parameters", headers[i].name);
}

static void put_parameters(const struct http_route *r, struct buf *b)
{
    char name[64];
    json_array(b, "parameters");
    for (const char *p = strchr(r->path, '{'); p; p = strchr(p + 1, '{')) {
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        put_parameter(b, "path",
                      &(struct http_field){.name = name, .type = HTTP_STRING, .required = true});
    }
    for (const struct http_field *f = r->query; f && f->name; f++)
        if (strcmp(f->name, "*") != 0)
            put_parameter(b, "query", f);
    put_headers(r, b);
    json_end_array(b);
}

static void put_body_type(const struct http_route *r, const char *type, bool is_form, struct buf *b)
{
    json_object(b, type);
    put_schema(b, r->body, is_form, r->flags & HTTP_MERGE);
    json_end_object(b);
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

static void put_request_body(const struct http_route *r, struct buf *b)
{
    static const char *const images[] = {"image/png", "image/jpeg", "image/webp", NULL};
    if (!r->accepts)
        return;
    json_object(b, "requestBody");
    json_put_bool(b, "required", needs_body(r));
    json_object(b, "content");
    if (r->accepts & HTTP_JSON)
        put_body_type(r, "application/json", false, b);
    if (r->accepts & HTTP_MULTIPART)
        put_body_type(r, "multipart/form-data", true, b);
    for (const char *const *t = r->sink ? r->sink->types : images; (r->accepts & HTTP_BYTES) && *t;
         t++)
        put_any_content(b, *t);
    json_end_object(b);
    json_end_object(b);
}

/* The events of a stream: OpenAPI 3.1 has no word for them but the text that they come in. */
static void put_events(const struct http_route *r, struct buf *b)
{
    json_object(b, "content");
    json_object(b, "text/event-stream");
    json_object(b, "schema");
    json_put_z(b, "type", "string");
    json_put_z(b, "description", "Server-sent events; data is one line of JSON");
    json_end_object(b);
    json_object(b, "x-events");
    for (const char *const *p = r->emits; *p; p++) {
        size_t n = strcspn(*p, " ");
        json_key(b, (struct str){*p, n});
        put_ref_object(b, NULL, "schemas", *p + n + 1);
    }
    json_end_object(b);
    json_end_object(b);
    json_end_object(b);
}

static void put_answer_headers(const struct http_route *r, int status, struct buf *b)
{
    bool etag = (r->flags & HTTP_ETAG) || ((r->flags & HTTP_IF_MATCH) && r->gives);
    bool location = status == 201 || (status == 202 && r->status == 202);
    if (!etag && !location)
        return;
    json_object(b, "headers");
    if (etag)
        put_ref_object(b, "ETag", "headers", "ETag");
    if (location)
        put_ref_object(b, "Location", "headers", "Location");
    json_end_object(b);
}

static void begin_answer(struct buf *b, int status, const char *what)
{
    char key[12];
    (void)snprintf(key, sizeof key, "%d", status);
    json_object(b, key);
    json_put_z(b, "description", what);
}

/* Without a body. */
static void put_answer(struct buf *b, int status, const char *what)
{
    begin_answer(b, status, what);
    json_end_object(b);
}

static void put_success(const struct http_route *r, int status, const char *what, struct buf *b)
{
    begin_answer(b, status, what);
    put_answer_headers(r, status, b);
    if (r->emits) {
        put_events(r, b);
    } else if (r->gives || r->type) {
        json_object(b, "content");
        if (r->gives) {
            json_object(b, "application/json");
            put_schema(b, r->gives, false, false);
            json_end_object(b);
        } else {
            put_any_content(b, r->type);
        }
        json_end_object(b);
    }
    json_end_object(b);
}

static void put_waited(const struct http_route *r, struct buf *b)
{
    if (!r->waited)
        return;
    begin_answer(b, 200, "With wait: the result");
    json_object(b, "content");
    json_object(b, "application/json");
    put_ref_object(b, "schema", "schemas", r->waited);
    json_end_object(b);
    json_end_object(b);
    json_end_object(b);
}

static void put_responses(const struct http_route *r, struct buf *b)
{
    int status = r->status ? r->status : 200;
    json_object(b, "responses");
    put_success(r, status,
                status == 202   ? "Accepted: the job"
                : status == 201 ? "Created"
                                : "Success",
                b);
    if (status == 201)
        put_success(r, 200, "It was there already", b);
    if (r->flags & HTTP_LATER)
        put_success(r, 202, "A job runs; it is done after that", b);
    put_waited(r, b);
    if (r->emits == schema_job_events)
        put_answer(b, 204, "The client has seen how the job ended");
    if (r->flags & HTTP_ETAG)
        put_answer(b, 304, "The client has it");
    if (r->flags & HTTP_IF_MATCH)
        put_ref_object(b, "412", "responses", "Problem");
    if (r->method != HTTP_GET)
        put_ref_object(b, "429", "responses", "Later");
    put_ref_object(b, "503", "responses", "Later");
    put_ref_object(b, "default", "responses",
                   strcmp(r->tag, "a1111") == 0 ? "ProblemA1111" : "Problem");
    json_end_object(b);
}

static void put_operation(const struct http_route *r, struct buf *b)
{
    static const char *const methods[] = {"get", "post", "put", "patch", "delete"};
    json_object(b, methods[r->method]);
    json_put_z(b, "operationId", r->name);
    json_put_z(b, "summary", r->summary);
    json_array(b, "tags");
    json_put_z(b, NULL, r->tag);
    json_end_array(b);
    put_parameters(r, b);
    put_request_body(r, b);
    put_responses(r, b);
    if (r->flags & HTTP_OPEN) {
        json_array(b, "security");
        json_end_array(b);
    }
    json_end_object(b);
}

/* A path's operations stand together, where the first of them is. */
static void put_path(const struct http_route *first, struct buf *b)
{
    json_object(b, first->path);
    for (size_t t = 0; routes_all[t]; t++)
        for (const struct http_route *r = routes_all[t]; r->path; r++)
            if (strcmp(r->path, first->path) == 0)
                put_operation(r, b);
    json_end_object(b);
}

static bool is_first(const struct http_route *route)
{
    for (size_t t = 0; routes_all[t]; t++)
        for (const struct http_route *r = routes_all[t]; r->path; r++)
            if (strcmp(r->path, route->path) == 0)
                return r == route;
    return false;
}

/* ---- components --------------------------------------------------------------------------------------- */

static void put_named_parameters(struct buf *b)
{
    static const struct {
        const char *key, *header, *what;
    } named[] = {
        {"IfMatch", "If-Match",
         "the ETag of the revision that the change was made from; 412 when there is another by "
         "now"},
        {"IfNoneMatch", "If-None-Match", "an ETag that the client has: 304"},
        {"IdempotencyKey", "Idempotency-Key",
         "1 to 255 characters: the same request sent again is the same job; 422 when it asks for "
         "something else"},
        {"LastEventId", "Last-Event-ID", "the id of the last event that the client has seen"},
        {"XVeetance", "X-Veetance",
         "any value; a web page must send it with a form, a DELETE, or a POST without a body, and "
         "so does nobody else need to but with a form: a page of another origin cannot"},
    };
    json_object(b, "parameters");
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        json_object(b, named[i].key);
        json_put_z(b, "name", named[i].header);
        json_put_z(b, "in", "header");
        json_object(b, "schema");
        json_put_z(b, "type", "string");
        json_end_object(b);
        json_put_z(b, "description", named[i].what);
        json_end_object(b);
    }
    json_end_object(b);
}

/* detail: the schema of that member; a face has its own. */
static void put_problem(const char *name, const char *detail, struct buf *b)
{
    json_object(b, name);
    json_put_z(b, "type", "object");
    json_put_raw(b, "required", STR_LIT("[\"title\",\"status\",\"detail\",\"code\"]"));
    json_object(b, "properties");
    json_put_raw(b, "type", STR_LIT("{\"type\":\"string\"}"));
    json_put_raw(b, "title", STR_LIT("{\"type\":\"string\"}"));
    json_put_raw(b, "status", STR_LIT("{\"type\":\"integer\"}"));
    json_put_raw(b, "detail", str_from(detail));
    json_put_raw(b, "code", STR_LIT("{\"type\":\"string\"}"));
    json_object(b, "field");
    json_put_z(b, "type", "string");
    json_put_z(b, "description", "the member, parameter or header that is wrong");
    json_end_object(b);
    json_end_object(b);
    json_end_object(b);
}

static void put_schemas(struct buf *b)
{
    json_object(b, "schemas");
    for (const struct schema_name *n = schema_names; n->name; n++) {
        json_object(b, n->name);
        json_put_z(b, "type", "object");
        object_schema(n->fields, false, false, b);
        json_end_object(b);
    }
    put_problem("Problem", "{\"type\":\"string\"}", b);
    put_problem("ProblemA1111",
                "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"items\":{\"type\":"
                "\"object\",\"required\":[\"type\",\"loc\",\"msg\"],\"properties\":{\"type\":{"
                "\"type\":\"string\"},\"loc\":{\"type\":\"array\"},\"msg\":{\"type\":"
                "\"string\"}}}}]}",
                b);
    json_end_object(b);
}

static void put_problem_content(struct buf *b, const char *name)
{
    json_object(b, "content");
    json_object(b, "application/problem+json");
    put_ref_object(b, "schema", "schemas", name);
    json_end_object(b);
    json_end_object(b);
}

static void put_problem_answer(struct buf *b, const char *name)
{
    json_object(b, name);
    json_put_z(b, "description", "What went wrong");
    put_problem_content(b, name);
    json_end_object(b);
}

static void put_named_responses(struct buf *b)
{
    json_object(b, "responses");
    put_problem_answer(b, "Problem");
    put_problem_answer(b, "ProblemA1111");
    json_object(b, "Later");
    json_put_z(b, "description", "Not now: the queue is full, or the server is busy");
    json_object(b, "headers");
    put_ref_object(b, "Retry-After", "headers", "RetryAfter");
    json_end_object(b);
    put_problem_content(b, "Problem");
    json_end_object(b);
    json_end_object(b);
}

static void put_header(struct buf *b, const char *key, const char *type, const char *what)
{
    json_object(b, key);
    json_object(b, "schema");
    json_put_z(b, "type", type);
    json_end_object(b);
    json_put_z(b, "description", what);
    json_end_object(b);
}

static void put_components(struct buf *b)
{
    json_object(b, "components");
    json_put_raw(b, "securitySchemes",
                 STR_LIT("{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
                         "\"password\":{\"type\":\"http\",\"scheme\":\"basic\"}}"));
    put_schemas(b);
    put_named_parameters(b);
    json_object(b, "headers");
    put_header(b, "ETag", "string", "for If-Match and If-None-Match");
    put_header(b, "Location", "string", "where it is");
    put_header(b, "RetryAfter", "integer", "seconds until it is worth trying again");
    json_end_object(b);
    put_named_responses(b);
    json_end_object(b);
}

void openapi_write(struct buf *b)
{
    json_object(b, NULL);
    json_put_z(b, "openapi", "3.1.0");
    json_object(b, "info");
    json_put_z(b, "title", "Veetance Asset Editor");
    json_put_z(b, "version", vt_version());
    json_put_z(b, "summary", "Make, edit and take apart images on this machine");
    json_end_object(b);
    json_put_raw(b, "security", STR_LIT("[{},{\"token\":[]},{\"password\":[]}]"));
    json_object(b, "paths");
    for (size_t t = 0; routes_all[t]; t++)
        for (const struct http_route *r = routes_all[t]; r->path; r++)
            if (is_first(r))
                put_path(r, b);
    json_end_object(b);
    put_components(b);
    json_end_object(b);
}
