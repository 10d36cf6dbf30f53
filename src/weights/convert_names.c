/* convert_names.c - what a checkpoint's tensors are called in another naming.
 *
 * For each stored tensor: which canonical tensors is it (rules read backwards, then confirmed by asking the
 * component for that name and comparing the tensor found), and where does the other naming put each of them (rules
 * read forwards). Confirming is what makes an ambiguous rule harmless. Among rules for whole tensors, the one that
 * spells out more of the name wins. Tensors without a place in the other naming are counted and the first is
 * named; nothing is dropped silently.
 */
#include "weights/convert_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "weights/naming.h"
#include "weights/quantised.h"

enum { MAX_NUMBERS = 4, MAX_CANDIDATES = 4 };

/* ---- which naming ------------------------------------------------------------------------------- */

static const struct naming *naming_of(enum component_kind kind, const char *id)
{
    size_t n;
    const struct naming *table = naming_table(&n);
    for (size_t i = 0; i < n; i++)
        if (table[i].kind == kind && strcmp(table[i].id, id) == 0)
            return &table[i];
    return NULL;
}

static bool is_naming_id(const char *word)
{
    size_t n;
    const struct naming *table = naming_table(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].id, word) == 0)
            return true;
    return false;
}

/* The ids that a word stands for, the first that the kind has; none of them: the component's own. */
static const struct {
    const char *word;
    const char *ids[4];
} words[] = {
    {"diffusers", {"diffusers", "transformers"}},
    {"canonical", {"diffusers", "transformers"}},
    {"original", {"bfl", "wan", "transformers"}},
    {"comfy", {"bfl", "wan", "transformers"}},
    {"gguf", {"bfl", "llama.cpp"}},
    {"keep", {NULL}},
};

const struct naming *convert_naming(const struct component *c, const char *word)
{
    enum component_kind kind = c->naming->kind;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].word, word) != 0)
            continue;
        for (size_t k = 0; words[i].ids[k]; k++) {
            const struct naming *n = naming_of(kind, words[i].ids[k]);
            if (n)
                return n;
        }
        return c->naming;
    }
    const struct naming *n = naming_of(kind, word);
    return n || !is_naming_id(word) ? n : c->naming;
}

/* ---- backwards ---------------------------------------------------------------------------------- */

/* The canonical numbers that a stored one stands for; false when it cannot be one of this kind. */
static bool decode(char kind, int64_t v, const struct naming_numbers *numbers, int64_t *list,
                   int *n)
{
    if (kind == '~')
        v = numbers->levels - 1 - v;
    if (kind == '#' || kind == '~') {
        list[(*n)++] = v;
        return v >= 0;
    }
    if (numbers->stride < 1 || (v % numbers->stride == numbers->stride - 1) != (kind == '^'))
        return false;
    list[(*n)++] = v / numbers->stride;
    if (kind == '@')
        list[(*n)++] = v % numbers->stride;
    return true;
}

bool convert_name_invert(const struct naming_rule *rule, const struct naming_numbers *numbers,
                         const char *stored, char *out, size_t out_size)
{
    int64_t list[MAX_NUMBERS + 1];
    int have = 0, used = 0;
    const char *rest = "";
    for (const char *p = rule->stored ? rule->stored : "?"; *p; p++) {
        int64_t v;
        if (*p == '*') {
            rest = stored;
            stored = "";
            if (!*rest)
                return false;
        } else if (strchr("#~@^", *p)) {
            if (have >= MAX_NUMBERS || !naming_take_number(&stored, &v) ||
                !decode(*p, v, numbers, list, &have))
                return false;
        } else if (*p != *stored++) {
            return false;
        }
    }
    if (*stored)
        return false;
    size_t n = 0;
    for (const char *p = rule->canonical; *p; p++) {
        int len;
        if (*p == '#')
            len = used < have ? snprintf(out + n, out_size - n, "%" PRId64, list[used++]) : -1;
        else if (*p == '*')
            len = snprintf(out + n, out_size - n, "%s", rest);
        else
            len = snprintf(out + n, out_size - n, "%c", *p);
        if (len < 0 || (size_t)len >= out_size - n)
            return false;
        n += (size_t)len;
    }
    return true;
}

