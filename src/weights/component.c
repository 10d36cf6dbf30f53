/* component.c - recognises what network a checkpoint holds and hands out its tensors by canonical name.
 *
 * Recognition: the first naming whose probes are all there, after one of a few prefixes that tools put in
 * front of everything. What is found for a name is one stored tensor or a range of its rows; rows are the
 * outermost dim, so a range is contiguous and always whole quantised blocks.
 */
#include "weights/component.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "weights/component_impl.h"
#include "weights/quantised.h"

/* What tools put in front of every name of a network. */
static const char *const prefixes[] = {"", "model.diffusion_model.", "diffusion_model.", "vae.",
                                       "first_stage_model."};
/* How the prefix of a text encoder begins that lies in a file with others
 * ("text_encoders.qwen3_4b.transformer."). */
static const char *const encoder_prefixes[] = {"text_encoders.", "text_encoder.",
                                               "cond_stage_model.", "conditioner."};

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

static bool is_wanted_prefix(struct str prefix)
{
    for (size_t i = 0; i < sizeof encoder_prefixes / sizeof encoder_prefixes[0]; i++)
        if (str_starts(prefix, str_from(encoder_prefixes[i])))
            return str_ends(prefix, STR_LIT("."));
    return false;
}

/* The prefix under which the naming's probes are all there; false when there is none. */
static bool find_prefix(const struct checkpoint *cp, const struct naming *n,
                        char out[NAMING_MAX_BYTES])
{
    for (size_t k = 0; k < sizeof prefixes / sizeof prefixes[0]; k++) {
        (void)snprintf(out, NAMING_MAX_BYTES, "%s", prefixes[k]);
        if (probes_hold(cp, out, n))
            return true;
    }
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        struct str name = str_from(checkpoint_at(cp, i)->name), probe = str_from(n->probes[0]);
        if (!str_ends(name, probe) || name.n - probe.n >= NAMING_MAX_BYTES)
            continue;
        name.n -= probe.n;
        if (!is_wanted_prefix(name))
            continue;
        (void)snprintf(out, NAMING_MAX_BYTES, "%.*s", STR_ARG(name));
        if (probes_hold(cp, out, n))
            return true;
    }
    return false;
}

static const struct naming *recognise(const struct checkpoint *cp, enum component_kind wanted,
                                      char prefix[NAMING_MAX_BYTES])
{
    size_t n;
    const struct naming *table = naming_table(&n);
    for (size_t i = 0; i < n; i++) {
        bool possible = wanted == COMPONENT_UNKNOWN || wanted == table[i].kind;
        if (!possible || !find_prefix(cp, &table[i], prefix))
            continue;
        if (table[i].kind == COMPONENT_QWEN2_5_VL && is_plain_qwen2(cp))
            continue;
        return &table[i];
    }
    return NULL;
}

int component_kinds(const struct checkpoint *cp, enum component_kind *out)
{
    char prefix[NAMING_MAX_BYTES];
    int n = 0;
    for (int k = COMPONENT_UNKNOWN + 1; k < COMPONENT_COUNT; k++)
        if (recognise(cp, (enum component_kind)k, prefix))
            out[n++] = (enum component_kind)k;
    return n;
}

