#include "model/flux2/vae.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/blocks.h"

enum { MAX_RESNETS = 20 };

static const float NORM_EPS = 1e-6f;

struct norm {
    struct nn_param *w, *b;
};

struct conv {
    struct nn_param *w, *b;
};

struct resnet {
    struct norm norm1, norm2;
    struct conv conv1, conv2, shortcut; /* shortcut.w is NULL when the widths are equal */
};

struct mid_block {
    struct resnet resnets[2];
    struct norm norm;
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
    struct level levels[FLUX2_VAE_MAX_LEVELS]; /* in the order in which they run */
    struct norm norm_out;
};

struct flux2_vae {
    struct flux2_vae_config cfg;
    struct nn_device *device;
    struct nn_params *params;
    struct half enc, dec;
    float *mean, *std; /* [4 * latent_channels] */
};

/* ---- parameters ------------------------------------------------------------------------------------ */

static struct norm declare_norm(struct model_loader *l, const char *name, int64_t n)
{
    char s[80];
    struct norm r;
    (void)snprintf(s, sizeof s, "%s.weight", name);
    r.w = model_vector(l, s, n);
    (void)snprintf(s, sizeof s, "%s.bias", name);
    r.b = model_vector(l, s, n);
    return r;
}

static struct conv declare_conv(struct model_loader *l, const char *name, int64_t out, int64_t in,
                                int64_t k)
{
    char s[80];
    struct conv r;
    (void)snprintf(s, sizeof s, "%s.weight", name);
    r.w = model_kernel(l, s, out, in, k, k);
    (void)snprintf(s, sizeof s, "%s.bias", name);
    r.b = model_vector(l, s, out);
    return r;
}

static struct conv declare_linear(struct model_loader *l, const char *name, int64_t n)
{
    char s[80];
    struct conv r;
    (void)snprintf(s, sizeof s, "%s.weight", name);
    r.w = model_matrix(l, s, n, n);
    (void)snprintf(s, sizeof s, "%s.bias", name);
    r.b = model_vector(l, s, n);
    return r;
}

static struct resnet declare_resnet(struct model_loader *l, int64_t in, int64_t out)
{
    struct resnet r = {0};
    r.norm1 = declare_norm(l, "norm1", in);
    r.conv1 = declare_conv(l, "conv1", out, in, 3);
    r.norm2 = declare_norm(l, "norm2", out);
    r.conv2 = declare_conv(l, "conv2", out, out, 3);
    if (in != out)
        r.shortcut = declare_conv(l, "conv_shortcut", out, in, 1);
    return r;
}

static void declare_mid(struct model_loader *l, const char *half, int64_t n, bool attention,
                        struct mid_block *m)
{
    for (int i = 0; i < 2; i++) {
        model_loader_prefix(l, "%s.mid_block.resnets.%d.", half, i);
        m->resnets[i] = declare_resnet(l, n, n);
    }
    if (!attention)
        return;
    model_loader_prefix(l, "%s.mid_block.attentions.0.", half);
    m->norm = declare_norm(l, "group_norm", n);
    m->q = declare_linear(l, "to_q", n);
    m->k = declare_linear(l, "to_k", n);
    m->v = declare_linear(l, "to_v", n);
    m->out = declare_linear(l, "to_out.0", n);
}

static void declare_decoder(struct model_loader *l, const struct flux2_vae_config *c,
                            struct half *h)
{
    int64_t n = c->n_levels, width = c->decoder_channels[n - 1];
    model_loader_prefix(l, "%s", "");
    if (c->use_post_quant_conv)
        h->quant = declare_conv(l, "post_quant_conv", c->latent_channels, c->latent_channels, 1);
    model_loader_prefix(l, "decoder.");
    h->conv_in = declare_conv(l, "conv_in", width, c->latent_channels, 3);
    declare_mid(l, "decoder", width, c->mid_attention, &h->mid);
    for (int64_t i = 0; i < n; i++) {
        struct level *y = &h->levels[i];
        int64_t out = c->decoder_channels[n - 1 - i];
        y->n_resnets = (int)c->layers_per_block + 1;
        for (int j = 0; j < y->n_resnets; j++) {
            model_loader_prefix(l, "decoder.up_blocks.%d.resnets.%d.", (int)i, j);
            y->resnets[j] = declare_resnet(l, j ? out : width, out);
        }
        model_loader_prefix(l, "decoder.up_blocks.%d.", (int)i);
        if (i + 1 < n)
            y->resample = declare_conv(l, "upsamplers.0.conv", out, out, 3);
        width = out;
    }
    model_loader_prefix(l, "decoder.");
    h->norm_out = declare_norm(l, "conv_norm_out", width);
    h->conv_out = declare_conv(l, "conv_out", c->out_channels, width, 3);
}