/* ---- one stored tensor -------------------------------------------------------------------------- */

struct candidate {
    char canonical[NAMING_MAX_BYTES];
    enum naming_rows rows;
    size_t weight; /* how much of the name the rule spells out */
    struct weights_view view;
};

static struct weights_view whole(const struct weights_tensor *t)
{
    struct weights_view v = {.stored = t,
                             .dtype = t->dtype,
                             .n_dims = t->n_dims,
                             .data = t->data,
                             .bytes = t->bytes,
                             .scale = 1};
    memcpy(v.dims, t->dims, sizeof v.dims);
    return v;
}

/* Integers that are no weights with scales. */
static bool is_counter(const struct weights_tensor *t)
{
    return t->bytes == 0 ||
           (!dtype_info(t->dtype)->is_float && !str_ends(str_from(t->name), STR_LIT(".weight")));
}

/* Fills in the view if the canonical name leads back to t. Counters and the like (integers) are taken as
 * they are; the models have no use for them, other programs may. */
static enum err_code try_candidate(struct component *c, const struct weights_tensor *t,
                                   struct candidate *k, bool *fits, struct err *e)
{
    struct err why = {0};
    *fits = false;
    if (is_counter(t)) {
        k->view = whole(t);
        *fits = k->rows == ROWS_ALL && component_has(c, k->canonical);
        return ERR_OK;
    }
    enum err_code rc = component_find(c, k->canonical, -1, NULL, &k->view, &why);
    *fits = rc == ERR_OK && k->view.stored == t;
    if (rc == ERR_OK || rc == ERR_NOTFOUND)
        return ERR_OK;
    if (e)
        *e = why;
    return rc;
}

/* The canonical tensors that t stands for: one for all rows, or one for each range of them. */
static enum err_code find_candidates(struct component *c, const struct weights_tensor *t,
                                     struct candidate *list, int *n, struct err *e)
{
    const char *name = t->name + strlen(c->prefix);
    *n = 0;
    for (int whole_rows = 1; whole_rows >= 0 && *n == 0; whole_rows--) {
        for (size_t i = 0; i < c->naming->n_rules; i++) {
            const struct naming_rule *rule = &c->naming->rules[i];
            struct candidate k = {.rows = rule->rows};
            bool fits = false;
            if ((rule->rows == ROWS_ALL) != whole_rows ||
                !convert_name_invert(rule, &c->numbers, name, k.canonical, sizeof k.canonical))
                continue;
            enum err_code rc = try_candidate(c, t, &k, &fits, e);
            if (rc != ERR_OK)
                return rc;
            k.weight = strlen(rule->stored);
            if (!fits || (whole_rows && *n > 0 && list[0].weight >= k.weight))
                continue;
            if (whole_rows)
                *n = 0; /* the rule that says more about the name is meant */
            if (*n < MAX_CANDIDATES)
                list[(*n)++] = k;
        }
    }
    return ERR_OK;
}

/* ---- forwards ----------------------------------------------------------------------------------- */

/* The wanted naming's numbers, told from the component's canonical blocks. */
static struct naming_numbers numbers_for(const struct component *c, const struct naming *to)
{
    struct naming_numbers n = {0};
    if (to == c->naming)
        return c->numbers;
    if (to->levels_of)
        n.levels = component_block_count(c, "decoder.up_blocks");
    if (to->nest_blocks)
        n.stride = 1 + component_block_count(c, "decoder.up_blocks.0.resnets");
    return n;
}

static bool name_in(const struct naming *to, const struct naming_numbers *numbers,
                    const char *canonical, char *out, size_t size, enum naming_rows *rows)
{
    for (size_t i = 0; i < to->n_rules; i++) {
        if (!naming_apply(&to->rules[i], numbers, "", canonical, out, size))
            continue;
        *rows = to->rules[i].rows;
        return to->rules[i].stored != NULL;
    }
    return false;
}

