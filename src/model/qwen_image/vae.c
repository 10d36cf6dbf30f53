#include "model/qwen_image/vae.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/blocks.h"

enum { MAX_RESNETS = 20 };

struct conv {
    struct nn_param *w, *b;
};

struct resnet {
    struct nn_param *norm1, *norm2;
    struct conv conv1, conv2, shortcut; /* shortcut.w is NULL when the widths are equal */
};

struct mid_block {
    struct resnet resnets[2];
    struct nn_param *norm;
    struct conv q, k, v, out; /* linear layers with bias */
};

struct level {
    struct resnet resnets[MAX_RESNETS];
    int n_resnets;
    struct conv resample; /* w is NULL at the end of the chain */
};

struct half {
    struct conv conv_in, conv_out, quant;
    struct mid_block mid;
    struct level levels[QWEN_IMAGE_VAE_MAX_LEVELS]; /* in the order in which they run */
    struct nn_param *norm_out;
};

struct qwen_image_vae {
    struct qwen_image_vae_config cfg;
    struct nn_device *device;
    struct nn_params *params;
    struct half enc, dec;
};

/* ---- parameters ------------------------------------------------------------------------------------ */

static struct nn_param *declare_bias(struct model_loader *l, const char *name, int64_t n)
{
    char s[80];
    (void)snprintf(s, sizeof s, "%s.bias", name);
    return model_vector(l, s, n);
}

/* A kernel over time, height and width, of which the last slice counts. */
static struct conv declare_causal(struct model_loader *l, const char *name, int64_t out, int64_t in)
{
    char s[240];
    struct conv r = {0};
    (void)snprintf(s, sizeof s, "%s%s.weight", l->prefix, name);
    if (l->rc == ERR_OK)
        l->rc = nn_params_add(l->ps, NN_KERNEL_LAST_SLICE, s, 5, (int64_t[]){out, in, 3, 3, 3},
                              &r.w, l->e);
    r.b = declare_bias(l, name, out);
    return r;
}

static struct conv declare_conv(struct model_loader *l, const char *name, int64_t out, int64_t in,
                                int64_t k)
{
    char s[80];
    struct conv r;
    (void)snprintf(s, sizeof s, "%s.weight", name);
    r.w = model_kernel(l, s, out, in, k, k);
    r.b = declare_bias(l, name, out);
    return r;
}

static struct conv declare_linear(struct model_loader *l, const char *name, int64_t n)
{
    char s[80];
    struct conv r;
    (void)snprintf(s, sizeof s, "%s.weight", name);
    r.w = model_matrix(l, s, n, n);
    r.b = declare_bias(l, name, n);
    return r;
}

static struct resnet declare_resnet(struct model_loader *l, int64_t in, int64_t out)
{
    struct resnet r = {0};
    r.norm1 = model_vector(l, "norm1.gamma", in);
    r.conv1 = declare_causal(l, "conv1", out, in);
    r.norm2 = model_vector(l, "norm2.gamma", out);
    r.conv2 = declare_causal(l, "conv2", out, out);
    if (in != out)
        r.shortcut = declare_conv(l, "conv_shortcut", out, in, 1);
    return r;
}

static void declare_mid(struct model_loader *l, const char *half, int64_t n, struct mid_block *m)
{
    for (int i = 0; i < 2; i++) {
        model_loader_prefix(l, "%s.mid_block.resnets.%d.", half, i);
        m->resnets[i] = declare_resnet(l, n, n);
    }
    model_loader_prefix(l, "%s.mid_block.attentions.0.", half);
    m->norm = model_vector(l, "norm.gamma", n);
    m->q = declare_linear(l, "to_q", n);
    m->k = declare_linear(l, "to_k", n);
    m->v = declare_linear(l, "to_v", n);
    m->out = declare_linear(l, "proj", n);
}

