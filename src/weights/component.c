/* component.c - recognises what network a checkpoint holds and hands out its tensors by canonical name.
 *
 * Recognition: the first naming whose probes are all there, after one of a few prefixes that tools put in
 * front of everything. What is found for a name is one stored tensor or a range of its rows; rows are the
 * outermost dim, so a range is contiguous and always whole quantised blocks.
 */
#include "weights/component.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "weights/component_impl.h"

static const char *const prefixes[] = {"", "model.diffusion_model.", "diffusion_model.", "vae.",
                                       "first_stage_model."};

static const struct {
    const char *id, *title;
} kinds[COMPONENT_COUNT] = {
    [COMPONENT_UNKNOWN] = {"unknown", "unknown network"},
    [COMPONENT_FLUX2_TRANSFORMER] = {"flux2_transformer", "FLUX.2 transformer"},
    [COMPONENT_FLUX2_VAE] = {"flux2_vae", "FLUX.2 VAE"},
    [COMPONENT_QWEN3] = {"qwen3", "Qwen3 text encoder"},
    [COMPONENT_QWEN_IMAGE_TRANSFORMER] = {"qwen_image_transformer", "Qwen-Image transformer"},
    [COMPONENT_QWEN_IMAGE_VAE] = {"qwen_image_vae", "Qwen-Image VAE"},
    [COMPONENT_QWEN2_5_VL] = {"qwen2_5_vl", "Qwen2.5-VL text encoder"},
    [COMPONENT_QWEN2_5_VL_VISION] = {"qwen2_5_vl_vision", "Qwen2.5-VL vision tower"},
};

const char *component_kind_title(enum component_kind k)
{
    return kinds[(unsigned)k < COMPONENT_COUNT ? k : COMPONENT_UNKNOWN].title;
}

const char *component_kind_id(enum component_kind k)
{
    return kinds[(unsigned)k < COMPONENT_COUNT ? k : COMPONENT_UNKNOWN].id;
}

/* ---- recognising ------------------------------------------------------------------------------- */

static const struct weights_tensor *find_stored(const struct checkpoint *cp, const char *prefix,
                                                const char *name)
{
    char full[NAMING_MAX_BYTES];
    int n = snprintf(full, sizeof full, "%s%s", prefix, name);
    return n > 0 && (size_t)n < sizeof full ? checkpoint_find(cp, full) : NULL;
}

static bool probes_hold(const struct checkpoint *cp, const char *prefix, const struct naming *n)
{
    for (size_t i = 0; i < NAMING_MAX_PROBES && n->probes[i]; i++) {
        if (!find_stored(cp, prefix, n->probes[i]))
            return false;
    }
    return true;
}

bool component_any_begins(const struct checkpoint *cp, const char *start)
{
    size_t lo = 0, hi = checkpoint_count(cp);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(checkpoint_at(cp, mid)->name, start) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < checkpoint_count(cp) &&
           strncmp(checkpoint_at(cp, lo)->name, start, strlen(start)) == 0;
}

static int64_t count_blocks(const struct checkpoint *cp, const char *prefix, const char *blocks)
{
    char start[NAMING_MAX_BYTES];
    int64_t n = 0;
    for (;; n++) {
        int len = snprintf(start, sizeof start, "%s%s.%" PRId64 ".", prefix, blocks, n);
        if (len < 0 || (size_t)len >= sizeof start || !component_any_begins(cp, start))
            return n;
    }
}

/* How many flat blocks make one nest: up to the first that ends one; all of them when none does. */
static int64_t find_stride(const struct checkpoint *cp, const char *prefix, const struct naming *n)
{
    char name[NAMING_MAX_BYTES];
    int64_t blocks = count_blocks(cp, prefix, n->nest_blocks);
    for (int64_t i = 0; i < blocks; i++) {
        (void)snprintf(name, sizeof name, "%s.%" PRId64 ".%s", n->nest_blocks, i, n->nest_end);
        if (find_stored(cp, prefix, name))
            return i + 1;
    }
    return blocks + 1;
}

/* Plain Qwen2 has the tensors of Qwen2.5-VL's language model, but not its weights. */
static bool is_plain_qwen2(const struct checkpoint *cp)
{
    struct str arch;
    return checkpoint_meta_str(cp, "general.architecture", &arch) && str_eq_z(arch, "qwen2");
}

static bool recognise(struct component *c)
{
    size_t n;
    const struct naming *table = naming_table(&n);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof prefixes / sizeof prefixes[0]; k++) {
            if (!probes_hold(c->cp, prefixes[k], &table[i]))
                continue;
            if (table[i].kind == COMPONENT_QWEN2_5_VL && is_plain_qwen2(c->cp))
                continue;
            c->naming = &table[i];
            c->prefix = prefixes[k];
            if (c->naming->levels_of)
                c->numbers.levels = count_blocks(c->cp, c->prefix, c->naming->levels_of);
            if (c->naming->nest_blocks)
                c->numbers.stride = find_stride(c->cp, c->prefix, c->naming);
            return true;
        }
    }
    return false;
}

