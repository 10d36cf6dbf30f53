/* adapter.c - a LoRA's matrices as parameters of a set of their own, and terms at the network's.
 *
 * What the file holds is found by asking it for every matrix of the network (weights/lora.h). Its matrices are made when
 * the set is engaged, whatever the form, in the precision of the network. Ranks are filled up with zeros to a multiple of
 * eight where products are of 16 bits, as matrix units read them by sixteen bytes. */
#include "model/adapter.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

enum { RANK_UNIT = 8, ARENA_BYTES = 64 << 20, NAME_BYTES = 256 };

/* A matrix as it is made: the file's, with zeros behind its rows and columns. */
struct made {
    struct lora_matrix m;
    int64_t columns;
};

struct attachment {
    struct nn_param *at;
    struct nn_term term;
    struct nn_param *scaled; /* the last product, which carries the scale */
    float scale;
    struct attachment *next;
};

struct model_adapter {
    struct lora *lora;
    struct nn_params *params;
    struct arena arena;
    struct attachment *first, **last;
    int64_t unit; /* of ranks */
    bool attached;
};

/* ---- making ---------------------------------------------------------------------------------------- */

static enum err_code fill(const void *user, int64_t row0, int64_t n, float *dst, struct err *e)
{
    const struct made *w = user;
    int64_t stored = w->m.rows > row0 ? w->m.rows - row0 : 0, k = w->m.columns;
    stored = stored < n ? stored : n;
    memset(dst + stored * w->columns, 0, (size_t)((n - stored) * w->columns) * sizeof *dst);
    if (stored == 0)
        return ERR_OK;
    TRY(lora_matrix_rows(&w->m, row0, stored, dst, e));
    for (int64_t r = stored - 1; k < w->columns && r >= 0; r--) {
        memmove(dst + r * w->columns, dst + r * k, (size_t)k * sizeof *dst);
        memset(dst + r * w->columns + k, 0, (size_t)(w->columns - k) * sizeof *dst);
    }
    return ERR_OK;
}

static int64_t round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* pad_rows, pad_columns: that side is a rank. */
static enum err_code add_matrix(struct model_adapter *a, const struct lora_matrix *m, bool pad_rows,
                                bool pad_columns, struct nn_param **out, struct err *e)
{
    struct made *w = arena_alloc(&a->arena, sizeof *w);
    char name[NAME_BYTES];
    if (!w)
        return err_set(e, ERR_NOMEM, "no memory for a LoRA");
    *w = (struct made){*m, pad_columns ? round_up(m->columns, a->unit) : m->columns};
    const int64_t dims[2] = {pad_rows ? round_up(m->rows, a->unit) : m->rows, w->columns};
    (void)snprintf(name, sizeof name, "%s", m->a->name);
    return nn_params_add_made(a->params, name, dims, fill, w, out, e);
}

static enum err_code add_term(struct model_adapter *a, const struct lora_term *t,
                              struct nn_param *at, struct err *e)
{
    struct attachment *x = arena_alloc(&a->arena, sizeof *x);
    struct nn_param *down = NULL, *up, *mix = NULL;
    bool narrow = t->down.rows > 0;
    if (!x)
        return err_set(e, ERR_NOMEM, "no memory for a LoRA");
    if (narrow)
        TRY(add_matrix(a, &t->down, true, false, &down, e));
    TRY(add_matrix(a, &t->up, false, narrow, &up, e));
    if (t->mix.rows > 0)
        TRY(add_matrix(a, &t->mix, false, false, &mix, e));
    *x = (struct attachment){.at = at,
                             .term = {.down = down, .up = up, .mix = mix, .skip = t->skip},
                             .scaled = mix ? mix : up,
                             .scale = t->scale};
    *a->last = x;
    a->last = &x->next;
    return ERR_OK;
}

static enum err_code ask_for(struct model_adapter *a, enum component_kind kind, struct nn_param *p,
                             struct err *e)
{
    struct lora_term terms[LORA_MAX_TERMS];
    int n;
    if (p->role != NN_MATRIX)
        return ERR_OK;
    TRY(lora_find(a->lora, kind, p->name, p->view.dims[0], p->view.dims[1], terms, &n, e));
    for (int i = 0; i < n; i++)
        TRY(add_term(a, &terms[i], p, e));
    return ERR_OK;
}

static enum err_code find_all(struct model_adapter *a, const struct model_network *network,
                              struct err *e)
{
    enum nn_precision precision = nn_params_precision(network->sets[0]);
    a->unit = precision == NN_PRECISION_F32 ? 1 : RANK_UNIT;
    TRY(nn_params_new(NULL, network->device, precision, &a->params, e));
    for (size_t i = 0; i < network->n_sets; i++)
        for (struct nn_param *p = nn_params_first(network->sets[i]); p; p = p->next)
            TRY(ask_for(a, network->kind, p, e));
    for (size_t i = 0; i < network->n_unread; i++) {
        struct lora_term terms[LORA_MAX_TERMS];
        int n;
        TRY(lora_find(a->lora, network->kind, network->unread[i], -1, -1, terms, &n, e));
    }
    return lora_check_all_found(a->lora, network->kind, e);
}

enum err_code model_adapter_new(struct lora *l, const struct model_network *network,
                                struct model_adapter **out, struct err *e)
{
    *out = NULL;
    struct model_adapter *a = mem_try_alloc(sizeof *a);
    if (!a) {
        lora_close(l);
        return err_set(e, ERR_NOMEM, "no memory for a LoRA");
    }
    a->lora = l;
    a->last = &a->first;
    arena_init(&a->arena, ARENA_BYTES);
    enum err_code rc = find_all(a, network, e);
    if (rc != ERR_OK) {
        model_adapter_free(a);
        return rc;
    }
    *out = a;
    return ERR_OK;
}

void model_adapter_free(struct model_adapter *a)
{
    if (!a)
        return;
    model_adapter_detach(a);
    nn_params_free(a->params);
    arena_deinit(&a->arena);
    lora_close(a->lora);
    mem_free(a);
}

/* ---- attaching ------------------------------------------------------------------------------------- */

void model_adapter_attach(struct model_adapter *a, double strength)
{
    model_adapter_detach(a);
    a->attached = strength != 0;
    for (struct attachment *x = a->first; x && a->attached; x = x->next) {
        struct nn_term **end = &x->at->terms;
        while (*end)
            end = &(*end)->next;
        x->term.next = NULL;
        *end = &x->term;
        x->scaled->scale = (float)(strength * (double)x->scale);
    }
}

static void take_out(struct attachment *x)
{
    struct nn_term **t = &x->at->terms;
    while (*t && *t != &x->term)
        t = &(*t)->next;
    if (*t)
        *t = x->term.next;
}

void model_adapter_detach(struct model_adapter *a)
{
    for (struct attachment *x = a->first; x && a->attached; x = x->next)
        take_out(x);
    a->attached = false;
}

bool model_adapter_attached(const struct model_adapter *a)
{
    return a->attached;
}

struct nn_params *model_adapter_params(struct model_adapter *a)
{
    return a->params;
}
