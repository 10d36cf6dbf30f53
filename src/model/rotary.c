#include "model/rotary.h"

#include <string.h>

/* Values [at, at + n) of the next row. */
static void append_axis(struct model_rotary *r, int axis, int64_t position, int64_t half,
                        int64_t at, int64_t n)
{
    uint64_t slot = (uint64_t)position % MODEL_ROTARY_REMEMBERED;
    int64_t token = r->seen[axis][slot].token;
    float *cos = r->cos + r->n * half + at, *sin = r->sin + r->n * half + at;
    if (token > 0 && r->seen[axis][slot].position == position) {
        int64_t from = (token - 1) * half + at;
        memcpy(cos, r->cos + from, (size_t)n * sizeof *cos);
        memcpy(sin, r->sin + from, (size_t)n * sizeof *sin);
    } else {
        for (int64_t k = 0; k < n; k++)
            r->turn(r->user, axis, 2 * k, position, &cos[k], &sin[k]);
    }
    r->seen[axis][slot].position = position;
    r->seen[axis][slot].token = r->n + 1;
}

void model_rotary_append(struct model_rotary *r, const int64_t *position)
{
    int64_t half = 0, at = 0;
    for (int a = 0; a < r->axes; a++)
        half += r->dims[a] / 2;
    for (int a = 0; a < r->axes; a++) {
        append_axis(r, a, position[a], half, at, r->dims[a] / 2);
        at += r->dims[a] / 2;
    }
    r->n++;
}