/* ---- finding ----------------------------------------------------------------------------------- */

struct found {
    char
        stored[NAMING_MAX_BYTES]; /* of the first rule that matched, or of the one that was found */
    const struct weights_tensor *tensor;
    enum naming_rows rows;
    bool named; /* some rule knows the name */
};

static void look_up(const struct component *c, const char *name, struct found *out)
{
    char stored[NAMING_MAX_BYTES];
    out->stored[0] = '\0';
    out->tensor = NULL;
    out->named = false;
    for (size_t i = 0; i < c->naming->n_rules; i++) {
        const struct naming_rule *rule = &c->naming->rules[i];
        if (!naming_apply(rule, &c->numbers, c->prefix, name, stored, sizeof stored))
            continue;
        if (!rule->stored)
            return;
        const struct weights_tensor *t = checkpoint_find(c->cp, stored);
        if (!t && out->named)
            continue;
        memcpy(out->stored, stored, strlen(stored) + 1);
        out->named = true;
        out->rows = rule->rows;
        out->tensor = t;
        if (t)
            return;
    }
}

/* Which rows; false when the tensor's shape does not divide so. */
static bool row_range(const struct weights_tensor *t, enum naming_rows rows, int64_t *begin,
                      int64_t *end)
{
    int64_t n = t->n_dims > 0 ? t->dims[0] : 0, square = t->n_dims > 1 ? t->dims[1] : 0;
    int64_t part = 0, size = n;
    if (rows >= ROWS_HALF_0 && rows <= ROWS_HALF_1) {
        part = rows - ROWS_HALF_0;
        size = n % 2 == 0 ? n / 2 : 0;
    } else if (rows >= ROWS_THIRD_0 && rows <= ROWS_THIRD_2) {
        part = rows - ROWS_THIRD_0;
        size = n % 3 == 0 ? n / 3 : 0;
    } else if (rows >= ROWS_SQUARE_0 && rows <= ROWS_SQUARE_2) {
        part = rows - ROWS_SQUARE_0;
        size = square <= n / 3 ? square : 0;
    } else if (rows == ROWS_AFTER_SQUARES) {
        *begin = square <= n / 3 ? 3 * square : 0;
        *end = n;
        return square > 0 && *begin > 0 && *begin < n;
    }
    *begin = part * size;
    *end = *begin + size;
    return size > 0;
}

static float scalar_value(const struct weights_tensor *t)
{
    float f = 1;
    (void)dtype_plain_to_f32(t->dtype, t->data, &f, 1);
    return f;
}

static int64_t element_count(const int64_t *dims, int n_dims)
{
    int64_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= dims[i]; /* the reader checked the product */
    return n;
}

/* The scale tensor beside "X.weight": "X.weight_scale" or "X.scale_weight". */
static const struct weights_tensor *scale_of(const struct component *c, const char *stored)
{
    char name[NAMING_MAX_BYTES + 16];
    struct str s = str_from(stored);
    if (!str_ends(s, STR_LIT(".weight")))
        return NULL;
    (void)snprintf(name, sizeof name, "%s_scale", stored);
    const struct weights_tensor *t = checkpoint_find(c->cp, name);
    if (t)
        return t;
    (void)snprintf(name, sizeof name, "%.*s.scale_weight", (int)(s.n - strlen(".weight")), stored);
    return checkpoint_find(c->cp, name);
}

/* Scales of small square blocks ("X.weight_scale_inv", a number for each 128 x 128) are not supported;
 * without them the values would be silently wrong. */
static enum err_code refuse_block_scales(const struct component *c, const struct weights_tensor *t,
                                         struct err *e)
{
    char name[NAMING_MAX_BYTES + 16];
    (void)snprintf(name, sizeof name, "%s_scale_inv", t->name);
    if (!checkpoint_find(c->cp, name))
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "'%s' scales blocks of '%s', which is not supported", name,
                   t->name);
}

