#include "weights/quantised.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "weights/catalogue.h"

enum {
    NAME_BYTES = 700,
    MARKER_BYTES = 4096,
    MAX_ROTATION = 4096,
    NVFP4_BLOCK = 16,
    MXFP8_BLOCK = 32,
    SQUARE_BLOCK = 128,
};

#define WORKS                                                                                      \
    "bf16, float8, int8, NVFP4 and mxfp8 files with the usual scales, and GGUF files, work"

/* What may lie beside "M.weight", and what it is. */
enum beside {
    SCALE,         /* of all values, a row, or a block */
    SCALE_INVERSE, /* of square blocks; in spite of its name it is multiplied, too */
    SCALE_2,
    COLUMN_SCALE,
    MARKER,
    NO_MATTER, /* what activations are multiplied by before they are quantised, and the bias */
    N_BESIDE,
};

static const struct {
    const char *name;
    enum beside is;
} besides[] = {
    {"weight_scale", SCALE},
    {"scale_weight", SCALE},
    {"weight_scale_inv", SCALE_INVERSE},
    {"weight_scale_2", SCALE_2},
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
    return strcmp(last, "scaled_fp8") == 0; /* a mark of the whole file */
}

/* ---- what lies beside ---------------------------------------------------------------------------- */

struct stored {
    const struct checkpoint *cp;
    const struct weights_tensor *t;
    const struct weights_tensor *at[N_BESIDE];
};

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
            return err_set(e, ERR_FORMAT, "'%s' and '%s' say the same of '%s'", s->at[is]->name,
                           x->name, s->t->name);
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
                   "values; " WORKS,
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

struct marker {
    char format[48]; /* "": not marked */
    bool rotated;
    int64_t rotation;
};

enum err_code quantised_markers(const struct checkpoint *cp, yyjson_doc **out, struct err *e)
{
    struct str text;
    *out = NULL;
    if (!checkpoint_meta_str(cp, "_quantization_metadata", &text))
        return ERR_OK;
    return json_parse(text, "_quantization_metadata", out, e);
}

/* {"format": F, "convrot": B, "convrot_groupsize": N}, the last two also in "params"; or F alone. */
static enum err_code read_marker(yyjson_val *v, const char *name, struct marker *m, struct err *e)
{
    yyjson_val *f = yyjson_is_obj(v) ? yyjson_obj_get(v, "format") : v;
    yyjson_val *rotated = yyjson_obj_get(v, "convrot"),
               *size = yyjson_obj_get(v, "convrot_groupsize");
    yyjson_val *params = yyjson_obj_get(v, "params");
    if (!yyjson_is_str(f) || yyjson_get_len(f) == 0 || yyjson_get_len(f) >= sizeof m->format)
        return err_set(e, ERR_FORMAT, "the mark of '%s' names no format", name);
    (void)snprintf(m->format, sizeof m->format, "%s", yyjson_get_str(f));
    rotated = rotated ? rotated : yyjson_obj_get(params, "convrot");
    size = size ? size : yyjson_obj_get(params, "convrot_groupsize");
    m->rotated = yyjson_is_true(rotated);
    m->rotation = size ? yyjson_get_sint(size) : 256;
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

/* ---- forms ---------------------------------------------------------------------------------------- */

static int64_t element_count(const struct weights_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->n_dims; i++)
        n *= t->dims[i]; /* the reader checked the product */
    return n;
}

static bool is_plain_float(const struct weights_tensor *t)
{
    const struct dtype_info *i = dtype_info(t->dtype);
    return i->is_float && !i->quantised && i->block_elems == 1 && t->dtype != DTYPE_I8;
}

static enum err_code refuse_scale(const struct weights_tensor *s, const struct quantised *q,
                                  const char *wanted, struct err *e)
{
    return err_set(e, ERR_FORMAT, "'%s' is %s %s, expected %s for '%s' %s; " WORKS, s->name,
                   dtype_info(s->dtype)->name, catalogue_shape(s->dims, s->n_dims).z, wanted,
                   q->values.name, catalogue_shape(q->values.dims, q->values.n_dims).z);
}

static enum err_code take_scalar(const struct weights_tensor *s, struct quantised *q, struct err *e)
{
    if (!is_plain_float(s) || element_count(s) != 1)
        return refuse_scale(s, q, "one number", e);
    const struct weights_numbers n = {s->data, s->dtype};
    q->scale = weights_number(&n, 0);
    if (!isfinite(q->scale))
        return err_set(e, ERR_NUMERIC, "'%s' is not a finite number", s->name);
    return ERR_OK;
}

