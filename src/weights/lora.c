/* lora.c - opens a LoRA file: its modules with all their parts, shapes and scales checked; and finds what it has for a
 * matrix of a network.
 *
 * The network asks, not the file: each canonical matrix is translated by the rules of every naming of its network, and
 * looked up among the modules. So the tables of naming_tables.c serve here as they are, rows of fused matrices included.
 * What nobody has asked for in the end is an error, since half a LoRA is not what was trained. */
#include "weights/lora.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "weights/catalogue.h"
#include "weights/lora_impl.h"

enum { MAX_MODULES = 1 << 16, MAX_SIDE = 1 << 20, ARENA_BYTES = 64 << 20 };

static const char *const form_names[] = {"LoRA", "LoHa", "LoKr"};

/* ---- modules --------------------------------------------------------------------------------------- */

static int by_flat_name(const void *a, const void *b)
{
    return strcmp(((const struct lora_module *)a)->flat, ((const struct lora_module *)b)->flat);
}

/* Brings the parts of one module together: entries hold one part each, sorted by name. */
static enum err_code join_parts(struct lora *l, size_t n, struct err *e)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct lora_module one = l->modules[i];
        bool same = at > 0 && strcmp(l->modules[at - 1].flat, one.flat) == 0;
        struct lora_module *to = &l->modules[same ? at - 1 : at++];
        if (!same)
            *to = one;
        for (int p = 0; same && p < LORA_PARTS; p++) {
            if (!one.parts[p])
                continue;
            if (to->parts[p])
                return err_set(e, ERR_FORMAT, "tensors '%.180s' and '%.180s' are the same part",
                               to->parts[p]->name, one.parts[p]->name);
            to->parts[p] = one.parts[p];
        }
    }
    l->n_modules = at;
    return ERR_OK;
}

static enum err_code collect(struct lora *l, struct err *e)
{
    size_t n = checkpoint_count(l->cp);
    if (n == 0 || n > MAX_MODULES * (size_t)LORA_PARTS)
        return err_set(e, ERR_FORMAT, "it has %zu tensors", n);
    l->modules = mem_try_array(n, sizeof *l->modules);
    if (!l->modules)
        return err_set(e, ERR_NOMEM, "no memory for a LoRA of %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        const struct weights_tensor *t = checkpoint_at(l->cp, i);
        struct lora_name name;
        struct lora_module *m = &l->modules[i];
        TRY(lora_name_read(t->name, &name, e));
        m->parts[name.part] = t;
        m->name = arena_strdup(&l->arena, name.module);
        m->flat = arena_strdup(&l->arena, str_from(name.flat));
        if (!m->name || !m->flat)
            return err_set(e, ERR_NOMEM, "no memory for a LoRA of %zu tensors", n);
    }
    qsort(l->modules, n, sizeof *l->modules, by_flat_name);
    return join_parts(l, n, e);
}

/* ---- shapes ---------------------------------------------------------------------------------------- */

static bool is_number(enum dtype t)
{
    return t == DTYPE_F64 || t == DTYPE_F32 || t == DTYPE_F16 || t == DTYPE_BF16 ||
           t == DTYPE_F8_E4M3 || t == DTYPE_F8_E5M2;
}

/* A matrix, or a 1 x 1 convolution's kernel. */
static enum err_code check_matrix(const struct weights_tensor *t, struct err *e)
{
    bool flat = t->n_dims >= 2;
    for (int i = 2; i < t->n_dims; i++)
        flat = flat && t->dims[i] == 1;
    if (!is_number(t->dtype))
        return err_set(e, ERR_FORMAT, "tensor '%.200s' is of type %s, expected floats", t->name,
                       dtype_info(t->dtype)->name);
    if (!flat || t->dims[0] < 1 || t->dims[1] < 1 || t->dims[0] > MAX_SIDE || t->dims[1] > MAX_SIDE)
        return err_set(e, ERR_FORMAT, "tensor '%.200s' is %s, expected a matrix", t->name,
                       catalogue_shape(t->dims, t->n_dims).z);
    return ERR_OK;
}

