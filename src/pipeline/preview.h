/* preview.h - what an image will look like, from its latents alone: a linear map from a latent pixel's channels to
 * a colour, fitted once a model to what its own encoder makes of a pattern. Tokens are 2 x 2 latent pixels, and there
 * is a map for each place in a token, since a model may normalise each by itself. */
#ifndef VT_PIPELINE_PREVIEW_H
#define VT_PIPELINE_PREVIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"

enum { PREVIEW_MAX_COLOURS = 4, PREVIEW_PLACES = 4 };

/* ---- a map ------------------------------------------------------------------------------------------- */

/* Colour patches, gradients and edges, the same every time: what a map is fitted to. RGB, or RGBA with parts that are
 * transparent. */
ERR_MUST_CHECK enum err_code preview_pattern(int w, int h, int channels, struct image *out,
                                             struct err *e);

/* Least squares with a little ridge. latents [n, channels], colours [n, colour_channels] ->
 * map [channels + 1, colour_channels], the last row being the constant. False when memory is out or the latents say
 * nothing. */
bool preview_fit(const float *latents, const float *colours, int64_t n, int64_t channels,
                 int colour_channels, float *map);

/* One latent pixel; colour is 0 to 255, not clamped. step: distance between its channels. */
static inline void preview_colour(const float *map, const float *latent, int64_t step,
                                  int64_t channels, int colour_channels, float *colour)
{
    for (int c = 0; c < colour_channels; c++)
        colour[c] = map[channels * colour_channels + c];
    for (int64_t i = 0; i < channels; i++)
        for (int c = 0; c < colour_channels; c++)
            colour[c] += latent[i * step] * map[i * colour_channels + c];
}

/* ---- a model's maps ---------------------------------------------------------------------------------- */

/* Belongs to a model that is open; all zeros to begin with. */
struct preview {
    float *maps;           /* [PREVIEW_PLACES, channels + 1, colours]; NULL until they are fitted */
    int64_t channels;      /* of a latent pixel */
    int colours;           /* 3: RGB, 4: RGBA */
    bool tried, rehearsed; /* really; by the dry run that is going on */
};

/* How the model encodes: an image with sides in whole tokens -> tokens [n, PREVIEW_PLACES * channels]. */
struct preview_encoder {
    enum err_code (*encode)(void *user, const struct image *pattern, float *tokens, struct err *e);
    void *user;
    bool dry; /* the pattern goes through a device that computes nothing */
    int unit; /* pixels along a token's side */
    int64_t channels;
    int colours;
};

/* Fits the maps unless that was tried. Failing is fine: an image without previews is as good. */
void preview_prepare(struct preview *p, const struct preview_encoder *encoder);
void preview_deinit(struct preview *p);

/* Behind a step to sigma: latents and velocity [rows * cols, PREVIEW_PLACES * channels]. */
struct preview_at {
    const float *latents, *velocity;
    int64_t rows, cols;
    float sigma;
};
/* What the latents would be without their noise, a pixel for each latent one. The caller frees *out. */
ERR_MUST_CHECK enum err_code preview_draw(const struct preview *p, const struct preview_at *at,
                                          struct image *out, struct err *e);

#endif
