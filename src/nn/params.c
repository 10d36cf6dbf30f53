/* params.c - the life of a parameter set: declared, engaged, streamed, released.
 *
 * A parameter set goes through: declared (nn_params_add), recorded (make_records: a ggml tensor without memory for
 * each, once and for good), engaged (places and contents), released (places forgotten, records kept). Engaging
 * again after a release is cheap to decide and costs only the transfer.
 *
 * Group 0 is always resident; each other group is a block, and some of the blocks are streamed: they share slots
 * and are loaded by the stream's thread (stream.h) while others compute. lay_out alone decides which, so that a
 * plan and a run agree. On a dry device only the accountant is told; `dry` and `real` keep the two states apart,
 * since a plan may be made while weights are engaged.
 *
 * Order that matters: nn_param_upload before the graph runs; the uploader exists before the stream's thread
 * starts; release stops that thread before it frees what it writes to. A set belongs to the device's thread.
 */
#include "nn/params.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/dtype_ggml.h"
#include "nn/nvidia/stored.h"
#include "nn/params_impl.h"
#include "weights/held.h"

enum nn_precision nn_precision_for(const struct component *c)
{
    const struct checkpoint *cp = component_checkpoint(c);
    uint64_t total = 0;
    for (size_t i = 0; i < checkpoint_file_count(cp); i++) {
        uint64_t n;
        (void)checkpoint_file_bytes(cp, i, &n);
        total += n;
    }
    return total < WEIGHTS_EXACT_BELOW_BYTES ? NN_PRECISION_F32 : NN_PRECISION_STORED;
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
    const struct nn_accountant *a = nn_device_accountant(ps->device);
    nn_params_release(ps);
    if (a)
        a->gone(a->user, ps);
    ggml_free(ps->ctx);
    arena_deinit(&ps->arena);
    mem_free(ps);
}

void nn_params_set_group(struct nn_params *ps, int group)
{
    ps->group = group;
}

void nn_params_allow_eight(struct nn_params *ps, bool allowed)
{
    ps->eight_allowed = allowed;
}

enum err_code nn_params_add(struct nn_params *ps, enum nn_param_role role, const char *name,
                            int n_dims, const int64_t *dims, struct nn_param **out, struct err *e)
{
    struct nn_param *p = arena_alloc(&ps->arena, sizeof *p);
    char *copy = arena_strdup(&ps->arena, str_from(name));
    *out = NULL;
    if (!p || !copy)
        return err_set(e, ERR_NOMEM, "no memory for a model's parameters");
    TRY(component_find(ps->component, name, n_dims, dims, &p->view, e));
    p->name = copy;
    p->role = role;
    p->group = ps->group;
    p->scale = 1.0f;
    p->may_be_eight = ps->eight_allowed && role == NN_MATRIX && nn_param_suits_eight(p);
    ps->any_eight |= p->may_be_eight;
    *ps->last = p;
    ps->last = &p->next;
    ps->count++;
    *out = p;
    return ERR_OK;
}

enum err_code nn_params_add_made(struct nn_params *ps, const char *name, const int64_t dims[2],
                                 nn_fill_fn fill, const void *user, struct nn_param **out,
                                 struct err *e)
{
    struct nn_param *p = arena_alloc(&ps->arena, sizeof *p);
    struct weights_tensor *t = arena_alloc(&ps->arena, sizeof *t);
    char *copy = arena_strdup(&ps->arena, str_from(name));
    *out = NULL;
    if (!p || !t || !copy)
        return err_set(e, ERR_NOMEM, "no memory for a model's parameters");
    *t = (struct weights_tensor){
        .name = copy, .dtype = DTYPE_BF16, .n_dims = 2, .dims = {dims[0], dims[1]}};
    *p = (struct nn_param){.name = copy,
                           .role = NN_MATRIX,
                           .group = ps->group,
                           .scale = 1.0f,
                           .fill = fill,
                           .user = user};
    p->view = (struct weights_view){.stored = t,
                                    .dtype = t->dtype,
                                    .n_dims = 2,
                                    .dims = {dims[0], dims[1]},
                                    .bytes = (uint64_t)dims[0] * (uint64_t)dims[1] * 2,
                                    .scale = 1};
    *ps->last = p;
    ps->last = &p->next;
    ps->count++;
    *out = p;
    return ERR_OK;
}

