/* quantised_forms.c - each quantised form: which tensors it needs beside the matrix, and how to apply them.
 *
 * A form is chosen by the marker's word, or, without a marker, by the matrix's type and what lies beside it. Its
 * function checks shapes and types of everything it takes and records them in struct quantised; weights/view.c
 * later applies them in its fixed order. use() notes what was taken, because quantised.c refuses whatever is left
 * over. A form that is not exactly understood is an error that names the files which do work.
 * docs/formats/quantised.md has the layouts.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "weights/catalogue.h"
#include "weights/quantised_impl.h"

enum {
    MAX_ROTATION = 4096,
    NVFP4_BLOCK = 16,
    MXFP8_BLOCK = 32,
    SQUARE_BLOCK = 128,
    W4A8_GROUP = 16,
    AWQ_GROUP = 64,
    LEVEL_COUNT = 16,
};

/* What codes of four bits are without a table of their own: numbers with a sign, or all 8 too large. */
static const float signed_levels[LEVEL_COUNT] = {0,  1,  2,  3,  4,  5,  6,  7,
                                                 -8, -7, -6, -5, -4, -3, -2, -1};
static const float shifted_levels[LEVEL_COUNT] = {-8, -7, -6, -5, -4, -3, -2, -1,
                                                  0,  1,  2,  3,  4,  5,  6,  7};

/* What lies beside the matrix, of which the form makes use; NULL when it is not there. */
static const struct weights_tensor *use(struct stored *s, enum beside k)
{
    s->used |= 1u << k;
    return s->at[k];
}

/* ---- scales --------------------------------------------------------------------------------------- */

static int64_t element_count(const struct weights_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->n_dims; i++)
        n *= t->dims[i]; /* the reader checked the product */
    return n;
}

static bool is_plain_float(const struct weights_tensor *t)
{
    const struct dtype_info *i = dtype_info(t->dtype);
    return i->is_float && !i->quantised && i->block_elems == 1 && t->dtype != DTYPE_I8;
}

static enum err_code refuse_scale(const struct weights_tensor *s, const struct quantised *q,
                                  const char *wanted, struct err *e)
{
    return err_set(e, ERR_FORMAT, "'%s' is %s %s, expected %s for '%s' %s; " QUANTISED_WORKS,
                   s->name, dtype_info(s->dtype)->name, catalogue_shape(s->dims, s->n_dims).z,
                   wanted, q->values.name, catalogue_shape(q->values.dims, q->values.n_dims).z);
}

static enum err_code take_scalar(const struct weights_tensor *s, struct quantised *q, struct err *e)
{
    if (!is_plain_float(s) || element_count(s) != 1)
        return refuse_scale(s, q, "one number", e);
    const struct weights_numbers n = {s->data, s->dtype};
    q->scale = weights_number(&n, 0);
    if (!isfinite(q->scale))
        return err_set(e, ERR_NUMERIC, "'%s' is not a finite number", s->name);
    return ERR_OK;
}

/* One for all values, or one a row: [rows], [rows, 1]. */
static enum err_code take_scale(const struct weights_tensor *s, struct quantised *q, struct err *e)
{
    int64_t n = element_count(s);
    if (n == 1 && is_plain_float(s))
        return take_scalar(s, q, e);
    bool rows =
        q->values.n_dims >= 1 && s->n_dims >= 1 && n == q->values.dims[0] && s->dims[0] == n;
    if (!rows || !is_plain_float(s))
        return refuse_scale(s, q, "one number or one for each row", e);
    q->rows = s;
    return ERR_OK;
}

static int64_t round_up(int64_t v, int64_t to)
{
    return (v + to - 1) / to * to;
}

enum err_code quantised_take_columns(const struct weights_tensor *columns, struct quantised *q,
                                     struct err *e)
{
    if (q->values.n_dims != 2 || !is_plain_float(columns) ||
        element_count(columns) != q->values.dims[1])
        return refuse_scale(columns, q, "one number for each column", e);
    q->columns = columns;
    return ERR_OK;
}

