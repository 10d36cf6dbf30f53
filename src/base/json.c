/* json.c - parses JSON from strangers, and takes values out of it with their types and ranges checked.
 *
 * Documents come from strangers, so what could hurt is refused before yyjson parses: text nested so deep that code
 * which walks the document by recursion would run out of stack. A key that is absent or null leaves *out as it
 * was, so callers put their default there first.
 */
#include "base/json.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_text.h"

/* Nesting is counted on the raw text before yyjson sees it, so that code which walks the document by
 * recursion never meets more than JSON_MAX_DEPTH levels. */
static bool depth_ok(struct str text)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_MAX_DEPTH)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

enum err_code json_parse(struct str text, const char *what, yyjson_doc **out, struct err *e)
{
    *out = NULL;
    if (!depth_ok(text))
        return err_set(e, ERR_LIMIT, "%s: JSON is nested deeper than %d levels", what,
                       JSON_MAX_DEPTH);
    yyjson_read_err re = {0};
    *out = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, YYJSON_READ_NOFLAG, NULL, &re);
    if (!*out && re.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return err_set(e, ERR_NOMEM, "%s: no memory to read the JSON", what);
    if (!*out)
        return err_set(e, ERR_FORMAT, "%s: not valid JSON: %s at byte %zu", what,
                       re.msg ? re.msg : "error", re.pos);
    return ERR_OK;
}

enum err_code json_read_file(const char *path, size_t max_bytes, yyjson_doc **out, struct err *e)
{
    struct buf b;
    *out = NULL;
    enum err_code rc = file_read(path, max_bytes, &b, e);
    if (rc != ERR_OK)
        return rc;
    rc = json_parse(buf_str(&b), path, out, e);
    buf_deinit(&b);
    return rc;
}

static yyjson_val *get(yyjson_val *obj, const char *key)
{
    yyjson_val *v = yyjson_obj_get(obj, key);
    return yyjson_is_null(v) ? NULL : v;
}

static enum err_code wrong_kind(yyjson_val *v, const char *key, const char *expected,
                                const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: '%s' should be %s, found %s", what, key, expected,
                   yyjson_get_type_desc(v));
}

static enum err_code value_i64(yyjson_val *v, const char *key, int64_t lo, int64_t hi, int64_t *out,
                               const char *what, struct err *e)
{
    if (!yyjson_is_int(v))
        return wrong_kind(v, key, "an integer", what, e);
    if (yyjson_is_uint(v) && yyjson_get_uint(v) > (uint64_t)INT64_MAX)
        return err_set(e, ERR_FORMAT, "%s: '%s' is too large", what, key);
    int64_t n = yyjson_get_sint(v);
    if (n < lo || n > hi)
        return err_set(e, ERR_FORMAT, "%s: '%s' is %lld, expected %lld to %lld", what, key,
                       (long long)n, (long long)lo, (long long)hi);
    *out = n;
    return ERR_OK;
}

enum err_code json_get_i64(yyjson_val *obj, const char *key, int64_t lo, int64_t hi, int64_t *out,
                           const char *what, struct err *e)
{
    yyjson_val *v = get(obj, key);
    return v ? value_i64(v, key, lo, hi, out, what, e) : ERR_OK;
}

enum err_code json_get_double(yyjson_val *obj, const char *key, double lo, double hi, double *out,
                              const char *what, struct err *e)
{
    yyjson_val *v = get(obj, key);
    if (!v)
        return ERR_OK;
    if (!yyjson_is_num(v))
        return wrong_kind(v, key, "a number", what, e);
    double d = yyjson_get_num(v);
    if (!(d >= lo && d <= hi))
        return err_set(e, ERR_FORMAT, "%s: '%s' is %g, expected %g to %g", what, key, d, lo, hi);
    *out = d;
    return ERR_OK;
}

enum err_code json_get_bool(yyjson_val *obj, const char *key, bool *out, const char *what,
                            struct err *e)
{
    yyjson_val *v = get(obj, key);
    if (!v)
        return ERR_OK;
    if (!yyjson_is_bool(v))
        return wrong_kind(v, key, "true or false", what, e);
    *out = yyjson_get_bool(v);
    return ERR_OK;
}

