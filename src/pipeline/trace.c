/* trace.c - named intermediate tensors of a run, as one safetensors file; see trace.h.
 *
 * Data are copied when they are added, because the buffers behind them are used again in the next step. The file
 * is written at the end in one go: a safetensors header needs all sizes first. A name that is too long or memory
 * that is out marks the trace as failed, so the computing code needs no error path for it.
 */
#include "pipeline/trace.h"

#include <string.h>

#include "base/buf.h"
#include "base/file_out.h"
#include "base/mem.h"
#include "weights/header_write.h"

enum { MAX_DIMS = WEIGHTS_MAX_DIMS, NAME_BYTES = 128 };

struct entry {
    char name[NAME_BYTES];
    enum dtype dtype;
    int64_t dims[MAX_DIMS];
    int n_dims;
    size_t begin, bytes;
    struct entry *next;
};

struct trace {
    struct buf data;
    struct entry *first, **last;
    bool failed, dry;
};

enum err_code trace_new(struct trace **out, struct err *e)
{
    *out = NULL;
    struct trace *t = mem_try_alloc(sizeof *t);
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for a trace");
    buf_init(&t->data, (size_t)1 << 36);
    t->last = &t->first;
    *out = t;
    return ERR_OK;
}

enum err_code trace_new_dry(struct trace **out, struct err *e)
{
    TRY(trace_new(out, e));
    (*out)->dry = true;
    return ERR_OK;
}

void trace_free(struct trace *t)
{
    if (!t)
        return;
    while (t->first) {
        struct entry *x = t->first;
        t->first = x->next;
        mem_free(x);
    }
    buf_deinit(&t->data);
    mem_free(t);
}

static void add(struct trace *t, const char *name, enum dtype dtype, size_t item, const void *data,
                const int64_t *dims, int n_dims)
{
    if (!t || t->dry)
        return;
    struct entry *x = mem_try_alloc(sizeof *x);
    if (!x || n_dims > MAX_DIMS || strlen(name) >= NAME_BYTES) {
        mem_free(x);
        t->failed = true;
        return;
    }
    size_t n = item;
    memcpy(x->name, name, strlen(name) + 1);
    for (int i = 0; i < n_dims; i++) {
        x->dims[i] = dims[i];
        n *= (size_t)dims[i];
    }
    x->dtype = dtype;
    x->n_dims = n_dims;
    x->begin = t->data.n;
    x->bytes = n;
    buf_add(&t->data, data, n);
    *t->last = x;
    t->last = &x->next;
}

void trace_add_f32(struct trace *t, const char *name, const float *data, const int64_t *dims,
                   int n_dims)
{
    add(t, name, DTYPE_F32, sizeof(float), data, dims, n_dims);
}

void trace_add_i64(struct trace *t, const char *name, const int64_t *data, const int64_t *dims,
                   int n_dims)
{
    add(t, name, DTYPE_I64, sizeof(int64_t), data, dims, n_dims);
}

/* The file: a header, then each entry's bytes where the header's layout wants them. */
static enum err_code write_entries(const struct trace *t, const struct write_tensor *list,
                                   const struct buf *header, uint64_t bytes, const char *path,
                                   struct err *e)
{
    struct file_out f;
    enum err_code rc = file_out_begin(&f, path, 0666, bytes, e);
    if (rc != ERR_OK)
        return rc;
    TRY_GOTO(file_out_write(&f, header->p, header->n, 0, e), done);
    for (const struct entry *x = t->first; x; x = x->next, list++)
        TRY_GOTO(file_out_write(&f, t->data.p + x->begin, x->bytes, list->offset, e), done);
    rc = file_out_commit(&f, e);
done:
    file_out_end(&f);
    return rc;
}

enum err_code trace_write(const struct trace *t, const char *path, struct err *e)
{
    struct buf header;
    uint64_t bytes = 0;
    size_t n = 0;
    const struct write_meta meta = {
        .key = STR_LIT("format"), .type = WRITE_STRING, .text = STR_LIT("pt")};
    for (const struct entry *x = t->first; x; x = x->next)
        n++;
    struct write_tensor *list = mem_try_array(n, sizeof *list), *to = list;
    if (!list || t->failed || buf_failed(&t->data)) {
        mem_free(list);
        return err_set(e, ERR_NOMEM, "no memory for the trace '%s'", path);
    }
    for (const struct entry *x = t->first; x; x = x->next, to++) {
        *to = (struct write_tensor){.name = x->name, .dtype = x->dtype, .n_dims = x->n_dims};
        memcpy(to->dims, x->dims, sizeof x->dims);
    }
    enum err_code rc;
    TRY_GOTO(safetensors_write_header(list, n, &meta, 1, &header, &bytes, e), done);
    rc = write_entries(t, list, &header, bytes, path, e);
done:
    buf_deinit(&header);
    mem_free(list);
    return rc;
}

const float *trace_find_f32(const struct trace *t, const char *name, int64_t *n)
{
    for (const struct entry *x = t->first; x; x = x->next) {
        if (strcmp(x->name, name) != 0 || x->dtype != DTYPE_F32)
            continue;
        *n = (int64_t)(x->bytes / sizeof(float));
        return (const float *)(const void *)(t->data.p + x->begin);
    }
    return NULL;
}
