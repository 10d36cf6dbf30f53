/* dtype_finite.c - do stored blocks stand for numbers? A look at their scales, as cheap as a copy. */
#include <string.h>

#include "weights/dtype.h"

/* Where the scale of a block is, and the scale (or least value) beside it, both in half precision. -1: none. */
static bool half_scales_of(enum dtype t, int at[2])
{
    static const struct {
        enum dtype t;
        int at[2];
    } rows[] = {
        {DTYPE_Q4_0, {0, -1}},   {DTYPE_Q4_1, {0, 2}},    {DTYPE_Q5_0, {0, -1}},
        {DTYPE_Q5_1, {0, 2}},    {DTYPE_Q8_0, {0, -1}},   {DTYPE_Q2_K, {80, 82}},
        {DTYPE_Q3_K, {108, -1}}, {DTYPE_Q4_K, {0, 2}},    {DTYPE_Q5_K, {0, 2}},
        {DTYPE_Q6_K, {208, -1}}, {DTYPE_IQ4_NL, {0, -1}}, {DTYPE_IQ4_XS, {0, -1}},
        {DTYPE_TQ1_0, {52, -1}}, {DTYPE_TQ2_0, {64, -1}}, {DTYPE_IQ2_XXS, {0, -1}},
        {DTYPE_IQ2_XS, {0, -1}}, {DTYPE_IQ2_S, {0, -1}},  {DTYPE_IQ3_XXS, {0, -1}},
        {DTYPE_IQ3_S, {0, -1}},  {DTYPE_IQ1_S, {0, -1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].t == t) {
            memcpy(at, rows[i].at, sizeof rows[i].at);
            return true;
        }
    return false;
}

static bool halves_finite(const unsigned char *p, size_t n, size_t block, const int at[2])
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i += block)
        for (int k = 0; k < 2 && at[k] >= 0; k++) {
            uint16_t h;
            memcpy(&h, p + i + at[k], sizeof h);
            bad |= (h & 0x7c00u) == 0x7c00u;
        }
    return !bad;
}

/* No byte has all the bits of `mask`. Eight at a time: what is left of a byte that has them is 0, to which adding 0x7f does
 * not give the uppermost bit. */
static bool lacks(const unsigned char *p, size_t n, unsigned mask)
{
    const uint64_t each = 0x0101010101010101u, tops = 0x80 * each, bits = mask * each;
    uint64_t good = tops;
    size_t i = 0;
    for (; i + sizeof good <= n; i += sizeof good) {
        uint64_t w;
        memcpy(&w, p + i, sizeof w);
        good &= ((w & bits) ^ bits) + 0x7f * each;
    }
    for (; i < n; i++)
        if ((p[i] & mask) == mask)
            return false;
    return (good & tops) == tops;
}

/* The first `scales` bytes of every block are at most `most`. */
static bool bytes_at_most(const unsigned char *p, size_t n, size_t block, size_t scales,
                          unsigned most)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i += block)
        for (size_t k = 0; k < scales; k++)
            bad |= p[i + k] > most;
    return !bad;
}

/* IQ1_M has its scale, in half precision, in the highest four bits of its last four words, the lowest bits first: the
 * exponent is in the last two. */
static bool iq1_m_finite(const unsigned char *p, size_t n, size_t block)
{
    unsigned bad = 0;
    for (size_t i = block; i <= n; i += block) {
        uint16_t w[2];
        memcpy(w, p + i - sizeof w, sizeof w);
        bad |= (w[0] & 0xc000u) == 0xc000u && (w[1] & 0x7000u) == 0x7000u;
    }
    return !bad;
}

bool dtype_blocks_finite(enum dtype t, const void *src, size_t n)
{
    enum {
        E8M0_MOST = 252,
        E4M3_MOST = 0x7e
    }; /* 2^125 times 6 is a float32; 0x7f is NaN, above is a sign */
    int at[2];
    size_t block = dtype_info(t)->block_bytes;
    if (half_scales_of(t, at))
        return halves_finite(src, n, block, at);
    switch (t) {
    case DTYPE_F8_E4M3:
        return lacks(src, n, 0x7f);
    case DTYPE_F8_E5M2:
        return lacks(src, n, 0x7c);
    case DTYPE_MXFP4:
        return bytes_at_most(src, n, block, 1, E8M0_MOST);
    case DTYPE_NVFP4:
        return bytes_at_most(src, n, block, 4, E4M3_MOST);
    case DTYPE_IQ1_M:
        return iq1_m_finite(src, n, block);
    default:
        return true;
    }
}