struct nn_param *nn_params_first(const struct nn_params *ps)
{
    return ps->first;
}

/* ---- what form a parameter takes on the device --------------------------------------------------- */

/* Of the next engagement; that of what is engaged stays. */
static enum nn_compute compute_of(const struct nn_params *ps)
{
    if (ps->real.engaged)
        return ps->compute;
    return nn_device_card(ps->device) && ps->any_eight ? nn_device_compute(ps->device)
                                                       : NN_COMPUTE_DEFAULT;
}

static enum nn_compute eight_of(const struct nn_params *ps, const struct nn_param *p)
{
    return p->may_be_eight ? compute_of(ps) : NN_COMPUTE_DEFAULT;
}

/* On NVIDIA cards kernels are bf16. */
static bool is_kernel_on_card(const struct nn_params *ps, const struct nn_param *p)
{
    return nn_device_card(ps->device) && ps->precision != NN_PRECISION_F32 && nn_param_is_kernel(p);
}

static enum ggml_type device_type(const struct nn_params *ps, const struct nn_param *p)
{
    if (eight_of(ps, p))
        return GGML_TYPE_I8;
    if (is_kernel_on_card(ps, p))
        return GGML_TYPE_BF16;
    if (p->role != NN_MATRIX || ps->precision == NN_PRECISION_F32)
        return GGML_TYPE_F32;
    enum ggml_type t = nn_ggml_type(p->view.dtype);
    if (t == GGML_TYPE_COUNT || nn_device_card(ps->device))
        t = nn_param_form(ps->device, &p->view);
    if (t == GGML_TYPE_BF16 && !nn_device_has_bf16(ps->device))
        t = GGML_TYPE_F16;
    return t;
}

static bool can_stay_in_place(const struct nn_params *ps, const struct nn_param *p)
{
    enum ggml_type t = device_type(ps, p);
    struct weights_view v = p->view;
    if (nn_type_scales_product(t))
        v = weights_view_without_row_scales(&v);
    if (p->fill || !nn_device_is_cpu(ps->device) || !weights_view_is_plain(&v))
        return false;
    bool as_stored = nn_ggml_type(p->view.dtype) == t || t == GGML_TYPE_I8;
    if (!as_stored || p->role == NN_KERNEL_LAST_SLICE)
        return false;
    size_t align = ggml_blck_size(t) > 1 ? 2 : ggml_type_size(t);
    return (uintptr_t)p->view.data % align == 0 && p->view.stored->file < NN_PARAMS_MAX_FILES;
}

/* A kernel [out, in, kh, kw] lies as [out, kh, kw, in]. */
static void put_channels_last(struct ggml_tensor *t)
{
    t->nb[2] = ggml_element_size(t);
    t->nb[0] = t->nb[2] * (size_t)t->ne[2];
    t->nb[1] = t->nb[0] * (size_t)t->ne[0];
    t->nb[3] = t->nb[1] * (size_t)t->ne[1];
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
    if (is_kernel_on_card(ps, p))
        put_channels_last(t);
    return t;
}

/* Rows must be whole blocks, or ggml would abort; component_find has checked the rest of the shape. */
static enum err_code check_rows(const struct nn_params *ps, const struct nn_param *p, struct err *e)
{
    int64_t row = p->view.n_dims ? p->view.dims[p->view.n_dims - 1] : 1;
    int64_t block = ggml_blck_size(device_type(ps, p));
    if (row % block != 0)
        return err_set(e, ERR_FORMAT,
                       "tensor '%s': rows of %lld elements are not a multiple of %lld", p->name,
                       (long long)row, (long long)block);
    if (dtype_info(p->view.dtype)->quantised &&
        (p->view.n_scales > 0 || (p->view.scale != 1.0f && p->view.dtype != DTYPE_NVFP4)))
        return err_set(e, ERR_FORMAT, "tensor '%s' is %s and has scales as well", p->name,
                       dtype_info(p->view.dtype)->name);
    if (p->view.n_dims > GGML_MAX_DIMS + (p->role == NN_KERNEL_LAST_SLICE))
        return err_set(e, ERR_FORMAT, "tensor '%s' has %d dimensions", p->name, p->view.n_dims);
    return ERR_OK;
}

/* ---- layout ----------------------------------------------------------------------------------------- */

static struct nn_held *held(struct nn_params *ps)
{
    return nn_device_is_dry(ps->device) ? &ps->dry : &ps->real;
}