enum err_code json_get_str(yyjson_val *obj, const char *key, struct str *out, const char *what,
                           struct err *e)
{
    yyjson_val *v = get(obj, key);
    if (!v)
        return ERR_OK;
    if (!yyjson_is_str(v))
        return wrong_kind(v, key, "a string", what, e);
    *out = (struct str){yyjson_get_str(v), yyjson_get_len(v)};
    return ERR_OK;
}

static enum err_code check_array(yyjson_val *v, const char *key, size_t max, const char *what,
                                 struct err *e)
{
    if (!yyjson_is_arr(v))
        return wrong_kind(v, key, "an array", what, e);
    if (yyjson_arr_size(v) > max)
        return err_set(e, ERR_LIMIT, "%s: '%s' has %zu entries, at most %zu are allowed", what, key,
                       yyjson_arr_size(v), max);
    return ERR_OK;
}

enum err_code json_get_i64_array(yyjson_val *obj, const char *key, int64_t lo, int64_t hi,
                                 int64_t *out, size_t max, size_t *n, const char *what,
                                 struct err *e)
{
    yyjson_val *v = get(obj, key);
    if (!v)
        return ERR_OK;
    TRY(check_array(v, key, max, what, e));
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach(v, i, count, item)
    {
        TRY(value_i64(item, key, lo, hi, &out[i], what, e));
    }
    *n = yyjson_arr_size(v);
    return ERR_OK;
}

enum err_code json_get_double_array(yyjson_val *obj, const char *key, double *out, size_t max,
                                    size_t *n, const char *what, struct err *e)
{
    yyjson_val *v = get(obj, key);
    if (!v)
        return ERR_OK;
    TRY(check_array(v, key, max, what, e));
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach(v, i, count, item)
    {
        if (!yyjson_is_num(item))
            TRY(wrong_kind(item, key, "numbers", what, e));
        out[i] = yyjson_get_num(item);
    }
    *n = yyjson_arr_size(v);
    return ERR_OK;
}

/* ---- writing documents ----------------------------------------------------------------------- */

enum { JSON_WRITE_MAX_BYTES = 256 << 20 };

/* Freed with free. */
static enum err_code to_text(const yyjson_mut_doc *doc, yyjson_write_flag how, char **out,
                             size_t *n, struct err *e)
{
    yyjson_write_err why = {0};
    *out = yyjson_mut_write_opts(doc, how, NULL, n, &why);
    if (*out)
        return ERR_OK;
    return err_set(e, why.code == YYJSON_WRITE_ERROR_MEMORY_ALLOCATION ? ERR_NOMEM : ERR_FORMAT,
                   "cannot write JSON: %s", why.msg ? why.msg : "no memory");
}

static enum err_code check_buf(const struct buf *b, size_t n, struct err *e)
{
    return buf_failed(b) ? err_set(e, ERR_NOMEM, "no memory for %zu bytes of JSON", n) : ERR_OK;
}

enum err_code json_write(const yyjson_mut_doc *doc, struct buf *out, struct err *e)
{
    char *text;
    size_t n;
    TRY(to_text(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, &text, &n, e));
    buf_add(out, text, n);
    buf_add_byte(out, '\n');
    free(text);
    return check_buf(out, n, e);
}

enum err_code json_put_doc(struct buf *b, const char *key, const yyjson_mut_doc *doc, struct err *e)
{
    char *text;
    size_t n;
    TRY(to_text(doc, YYJSON_WRITE_NOFLAG, &text, &n, e));
    json_put_raw(b, key, (struct str){text, n});
    free(text);
    return check_buf(b, n, e);
}

enum err_code json_write_file(const yyjson_mut_doc *doc, const char *path, struct err *e)
{
    struct buf text;
    buf_init(&text, JSON_WRITE_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(json_write(doc, &text, e), done);
    rc = file_write_atomic(path, text.p, text.n, e);
done:
    buf_deinit(&text);
    return rc;
}