/* Fills in the scale of a view that begins at row `begin` of t and has n_rows. */
static enum err_code add_scale(struct component *c, const struct weights_tensor *t, int64_t begin,
                               int64_t n_rows, struct weights_view *view, struct err *e)
{
    const struct weights_tensor *s = scale_of(c, t->name);
    if (!s)
        return refuse_block_scales(c, t, e);
    int64_t n = element_count(s->dims, s->n_dims);
    c->used[s - checkpoint_at(c->cp, 0)] = 1;
    if (n == 1 && dtype_info(s->dtype)->is_float && !dtype_info(s->dtype)->quantised) {
        view->scale = scalar_value(s);
        return isfinite(view->scale)
                   ? ERR_OK
                   : err_set(e, ERR_NUMERIC, "'%s' is not a finite number", s->name);
    }
    if (s->dtype != DTYPE_F32 || t->n_dims < 1 || n != t->dims[0])
        return err_set(e, ERR_FORMAT,
                       "'%s' is %s %s, expected one F32 or one for each of the %" PRId64
                       " rows of '%s'",
                       s->name, dtype_info(s->dtype)->name, catalogue_shape(s->dims, s->n_dims).z,
                       t->n_dims > 0 ? t->dims[0] : 1, t->name);
    view->scales = s->data + (size_t)begin * sizeof(float);
    view->n_scales = n_rows;
    return ERR_OK;
}

/* The view without its scale. */
static bool cut_rows(const struct weights_tensor *t, enum naming_rows rows, int64_t *begin,
                     struct weights_view *v)
{
    int64_t end = 0;
    *begin = 0;
    *v = (struct weights_view){.stored = t,
                               .dtype = t->dtype,
                               .n_dims = t->n_dims,
                               .data = t->data,
                               .bytes = t->bytes,
                               .scale = 1};
    memcpy(v->dims, t->dims, sizeof v->dims);
    if (rows == ROWS_ALL)
        return true;
    if (!row_range(t, rows, begin, &end))
        return false;
    uint64_t row_bytes = t->bytes / (uint64_t)t->dims[0];
    if (row_bytes * (uint64_t)t->dims[0] != t->bytes)
        return false;
    v->dims[0] = end - *begin;
    v->data = t->data + (uint64_t)*begin * row_bytes;
    v->bytes = (uint64_t)v->dims[0] * row_bytes;
    return true;
}

/* Compares found dims with wanted ones (-1: anything) after dropping outer and inner ones of 1 on both
 * sides; on success the view takes the wanted rank. */
static bool fit_shape(struct weights_view *v, int n_dims, const int64_t *wanted)
{
    int64_t have[WEIGHTS_MAX_DIMS];
    int n_have = v->n_dims, at = 0, w0 = 0, w1 = n_dims;
    memcpy(have, v->dims, sizeof have);
    if (n_have != n_dims) {
        while (n_have > at && have[n_have - 1] == 1)
            n_have--;
        while (at < n_have && have[at] == 1)
            at++;
        while (w1 > w0 && wanted[w1 - 1] == 1)
            w1--;
        while (w0 < w1 && wanted[w0] == 1)
            w0++;
        if (n_have - at != w1 - w0)
            return false;
    }
    for (int i = w0; i < w1; i++) {
        if (wanted[i] >= 0 && wanted[i] != have[at + i - w0])
            return false;
    }
    for (int i = 0; i < n_dims; i++)
        v->dims[i] = i >= w0 && i < w1 ? have[at + i - w0] : 1;
    v->n_dims = n_dims;
    return true;
}

static enum err_code refuse_missing(const struct component *c, const char *name,
                                    const struct found *f, struct err *e)
{
    const char *path = checkpoint_path(c->cp);
    if (!f->named || strcmp(f->stored, name) == 0)
        return err_set(e, ERR_NOTFOUND, "'%s' has no tensor '%s'", path, name);
    return err_set(e, ERR_NOTFOUND, "'%s' has no tensor '%s' (for '%s')", path, f->stored, name);
}

/* "tensor 'a' (stored as 'b')" */
static const char *both_names(const char *name, const char *stored, char *out, size_t n)
{
    if (strcmp(name, stored) == 0)
        (void)snprintf(out, n, "tensor '%s'", name);
    else
        (void)snprintf(out, n, "tensor '%s' (stored as '%s')", name, stored);
    return out;
}

static enum err_code check_view(const struct component *c, const char *name, struct weights_view *v,
                                int n_dims, const int64_t *dims, struct err *e)
{
    char names[300];
    const char *path = checkpoint_path(c->cp);
    const struct weights_tensor *t = v->stored;
    if (!dtype_info(t->dtype)->is_float)
        return err_set(e, ERR_FORMAT, "'%s': %s is %s, expected a floating-point or GGUF type",
                       path, both_names(name, t->name, names, sizeof names),
                       dtype_info(t->dtype)->name);
    if (n_dims >= 0 && !fit_shape(v, n_dims, dims))
        return err_set(e, ERR_FORMAT, "'%s': %s is %s, expected %s", path,
                       both_names(name, t->name, names, sizeof names),
                       catalogue_shape(v->dims, v->n_dims).z, catalogue_shape(dims, n_dims).z);
    if (v->bytes == 0)
        return err_set(e, ERR_FORMAT, "'%s': %s is empty", path,
                       both_names(name, t->name, names, sizeof names));
    return ERR_OK;
}

