/* inspect_write.c - a report as text for people and as JSON for programs.
 *
 * Everything comes from struct inspect_report; nothing is read or decided here. Names and metadata come from a
 * file, so text turns control characters and broken UTF-8 into '?', and both forms cut long values. The JSON keys
 * are a contract; the text may change. Whoever writes several components calls inspect_pipeline_begin and _end
 * around them.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/json_text.h"
#include "weights/component_impl.h"
#include "weights/header_write.h"
#include "weights/inspect_impl.h"

enum { META_SHOWN_BYTES = 200, META_SHOWN_ITEMS = 40, NAME_COLUMN_MAX = 80 };

/* ---- pieces ------------------------------------------------------------------------------------ */

/* A prefix of at most max bytes that ends between characters. */
static struct str cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    s.n = max;
    while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
        s.n--;
    return s;
}

/* One line: control characters and broken UTF-8 become '?'. */
static void plain_line(struct buf *out, struct str s)
{
    bool valid = str_is_utf8(s, NULL);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        buf_add_byte(out, c == '\n' || c == '\t'                           ? ' '
                          : c < 0x20 || c == 0x7f || (c >= 0x80 && !valid) ? '?'
                                                                           : c);
    }
}

static void human_bytes(struct buf *out, uint64_t n)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double v = (double)n;
    size_t u = 0;
    for (; v >= 1000 && u + 1 < sizeof units / sizeof units[0]; u++)
        v /= 1000;
    buf_printf(out, u == 0 ? "%.0f %s" : "%.2f %s", v, units[u]);
}

static void human_count(struct buf *out, uint64_t n)
{
    if (n >= 1000000000u)
        buf_printf(out, "%.2f billion", (double)n / 1e9);
    else if (n >= 1000000u)
        buf_printf(out, "%.2f million", (double)n / 1e6);
    else
        buf_printf(out, "%" PRIu64, n);
}

static const char *format_name(const struct inspect_report *r)
{
    return !r->cp ? "none" : checkpoint_format(r->cp) == CHECKPOINT_GGUF ? "gguf" : "safetensors";
}

static const char *file_name(const struct checkpoint *cp, size_t i)
{
    const char *path = checkpoint_file_path(cp, i), *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static size_t shown_tensors(const struct inspect_report *r, size_t max_tensors)
{
    size_t n = r->cp ? checkpoint_count(r->cp) : 0;
    return max_tensors > 0 && n > max_tensors ? max_tensors : n;
}

/* Shards repeat each other's metadata. */
static bool repeats(const struct checkpoint *cp, size_t i)
{
    return i > 0 && str_eq(cp->meta[i - 1].key, cp->meta[i].key);
}

static void meta_value(struct buf *out, const struct meta_item *m, bool as_json)
{
    struct buf text;
    int64_t n = 0;
    double d = 0;
    buf_init(&text, META_SHOWN_BYTES + 100);
    bool is_text = m->type == META_STRING || m->type == META_ARRAY;
    if (m->type == META_ARRAY)
        buf_printf(&text, "%" PRIu64 " %s", m->count,
                   m->elem == META_STRING ? "strings" : "numbers");
    else if (m->type == META_STRING)
        buf_printf(&text, "%.*s%s", STR_ARG(cut(m->text, META_SHOWN_BYTES)),
                   m->text.n > META_SHOWN_BYTES ? "..." : "");
    else if (m->type == META_BOOL)
        buf_add_z(&text, m->p[0] ? "true" : "false");
    else if (catalogue_meta_i64(m, &n))
        buf_printf(&text, "%" PRId64, n);
    else if (catalogue_meta_double(m, &d) && isfinite(d))
        buf_printf(&text, "%.9g", d);
    else
        buf_add_z(&text, "null");
    if (as_json && is_text)
        json_add_str(out, buf_str(&text));
    else
        plain_line(out, buf_str(&text));
    buf_deinit(&text);
}

/* ---- text -------------------------------------------------------------------------------------- */

static void text_sizes(const struct inspect_report *r, struct buf *out)
{
    buf_add_z(out, "  parameters  ");
    human_count(out, r->parameters);
    buf_add_z(out, "\n  size        ");
    human_bytes(out, r->bytes);
    const char *separator = ": ";
    for (int t = 0; t < DTYPE_COUNT; t++) {
        if (r->bytes_by_dtype[t] == 0)
            continue;
        buf_printf(out, "%s%s ", separator, dtype_info((enum dtype)t)->name);
        human_bytes(out, r->bytes_by_dtype[t]);
        separator = ", ";
    }
    buf_add_byte(out, '\n');
}

static const struct {
    const char *title, *id;
} devices[WEIGHTS_DEVICES] = {[WEIGHTS_CPU] = {"on the CPU", "cpu"},
                              [WEIGHTS_NVIDIA] = {"on NVIDIA", "nvidia"},
                              [WEIGHTS_VULKAN] = {"on Vulkan", "vulkan"}};

static void text_widened(const struct inspect_report *r, struct buf *out)
{
    const char *label = "widened";
    for (int d = 0; d < WEIGHTS_DEVICES; d++) {
        if (r->widened[d].bytes == 0)
            continue;
        buf_printf(out, "  %-11s %-10s %s to bfloat16, at most +", label, devices[d].title,
                   r->widened[d].from);
        human_bytes(out, r->widened[d].bytes);
        buf_add_byte(out, '\n');
        label = "";
    }
}

static void text_metadata(const struct checkpoint *cp, struct buf *out)
{
    size_t shown = 0;
    for (size_t i = 0; i < cp->n_meta; i++) {
        if (repeats(cp, i))
            continue;
        if (shown == META_SHOWN_ITEMS) {
            buf_printf(out, "              ... and more\n");
            return;
        }
        buf_add_z(out, shown++ == 0 ? "  metadata    " : "              ");
        plain_line(out, cut(cp->meta[i].key, META_SHOWN_BYTES));
        buf_add_z(out, " = ");
        meta_value(out, &cp->meta[i], false);
        buf_add_byte(out, '\n');
    }
}

static void text_tensors(const struct inspect_report *r, size_t max_tensors, struct buf *out)
{
    size_t n = shown_tensors(r, max_tensors), all = checkpoint_count(r->cp), width = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(checkpoint_at(r->cp, i)->name);
        width = len > width ? len : width;
    }
    width = width > NAME_COLUMN_MAX ? NAME_COLUMN_MAX : width;
    buf_printf(out, "  tensors     %zu\n", all);
    for (size_t i = 0; i < n; i++) {
        const struct weights_tensor *t = checkpoint_at(r->cp, i);
        buf_printf(out, "    %-*s  %-8s %-22s ", (int)width, t->name, dtype_info(t->dtype)->name,
                   catalogue_shape(t->dims, t->n_dims).z);
        human_bytes(out, t->bytes);
        buf_add_byte(out, '\n');
    }
    if (n < all)
        buf_printf(out, "    ... and %zu more\n", all - n);
}

