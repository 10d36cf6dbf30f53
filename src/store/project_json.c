/* project_json.c - projects from and to JSON by one table of fields; see project_json.h.
 *
 * A key that is not in the table is refused, so a misspelt one cannot be lost silently. Patches are applied to a
 * copy that replaces the original only when everything was right. Checks of ranges are not here but in
 * project_check, which every way into the store shares.
 */
#include "store/project_json.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum kind { KIND_NUMBER, KIND_BOOL, KIND_TEXT, KIND_ID, KIND_BLEND, KIND_LAYER, KIND_SKIP };

struct field {
    const char *key;
    enum kind kind;
    size_t at, size; /* in struct project_layer; size of text with its NUL */
    bool nullable;   /* "" is null */
};

#define AT(member) offsetof(struct project_layer, member)
#define TEXT(member)                                                                               \
    offsetof(struct project_layer, member), sizeof((struct project_layer *)0)->member

static const struct field fields[] = {
    {"id", KIND_ID, TEXT(id), false},
    {"kind", KIND_LAYER, AT(kind), 0, false},
    {"parent", KIND_ID, TEXT(parent), true},
    {"name", KIND_TEXT, TEXT(name), false},
    {"warning", KIND_TEXT, TEXT(warning), true},
    {"asset", KIND_ID, TEXT(asset), true},
    {"mask", KIND_ID, TEXT(mask), true},
    {"x", KIND_NUMBER, AT(x), 0, false},
    {"y", KIND_NUMBER, AT(y), 0, false},
    {"scale_x", KIND_NUMBER, AT(scale_x), 0, false},
    {"scale_y", KIND_NUMBER, AT(scale_y), 0, false},
    {"rotation", KIND_NUMBER, AT(rotation), 0, false},
    {"opacity", KIND_NUMBER, AT(opacity), 0, false},
    {"blend_mode", KIND_BLEND, AT(blend), 0, false},
    {"visible", KIND_BOOL, AT(visible), 0, false},
    {"locked", KIND_BOOL, AT(locked), 0, false},
    {"index", KIND_SKIP, 0, 0, false}, /* a place in the stack: the caller's business */
};

enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static const struct field *find_field(const char *key)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (strcmp(fields[i].key, key) == 0)
            return &fields[i];
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static enum err_code wrong_kind(const char *what, const char *key, const char *wanted,
                                yyjson_val *v, struct err *e)
{
    const char *dot = what[0] ? "." : "";
    return err_set(e, ERR_ARG, "'%s%s%s' is %s, not %s", what, dot, key, yyjson_get_type_desc(v),
                   wanted);
}

static enum err_code read_text(yyjson_val *v, const char *what, const struct field *f, char *out,
                               struct err *e)
{
    if (f->nullable && yyjson_is_null(v)) {
        out[0] = '\0';
        return ERR_OK;
    }
    if (!yyjson_is_str(v))
        return wrong_kind(what, f->key, f->nullable ? "a string or null" : "a string", v, e);
    struct str s = {yyjson_get_str(v), yyjson_get_len(v)};
    const char *dot = what[0] ? "." : "";
    if (f->kind == KIND_TEXT && s.n >= f->size)
        return err_set(e, ERR_ARG, "'%s%s%s' has %zu bytes; at most %zu are kept", what, dot,
                       f->key, s.n, f->size - 1);
    if (f->kind == KIND_TEXT) {
        struct layer l = {0};
        layer_set_name(&l, s);
        memcpy(out, l.name, f->size);
        return ERR_OK;
    }
    if (s.n >= f->size || memchr(s.p, '\0', s.n))
        return err_set(e, ERR_ARG, "'%s%s%s' has %zu bytes; it is not an id", what, dot, f->key,
                       s.n);
    memcpy(out, s.p, s.n + 1);
    return ERR_OK;
}

static enum err_code read_field(yyjson_val *v, const char *what, const struct field *f,
                                struct project_layer *l, struct err *e)
{
    char *at = (char *)l + f->at;
    double number;
    switch (f->kind) {
    case KIND_NUMBER:
        if (!yyjson_is_num(v))
            return wrong_kind(what, f->key, "a number", v, e);
        number = yyjson_get_num(v);
        memcpy(at, &number, sizeof number);
        return ERR_OK;
    case KIND_BOOL:
        if (!yyjson_is_bool(v))
            return wrong_kind(what, f->key, "true or false", v, e);
        *(bool *)at = yyjson_get_bool(v);
        return ERR_OK;
    case KIND_BLEND:
        if (!yyjson_is_str(v))
            return wrong_kind(what, f->key, "the name of a blend mode", v, e);
        if (!blend_mode_from_name(str_from(yyjson_get_str(v)), &l->blend))
            return err_set(e, ERR_ARG, "'%s.%s' is '%.40s', which is not a blend mode", what,
                           f->key, yyjson_get_str(v));
        return ERR_OK;
    case KIND_LAYER:
        if (!yyjson_is_str(v) || !project_kind_from_name(str_from(yyjson_get_str(v)), &l->kind))
            return wrong_kind(what, f->key, "'image' or 'group'", v, e);
        return ERR_OK;
    case KIND_SKIP:
        return ERR_OK;
    default:
        return read_text(v, what, f, at, e);
    }
}

