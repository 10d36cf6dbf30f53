/* image.c - images, channels last: a tensor [channels, height, width] whose channels of a pixel lie side by side.
 *
 * To the rest of the program such a tensor looks like any other, with other strides (a permuted view). Rows of an
 * image are a view, whatever the operation; only results that leave the card are transposed. */
#include "nn/nvidia/nodes.h"

static int64_t divide_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static bool has_channels_last(const struct ggml_tensor *x)
{
    size_t one = ggml_element_size(x);
    return x->nb[2] == one && x->nb[0] >= one * (size_t)x->ne[2] && x->nb[1] >= x->nb[0];
}

/* ne = channels, width, height; channels side by side. */
static struct ggml_tensor *turned(struct nn_graph *g, struct ggml_tensor *x)
{
    return ggml_permute(nn_ctx(g), x, 1, 2, 0, 3);
}

static struct ggml_tensor *turned_back(struct nn_graph *g, struct ggml_tensor *x)
{
    return ggml_permute(nn_ctx(g), x, 2, 0, 1, 3);
}

/* x as image operations read it. A single channel lies both ways. */
static struct ggml_tensor *as_image(struct nn_graph *g, struct ggml_tensor *x)
{
    enum ggml_type type = nv_product_type(g);
    if (x->type == type && has_channels_last(x))
        return x;
    struct ggml_tensor *t = turned(g, x);
    return turned_back(g,
                       x->type == type ? ggml_cont(nn_ctx(g), t) : ggml_cast(nn_ctx(g), t, type));
}

/* Rows may be apart, pixels may not. */
static bool is_dense(const struct ggml_tensor *x)
{
    size_t pixel = ggml_element_size(x) * (size_t)x->ne[2];
    return x->nb[0] == pixel && x->nb[1] == pixel * (size_t)x->ne[0];
}

static struct ggml_tensor *as_dense_image(struct nn_graph *g, struct ggml_tensor *x)
{
    x = as_image(g, x);
    return is_dense(x) ? x : turned_back(g, ggml_cont(nn_ctx(g), turned(g, x)));
}

static struct ggml_tensor *image_node(struct nn_graph *g, struct nv_node *n, int64_t channels,
                                      int64_t width, int64_t height)
{
    n->ne[0] = channels;
    n->ne[1] = width;
    n->ne[2] = height;
    n->ne[3] = 1;
    return turned_back(g, nv_node_new(g, n));
}

/* ---- doubling ----------------------------------------------------------------------------------------------------- */

static enum err_code launch_upsample(const struct nv_job *j)
{
    return nv_map_launch(
        j, &(struct nv_map_job){
               .a = j->t->src[0], .y = j->t, .op = NV_MAP_UPSCALE, .q = {1, 2, 2, 1}});
}

static const struct nv_op op_upsample = {.name = "upsampling", .launch = launch_upsample};

struct ggml_tensor *nv_upsample2x(struct nn_graph *g, struct ggml_tensor *x)
{
    if (!nv_is_on(g))
        return NULL;
    struct ggml_tensor *src[] = {turned(g, as_image(g, x))};
    return image_node(
        g,
        &(struct nv_node){.op = &op_upsample, .type = nv_product_type(g), .src = src, .n_src = 1},
        x->ne[2], 2 * x->ne[0], 2 * x->ne[1]);
}

/* ---- convolutions --------------------------------------------------------------------------------------------- */

struct conv_params {
    int stride, left, top, up; /* up: x is half as large as what is convolved */
};

enum { CONV_X, CONV_W, CONV_BIAS, CONV_RESIDUAL, CONV_SOURCES };

