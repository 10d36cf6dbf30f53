/* convert_plan.c - works out a converted file before anything is written.
 *
 * Order: choose the naming, list the pieces (convert_names.h) sorted by their new name, put the pieces of one name
 * together, choose each tensor's type, make the metadata, then the header, whose size gives every offset. A tensor
 * whose parts are incomplete or do not fit is refused here, before a file of many gigabytes is begun.
 *
 * struct owner has the plan as its first member: callers hold the plan, and convert_plan_free finds the owner by
 * it.
 */
#include "weights/convert_plan.h"

#include <inttypes.h>

#include "base/ck.h"
#include "base/mem.h"
#include "weights/convert_names.h"
#include "weights/convert_types.h"

enum { MAX_NAMES_BYTES = 256 << 20, MAX_PARTS = 4 };

/* The plan as others see it, and what it owns. */
struct owner {
    struct convert_plan plan; /* first */
    struct arena arena;
    struct convert_pieces pieces;
    struct weights_view *views; /* one a piece, same order */
};

/* ---- putting pieces together --------------------------------------------------------------------- */

/* Are pieces [i, i + n) of one name all that this name is made of, each once? */
static bool is_complete(const struct convert_piece *p, size_t n)
{
    static const struct {
        enum naming_rows first;
        size_t n;
    } sets[] = {{ROWS_ALL, 1}, {ROWS_HALF_0, 2}, {ROWS_THIRD_0, 3}, {ROWS_SQUARE_0, 4}};
    for (size_t k = 0; k < sizeof sets / sizeof sets[0]; k++) {
        if (p->rows != sets[k].first)
            continue;
        bool good = n == sets[k].n;
        for (size_t i = 0; i < n && good; i++)
            good = p[i].rows == (enum naming_rows)(sets[k].first + i);
        return good;
    }
    return false;
}

/* Halves and thirds must be alike, squares square, or they could not be told apart again. */
static bool fit_together(const struct convert_piece *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct weights_view *v = &p[i].view;
        bool square = p[i].rows >= ROWS_SQUARE_0 && p[i].rows <= ROWS_SQUARE_2;
        if (n > 1 && (v->n_dims < 1 || v->n_dims != p->view.n_dims))
            return false;
        for (int k = 1; k < v->n_dims; k++)
            if (v->dims[k] != p->view.dims[k])
                return false;
        if (n > 1 && p[i].rows <= ROWS_THIRD_2 && v->dims[0] != p->view.dims[0])
            return false;
        if (square && (v->n_dims != 2 || v->dims[0] != v->dims[1]))
            return false;
    }
    return true;
}

static enum err_code refuse_parts(const struct convert_piece *p, size_t n, struct err *e)
{
    if (!is_complete(p, n))
        return err_set(e, ERR_FORMAT,
                       "'%.120s' would be made of %zu tensors that are not all there or are there "
                       "twice; the first is '%.120s'",
                       p->name, n, p->view.stored->name);
    return err_set(e, ERR_FORMAT,
                   "the parts of '%.120s' do not fit together; the first is '%.120s'", p->name,
                   p->view.stored->name);
}

/* The type that a tensor of these parts has on disk; of several the one that loses nothing. */
static enum dtype stored_type(const struct convert_piece *p, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (p[i].view.dtype != p->view.dtype)
            return DTYPE_F32;
    return p->view.dtype;
}

static void count_type(struct convert_plan *plan, const struct convert_options *o,
                       enum component_kind kind, const struct convert_piece *p,
                       const struct write_tensor *t)
{
    const struct dtype_info *was = dtype_info(p->view.dtype);
    if (!dtype_info(o->type)->quantised || !convert_type_quantises(kind, p->canonical, t->n_dims))
        return;
    if (t->dtype == o->type)
        plan->quantised++;
    else if (dtype_info(t->dtype)->quantised)
        plan->fallback++;
    else
        plan->unfit++;
    if (was->quantised && p->view.dtype != t->dtype)
        plan->requantised++;
}

