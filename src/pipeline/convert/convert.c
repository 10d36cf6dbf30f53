/* convert.c - the threads that convert a component; the plan (weights/convert_plan.h) says what goes where.
 *
 * Threads take pieces of about a million elements from a common place (struct writer) and write them at their
 * offsets in the new file, which is therefore the same for any number of threads. The first failure stops the
 * others at their next piece. Pages of the source are given back after each piece, so the process does not grow
 * with the file. Only the calling thread reports progress.
 */
#include "pipeline/convert/convert.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/file_out.h"
#include "base/mem.h"
#include "nn/params.h"
#include "nn/quantise.h"
#include "pipeline/convert/internal.h"

enum {
    PIECE_ELEMENTS = 1 << 20, /* that a thread converts at a time */
    COPY_BYTES = 8 << 20,     /* that it copies at a time */
    MAX_THREADS = 64,
};

/* ---- several threads, one file ---------------------------------------------------------------------- */

/* Rows of a part of a tensor; of one that is only copied, bytes. */
struct piece {
    const struct write_tensor *t;
    struct weights_view view;
    bool copied;
    uint64_t begin, n; /* rows, or bytes */
    uint64_t row;      /* elements of a row; 1 for bytes */
    uint64_t at;       /* in the new file */
};

struct writer {
    const struct convert_plan *plan;
    const struct convert_request *rq;
    struct file_out *file;
    uint64_t done_before, total; /* for progress over several files */

    pthread_mutex_t lock; /* guards what follows */
    size_t tensor, part;  /* next piece: of this part, from this row or byte */
    uint64_t begin, at;
    uint64_t done; /* source bytes */
    enum err_code rc;
    struct err err;
};

/* Elements of plain types are independent of each other, so that they may be seen as rows of one: then a
 * vector of any length is cut as well. */
static void see_as_rows(const struct write_tensor *t, struct weights_view *v)
{
    int64_t n = 1;
    for (int i = 0; i < v->n_dims; i++)
        n *= v->dims[i]; /* the reader checked the product */
    bool plain = !dtype_info(v->dtype)->quantised && !dtype_info(t->dtype)->quantised &&
                 v->n_scales == 0 && !v->grid.n.data && !v->columns.data && v->rotation == 0;
    int64_t row = plain || v->n_dims == 0 ? 1 : v->dims[v->n_dims - 1];
    v->n_dims = 2;
    v->dims[0] = row > 0 ? n / row : 0;
    v->dims[1] = row;
}

static struct piece next_of(struct writer *wr)
{
    const struct write_tensor *t = &wr->plan->out[wr->tensor];
    struct piece p = {.t = t, .view = wr->plan->tensors[wr->tensor].parts[wr->part]};
    uint64_t all, most, bytes;
    p.copied = p.view.dtype == t->dtype && weights_view_is_plain(&p.view);
    if (p.copied) {
        all = p.view.bytes;
        most = COPY_BYTES;
        p.row = 1;
    } else {
        see_as_rows(t, &p.view);
        all = (uint64_t)p.view.dims[0];
        p.row = (uint64_t)p.view.dims[1];
        most = p.row < PIECE_ELEMENTS ? PIECE_ELEMENTS / (p.row ? p.row : 1) : 1;
    }
    p.begin = wr->begin;
    p.n = all - wr->begin < most ? all - wr->begin : most;
    p.at = t->offset + wr->at;
    bytes = p.n;
    if (!p.copied) /* the plan checked that rows are whole blocks */
        (void)dtype_bytes(t->dtype, p.n * p.row, p.row, &bytes);
    wr->begin += p.n;
    wr->at += bytes;
    if (wr->begin < all)
        return p;
    wr->begin = 0;
    if (++wr->part < wr->plan->tensors[wr->tensor].n_parts)
        return p;
    wr->part = 0;
    wr->at = 0;
    wr->tensor++;
    return p;
}

static bool next_piece(struct writer *wr, struct piece *p)
{
    bool found = false;
    pthread_mutex_lock(&wr->lock);
    if (wr->rc == ERR_OK && wr->rq->cancel && atomic_load(wr->rq->cancel))
        wr->rc = err_set(&wr->err, ERR_CANCELLED, "stopped; '%s' was not written", wr->file->path);
    if (wr->rc == ERR_OK && wr->tensor < wr->plan->n) {
        *p = next_of(wr);
        found = true;
    }
    pthread_mutex_unlock(&wr->lock);
    return found;
}

/* A thread's memory: grows to what the longest row needs. */
struct scratch {
    float *f;
    unsigned char *out;
    size_t f_count, out_bytes;
};