/* t: ne = channels, width, height. */
static struct nv_conv conv_of(const struct ggml_tensor *t)
{
    struct conv_params p;
    const struct ggml_tensor *x = t->src[CONV_X], *w = t->src[CONV_W], *b = t->src[CONV_BIAS];
    const struct ggml_tensor *residual = t->src[CONV_RESIDUAL];
    nv_params_of(t, &p, sizeof p);
    int scale = p.up ? 2 : 1;
    return (struct nv_conv){
        .x = x->data,
        .w = w->data,
        .bias = b ? b->data : NULL,
        .residual = residual ? residual->data : NULL,
        .y = t->data,
        .x_row = nv_stride(x, 1),
        .x_column = nv_stride(x, 0),
        .x_channel = nv_stride(x, 2),
        .w_out = nv_stride(w, 3),
        .w_tap = nv_stride(w, 0),
        .w_in = nv_stride(w, 2),
        .y_row = nv_stride(t, 2),
        .y_column = nv_stride(t, 1),
        .y_channel = 1,
        .height = (int)x->ne[1] * scale,
        .width = (int)x->ne[0] * scale,
        .in = (int)x->ne[2],
        .out_height = (int)t->ne[2],
        .out_width = (int)t->ne[1],
        .out = (int)t->ne[0],
        .kh = (int)w->ne[1],
        .kw = (int)w->ne[0],
        .stride = p.stride,
        .pad_left = p.left,
        .pad_top = p.top,
        .up = p.up,
        .x_type = nv_type_of(x),
        .w_type = nv_type_of(w),
        .y_type = nv_type_of(t),
        .residual_type = nv_type_of(t),
    };
}

/* The matrix units read eight channels at a time, and kernels with their channels last. */
static bool suits_bf16(const struct nv_conv *c)
{
    return c->x_type == NV_BF16 && c->w_type == NV_BF16 && c->in % 8 == 0 && c->w_in == 1 &&
           c->w_tap == c->in && c->x_channel == 1 && c->x_column % 8 == 0 && c->x_row % 8 == 0 &&
           ((uintptr_t)c->x | (uintptr_t)c->w) % 16 == 0;
}

static enum err_code map_image(const struct nv_job *j, const struct nv_conv *c,
                               struct nv_tensor_map *out)
{
    const struct nv_map_spec s = {
        .p = (nv_ptr)(uintptr_t)c->x,
        .columns = (uint64_t)c->in,
        .rows = (uint64_t)c->width,
        .outer = (uint64_t)c->height,
        .row_stride = (uint64_t)c->x_column,
        .outer_stride = (uint64_t)c->x_row,
        .box_columns = 64,
        .box_rows = 16 * (uint32_t)c->stride,
        .box_outer = 8 * (uint32_t)c->stride,
        .step = (uint32_t)c->stride,
    };
    return nv_tensor_map_make(j->card, &s, out, j->e);
}

/* Tiles of 8 x 16 pixels, in pairs, by 256 or 128 channels: whichever leaves fewer of the card's pairs of blocks idle. */
static enum err_code launch_tma(const struct nv_job *j, const struct nv_conv *c)
{
    int64_t tiles = divide_up(divide_up(c->out_height, 8) * divide_up(c->out_width, 16), 2);
    int64_t pairs = nv_card_multiprocessors(j->card) / 2;
    int64_t wide = divide_up(tiles * divide_up(c->out, 256), pairs) * 256;
    int64_t narrow = divide_up(tiles * divide_up(c->out, 128), pairs) * 128;
    bool is_wide = wide <= narrow && c->out > 128;
    tiles *= divide_up(c->out, is_wide ? 256 : 128);
    struct nv_conv_tma p = {
        .g = {.bias = c->bias,
              .residual = c->residual,
              .y = c->y,
              .ldy = c->y_column,
              .ldr = c->y_column,
              .m = c->out_height * c->out_width,
              .n = c->out,
              .k = c->kh * c->kw * c->in,
              .scale = 1.0f,
              .x_type = NV_BF16,
              .w_type = NV_BF16,
              .y_type = c->y_type,
              .residual_type = c->residual_type},
        .in = c->in,
        .out_height = c->out_height,
        .out_width = c->out_width,
        .kh = c->kh,
        .kw = c->kw,
        .stride = c->stride,
        .pad_left = c->pad_left,
        .pad_top = c->pad_top,
    };
    TRY(map_image(j, c, &p.x_map));
    int64_t k = (int64_t)c->kh * c->kw * c->in;
    TRY(nv_rows_map(j, c->w, NV_BF16, k, c->out, c->w_out, 64, &p.w_map));
    return nv_launch(j->card, is_wide ? NV_KERNEL_conv_tma_256 : NV_KERNEL_conv_tma_128,
                     (struct nv_grid){.x = 2 * (tiles < pairs ? tiles : pairs)}, &p, j->e);
}

