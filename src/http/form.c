/* form.c - form fields into the object that a JSON body would have been, so that both are checked and used
 * alike: numbers and switches by the route's table, a name that comes several times as a list. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/internal.h"
#include "http/limits.h"

enum err_code http_form_add(struct http_request *rq, const char *name, bool is_file,
                            struct http_form_field **out, struct err *e)
{
    *out = NULL;
    if (!rq->form)
        rq->form = mem_alloc(HTTP_MAX_FORM_FIELDS * sizeof *rq->form);
    if (rq->n_form == HTTP_MAX_FORM_FIELDS)
        return http_refuse(rq, 413, NULL, e, "a form has at most %d fields", HTTP_MAX_FORM_FIELDS);
    struct http_form_field *f = &rq->form[rq->n_form];
    size_t n = strlen(name);
    if (n > 2 && strcmp(name + n - 2, "[]") == 0)
        n -= 2;
    if (n >= sizeof f->name)
        return http_refuse(rq, 400, NULL, e, "a field of the form has a name of %zu bytes", n);
    (void)snprintf(f->name, sizeof f->name, "%.*s", (int)n, name);
    f->is_file = is_file;
    buf_init(&f->text, rq->route->max_body ? rq->route->max_body : LIMIT_JSON_BODY);
    rq->n_form++;
    *out = f;
    return ERR_OK;
}

/* As JSON where the text is such, else as the string that it is: the check then names what is wrong. */
static yyjson_mut_val *parsed(yyjson_mut_doc *d, struct str s)
{
    yyjson_doc *doc = NULL;
    struct err ignored = {0};
    yyjson_mut_val *v = NULL;
    if (json_parse(s, "field", &doc, &ignored) == ERR_OK)
        v = yyjson_val_mut_copy(d, yyjson_doc_get_root(doc));
    else
        err_clear(&ignored);
    yyjson_doc_free(doc);
    return v ? v : yyjson_mut_strncpy(d, s.p, s.n);
}

static yyjson_mut_val *value_of(yyjson_mut_doc *d, enum http_type type, struct str s)
{
    switch (type) {
    case HTTP_INT:
    case HTTP_NUMBER:
    case HTTP_OBJECT:
    case HTTP_ARRAY:
        return parsed(d, s);
    case HTTP_BOOL:
        if (check_among("true|1|on|yes", s))
            return yyjson_mut_bool(d, true);
        if (check_among("false|0|off|no", s))
            return yyjson_mut_bool(d, false);
        return yyjson_mut_strncpy(d, s.p, s.n);
    default:
        return yyjson_mut_strncpy(d, s.p, s.n);
    }
}

static bool add_value(yyjson_mut_doc *d, yyjson_mut_val *root, const struct http_field *row,
                      const struct http_form_field *f)
{
    struct str s = buf_str(&f->text);
    enum http_type type = row ? row->type : HTTP_STRING;
    yyjson_mut_val *old = yyjson_mut_obj_get(root, f->name);
    if (type == HTTP_ARRAY && !(s.n && s.p[0] == '[')) {
        if (!old) {
            old = yyjson_mut_arr(d);
            if (!yyjson_mut_obj_add(root, yyjson_mut_strcpy(d, f->name), old))
                return false;
        }
        return yyjson_mut_arr_append(old, value_of(d, row->items, s));
    }
    return yyjson_mut_obj_add(root, yyjson_mut_strcpy(d, f->name), value_of(d, type, s));
}

enum err_code http_form_to_json(struct http_request *rq, struct err *e)
{
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = d ? yyjson_mut_obj(d) : NULL;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && root && i < rq->n_form; i++) {
        const struct http_form_field *f = &rq->form[i];
        if (!str_is_utf8(buf_str(&f->text), NULL))
            rc = http_refuse(rq, 422, f->name, e, "%s is not valid UTF-8", f->name);
        else if (!add_value(d, root, check_find(rq->route->body, str_from(f->name)), f))
            root = NULL;
    }
    if (rc == ERR_OK && root) {
        yyjson_mut_doc_set_root(d, root);
        rq->doc = yyjson_mut_doc_imut_copy(d, NULL);
    }
    yyjson_mut_doc_free(d);
    if (rc == ERR_OK && !rq->doc)
        rc = err_set(e, ERR_NOMEM, "no memory for the form");
    return rc;
}
