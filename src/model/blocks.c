#include "model/blocks.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void model_loader_prefix(struct model_loader *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(l->prefix, sizeof l->prefix, fmt, ap);
    va_end(ap);
}

static struct nn_param *add(struct model_loader *l, enum nn_param_role role, const char *suffix,
                            int n_dims, const int64_t *dims)
{
    char name[320];
    struct nn_param *p = NULL;
    if (l->rc != ERR_OK)
        return NULL;
    (void)snprintf(name, sizeof name, "%s%s", l->prefix, suffix);
    l->rc = nn_params_add(l->ps, role, name, n_dims, dims, &p, l->e);
    return p;
}

struct nn_param *model_matrix(struct model_loader *l, const char *suffix, int64_t out, int64_t in)
{
    return add(l, NN_MATRIX, suffix, 2, (int64_t[]){out, in});
}

struct nn_param *model_vector(struct model_loader *l, const char *suffix, int64_t n)
{
    return add(l, NN_VECTOR, suffix, 1, &n);
}

struct nn_param *model_kernel(struct model_loader *l, const char *suffix, int64_t out, int64_t in,
                              int64_t kh, int64_t kw)
{
    return add(l, NN_KERNEL, suffix, 4, (int64_t[]){out, in, kh, kw});
}

/* exp in float32 as the reference's vectorised one rounds it: reduction by ln 2 in two parts, then a
 * polynomial of degree 7 (the coefficients of Sleef's 1-ulp expf). The C library's differs in the last bit
 * at some arguments, which at angles near 1000 shows in the fifth decimal of the cosine. */
static float exp_like_reference(float x)
{
    static const float coeff[] = {0.00139304355f, 0.00833336078f, 0.0416664854f, 0.166666672f,
                                  0.5f};
    float q = rintf(x * 1.44269504f);
    float r = fmaf(q, -1.42860677e-06f, fmaf(q, -0.693145752f, x));
    float u = 0.000198527618f;
    for (size_t i = 0; i < sizeof coeff / sizeof coeff[0]; i++)
        u = fmaf(u, r, coeff[i]);
    return ldexpf(1.0f + fmaf(r * r, u, r), (int)q);
}

void model_timestep_embedding(float t, int64_t dim, float *out)
{
    model_timestep_embedding_scaled(t, 1.0f, dim, out);
}

void model_timestep_embedding_scaled(float t, float scale, int64_t dim, float *out)
{
    int64_t half = dim / 2;
    for (int64_t i = 0; i < half; i++) {
        /* float32 at each step, as the reference: exponent, exp, product, then cos and sin. */
        float exponent = -9.21034037f * (float)i / (float)half;
        float a = scale * (t * exp_like_reference(exponent));
        out[i] = cosf(a);
        out[half + i] = sinf(a);
    }
}

enum err_code model_check_axes(const int64_t *axes, int n, int64_t head_dim, const char *what,
                               struct err *e)
{
    int64_t sum = 0;
    bool even = true;
    for (int i = 0; i < n; i++) {
        sum += axes[i];
        even = even && axes[i] % 2 == 0;
    }
    if (sum != head_dim || !even)
        return err_set(e, ERR_FORMAT,
                       "%s: axes_dims_rope adds up to %lld (even parts wanted), the head has %lld",
                       what, (long long)sum, (long long)head_dim);
    return ERR_OK;
}

enum err_code model_check_same(const struct model_same *rows, size_t n, const char *what,
                               struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].config != rows[i].weights)
            return err_set(e, ERR_FORMAT, "%s: %s is %lld, the weights have %lld", what,
                           rows[i].key, (long long)rows[i].config, (long long)rows[i].weights);
    return ERR_OK;
}
