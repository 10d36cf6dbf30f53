/* quantised.c - finds the scales and the marker that belong to a stored matrix.
 *
 * Order for a matrix: what lies beside it (look_beside), what the marker says (find_marker), then the form decides
 * (quantised_forms.c) and marks what it used. Whatever is left over is an error: a scale that was not applied
 * gives an image that looks wrong for no visible reason, which is worse than a refusal. Tensors beside a matrix
 * are found by searching the sorted names, as asking for each possible name would cost a lookup a name and a
 * tensor.
 */
#include "weights/quantised.h"

#include <inttypes.h>
#include <stdio.h>

#include "weights/catalogue.h"
#include "weights/quantised_impl.h"

enum { NAME_BYTES = 700, MARKER_BYTES = 4096, ROTATION = 256 };

static const struct {
    const char *name;
    enum beside is;
} besides[] = {
    {"weight_scale", SCALE},
    {"scale_weight", SCALE},
    {"weight_scale_inv", SCALE_INVERSE},
    {"weight_scale_2", SCALE_2},
    {"weight_s_rel", SCALE_OF_GROUP},
    {"weight_s_channel", SCALE_OF_ROW},
    {"weight_codebook", LEVELS},
    {"weight_correction", ZEROS},
    {"weight_zeros", ZEROS},
    {"pre_quant_scale", COLUMN_SCALE},
    {"comfy_quant", MARKER},
    {"input_scale", NO_MATTER},
    {"scale_input", NO_MATTER},
    {"weight", NO_MATTER},
    {"bias", NO_MATTER},
};

static const char gguf_scale[] =
    "scale"; /* of all values of an NVFP4 tensor, as llama.cpp calls it */

bool quantised_describes(const struct checkpoint *cp, const char *name)
{
    char weight[NAME_BYTES];
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    for (size_t i = 0; i < sizeof besides / sizeof besides[0]; i++)
        if (strcmp(last, besides[i].name) == 0)
            return dot && strcmp(last, "weight") != 0 && strcmp(last, "bias") != 0;
    if (dot && strcmp(last, gguf_scale) == 0) {
        (void)snprintf(weight, sizeof weight, "%.*s.weight", (int)(dot - name), name);
        const struct weights_tensor *t = checkpoint_find(cp, weight);
        return t && t->dtype == DTYPE_NVFP4;
    }
    return strcmp(last, "scaled_fp8") == 0; /* a marker for the whole file */
}

/* ---- what lies beside ---------------------------------------------------------------------------- */

/* Numbers that mean nothing without a scale, or little. */
static bool is_quantised(enum dtype t)
{
    const struct dtype_info *i = dtype_info(t);
    return t == DTYPE_F8_E4M3 || t == DTYPE_F8_E5M2 || t == DTYPE_F4 || t == DTYPE_I8 ||
           t == DTYPE_NVFP4 || (!i->is_float && t != DTYPE_BOOL);
}

static enum err_code take(struct stored *s, const struct weights_tensor *x, const char *last,
                          struct err *e)
{
    for (size_t i = 0; i < sizeof besides / sizeof besides[0]; i++) {
        enum beside is = besides[i].is;
        if (strcmp(last, besides[i].name) != 0)
            continue;
        if (s->at[is] && is != NO_MATTER)
            return err_set(e, ERR_FORMAT,
                           "'%s' and '%s' both describe '%s'; only one of them is expected",
                           s->at[is]->name, x->name, s->t->name);
        s->at[is] = x;
        return ERR_OK;
    }
    if (s->t->dtype == DTYPE_NVFP4 && strcmp(last, gguf_scale) == 0) {
        s->at[SCALE] = x;
        return ERR_OK;
    }
    if (!is_quantised(s->t->dtype))
        return ERR_OK;
    return err_set(e, ERR_FORMAT,
                   "'%s' lies beside '%s' (%s), and this program does not know what it does to its "
                   "values; " QUANTISED_WORKS,
                   x->name, s->t->name, dtype_info(s->t->dtype)->name);
}