/* a [., k] and b [k, .] */
static enum err_code check_chain(const struct weights_tensor *a, const struct weights_tensor *b,
                                 struct err *e)
{
    if (a->dims[1] == b->dims[0])
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "tensors '%.150s' %s and '%.150s' %s do not fit each other",
                   a->name, catalogue_shape(a->dims, a->n_dims).z, b->name,
                   catalogue_shape(b->dims, b->n_dims).z);
}

static enum err_code need(const struct lora_module *m, enum lora_part p, struct err *e)
{
    if (m->parts[p])
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "'%.200s' has no %s", m->name, lora_part_name(p));
}

static enum err_code read_low_rank(struct lora_module *m, struct err *e)
{
    TRY(need(m, PART_DOWN, e));
    TRY(need(m, PART_UP, e));
    const struct weights_tensor *down = m->parts[PART_DOWN], *up = m->parts[PART_UP];
    TRY(check_chain(up, down, e));
    m->rank = down->dims[0];
    m->rows = up->dims[0];
    m->columns = down->dims[1];
    return ERR_OK;
}

static enum err_code read_hadamard(struct lora_module *m, struct err *e)
{
    for (int p = PART_HADA_1A; p <= PART_HADA_2B; p++)
        TRY(need(m, (enum lora_part)p, e));
    const struct weights_tensor *a1 = m->parts[PART_HADA_1A], *b1 = m->parts[PART_HADA_1B];
    const struct weights_tensor *a2 = m->parts[PART_HADA_2A], *b2 = m->parts[PART_HADA_2B];
    TRY(check_chain(a1, b1, e));
    TRY(check_chain(a2, b2, e));
    if (a1->dims[0] != a2->dims[0] || b1->dims[1] != b2->dims[1])
        return err_set(e, ERR_FORMAT, "the two products of '%.200s' have different shapes",
                       m->name);
    m->rank = b1->dims[0];
    m->rows = a1->dims[0];
    m->columns = b1->dims[1];
    return ERR_OK;
}

/* One factor, whole or as a product: its shape, and the rank of a product. */
static enum err_code read_factor(const struct lora_module *m, enum lora_part whole, int64_t *rows,
                                 int64_t *columns, int64_t *rank, struct err *e)
{
    enum lora_part a = (enum lora_part)(whole + 1), b = (enum lora_part)(whole + 2);
    const struct weights_tensor *w = m->parts[whole];
    if (w && (m->parts[a] || m->parts[b]))
        return err_set(e, ERR_FORMAT, "'%.200s' has %s whole and as a product", m->name,
                       lora_part_name(whole));
    if (!w) {
        TRY(need(m, m->parts[a] ? b : m->parts[b] ? a : whole, e));
        TRY(check_chain(m->parts[a], m->parts[b], e));
        *rank = m->parts[b]->dims[0];
    }
    *rows = w ? w->dims[0] : m->parts[a]->dims[0];
    *columns = w ? w->dims[1] : m->parts[b]->dims[1];
    return ERR_OK;
}

static enum err_code read_kronecker(struct lora_module *m, struct err *e)
{
    int64_t rows1, columns1, rows2, columns2;
    TRY(read_factor(m, PART_LOKR_1, &rows1, &columns1, &m->rank, e));
    TRY(read_factor(m, PART_LOKR_2, &rows2, &columns2, &m->rank, e));
    m->rows = rows1 * rows2;
    m->columns = columns1 * columns2;
    return ERR_OK;
}