static enum err_code add_tensor(struct owner *w, const struct convert_options *o,
                                enum component_kind kind, size_t first, size_t n, struct err *e)
{
    struct convert_plan *plan = &w->plan;
    const struct convert_piece *p = &w->pieces.list[first];
    if (!is_complete(p, n) || !fit_together(p, n))
        return refuse_parts(p, n, e);
    struct write_tensor *t = &plan->out[plan->n];
    *t = (struct write_tensor){.name = p->name, .n_dims = p->view.n_dims};
    memcpy(t->dims, p->view.dims, sizeof t->dims);
    for (size_t i = 1; i < n; i++)
        if (!ck_add_i64(t->dims[0], p[i].view.dims[0], &t->dims[0]))
            return err_set(e, ERR_LIMIT, "tensor '%.200s' is too large", p->name);
    t->dtype = convert_type_for(kind, p->canonical, t->n_dims, t->dims, stored_type(p, n), o->type,
                                o->format);
    if (o->format == CHECKPOINT_SAFETENSORS && dtype_info(t->dtype)->quantised)
        return err_set(e, ERR_ARG,
                       "'%.120s' is %s, which a safetensors file cannot hold: name a plain type "
                       "(bf16) or a file that ends in .gguf",
                       p->view.stored->name, dtype_info(t->dtype)->name);
    for (size_t i = 0; i < n; i++) {
        w->views[first + i] = p[i].view;
        plan->source_bytes += p[i].view.bytes;
    }
    plan->tensors[plan->n++] =
        (struct convert_tensor){.canonical = p->canonical, .parts = &w->views[first], .n_parts = n};
    count_type(plan, o, kind, p, t);
    return ERR_OK;
}

static enum err_code add_tensors(struct owner *w, struct component *c,
                                 const struct convert_options *o, struct err *e)
{
    const struct convert_pieces *ps = &w->pieces;
    w->plan.out = mem_try_array(ps->n, sizeof *w->plan.out);
    w->plan.tensors = mem_try_array(ps->n, sizeof *w->plan.tensors);
    w->views = mem_try_array(ps->n, sizeof *w->views);
    if (!w->plan.out || !w->plan.tensors || !w->views)
        return err_set(e, ERR_NOMEM, "no memory for a conversion of %zu tensors", ps->n);
    for (size_t i = 0, n; i < ps->n; i += n) {
        for (n = 1; i + n < ps->n && strcmp(ps->list[i].name, ps->list[i + n].name) == 0;)
            n++;
        TRY(add_tensor(w, o, component_kind(c), i, n, e));
    }
    return ERR_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static enum err_code make(struct owner *w, struct component *c, const struct convert_options *o,
                          struct err *e)
{
    const char *word = o->naming ? o->naming : "diffusers";
    const struct naming *to = convert_naming(c, word);
    struct write_meta *meta = NULL;
    size_t n_meta = 0;
    if (!to)
        return err_set(e, ERR_ARG,
                       "there is no naming '%.40s' for a %s; diffusers, original, gguf and keep "
                       "always work",
                       word, component_kind_title(component_kind(c)));
    w->plan.naming = to->id;
    TRY(convert_pieces_make(c, to, &w->arena, &w->pieces, e));
    TRY(add_tensors(w, c, o, e));
    w->plan.left_out = w->pieces.left_out;
    w->plan.left_out_name = w->pieces.example;
    TRY(convert_meta_make(c, o, &w->arena, &meta, &n_meta, e));
    return (o->format == CHECKPOINT_GGUF ? gguf_write_header : safetensors_write_header)(
        w->plan.out, w->plan.n, meta, n_meta, &w->plan.header, &w->plan.file_bytes, e);
}

enum err_code convert_plan_make(struct component *c, const struct convert_options *o,
                                struct convert_plan **out, struct err *e)
{
    *out = NULL;
    struct owner *w = mem_try_alloc(sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "no memory for a conversion");
    arena_init(&w->arena, MAX_NAMES_BYTES);
    buf_init(&w->plan.header, 0);
    enum err_code rc = make(w, c, o, e);
    if (rc == ERR_OK)
        *out = &w->plan;
    else
        convert_plan_free(&w->plan);
    return rc == ERR_OK ? rc : err_note(e, "%s", checkpoint_path(component_checkpoint(c)));
}

void convert_plan_free(struct convert_plan *p)
{
    struct owner *w = (struct owner *)p;
    if (!w)
        return;
    mem_free(w->plan.out);
    mem_free(w->plan.tensors);
    buf_deinit(&w->plan.header);
    mem_free(w->views);
    mem_free(w->pieces.list);
    arena_deinit(&w->arena);
    mem_free(w);
}