static const struct nn_held *held_const(const struct nn_params *ps)
{
    return nn_device_is_dry(ps->device) ? &ps->dry : &ps->real;
}

static enum err_code make_groups(struct nn_params *ps, struct err *e)
{
    for (const struct nn_param *p = ps->first; p; p = p->next)
        if (p->group >= ps->n_groups)
            ps->n_groups = p->group + 1;
    if (!ps->groups)
        ps->groups = arena_alloc(&ps->arena, (size_t)ps->n_groups * sizeof *ps->groups);
    return ps->groups ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for a model's parameters");
}

/* Cards have the scale of a whole matrix in those of its rows: matrices whose products meet in one launch may then have
 * different ones. */
static bool scales_in_rows(const struct nn_params *ps, const struct nn_param *p)
{
    return nn_device_card(ps->device) && !p->fill;
}

/* How many of its columns' scales the product has. */
static int64_t row_scales_of(const struct nn_params *ps, const struct nn_param *p)
{
    if (p->eight)
        return p->view.dims[0];
    bool any = p->view.n_scales || (scales_in_rows(ps, p) && p->view.scale != 1.0f);
    return any && nn_param_scales_product(p) ? p->view.dims[0] : 0;
}

static void forget_records(struct nn_params *ps)
{
    for (struct nn_param *p = ps->first; p; p = p->next) {
        p->t = p->row_scales = NULL;
        p->scale = p->fill ? p->scale : 1.0f;
    }
    for (int i = 0; i < ps->n_groups; i++)
        ps->groups[i].bytes = 0;
    ggml_free(ps->ctx);
    ps->ctx = NULL;
}

/* Tensor records for all parameters, and what each group takes. Kept until the end, unless the form changes: only their
 * places change. */
static enum err_code make_records(struct nn_params *ps, struct err *e)
{
    struct ggml_init_params init = {.mem_size = (2 * ps->count + 8) * ggml_tensor_overhead(),
                                    .no_alloc = true};
    if (ps->ctx && ps->compute == compute_of(ps))
        return ERR_OK;
    if (ps->ctx)
        forget_records(ps);
    ps->compute = compute_of(ps);
    TRY(make_groups(ps, e));
    for (const struct nn_param *p = ps->first; p; p = p->next) {
        if (p->role != NN_HOST)
            TRY(check_rows(ps, p, e));
    }
    ps->ctx = ggml_init(init);
    if (!ps->ctx)
        return err_set(e, ERR_NOMEM, "no memory for tensor records");
    for (struct nn_param *p = ps->first; p; p = p->next) {
        if (p->role == NN_HOST)
            continue;
        p->eight = eight_of(ps, p);
        p->t = new_tensor(ps, p);
        p->in_place = can_stay_in_place(ps, p);
        int64_t scales = row_scales_of(ps, p);
        p->halved = p->t->type == GGML_TYPE_F16 && nn_ggml_type(p->view.dtype) != GGML_TYPE_F16;
        if (nn_param_scales_product(p) && !p->fill && !scales_in_rows(ps, p))
            p->scale = p->view.scale;
        if (!p->in_place)
            ps->groups[p->group].bytes += nn_tensor_room(ps->device, p->t);
        if (scales) {
            p->row_scales = ggml_new_tensor_1d(ps->ctx, GGML_TYPE_F32, scales);
            ps->groups[p->group].bytes += nn_tensor_room(ps->device, p->row_scales);
        }
        if (nn_device_card(ps->device))
            nv_stored_mark(p);
    }
    return ERR_OK;
}

struct layout {
    uint64_t fixed, slot; /* bytes; of one slot */
    int blocks, slots;
};

/* Whether block i of n is streamed when `flowing` of them are: spread evenly, so that there is always something to
 * compute while the next one is loaded. */
static bool flows(int i, int n, int flowing)
{
    return (int64_t)(i + 1) * flowing / n > (int64_t)i * flowing / n;
}

static int count_blocks(const struct nn_params *ps)
{
    int n = 0;
    for (int i = 1; i < ps->n_groups; i++)
        n += ps->groups[i].bytes > 0;
    return n;
}