static enum err_code find_form(struct lora_module *m, struct err *e)
{
    bool forms[3] = {m->parts[PART_DOWN] || m->parts[PART_UP], false, false};
    for (int p = PART_HADA_1A; p <= PART_HADA_2B; p++)
        forms[FORM_HADAMARD] = forms[FORM_HADAMARD] || m->parts[p];
    for (int p = PART_LOKR_1; p <= PART_LOKR_2B; p++)
        forms[FORM_KRONECKER] = forms[FORM_KRONECKER] || m->parts[p];
    int n = forms[0] + forms[1] + forms[2];
    if (n != 1)
        return err_set(e, ERR_FORMAT, "'%.200s' %s", m->name,
                       n > 1 ? "has parts of two forms" : "has an alpha and nothing else");
    m->form = forms[0] ? FORM_LOW_RANK : forms[1] ? FORM_HADAMARD : FORM_KRONECKER;
    return ERR_OK;
}

static enum err_code read_alpha(struct lora_module *m, struct err *e)
{
    const struct weights_tensor *t = m->parts[PART_ALPHA];
    float alpha;
    m->scale = 1;
    if (!t)
        return ERR_OK;
    uint64_t size = dtype_info(t->dtype)->block_bytes;
    if (t->bytes != size || !is_number(t->dtype) ||
        !dtype_plain_to_f32(t->dtype, t->data, &alpha, 1) || !isfinite(alpha))
        return err_set(e, ERR_FORMAT, "tensor '%.200s' is no number", t->name);
    m->scale = m->rank > 0 ? alpha / (float)m->rank : 1;
    return ERR_OK;
}

static enum err_code read_module(struct lora_module *m, struct err *e)
{
    TRY(find_form(m, e));
    for (int p = 0; p < LORA_PARTS; p++)
        if (m->parts[p] && p != PART_ALPHA)
            TRY(check_matrix(m->parts[p], e));
    TRY(m->form == FORM_LOW_RANK   ? read_low_rank(m, e)
        : m->form == FORM_HADAMARD ? read_hadamard(m, e)
                                   : read_kronecker(m, e));
    return read_alpha(m, e);
}

/* ---- opening --------------------------------------------------------------------------------------- */

bool lora_is(const struct checkpoint *cp)
{
    static const char *const words[] = {".lora_", ".lora.up.", ".hada_w", ".lokr_w"};
    for (size_t i = 0; i < checkpoint_count(cp); i++)
        for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
            if (strstr(checkpoint_at(cp, i)->name, words[k]))
                return true;
    return false;
}

static enum err_code read_all(struct lora *l, struct err *e)
{
    if (!lora_is(l->cp))
        return err_set(e, ERR_FORMAT, "it is no LoRA: no tensor is called as a part of one");
    TRY(collect(l, e));
    for (size_t i = 0; i < l->n_modules; i++)
        TRY(read_module(&l->modules[i], e));
    return lora_read_settings(l, e);
}

enum err_code lora_from_checkpoint(struct checkpoint *cp, struct lora **out, struct err *e)
{
    *out = NULL;
    struct lora *l = mem_try_alloc(sizeof *l);
    if (!l) {
        checkpoint_close(cp);
        return err_set(e, ERR_NOMEM, "no memory to open a LoRA");
    }
    l->cp = cp;
    arena_init(&l->arena, ARENA_BYTES);
    if (read_all(l, e) != ERR_OK) {
        enum err_code rc = err_note(e, "'%s'", checkpoint_path(cp));
        lora_close(l);
        return rc;
    }
    *out = l;
    return ERR_OK;
}

enum err_code lora_open(const char *path, struct lora **out, struct err *e)
{
    struct checkpoint *cp = NULL;
    *out = NULL;
    TRY(checkpoint_open(path, &cp, e));
    return lora_from_checkpoint(cp, out, e);
}

void lora_close(struct lora *l)
{
    if (!l)
        return;
    checkpoint_close(l->cp);
    arena_deinit(&l->arena);
    mem_free(l->modules);
    mem_free(l);
}

const char *lora_path(const struct lora *l)
{
    return checkpoint_path(l->cp);
}