static enum err_code launch_conv(const struct nv_job *j)
{
    struct nv_conv c = conv_of(j->t);
    int64_t pixels = (int64_t)c.out_height * c.out_width;
    if (suits_bf16(&c) && !c.up && nv_card_architecture(j->card) >= 90)
        return launch_tma(j, &c);
    if (suits_bf16(&c))
        return nv_launch(j->card, NV_KERNEL_conv_bf16,
                         (struct nv_grid){.x = divide_up(pixels, 128) * divide_up(c.out, 128)}, &c,
                         j->e);
    return nv_launch(j->card, NV_KERNEL_conv_exact,
                     (struct nv_grid){.x = divide_up(pixels, 64), .y = divide_up(c.out, 64)}, &c,
                     j->e);
}

static double conv_flops(const struct ggml_tensor *t)
{
    const struct ggml_tensor *w = t->src[CONV_W];
    return 2.0 * (double)ggml_nelements(t) * (double)(w->ne[0] * w->ne[1] * w->ne[2]);
}

static struct ggml_tensor *over_residual(const struct ggml_tensor *t)
{
    return nv_if_congruent(t, t->src[CONV_RESIDUAL]);
}

static const struct nv_op op_conv = {
    .name = "convolution", .launch = launch_conv, .flops = conv_flops, .in_place = over_residual};

/* What was doubled, where all of x is the result of that: the convolution doubles it on the way, unless it is one of
 * sm_90, which goes so much faster that a doubled image in memory costs less. */
static struct ggml_tensor *before_upsampling(struct nn_graph *g, struct ggml_tensor *x)
{
    struct ggml_tensor *t = x->view_src;
    bool whole = t && x->view_offs == 0 && ggml_nelements(t) == ggml_nelements(x);
    bool by_tma =
        nv_card_architecture(nn_device_card(g->device)) >= 90 && !g->exact && x->ne[2] % 8 == 0;
    return !by_tma && whole && nv_op_of(t) == &op_upsample ? turned_back(g, t->src[0]) : NULL;
}

struct ggml_tensor *nv_conv2d(struct nn_graph *g, const struct nn_param *w,
                              const struct nn_param *b, struct ggml_tensor *x, int stride,
                              struct nn_padding pad, struct ggml_tensor *residual)
{
    if (!nv_is_on(g))
        return NULL;
    struct ggml_tensor *small = before_upsampling(g, x);
    x = as_image(g, x);
    const struct conv_params p = {
        .stride = stride, .left = pad.left, .top = pad.top, .up = small != NULL};
    struct ggml_tensor *src[CONV_SOURCES] = {small ? small : x, w->t, b ? b->t : NULL,
                                             residual ? turned(g, as_dense_image(g, residual))
                                                      : NULL};
    int64_t width = (x->ne[0] + pad.left + pad.right - w->t->ne[0]) / stride + 1;
    int64_t height = (x->ne[1] + pad.top + pad.bottom - w->t->ne[1]) / stride + 1;
    return image_node(g,
                      &(struct nv_node){.op = &op_conv,
                                        .type = nv_product_type(g),
                                        .src = src,
                                        .n_src = CONV_SOURCES,
                                        .params = &p,
                                        .params_bytes = sizeof p},
                      w->t->ne[3], width, height);
}

/* ---- norms over groups of channels ----------------------------------------------------------------------------- */

struct group_params {
    int groups, silu;
    float eps;
};

