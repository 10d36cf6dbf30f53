/* sample.h - one body for samples of 8 and of 16 bits: what a kernel calls in its loop. Only for this folder.
 *
 * `deep` is a constant wherever a body is put in line, so nothing is asked in the loop:
 *
 *     static inline void invert_any(unsigned char *p, size_t n, const bool deep)
 *     {
 *         for (size_t i = 0; i < n; i++)
 *             sample_set(p, i, sample_max(deep) - sample_get(p, i, deep), deep);
 *     }
 *     void invert(unsigned char *p, size_t n, bool deep)
 *     {
 *         if (deep)
 *             invert_any(p, n, true);
 *         else
 *             invert_any(p, n, false);
 *     }
 */
#ifndef VT_IMAGE_SAMPLE_H
#define VT_IMAGE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline unsigned sample_max(bool deep)
{
    return deep ? 65535u : 255u;
}

static inline size_t sample_bytes(bool deep)
{
    return deep ? 2 : 1;
}

static inline unsigned sample_get(const unsigned char *p, size_t i, bool deep)
{
    uint16_t v;
    if (!deep)
        return p[i];
    memcpy(&v, p + 2 * i, sizeof v);
    return v;
}

static inline void sample_set(unsigned char *p, size_t i, unsigned v, bool deep)
{
    uint16_t wide = (uint16_t)v;
    if (deep)
        memcpy(p + 2 * i, &wide, sizeof wide);
    else
        p[i] = (unsigned char)v;
}

/* a * b / max to nearest, as PIL does it for 8 bits; exact for both depths. */
static inline unsigned sample_times(unsigned a, unsigned b, bool deep)
{
    const int bits = deep ? 16 : 8;
    unsigned t = a * b + (1u << (bits - 1));
    return ((t >> bits) + t) >> bits;
}

/* (19595 R + 38470 G + 7471 B + 32768) >> 16, as PIL's convert. */
static inline unsigned sample_grey(unsigned r, unsigned g, unsigned b)
{
    return (unsigned)((19595ull * r + 38470ull * g + 7471ull * b + 32768u) >> 16);
}

/* 16 bits to 8, to nearest, and back without a loss. */
static inline unsigned sample_narrow(unsigned v)
{
    return (v * 255u + 32767u) / 65535u;
}

static inline unsigned sample_widen(unsigned v)
{
    return v * 257u;
}

#endif
