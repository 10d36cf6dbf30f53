/* json_text.c - writes JSON into a buffer.
 *
 * Nothing is remembered but the buffer itself: whether a comma is missing is told from the last byte that was
 * written. So there is no state to get wrong, several functions may write parts of one document, and a line of a
 * JSON-lines file needs no reset. A text that is not UTF-8 (a file name, say) is written with U+FFFD in place of
 * each bad byte, because one such byte would make the whole document invalid.
 */
#include "base/json_text.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void add_escaped(struct buf *b, unsigned char c)
{
    if (c == '"' || c == '\\')
        buf_printf(b, "\\%c", c);
    else if (c == '\n')
        buf_add_z(b, "\\n");
    else if (c < 0x20 || c == 0x7f)
        buf_printf(b, "\\u%04x", c);
    else
        buf_add_byte(b, c);
}

void json_add_str(struct buf *b, struct str s)
{
    buf_add_byte(b, '"');
    while (s.n > 0) {
        size_t good = s.n;
        (void)str_is_utf8(s, &good);
        for (size_t i = 0; i < good; i++)
            add_escaped(b, (unsigned char)s.p[i]);
        s = str_skip(s, good);
        if (s.n > 0) {
            buf_add_z(b, "\xef\xbf\xbd");
            s = str_skip(s, 1);
        }
    }
    buf_add_byte(b, '"');
}

void json_add_z(struct buf *b, const char *z)
{
    json_add_str(b, str_from(z));
}

static void begin(struct buf *b, const char *key)
{
    if (b->n > 0 && !strchr("{[:,\n", b->p[b->n - 1]))
        buf_add_byte(b, ',');
    if (key)
        buf_printf(b, "\"%s\":", key);
}

void json_object(struct buf *b, const char *key)
{
    begin(b, key);
    buf_add_byte(b, '{');
}

void json_end_object(struct buf *b)
{
    buf_add_byte(b, '}');
}

void json_array(struct buf *b, const char *key)
{
    begin(b, key);
    buf_add_byte(b, '[');
}

void json_end_array(struct buf *b)
{
    buf_add_byte(b, ']');
}

void json_string(struct buf *b, const char *key)
{
    begin(b, key);
    buf_add_byte(b, '"');
}

void json_end_string(struct buf *b)
{
    buf_add_byte(b, '"');
}

void json_key(struct buf *b, struct str key)
{
    begin(b, NULL);
    json_add_str(b, key);
    buf_add_byte(b, ':');
}

void json_put_str(struct buf *b, const char *key, struct str value)
{
    begin(b, key);
    json_add_str(b, value);
}

void json_put_z(struct buf *b, const char *key, const char *value)
{
    if (value)
        json_put_str(b, key, str_from(value));
    else
        json_put_null(b, key);
}

void json_put_int(struct buf *b, const char *key, int64_t value)
{
    begin(b, key);
    buf_printf(b, "%lld", (long long)value);
}

void json_put_uint(struct buf *b, const char *key, uint64_t value)
{
    begin(b, key);
    buf_printf(b, "%llu", (unsigned long long)value);
}

void json_put_ints(struct buf *b, const char *key, const int64_t *values, size_t n)
{
    json_array(b, key);
    for (size_t i = 0; i < n; i++)
        json_put_int(b, NULL, values[i]);
    json_end_array(b);
}

void json_put_bool(struct buf *b, const char *key, bool value)
{
    begin(b, key);
    buf_add_z(b, value ? "true" : "false");
}

void json_put_null(struct buf *b, const char *key)
{
    begin(b, key);
    buf_add_z(b, "null");
}

void json_put_fixed(struct buf *b, const char *key, double value, int digits)
{
    begin(b, key);
    if (isfinite(value))
        buf_printf(b, "%.*f", digits, value);
    else
        buf_add_z(b, "null");
}

static void put_digits(struct buf *b, const char *key, double value, int digits)
{
    begin(b, key);
    if (isfinite(value))
        buf_printf(b, "%.*g", digits, value);
    else
        buf_add_z(b, "null");
}

void json_put_number(struct buf *b, const char *key, double value)
{
    put_digits(b, key, value, 6);
}

void json_put_float(struct buf *b, const char *key, double value)
{
    put_digits(b, key, value, FLT_DECIMAL_DIG);
}

/* A newline at its end would be taken for the end of a line. */
static struct str without_newline(struct str json)
{
    while (json.n > 0 && json.p[json.n - 1] == '\n')
        json.n--;
    return json;
}

void json_put_raw(struct buf *b, const char *key, struct str json)
{
    begin(b, key);
    buf_add_str(b, without_newline(json));
}

void json_put_members(struct buf *b, struct str object)
{
    object = without_newline(object);
    if (object.n > 2 && object.p[0] == '{' && object.p[object.n - 1] == '}')
        json_put_raw(b, NULL, (struct str){object.p + 1, object.n - 2});
}
