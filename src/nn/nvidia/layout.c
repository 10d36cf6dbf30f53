/* layout.c - gives the tensors of a graph their places in one piece of memory.
 *
 * Order: collect (who needs which tensor from when to when), overwrite (a node takes over the memory of an input
 * that nobody reads afterwards), pack (addresses), place (pointers, once the memory exists). Up to `place` no
 * tensor is changed, so measuring a graph is making a layout and throwing it away.
 *
 * Packing is greedy: the largest first, each at the lowest place that is free for its whole life. It gives the
 * same answer each time, which a plan relies on.
 */
#include "nn/nvidia/layout.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/ck.h"
#include "base/mem.h"

/* ---- packing ------------------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b)
{
    const struct nv_layout_item *x = *(struct nv_layout_item *const *)a;
    const struct nv_layout_item *y = *(struct nv_layout_item *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y; /* the same each time */
}

/* The lowest place that no item needed at the same time has; `placed` is in order of places. */
static size_t lowest(struct nv_layout_item *const *placed, size_t n, const struct nv_layout_item *x)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct nv_layout_item *y = placed[i];
        if (y->last < x->first || x->last < y->first)
            continue;
        if (y->at >= at + x->bytes)
            break;
        if (y->at + y->bytes > at)
            at = y->at + y->bytes;
    }
    return at;
}

static void insert(struct nv_layout_item **placed, size_t n, struct nv_layout_item *x)
{
    size_t i = n;
    while (i > 0 && placed[i - 1]->at > x->at) {
        placed[i] = placed[i - 1];
        i--;
    }
    placed[i] = x;
}

