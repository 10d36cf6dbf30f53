#include "image/layers_fit_kern.h"

/* 0 up to three quarters, 1 from 1 on, smooth between: how sure it is that only this layer is seen. */
static float certainty(float v)
{
    float t = (v - 0.75f) * 4.0f;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}

void layers_fit_kern_row(unsigned char *layer, const unsigned char *source, float *free_way, int n,
                         float opacity, bool fit)
{
    for (int i = 0; i < n; i++, layer += 4, source += 4) {
        float a = (float)layer[3] * (1.0f / 255) * opacity;
        if (fit && a > 0.75f && free_way[i] > 0.75f) {
            float sure =
                certainty(a) * certainty(free_way[i]) * certainty((float)source[3] * (1.0f / 255));
            for (int c = 0; c < 3; c++) {
                float v = (float)layer[c];
                layer[c] = (unsigned char)(v + sure * ((float)source[c] - v) + 0.5f);
            }
        }
        free_way[i] *= 1 - a;
    }
}