const struct checkpoint *lora_checkpoint(const struct lora *l)
{
    return l->cp;
}

/* ---- finding --------------------------------------------------------------------------------------- */

static struct lora_module *find_module(const struct lora *l, const char *flat)
{
    const struct lora_module key = {.flat = flat};
    return bsearch(&key, l->modules, l->n_modules, sizeof *l->modules, by_flat_name);
}

static struct lora_matrix stored(const struct weights_tensor *t)
{
    return (struct lora_matrix){
        .making = LORA_STORED, .a = t, .rows = t->dims[0], .columns = t->dims[1]};
}

/* Rows begin .. end - 1 of the change. */
static struct lora_term low_rank(const struct lora_module *m, int64_t begin, int64_t end)
{
    struct lora_term t = {.down = stored(m->parts[PART_DOWN]), .up = stored(m->parts[PART_UP])};
    t.up.row0 = begin;
    t.up.rows = end - begin;
    return t;
}

/* The elementwise product of two products of ranks r1 and r2 is a product of rank r1 r2. Where that would be larger
 * than the matrix it changes, the rows of the change are made as they are. */
static struct lora_term hadamard(const struct lora_module *m, int64_t begin, int64_t end)
{
    const struct weights_tensor *a1 = m->parts[PART_HADA_1A], *b1 = m->parts[PART_HADA_1B];
    const struct weights_tensor *a2 = m->parts[PART_HADA_2A], *b2 = m->parts[PART_HADA_2B];
    int64_t rank = b1->dims[0] * b2->dims[0], rows = end - begin;
    struct lora_matrix all = {.a = a1, .b = b1, .c = a2, .d = b2};
    struct lora_term t = {.up = all};
    t.up.row0 = begin;
    t.up.rows = rows;
    t.up.making = LORA_ELEMENTS;
    t.up.columns = m->columns;
    if (rank >= rows * m->columns / (rows + m->columns))
        return t;
    t.down = all;
    t.down.making = LORA_PAIRS_DOWN;
    t.down.rows = rank;
    t.down.columns = m->columns;
    t.up.making = LORA_PAIRS_UP;
    t.up.columns = rank;
    return t;
}

static struct lora_term kronecker(const struct lora_module *m, int64_t begin, int64_t end)
{
    const struct weights_tensor *w1 = m->parts[PART_LOKR_1], *w2 = m->parts[PART_LOKR_2];
    struct lora_term t = {0};
    if (w2) {
        t.up = stored(w2);
    } else {
        t.up = stored(m->parts[PART_LOKR_2A]);
        t.down = stored(m->parts[PART_LOKR_2B]);
    }
    if (w1)
        t.mix = stored(w1);
    else
        t.mix = (struct lora_matrix){.making = LORA_PRODUCT,
                                     .a = m->parts[PART_LOKR_1A],
                                     .b = m->parts[PART_LOKR_1B],
                                     .columns = m->parts[PART_LOKR_1B]->dims[1]};
    int64_t p = t.up.rows;
    t.mix.row0 = begin / p;
    t.mix.rows = (end + p - 1) / p - t.mix.row0;
    t.skip = begin - t.mix.row0 * p;
    return t;
}

static enum err_code refuse_shape(const struct lora *l, const struct lora_module *m,
                                  const char *canonical, int64_t rows, int64_t columns,
                                  struct err *e)
{
    return err_set(e, ERR_FORMAT,
                   "'%s' does not fit this model: '%.150s' changes a matrix [%" PRId64 ", %" PRId64
                   "], for '%.100s' it should be [%" PRId64 ", %" PRId64 "]",
                   lora_path(l), m->name, m->rows, m->columns, canonical, rows, columns);
}