static bool scratch_fit(struct scratch *s, size_t f_count, size_t out_bytes)
{
    if (f_count > s->f_count) {
        mem_free(s->f);
        s->f = mem_try_array(f_count, sizeof *s->f);
        s->f_count = s->f ? f_count : 0;
    }
    if (out_bytes > s->out_bytes) {
        mem_free(s->out);
        s->out = mem_try_alloc(out_bytes);
        s->out_bytes = s->out ? out_bytes : 0;
    }
    return s->f && s->out;
}

static uint64_t source_bytes_of(const struct piece *p)
{
    uint64_t bytes = p->n;
    if (!p->copied)
        (void)dtype_bytes(p->view.dtype, p->n * p->row, p->row, &bytes);
    return bytes;
}

static enum err_code do_piece(const struct writer *wr, const struct piece *p, struct scratch *s,
                              struct err *e)
{
    uint64_t count = p->n * p->row, bytes = 0;
    if (p->n == 0)
        return ERR_OK;
    if (p->copied)
        return file_out_write(wr->file, p->view.data + p->begin, (size_t)p->n, p->at, e);
    if (!dtype_bytes(p->t->dtype, count, p->row, &bytes) ||
        !scratch_fit(s, (size_t)count, (size_t)bytes))
        return err_set(e, ERR_NOMEM, "no memory to convert '%.200s'", p->t->name);
    TRY(nn_view_rows_f32(&p->view, (int64_t)p->begin, (int64_t)p->n, s->f, e));
    TRY(nn_quantise_rows(p->t->dtype, s->f, (int64_t)p->n, (int64_t)p->row, s->out,
                         p->view.stored->name, e));
    return file_out_write(wr->file, s->out, (size_t)bytes, p->at, e);
}

/* Unmaps pages that were read, so that a file of any size does not fill the process; they stay in the system's
 * cache. Pages that another thread still reads are mapped again by themselves. */
static void let_go(const struct piece *p)
{
    uint64_t row_bytes = 1, page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!p->copied)
        (void)dtype_bytes(p->view.dtype, p->row, p->row, &row_bytes);
    uintptr_t begin = (uintptr_t)p->view.data + (uintptr_t)(p->begin * row_bytes);
    uintptr_t end = begin + (uintptr_t)(p->n * row_bytes);
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* Returns how many bytes are done in all. */
static uint64_t piece_done(struct writer *wr, const struct piece *p, enum err_code rc,
                           const struct err *e)
{
    pthread_mutex_lock(&wr->lock);
    if (rc != ERR_OK && wr->rc == ERR_OK) {
        wr->rc = rc;
        wr->err = *e;
    }
    wr->done += source_bytes_of(p);
    uint64_t done = wr->done;
    pthread_mutex_unlock(&wr->lock);
    return done;
}

/* Does pieces until none is left; only the caller's own thread reports progress. */
static void work(struct writer *wr, bool reports)
{
    struct scratch s = {0};
    struct piece p;
    while (next_piece(wr, &p)) {
        struct err e = {0};
        enum err_code rc = do_piece(wr, &p, &s, &e);
        let_go(&p);
        uint64_t done = piece_done(wr, &p, rc, &e);
        if (reports && wr->rq->progress)
            wr->rq->progress(wr->done_before + done, wr->total, wr->rq->user);
    }
    mem_free(s.f);
    mem_free(s.out);
}

static void *work_thread(void *arg)
{
    work(arg, false);
    return NULL;
}

