/* stored.c - which stored types a card unpacks, and products with matrices of them.
 *
 * Products do not know stored types: unpacking writes each weight once and a product reads it once more, 4 bytes of a
 * memory that moves trillions a second, while 2 x tokens operations are done with it. Bands are of equal size, of whole
 * tiles, so that as few tiles as possible are left half empty.
 */
#include "nn/nvidia/stored.h"

#include <string.h>

#include "nn/nvidia/layout.h"

enum { TILE = 256, UNPACKED = sizeof(uint16_t) };

_Static_assert(sizeof(struct nv_stored) <= GGML_MAX_OP_PARAMS, "a tensor has no room for it");

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

enum nv_blocks nv_stored_kind(enum dtype t)
{
    static const enum nv_blocks kinds[DTYPE_COUNT] = {
        [DTYPE_Q4_0] = NV_BLOCKS_Q4_0,     [DTYPE_Q4_1] = NV_BLOCKS_Q4_1,
        [DTYPE_Q5_0] = NV_BLOCKS_Q5_0,     [DTYPE_Q5_1] = NV_BLOCKS_Q5_1,
        [DTYPE_Q8_0] = NV_BLOCKS_Q8_0,     [DTYPE_Q2_K] = NV_BLOCKS_Q2_K,
        [DTYPE_Q3_K] = NV_BLOCKS_Q3_K,     [DTYPE_Q4_K] = NV_BLOCKS_Q4_K,
        [DTYPE_Q5_K] = NV_BLOCKS_Q5_K,     [DTYPE_Q6_K] = NV_BLOCKS_Q6_K,
        [DTYPE_IQ4_NL] = NV_BLOCKS_IQ4_NL, [DTYPE_IQ4_XS] = NV_BLOCKS_IQ4_XS,
        [DTYPE_TQ1_0] = NV_BLOCKS_TQ1_0,   [DTYPE_TQ2_0] = NV_BLOCKS_TQ2_0,
        [DTYPE_MXFP4] = NV_BLOCKS_MXFP4,   [DTYPE_NVFP4] = NV_BLOCKS_NVFP4,
        [DTYPE_F8_E4M3] = NV_BLOCKS_E4M3,  [DTYPE_F8_E5M2] = NV_BLOCKS_E5M2,
        [DTYPE_I8] = NV_BLOCKS_INT8,
    };
    return kinds[t];
}

void nv_stored_mark(struct nn_param *p)
{
    bool plain = p->eight || p->t->type == GGML_TYPE_BF16 || p->t->type == GGML_TYPE_F32;
    /* NVFP4 is the one that becomes blocks of ggml. */
    enum dtype t = p->t->type == GGML_TYPE_NVFP4 ? DTYPE_NVFP4 : p->view.dtype;
    const struct nv_stored s = {.kind = plain ? NV_BLOCKS_NONE : nv_stored_kind(t),
                                .row_scales = p->row_scales};
    memcpy(p->t->op_params, &s, sizeof s);
}

struct nv_stored nv_stored_of(const struct ggml_tensor *w)
{
    struct nv_stored s;
    memcpy(&s, w->op_params, sizeof s);
    return s;
}

static bool is_stored(const struct ggml_tensor *w)
{
    return nv_stored_of(w).kind != NV_BLOCKS_NONE;
}

enum err_code nv_stored_rows(const struct nv_job *j, const struct ggml_tensor *w, int64_t row0,
                             int64_t n, nv_ptr to, const void **out, struct err *e)
{
    const char *from = (const char *)w->data + (size_t)row0 * w->nb[1];
    *out = from;
    if (!is_stored(w))
        return ERR_OK;
    struct nv_unpack u = {.x = from,
                          .y = (void *)(uintptr_t)to,
                          .numbers = n * w->ne[0],
                          .kind = (int)nv_stored_of(w).kind};
    *out = u.y;
    return nv_launch(j->card, NV_KERNEL_unpack,
                     (struct nv_grid){.x = divide_up(u.numbers, NV_UNPACK_NUMBERS)}, &u, e);
}

/* ---- products --------------------------------------------------------------------------------------------- */

/* A product in bands of its columns, which are rows of up to two matrices. */
struct bands {
    struct {
        const struct ggml_tensor *t; /* NULL: there is none */
        int64_t row0;
        size_t at, bytes; /* of scratch */
    } w[2];
    int64_t columns; /* of a band */
};

static struct bands bands_of(const struct ggml_tensor *w, const struct ggml_tensor *w2, int64_t n)
{
    struct bands b = {.w = {{.t = w}, {.t = w2}}};
    if (!w2 && w->ne[1] > n) {
        b.w[1].t = w;
        b.w[1].row0 = n;
    }
    size_t row = (size_t)w->ne[0] * UNPACKED, one = 0;
    for (int i = 0; i < 2; i++)
        one += b.w[i].t && is_stored(b.w[i].t) ? row : 0;
    int64_t most = one ? (int64_t)(NV_UNPACKED_BYTES / one) / TILE * TILE : n;
    int64_t even = divide_up(n, divide_up(n, most < TILE ? TILE : most));
    b.columns = even == n ? n : divide_up(even, TILE) * TILE;
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        b.w[i].at = at;
        if (b.w[i].t && is_stored(b.w[i].t))
            b.w[i].bytes = GGML_PAD(row * (size_t)b.columns, (size_t)NV_ALIGN);
        at += b.w[i].bytes;
    }
    return b;
}

size_t nv_stored_scratch(const struct ggml_tensor *w, const struct ggml_tensor *w2, int64_t n)
{
    const struct bands b = bands_of(w, w2, n);
    return b.w[0].bytes + b.w[1].bytes;
}

static const float *floats_at(const float *f, int64_t i)
{
    return f ? f + i : NULL;
}

/* The columns [at, at + n) of g, without its matrices. */
static struct nv_gemm columns_of(const struct nv_gemm *g, int64_t at, int64_t n)
{
    struct nv_gemm b = *g;
    b.n = (int)n;
    b.bias = floats_at(g->bias, at);
    b.bias2 = floats_at(g->bias2, at);
    b.row_scales = floats_at(g->row_scales, at);
    b.row_scales2 = floats_at(g->row_scales2, at);
    b.gate = floats_at(g->gate, at);
    b.y = (char *)g->y + (size_t)at * nv_type_bytes(g->y_type);
    if (g->residual)
        b.residual = (const char *)g->residual + (size_t)at * nv_type_bytes(g->residual_type);
    return b;
}

enum err_code nv_stored_product(const struct nv_job *j, const struct nv_gemm *g,
                                const struct ggml_tensor *w, const struct ggml_tensor *w2)
{
    const struct bands b = bands_of(w, w2, g->n);
    if (b.w[0].bytes + b.w[1].bytes == 0) {
        struct nv_gemm one = *g;
        return nv_gemm_launch(j, &one);
    }
    for (int64_t at = 0; at < g->n; at += b.columns) {
        int64_t n = g->n - at < b.columns ? g->n - at : b.columns;
        struct nv_gemm one = columns_of(g, at, n);
        const void **to[] = {&one.w, &one.w2};
        for (int i = 0; i < 2 && b.w[i].t; i++)
            TRY(nv_stored_rows(j, b.w[i].t, b.w[i].row0 + at, n, j->scratch + b.w[i].at, to[i],
                               j->e));
        one.ldw = one.k;
        one.w_type = NV_BF16;
        TRY(nv_gemm_launch(j, &one));
    }
    return ERR_OK;
}