/* What rule `rule` leads to; nothing when the file has no such module. */
static enum err_code follow(struct lora *l, const struct naming_rule *rule, const char *canonical,
                            const int64_t dims[2], struct lora_term *out, bool *there,
                            struct err *e)
{
    static const struct naming_numbers none = {0};
    char stored_name[NAMING_MAX_BYTES], flat[NAMING_MAX_BYTES];
    int64_t begin = 0, end;
    *there = false;
    if (!rule->stored || !naming_apply(rule, &none, "", canonical, stored_name, sizeof stored_name))
        return ERR_OK;
    struct str name = str_from(stored_name);
    if (str_ends(name, STR_LIT(".weight")))
        name.n -= strlen(".weight");
    struct lora_module *m = lora_flatten(name, flat) ? find_module(l, flat) : NULL;
    if (!m)
        return ERR_OK;
    end = m->rows;
    bool parts =
        rule->rows == ROWS_ALL || naming_row_range(m->rows, m->columns, rule->rows, &begin, &end);
    bool fits = dims[0] < 0 || (end - begin == dims[0] && m->columns == dims[1]);
    if (!parts || !fits)
        return refuse_shape(l, m, canonical, dims[0], dims[1], e);
    *out = m->form == FORM_LOW_RANK   ? low_rank(m, begin, end)
           : m->form == FORM_HADAMARD ? hadamard(m, begin, end)
                                      : kronecker(m, begin, end);
    out->scale = m->scale;
    m->found = *there = true;
    return ERR_OK;
}

enum err_code lora_find(struct lora *l, enum component_kind kind, const char *canonical,
                        int64_t rows, int64_t columns, struct lora_term out[LORA_MAX_TERMS], int *n,
                        struct err *e)
{
    size_t n_namings;
    const struct naming *namings = naming_table(&n_namings);
    const int64_t dims[2] = {rows, columns};
    *n = 0;
    for (size_t i = 0; i < n_namings; i++) {
        for (size_t k = 0; namings[i].kind == kind && k < namings[i].n_rules; k++) {
            bool there;
            if (*n == LORA_MAX_TERMS)
                return ERR_OK;
            TRY(follow(l, &namings[i].rules[k], canonical, dims, &out[*n], &there, e));
            *n += there;
        }
    }
    return ERR_OK;
}

enum err_code lora_check_all_found(const struct lora *l, enum component_kind kind, struct err *e)
{
    for (size_t i = 0; i < l->n_modules; i++) {
        const char *name = l->modules[i].name;
        if (l->modules[i].found)
            continue;
        if (strstr(name, "text_encoder") || strncmp(name, "lora_te", 7) == 0)
            return err_set(e, ERR_FORMAT,
                           "'%s' changes the text encoder ('%.150s'), which is not supported",
                           lora_path(l), name);
        return err_set(e, ERR_FORMAT,
                       "'%s' is not for this model: its %s has no matrix '%.150s', which the file "
                       "changes",
                       lora_path(l), component_kind_title(kind), name);
    }
    return ERR_OK;
}

/* ---- what it is for -------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    enum component_kind kind;
} marks[] = {
    {"img_mlp_net_", COMPONENT_QWEN_IMAGE_TRANSFORMER},
    {"txt_mlp_net_", COMPONENT_QWEN_IMAGE_TRANSFORMER},
    {"img_mod_1", COMPONENT_QWEN_IMAGE_TRANSFORMER},
    {"txt_mod_1", COMPONENT_QWEN_IMAGE_TRANSFORMER},
    {"single_blocks_", COMPONENT_FLUX2_TRANSFORMER},
    {"double_blocks_", COMPONENT_FLUX2_TRANSFORMER},
    {"single_transformer_blocks_", COMPONENT_FLUX2_TRANSFORMER},
    {"_ff_linear_", COMPONENT_FLUX2_TRANSFORMER},
    {"_ff_context_linear_", COMPONENT_FLUX2_TRANSFORMER},
};

/* Columns are the network's width. */
static const char *const wide[] = {
    "attn_to_q",
    "attn_to_k",
    "attn_to_v",
    "attn_qkv",
    "attn_to_qkv_mlp_proj",
    "linear1",
    "img_mlp_0",
    "txt_mlp_0",
    "_net_0_proj",
    "ff_linear_in",
    "img_mod_1",
    "txt_mod_1",
    "add_k_proj",
    "ff_context_linear_in",
};