static void text_problems(const struct inspect_report *r, struct buf *out)
{
    for (size_t i = 0; i < r->n_problems; i++) {
        buf_add_z(out, i == 0 ? "  problems    " : "              ");
        plain_line(out, str_from(r->problems[i]));
        buf_add_byte(out, '\n');
    }
    if (r->more_problems > 0)
        buf_printf(out, "              ... and %zu more\n", r->more_problems);
}

static void text_weights(const struct inspect_report *r, struct buf *out)
{
    size_t files = checkpoint_file_count(r->cp);
    buf_printf(out, "  format      %s, %zu file%s\n", format_name(r), files, files == 1 ? "" : "s");
    if (r->component) {
        char what[200];
        component_describe(r->component, what, sizeof what);
        buf_printf(out, "  kind        %s\n  naming      %s\n", what,
                   component_naming(r->component));
    } else {
        buf_printf(out, "  kind        %s\n", r->lora[0] ? r->lora : "unknown");
    }
    buf_printf(out, "  serves      %s\n", r->serves ? r->serves : "nothing");
    for (size_t i = 0; i < r->n_also; i++)
        buf_printf(out, "%s%s%s", i == 0 ? "  also here   " : ", ", r->also[i],
                   i + 1 == r->n_also ? "\n" : "");
    text_sizes(r, out);
    text_widened(r, out);
    text_metadata(r->cp, out);
}