static void declare_decoder(struct model_loader *l, const struct qwen_image_vae_config *c,
                            struct half *h)
{
    int64_t n = c->n_levels, z = c->latent_channels, width = c->widths[n - 1];
    model_loader_prefix(l, "%s", "");
    h->quant = declare_conv(l, "post_quant_conv", z, z, 1);
    model_loader_prefix(l, "decoder.");
    h->conv_in = declare_causal(l, "conv_in", width, z);
    declare_mid(l, "decoder", width, &h->mid);
    for (int64_t i = 0; i < n; i++) {
        struct level *y = &h->levels[i];
        int64_t out = c->widths[n - 1 - i];
        y->n_resnets = (int)c->resnets + 1;
        for (int j = 0; j < y->n_resnets; j++) {
            model_loader_prefix(l, "decoder.up_blocks.%d.resnets.%d.", (int)i, j);
            y->resnets[j] = declare_resnet(l, j ? out : width, out);
        }
        width = out;
        model_loader_prefix(l, "decoder.up_blocks.%d.", (int)i);
        if (i + 1 < n) {
            width = out / 2;
            y->resample = declare_conv(l, "upsamplers.0.resample.1", width, out, 3);
        }
    }
    model_loader_prefix(l, "decoder.");
    h->norm_out = model_vector(l, "norm_out.gamma", width);
    h->conv_out = declare_causal(l, "conv_out", QWEN_IMAGE_VAE_CHANNELS, width);
}

static void declare_encoder(struct model_loader *l, const struct qwen_image_vae_config *c,
                            struct half *h)
{
    int64_t width = c->base_width, z2 = 2 * c->latent_channels;
    int flat = 0;
    model_loader_prefix(l, "encoder.");
    h->conv_in = declare_causal(l, "conv_in", width, QWEN_IMAGE_VAE_CHANNELS);
    for (int64_t i = 0; i < c->n_levels; i++) {
        struct level *y = &h->levels[i];
        int64_t out = c->widths[i];
        y->n_resnets = (int)c->resnets;
        for (int j = 0; j < y->n_resnets; j++) {
            model_loader_prefix(l, "encoder.down_blocks.%d.", flat++);
            y->resnets[j] = declare_resnet(l, j ? out : width, out);
        }
        width = out;
        if (i + 1 == c->n_levels)
            break;
        model_loader_prefix(l, "encoder.down_blocks.%d.", flat++);
        y->resample = declare_conv(l, "resample.1", out, out, 3);
    }
    declare_mid(l, "encoder", width, &h->mid);
    model_loader_prefix(l, "encoder.");
    h->norm_out = model_vector(l, "norm_out.gamma", width);
    h->conv_out = declare_causal(l, "conv_out", z2, width);
    model_loader_prefix(l, "%s", "");
    h->quant = declare_conv(l, "quant_conv", z2, z2, 1);
}