/* The model maker's file stores the VAE's attention as 1x1 convolutions, the other naming as matrices. */
static void fit_rank(const struct naming *to, const char *canonical, struct weights_view *v)
{
    if (to->kind != COMPONENT_FLUX2_VAE || !strstr(canonical, "mid_block.attentions.0.to_") ||
        !str_ends(str_from(canonical), STR_LIT(".weight")) || v->n_dims < 2)
        return;
    v->n_dims = strcmp(to->id, "bfl") == 0 ? 4 : 2;
    for (int i = 2; i < WEIGHTS_MAX_DIMS; i++)
        v->dims[i] = i < v->n_dims ? 1 : 0;
}

static enum err_code add_piece(struct convert_pieces *out, const struct naming *to,
                               const struct naming_numbers *numbers, const struct candidate *k,
                               struct arena *a, bool *placed, struct err *e)
{
    char name[NAMING_MAX_BYTES];
    struct convert_piece *p = &out->list[out->n];
    *placed = name_in(to, numbers, k->canonical, name, sizeof name, &p->rows);
    if (!*placed)
        return ERR_OK;
    p->name = arena_strdup(a, str_from(name));
    p->canonical = arena_strdup(a, str_from(k->canonical));
    if (!p->name || !p->canonical)
        return err_set(e, ERR_NOMEM, "no memory for the names of a conversion");
    p->view = k->view;
    fit_rank(to, k->canonical, &p->view);
    out->n++;
    return ERR_OK;
}

static int by_name_and_rows(const void *a, const void *b)
{
    const struct convert_piece *x = a, *y = b;
    int r = strcmp(x->name, y->name);
    return r ? r : (int)x->rows - (int)y->rows;
}

static enum err_code add_tensor(struct component *c, const struct weights_tensor *t,
                                const struct naming *to, const struct naming_numbers *numbers,
                                struct arena *a, struct convert_pieces *out, struct err *e)
{
    struct candidate *list = mem_alloc(MAX_CANDIDATES * sizeof *list);
    int n = 0;
    bool any = false;
    enum err_code rc = find_candidates(c, t, list, &n, e);
    for (int i = 0; i < n && rc == ERR_OK; i++) {
        bool placed;
        rc = add_piece(out, to, numbers, &list[i], a, &placed, e);
        any |= placed;
    }
    mem_free(list);
    if (rc == ERR_OK && !any && out->left_out++ == 0)
        (void)snprintf(out->example, sizeof out->example, "%s", t->name);
    return rc;
}

enum err_code convert_pieces_make(struct component *c, const struct naming *to, struct arena *a,
                                  struct convert_pieces *out, struct err *e)
{
    const struct checkpoint *cp = c->cp;
    const struct naming_numbers numbers = numbers_for(c, to);
    size_t skip = strlen(c->prefix);
    *out = (struct convert_pieces){0};
    out->list = mem_try_array(checkpoint_count(cp), MAX_CANDIDATES * sizeof *out->list);
    if (!out->list)
        return err_set(e, ERR_NOMEM, "no memory for the list of a conversion");
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < checkpoint_count(cp) && rc == ERR_OK; i++) {
        const struct weights_tensor *t = checkpoint_at(cp, i);
        if (strncmp(t->name, c->prefix, skip) != 0) {
            if (out->left_out++ == 0)
                (void)snprintf(out->example, sizeof out->example, "%s", t->name);
        } else if (!quantised_describes(cp, t->name)) {
            rc = add_tensor(c, t, to, &numbers, a, out, e);
        }
    }
    if (rc == ERR_OK) {
        qsort(out->list, out->n, sizeof *out->list, by_name_and_rows);
    } else {
        mem_free(out->list);
        *out = (struct convert_pieces){0};
    }
    return rc;
}