enum { GROUP_X, GROUP_SUMS, GROUP_WEIGHT, GROUP_BIAS, GROUP_SOURCES };
enum { MAX_PARTS = 512, PART_PIXELS = 1024 };

static int64_t pixels_of(const struct ggml_tensor *x)
{
    return x->ne[0] * x->ne[1];
}

static int parts_of(const struct ggml_tensor *x)
{
    int64_t n = divide_up(pixels_of(x), PART_PIXELS);
    return (int)(n < MAX_PARTS ? n : MAX_PARTS);
}

static size_t pad(size_t n)
{
    return (n + 255) / 256 * 256;
}

static size_t state_bytes(const struct ggml_tensor *x)
{
    return pad((size_t)(parts_of(x) * x->ne[2]) * 3 * sizeof(float));
}

static size_t pair_bytes(const struct ggml_tensor *x)
{
    return pad((size_t)x->ne[2] * 2 * sizeof(float));
}

/* x is a dense image. */
static struct nv_group_norm norm_of(const struct ggml_tensor *x)
{
    return (struct nv_group_norm){
        .x = x->data,
        .x_pixel = nv_stride(x, 0),
        .x_channel = nv_stride(x, 2),
        .pixels = pixels_of(x),
        .channels = (int)x->ne[2],
        .parts = parts_of(x),
        .x_type = nv_type_of(x),
    };
}

static enum err_code launch_sums(const struct nv_job *j, struct nv_group_norm *n)
{
    const struct nv_grid parts = {.x = n->parts, .y = divide_up(n->channels, 32)};
    TRY(nv_launch(j->card, NV_KERNEL_channel_sums, parts, n, j->e));
    return nv_launch(j->card, NV_KERNEL_channel_moments,
                     (struct nv_grid){.x = divide_up(n->channels, 8)}, n, j->e);
}

static enum err_code launch_moments(const struct nv_job *j)
{
    struct nv_group_norm n = norm_of(j->t->src[GROUP_X]);
    n.state = (float *)(uintptr_t)j->scratch;
    n.moments = j->t->data;
    return launch_sums(j, &n);
}

static size_t moments_scratch(const struct ggml_tensor *t)
{
    return state_bytes(t->src[GROUP_X]);
}

/* Scratch: scales, and, unless they are given, state and moments. Given moments are of one pixel each: the channel's mean and
 * variance. */
static enum err_code launch_group_norm(const struct nv_job *j)
{
    struct group_params p;
    const struct ggml_tensor *t = j->t, *x = t->src[GROUP_X], *sums = t->src[GROUP_SUMS];
    char *at = (char *)(uintptr_t)j->scratch;
    struct nv_group_norm n = norm_of(x);
    nv_params_of(t, &p, sizeof p);
    n.y = t->data;
    n.weight = t->src[GROUP_WEIGHT]->data;
    n.bias = t->src[GROUP_BIAS]->data;
    n.scales = (float *)(void *)at;
    n.moments = sums ? sums->data : at + pair_bytes(x);
    n.state = (float *)(void *)(at + 2 * pair_bytes(x));
    n.y_pixel = t->ne[0];
    n.y_channel = 1;
    n.groups = p.groups;
    n.silu = p.silu;
    n.eps = p.eps;
    n.y_type = nv_type_of(t);
    int64_t blocks = divide_up(n.pixels * n.channels, 2048);
    int64_t most = (int64_t)nv_card_multiprocessors(j->card) * 16;
    enum err_code rc = sums ? ERR_OK : launch_sums(j, &n);
    if (sums)
        n.pixels = 1;
    if (rc == ERR_OK)
        rc = nv_launch(j->card, NV_KERNEL_group_scales, (struct nv_grid){.x = n.groups}, &n, j->e);
    n.pixels = pixels_of(x);
    if (rc == ERR_OK)
        rc = nv_launch(j->card, NV_KERNEL_group_apply,
                       (struct nv_grid){.x = blocks < most ? blocks : most}, &n, j->e);
    return rc;
}