static void declare_encoder(struct model_loader *l, const struct flux2_vae_config *c,
                            struct half *h)
{
    int64_t width = c->encoder_channels[0];
    model_loader_prefix(l, "encoder.");
    h->conv_in = declare_conv(l, "conv_in", width, c->in_channels, 3);
    for (int64_t i = 0; i < c->n_levels; i++) {
        struct level *y = &h->levels[i];
        int64_t out = c->encoder_channels[i];
        y->n_resnets = (int)c->layers_per_block;
        for (int j = 0; j < y->n_resnets; j++) {
            model_loader_prefix(l, "encoder.down_blocks.%d.resnets.%d.", (int)i, j);
            y->resnets[j] = declare_resnet(l, j ? out : width, out);
        }
        model_loader_prefix(l, "encoder.down_blocks.%d.", (int)i);
        if (i + 1 < c->n_levels)
            y->resample = declare_conv(l, "downsamplers.0.conv", out, out, 3);
        width = out;
    }
    declare_mid(l, "encoder", width, c->mid_attention, &h->mid);
    model_loader_prefix(l, "encoder.");
    h->norm_out = declare_norm(l, "conv_norm_out", width);
    h->conv_out = declare_conv(l, "conv_out", 2 * c->latent_channels, width, 3);
    model_loader_prefix(l, "%s", "");
    if (c->use_quant_conv)
        h->quant = declare_conv(l, "quant_conv", 2 * c->latent_channels, 2 * c->latent_channels, 1);
}

/* running_mean and sqrt(running_var + eps), read on the host. */
static enum err_code read_statistics(struct flux2_vae *v, struct component *c, struct err *e)
{
    int64_t n = 4 * v->cfg.latent_channels;
    struct weights_view mean, var;
    enum err_code rc = component_find(c, "bn.running_mean", 1, &n, &mean, e);
    if (rc == ERR_OK)
        rc = component_find(c, "bn.running_var", 1, &n, &var, e);
    v->mean = mem_try_array((size_t)n, sizeof(float));
    v->std = mem_try_array((size_t)n, sizeof(float));
    if (rc == ERR_OK && (!v->mean || !v->std))
        rc = err_set(e, ERR_NOMEM, "no memory for the VAE");
    if (rc == ERR_OK)
        rc = nn_view_rows_f32(&mean, 0, 1, v->mean, e);
    if (rc == ERR_OK)
        rc = nn_view_rows_f32(&var, 0, 1, v->std, e);
    for (int64_t i = 0; rc == ERR_OK && i < n; i++) {
        v->std[i] = sqrtf(v->std[i] + (float)v->cfg.batch_norm_eps);
        if (!isfinite(v->mean[i]))
            rc = err_set(e, ERR_NUMERIC, "tensor 'bn.running_mean' holds NaN or infinity at %lld",
                         (long long)i);
        else if (!(v->std[i] > 0))
            rc = err_set(e, ERR_NUMERIC, "tensor 'bn.running_var' holds no variance at %lld",
                         (long long)i);
    }
    return rc;
}

