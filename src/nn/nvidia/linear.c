/* linear.c - linear layers; everything that follows the product is done in its epilogue.
 *
 * The kernel is chosen at launch from the shape, in this order: gemv, or gemv_eight, for up to 8 rows; those of 8 bits
 * where weight and rows are (eight.c); gemm_exact where an operand is not bf16 or not aligned for the matrix units; on
 * sm_90 the TMA kernels; else the tiled bf16 kernels. Tile widths are chosen so that the last round leaves as few multiprocessors idle as possible. The
 * choice depends on shapes and the card alone, so results repeat to the bit.
 *
 * y may be written over the residual (over_residual tells the layout): each element is read before it is written,
 * by the same thread. Two products with one epilogue (SwiGLU) need equal scales; otherwise they become two layers
 * and a product.
 */
#include "nn/nvidia/nodes.h"
#include "nn/nvidia/stored.h"

enum { X, W, W2, SCALES, SCALES2, BIAS, BIAS2, GATE, RESIDUAL, SOURCES };
enum { FEW_ROWS = 8 };

struct params {
    float scale;
    int act;
    int halves;
    int eight; /* enum nv_type of a weight of 8 bits, else 0 */
};

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static const void *address(const struct ggml_tensor *t)
{
    return t ? t->data : NULL;
}

static struct nv_gemm gemm_of(const struct ggml_tensor *t)
{
    struct params p;
    struct ggml_tensor *const *s = t->src;
    nv_params_of(t, &p, sizeof p);
    struct nv_gemm g = {
        .x = s[X]->data,
        .w = s[W]->data,
        .w2 = address(s[W2]),
        .bias = address(s[BIAS]),
        .bias2 = address(s[BIAS2]),
        .row_scales = address(s[SCALES]),
        .row_scales2 = address(s[SCALES2]),
        .gate = address(s[GATE]),
        .residual = address(s[RESIDUAL]),
        .y = t->data,
        .ldx = nv_stride(s[X], 1),
        .ldw = nv_stride(s[W], 1),
        .ldy = nv_stride(t, 1),
        .ldr = s[RESIDUAL] ? nv_stride(s[RESIDUAL], 1) : 0,
        .m = (int)t->ne[1],
        .n = (int)t->ne[0],
        .k = (int)s[W]->ne[0],
        .scale = p.scale,
        .act = p.act,
        .x_type = nv_type_of(s[X]),
        .w_type = p.eight ? p.eight : nv_type_of(s[W]),
        .y_type = nv_type_of(t),
        .residual_type = NV_F32,
    };
    if (s[X]->type == GGML_TYPE_I8) {
        struct nv_eight x = nv_eight_of(s[X]);
        g.x_type = p.eight;
        g.x_scales = x.scales;
        g.ld_scales = x.ld_scales;
    }
    if (p.halves) {
        g.w2 = (const char *)g.w + (size_t)g.n * s[W]->nb[1];
        g.row_scales2 = g.row_scales ? g.row_scales + g.n : NULL;
        g.bias2 = g.bias ? g.bias + g.n : NULL;
    }
    return g;
}

