/* guidance.h - classifier-free guidance, and keeping the unmasked part of an image.
 *
 * Pure float functions; latents are packed [tokens, channels].
 */
#ifndef VT_SAMPLE_GUIDANCE_H
#define VT_SAMPLE_GUIDANCE_H

#include <stddef.h>

/* Classifier-free guidance: out = neg + scale * (pos - neg), n elements. out may be pos or neg. */
void guidance_combine(float *out, const float *pos, const float *neg, float scale, size_t n);

/* Gives every token of v the length (2-norm over channels) that it has in pos, as the layered
 * pipeline's cfg_normalize does: v[t] *= |pos[t]| / |v[t]|. A token of v that is all zeros becomes
 * NaN, as in the reference. v must not be pos. */
void guidance_match_norm(float *v, const float *pos, size_t tokens, size_t channels);

/* Inpainting: latents = (1 - mask) * keep + mask * latents, with one mask value per token (1 = take
 * what was generated). */
void guidance_blend_mask(float *latents, const float *keep, const float *mask, size_t tokens,
                         size_t channels);

#endif
