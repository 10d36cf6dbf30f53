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

void model_timestep_embedding(float t, int64_t dim, float *out)
{
    int64_t half = dim / 2;
    for (int64_t i = 0; i < half; i++) {
        /* float32 at each step, as the reference: exponent, exp, product, then cos and sin. */
        float exponent = -logf(10000.0f) * (float)i / (float)half;
        float a = t * expf(exponent);
        out[i] = cosf(a);
        out[half + i] = sinf(a);
    }
}