enum err_code project_json_layer(yyjson_val *obj, const char *what, struct project_layer *l,
                                 struct err *e)
{
    size_t i, max;
    yyjson_val *key, *v;
    struct project_layer changed = *l;
    if (!yyjson_is_obj(obj))
        return err_set(e, ERR_ARG, "'%s' is %s, not an object", what, yyjson_get_type_desc(obj));
    yyjson_obj_foreach(obj, i, max, key, v)
    {
        const struct field *f = find_field(yyjson_get_str(key));
        if (!f)
            return err_set(e, ERR_ARG, "'%s.%.60s' is not a key of a layer", what,
                           yyjson_get_str(key));
        enum err_code rc = read_field(v, what, f, &changed, e);
        if (rc != ERR_OK)
            return rc;
    }
    *l = changed;
    return ERR_OK;
}

static enum err_code read_layers(yyjson_val *v, struct project *p, struct err *e)
{
    size_t i, max;
    yyjson_val *item;
    if (!yyjson_is_arr(v))
        return wrong_kind("", "layers", "an array", v, e);
    p->n = 0;
    yyjson_arr_foreach(v, i, max, item)
    {
        char what[32];
        struct project_layer l = project_layer_defaults();
        snprintf(what, sizeof what, "layers[%zu]", i);
        TRY(project_json_layer(item, what, &l, e));
        TRY(project_insert(p, p->n, &l, e));
    }
    return ERR_OK;
}

static enum err_code read_side(yyjson_val *v, const char *key, int *out, struct err *e)
{
    if (!yyjson_is_num(v))
        return wrong_kind("", key, "a number", v, e);
    double side = yyjson_get_num(v);
    if (!(side >= 1 && side <= PROJECT_SIDE_MAX) || side != floor(side))
        return err_set(e, ERR_ARG, "'%s' is %g; it is a whole number from 1 to %d", key, side,
                       PROJECT_SIDE_MAX);
    *out = (int)side;
    return ERR_OK;
}

