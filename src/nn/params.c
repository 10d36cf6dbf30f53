#include "nn/params.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/ck.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/dtype_ggml.h"

enum { MAX_FILES = 256, EXACT_BELOW_BYTES = 64 << 20 };

struct nn_params {
    struct component *component;
    struct nn_device *device;
    enum nn_precision precision;
    struct arena arena;
    struct nn_param *first, **last;
    size_t count;
    int group;
    bool engaged;
    struct ggml_context *ctx;     /* tensor records, no data */
    ggml_backend_buffer_t buffer; /* converted or uploaded tensors */
    ggml_backend_buffer_t
        maps[MAX_FILES]; /* CPU: one over each mapped file that is used in place */
    uint64_t device_bytes, mapped_bytes;
};

enum nn_precision nn_precision_for(const struct component *c)
{
    const struct checkpoint *cp = component_checkpoint(c);
    uint64_t total = 0;
    for (size_t i = 0; i < checkpoint_file_count(cp); i++) {
        uint64_t n;
        (void)checkpoint_file_bytes(cp, i, &n);
        total += n;
    }
    return total < EXACT_BELOW_BYTES ? NN_PRECISION_F32 : NN_PRECISION_STORED;
}

enum err_code nn_params_new(struct component *c, struct nn_device *d, enum nn_precision precision,
                            struct nn_params **out, struct err *e)
{
    *out = NULL;
    struct nn_params *ps = mem_try_alloc(sizeof *ps);
    if (!ps)
        return err_set(e, ERR_NOMEM, "no memory for a model's parameters");
    ps->component = c;
    ps->device = d;
    ps->precision = precision;
    arena_init(&ps->arena, 64u << 20);
    ps->last = &ps->first;
    *out = ps;
    return ERR_OK;
}

void nn_params_free(struct nn_params *ps)
{
    if (!ps)
        return;
    nn_params_release(ps);
    arena_deinit(&ps->arena);
    mem_free(ps);
}

void nn_params_set_group(struct nn_params *ps, int group)
{
    ps->group = group;
}

enum err_code nn_params_add(struct nn_params *ps, enum nn_param_role role, const char *name,
                            int n_dims, const int64_t *dims, struct nn_param **out, struct err *e)
{
    struct nn_param *p = arena_alloc(&ps->arena, sizeof *p);
    char *copy = arena_strdup(&ps->arena, str_from(name));
    *out = NULL;
    if (!p || !copy)
        return err_set(e, ERR_NOMEM, "no memory for a model's parameters");
    enum err_code rc = component_find(ps->component, name, n_dims, dims, &p->view, e);
    if (rc != ERR_OK)
        return rc;
    p->name = copy;
    p->role = role;
    p->group = ps->group;
    p->scale = 1.0f;
    *ps->last = p;
    ps->last = &p->next;
    ps->count++;
    *out = p;
    return ERR_OK;
}

/* ---- what form a parameter takes on the device --------------------------------------------------- */

static enum ggml_type device_type(const struct nn_params *ps, const struct nn_param *p)
{
    if (p->role != NN_MATRIX || ps->precision == NN_PRECISION_F32)
        return GGML_TYPE_F32;
    enum ggml_type t = nn_ggml_type(p->view.dtype);
    if (t == GGML_TYPE_COUNT) /* float8: every value is a bf16 value */
        t = GGML_TYPE_BF16;
    return t;
}

static bool can_stay_in_place(const struct nn_params *ps, const struct nn_param *p)
{
    if (!nn_device_is_cpu(ps->device) || p->view.scale != 1.0f || p->view.n_scales != 0)
        return false;
    enum ggml_type t = device_type(ps, p);
    if (nn_ggml_type(p->view.dtype) != t || p->role == NN_KERNEL_LAST_SLICE)
        return false;
    size_t align = ggml_blck_size(t) > 1 ? 2 : ggml_type_size(t);
    return (uintptr_t)p->view.data % align == 0 && p->view.stored->file < MAX_FILES;
}

static struct ggml_tensor *new_tensor(struct nn_params *ps, const struct nn_param *p)
{
    int64_t ne[GGML_MAX_DIMS] = {1, 1, 1, 1};
    int n = p->view.n_dims;
    for (int i = 0; i < n && i < GGML_MAX_DIMS; i++)
        ne[i] = p->view.dims[n - 1 - i];
    if (p->role == NN_KERNEL_LAST_SLICE) {
        ne[2] = p->view.dims[1];
        ne[3] = p->view.dims[0];
    }
    struct ggml_tensor *t = ggml_new_tensor(ps->ctx, device_type(ps, p), GGML_MAX_DIMS, ne);
    ggml_set_name(t, p->name);
    return t;
}