/* One for all values, or one a row: [rows], [rows, 1]. */
static enum err_code take_scale(const struct weights_tensor *s, struct quantised *q, struct err *e)
{
    int64_t n = element_count(s);
    if (n == 1 && is_plain_float(s))
        return take_scalar(s, q, e);
    bool rows =
        q->values.n_dims >= 1 && s->n_dims >= 1 && n == q->values.dims[0] && s->dims[0] == n;
    if (!rows || !is_plain_float(s))
        return refuse_scale(s, q, "one number or one for each row", e);
    q->rows = s;
    return ERR_OK;
}

static int64_t round_up(int64_t v, int64_t to)
{
    return (v + to - 1) / to * to;
}

/* A scale for each block of height x width. Tiled ones are padded to whole tiles. */
static enum err_code take_grid(const struct weights_tensor *s, struct quantised *q, int64_t height,
                               int64_t width, bool tiled, struct err *e)
{
    const int64_t *d = q->values.dims;
    if (q->values.n_dims != 2)
        return refuse_scale(s, q, "a matrix", e);
    int64_t lines = (d[0] + height - 1) / height, blocks = (d[1] + width - 1) / width;
    int64_t padded = round_up(lines, 128) * round_up(blocks, 4);
    bool fits = tiled ? element_count(s) == padded
                      : s->n_dims == 2 && s->dims[0] == lines && s->dims[1] == blocks;
    if (!fits || (width < SQUARE_BLOCK && d[1] % width != 0))
        return refuse_scale(s, q, "a number for each block", e);
    q->grid = (struct weights_grid){.n = {s->data, s->dtype},
                                    .height = height,
                                    .width = width,
                                    .columns = tiled ? round_up(blocks, 4) : blocks,
                                    .tiled = tiled};
    return ERR_OK;
}

static enum err_code read_nvfp4(const struct stored *s, bool comfy, struct quantised *q,
                                struct err *e)
{
    const struct weights_tensor *t = s->t, *scale = s->at[SCALE];
    if (t->n_dims != 2 || !scale || !s->at[SCALE_2] ||
        (scale->dtype != DTYPE_F8_E4M3 && scale->dtype != DTYPE_U8))
        return err_set(e, ERR_FORMAT,
                       "'%s' is %s %s: NVFP4 needs a matrix, its weight_scale in float8 and its "
                       "weight_scale_2",
                       t->name, dtype_info(t->dtype)->name, catalogue_shape(t->dims, t->n_dims).z);
    if (t->dtype != DTYPE_F4) {
        q->values.dims[1] *= 2;
        q->values.dtype = DTYPE_F4;
    }
    q->high_first = comfy;
    enum err_code rc = take_scalar(s->at[SCALE_2], q, e);
    if (rc == ERR_OK)
        rc = take_grid(scale, q, 1, NVFP4_BLOCK, comfy, e);
    q->grid.n.dtype = DTYPE_F8_E4M3; /* also where it is stored as bytes */
    return rc;
}

static enum err_code read_mxfp8(const struct stored *s, bool comfy, struct quantised *q,
                                struct err *e)
{
    const struct weights_tensor *scale = s->at[SCALE];
    if (!scale || (scale->dtype != DTYPE_U8 && scale->dtype != DTYPE_F8_E8M0))
        return err_set(e, ERR_FORMAT, "'%s' is mxfp8, but has no weight_scale of bytes",
                       s->t->name);
    q->values.dtype = s->t->dtype == DTYPE_U8 ? DTYPE_F8_E4M3 : s->t->dtype;
    return take_grid(scale, q, 1, MXFP8_BLOCK, comfy, e);
}