static bool aligned(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

/* Whether the matrix units can read the operands as they lie. */
static bool suits_bf16(const struct nv_gemm *g)
{
    return g->x_type == NV_BF16 && g->w_type == NV_BF16 && g->k % 8 == 0 && g->ldx % 8 == 0 &&
           g->ldw % 8 == 0 && g->ldy % 2 == 0 && aligned(g->x) && aligned(g->w) && aligned(g->w2);
}

/* The result overwrites the residual, so the product is added in place. */
static bool is_in_place(const struct nv_gemm *g)
{
    return g->residual == g->y;
}

static bool of_eight_bits(int type)
{
    return type == NV_I8 || type == NV_F8;
}

static bool suits_tma(const struct nv_gemm *g)
{
    if (!is_in_place(g))
        return true;
    return g->y_type == NV_F32 && g->act == NV_ACT_NONE && g->ldr == g->ldy && g->ldy % 4 == 0 &&
           g->n % 2 == 0 && aligned(g->y);
}

static enum err_code result_map(const struct nv_job *j, const struct nv_gemm *g,
                                struct nv_tensor_map *out)
{
    const struct nv_map_spec s = {
        .p = (nv_ptr)(uintptr_t)g->y,
        .of = NV_MAP_OF_F32,
        .columns = (uint64_t)g->n,
        .rows = (uint64_t)g->m,
        .row_stride = (uint64_t)g->ldy,
        .box_columns = 32,
        .box_rows = 64,
    };
    return nv_tensor_map_make(j->card, &s, out, j->e);
}

/* The kernels of a type, with the columns of a tile, in the order of preference. */
enum { MOST_TILES = 3 };
struct tma_kernels {
    enum nv_kernel swiglu;
    size_t n;
    struct {
        enum nv_kernel kernel;
        int columns;
    } tiles[MOST_TILES];
};

static const struct tma_kernels of_bf16 = {
    NV_KERNEL_gemm_tma_swiglu,
    3,
    {{NV_KERNEL_gemm_tma_256, 256}, {NV_KERNEL_gemm_tma_192, 192}, {NV_KERNEL_gemm_tma_128, 128}}};
static const struct tma_kernels of_i8 = {
    NV_KERNEL_gemm_tma_s8_swiglu,
    2,
    {{NV_KERNEL_gemm_tma_s8_256, 256}, {NV_KERNEL_gemm_tma_s8_128, 128}}};
static const struct tma_kernels of_f8 = {
    NV_KERNEL_gemm_tma_f8_swiglu,
    2,
    {{NV_KERNEL_gemm_tma_f8_256, 256}, {NV_KERNEL_gemm_tma_f8_128, 128}}};

/* Thread blocks work in pairs, on two tiles of 128 rows. */
static int64_t pairs_of_tiles(const struct nv_gemm *g, int columns)
{
    return divide_up(divide_up(g->m, 128), 2) * divide_up(g->n, columns);
}

/* Products in place share tiles (tickets): wide ones, which fetch least. */
static bool shares_tiles(const struct nv_gemm *g, int columns)
{
    return is_in_place(g) && 4 * divide_up(g->m, 256) * divide_up(g->n, columns) <= NV_TICKETS;
}

/* The tiles whose last round leaves the fewest pairs of blocks idle. */
static size_t best_tiles(const struct nv_gemm *g, const struct tma_kernels *k, int64_t pairs)
{
    size_t best = 0;
    if (shares_tiles(g, k->tiles[0].columns))
        return 0;
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < k->n; i++) {
        int64_t cost =
            divide_up(pairs_of_tiles(g, k->tiles[i].columns), pairs) * k->tiles[i].columns;
        if (cost < least) {
            least = cost;
            best = i;
        }
    }
    return best;
}

static enum err_code launch_tma(const struct nv_job *j, const struct nv_gemm *g)
{
    enum { WEIGHT_ROWS = 64 };
    struct nv_gemm_tma p = {.g = *g};
    bool swiglu = g->act == NV_ACT_SWIGLU;
    int64_t pairs = nv_card_multiprocessors(j->card) / 2;
    const struct tma_kernels *of = g->x_type == NV_I8   ? &of_i8
                                   : g->x_type == NV_F8 ? &of_f8
                                                        : &of_bf16;
    size_t i = best_tiles(g, of, pairs);
    enum nv_kernel kernel = swiglu ? of->swiglu : of->tiles[i].kernel;
    int64_t tiles = pairs_of_tiles(g, swiglu ? 128 : of->tiles[i].columns);
    TRY(nv_rows_map(j, g->x, g->x_type, g->k, g->m, g->ldx, 128, &p.x_map));
    TRY(nv_rows_map(j, g->w, g->w_type, g->k, g->n, g->ldw, WEIGHT_ROWS, &p.w_map));
    if (swiglu)
        TRY(nv_rows_map(j, g->w2, g->w_type, g->k, g->n, g->ldw, WEIGHT_ROWS, &p.w2_map));
    if (is_in_place(g))
        TRY(result_map(j, g, &p.y_map));
    if (shares_tiles(g, of->tiles[i].columns)) {
        p.g.tickets = (int *)(uintptr_t)nv_card_tickets(j->card);
        tiles = pairs;
    }
    return nv_launch(j->card, kernel, (struct nv_grid){.x = 2 * (tiles < pairs ? tiles : pairs)},
                     &p, j->e);
}

