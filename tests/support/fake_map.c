/* fake_map.c - the kernels in C: what is done to one element at a time, and transposing. */
#include "fake_kernels_impl.h"

static float applied(int op, const float *p, float a, float b)
{
    switch (op) {
    case NV_MAP_ADD:
        return a + b;
    case NV_MAP_SUB:
        return a - b;
    case NV_MAP_MUL:
        return a * b;
    case NV_MAP_DIV:
        return a / b;
    case NV_MAP_SCALE:
        return a * p[0] + p[1];
    case NV_MAP_SILU:
        return silu(a);
    case NV_MAP_SIGMOID:
        return 1.0f / (1.0f + expf(-a));
    case NV_MAP_TANH:
        return tanhf(a);
    case NV_MAP_GELU_TANH:
        return gelu_tanh(a);
    case NV_MAP_GELU_ERF:
        return 0.5f * a * (1.0f + erff(a * 0.70710678f));
    case NV_MAP_RELU:
        return fmaxf(a, 0);
    case NV_MAP_EXP:
        return expf(a);
    case NV_MAP_NEG:
        return -a;
    case NV_MAP_ABS:
        return fabsf(a);
    case NV_MAP_SQR:
        return a * a;
    case NV_MAP_SQRT:
        return sqrtf(a);
    case NV_MAP_CLAMP:
        return fminf(fmaxf(a, p[0]), p[1]);
    case NV_MAP_SILU_MUL:
        return silu(a) * b;
    default:
        return a;
    }
}

static float at(const struct nv_map_source *s, const long long *i)
{
    long long offset = 0;
    for (int d = 0; d < 4; d++)
        offset += (s->ne[d] ? i[d] % s->ne[d] : 0) * s->nb[d];
    return load((const char *)s->p + offset, 0, s->type);
}

static float moved(const struct nv_map *m, const long long *i)
{
    long long from[4];
    for (int d = 0; d < 4; d++) {
        if (m->op == NV_MAP_UPSCALE) {
            from[d] = i[d] / m->q[d];
            continue;
        }
        from[d] = i[d] - m->q[d];
        if (m->op == NV_MAP_ROLL)
            from[d] = (from[d] % m->ne[d] + m->ne[d]) % m->ne[d];
        if (from[d] < 0 || from[d] >= m->a.ne[d])
            return 0;
    }
    return at(&m->a, from);
}

static float value(const struct nv_map *m, const long long *i)
{
    switch (m->op) {
    case NV_MAP_ARANGE:
        return m->p[0] + (float)i[0] * m->p[1];
    case NV_MAP_FILL:
        return m->p[0];
    case NV_MAP_PAD:
    case NV_MAP_ROLL:
    case NV_MAP_UPSCALE:
        return moved(m, i);
    default:
        return applied(m->op, m->p, at(&m->a, i), m->b.p ? at(&m->b, i) : 0);
    }
}

const char *run_map(const void *p, struct fake_grid grid)
{
    const struct nv_map *m = p;
    (void)grid;
    if (m->op == NV_MAP_GATHER)
        return "gathering, which nobody does";
    long long i[4];
    for (i[3] = 0; i[3] < m->ne[3]; i[3]++)
        for (i[2] = 0; i[2] < m->ne[2]; i[2]++)
            for (i[1] = 0; i[1] < m->ne[1]; i[1]++)
                for (i[0] = 0; i[0] < m->ne[0]; i[0]++) {
                    long long to =
                        i[0] * m->nb[0] + i[1] * m->nb[1] + i[2] * m->nb[2] + i[3] * m->nb[3];
                    store((char *)m->y + to, 0, m->y_type, value(m, i));
                }
    return NULL;
}

const char *run_transpose(const void *p, struct fake_grid grid)
{
    const struct nv_transpose *t = p;
    if (grid.x != divide_up(t->cols, 32) || grid.y != divide_up(t->rows, 32))
        return "the grid";
    for (long long b = 0; b < grid.z; b++)
        for (long long r = 0; r < t->rows; r++)
            for (long long c = 0; c < t->cols; c++)
                store(t->y, b * t->y_batch + c * t->ldy + r, t->y_type,
                      load(t->x, b * t->x_batch + r * t->ldx + c, t->x_type));
    return NULL;
}