enum err_code qwen_image_vae_new(struct component *c, struct nn_device *d,
                                 enum nn_precision precision,
                                 const struct qwen_image_vae_config *cfg, int halves,
                                 struct qwen_image_vae **out, struct err *e)
{
    *out = NULL;
    struct qwen_image_vae *v = mem_try_alloc(sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the VAE");
    v->cfg = *cfg;
    v->device = d;
    enum err_code rc = nn_params_new(c, d, precision, &v->params, e);
    if (rc == ERR_OK) {
        struct model_loader l = {.ps = v->params, .rc = ERR_OK, .e = e};
        if (halves & QWEN_IMAGE_VAE_ENCODER)
            declare_encoder(&l, cfg, &v->enc);
        if (halves & QWEN_IMAGE_VAE_DECODER)
            declare_decoder(&l, cfg, &v->dec);
        rc = l.rc;
    }
    if (rc != ERR_OK) {
        qwen_image_vae_free(v);
        return rc;
    }
    *out = v;
    return ERR_OK;
}

void qwen_image_vae_free(struct qwen_image_vae *v)
{
    if (!v)
        return;
    nn_params_free(v->params);
    mem_free(v);
}

struct nn_params *qwen_image_vae_params(struct qwen_image_vae *v)
{
    return v->params;
}

const struct qwen_image_vae_config *qwen_image_vae_config(const struct qwen_image_vae *v)
{
    return &v->cfg;
}

/* ---- graph ----------------------------------------------------------------------------------------- */

static const struct nn_padding PAD_1 = {1, 1, 1, 1}, PAD_0 = {0}, PAD_RIGHT_BOTTOM = {0, 1, 0, 1};

static struct ggml_tensor *conv(struct nn_graph *g, const struct conv *c, struct ggml_tensor *x,
                                int stride, struct nn_padding pad)
{
    return nn_conv2d(g, c->w, c->b, x, stride, pad);
}

/* Tokens [pixels, channels]: x / |x| * sqrt(channels) * gamma, which is an RMS norm. The reference holds |x|
 * above 1e-12; here the tiny eps does that: pixels of zeros stay zeros. */
static struct ggml_tensor *norm_tokens(struct nn_graph *g, const struct nn_param *gamma,
                                       struct ggml_tensor *t)
{
    return nn_rms_norm(g, t, gamma, 1e-30f);
}

static struct ggml_tensor *norm_silu(struct nn_graph *g, const struct nn_param *gamma,
                                     struct ggml_tensor *x)
{
    struct ggml_tensor *t = nn_silu(g, norm_tokens(g, gamma, nn_pixels_to_tokens(g, x)));
    return nn_tokens_to_pixels(g, t, x->ne[1], x->ne[0]);
}

static struct ggml_tensor *resnet(struct nn_graph *g, const struct resnet *r, struct ggml_tensor *x)
{
    struct ggml_tensor *h = conv(g, &r->conv1, norm_silu(g, r->norm1, x), 1, PAD_1);
    h = conv(g, &r->conv2, norm_silu(g, r->norm2, h), 1, PAD_1);
    if (r->shortcut.w)
        x = conv(g, &r->shortcut, x, 1, PAD_0);
    return ggml_add(g->ctx, x, h);
}

static struct ggml_tensor *one_head(struct nn_graph *g, const struct conv *c, struct ggml_tensor *t)
{
    struct ggml_tensor *y = nn_linear(g, c->w, c->b, t);
    return ggml_reshape_3d(g->ctx, y, y->ne[0], 1, y->ne[1]);
}

static struct ggml_tensor *mid_block(struct nn_graph *g, const struct mid_block *m,
                                     struct ggml_tensor *x)
{
    x = resnet(g, &m->resnets[0], x);
    struct ggml_tensor *t = norm_tokens(g, m->norm, nn_pixels_to_tokens(g, x));
    struct ggml_tensor *a =
        nn_attention(g, one_head(g, &m->q, t), one_head(g, &m->k, t), one_head(g, &m->v, t), NULL,
                     1.0f / sqrtf((float)t->ne[0]));
    a = nn_linear(g, m->out.w, m->out.b, a);
    x = ggml_add(g->ctx, x, nn_tokens_to_pixels(g, a, x->ne[1], x->ne[0]));
    return resnet(g, &m->resnets[1], x);
}

static struct ggml_tensor *head(struct nn_graph *g, const struct half *h, const char *name,
                                struct ggml_tensor *x)
{
    struct ggml_tensor *t = norm_tokens(g, h->norm_out, nn_pixels_to_tokens(g, x));
    if (g->trace)
        nn_mid(g, nn_tokens_to_pixels(g, t, x->ne[1], x->ne[0]), "mid.%s.norm_out", name);
    x = nn_tokens_to_pixels(g, nn_silu(g, t), x->ne[1], x->ne[0]);
    return nn_mid(g, conv(g, &h->conv_out, x, 1, PAD_1), "mid.%s.conv_out", name);
}

static struct ggml_tensor *build_decoder(const struct qwen_image_vae *v, struct nn_graph *g,
                                         struct ggml_tensor *x)
{
    const struct half *h = &v->dec;
    x = nn_mid(g, conv(g, &h->quant, x, 1, PAD_0), "mid.post_quant_conv");
    x = nn_mid(g, conv(g, &h->conv_in, x, 1, PAD_1), "mid.decoder.conv_in");
    x = nn_mid(g, mid_block(g, &h->mid, x), "mid.decoder.mid_block");
    for (int i = 0; i < (int)v->cfg.n_levels; i++) {
        const struct level *y = &h->levels[i];
        for (int j = 0; j < y->n_resnets; j++)
            x = resnet(g, &y->resnets[j], x);
        if (y->resample.w)
            x = conv(g, &y->resample, nn_upsample2x(g, x), 1, PAD_1);
        nn_mid(g, x, "mid.decoder.up_blocks.%d", i);
    }
    return ggml_clamp(g->ctx, head(g, h, "decoder", x), -1.0f, 1.0f);
}

static struct ggml_tensor *build_encoder(const struct qwen_image_vae *v, struct nn_graph *g,
                                         struct ggml_tensor *x)
{
    const struct half *h = &v->enc;
    int flat = 0;
    x = nn_mid(g, conv(g, &h->conv_in, x, 1, PAD_1), "mid.encoder.conv_in");
    for (int i = 0; i < (int)v->cfg.n_levels; i++) {
        const struct level *y = &h->levels[i];
        for (int j = 0; j < y->n_resnets; j++)
            x = nn_mid(g, resnet(g, &y->resnets[j], x), "mid.encoder.down_blocks.%d", flat++);
        if (y->resample.w)
            x = nn_mid(g, conv(g, &y->resample, x, 2, PAD_RIGHT_BOTTOM),
                       "mid.encoder.down_blocks.%d", flat++);
    }
    x = nn_mid(g, mid_block(g, &h->mid, x), "mid.encoder.mid_block");
    x = head(g, h, "encoder", x);
    return nn_mid(g, conv(g, &h->quant, x, 1, PAD_0), "mid.quant_conv");
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static enum err_code report_mids(const struct nn_graph *g, const struct qwen_image_vae_run *run,
                                 struct err *e)
{
    for (size_t i = 0; i < g->n_mids; i++) {
        const struct ggml_tensor *t = g->mids[i].t;
        float *data = mem_try_array((size_t)ggml_nelements(t), sizeof *data);
        if (!data)
            return err_set(e, ERR_NOMEM, "no memory for a trace");
        nn_graph_get(g, t, data);
        int64_t dims[4] = {t->ne[3], t->ne[2], t->ne[1], t->ne[0]};
        run->mid(g->mids[i].name, data, dims, 4, run->user);
        mem_free(data);
    }
    return ERR_OK;
}

typedef struct ggml_tensor *(*build_fn)(const struct qwen_image_vae *v, struct nn_graph *g,
                                        struct ggml_tensor *x);

struct picture {
    const float *data;
    int64_t channels, h, w;
};

static enum err_code run_half(struct qwen_image_vae *v, build_fn build, struct picture in,
                              float *out, const struct qwen_image_vae_run *run, struct err *e)
{
    struct nn_graph g;
    enum err_code rc = nn_graph_init(&g, v->device, 8192, run && run->mid, e);
    if (rc != ERR_OK)
        return rc;
    g.exact = nn_params_precision(v->params) == NN_PRECISION_F32;
    struct ggml_tensor *x = nn_input(&g, in.w, in.h, in.channels, 1);
    struct ggml_tensor *y = build(v, &g, x);
    nn_graph_output(&g, y);
    rc = nn_graph_prepare(&g, e);
    if (rc == ERR_OK) {
        nn_graph_set(&g, x, in.data);
        rc = nn_graph_run(&g, run ? run->cancel : NULL, e);
    }
    if (rc == ERR_OK)
        nn_graph_get(&g, y, out);
    if (rc == ERR_OK && run && run->mid)
        rc = report_mids(&g, run, e);
    nn_graph_deinit(&g);
    return rc;
}

enum err_code qwen_image_vae_decode(struct qwen_image_vae *v, const float *latents, int64_t h,
                                    int64_t w, float *out, const struct qwen_image_vae_run *run,
                                    struct err *e)
{
    struct picture in = {latents, v->cfg.latent_channels, h, w};
    return run_half(v, build_decoder, in, out, run, e);
}

enum err_code qwen_image_vae_encode(struct qwen_image_vae *v, const float *picture, int64_t h,
                                    int64_t w, float *moments, const struct qwen_image_vae_run *run,
                                    struct err *e)
{
    int64_t s = qwen_image_vae_scale(&v->cfg);
    if (h % s != 0 || w % s != 0)
        return err_set(e, ERR_INTERNAL, "a picture of %lld x %lld is no multiple of %lld",
                       (long long)w, (long long)h, (long long)s);
    struct picture in = {picture, QWEN_IMAGE_VAE_CHANNELS, h, w};
    return run_half(v, build_encoder, in, moments, run, e);
}