/* int8, on every card. float8 is for those with TMA alone, and a result that TMA cannot store is none of a network's. */
static enum err_code launch_i8(const struct nv_job *j, struct nv_gemm *g)
{
    if (g->x_type != NV_I8)
        return err_set(j->e, ERR_INTERNAL, "there is no product of float8 for this card or result");
    bool pair = g->act == NV_ACT_SWIGLU;
    return nv_launch(j->card, pair ? NV_KERNEL_gemm_s8_swiglu : NV_KERNEL_gemm_s8,
                     (struct nv_grid){.x = divide_up(g->m, 128) * divide_up(g->n, pair ? 64 : 128)},
                     g, j->e);
}

/* Without TMA. Tiles twice as wide where there are enough for the whole card. */
static enum err_code launch_tiles(const struct nv_job *j, struct nv_gemm *g)
{
    bool pair = g->act == NV_ACT_SWIGLU;
    int64_t rows = divide_up(g->m, 128), narrow = pair ? 64 : 128;
    bool wide = rows * divide_up(g->n, 2 * narrow) >= nv_card_multiprocessors(j->card);
    enum nv_kernel kernel = pair ? NV_KERNEL_gemm_bf16_swiglu : NV_KERNEL_gemm_bf16;
    if (wide)
        kernel = pair ? NV_KERNEL_gemm_bf16_wide_swiglu : NV_KERNEL_gemm_bf16_wide;
    return nv_launch(j->card, kernel,
                     (struct nv_grid){.x = rows * divide_up(g->n, wide ? 2 * narrow : narrow)}, g,
                     j->e);
}

enum err_code nv_gemm_launch(const struct nv_job *j, struct nv_gemm *g)
{
    if (g->m <= FEW_ROWS)
        return nv_launch(j->card, of_eight_bits(g->w_type) ? NV_KERNEL_gemv_eight : NV_KERNEL_gemv,
                         (struct nv_grid){.x = divide_up(g->n, 8)}, g, j->e);
    bool tma = nv_card_architecture(j->card) >= 90 && suits_tma(g);
    if (of_eight_bits(g->x_type))
        return tma ? launch_tma(j, g) : launch_i8(j, g);
    if (!suits_bf16(g))
        return nv_launch(j->card, NV_KERNEL_gemm_exact,
                         (struct nv_grid){.x = divide_up(g->m, 64), .y = divide_up(g->n, 64)}, g,
                         j->e);
    return tma ? launch_tma(j, g) : launch_tiles(j, g);
}

static enum err_code launch(const struct nv_job *j)
{
    const struct nv_gemm g = gemm_of(j->t);
    return nv_stored_product(j, &g, j->t->src[W], j->t->src[W2]);
}

static size_t scratch(const struct ggml_tensor *t)
{
    return nv_stored_scratch(t->src[W], t->src[W2], t->ne[0]);
}

static double flops(const struct ggml_tensor *t)
{
    struct params p;
    nv_params_of(t, &p, sizeof p);
    double one = 2.0 * (double)ggml_nelements(t) * (double)t->src[W]->ne[0];
    return p.act == NV_ACT_SWIGLU ? 2 * one : one;
}