static void work_together(struct writer *wr)
{
    pthread_t threads[MAX_THREADS];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int n = 0, wanted = wr->rq->threads > 0 ? wr->rq->threads : cores > 0 ? (int)cores : 1;
    if (wanted > MAX_THREADS)
        wanted = MAX_THREADS;
    while (n + 1 < wanted && pthread_create(&threads[n], NULL, work_thread, wr) == 0)
        n++;
    work(wr, true);
    for (int i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
}

static enum err_code write_file(const struct convert_plan *plan, const struct convert_request *rq,
                                const struct convert_span *span, const char *path, struct err *e)
{
    struct file_out file;
    enum err_code rc = file_out_begin(&file, path, 0666, plan->file_bytes, e);
    if (rc != ERR_OK)
        return rc;
    struct writer wr = {
        .plan = plan, .rq = rq, .file = &file, .done_before = span->before, .total = span->total};
    pthread_mutex_init(&wr.lock, NULL);
    rc = file_out_write(&file, plan->header.p, plan->header.n, 0, e);
    if (rc == ERR_OK) {
        work_together(&wr);
        rc = wr.rc;
        if (rc != ERR_OK && e)
            *e = wr.err;
    }
    pthread_mutex_destroy(&wr.lock);
    if (rc == ERR_OK)
        rc = file_out_commit(&file, e);
    file_out_end(&file);
    return rc;
}

/* ---- one component ----------------------------------------------------------------------------------- */

void convert_note(const struct convert_request *rq, const char *fmt, ...)
{
    char text[480];
    if (!rq->note)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    rq->note(text, rq->user);
}

static void say_notes(const struct convert_request *rq, const struct convert_plan *p,
                      const char *title)
{
    const char *type = dtype_info(rq->type)->name;
    if (p->left_out > 0)
        convert_note(rq, "%zu stored tensors have no place in the %s naming and are left out; '%s'",
                     p->left_out, p->naming, p->left_out_name);
    if (p->fallback > 0)
        convert_note(rq,
                     "%zu matrices of the %s have rows that are no whole %s blocks: they take "
                     "a type that fits",
                     p->fallback, title, type);
    if (p->unfit > 0)
        convert_note(
            rq,
            "%zu matrices of the %s have rows that fit no quantised type: they stay as they are",
            p->unfit, title);
    if (p->requantised > 0)
        convert_note(rq, "the %s was quantised before: the precision lost then does not come back",
                     title);
    if (dtype_info(rq->type)->quantised && p->quantised + p->fallback + p->unfit == 0)
        convert_note(rq, "the %s has no matrix that can be quantised: it stays as it is", title);
}

static enum err_code format_of(const struct convert_request *rq, enum checkpoint_format *out,
                               struct err *e)
{
    struct str target = str_from(rq->target);
    bool gguf = rq->format == CONVERT_TO_GGUF, safe = rq->format == CONVERT_TO_SAFETENSORS;
    if (rq->format == CONVERT_AUTO) {
        gguf = str_ends(target, STR_LIT(".gguf"));
        safe = str_ends(target, STR_LIT(".safetensors"));
    }
    *out = gguf ? CHECKPOINT_GGUF : CHECKPOINT_SAFETENSORS;
    if (!gguf && !safe)
        return err_set(e, ERR_ARG, "'%s' ends neither in .gguf nor in .safetensors", rq->target);
    if (safe && dtype_info(rq->type)->quantised)
        return err_set(e, ERR_ARG,
                       "a safetensors file cannot hold %s: choose a target that ends in .gguf",
                       dtype_info(rq->type)->name);
    return ERR_OK;
}

enum err_code convert_check(const struct convert_request *rq, struct err *e)
{
    if (rq->type != DTYPE_INVALID && !nn_can_quantise(rq->type))
        return err_set(e, ERR_ARG, "converting to %s is not supported", dtype_info(rq->type)->name);
    if (!rq->force && file_exists(rq->target))
        return err_set(e, ERR_ARG, "'%s' is there already; --force replaces it", rq->target);
    if (file_is_dir(rq->target))
        return err_set(e, ERR_ARG, "'%s' is a folder, the new file needs a name", rq->target);
    return ERR_OK;
}

enum err_code convert_component(struct component *c, const struct convert_request *rq,
                                const struct convert_span *span, struct convert_result *out,
                                struct err *e)
{
    struct convert_options o = {.type = rq->type, .naming = rq->naming, .source = rq->source_mark};
    struct convert_plan *plan = NULL;
    int64_t start = clock_ns();
    TRY(convert_check(rq, e));
    TRY(format_of(rq, &o.format, e));
    TRY(convert_plan_make(c, &o, &plan, e));
    const struct convert_span own = {0, plan->source_bytes};
    say_notes(rq, plan, component_kind_title(component_kind(c)));
    enum err_code rc = write_file(plan, rq, span ? span : &own, rq->target, e);
    out->source_bytes += plan->source_bytes;
    out->file_bytes += plan->file_bytes;
    out->files++;
    out->tensors += plan->n;
    out->quantised += plan->quantised;
    out->fallback += plan->fallback;
    out->seconds += (double)(clock_ns() - start) * 1e-9;
    convert_plan_free(plan);
    return rc;
}

enum err_code convert_run(const struct convert_request *rq, struct convert_result *out,
                          struct err *e)
{
    struct component *c = NULL;
    *out = (struct convert_result){0};
    enum err_code rc;
    TRY_GOTO(component_open(rq->source, COMPONENT_UNKNOWN, &c, e), done);
    rc = convert_component(c, rq, NULL, out, e);
done:
    component_close(c);
    return rc;
}
