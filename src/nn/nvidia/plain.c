/* plain.c - operations of ggml that models use beside the blocks: arithmetic, copies, joins.
 *
 * Nearly all are one kernel, `map`: an elementwise operation over four dimensions with any strides. Before a
 * launch neighbouring dimensions are merged where all tensors allow it, as the kernel divides once for each
 * dimension that is left; copies that only exchange the two innermost dimensions go to the transpose kernel. Views
 * need no launch. Whatever nv_plain_known refuses is reported when the graph is prepared, so a launch here cannot
 * meet an unknown operation.
 */
#include "nn/nvidia/nodes.h"

#include <string.h>

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* ---- maps --------------------------------------------------------------------------------------------------- */

static struct nv_map_source source_of(const struct ggml_tensor *t)
{
    struct nv_map_source s = {.p = t->data, .type = nv_type_of(t)};
    for (int d = 0; d < GGML_MAX_DIMS; d++) {
        s.ne[d] = t->ne[d];
        s.nb[d] = (long long)t->nb[d];
    }
    return s;
}

/* Whether dimensions d and d + 1 of s count on as one wherever y's do. */
static bool counts_on(const struct nv_map_source *s, const long long *ne, int d)
{
    if (!s->p)
        return true;
    return s->ne[d] == ne[d] && s->ne[d + 1] == ne[d + 1] && s->nb[d + 1] == s->ne[d] * s->nb[d];
}

static void merge(long long *ne, long long *nb, int d)
{
    ne[d] *= ne[d + 1];
    for (int k = d + 1; k + 1 < GGML_MAX_DIMS; k++) {
        ne[k] = ne[k + 1];
        nb[k] = nb[k + 1];
    }
    ne[GGML_MAX_DIMS - 1] = 1;
    nb[GGML_MAX_DIMS - 1] = 0;
}

/* As few dimensions as there can be: an element's place takes a division for each. */
static void merge_dimensions(struct nv_map *m)
{
    for (int d = 0; d + 1 < GGML_MAX_DIMS;) {
        bool more = false;
        for (int k = d + 1; k < GGML_MAX_DIMS; k++)
            more = more || m->ne[k] > 1;
        if (!more || m->nb[d + 1] != m->ne[d] * m->nb[d] || !counts_on(&m->a, m->ne, d) ||
            !counts_on(&m->b, m->ne, d)) {
            d++;
            continue;
        }
        if (m->a.p)
            merge(m->a.ne, m->a.nb, d);
        if (m->b.p)
            merge(m->b.ne, m->b.nb, d);
        merge(m->ne, m->nb, d);
    }
}

static bool moves_only(enum nv_map_op op)
{
    return op == NV_MAP_PAD || op == NV_MAP_UPSCALE || op == NV_MAP_ROLL || op == NV_MAP_GATHER;
}

static size_t type_bytes(int type)
{
    return type == NV_BF16 || type == NV_F16 ? 2 : 4;
}

/* Two tensors whose innermost dimensions are exchanged, as the kernel for that takes them. */
static bool is_transpose(const struct nv_map *m)
{
    enum { WORTH = 8 };
    const long long x1 = (long long)type_bytes(m->a.type), y1 = (long long)type_bytes(m->y_type);
    return m->op == NV_MAP_COPY && m->ne[3] == 1 && m->ne[0] >= WORTH && m->ne[1] >= WORTH &&
           m->nb[0] == y1 && m->a.nb[1] == x1 && m->a.nb[0] > x1 && m->a.ne[0] == m->ne[0] &&
           m->a.ne[1] == m->ne[1] && m->a.ne[2] == m->ne[2] && m->ne[2] <= UINT16_MAX &&
           m->ne[0] <= 32 * (long long)UINT16_MAX && m->ne[1] <= INT32_MAX;
}