static void count_numbers(struct component *c)
{
    if (c->naming->levels_of)
        c->numbers.levels = count_blocks(c->cp, c->prefix, c->naming->levels_of);
    if (c->naming->nest_blocks)
        c->numbers.stride = find_stride(c->cp, c->prefix, c->naming);
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

static enum err_code read_values(const struct component *c, const struct weights_tensor *t,
                                 struct quantised *q, struct err *e)
{
    return quantised_read(c->cp, c->markers, c->prefix, t, q, e);
}

/* The scales of a view that begins at row `begin` of its tensor. */
static void add_scales(const struct quantised *q, int64_t begin, int64_t n_rows,
                       struct weights_view *v)
{
    v->scale = q->scale;
    v->rotation = q->rotation;
    v->high_first = q->high_first;
    v->rounded = q->rounded;
    v->levels = q->levels;
    v->grid = q->grid;
    v->offset = q->offset;
    v->grid.row0 = v->offset.row0 = begin;
    if (q->columns)
        v->columns = (struct weights_numbers){q->columns->data, q->columns->dtype};
    if (q->rows) {
        size_t width = dtype_info(q->rows->dtype)->block_bytes;
        v->rows = (struct weights_numbers){q->rows->data + (size_t)begin * width, q->rows->dtype};
        v->n_scales = n_rows;
    }
}

/* The view without its scales; t has the values' type and dims. */
static bool cut_rows(const struct weights_tensor *t, enum naming_rows rows, int64_t *begin,
                     struct weights_view *v)
{
    int64_t end = 0;
    *begin = 0;
    *v = (struct weights_view){
        .dtype = t->dtype, .n_dims = t->n_dims, .data = t->data, .bytes = t->bytes, .scale = 1};
    memcpy(v->dims, t->dims, sizeof v->dims);
    if (rows == ROWS_ALL)
        return true;
    int64_t n = t->n_dims > 0 ? t->dims[0] : 0, columns = t->n_dims > 1 ? t->dims[1] : 0;
    if (!naming_row_range(n, columns, rows, begin, &end))
        return false;
    uint64_t row_bytes = t->bytes / (uint64_t)t->dims[0];
    if (row_bytes * (uint64_t)t->dims[0] != t->bytes)
        return false;
    v->dims[0] = end - *begin;
    v->data = t->data + (uint64_t)*begin * row_bytes;
    v->bytes = (uint64_t)v->dims[0] * row_bytes;
    return true;
}

enum err_code component_stored(const struct component *c, const struct weights_tensor *t,
                               struct weights_view *out, struct err *e)
{
    struct quantised q;
    int64_t begin;
    TRY(read_values(c, t, &q, e));
    (void)cut_rows(&q.values, ROWS_ALL, &begin, out);
    add_scales(&q, begin, out->dims[0], out);
    out->stored = t;
    return ERR_OK;
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
    if (n_dims >= 0 && !fit_shape(v, n_dims, dims))
        return err_set(e, ERR_FORMAT, "'%s': %s is %s, expected %s", path,
                       both_names(name, t->name, names, sizeof names),
                       catalogue_shape(v->dims, v->n_dims).z, catalogue_shape(dims, n_dims).z);
    if (v->bytes == 0)
        return err_set(e, ERR_FORMAT, "'%s': %s is empty", path,
                       both_names(name, t->name, names, sizeof names));
    return ERR_OK;
}

enum err_code component_find(const struct component *c, const char *name, int n_dims,
                             const int64_t *dims, struct weights_view *out, struct err *e)
{
    struct found f;
    struct quantised q;
    struct weights_view v;
    int64_t begin;
    char names[300];
    look_up(c, name, &f);
    if (!f.tensor)
        return refuse_missing(c, name, &f, e);
    enum err_code rc = read_values(c, f.tensor, &q, e);
    if (rc != ERR_OK)
        return err_note(e, "'%s'", checkpoint_path(c->cp));
    if (!cut_rows(&q.values, f.rows, &begin, &v))
        return err_set(e, ERR_FORMAT, "'%s': %s is %s, which does not divide into its parts",
                       checkpoint_path(c->cp), both_names(name, f.stored, names, sizeof names),
                       catalogue_shape(q.values.dims, q.values.n_dims).z);
    v.stored = f.tensor;
    add_scales(&q, begin, v.dims[0], &v);
    TRY(check_view(c, name, &v, n_dims, dims, e));
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
    struct quantised q = {0};
    struct weights_view v;
    int64_t begin;
    look_up(c, name, &f);
    if (f.tensor && read_values(c, f.tensor, &q, NULL) != ERR_OK)
        q.values = *f.tensor; /* what is not understood is refused when its values are wanted */
    if (!f.tensor || !cut_rows(&q.values, f.rows, &begin, &v) || dim < 0 || dim >= v.n_dims)
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

/* What of a file that is about to be used is not used is told. */
static void tell_leftovers(const struct component *c)
{
    const char *first = "";
    size_t n = component_leftovers(c, &first, 1);
    if (n > 0)
        log_warn("'%s': %zu tensors are not used, the first is '%.100s': a %s has no such tensor",
                 checkpoint_path(c->cp), n, first, component_kind_title(c->naming->kind));
}

enum err_code component_open(const char *path, enum component_kind wanted, struct component **out,
                             struct err *e)
{
    struct checkpoint *cp = NULL;
    *out = NULL;
    TRY(checkpoint_open(path, &cp, e));
    TRY(component_from_checkpoint(cp, wanted, out, e));
    if (wanted != COMPONENT_UNKNOWN)
        tell_leftovers(*out);
    return ERR_OK;
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
    if (!c) {
        checkpoint_close(cp);
        return err_set(e, ERR_NOMEM, "no memory to open a component");
    }
    c->cp = cp;
    c->naming = recognise(cp, wanted, c->prefix);
    bool other = !c->naming && wanted != COMPONENT_UNKNOWN;
    if (other)
        c->naming = recognise(cp, COMPONENT_UNKNOWN, c->prefix);
    enum err_code rc =
        c->naming ? quantised_markers(cp, &c->markers, e) : component_refuse_unknown(cp, e);
    if (c->naming)
        count_numbers(c);
    if (rc == ERR_OK && other)
        rc = refuse_kind(c, wanted, e);
    else if (rc == ERR_OK && wanted != COMPONENT_UNKNOWN)
        rc = component_check(c, e);
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
    yyjson_doc_free(c->markers);
    checkpoint_close(c->cp);
    mem_free(c);
}

uint64_t component_bytes(const struct component *c)
{
    uint64_t sum = 0;
    size_t n = strlen(c->prefix);
    for (size_t i = 0; i < checkpoint_count(c->cp); i++) {
        const struct weights_tensor *t = checkpoint_at(c->cp, i);
        sum += strncmp(t->name, c->prefix, n) == 0 ? t->bytes : 0;
    }
    return sum;
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