static enum err_code read_int8(const struct stored *s, const struct marker *m, struct quantised *q,
                               struct err *e)
{
    int64_t power = 4;
    if (!s->at[SCALE])
        return err_set(e, ERR_FORMAT, "'%s' is int8, but has no weight_scale; " WORKS, s->t->name);
    if (m->rotated) {
        while (power < m->rotation && power < MAX_ROTATION)
            power *= 4;
        if (power != m->rotation || s->t->n_dims != 2 || s->t->dims[1] % power != 0)
            return err_set(e, ERR_FORMAT, "'%s' %s is rotated in groups of %" PRId64, s->t->name,
                           catalogue_shape(s->t->dims, s->t->n_dims).z, m->rotation);
        q->rotation = power;
    }
    return take_scale(s->at[SCALE], q, e);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static enum err_code read_marked(const struct stored *s, const struct marker *m,
                                 struct quantised *q, struct err *e)
{
    enum dtype t = s->t->dtype, wanted = DTYPE_INVALID;
    if (starts(m->format, "float8_e4m3"))
        wanted = DTYPE_F8_E4M3;
    else if (starts(m->format, "float8_e5m2"))
        wanted = DTYPE_F8_E5M2;
    if (wanted != DTYPE_INVALID && !m->rotated && (t == wanted || t == DTYPE_U8)) {
        q->values.dtype = wanted;
        return s->at[SCALE] ? take_scale(s->at[SCALE], q, e) : ERR_OK;
    }
    if (m->rotated && t != DTYPE_I8)
        return err_set(e, ERR_FORMAT,
                       "'%s' is '%s' and rotated, which this program does not read; " WORKS,
                       s->t->name, m->format);
    if (strcmp(m->format, "nvfp4") == 0 && (t == DTYPE_U8 || t == DTYPE_F4))
        return read_nvfp4(s, true, q, e);
    if (strcmp(m->format, "mxfp8") == 0 && (t == DTYPE_F8_E4M3 || t == DTYPE_U8))
        return read_mxfp8(s, true, q, e);
    if (strcmp(m->format, "int8_tensorwise") == 0 && t == DTYPE_I8)
        return read_int8(s, m, q, e);
    return err_set(e, ERR_FORMAT,
                   "'%s' is stored as '%s' in %s, which this program does not read; " WORKS,
                   s->t->name, m->format, dtype_info(t)->name);
}

/* Without a marker the types and shapes tell. */
static enum err_code read_unmarked(const struct stored *s, struct quantised *q, struct err *e)
{
    static const struct marker none = {0};
    const struct weights_tensor *t = s->t, *scale = s->at[SCALE];
    enum dtype d = t->dtype;
    if ((d == DTYPE_U8 || d == DTYPE_F4) && s->at[SCALE_2])
        return read_nvfp4(s, false, q, e);
    if (d == DTYPE_I8)
        return read_int8(s, &none, q, e);
    if (!dtype_info(d)->is_float || d == DTYPE_F4)
        return err_set(e, ERR_FORMAT,
                       "'%s' is %s, and nothing beside it says how that becomes numbers; " WORKS,
                       t->name, dtype_info(d)->name);
    if (s->at[SCALE_2])
        return err_set(e, ERR_FORMAT, "'%s' is a second scale of '%s', which is %s",
                       s->at[SCALE_2]->name, t->name, dtype_info(d)->name);
    if (s->at[SCALE_INVERSE])
        return take_grid(s->at[SCALE_INVERSE], q, SQUARE_BLOCK, SQUARE_BLOCK, false, e);
    if (scale && d == DTYPE_F8_E4M3 && (scale->dtype == DTYPE_U8 || scale->dtype == DTYPE_F8_E8M0))
        return read_mxfp8(s, false, q, e);
    return scale ? take_scale(scale, q, e) : ERR_OK;
}

enum err_code quantised_read(const struct checkpoint *cp, yyjson_doc *markers, const char *prefix,
                             const struct weights_tensor *t, struct quantised *out, struct err *e)
{
    struct stored s = {.cp = cp, .t = t};
    struct marker m;
    *out = (struct quantised){.values = *t, .scale = 1};
    enum err_code rc = look_beside(&s, e);
    if (rc == ERR_OK)
        rc = find_marker(&s, markers, prefix, &m, e);
    if (rc == ERR_OK)
        rc = m.format[0] ? read_marked(&s, &m, out, e) : read_unmarked(&s, out, e);
    const struct weights_tensor *columns = rc == ERR_OK ? s.at[COLUMN_SCALE] : NULL;
    if (columns) {
        if (out->values.n_dims != 2 || !is_plain_float(columns) ||
            element_count(columns) != out->values.dims[1])
            return refuse_scale(columns, out, "one number for each column", e);
        out->columns = columns;
    }
    return rc;
}