enum err_code flux2_vae_new(struct component *c, struct nn_device *d, enum nn_precision precision,
                            const struct flux2_vae_config *cfg, int halves, struct flux2_vae **out,
                            struct err *e)
{
    *out = NULL;
    struct flux2_vae *v = mem_try_alloc(sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the VAE");
    v->cfg = *cfg;
    v->device = d;
    enum err_code rc = nn_params_new(c, d, precision, &v->params, e);
    if (rc == ERR_OK) {
        struct model_loader l = {.ps = v->params, .rc = ERR_OK, .e = e};
        if (halves & FLUX2_VAE_ENCODER)
            declare_encoder(&l, cfg, &v->enc);
        if (halves & FLUX2_VAE_DECODER)
            declare_decoder(&l, cfg, &v->dec);
        rc = l.rc;
    }
    if (rc == ERR_OK)
        rc = read_statistics(v, c, e);
    if (rc != ERR_OK) {
        flux2_vae_free(v);
        return rc;
    }
    *out = v;
    return ERR_OK;
}

void flux2_vae_free(struct flux2_vae *v)
{
    if (!v)
        return;
    nn_params_free(v->params);
    mem_free(v->mean);
    mem_free(v->std);
    mem_free(v);
}

struct nn_params *flux2_vae_params(struct flux2_vae *v)
{
    return v->params;
}

const struct flux2_vae_config *flux2_vae_config(const struct flux2_vae *v)
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

/* The encoder's input comes from a file: see nn_moments. */
static struct ggml_tensor *norm(const struct flux2_vae *v, struct nn_graph *g, const struct norm *n,
                                struct ggml_tensor *x)
{
    bool encoder =
        (const char *)n >= (const char *)&v->enc && (const char *)n < (const char *)(&v->enc + 1);
    return nn_group_norm(g, x, n->w, n->b, (int)v->cfg.norm_groups, NORM_EPS,
                         g->exact && encoder ? NN_MOMENTS_FLOAT_SUMS : NN_MOMENTS_EXACT);
}

static struct ggml_tensor *resnet(const struct flux2_vae *v, struct nn_graph *g,
                                  const struct resnet *r, struct ggml_tensor *x)
{
    struct ggml_tensor *h = nn_silu(g, norm(v, g, &r->norm1, x));
    h = conv(g, &r->conv1, h, 1, PAD_1);
    h = nn_silu(g, norm(v, g, &r->norm2, h));
    h = conv(g, &r->conv2, h, 1, PAD_1);
    if (r->shortcut.w)
        x = conv(g, &r->shortcut, x, 1, PAD_0);
    return ggml_add(g->ctx, x, h);
}

static struct ggml_tensor *one_head(struct nn_graph *g, struct ggml_tensor *x)
{
    return ggml_reshape_3d(g->ctx, x, x->ne[0], 1, x->ne[1]);
}

static struct ggml_tensor *mid_attention(const struct flux2_vae *v, struct nn_graph *g,
                                         const struct mid_block *m, struct ggml_tensor *x)
{
    struct ggml_tensor *t = nn_pixels_to_tokens(g, norm(v, g, &m->norm, x));
    struct ggml_tensor *a = nn_attention(g, one_head(g, nn_linear(g, m->q.w, m->q.b, t)),
                                         one_head(g, nn_linear(g, m->k.w, m->k.b, t)),
                                         one_head(g, nn_linear(g, m->v.w, m->v.b, t)), NULL,
                                         1.0f / sqrtf((float)t->ne[0]));
    a = nn_linear(g, m->out.w, m->out.b, a);
    return ggml_add(g->ctx, x, nn_tokens_to_pixels(g, a, x->ne[1], x->ne[0]));
}

static struct ggml_tensor *mid_block(const struct flux2_vae *v, struct nn_graph *g,
                                     const struct mid_block *m, struct ggml_tensor *x)
{
    x = resnet(v, g, &m->resnets[0], x);
    if (m->q.w)
        x = mid_attention(v, g, m, x);
    return resnet(v, g, &m->resnets[1], x);
}

static struct ggml_tensor *level(const struct flux2_vae *v, struct nn_graph *g,
                                 const struct level *y, bool up, struct ggml_tensor *x)
{
    for (int i = 0; i < y->n_resnets; i++)
        x = resnet(v, g, &y->resnets[i], x);
    if (!y->resample.w)
        return x;
    if (up)
        return conv(g, &y->resample, nn_upsample2x(g, x), 1, PAD_1);
    return conv(g, &y->resample, x, 2, PAD_RIGHT_BOTTOM);
}

static struct ggml_tensor *head(const struct flux2_vae *v, struct nn_graph *g, const struct half *h,
                                const char *name, struct ggml_tensor *x)
{
    x = nn_mid(g, norm(v, g, &h->norm_out, x), "mid.%s.conv_norm_out", name);
    return nn_mid(g, conv(g, &h->conv_out, nn_silu(g, x), 1, PAD_1), "mid.%s.conv_out", name);
}

static struct ggml_tensor *build_decoder(const struct flux2_vae *v, struct nn_graph *g,
                                         struct ggml_tensor *x)
{
    const struct half *h = &v->dec;
    if (h->quant.w)
        x = nn_mid(g, conv(g, &h->quant, x, 1, PAD_0), "mid.post_quant_conv");
    x = nn_mid(g, conv(g, &h->conv_in, x, 1, PAD_1), "mid.decoder.conv_in");
    x = nn_mid(g, mid_block(v, g, &h->mid, x), "mid.decoder.mid_block");
    for (int i = 0; i < (int)v->cfg.n_levels; i++)
        x = nn_mid(g, level(v, g, &h->levels[i], true, x), "mid.decoder.up_blocks.%d", i);
    return head(v, g, h, "decoder", x);
}

static struct ggml_tensor *build_encoder(const struct flux2_vae *v, struct nn_graph *g,
                                         struct ggml_tensor *x)
{
    const struct half *h = &v->enc;
    x = nn_mid(g, conv(g, &h->conv_in, x, 1, PAD_1), "mid.encoder.conv_in");
    for (int i = 0; i < (int)v->cfg.n_levels; i++)
        x = nn_mid(g, level(v, g, &h->levels[i], false, x), "mid.encoder.down_blocks.%d", i);
    x = nn_mid(g, mid_block(v, g, &h->mid, x), "mid.encoder.mid_block");
    x = head(v, g, h, "encoder", x);
    return h->quant.w ? nn_mid(g, conv(g, &h->quant, x, 1, PAD_0), "mid.quant_conv") : x;
}

/* ---- runs ------------------------------------------------------------------------------------------ */

static enum err_code report_mids(const struct nn_graph *g, const struct flux2_vae_run *run,
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

typedef struct ggml_tensor *(*build_fn)(const struct flux2_vae *v, struct nn_graph *g,
                                        struct ggml_tensor *x);

struct picture {
    const float *data;
    int64_t channels, h, w;
};

static enum err_code run_half(struct flux2_vae *v, build_fn build, struct picture in, float *out,
                              const struct flux2_vae_run *run, struct err *e)
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

enum err_code flux2_vae_decode(struct flux2_vae *v, const float *latents, int64_t h, int64_t w,
                               float *out, const struct flux2_vae_run *run, struct err *e)
{
    struct picture in = {latents, v->cfg.latent_channels, h, w};
    return run_half(v, build_decoder, in, out, run, e);
}

enum err_code flux2_vae_encode(struct flux2_vae *v, const float *picture, int64_t h, int64_t w,
                               float *moments, const struct flux2_vae_run *run, struct err *e)
{
    int64_t s = flux2_vae_scale(&v->cfg);
    if (h % s != 0 || w % s != 0)
        return err_set(e, ERR_INTERNAL, "a picture of %lld x %lld is no multiple of %lld",
                       (long long)w, (long long)h, (long long)s);
    struct picture in = {picture, v->cfg.in_channels, h, w};
    return run_half(v, build_encoder, in, moments, run, e);
}

/* ---- packing ---------------------------------------------------------------------------------------- */

/* Index of latent (c, y, x) in [C, h, w] and of its place in [h/2 * w/2, 4C]. */
static int64_t latent_at(int64_t c, int64_t y, int64_t x, int64_t h, int64_t w)
{
    return (c * h + y) * w + x;
}

void flux2_vae_pack(const struct flux2_vae *v, const float *latents, int64_t h, int64_t w,
                    float *tokens)
{
    int64_t n = 4 * v->cfg.latent_channels;
    for (int64_t t = 0; t < h / 2 * (w / 2); t++)
        for (int64_t k = 0; k < n; k++) {
            int64_t y = t / (w / 2) * 2 + k / 2 % 2, x = t % (w / 2) * 2 + k % 2;
            tokens[t * n + k] = (latents[latent_at(k / 4, y, x, h, w)] - v->mean[k]) / v->std[k];
        }
}

void flux2_vae_unpack(const struct flux2_vae *v, const float *tokens, int64_t h, int64_t w,
                      float *latents)
{
    int64_t n = 4 * v->cfg.latent_channels;
    for (int64_t t = 0; t < h / 2 * (w / 2); t++)
        for (int64_t k = 0; k < n; k++) {
            int64_t y = t / (w / 2) * 2 + k / 2 % 2, x = t % (w / 2) * 2 + k % 2;
            latents[latent_at(k / 4, y, x, h, w)] = tokens[t * n + k] * v->std[k] + v->mean[k];
        }
}
