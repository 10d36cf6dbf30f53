#include "http/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/sha256.h"

static const char *const type_words[] = {
    [HTTP_STRING] = "a string",          [HTTP_INT] = "a whole number", [HTTP_NUMBER] = "a number",
    [HTTP_BOOL] = "true or false",       [HTTP_OBJECT] = "an object",   [HTTP_ARRAY] = "a list",
    [HTTP_ASSET] = "the id of an image", [HTTP_ANY] = "any value",
};

const struct http_field *check_find(const struct http_field *fields, struct str name)
{
    const struct http_field *f = fields;
    for (; f && f->name; f++)
        if (str_eq_z(name, f->name) || str_eq_z(STR_LIT("*"), f->name))
            return f;
    return NULL;
}

bool check_among(const char *values, struct str text)
{
    for (const char *p = values;; p++) {
        size_t n = strcspn(p, "|");
        if (str_eq((struct str){p, n}, text))
            return true;
        p += n;
        if (!*p)
            return false;
    }
}

static bool has_range(const struct http_field *f)
{
    return f->lo < f->hi || f->hi != 0;
}

static enum err_code check_number(const struct http_field *f, double v, struct err *e)
{
    if (!isfinite(v))
        return err_set(e, ERR_ARG, "%s is not a finite number", f->name);
    if (has_range(f) && (v < f->lo || v > f->hi))
        return err_set(e, ERR_ARG, "%s is %.17g; it should be %.17g to %.17g", f->name, v, f->lo,
                       f->hi);
    return ERR_OK;
}

static enum err_code check_string(const struct http_field *f, struct str s, struct err *e)
{
    if (memchr(s.p, 0, s.n))
        return err_set(e, ERR_ARG, "%s holds a zero byte", f->name);
    if (f->values && !check_among(f->values, s))
        return err_set(e, ERR_ARG, "%s is '%.40s'; it should be one of %s", f->name, s.p,
                       f->values);
    if (has_range(f) && ((double)s.n < f->lo || (double)s.n > f->hi))
        return err_set(e, ERR_ARG, "%s has %zu bytes; it should have %.0f to %.0f", f->name, s.n,
                       f->lo, f->hi);
    return ERR_OK;
}

static bool is_type(enum http_type t, yyjson_val *v)
{
    switch (t) {
    case HTTP_STRING:
    case HTTP_ASSET:
        return yyjson_is_str(v);
    case HTTP_INT:
        return yyjson_is_int(v) ||
               (yyjson_is_real(v) && yyjson_get_real(v) == floor(yyjson_get_real(v)) &&
                fabs(yyjson_get_real(v)) < 9e15);
    case HTTP_NUMBER:
        return yyjson_is_num(v);
    case HTTP_BOOL:
        return yyjson_is_bool(v);
    case HTTP_OBJECT:
        return yyjson_is_obj(v);
    case HTTP_ARRAY:
        return yyjson_is_arr(v);
    case HTTP_ANY:
    default:
        return true;
    }
}

struct place {
    char *field; /* where the path is written */
    bool merge;
};

static enum err_code check_members(const struct http_field *fields, yyjson_val *object,
                                   const struct place *at, size_t n, struct err *e);

/* Appends ".name", or "[index]" without a name, at n; where the path then ends. */
static size_t add_path(const struct place *at, size_t n, const char *name, size_t index)
{
    char *to = at->field + n;
    size_t room = CHECK_FIELD_SIZE - n;
    int k =
        name ? snprintf(to, room, "%s%s", n ? "." : "", name) : snprintf(to, room, "[%zu]", index);
    return k < 0 || (size_t)k >= room ? CHECK_FIELD_SIZE - 1 : n + (size_t)k;
}