/* Group 0 and as many blocks as wanted are resident; the others are streamed through slots. */
static struct layout lay_out(struct nn_params *ps, struct nn_placement want)
{
    struct layout y = {0};
    int seen = 0, n = count_blocks(ps);
    int flowing = want.slots > 0 && n > want.resident ? n - want.resident : 0;
    for (int i = 0; i < ps->n_groups; i++) {
        struct nn_group *g = &ps->groups[i];
        bool block = i > 0 && g->bytes > 0;
        g->stream = -1;
        if (block && flows(seen++, n, flowing))
            g->stream = y.blocks++;
        if (g->stream >= 0 && g->bytes > y.slot)
            y.slot = g->bytes;
    }
    y.slots = want.slots < y.blocks ? want.slots : y.blocks;
    for (int i = 0; i < ps->n_groups; i++)
        if (ps->groups[i].stream < 0)
            y.fixed += ps->groups[i].bytes;
    return y;
}

enum err_code nn_params_sizes(struct nn_params *ps, struct nn_params_sizes *out, struct err *e)
{
    enum err_code rc = make_records(ps, e);
    *out = (struct nn_params_sizes){0};
    for (int i = 0; rc == ERR_OK && i < ps->n_groups; i++) {
        out->total += ps->groups[i].bytes;
        if (i == 0)
            out->shared = ps->groups[i].bytes;
        else if (ps->groups[i].bytes > 0)
            out->blocks++;
    }
    return rc;
}

enum err_code nn_params_placed_bytes(struct nn_params *ps, struct nn_placement want,
                                     uint64_t *resident, uint64_t *streamed, struct err *e)
{
    enum err_code rc = make_records(ps, e);
    *resident = *streamed = 0;
    if (rc != ERR_OK)
        return rc;
    struct layout y = lay_out(ps, want);
    *resident = y.fixed + (uint64_t)y.slots * y.slot;
    for (int i = 0; i < ps->n_groups; i++)
        if (ps->groups[i].stream >= 0)
            *streamed += ps->groups[i].bytes;
    (void)lay_out(ps, ps->real.engaged ? ps->real.placement : want);
    return rc;
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
    ps->real.mapped_bytes += p->view.bytes;
    return ERR_OK;
}

static enum err_code place(struct nn_params *ps, struct ggml_tensor *t, const struct nn_group *g,
                           size_t *used, struct err *e)
{
    const struct nn_buffer *b = g->stream < 0 ? g->buffer : ps->slots[g->stream % ps->n_slots];
    enum err_code rc = nn_buffer_place(b, t, *used, e);
    *used += nn_tensor_room(ps->device, t);
    return rc;
}

static void remember(struct nn_params *ps, struct nn_param *p, const struct ggml_tensor *t,
                     int block)
{
    ps->streamed[ps->n_streamed++] =
        (struct nn_streamed){.t = t, .p = t == p->t ? p : NULL, .block = block};
}

/* Gives everything its place, and resident parameters their contents. */
static enum err_code fill(struct nn_params *ps, struct err *e)
{
    enum err_code rc = ERR_OK;
    size_t *used = mem_try_array((size_t)ps->n_groups, sizeof *used);
    if (!used)
        return err_set(e, ERR_NOMEM, "no memory for a model's parameters");
    for (struct nn_param *p = ps->first; p && rc == ERR_OK; p = p->next) {
        const struct nn_group *g = &ps->groups[p->group];
        if (p->role == NN_HOST)
            continue;
        if (p->in_place)
            rc = map_in_place(ps, p, e);
        else
            rc = place(ps, p->t, g, &used[p->group], e);
        if (rc == ERR_OK && p->row_scales)
            rc = place(ps, p->row_scales, g, &used[p->group], e);
        if (rc == ERR_OK && !p->in_place && g->stream < 0)
            rc = nn_param_upload(ps->device, p, nn_device_cancel(ps->device), e);
        if (g->stream >= 0 && !p->in_place)
            remember(ps, p, p->t, g->stream);
        if (g->stream >= 0 && p->row_scales)
            remember(ps, p, p->row_scales, g->stream);
    }
    mem_free(used);
    return rc;
}

/* On the stream's thread. Never cancelled: a cancelled load would be reported to the next run as an error. */
static enum err_code load_block(void *user, int block, struct err *e)
{
    struct nn_params *ps = user;
    for (size_t i = 0; i < ps->n_streamed; i++) {
        if (ps->streamed[i].block == block && ps->streamed[i].p)
            TRY(nn_param_upload(ps->device, ps->streamed[i].p, NULL, e));
    }
    return ERR_OK;
}