static bool ends(const char *s, const char *end)
{
    return str_ends(str_from(s), str_from(end));
}

/* FLUX.1's blocks are called as FLUX.2's, and each has a modulation of its own. */
static bool is_of_flux1(const char *flat)
{
    return ends(flat, "img_mod_lin") || ends(flat, "txt_mod_lin") || ends(flat, "norm1_linear") ||
           (strncmp(flat, "single_blocks_", 14) == 0 && ends(flat, "modulation_lin"));
}

/* Attention alone is called the same in all: FLUX.2 has at most 8 such blocks, FLUX.1 19 and Qwen-Image 60. */
static bool is_of_many_blocks(const char *flat)
{
    static const char *const begins[] = {"transformer_blocks_", "double_blocks_"};
    enum { MOST_OF_FLUX2 = 8 };
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        int64_t block;
        size_t n = strlen(begins[i]);
        const char *at = strncmp(flat, begins[i], n) == 0 ? flat + n : NULL;
        if (at && naming_take_number(&at, &block))
            return block >= MOST_OF_FLUX2;
    }
    return false;
}

static void name_base(struct lora_facts *f)
{
    bool qwen = f->kind == COMPONENT_QWEN_IMAGE_TRANSFORMER;
    const char *known = NULL;
    if (qwen && f->width == 3072)
        known = "Qwen-Image";
    else if (!qwen)
        known = f->width == 3072   ? "FLUX.2-klein 4B"
                : f->width == 4096 ? "FLUX.2-klein 9B"
                : f->width == 6144 ? "FLUX.2-dev"
                                   : NULL;
    if (f->kind == COMPONENT_UNKNOWN)
        (void)snprintf(f->base, sizeof f->base, "an unknown model");
    else if (known)
        (void)snprintf(f->base, sizeof f->base, "%s", known);
    else if (f->width > 0)
        (void)snprintf(f->base, sizeof f->base, "%s of width %" PRId64,
                       qwen ? "a Qwen-Image" : "a FLUX.2", f->width);
    else
        (void)snprintf(f->base, sizeof f->base, "%s", qwen ? "a Qwen-Image" : "a FLUX.2");
}

void lora_facts(const struct lora *l, struct lora_facts *out)
{
    bool flux1 = false, many = false;
    *out = (struct lora_facts){.modules = l->n_modules, .form = form_names[l->modules[0].form]};
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i];
        flux1 = flux1 || is_of_flux1(m->flat);
        many = many || is_of_many_blocks(m->flat);
        out->rank = m->rank > out->rank ? m->rank : out->rank;
        for (size_t k = 0; k < sizeof marks / sizeof marks[0] && !out->kind; k++)
            if (strstr(m->flat, marks[k].word))
                out->kind = marks[k].kind;
        for (size_t k = 0; k < sizeof wide / sizeof wide[0] && !out->width; k++)
            if (ends(m->flat, wide[k]))
                out->width = m->columns;
    }
    if (flux1 || (many && out->kind == COMPONENT_FLUX2_TRANSFORMER))
        out->kind = COMPONENT_UNKNOWN;
    else if (many)
        out->kind = COMPONENT_QWEN_IMAGE_TRANSFORMER;
    name_base(out);
}

void lora_describe(const struct lora_facts *f, char *out, size_t n)
{
    if (f->rank > 0)
        (void)snprintf(out, n, "%s of rank %" PRId64 " for %s", f->form, f->rank, f->base);
    else
        (void)snprintf(out, n, "%s for %s", f->form, f->base);
}
