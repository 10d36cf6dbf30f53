/* quantise.cu - rows to eight bits with a scale each: of activations before a product, of weights while they come onto the card.
 *
 * Rows of bf16 are read once, into registers, sixteen bytes at a time; what is not like that is read twice, the second
 * time from a cache. */
#include "eight.cuh"

enum { THREADS = 256, PER_STEP = THREADS * 8 };

DEVICE u32 largest_of(u32 largest, u32 pair)
{
    u32 low = pair << 16 & 0x7fff0000u, high = pair & 0x7fff0000u;
    low = low > high ? low : high;
    return largest > low ? largest : low;
}

/* Four numbers, two a word. */
DEVICE u32 four_bytes(u32 a, u32 b, float inverse, int type)
{
    float f[4] = {__builtin_bit_cast(float, a << 16), __builtin_bit_cast(float, a & 0xffff0000u),
                  __builtin_bit_cast(float, b << 16), __builtin_bit_cast(float, b & 0xffff0000u)};
    return pack_eight(f, inverse, type);
}

DEVICE void put_scale(const struct nv_quantise *a, float scale)
{
    if (thread_x() == 0)
        a->scales[block_x() * a->ld_scales] = scale;
}

/* Rows of at most STEPS * PER_STEP. */
template <int TYPE, int STEPS> DEVICE void quantise_bf16(const struct nv_quantise *a, u32 *room)
{
    const u16 *x = (const u16 *)a->x + block_x() * a->ldx;
    u8 *y = (u8 *)a->y + block_x() * a->ldy;
    struct four_words v[STEPS];
    u32 largest = 0;
    UNROLL for (int j = 0; j < STEPS; j++)
    {
        int i = j * PER_STEP + thread_x() * 8;
        struct four_words none = {{0, 0, 0, 0}};
        v[j] = i < a->dim ? *(const struct four_words *)(x + i) : none;
    }
    UNROLL for (int j = 0; j < STEPS; j++)
        UNROLL for (int k = 0; k < 4; k++) largest = largest_of(largest, v[j].v[k]);
    struct eight_scale s = eight_scale_of(block_largest(largest, room, THREADS), TYPE);
    UNROLL for (int j = 0; j < STEPS; j++)
    {
        int i = j * PER_STEP + thread_x() * 8;
        UNROLL for (int k = 0; k < 4; k++) asm volatile("" : "+r"(v[j].v[k])); /* nothing of the search is kept for this */
        struct two_words w = {{four_bytes(v[j].v[0], v[j].v[1], s.inverse, TYPE),
                               four_bytes(v[j].v[2], v[j].v[3], s.inverse, TYPE)}};
        if (i < a->dim)
            *(struct two_words *)(y + i) = w;
    }
    put_scale(a, s.scale);
}

DEVICE void quantise_any(const struct nv_quantise *a, u32 *room)
{
    i64 x = block_x() * a->ldx, y = block_x() * a->ldy;
    u32 largest = 0;
    for (int i = thread_x(); i < a->dim; i += THREADS) {
        u32 size = magnitude_bits(load(a->x, x + i, a->x_type));
        largest = largest > size ? largest : size;
    }
    struct eight_scale s = eight_scale_of(block_largest(largest, room, THREADS), a->y_type);
    for (int i = thread_x(); i < a->dim; i += THREADS)
        ((u8 *)a->y)[y + i] = (u8)to_eight(load(a->x, x + i, a->x_type), s.inverse, a->y_type);
    put_scale(a, s.scale);
}

/* False: not of rows like these. */
template <int TYPE> DEVICE bool quantised_bf16(const struct nv_quantise *a, u32 *room)
{
    bool whole = a->x_type == NV_BF16 && a->dim % 8 == 0 && a->ldx % 8 == 0 && a->ldy % 8 == 0 && ((u64)a->x & 15) == 0 &&
                 ((u64)a->y & 7) == 0;
    if (!whole || a->y_type != TYPE || a->dim > 10 * PER_STEP)
        return false;
    if (a->dim <= 2 * PER_STEP)
        quantise_bf16<TYPE, 2>(a, room);
    else
        quantise_bf16<TYPE, 10>(a, room);
    return true;
}

KERNEL BOUNDS(256, 2) void quantise_rows(struct nv_quantise a)
{
    static SHARED u32 room[THREADS / 32];
    if (!quantised_bf16<NV_I8>(&a, room) && !quantised_bf16<NV_F8>(&a, room))
        quantise_any(&a, room);
}