void inspect_text(const struct inspect_report *r, size_t max_tensors, struct buf *out)
{
    if (r->role) {
        buf_printf(out, "%s: ", r->role);
        plain_line(out, str_from(r->class_name));
    } else {
        plain_line(out, str_from(r->path));
    }
    buf_add_byte(out, '\n');
    if (r->cp)
        text_weights(r, out);
    text_problems(r, out);
    if (r->cp)
        text_tensors(r, max_tensors, out);
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void json_files(const struct inspect_report *r, struct buf *out)
{
    json_array(out, "files");
    for (size_t i = 0; r->cp && i < checkpoint_file_count(r->cp); i++)
        json_put_z(out, NULL, file_name(r->cp, i));
    json_end_array(out);
}

static void json_sizes(const struct inspect_report *r, struct buf *out)
{
    json_put_uint(out, "parameters", r->parameters);
    json_put_uint(out, "bytes", r->bytes);
    json_object(out, "bytes_by_dtype");
    for (int t = 0; t < DTYPE_COUNT; t++)
        if (r->bytes_by_dtype[t] > 0)
            json_put_uint(out, dtype_info((enum dtype)t)->name, r->bytes_by_dtype[t]);
    json_end_object(out);
}

static void json_widened(const struct inspect_report *r, struct buf *out)
{
    json_array(out, "widened");
    for (int d = 0; d < WEIGHTS_DEVICES; d++) {
        if (r->widened[d].bytes == 0)
            continue;
        json_object(out, NULL);
        json_put_z(out, "on", devices[d].id);
        json_put_z(out, "from", r->widened[d].from);
        json_put_z(out, "to", "bfloat16");
        json_put_uint(out, "bytes", r->widened[d].bytes);
        json_end_object(out);
    }
    json_end_array(out);
}

static void json_metadata(const struct inspect_report *r, struct buf *out)
{
    json_object(out, "metadata");
    for (size_t i = 0; r->cp && i < r->cp->n_meta; i++) {
        if (repeats(r->cp, i))
            continue;
        json_key(out, r->cp->meta[i].key);
        meta_value(out, &r->cp->meta[i], true);
    }
    json_end_object(out);
}

static void json_problems(const struct inspect_report *r, struct buf *out)
{
    char more[48];
    json_array(out, "problems");
    for (size_t i = 0; i < r->n_problems; i++)
        json_put_z(out, NULL, r->problems[i]);
    (void)snprintf(more, sizeof more, "and %zu more", r->more_problems);
    if (r->more_problems > 0)
        json_put_z(out, NULL, more);
    json_end_array(out);
}

static void json_tensors(const struct checkpoint *cp, size_t n, struct buf *out)
{
    json_array(out, "tensors");
    for (size_t i = 0; i < n; i++) {
        const struct weights_tensor *t = checkpoint_at(cp, i);
        json_object(out, NULL);
        json_put_z(out, "name", t->name);
        json_put_z(out, "dtype", dtype_info(t->dtype)->name);
        json_put_ints(out, "shape", t->dims, (size_t)t->n_dims);
        json_put_uint(out, "bytes", t->bytes);
        json_put_z(out, "file", file_name(cp, (size_t)t->file));
        json_end_object(out);
    }
    json_end_array(out);
}

static void json_kind(const struct inspect_report *r, struct buf *out)
{
    const struct component *c = r->component;
    char what[200] = "";
    if (c)
        component_describe(c, what, sizeof what);
    json_put_z(out, "kind",
               r->lora[0] ? "lora" : component_kind_id(c ? component_kind(c) : COMPONENT_UNKNOWN));
    json_put_z(out, "description", c ? what : r->lora[0] ? r->lora : NULL);
    json_put_z(out, "naming", c ? component_naming(c) : NULL);
    json_array(out, "serves");
    if (r->serves)
        json_put_z(out, NULL, r->serves);
    json_end_array(out);
    json_array(out, "also");
    for (size_t i = 0; i < r->n_also; i++)
        json_put_z(out, NULL, r->also[i]);
    json_end_array(out);
}

void inspect_json(const struct inspect_report *r, size_t max_tensors, struct buf *out)
{
    json_object(out, NULL);
    if (r->role) {
        json_put_z(out, "name", r->role);
        json_put_z(out, "class", r->class_name);
    }
    json_put_z(out, "path", r->path);
    json_put_z(out, "format", format_name(r));
    json_kind(r, out);
    json_files(r, out);
    json_sizes(r, out);
    json_widened(r, out);
    json_metadata(r, out);
    json_problems(r, out);
    json_put_uint(out, "tensor_count", r->cp ? checkpoint_count(r->cp) : 0);
    json_tensors(r->cp, shown_tensors(r, max_tensors), out);
    json_end_object(out);
}

/* ---- pipelines --------------------------------------------------------------------------------- */

void inspect_pipeline_begin(const char *dir, struct str class_name, bool as_json, struct buf *out)
{
    if (as_json) {
        json_object(out, NULL);
        json_put_z(out, "path", dir);
        json_put_z(out, "format", "diffusers");
        json_put_z(out, "kind", "pipeline");
        json_put_str(out, "pipeline", class_name);
        json_array(out, "components");
        return;
    }
    plain_line(out, str_from(dir));
    buf_add_z(out, "\n  pipeline    ");
    plain_line(out, cut(class_name, META_SHOWN_BYTES));
    buf_add_byte(out, '\n');
}

void inspect_pipeline_end(bool as_json, struct buf *out)
{
    if (as_json) {
        json_end_array(out);
        json_end_object(out);
    }
}