/* Rows must be whole blocks, or ggml would abort; component_find has checked the rest of the shape. */
static enum err_code check_rows(const struct nn_params *ps, const struct nn_param *p, struct err *e)
{
    int64_t row = p->view.n_dims ? p->view.dims[p->view.n_dims - 1] : 1;
    int64_t block = ggml_blck_size(device_type(ps, p));
    if (row % block != 0)
        return err_set(e, ERR_FORMAT, "tensor '%s': rows of %lld elements are no multiple of %lld",
                       p->name, (long long)row, (long long)block);
    if (p->view.n_dims > GGML_MAX_DIMS + (p->role == NN_KERNEL_LAST_SLICE))
        return err_set(e, ERR_FORMAT, "tensor '%s' has %d dimensions", p->name, p->view.n_dims);
    return ERR_OK;
}

/* ---- engage ---------------------------------------------------------------------------------------- */

static enum err_code map_in_place(struct nn_params *ps, struct nn_param *p, struct err *e)
{
    int file = p->view.stored->file;
    if (!ps->maps[file]) {
        uint64_t n;
        const unsigned char *base =
            checkpoint_file_bytes(component_checkpoint(ps->component), (size_t)file, &n);
        ps->maps[file] = ggml_backend_dev_buffer_from_host_ptr(
            nn_device_ggml(ps->device), (void *)(uintptr_t)base, (size_t)n, (size_t)n);
        if (!ps->maps[file])
            return err_set(e, ERR_DEVICE, "the device cannot use a mapped file in place");
        ggml_backend_buffer_set_usage(ps->maps[file], GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
    if (ggml_backend_tensor_alloc(ps->maps[file], p->t, (void *)(uintptr_t)p->view.data) !=
        GGML_STATUS_SUCCESS)
        return err_set(e, ERR_DEVICE, "the device refuses tensor '%s'", p->name);
    p->in_place = true;
    ps->mapped_bytes += p->view.bytes;
    return ERR_OK;
}

/* Sees a kernel [out, in, kt, kh, kw] as rows of kt * kh * kw, one an (out, in) pair; returns kh * kw. */
static int64_t rows_of_slices(struct weights_view *v)
{
    int64_t slice = v->dims[3] * v->dims[4];
    v->dims[0] *= v->dims[1];
    v->dims[1] = v->dims[2] * slice;
    v->n_dims = 2;
    return slice;
}

/* Rows [r, r + n) of v into f; of each row only its last `keep` elements, when keep is less than the row. */
static enum err_code read_rows(const struct weights_view *v, int64_t r, int64_t n, int64_t keep,
                               float *f, struct err *e)
{
    int64_t row = v->n_dims ? v->dims[v->n_dims - 1] : 1;
    enum err_code rc = nn_view_rows_f32(v, r, n, f, e);
    for (int64_t i = 0; rc == ERR_OK && keep < row && i < n; i++)
        memmove(f + i * keep, f + (i + 1) * row - keep, (size_t)keep * sizeof *f);
    return rc;
}

/* The float32 or bf16 form of a parameter, a band of rows at a time, into its place on the device. */
static enum err_code upload_converted(struct nn_param *p, struct err *e)
{
    struct weights_view v = p->view;
    bool slice = p->role == NN_KERNEL_LAST_SLICE;
    int64_t row = slice ? rows_of_slices(&v) : p->t->ne[0];
    int64_t rows = ggml_nelements(p->t) / row, stored_row = slice ? v.dims[1] : row;
    int64_t band = 1 + (4 << 20) / stored_row;
    bool bf16 = p->t->type == GGML_TYPE_BF16;
    if (bf16) { /* float8 as stored: the scale is applied to the product */
        v.scale = 1.0f;
        v.n_scales = 0;
    }
    float *f = mem_try_array((size_t)(band * stored_row), sizeof *f);
    uint16_t *h = bf16 ? mem_try_array((size_t)(band * row), sizeof *h) : NULL;
    enum err_code rc =
        f && (h || !bf16) ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to convert '%s'", p->name);
    for (int64_t r = 0; rc == ERR_OK && r < rows; r += band) {
        int64_t n = rows - r < band ? rows - r : band;
        rc = read_rows(&v, r, n, row, f, e);
        if (rc != ERR_OK)
            break;
        size_t at = (size_t)(r * row) * ggml_element_size(p->t);
        if (bf16) {
            for (int64_t i = 0; i < n * row; i++)
                h[i] = dtype_f32_to_bf16(f[i]);
            ggml_backend_tensor_set(p->t, h, at, (size_t)(n * row) * 2);
        } else {
            for (int64_t i = 0; i < n * row && rc == ERR_OK; i++)
                if (!isfinite(f[i]))
                    rc = err_set(e, ERR_NUMERIC,
                                 "tensor '%s' (stored as '%s') holds NaN or infinity", p->name,
                                 p->view.stored->name);
            ggml_backend_tensor_set(p->t, f, at, (size_t)(n * row) * 4);
        }
    }
    mem_free(f);
    mem_free(h);
    if (rc == ERR_OK && bf16)
        p->scale = p->view.scale;
    return rc;
}

static enum err_code upload(struct nn_param *p, struct err *e)
{
    if (nn_ggml_type(p->view.dtype) == p->t->type && p->view.scale == 1.0f &&
        p->view.n_scales == 0 && p->role != NN_KERNEL_LAST_SLICE) {
        ggml_backend_tensor_set(p->t, p->view.data, 0, (size_t)p->view.bytes);
        return ERR_OK;
    }
    enum err_code rc = upload_converted(p, e);
    if (rc == ERR_OK && p->row_scales)
        ggml_backend_tensor_set(p->row_scales, p->view.scales, 0, (size_t)p->view.n_scales * 4);
    return rc;
}

/* Records for all parameters; *own_bytes is the room that those not in place need. */
static enum err_code make_tensors(struct nn_params *ps, size_t *own_bytes, struct err *e)
{
    struct ggml_init_params init = {.mem_size = (2 * ps->count + 8) * ggml_tensor_overhead(),
                                    .no_alloc = true};
    ggml_backend_buffer_type_t buft = ggml_backend_dev_buffer_type(nn_device_ggml(ps->device));
    size_t align = ggml_backend_buft_get_alignment(buft);
    *own_bytes = 0;
    ps->ctx = ggml_init(init);
    if (!ps->ctx)
        return err_set(e, ERR_NOMEM, "no memory for tensor records");
    for (struct nn_param *p = ps->first; p; p = p->next) {
        if (p->role == NN_HOST)
            continue;
        enum err_code rc = check_rows(ps, p, e);
        if (rc != ERR_OK)
            return rc;
        p->t = new_tensor(ps, p);
        p->in_place = can_stay_in_place(ps, p);
        if (!p->in_place)
            *own_bytes += GGML_PAD(ggml_backend_buft_get_alloc_size(buft, p->t), align);
        if (p->view.n_scales && p->t->type == GGML_TYPE_BF16) {
            p->row_scales = ggml_new_tensor_1d(ps->ctx, GGML_TYPE_F32, p->view.n_scales);
            *own_bytes += GGML_PAD(ggml_backend_buft_get_alloc_size(buft, p->row_scales), align);
        }
    }
    return ERR_OK;
}

static enum err_code fill(struct nn_params *ps, struct err *e)
{
    struct ggml_tallocr alloc = {0};
    if (ps->buffer)
        alloc = ggml_tallocr_new(ps->buffer);
    for (struct nn_param *p = ps->first; p; p = p->next) {
        enum err_code rc = ERR_OK;
        if (p->role == NN_HOST)
            continue;
        if (p->in_place) {
            rc = map_in_place(ps, p, e);
        } else if (ggml_tallocr_alloc(&alloc, p->t) != GGML_STATUS_SUCCESS ||
                   (p->row_scales &&
                    ggml_tallocr_alloc(&alloc, p->row_scales) != GGML_STATUS_SUCCESS)) {
            rc = err_set(e, ERR_DEVICE, "the device refuses tensor '%s'", p->name);
        } else {
            rc = upload(p, e);
        }
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

enum err_code nn_params_engage(struct nn_params *ps, struct err *e)
{
    if (ps->engaged)
        return ERR_OK;
    size_t own_bytes;
    enum err_code rc = make_tensors(ps, &own_bytes, e);
    if (rc == ERR_OK && own_bytes > 0) {
        ggml_backend_buffer_type_t buft = ggml_backend_dev_buffer_type(nn_device_ggml(ps->device));
        ps->buffer = ggml_backend_buft_alloc_buffer(buft, own_bytes);
        if (!ps->buffer)
            rc =
                err_set(e, ERR_NOMEM, "the device has no %zu MiB for the weights", own_bytes >> 20);
        else
            ggml_backend_buffer_set_usage(ps->buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
    ps->device_bytes = own_bytes;
    if (rc == ERR_OK)
        rc = fill(ps, e);
    ps->engaged = true; /* release undoes half an engagement, too */
    if (rc != ERR_OK)
        nn_params_release(ps);
    return rc;
}

void nn_params_release(struct nn_params *ps)
{
    for (struct nn_param *p = ps->first; p; p = p->next) {
        p->t = p->row_scales = NULL;
        p->scale = 1.0f;
        p->in_place = false;
    }
    for (int i = 0; i < MAX_FILES; i++) {
        if (ps->maps[i])
            ggml_backend_buffer_free(ps->maps[i]);
        ps->maps[i] = NULL;
    }
    if (ps->buffer)
        ggml_backend_buffer_free(ps->buffer);
    ps->buffer = NULL;
    ggml_free(ps->ctx);
    ps->ctx = NULL;
    ps->device_bytes = ps->mapped_bytes = 0;
    ps->engaged = false;
}

bool nn_params_engaged(const struct nn_params *ps)
{
    return ps->engaged;
}

enum nn_precision nn_params_precision(const struct nn_params *ps)
{
    return ps->precision;
}

struct component *nn_params_component(const struct nn_params *ps)
{
    return ps->component;
}

uint64_t nn_params_device_bytes(const struct nn_params *ps)
{
    return ps->device_bytes;
}

uint64_t nn_params_mapped_bytes(const struct nn_params *ps)
{
    return ps->mapped_bytes;
}

uint64_t nn_params_stored_bytes(const struct nn_params *ps)
{
    uint64_t n = 0;
    for (const struct nn_param *p = ps->first; p; p = p->next)
        n += p->view.bytes;
    return n;
}

/* ---- reading on the host --------------------------------------------------------------------------- */

static void apply_scales(const struct weights_view *v, int64_t row0, int64_t n_rows, int64_t row,
                         int64_t rows_per_scale, float *dst)
{
    for (int64_t r = 0; r < n_rows; r++) {
        float s = v->scale;
        if (v->n_scales) {
            float rs;
            memcpy(&rs, v->scales + ((row0 + r) / rows_per_scale) * 4, 4);
            s *= rs;
        }
        if (s != 1.0f)
            for (int64_t i = 0; i < row; i++)
                dst[r * row + i] *= s;
    }
}

enum err_code nn_view_rows_f32(const struct weights_view *v, int64_t row0, int64_t n_rows,
                               float *dst, struct err *e)
{
    int64_t row = v->n_dims ? v->dims[v->n_dims - 1] : 1, rows = 1;
    for (int i = 0; i + 1 < v->n_dims; i++)
        rows *= v->dims[i];
    if (row0 < 0 || n_rows < 0 || row0 > rows || n_rows > rows - row0)
        return err_set(e, ERR_ARG, "%lld rows from %lld on of a tensor that has %lld",
                       (long long)n_rows, (long long)row0, (long long)rows);
    uint64_t row_bytes;
    if (!dtype_bytes(v->dtype, (uint64_t)row, (uint64_t)row, &row_bytes))
        return err_set(e, ERR_FORMAT, "tensor '%s': a row is no whole number of blocks",
                       v->stored->name);
    const unsigned char *src = v->data + (uint64_t)row0 * row_bytes;
    if (!dtype_plain_to_f32(v->dtype, src, dst, (size_t)(n_rows * row))) {
        enum ggml_type t = nn_ggml_type(v->dtype);
        const struct ggml_type_traits *tr = t == GGML_TYPE_COUNT ? NULL : ggml_get_type_traits(t);
        if (!tr || !tr->to_float)
            return err_set(e, ERR_FORMAT, "tensor '%s': %s cannot be converted to numbers",
                           v->stored->name, dtype_info(v->dtype)->name);
        for (int64_t r = 0; r < n_rows; r++)
            tr->to_float(src + (uint64_t)r * row_bytes, dst + r * row, row);
    }
    int64_t per_scale = v->n_scales && rows > v->n_scales ? rows / v->n_scales : 1;
    apply_scales(v, row0, n_rows, row, per_scale, dst);
    return ERR_OK;
}

static enum err_code check_param_finite(const struct nn_param *p, struct err *e)
{
    const struct weights_view *v = &p->view;
    int64_t row = v->n_dims ? v->dims[v->n_dims - 1] : 1, rows = 1;
    for (int i = 0; i + 1 < v->n_dims; i++)
        rows *= v->dims[i];
    float *f = mem_try_array((size_t)row, sizeof *f);
    enum err_code rc = f ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to check '%s'", p->name);
    for (int64_t r = 0; rc == ERR_OK && r < rows; r++) {
        rc = nn_view_rows_f32(v, r, 1, f, e);
        for (int64_t i = 0; rc == ERR_OK && i < row; i++)
            if (!isfinite(f[i]))
                rc = err_set(e, ERR_NUMERIC, "tensor '%s' (stored as '%s') holds NaN or infinity",
                             p->name, v->stored->name);
    }
    mem_free(f);
    return rc;
}

enum err_code nn_params_check_finite(const struct nn_params *ps, struct err *e)
{
    enum err_code rc = ERR_OK;
    for (const struct nn_param *p = ps->first; p && rc == ERR_OK; p = p->next)
        rc = check_param_finite(p, e);
    return rc;
}
