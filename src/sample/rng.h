/* rng.h - the noise of a seed, as the reference implementation's CPU generator draws it.
 *
 * A Mersenne Twister (mt19937) seeded with the low 32 bits of the seed, and two ways from its bits to
 * normal numbers, chosen by how many are asked for at once: see rng.c. Seed S therefore means the same
 * image on every device. Draws are sequential: the n-th call depends on how many numbers the calls
 * before it took, and asking for 32 numbers is not the same as asking twice for 16 + 16 where one of
 * the parts is no multiple of 16.
 *
 *     struct rng r;
 *     rng_seed(&r, seed);
 *     rng_normal_f32(&r, noise, n);
 *
 * Plain data: copy it to fork a stream. One thread at a time.
 */
#ifndef VT_SAMPLE_RNG_H
#define VT_SAMPLE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RNG_STATE_WORDS = 624 };

struct rng {
    uint32_t state[RNG_STATE_WORDS];
    uint32_t next;   /* state words used since the last twist */
    bool has_cached; /* cached holds the second number of a pair of small draws */
    double cached;
};

void rng_seed(struct rng *r, uint64_t seed);

/* The next 32 bits of the twister. */
uint32_t rng_next_u32(struct rng *r);

/* n standard normal numbers, as for a float32 tensor of n elements (any shape, row-major). */
void rng_normal_f32(struct rng *r, float *out, size_t n);

/* The same for a bfloat16 tensor: every value is rounded to the nearest bfloat16 (ties to even) and
 * stored as float. The stream differs from float32's when n > 16 is no multiple of 16. */
void rng_normal_bf16(struct rng *r, float *out, size_t n);

#endif