/* The first tensor whose name is not before the text. */
static size_t lower_bound(const struct checkpoint *cp, const char *text)
{
    size_t lo = 0, hi = checkpoint_count(cp);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(checkpoint_at(cp, mid)->name, text) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* All tensors "M.X" beside "M.weight"; those of deeper modules ("M.N.X") are others' own. */
static enum err_code look_beside(struct stored *s, struct err *e)
{
    char module[NAME_BYTES];
    struct str name = str_from(s->t->name);
    if (!str_ends(name, STR_LIT(".weight")) || name.n >= sizeof module)
        return ERR_OK;
    size_t n = name.n - strlen("weight");
    memcpy(module, name.p, n);
    module[n] = '\0';
    for (size_t i = lower_bound(s->cp, module); i < checkpoint_count(s->cp); i++) {
        const struct weights_tensor *x = checkpoint_at(s->cp, i);
        if (strncmp(x->name, module, n) != 0)
            break;
        const char *last = x->name + n;
        bool own = !strchr(last, '.') || strncmp(last, "weight.", 7) == 0;
        enum err_code rc = own ? take(s, x, last, e) : ERR_OK;
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* ---- markers -------------------------------------------------------------------------------------- */

enum err_code quantised_markers(const struct checkpoint *cp, yyjson_doc **out, struct err *e)
{
    struct str text;
    *out = NULL;
    if (!checkpoint_meta_str(cp, "_quantization_metadata", &text))
        return ERR_OK;
    return json_parse(text, "_quantization_metadata", out, e);
}

/* A value of the marker, or of its "params". */
static yyjson_val *said_of(yyjson_val *v, const char *key)
{
    yyjson_val *own = yyjson_obj_get(v, key);
    return own ? own : yyjson_obj_get(yyjson_obj_get(v, "params"), key);
}

/* {"format": F, "convrot": B, "convrot_groupsize": N, "group_size": N}, or F alone. */
static enum err_code read_marker(yyjson_val *v, const char *name, struct marker *m, struct err *e)
{
    yyjson_val *f = yyjson_is_obj(v) ? yyjson_obj_get(v, "format") : v;
    yyjson_val *rotation = said_of(v, "convrot_groupsize");
    if (!yyjson_is_str(f) || yyjson_get_len(f) == 0 || yyjson_get_len(f) >= sizeof m->format)
        return err_set(e, ERR_FORMAT, "the marker of '%s' names no format", name);
    (void)snprintf(m->format, sizeof m->format, "%s", yyjson_get_str(f));
    m->rotated = yyjson_is_true(said_of(v, "convrot"));
    m->rotation = rotation ? yyjson_get_sint(rotation) : ROTATION;
    m->group = yyjson_get_sint(said_of(v, "group_size"));
    return ERR_OK;
}

static enum err_code find_marker(const struct stored *s, yyjson_doc *markers, const char *prefix,
                                 struct marker *m, struct err *e)
{
    char module[NAME_BYTES];
    yyjson_val *layers = yyjson_obj_get(yyjson_doc_get_root(markers), "layers"), *v = NULL;
    const struct weights_tensor *own = s->at[MARKER];
    *m = (struct marker){0};
    if (own) {
        yyjson_doc *doc = NULL;
        if (own->bytes > MARKER_BYTES)
            return err_set(e, ERR_LIMIT, "'%s' has %" PRIu64 " bytes", own->name, own->bytes);
        enum err_code rc = json_parse((struct str){(const char *)own->data, (size_t)own->bytes},
                                      own->name, &doc, e);
        if (rc == ERR_OK)
            rc = read_marker(yyjson_doc_get_root(doc), s->t->name, m, e);
        yyjson_doc_free(doc);
        return rc;
    }
    size_t n = strlen(s->t->name), skip = strlen(prefix);
    if (!layers || n < strlen(".weight") || n >= sizeof module)
        return ERR_OK;
    (void)snprintf(module, sizeof module, "%.*s", (int)(n - strlen(".weight")), s->t->name);
    v = yyjson_obj_get(layers, module);
    if (!v && strncmp(module, prefix, skip) == 0)
        v = yyjson_obj_get(layers, module + skip);
    return v ? read_marker(v, s->t->name, m, e) : ERR_OK;
}

/* Refuses tensors beside the matrix that its form does not use: its values would be doubtful. */
static enum err_code refuse_unused(const struct stored *s, const struct marker *m, struct err *e)
{
    for (int i = 0; i < COLUMN_SCALE; i++)
        if (s->at[i] && !(s->used & 1u << i))
            return err_set(e, ERR_FORMAT,
                           "'%s' lies beside '%s' (%s%s%s), which has no use for it in a form that "
                           "this program knows; " QUANTISED_WORKS,
                           s->at[i]->name, s->t->name, dtype_info(s->t->dtype)->name,
                           m->format[0] ? ", " : "", m->format);
    return ERR_OK;
}

enum err_code quantised_read(const struct checkpoint *cp, yyjson_doc *markers, const char *prefix,
                             const struct weights_tensor *t, struct quantised *out, struct err *e)
{
    struct stored s = {.cp = cp, .t = t};
    struct marker m;
    *out = (struct quantised){.values = *t, .scale = 1};
    TRY(look_beside(&s, e));
    TRY(find_marker(&s, markers, prefix, &m, e));
    TRY(m.format[0] ? quantised_read_marked(&s, &m, out, e) : quantised_read_unmarked(&s, out, e));
    TRY(refuse_unused(&s, &m, e));
    if (s.at[COLUMN_SCALE])
        TRY(quantised_take_columns(s.at[COLUMN_SCALE], out, e));
    return ERR_OK;
}