static size_t group_scratch(const struct ggml_tensor *t)
{
    const struct ggml_tensor *x = t->src[GROUP_X];
    return t->src[GROUP_SUMS] ? pair_bytes(x) : 2 * pair_bytes(x) + state_bytes(x);
}

static const struct nv_op op_moments = {
    .name = "channel sums", .launch = launch_moments, .scratch = moments_scratch};
/* x looks like an image, t has its dimensions in the order of memory. */
static struct ggml_tensor *over_image(const struct ggml_tensor *t)
{
    struct ggml_tensor *x = t->src[GROUP_X];
    bool same = x->type == t->type && nv_stride(x, 2) == 1 && x->ne[2] == t->ne[0];
    return same && x->nb[0] == t->nb[1] && x->nb[1] == t->nb[2] ? x : NULL;
}

static const struct nv_op op_group_norm = {.name = "group norm",
                                           .launch = launch_group_norm,
                                           .scratch = group_scratch,
                                           .in_place = over_image};

struct ggml_tensor *nv_channel_moments(struct nn_graph *g, struct ggml_tensor *x)
{
    if (!nv_is_on(g))
        return NULL;
    struct ggml_tensor *src[] = {as_dense_image(g, x)};
    return nv_node_new(g, &(struct nv_node){.op = &op_moments,
                                            .type = GGML_TYPE_F32,
                                            .ne = {x->ne[2], 2, 1, 1},
                                            .src = src,
                                            .n_src = 1});
}

struct ggml_tensor *nv_group_norm(struct nn_graph *g, struct ggml_tensor *x,
                                  struct ggml_tensor *sums, const struct nn_group_norm *norm)
{
    if (!nv_is_on(g))
        return NULL;
    x = as_dense_image(g, x);
    const struct group_params p = {.groups = norm->groups, .silu = norm->silu, .eps = norm->eps};
    struct ggml_tensor *src[GROUP_SOURCES] = {x, sums, norm->w->t, norm->b->t};
    return image_node(g,
                      &(struct nv_node){.op = &op_group_norm,
                                        .type = nv_product_type(g),
                                        .src = src,
                                        .n_src = GROUP_SOURCES,
                                        .params = &p,
                                        .params_bytes = sizeof p},
                      x->ne[2], x->ne[0], x->ne[1]);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static enum err_code launch_add(const struct nv_job *j)
{
    const struct nv_map_job m = {.a = j->t->src[0], .b = j->t->src[1], .y = j->t, .op = NV_MAP_ADD};
    return nv_map_launch(j, &m);
}

static struct ggml_tensor *over_first(const struct ggml_tensor *t)
{
    return nv_if_congruent(t, t->src[0]);
}

static const struct nv_op op_add = {.name = "add", .launch = launch_add, .in_place = over_first};

struct ggml_tensor *nv_add_images(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b)
{
    if (!nv_is_on(g))
        return NULL;
    struct ggml_tensor *src[] = {turned(g, as_image(g, a)), turned(g, as_image(g, b))};
    return image_node(
        g, &(struct nv_node){.op = &op_add, .type = nv_product_type(g), .src = src, .n_src = 2},
        a->ne[2], a->ne[0], a->ne[1]);
}

struct ggml_tensor *nv_pixels_to_tokens(struct nn_graph *g, struct ggml_tensor *x)
{
    if (!nv_is_on(g))
        return NULL;
    x = as_dense_image(g, x);
    return ggml_view_2d(nn_ctx(g), x, x->ne[2], x->ne[0] * x->ne[1], x->nb[0], 0);
}

struct ggml_tensor *nv_tokens_to_pixels(struct nn_graph *g, struct ggml_tensor *x, int64_t height,
                                        int64_t width)
{
    if (!nv_is_on(g))
        return NULL;
    if (!ggml_is_contiguous(x))
        x = ggml_cont(nn_ctx(g), x);
    return turned_back(g, ggml_reshape_3d(nn_ctx(g), x, x->ne[0], width, height));
}
