/* preview.h - what a picture seems to become, from its latents alone: a linear map from a latent pixel's channels to
 * a colour. Pure functions; whoever has a VAE fits the map once, to latents of a picture that is known. */
#ifndef VT_PIPELINE_PREVIEW_H
#define VT_PIPELINE_PREVIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"

/* Colour patches, gradients and edges, the same every time: what a map is fitted to. RGB. */
ERR_MUST_CHECK enum err_code preview_pattern(int w, int h, struct image *out, struct err *e);

/* Least squares with a little ridge. latents [n, channels], colours [n, 3] -> map [channels + 1, 3], the last row
 * being the constant. False when memory is out or the latents say nothing. */
bool preview_fit(const float *latents, const float *colours, int64_t n, int64_t channels,
                 float *map);

/* One latent pixel; colour is 0 to 255, not clamped. step: distance between its channels. */
static inline void preview_colour(const float *map, const float *latent, int64_t step,
                                  int64_t channels, float colour[3])
{
    for (int c = 0; c < 3; c++)
        colour[c] = map[channels * 3 + c];
    for (int64_t i = 0; i < channels; i++)
        for (int c = 0; c < 3; c++)
            colour[c] += latent[i * step] * map[i * 3 + c];
}

#endif