/* A scale for each block of height x width. Tiled ones are padded to whole tiles. */
static enum err_code take_grid(const struct weights_tensor *s, struct quantised *q, int64_t height,
                               int64_t width, bool tiled, struct err *e)
{
    const int64_t *d = q->values.dims;
    if (q->values.n_dims != 2)
        return refuse_scale(s, q, "a matrix", e);
    int64_t lines = (d[0] + height - 1) / height, blocks = (d[1] + width - 1) / width;
    int64_t padded = round_up(lines, 128) * round_up(blocks, 4);
    bool fits = tiled ? element_count(s) == padded
                      : s->n_dims == 2 && s->dims[0] == lines && s->dims[1] == blocks;
    if (!fits || (width < SQUARE_BLOCK && d[1] % width != 0))
        return refuse_scale(s, q, "a number for each block", e);
    q->grid = (struct weights_grid){.n = {s->data, s->dtype},
                                    .height = height,
                                    .width = width,
                                    .columns = tiled ? round_up(blocks, 4) : blocks,
                                    .tiled = tiled};
    return ERR_OK;
}

/* A number for each group of `width` columns of a row: [rows, groups], or [groups, rows]. */
static enum err_code take_groups(const struct weights_tensor *s, const struct quantised *q,
                                 int64_t width, bool across, struct weights_grid *out,
                                 struct err *e)
{
    int64_t rows = q->values.dims[0], groups = q->values.dims[1] / width;
    bool fits = s->n_dims == 2 && s->dims[0] == (across ? groups : rows) &&
                s->dims[1] == (across ? rows : groups);
    if (!fits || !is_plain_float(s))
        return refuse_scale(s, q, "a number for each group of columns", e);
    *out = (struct weights_grid){.n = {s->data, s->dtype},
                                 .height = 1,
                                 .width = width,
                                 .columns = groups,
                                 .across = across ? rows : 0};
    return ERR_OK;
}

/* q->values has the dims of the values. */
static enum err_code take_rotation(const struct marker *m, struct quantised *q, struct err *e)
{
    int64_t power = 4;
    while (power < m->rotation && power < MAX_ROTATION)
        power *= 4;
    if (power != m->rotation || q->values.n_dims != 2 || q->values.dims[1] % power != 0)
        return err_set(e, ERR_FORMAT, "'%s' %s is rotated in groups of %" PRId64, q->values.name,
                       catalogue_shape(q->values.dims, q->values.n_dims).z, m->rotation);
    q->rotation = power;
    return ERR_OK;
}

/* ---- forms ---------------------------------------------------------------------------------------- */

static enum err_code refuse_parts(const struct stored *s, const char *form, const char *needs,
                                  struct err *e)
{
    return err_set(e, ERR_FORMAT, "'%s' is %s %s: %s needs %s", s->t->name,
                   dtype_info(s->t->dtype)->name, catalogue_shape(s->t->dims, s->t->n_dims).z, form,
                   needs);
}

static enum err_code read_nvfp4(struct stored *s, bool comfy, struct quantised *q, struct err *e)
{
    const struct weights_tensor *t = s->t, *scale = use(s, SCALE), *second = use(s, SCALE_2);
    if (t->n_dims != 2 || !scale || !second ||
        (scale->dtype != DTYPE_F8_E4M3 && scale->dtype != DTYPE_U8))
        return refuse_parts(s, "NVFP4",
                            "a matrix, its weight_scale in float8 and its weight_scale_2", e);
    if (t->dtype != DTYPE_F4) {
        q->values.dims[1] *= 2;
        q->values.dtype = DTYPE_F4;
    }
    q->high_first = comfy;
    enum err_code rc;
    TRY_GOTO(take_scalar(second, q, e), done);
    rc = take_grid(scale, q, 1, NVFP4_BLOCK, comfy, e);
done:
    q->grid.n.dtype = DTYPE_F8_E4M3; /* also where it is stored as bytes */
    return rc;
}

