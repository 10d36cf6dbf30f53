/* rng.c - mt19937 and the two normal samplers of the reference's CPU generator.
 *
 * 16 numbers or more ("block" draws): every element first becomes a 24-bit uniform, one word of the
 * twister each. Then each block of 16 is transformed in place: element j of its first half and
 * element j + 8 are the two uniforms of a Box-Muller pair (radius from 1 - u, so that the logarithm
 * never sees 0). When the count is no multiple of 16, the LAST 16 elements are drawn anew and
 * transformed as one more block over part of the one before.
 *
 * Fewer than 16 ("single" draws): pairs from two 53-bit uniforms in double. The second of a pair is
 * kept in the generator for the next single draw, also across block draws.
 *
 * The reference evaluates block draws with vectorised float32 functions of its own; here they go
 * through double, which agrees to about 1.5e-6 and gives the same bits on every machine whose libm
 * rounds well.
 */
#include "sample/rng.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"

enum { TWIST_OFFSET = 397, BLOCK = 16, HALF_BLOCK = 8, PART = 1 << 15 };

static const double TWO_PI = 6.283185307179586476925;

void rng_seed(struct rng *r, uint64_t seed)
{
    r->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < RNG_STATE_WORDS; i++) {
        uint32_t before = r->state[i - 1];
        r->state[i] = 1812433253u * (before ^ (before >> 30)) + i;
    }
    r->next = RNG_STATE_WORDS;
    r->has_cached = false;
    r->cached = 0;
}

static uint32_t twist(uint32_t high, uint32_t low)
{
    uint32_t mixed = (high & 0x80000000u) | (low & 0x7fffffffu);
    return (mixed >> 1) ^ ((low & 1u) ? 0x9908b0dfu : 0u);
}

static void refill(struct rng *r)
{
    uint32_t *s = r->state;
    for (uint32_t i = 0; i < RNG_STATE_WORDS; i++) {
        uint32_t far = (i + TWIST_OFFSET) % RNG_STATE_WORDS;
        s[i] = s[far] ^ twist(s[i], s[(i + 1) % RNG_STATE_WORDS]);
    }
    r->next = 0;
}

uint32_t rng_next_u32(struct rng *r)
{
    if (r->next >= RNG_STATE_WORDS)
        refill(r);
    uint32_t y = r->state[r->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static float uniform_24bit(struct rng *r)
{
    return (float)(rng_next_u32(r) & 0xffffffu) * 0x1p-24f;
}

static double uniform_53bit(struct rng *r)
{
    uint64_t high = rng_next_u32(r);
    uint64_t low = rng_next_u32(r);
    return (double)(((high << 32) | low) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

static double normal_single(struct rng *r)
{
    if (r->has_cached) {
        r->has_cached = false;
        return r->cached;
    }
    double u1 = uniform_53bit(r);
    double u2 = uniform_53bit(r);
    double radius = sqrt(-2.0 * log1p(-u2));
    double theta = TWO_PI * u1;
    r->cached = radius * sin(theta);
    r->has_cached = true;
    return radius * cos(theta);
}

static void uniform_fill(struct rng *r, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = uniform_24bit(r);
}

/* Sixteen uniforms become sixteen normal numbers in place. */
static void normal_block(float *d)
{
    for (int j = 0; j < HALF_BLOCK; j++) {
        double u1 = 1.0 - (double)d[j];
        double theta = TWO_PI * (double)d[j + HALF_BLOCK];
        double radius = sqrt(-2.0 * log(u1));
        d[j] = (float)(radius * cos(theta));
        d[j + HALF_BLOCK] = (float)(radius * sin(theta));
    }
}

struct blocks {
    float *d;
    size_t n; /* a multiple of BLOCK */
};

/* One of the parts that processors share. */
static void normal_part(size_t i, void *user)
{
    const struct blocks *b = user;
    size_t end = (i + 1) * PART < b->n ? (i + 1) * PART : b->n;
    for (size_t at = i * PART; at < end; at += BLOCK)
        normal_block(b->d + at);
}

/* Blocks know nothing of each other once their uniforms are drawn. */
static void normal_blocks(float *out, size_t whole)
{
    struct blocks b = {.d = out, .n = whole};
    parallel_each((whole + PART - 1) / PART, normal_part, &b);
}

static void normal_tail(struct rng *r, float *out, size_t n)
{
    if (n % BLOCK == 0)
        return;
    uniform_fill(r, out + n - BLOCK, BLOCK);
    normal_block(out + n - BLOCK);
}

void rng_normal_f32(struct rng *r, float *out, size_t n)
{
    if (n < BLOCK) {
        for (size_t i = 0; i < n; i++)
            out[i] = (float)normal_single(r);
        return;
    }
    /* All n uniforms are drawn, though those behind the whole blocks are drawn anew below. */
    uniform_fill(r, out, n);
    normal_blocks(out, n / BLOCK * BLOCK);
    normal_tail(r, out, n);
}

static float round_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += 0x7fffu + ((bits >> 16) & 1u);
    bits &= 0xffff0000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}

void rng_normal_bf16(struct rng *r, float *out, size_t n)
{
    if (n < BLOCK) {
        for (size_t i = 0; i < n; i++)
            out[i] = (float)normal_single(r);
    } else {
        size_t whole = n / BLOCK * BLOCK;
        uniform_fill(r, out, whole);
        normal_blocks(out, whole);
        normal_tail(r, out, n);
    }
    for (size_t i = 0; i < n; i++)
        out[i] = round_to_bf16(out[i]);
}
