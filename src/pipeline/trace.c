#include "pipeline/trace.h"

#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

enum { MAX_DIMS = 5, NAME_BYTES = 128 };

struct entry {
    char name[NAME_BYTES];
    const char *dtype;
    int64_t dims[MAX_DIMS];
    int n_dims;
    size_t begin, bytes;
    struct entry *next;
};

struct trace {
    struct buf data;
    struct entry *first, **last;
    bool failed;
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

static void add(struct trace *t, const char *name, const char *dtype, size_t item, const void *data,
                const int64_t *dims, int n_dims)
{
    if (!t)
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
    add(t, name, "F32", sizeof(float), data, dims, n_dims);
}

void trace_add_i64(struct trace *t, const char *name, const int64_t *data, const int64_t *dims,
                   int n_dims)
{
    add(t, name, "I64", sizeof(int64_t), data, dims, n_dims);
}

static void header(const struct trace *t, struct buf *b)
{
    buf_add_z(b, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (const struct entry *x = t->first; x; x = x->next) {
        buf_printf(b, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", x->name, x->dtype);
        for (int i = 0; i < x->n_dims; i++)
            buf_printf(b, "%s%lld", i ? "," : "", (long long)x->dims[i]);
        buf_printf(b, "],\"data_offsets\":[%zu,%zu]}", x->begin, x->begin + x->bytes);
    }
    buf_add_z(b, "}");
    while (b->n % 8 != 0 && !buf_failed(b))
        buf_add_byte(b, ' ');
}

enum err_code trace_write(const struct trace *t, const char *path, struct err *e)
{
    struct buf h, all;
    buf_init(&h, 64u << 20);
    buf_init(&all, (size_t)1 << 37);
    header(t, &h);
    uint64_t n = h.n;
    buf_add(&all, &n, 8); /* little-endian, as every machine this runs on */
    buf_add_str(&all, buf_str(&h));
    buf_add_str(&all, buf_str(&t->data));
    enum err_code rc;
    if (t->failed || buf_failed(&t->data) || buf_failed(&h) || buf_failed(&all))
        rc = err_set(e, ERR_NOMEM, "no memory for the trace '%s'", path);
    else
        rc = file_write_atomic(path, all.p, all.n, e);
    buf_deinit(&h);
    buf_deinit(&all);
    return rc;
}

const float *trace_find_f32(const struct trace *t, const char *name, int64_t *n)
{
    for (const struct entry *x = t->first; x; x = x->next) {
        if (strcmp(x->name, name) != 0 || strcmp(x->dtype, "F32") != 0)
            continue;
        *n = (int64_t)(x->bytes / sizeof(float));
        return (const float *)(const void *)(t->data.p + x->begin);
    }
    return NULL;
}