enum err_code component_find(struct component *c, const char *name, int n_dims, const int64_t *dims,
                             struct weights_view *out, struct err *e)
{
    struct found f;
    struct weights_view v;
    int64_t begin;
    char names[300];
    look_up(c, name, &f);
    if (!f.tensor)
        return refuse_missing(c, name, &f, e);
    if (!cut_rows(f.tensor, f.rows, &begin, &v))
        return err_set(e, ERR_FORMAT, "'%s': %s is %s, which does not divide into its parts",
                       checkpoint_path(c->cp), both_names(name, f.stored, names, sizeof names),
                       catalogue_shape(f.tensor->dims, f.tensor->n_dims).z);
    int64_t n_rows = v.dims[0];
    enum err_code rc = check_view(c, name, &v, n_dims, dims, e);
    if (rc == ERR_OK && (rc = add_scale(c, f.tensor, begin, n_rows, &v, e)) != ERR_OK)
        (void)err_note(e, "'%s'", checkpoint_path(c->cp));
    if (rc != ERR_OK)
        return rc;
    c->used[f.tensor - checkpoint_at(c->cp, 0)] = 1;
    *out = v;
    return ERR_OK;
}

bool component_has(const struct component *c, const char *name)
{
    struct found f;
    look_up(c, name, &f);
    return f.tensor != NULL;
}

int64_t component_dim(const struct component *c, const char *name, int dim)
{
    struct found f;
    struct weights_view v;
    int64_t begin;
    look_up(c, name, &f);
    if (!f.tensor || !cut_rows(f.tensor, f.rows, &begin, &v) || dim < 0 || dim >= v.n_dims)
        return -1;
    return v.dims[dim];
}

/* One tensor of each kind of block, by which its existence is told in any naming. */
static const char *const block_marks[] = {
    "attn.to_q.weight",       "self_attn.q_proj.weight",  "attn.q.weight",
    "resnets.0.conv1.weight", "attentions.0.to_q.weight", "conv1.weight",
    "resample.1.weight",
};

int64_t component_block_count(const struct component *c, const char *prefix)
{
    char name[NAMING_MAX_BYTES];
    for (int64_t n = 0;; n++) {
        bool there = false;
        for (size_t i = 0; i < sizeof block_marks / sizeof block_marks[0] && !there; i++) {
            int len = snprintf(name, sizeof name, "%s.%" PRId64 ".%s", prefix, n, block_marks[i]);
            there = len > 0 && (size_t)len < sizeof name && component_has(c, name);
        }
        if (!there)
            return n;
    }
}

/* ---- opening ----------------------------------------------------------------------------------- */

enum err_code component_open(const char *path, enum component_kind wanted, struct component **out,
                             struct err *e)
{
    struct checkpoint *cp = NULL;
    *out = NULL;
    enum err_code rc = checkpoint_open(path, &cp, e);
    return rc == ERR_OK ? component_from_checkpoint(cp, wanted, out, e) : rc;
}

static enum err_code refuse_kind(const struct component *c, enum component_kind wanted,
                                 struct err *e)
{
    char what[160];
    component_describe(c, what, sizeof what);
    return err_set(e, ERR_FORMAT, "'%s' is a %s, a %s is needed", checkpoint_path(c->cp), what,
                   component_kind_title(wanted));
}

enum err_code component_from_checkpoint(struct checkpoint *cp, enum component_kind wanted,
                                        struct component **out, struct err *e)
{
    *out = NULL;
    struct component *c = mem_try_alloc(sizeof *c);
    if (c)
        c->used = mem_try_array(checkpoint_count(cp), 1);
    if (!c || !c->used) {
        mem_free(c);
        checkpoint_close(cp);
        return err_set(e, ERR_NOMEM, "no memory to open a component");
    }
    c->cp = cp;
    enum err_code rc = ERR_OK;
    if (!recognise(c))
        rc = component_refuse_unknown(cp, e);
    else if (wanted != COMPONENT_UNKNOWN && wanted != c->naming->kind)
        rc = refuse_kind(c, wanted, e);
    if (rc == ERR_OK)
        *out = c;
    else
        component_close(c);
    return rc;
}

void component_close(struct component *c)
{
    if (!c)
        return;
    checkpoint_close(c->cp);
    mem_free(c->used);
    mem_free(c);
}

enum component_kind component_kind(const struct component *c)
{
    return c->naming->kind;
}

const char *component_naming(const struct component *c)
{
    return c->naming->id;
}

const struct checkpoint *component_checkpoint(const struct component *c)
{
    return c->cp;
}