static enum err_code check_value(const struct http_field *f, enum http_type type, yyjson_val *v,
                                 const struct place *at, size_t n, struct err *e)
{
    if (yyjson_is_null(v) && f->nullable)
        return ERR_OK;
    if (!is_type(type, v))
        return err_set(e, ERR_ARG, "%s should be %s, not %s", at->field, type_words[type],
                       yyjson_get_type_desc(v));
    if (type == HTTP_INT || type == HTTP_NUMBER)
        return check_number(f, yyjson_get_num(v), e);
    if (type == HTTP_STRING)
        return check_string(f, (struct str){yyjson_get_str(v), yyjson_get_len(v)}, e);
    if (type == HTTP_ASSET && !sha256_is_hex(yyjson_get_str(v)))
        return err_set(e, ERR_ARG,
                       "%s should be the id of an image: 64 hexadecimal digits, as POST "
                       "/v1/assets gives",
                       at->field);
    if (type == HTTP_OBJECT && f->fields)
        return check_members(f->fields, v, at, n, e);
    return ERR_OK;
}

static enum err_code check_items(const struct http_field *f, yyjson_val *list,
                                 const struct place *at, size_t n, struct err *e)
{
    size_t i, max;
    yyjson_val *v;
    size_t count = yyjson_arr_size(list);
    struct http_field item = *f;
    if (has_range(f) && f->items != HTTP_INT && f->items != HTTP_NUMBER &&
        ((double)count < f->lo || (double)count > f->hi))
        return err_set(e, ERR_ARG, "%s has %zu items; it should have %.0f to %.0f", at->field,
                       count, f->lo, f->hi);
    if (item.items != HTTP_INT && item.items != HTTP_NUMBER)
        item.lo = item.hi = 0;
    item.nullable = false;
    yyjson_arr_foreach(list, i, max, v)
    {
        size_t m = add_path(at, n, NULL, i);
        enum err_code rc = check_value(&item, f->items, v, at, m, e);
        if (rc != ERR_OK)
            return rc;
        at->field[n] = 0;
    }
    return ERR_OK;
}

static enum err_code check_members(const struct http_field *fields, yyjson_val *object,
                                   const struct place *at, size_t n, struct err *e)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(object, i, max, key, v)
    {
        struct str name = {yyjson_get_str(key), yyjson_get_len(key)};
        const struct http_field *f = check_find(fields, name);
        size_t m = add_path(at, n, name.p, 0);
        if (!f)
            return err_set(e, ERR_ARG, "there is no member '%.60s' here", name.p);
        if (strcmp(f->name, "*") != 0 && yyjson_obj_getn(object, name.p, name.n) != v)
            return err_set(e, ERR_ARG, "%s is given twice", at->field);
        enum err_code rc = check_value(f, f->type, v, at, m, e);
        if (rc == ERR_OK && f->type == HTTP_ARRAY && !yyjson_is_null(v))
            rc = check_items(f, v, at, m, e);
        if (rc != ERR_OK)
            return rc;
        at->field[n] = 0;
    }
    for (const struct http_field *f = fields; f && f->name; f++)
        if (f->required && !at->merge && !yyjson_obj_get(object, f->name)) {
            (void)add_path(at, n, f->name, 0);
            return err_set(e, ERR_ARG, "%s is missing", at->field);
        }
    return ERR_OK;
}

enum err_code check_object(const struct http_field *fields, yyjson_val *object, bool merge,
                           char field[CHECK_FIELD_SIZE], struct err *e)
{
    struct place at = {.field = field, .merge = merge};
    field[0] = 0;
    return check_members(fields, object, &at, 0, e);
}

enum err_code check_text(const struct http_field *f, const char *text, struct err *e)
{
    struct str s = str_from(text);
    int64_t i;
    double d;
    switch (f->type) {
    case HTTP_INT:
        if (!str_to_i64(s, &i))
            return err_set(e, ERR_ARG, "%s should be a whole number, not '%.40s'", f->name, text);
        return check_number(f, (double)i, e);
    case HTTP_NUMBER:
        if (!str_to_double(s, &d))
            return err_set(e, ERR_ARG, "%s should be a number, not '%.40s'", f->name, text);
        return check_number(f, d, e);
    case HTTP_BOOL:
        if (check_among("true|false|1|0", s))
            return ERR_OK;
        return err_set(e, ERR_ARG, "%s should be true or false, not '%.40s'", f->name, text);
    default:
        return check_string(f, s, e);
    }
}