enum err_code nv_layout_pack(struct nv_layout_item *items, size_t n, size_t *bytes, struct err *e)
{
    struct nv_layout_item **order = mem_try_array(n + 1, sizeof(struct nv_layout_item *));
    struct nv_layout_item **placed = mem_try_array(n + 1, sizeof(struct nv_layout_item *));
    *bytes = 0;
    enum err_code rc = ERR_OK;
    if (!order || !placed) {
        rc = err_set(e, ERR_NOMEM, "no memory to lay out a graph of %zu tensors", n);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = &items[i];
    qsort(order, n, sizeof(struct nv_layout_item *), by_size);
    for (size_t i = 0; i < n; i++) {
        struct nv_layout_item *x = order[i];
        x->at = lowest(placed, i, x);
        insert(placed, i, x);
        if (x->at + x->bytes > *bytes)
            *bytes = x->at + x->bytes;
    }
done:
    mem_free(order);
    mem_free(placed);
    return rc;
}

/* ---- a graph's tensors -------------------------------------------------------------------------------- */

struct seen {
    struct ggml_tensor *t; /* that owns memory; NULL: an empty place */
    size_t item;
};

struct want {
    bool pinned; /* an input: set before a run, and not to be overwritten */
    int over;    /* the item that it takes over; -1: none */
};

struct nv_layout {
    struct ggml_cgraph *gf;
    struct nv_layout_item *items;
    struct want *wants; /* [n], beside items */
    size_t n, room;
    struct seen *table; /* by address */
    size_t table_size;
    int *scratch; /* [nodes]: the node's item, or -1 */
    size_t bytes;
    uint64_t base;
};

static struct ggml_tensor *owner(struct ggml_tensor *t)
{
    while (t->view_src)
        t = t->view_src;
    return t;
}

static struct seen *slot_of(const struct nv_layout *l, const struct ggml_tensor *t)
{
    size_t i = (uintptr_t)t / sizeof(void *) * 0x9e3779b97f4a7c15u % l->table_size;
    while (l->table[i].t && l->table[i].t != t)
        i = (i + 1) % l->table_size;
    return &l->table[i];
}

static size_t add_item(struct nv_layout *l, size_t bytes, int first, int last)
{
    size_t padded = (bytes + NV_ALIGN - 1) / NV_ALIGN * NV_ALIGN;
    l->items[l->n] = (struct nv_layout_item){.bytes = padded, .first = first, .last = last};
    l->wants[l->n].over = -1;
    return l->n++;
}

/* t, or what it is a view of, is needed by node i. */
static void note(struct nv_layout *l, struct ggml_tensor *t, int i)
{
    struct ggml_tensor *o = owner(t);
    if (o->data)
        return;
    int last = ggml_graph_n_nodes(l->gf) - 1;
    bool input = (o->flags & GGML_TENSOR_FLAG_INPUT) != 0;
    bool output = ((o->flags | t->flags) & GGML_TENSOR_FLAG_OUTPUT) != 0;
    struct seen *s = slot_of(l, o);
    if (!s->t) {
        s->t = o;
        s->item = add_item(l, ggml_nbytes(o), input ? 0 : i, i);
    }
    struct nv_layout_item *x = &l->items[s->item];
    if (i < x->first)
        x->first = i;
    if (i > x->last)
        x->last = i;
    if (output)
        x->last = last;
    l->wants[s->item].pinned |= input;
}

static enum err_code make_room(struct nv_layout *l, struct err *e)
{
    size_t nodes = (size_t)ggml_graph_n_nodes(l->gf);
    l->room = nodes * (GGML_MAX_SRC + 2) + 1; /* each node, its sources, its scratch */
    l->table_size = 2 * l->room + 1;
    l->items = mem_try_array(l->room, sizeof *l->items);
    l->wants = mem_try_array(l->room, sizeof *l->wants);
    l->table = mem_try_array(l->table_size, sizeof *l->table);
    l->scratch = mem_try_array(nodes + 1, sizeof *l->scratch);
    return l->items && l->wants && l->table && l->scratch
               ? ERR_OK
               : err_set(e, ERR_NOMEM, "no memory to lay out a graph of %zu nodes", nodes);
}

static void collect(struct nv_layout *l, const struct nv_layout_rules *rules)
{
    for (int i = 0; i < ggml_graph_n_nodes(l->gf); i++) {
        struct ggml_tensor *t = ggml_graph_node(l->gf, i);
        note(l, t, i);
        for (int k = 0; k < GGML_MAX_SRC; k++)
            if (t->src[k])
                note(l, t->src[k], i);
        size_t n = rules->scratch ? rules->scratch(t) : 0;
        l->scratch[i] = n ? (int)add_item(l, n, i, i) : -1;
    }
}

/* Where the memory of an item really is. */
static size_t holder(const struct nv_layout *l, size_t item)
{
    while (l->wants[item].over >= 0)
        item = (size_t)l->wants[item].over;
    return item;
}

/* Node i takes over the memory of `from` if it is the last that needs it. */
static void take_over(struct nv_layout *l, int i, struct ggml_tensor *t, struct ggml_tensor *from)
{
    const struct ggml_tensor *o = owner(from);
    struct seen *to = slot_of(l, owner(t)), *was = slot_of(l, o);
    if (!to->t || !was->t || owner(t) != t || from->view_offs != 0)
        return;
    size_t h = holder(l, was->item);
    struct nv_layout_item *x = &l->items[to->item], *y = &l->items[h];
    if (h == to->item || x->first != i || y->last != i || y->bytes != x->bytes ||
        l->wants[h].pinned || l->wants[to->item].pinned)
        return;
    l->wants[to->item].over = (int)h;
    y->last = x->last;
}

static void overwrite(struct nv_layout *l, const struct nv_layout_rules *rules)
{
    for (int i = 0; rules->in_place && i < ggml_graph_n_nodes(l->gf); i++) {
        struct ggml_tensor *t = ggml_graph_node(l->gf, i), *from = rules->in_place(t);
        if (from)
            take_over(l, i, t, from);
    }
}

/* Packs only the items that have memory of their own. */
static enum err_code pack(struct nv_layout *l, struct err *e)
{
    size_t n = 0;
    struct nv_layout_item *own = mem_try_array(l->n + 1, sizeof *own);
    if (!own)
        return err_set(e, ERR_NOMEM, "no memory to lay out a graph");
    for (size_t i = 0; i < l->n; i++)
        if (l->wants[i].over < 0)
            own[n++] = l->items[i];
    enum err_code rc = nv_layout_pack(own, n, &l->bytes, e);
    n = 0;
    for (size_t i = 0; rc == ERR_OK && i < l->n; i++)
        if (l->wants[i].over < 0)
            l->items[i].at = own[n++].at;
    for (size_t i = 0; rc == ERR_OK && i < l->n; i++)
        l->items[i].at = l->items[holder(l, i)].at;
    mem_free(own);
    return rc;
}

enum err_code nv_layout_new(struct ggml_cgraph *gf, const struct nv_layout_rules *rules,
                            struct nv_layout **out, struct err *e)
{
    *out = NULL;
    struct nv_layout *l = mem_try_alloc(sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "no memory to lay out a graph");
    l->gf = gf;
    enum err_code rc = make_room(l, e);
    if (rc == ERR_OK) {
        collect(l, rules);
        overwrite(l, rules);
        rc = pack(l, e);
    }
    if (rc != ERR_OK) {
        nv_layout_free(l);
        return rc;
    }
    *out = l;
    return ERR_OK;
}

void nv_layout_free(struct nv_layout *l)
{
    if (!l)
        return;
    mem_free(l->items);
    mem_free(l->wants);
    mem_free(l->table);
    mem_free(l->scratch);
    mem_free(l);
}

size_t nv_layout_bytes(const struct nv_layout *l)
{
    return l->bytes;
}

/* A view may have been made before its base got its place or became a view itself, so its address is set last. */
static void place_view(struct ggml_tensor *t)
{
    if (!t->view_src)
        return;
    place_view(t->view_src);
    t->data = (char *)t->view_src->data + t->view_offs;
}

void nv_layout_place(struct nv_layout *l, uint64_t base)
{
    l->base = base;
    for (size_t i = 0; i < l->table_size; i++)
        if (l->table[i].t)
            l->table[i].t->data = (char *)(uintptr_t)base + l->items[l->table[i].item].at;
    for (int i = 0; i < ggml_graph_n_nodes(l->gf); i++) {
        struct ggml_tensor *t = ggml_graph_node(l->gf, i);
        place_view(t);
        for (int k = 0; k < GGML_MAX_SRC; k++)
            if (t->src[k])
                place_view(t->src[k]);
    }
}

uint64_t nv_layout_scratch(const struct nv_layout *l, int node)
{
    return l->scratch[node] < 0 ? 0 : l->base + l->items[l->scratch[node]].at;
}