static enum err_code read_mxfp8(struct stored *s, bool comfy, struct quantised *q, struct err *e)
{
    const struct weights_tensor *scale = use(s, SCALE);
    if (!scale || (scale->dtype != DTYPE_U8 && scale->dtype != DTYPE_F8_E8M0))
        return err_set(e, ERR_FORMAT, "'%s' is mxfp8, but has no weight_scale of bytes",
                       s->t->name);
    q->values.dtype = s->t->dtype == DTYPE_U8 ? DTYPE_F8_E4M3 : s->t->dtype;
    return take_grid(scale, q, 1, MXFP8_BLOCK, comfy, e);
}

static enum err_code read_float8(struct stored *s, enum dtype t, struct quantised *q, struct err *e)
{
    const struct weights_tensor *scale = use(s, SCALE);
    q->values.dtype = t;
    return scale ? take_scale(scale, q, e) : ERR_OK;
}

static enum err_code read_int8(struct stored *s, const struct marker *m, struct quantised *q,
                               struct err *e)
{
    const struct weights_tensor *scale = use(s, SCALE);
    if (!scale)
        return err_set(e, ERR_FORMAT, "'%s' is int8, but has no weight_scale; " QUANTISED_WORKS,
                       s->t->name);
    if (m->rotated)
        TRY(take_rotation(m, q, e));
    return take_scale(scale, q, e);
}

/* ---- int4: two codes in a byte, the first in the low bits ----------------------------------------- */

static void unpack(struct quantised *q, const float levels[LEVEL_COUNT])
{
    q->values.dtype = DTYPE_U4;
    q->values.dims[1] *= 2;
    q->levels = (struct weights_numbers){(const unsigned char *)levels, DTYPE_F32};
}

/* Codes with a sign, a scale a row, all rows rotated. */
static enum err_code read_w4a4(struct stored *s, const struct marker *m, struct quantised *q,
                               struct err *e)
{
    const struct weights_tensor *scale = use(s, SCALE);
    if (s->t->n_dims != 2 || !scale)
        return refuse_parts(s, m->format, "a matrix and its weight_scale", e);
    unpack(q, signed_levels);
    TRY(take_rotation(m, q, e));
    return take_scale(scale, q, e);
}

static enum err_code take_levels(const struct weights_tensor *levels, struct quantised *q,
                                 struct err *e)
{
    if (!is_plain_float(levels) || element_count(levels) != LEVEL_COUNT)
        return refuse_scale(levels, q, "16 numbers", e);
    q->levels = (struct weights_numbers){levels->data, levels->dtype};
    return ERR_OK;
}

/* A code's level times the scale of its group is an int8, and that times the scale of the row the value; rotated. */
static enum err_code read_w4a8(struct stored *s, const struct marker *m, struct quantised *q,
                               struct err *e)
{
    const struct weights_tensor *of_group = use(s, SCALE_OF_GROUP), *of_row = use(s, SCALE_OF_ROW),
                                *levels = use(s, LEVELS), *zeros = use(s, ZEROS);
    int64_t group = m->group ? m->group : W4A8_GROUP;
    if (s->t->n_dims != 2 || !of_group || !of_row)
        return refuse_parts(s, m->format, "a matrix, its weight_s_rel and its weight_s_channel", e);
    unpack(q, shifted_levels);
    if (group < 4 || (W4A8_GROUP % group != 0 && group % W4A8_GROUP != 0) ||
        q->values.dims[1] % group != 0)
        return err_set(e, ERR_FORMAT, "'%s' has groups of %" PRId64 " columns", s->t->name, group);
    struct weights_tensor scale = *of_group;
    if (scale.dtype == DTYPE_U8)
        scale.dtype = DTYPE_F8_E4M3;
    q->rounded = true;
    TRY(take_groups(&scale, q, group, false, &q->grid, e));
    TRY(take_scale(of_row, q, e));
    if (levels)
        TRY(take_levels(levels, q, e));
    if (zeros)
        TRY(take_groups(zeros, q, group, true, &q->offset, e));
    return take_rotation(m, q, e);
}