static enum err_code launch_transpose(const struct nv_job *j, const struct nv_map *m)
{
    const long long x1 = (long long)type_bytes(m->a.type), y1 = (long long)type_bytes(m->y_type);
    struct nv_transpose t = {
        .x = m->a.p,
        .y = m->y,
        .ldx = m->a.nb[0] / x1,
        .ldy = m->nb[1] / y1,
        .x_batch = m->a.nb[2] / x1,
        .y_batch = m->nb[2] / y1,
        .rows = (int)m->ne[0],
        .cols = (int)m->ne[1],
        .x_type = m->a.type,
        .y_type = m->y_type,
    };
    return nv_launch(
        j->card, NV_KERNEL_transpose,
        (struct nv_grid){.x = divide_up(t.cols, 32), .y = divide_up(t.rows, 32), .z = m->ne[2]}, &t,
        j->e);
}

static bool is_plain_copy(const struct nv_map *m)
{
    return m->op == NV_MAP_COPY && m->a.type == m->y_type && m->ne[1] == 1 && m->ne[2] == 1 &&
           m->ne[3] == 1 && m->a.ne[0] == m->ne[0] &&
           m->nb[0] == (long long)type_bytes(m->y_type) && m->a.nb[0] == m->nb[0];
}

enum err_code nv_map_launch(const struct nv_job *j, const struct nv_map_job *job)
{
    enum { THREADS = 256, EACH = 4, WAVES = 16 };
    struct nv_map m = {.y = job->y->data, .y_type = nv_type_of(job->y), .op = job->op};
    memcpy(m.p, job->p, sizeof m.p);
    memcpy(m.q, job->q, sizeof m.q);
    for (int d = 0; d < GGML_MAX_DIMS; d++) {
        m.ne[d] = job->y->ne[d];
        m.nb[d] = (long long)job->y->nb[d];
    }
    if (job->a)
        m.a = source_of(job->a);
    if (job->b)
        m.b = source_of(job->b);
    if (!moves_only(job->op))
        merge_dimensions(&m);
    int64_t n = ggml_nelements(job->y), blocks = divide_up(n, THREADS * EACH);
    int64_t most = (int64_t)nv_card_multiprocessors(j->card) * WAVES;
    if (n == 0)
        return ERR_OK;
    if (is_plain_copy(&m))
        return nv_copy(j->card, (nv_ptr)(uintptr_t)m.y, (nv_ptr)(uintptr_t)m.a.p,
                       (size_t)(m.ne[0] * m.nb[0]), j->e);
    if (is_transpose(&m))
        return launch_transpose(j, &m);
    return nv_launch(j->card, NV_KERNEL_map, (struct nv_grid){.x = blocks < most ? blocks : most},
                     &m, j->e);
}

/* ---- ggml's operations -------------------------------------------------------------------------------------- */

static bool is_view(const struct ggml_tensor *t)
{
    return t->op == GGML_OP_NONE || t->op == GGML_OP_VIEW || t->op == GGML_OP_RESHAPE ||
           t->op == GGML_OP_PERMUTE || t->op == GGML_OP_TRANSPOSE;
}

/* The map that an operation is; -1: none. */
static int unary_map(const struct ggml_tensor *t)
{
    switch ((int)ggml_get_unary_op(t)) {
    case GGML_UNARY_OP_SILU:
        return NV_MAP_SILU;
    case GGML_UNARY_OP_SIGMOID:
        return NV_MAP_SIGMOID;
    case GGML_UNARY_OP_TANH:
        return NV_MAP_TANH;
    case GGML_UNARY_OP_GELU:
        return NV_MAP_GELU_TANH;
    case GGML_UNARY_OP_GELU_ERF:
        return NV_MAP_GELU_ERF;
    case GGML_UNARY_OP_RELU:
        return NV_MAP_RELU;
    case GGML_UNARY_OP_EXP:
        return NV_MAP_EXP;
    case GGML_UNARY_OP_NEG:
        return NV_MAP_NEG;
    case GGML_UNARY_OP_ABS:
        return NV_MAP_ABS;
    default:
        return -1;
    }
}

static int map_of(const struct ggml_tensor *t)
{
    switch ((int)t->op) {
    case GGML_OP_DUP:
    case GGML_OP_CONT:
    case GGML_OP_CPY:
    case GGML_OP_REPEAT:
        return NV_MAP_COPY;
    case GGML_OP_ADD:
        return NV_MAP_ADD;
    case GGML_OP_SUB:
        return NV_MAP_SUB;
    case GGML_OP_MUL:
        return NV_MAP_MUL;
    case GGML_OP_DIV:
        return NV_MAP_DIV;
    case GGML_OP_SCALE:
        return NV_MAP_SCALE;
    case GGML_OP_SQR:
        return NV_MAP_SQR;
    case GGML_OP_SQRT:
        return NV_MAP_SQRT;
    case GGML_OP_CLAMP:
        return NV_MAP_CLAMP;
    case GGML_OP_UNARY:
        return unary_map(t);
    default:
        return -1;
    }
}