/* What GET gives and nobody but the store may change. */
static bool is_read_only(const char *key)
{
    static const char *const keys[] = {"id",       "revision", "created_ms", "updated_ms",
                                       "can_undo", "can_redo", "layer_count"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static enum err_code read_member(const char *key, yyjson_val *v, struct project *p, struct err *e)
{
    static const struct field name = {"name", KIND_TEXT, 0, PROJECT_NAME_SIZE, false};
    static const struct field selection = {"selection", KIND_ID, 0, ASSET_ID_SIZE, true};
    if (strcmp(key, "name") == 0)
        return read_text(v, "", &name, p->name, e);
    if (strcmp(key, "selection") == 0)
        return read_text(v, "", &selection, p->selection, e);
    if (strcmp(key, "width") == 0)
        return read_side(v, key, &p->w, e);
    if (strcmp(key, "height") == 0)
        return read_side(v, key, &p->h, e);
    if (strcmp(key, "layers") == 0)
        return read_layers(v, p, e);
    if (is_read_only(key))
        return ERR_OK;
    return err_set(e, ERR_ARG, "'%.60s' is not a key of a project", key);
}

static enum err_code read_members(yyjson_val *obj, struct project *p, struct err *e)
{
    size_t i, max;
    yyjson_val *key, *v;
    enum err_code rc = ERR_OK;
    if (!yyjson_is_obj(obj))
        return err_set(e, ERR_ARG, "the project is %s, not an object", yyjson_get_type_desc(obj));
    yyjson_obj_foreach(obj, i, max, key, v)
    {
        rc = read_member(yyjson_get_str(key), v, p, e);
        if (rc != ERR_OK)
            return rc;
    }
    return project_check(p, e);
}

enum err_code project_json_read(yyjson_val *obj, struct project *out, struct err *e)
{
    project_init(out, 0, 0);
    enum err_code rc = read_members(obj, out, e);
    if (rc != ERR_OK)
        project_deinit(out);
    return rc;
}

enum err_code project_json_parse(struct str text, struct project *out, struct err *e)
{
    yyjson_doc *doc = NULL;
    project_init(out, 0, 0);
    enum err_code rc;
    TRY_GOTO(json_parse(text, "the project", &doc, e), done);
    rc = project_json_read(yyjson_doc_get_root(doc), out, e);
done:
    yyjson_doc_free(doc);
    return rc;
}

enum err_code project_json_patch(struct project *p, yyjson_val *obj, struct err *e)
{
    struct project changed;
    TRY(project_copy(p, &changed, e));
    enum err_code rc = read_members(obj, &changed, e);
    if (rc != ERR_OK) {
        project_deinit(&changed);
        return rc;
    }
    project_deinit(p);
    *p = changed;
    return ERR_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static bool add_text(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, const char *text,
                     bool nullable)
{
    return nullable && !text[0] ? yyjson_mut_obj_add_null(doc, o, key)
                                : yyjson_mut_obj_add_strcpy(doc, o, key, text);
}

static bool add_field(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct field *f,
                      const struct project_layer *l)
{
    const char *at = (const char *)l + f->at;
    double number;
    switch (f->kind) {
    case KIND_NUMBER:
        memcpy(&number, at, sizeof number);
        return yyjson_mut_obj_add_real(doc, o, f->key, number);
    case KIND_BOOL:
        return yyjson_mut_obj_add_bool(doc, o, f->key, *(const bool *)at);
    case KIND_BLEND:
        return yyjson_mut_obj_add_str(doc, o, f->key, blend_mode_name(l->blend));
    case KIND_LAYER:
        return yyjson_mut_obj_add_str(doc, o, f->key, project_kind_name(l->kind));
    case KIND_SKIP:
        return true;
    default:
        return add_text(doc, o, f->key, at, f->nullable);
    }
}

yyjson_mut_val *project_json_layer_value(yyjson_mut_doc *doc, const struct project_layer *l)
{
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    bool good = o != NULL;
    for (size_t i = 0; good && i < N_FIELDS; i++)
        good = add_field(doc, o, &fields[i], l);
    return good ? o : NULL;
}

static bool add_doc(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct project *p)
{
    yyjson_mut_val *layers = yyjson_mut_arr(doc);
    bool good = layers && yyjson_mut_obj_add_strcpy(doc, o, "name", p->name) &&
                yyjson_mut_obj_add_int(doc, o, "width", p->w) &&
                yyjson_mut_obj_add_int(doc, o, "height", p->h);
    if (p->is_head)
        return good && yyjson_mut_obj_add_uint(doc, o, "layer_count", p->n);
    good = good && add_text(doc, o, "selection", p->selection, true);
    for (size_t i = 0; good && i < p->n; i++)
        good = yyjson_mut_arr_append(layers, project_json_layer_value(doc, &p->layers[i]));
    return good && yyjson_mut_obj_add_val(doc, o, "layers", layers);
}

yyjson_mut_val *project_json_value(yyjson_mut_doc *doc, const struct project *p)
{
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    bool good = o && yyjson_mut_obj_add_strcpy(doc, o, "id", p->id) &&
                yyjson_mut_obj_add_int(doc, o, "revision", p->revision) && add_doc(doc, o, p) &&
                yyjson_mut_obj_add_int(doc, o, "created_ms", p->created_ms) &&
                yyjson_mut_obj_add_int(doc, o, "updated_ms", p->updated_ms) &&
                yyjson_mut_obj_add_bool(doc, o, "can_undo", p->can_undo) &&
                yyjson_mut_obj_add_bool(doc, o, "can_redo", p->can_redo);
    return good ? o : NULL;
}

enum err_code project_json_write(const struct project *p, struct buf *out, struct err *e)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = doc ? yyjson_mut_obj(doc) : NULL;
    char *text = NULL;
    size_t n = 0;
    if (o && add_doc(doc, o, p)) {
        yyjson_mut_doc_set_root(doc, o);
        text = yyjson_mut_write(doc, YYJSON_WRITE_NOFLAG, &n);
    }
    if (text)
        buf_add(out, text, n);
    yyjson_mut_doc_free(doc);
    bool made = text != NULL;
    mem_free(text); /* yyjson's default allocator is the one behind mem_free */
    if (!made || buf_failed(out))
        return err_set(e, ERR_NOMEM, "no memory for a project of %zu layers", p->n);
    return ERR_OK;
}
