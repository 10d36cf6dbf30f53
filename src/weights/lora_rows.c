/* lora_rows.c - the numbers of a LoRA's matrices, made from what is stored a few rows at a time. */
#include "base/mem.h"
#include "weights/lora.h"

/* Rows from row0 on of a stored matrix. */
static enum err_code read_rows(const struct weights_tensor *t, int64_t row0, int64_t n, float *dst,
                               struct err *e)
{
    size_t row = (size_t)t->dims[1], bytes = dtype_info(t->dtype)->block_bytes;
    const unsigned char *src = t->data + (size_t)row0 * row * bytes;
    if (dtype_plain_to_f32(t->dtype, src, dst, (size_t)n * row))
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "tensor '%.200s' is of type %s, expected floats", t->name,
                   dtype_info(t->dtype)->name);
}

/* A stored matrix as floats; the caller frees it. */
static enum err_code read_all(const struct weights_tensor *t, float **out, struct err *e)
{
    *out = mem_try_array((size_t)t->dims[0], (size_t)t->dims[1] * sizeof **out);
    if (!*out)
        return err_set(e, ERR_NOMEM, "no memory to read tensor '%.200s'", t->name);
    return read_rows(t, 0, t->dims[0], *out, e);
}

/* dst [n, b.columns] = rows row0 .. of a, times b. */
static enum err_code multiply(const struct weights_tensor *a, const struct weights_tensor *b,
                              int64_t row0, int64_t n, float *dst, struct err *e)
{
    int64_t k = a->dims[1], columns = b->dims[1];
    float *rows = mem_try_array((size_t)n, (size_t)k * sizeof *rows), *all = NULL;
    enum err_code rc = rows ? read_all(b, &all, e)
                            : err_set(e, ERR_NOMEM, "no memory to read tensor '%.200s'", a->name);
    if (rc == ERR_OK)
        rc = read_rows(a, row0, n, rows, e);
    for (int64_t r = 0; rc == ERR_OK && r < n; r++) {
        for (int64_t c = 0; c < columns; c++) {
            double sum = 0;
            for (int64_t i = 0; i < k; i++)
                sum += (double)rows[r * k + i] * (double)all[i * columns + c];
            dst[r * columns + c] = (float)sum;
        }
    }
    mem_free(rows);
    mem_free(all);
    return rc;
}

static enum err_code elements(const struct lora_matrix *m, int64_t row0, int64_t n, float *dst,
                              struct err *e)
{
    size_t count = (size_t)(n * m->columns);
    float *other = mem_try_array(count, sizeof *other);
    if (!other)
        return err_set(e, ERR_NOMEM, "no memory to read tensor '%.200s'", m->a->name);
    enum err_code rc = multiply(m->a, m->b, row0, n, dst, e);
    if (rc == ERR_OK)
        rc = multiply(m->c, m->d, row0, n, other, e);
    for (size_t i = 0; rc == ERR_OK && i < count; i++)
        dst[i] *= other[i];
    mem_free(other);
    return rc;
}

static enum err_code pairs_down(const struct lora_matrix *m, int64_t row0, int64_t n, float *dst,
                                struct err *e)
{
    int64_t others = m->d->dims[0], columns = m->columns;
    float *other = mem_try_array((size_t)columns, sizeof *other);
    enum err_code rc =
        other ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to read tensor '%.200s'", m->d->name);
    for (int64_t r = 0; rc == ERR_OK && r < n; r++) {
        float *row = dst + r * columns;
        rc = read_rows(m->b, (row0 + r) / others, 1, row, e);
        if (rc == ERR_OK)
            rc = read_rows(m->d, (row0 + r) % others, 1, other, e);
        for (int64_t i = 0; rc == ERR_OK && i < columns; i++)
            row[i] *= other[i];
    }
    mem_free(other);
    return rc;
}

static enum err_code pairs_up(const struct lora_matrix *m, int64_t row0, int64_t n, float *dst,
                              struct err *e)
{
    int64_t na = m->a->dims[1], nc = m->c->dims[1];
    float *a = mem_try_array((size_t)(na + nc), sizeof *a);
    enum err_code rc =
        a ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to read tensor '%.200s'", m->a->name);
    for (int64_t r = 0; rc == ERR_OK && r < n; r++) {
        rc = read_rows(m->a, row0 + r, 1, a, e);
        if (rc == ERR_OK)
            rc = read_rows(m->c, row0 + r, 1, a + na, e);
        for (int64_t i = 0; rc == ERR_OK && i < na * nc; i++)
            dst[r * na * nc + i] = a[i / nc] * a[na + i % nc];
    }
    mem_free(a);
    return rc;
}

enum err_code lora_matrix_rows(const struct lora_matrix *m, int64_t row0, int64_t n, float *dst,
                               struct err *e)
{
    int64_t at = m->row0 + row0;
    switch (m->making) {
    case LORA_PRODUCT:
        return multiply(m->a, m->b, at, n, dst, e);
    case LORA_PAIRS_DOWN:
        return pairs_down(m, at, n, dst, e);
    case LORA_PAIRS_UP:
        return pairs_up(m, at, n, dst, e);
    case LORA_ELEMENTS:
        return elements(m, at, n, dst, e);
    default:
        return read_rows(m->a, at, n, dst, e);
    }
}