/* (code - 8) x scale of its group + zero of its group. */
static enum err_code read_w4a16(struct stored *s, const struct marker *m, struct quantised *q,
                                struct err *e)
{
    const struct weights_tensor *scale = use(s, SCALE), *zeros = use(s, ZEROS);
    int64_t group = m->group ? m->group : AWQ_GROUP;
    if (s->t->n_dims != 2 || !scale || !zeros)
        return refuse_parts(s, m->format, "a matrix, its weight_scale and its weight_zeros", e);
    unpack(q, shifted_levels);
    if (group < 1 || q->values.dims[1] % group != 0)
        return err_set(e, ERR_FORMAT, "'%s' has groups of %" PRId64 " columns", s->t->name, group);
    TRY(take_groups(scale, q, group, true, &q->grid, e));
    return take_groups(zeros, q, group, true, &q->offset, e);
}

/* ---- which form ------------------------------------------------------------------------------------ */

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

enum err_code quantised_read_marked(struct stored *s, const struct marker *m, struct quantised *q,
                                    struct err *e)
{
    static const struct {
        const char *format;
        enum err_code (*read)(struct stored *s, const struct marker *m, struct quantised *q,
                              struct err *e);
    } of_bytes[] = {{"int8_tensorwise", read_int8},
                    {"convrot_w4a4", read_w4a4},
                    {"asym_w4a8_int8", read_w4a8},
                    {"awq_w4a16", read_w4a16}};
    enum dtype t = s->t->dtype;
    bool bytes = t == DTYPE_U8, four = bytes || t == DTYPE_F4;
    for (size_t i = 0; t == DTYPE_I8 && i < sizeof of_bytes / sizeof of_bytes[0]; i++)
        if (strcmp(m->format, of_bytes[i].format) == 0)
            return of_bytes[i].read(s, m, q, e);
    if (!m->rotated && starts(m->format, "float8_e4m3") && (bytes || t == DTYPE_F8_E4M3))
        return read_float8(s, DTYPE_F8_E4M3, q, e);
    if (!m->rotated && starts(m->format, "float8_e5m2") && (bytes || t == DTYPE_F8_E5M2))
        return read_float8(s, DTYPE_F8_E5M2, q, e);
    if (!m->rotated && strcmp(m->format, "nvfp4") == 0 && four)
        return read_nvfp4(s, true, q, e);
    if (!m->rotated && strcmp(m->format, "mxfp8") == 0 && (bytes || t == DTYPE_F8_E4M3))
        return read_mxfp8(s, true, q, e);
    return err_set(e, ERR_FORMAT,
                   "'%s' is stored as '%s'%s in %s, which this program does not "
                   "read; " QUANTISED_WORKS,
                   s->t->name, m->format, m->rotated ? " and rotated" : "", dtype_info(t)->name);
}

/* Without a marker the types and shapes tell. */
enum err_code quantised_read_unmarked(struct stored *s, struct quantised *q, struct err *e)
{
    static const struct marker none = {0};
    const struct weights_tensor *t = s->t, *scale = s->at[SCALE];
    enum dtype d = t->dtype;
    if ((d == DTYPE_U8 || d == DTYPE_F4) && s->at[SCALE_2])
        return read_nvfp4(s, false, q, e);
    if (d == DTYPE_I8)
        return read_int8(s, &none, q, e);
    if (!dtype_info(d)->is_float || d == DTYPE_F4)
        return err_set(e, ERR_FORMAT,
                       "'%s' is %s, and nothing beside it says how that becomes "
                       "numbers; " QUANTISED_WORKS,
                       t->name, dtype_info(d)->name);
    if (s->at[SCALE_INVERSE])
        return take_grid(use(s, SCALE_INVERSE), q, SQUARE_BLOCK, SQUARE_BLOCK, false, e);
    if (scale && d == DTYPE_F8_E4M3 && (scale->dtype == DTYPE_U8 || scale->dtype == DTYPE_F8_E8M0))
        return read_mxfp8(s, false, q, e);
    return read_float8(s, d, q, e);
}