static enum err_code start_stream(struct nn_params *ps, const struct layout *y, struct err *e)
{
    struct nn_stream_spec spec = {
        .blocks = y->blocks, .slots = y->slots, .load = load_block, .user = ps};
    ps->n_blocks = y->blocks;
    (void)nn_device_uploader(ps->device); /* made now: later two threads could both try to */
    TRY(nn_stream_start(&spec, &ps->stream, e));
    nn_device_set_streaming(ps->device, ps);
    return ERR_OK;
}

static enum err_code take_slots(struct nn_params *ps, const struct layout *y, struct err *e)
{
    ps->slots = mem_try_array((size_t)y->slots, sizeof(struct nn_buffer *));
    ps->streamed = mem_try_array(2 * ps->count, sizeof *ps->streamed);
    if (!ps->slots || !ps->streamed)
        return err_set(e, ERR_NOMEM, "no memory to stream weights");
    for (; ps->n_slots < y->slots; ps->n_slots++)
        TRY(nn_buffer_new(ps->device, NN_MEMORY_WEIGHTS, y->slot, "streamed weights",
                          &ps->slots[ps->n_slots], e));
    return ERR_OK;
}

static enum err_code engage_real(struct nn_params *ps, const struct layout *y, struct err *e)
{
    for (int i = 0; i < ps->n_groups; i++) {
        struct nn_group *g = &ps->groups[i];
        if (g->stream < 0 && g->bytes > 0)
            TRY(nn_buffer_new(ps->device, NN_MEMORY_WEIGHTS, g->bytes, "weights", &g->buffer, e));
    }
    if (y->blocks > 0)
        TRY(take_slots(ps, y, e));
    TRY(fill(ps, e));
    if (y->blocks > 0)
        TRY(start_stream(ps, y, e));
    return ERR_OK;
}

/* Takes from the accountant what engage_real would, in the same pieces, as each may evict something. Tensors without a
 * place get an address that is not real. */
static enum err_code engage_dry(struct nn_params *ps, const struct layout *y, struct err *e)
{
    for (int i = 0; i < ps->n_groups; i++) {
        if (ps->groups[i].stream < 0)
            TRY(nn_device_take(ps->device, NN_MEMORY_WEIGHTS, ps->groups[i].bytes, "weights", e));
    }
    for (int i = 0; i < y->slots; i++)
        TRY(nn_device_take(ps->device, NN_MEMORY_WEIGHTS, y->slot, "streamed weights", e));
    for (struct nn_param *p = ps->first; p && !ps->real.engaged; p = p->next) {
        if (p->t)
            nn_tensor_set_dry(p->t);
        if (p->row_scales)
            nn_tensor_set_dry(p->row_scales);
    }
    return ERR_OK;
}

enum err_code nn_params_engage(struct nn_params *ps, struct err *e)
{
    struct nn_held *h = held(ps);
    if (h->engaged)
        return ERR_OK;
    enum err_code rc = make_records(ps, e);
    if (rc != ERR_OK)
        return rc;
    struct layout y = lay_out(ps, ps->wanted);
    uint64_t bytes = y.fixed + (uint64_t)y.slots * y.slot;
    if (nn_device_is_dry(ps->device)) {
        rc = engage_dry(ps, &y, e);
        if (ps->real.engaged)
            (void)lay_out(ps, ps->real.placement);
    } else {
        rc = engage_real(ps, &y, e);
    }
    h->engaged = true; /* so that release also undoes a half-finished engagement */
    h->placement = ps->wanted;
    h->device_bytes = rc == ERR_OK || h == &ps->real ? bytes : 0;
    if (rc != ERR_OK)
        nn_params_release(ps);
    return rc;
}

static void forget_places(struct nn_params *ps)
{
    for (struct nn_param *p = ps->first; p; p = p->next) {
        if (p->t)
            p->t->data = p->t->buffer = NULL;
        if (p->row_scales)
            p->row_scales->data = p->row_scales->buffer = NULL;
    }
}

