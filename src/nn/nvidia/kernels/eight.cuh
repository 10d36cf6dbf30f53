/* eight.cuh - numbers of eight bits with one scale a row: int8, and float8 (e4m3, rounded to nearest even).
 *
 * The modules that use it run on cards without instructions for float8, so that is made with whole numbers. */
#ifndef VT_NN_NVIDIA_EIGHT_H
#define VT_NN_NVIDIA_EIGHT_H

#include "device.cuh"

DEVICE u32 bits_of(float x) { return __builtin_bit_cast(u32, x); }

/* The bits of |x|, which are in the order of the numbers; those of NaN are above all others. */
DEVICE u32 magnitude_bits(float x) { return bits_of(x) & 0x7fffffffu; }

/* The largest over all threads of a block, known to all; room for one word a warp. */
DEVICE u32 block_largest(u32 x, u32 *room, int threads)
{
    u32 r;
    asm volatile("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(r) : "r"(x));
    if ((thread_x() & 31) == 0)
        room[thread_x() >> 5] = r;
    sync_block();
    r = room[0];
    for (int i = 1; i < threads >> 5; i++)
        r = r > room[i] ? r : room[i];
    return r;
}

/* A row's scale, and what its numbers are multiplied by. Infinity or NaN in the row shows in the scale. */
struct eight_scale {
    float scale, inverse;
};

DEVICE struct eight_scale eight_scale_of(u32 largest, int type)
{
    float most = __builtin_bit_cast(float, largest), limit = type == NV_I8 ? 127.0f : 448.0f;
    struct eight_scale s = {most / limit, most > 1e-35f ? limit / most : 0.0f};
    return s;
}

/* x inverse as a byte, in the low eight bits; the others are anything. |x inverse| is at most the limit, but for roundings. */
DEVICE u32 to_i8(float x, float inverse) { return bits_of(__builtin_fmaf(x, inverse, 12582912.0f)); }

DEVICE u32 to_f8(float x, float inverse)
{
    float v = x * inverse;
    u32 b = magnitude_bits(v), normal = ((b + 0x7ffffu + (b >> 20 & 1)) >> 20) - 960;
    u32 small = bits_of(__builtin_bit_cast(float, b) + 16384.0f); /* below 2^-6: multiples of 2^-9 */
    u32 r = b < 0x3c800000u ? small & 15 : normal;
    return (r < 0x7e ? r : 0x7e) | (bits_of(v) >> 24 & 0x80);
}

DEVICE u32 to_eight(float x, float inverse, int type)
{
    return type == NV_I8 ? to_i8(x, inverse) : to_f8(x, inverse);
}

/* Four bytes, the first lowest. */
DEVICE u32 pack_bytes(u32 a, u32 b, u32 c, u32 d)
{
    u32 low, high, r;
    asm("prmt.b32 %0, %1, %2, 0x0040;" : "=r"(low) : "r"(a), "r"(b));
    asm("prmt.b32 %0, %1, %2, 0x0040;" : "=r"(high) : "r"(c), "r"(d));
    asm("prmt.b32 %0, %1, %2, 0x5410;" : "=r"(r) : "r"(low), "r"(high));
    return r;
}

DEVICE u32 pack_eight(const float *x, float inverse, int type)
{
    return type == NV_I8 ? pack_bytes(to_i8(x[0], inverse), to_i8(x[1], inverse), to_i8(x[2], inverse), to_i8(x[3], inverse))
                         : pack_bytes(to_f8(x[0], inverse), to_f8(x[1], inverse), to_f8(x[2], inverse), to_f8(x[3], inverse));
}

#endif