static bool takes_two(int op)
{
    return op == NV_MAP_ADD || op == NV_MAP_SUB || op == NV_MAP_MUL || op == NV_MAP_DIV;
}

static bool types_known(const struct ggml_tensor *t)
{
    bool known = nv_type_of(t) >= 0;
    for (int k = 0; k < GGML_MAX_SRC; k++)
        known = known && (!t->src[k] || nv_type_of(t->src[k]) >= 0);
    return known;
}

static bool is_flat_product(const struct ggml_tensor *t)
{
    const struct ggml_tensor *w = t->src[0], *x = t->src[1];
    return w->ne[2] == 1 && w->ne[3] == 1 && x->ne[2] == 1 && x->ne[3] == 1 &&
           w->nb[0] == ggml_element_size(w) && x->nb[0] == ggml_element_size(x);
}

bool nv_plain_known(const struct ggml_tensor *t)
{
    if (is_view(t))
        return true;
    if (!types_known(t))
        return false;
    if (t->op == GGML_OP_MUL_MAT)
        return is_flat_product(t);
    return t->op == GGML_OP_CONCAT || map_of(t) >= 0;
}

/* A copy between two shapes of as many elements goes in the order of memory. */
static bool same_shape(const struct ggml_tensor *a, const struct ggml_tensor *b)
{
    return ggml_are_same_shape(a, b);
}

static struct ggml_tensor flat_of(const struct ggml_tensor *t)
{
    struct ggml_tensor f = *t;
    f.ne[0] = ggml_nelements(t);
    f.ne[1] = f.ne[2] = f.ne[3] = 1;
    f.nb[0] = ggml_element_size(t);
    f.nb[1] = f.nb[2] = f.nb[3] = (size_t)f.ne[0] * f.nb[0];
    return f;
}

static enum err_code launch_map(const struct nv_job *j, int op)
{
    struct ggml_tensor *t = j->t;
    struct nv_map_job m = {.a = t->src[0], .y = t, .op = (enum nv_map_op)op};
    struct ggml_tensor a, y;
    if (takes_two(op))
        m.b = t->src[1];
    if (op == NV_MAP_SCALE || op == NV_MAP_CLAMP)
        memcpy(m.p, t->op_params, sizeof m.p);
    bool reshaped = op == NV_MAP_COPY && t->op != GGML_OP_REPEAT && !same_shape(t, t->src[0]);
    if (reshaped && ggml_is_contiguous(t) && ggml_is_contiguous(t->src[0])) {
        a = flat_of(t->src[0]);
        y = flat_of(t);
        m.a = &a;
        m.y = &y;
    } else if (reshaped) {
        return err_set(j->e, ERR_INTERNAL, "a copy of '%s' into another shape", t->src[0]->name);
    }
    return nv_map_launch(j, &m);
}

static enum err_code launch_concat(const struct nv_job *j)
{
    int axis;
    size_t at = 0;
    memcpy(&axis, j->t->op_params, sizeof axis);
    for (int i = 0; i < 2; i++) {
        struct ggml_tensor part = *j->t;
        part.ne[axis] = j->t->src[i]->ne[axis];
        part.data = (char *)j->t->data + at;
        at += (size_t)part.ne[axis] * j->t->nb[axis];
        TRY(nv_map_launch(j,
                          &(struct nv_map_job){.a = j->t->src[i], .y = &part, .op = NV_MAP_COPY}));
    }
    return ERR_OK;
}

enum err_code nv_plain_launch(const struct nv_job *j)
{
    if (is_view(j->t))
        return ERR_OK;
    if (j->t->op == GGML_OP_MUL_MAT)
        return nv_mul_mat_launch(j);
    if (j->t->op == GGML_OP_CONCAT)
        return launch_concat(j);
    return launch_map(j, map_of(j->t));
}