static void release_real(struct nn_params *ps)
{
    nn_stream_stop(ps->stream);
    ps->stream = NULL;
    for (int i = 0; i < NN_PARAMS_MAX_FILES; i++) {
        if (ps->maps[i])
            ggml_backend_buffer_free(ps->maps[i]);
        ps->maps[i] = NULL;
    }
    for (int i = 0; i < ps->n_groups; i++) {
        nn_buffer_free(ps->groups[i].buffer);
        ps->groups[i].buffer = NULL;
    }
    for (int i = 0; i < ps->n_slots; i++)
        nn_buffer_free(ps->slots[i]);
    mem_free(ps->slots);
    ps->slots = NULL;
    ps->n_slots = 0;
    mem_free(ps->streamed);
    ps->streamed = NULL;
    ps->n_streamed = 0;
    ps->n_blocks = 0;
}

void nn_params_release(struct nn_params *ps)
{
    struct nn_held *h = held(ps);
    if (!h->engaged)
        return;
    if (nn_device_streaming(ps->device) == ps) /* a plan may have said so */
        nn_device_set_streaming(ps->device, NULL);
    if (nn_device_is_dry(ps->device))
        nn_device_give(ps->device, NN_MEMORY_WEIGHTS, h->device_bytes);
    else
        release_real(ps);
    *h = (struct nn_held){0};
    if (!ps->real.engaged)
        forget_places(ps);
}

void nn_params_begin_dry(struct nn_params *ps)
{
    ps->dry = ps->real;
}

bool nn_params_engaged(const struct nn_params *ps)
{
    return held_const(ps)->engaged;
}

bool nn_params_outdated(const struct nn_params *ps)
{
    return ps->real.engaged && ps->any_eight && nn_device_card(ps->device) &&
           ps->compute != nn_device_compute(ps->device);
}

void nn_params_place(struct nn_params *ps, struct nn_placement want)
{
    ps->wanted = want;
}

struct nn_placement nn_params_placement(const struct nn_params *ps)
{
    return held_const(ps)->placement;
}

enum nn_precision nn_params_precision(const struct nn_params *ps)
{
    return ps->precision;
}

struct component *nn_params_component(const struct nn_params *ps)
{
    return ps->component;
}

static bool is_int8(const struct nn_params *ps, const struct nn_param *p)
{
    enum nn_compute eight = eight_of(ps, p);
    return eight ? eight == NN_COMPUTE_INT8 : p->view.dtype == DTYPE_I8;
}

const char *nn_params_dtype_name(const struct nn_params *ps)
{
    enum { INT8 = GGML_TYPE_COUNT, TYPES };
    uint64_t bytes[TYPES] = {0};
    int most = GGML_TYPE_F32;
    for (const struct nn_param *p = ps->first; p; p = p->next) {
        int t = (int)device_type(ps, p);
        if (p->role != NN_HOST)
            bytes[t == GGML_TYPE_I8 && is_int8(ps, p) ? INT8 : t] += p->view.bytes;
    }
    for (int i = 0; i < TYPES; i++)
        if (bytes[i] > bytes[most])
            most = i;
    if (most == INT8)
        return "int8";
    return most == GGML_TYPE_I8 ? "float8" : ggml_type_name((enum ggml_type)most);
}

uint64_t nn_params_device_bytes(const struct nn_params *ps)
{
    return held_const(ps)->device_bytes;
}

uint64_t nn_params_mapped_bytes(const struct nn_params *ps)
{
    return ps->real.mapped_bytes;
}

uint64_t nn_params_stored_bytes(const struct nn_params *ps)
{
    uint64_t n = 0;
    for (const struct nn_param *p = ps->first; p; p = p->next)
        n += p->view.bytes;
    return n;
}

/* ---- blocks in slots --------------------------------------------------------------------------------- */

static int by_address(const void *key, const void *row)
{
    const struct ggml_tensor *a = key, *b = ((const struct nn_streamed *)row)->t;
    return a < b ? -1 : a > b;
}

int nn_params_block_of(const struct nn_params *ps, const struct ggml_tensor *t)
{
    const struct nn_streamed *s =
        ps->n_streamed ? bsearch(t, ps->streamed, ps->n_streamed, sizeof *ps->streamed, by_address)
                       : NULL;
    return s ? s->block : -1;
}

int nn_params_slots(const struct nn_params *ps)
{
    return ps->real.placement.slots < ps->n_blocks ? ps->real.placement.slots : ps->n_blocks;
}

int nn_params_blocks(const struct nn_params *ps)
{
    return ps->n_blocks;
}

struct nn_stream *nn_params_stream(const struct nn_params *ps)
{
    return ps->stream;
}