static struct ggml_tensor *over_residual(const struct ggml_tensor *t)
{
    return nv_if_congruent(t, t->src[RESIDUAL]);
}

static const struct nv_op op_linear = {.name = "linear",
                                       .launch = launch,
                                       .scratch = scratch,
                                       .flops = flops,
                                       .in_place = over_residual,
                                       .strided = true};

/* ggml's own product, of matrices in float32 (plain.c). */
enum err_code nv_mul_mat_launch(const struct nv_job *j)
{
    const struct ggml_tensor *w = j->t->src[0], *x = j->t->src[1];
    struct nv_gemm g = {
        .x = x->data,
        .w = w->data,
        .y = j->t->data,
        .ldx = nv_stride(x, 1),
        .ldw = nv_stride(w, 1),
        .ldy = nv_stride(j->t, 1),
        .m = (int)x->ne[1],
        .n = (int)w->ne[1],
        .k = (int)w->ne[0],
        .scale = 1.0f,
        .x_type = nv_type_of(x),
        .w_type = nv_type_of(w),
        .y_type = nv_type_of(j->t),
    };
    return nv_gemm_launch(j, &g);
}

/* ---- making ----------------------------------------------------------------------------------------------- */

static struct ggml_tensor *tensor_of(const struct nn_param *p)
{
    return p ? p->t : NULL;
}

/* One row of values side by side. */
static struct ggml_tensor *row(struct nn_graph *g, struct ggml_tensor *t)
{
    return t && (t->type != GGML_TYPE_F32 || t->nb[0] != sizeof(float)) ? nv_as(g, t, GGML_TYPE_F32)
                                                                        : t;
}

/* Two products whose scales differ, each by itself. */
static struct ggml_tensor *apart(struct nn_graph *g, const struct nv_linear *l)
{
    struct nv_linear gate = {.x = l->x, .w = l->w, .b = l->b, .act = NV_ACT_SILU};
    struct nv_linear up = {.x = l->x, .w = l->w2, .b = l->b2};
    struct ggml_tensor *y = ggml_mul(nn_ctx(g), nv_linear(g, &gate), nv_linear(g, &up));
    return l->for_product ? nv_as(g, y, nv_product_type(g)) : y;
}

struct ggml_tensor *nv_linear(struct nn_graph *g, const struct nv_linear *l)
{
    if (!nv_is_on(g))
        return NULL;
    if (l->w2 && (l->w2->scale != l->w->scale || l->w2->eight != l->w->eight))
        return apart(g, l);
    bool pair = l->w2 || l->halves, eight = l->w->eight && ggml_nrows(l->x) > FEW_ROWS;
    struct ggml_tensor *x =
        eight ? nv_eight_rows(g, l->x, l->w->eight) : nv_rows_for_product(g, l->x);
    struct ggml_tensor *src[SOURCES] = {
        [X] = x,
        [W] = l->w->t,
        [W2] = tensor_of(l->w2),
        [SCALES] = l->w->row_scales,
        [SCALES2] = l->w2 ? l->w2->row_scales : NULL,
        [BIAS] = tensor_of(l->b),
        [BIAS2] = tensor_of(l->b2),
        [GATE] = row(g, l->gate),
        [RESIDUAL] = row(g, l->residual),
    };
    const struct params p = {.scale = l->w->scale,
                             .act = pair ? NV_ACT_SWIGLU : l->act,
                             .halves = l->halves,
                             .eight = nv_eight_type(l->w->eight)};
    return nv_node_new(g,
                       &(struct nv_node){
                           .op = &op_linear,
                           .type = l->for_product ? nv_product_type(g) : GGML_TYPE_F32,
                           .ne = {l->halves ? l->w->t->ne[1] / 2 : l->w->t->ne[1], x->ne[1], 1, 1},
                           .src = src,
                           .n_src = SOURCES,
                           .params = &p,
                           .params_bytes = sizeof p,
                       });
}
