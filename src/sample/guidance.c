/* guidance.c - see guidance.h. Products and sums are rounded apart, as the reference does. */
#include "sample/guidance.h"

#include <math.h>

void guidance_combine(float *out, const float *pos, const float *neg, float scale, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float difference = pos[i] - neg[i];
        float push = scale * difference;
        out[i] = neg[i] + push;
    }
}

static float norm_of(const float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return (float)sqrt(sum);
}

void guidance_match_norm(float *v, const float *pos, size_t tokens, size_t channels)
{
    for (size_t t = 0; t < tokens; t++) {
        float *row = v + t * channels;
        float ratio = norm_of(pos + t * channels, channels) / norm_of(row, channels);
        for (size_t c = 0; c < channels; c++)
            row[c] *= ratio;
    }
}

void guidance_blend_mask(float *latents, const float *keep, const float *mask, size_t tokens,
                         size_t channels)
{
    for (size_t t = 0; t < tokens; t++) {
        float take = mask[t];
        float leave = 1.0f - take;
        for (size_t c = 0; c < channels; c++) {
            size_t i = t * channels + c;
            float kept = leave * keep[i];
            float taken = take * latents[i];
            latents[i] = kept + taken;
        }
    }
}
