/* unpack.cu - weights that came onto the card as they are stored become bf16 there: a bus carries a third of the bytes, and no
 * processor has to keep up with it. Eight threads a block of 32 numbers, four neighbours each. */
#include "device.cuh"

enum { THREADS = 256, GROUPS = 8 }; /* of four, in a block */

DEVICE int block_bytes(int kind) { return kind == NV_BLOCKS_Q8_0 ? 34 : kind == NV_BLOCKS_Q5_0 ? 22 : 18; }

/* Bytes i and i + 1, i even, of a block, which lies at a multiple of two. */
DEVICE u32 pair_at(const u8 *p, int i) { return *(const u16 *)(p + i); }

DEVICE u32 word_at(const u8 *p, int i) { return pair_at(p, i) | pair_at(p, i + 2) << 16; }

/* The four whole numbers of group g. */
DEVICE void numbers_of(const u8 *block, int kind, int g, int *q)
{
    if (kind == NV_BLOCKS_Q8_0) {
        u32 w = word_at(block, 2 + 4 * g);
        UNROLL for (int i = 0; i < 4; i++) q[i] = (int)(w << (24 - 8 * i)) >> 24;
        return;
    }
    bool fifth = kind == NV_BLOCKS_Q5_0;
    u32 w = word_at(block, (fifth ? 6 : 2) + 4 * (g & 3)) >> (g < 4 ? 0 : 4);
    u32 bits = fifth ? word_at(block, 2) >> (4 * g) : 0;
    UNROLL for (int i = 0; i < 4; i++)
        q[i] = (int)((w >> (8 * i) & 15) | (bits >> i & 1) << 4) - (fifth ? 16 : 8);
}

struct four {
    u32 v[2];
} __attribute__((aligned(8)));

KERNEL BOUNDS(256, 1) void unpack(struct nv_unpack p)
{
    int bytes = block_bytes(p.kind);
    for (i64 i = (i64)block_x() * THREADS + thread_x(); i < p.blocks * GROUPS; i += (i64)blocks_x() * THREADS) {
        const u8 *block = (const u8 *)p.x + i / GROUPS * bytes;
        float d = from_f16((u16)pair_at(block, 0));
        int q[4];
        numbers_of(block, p.kind, (int)(i % GROUPS), q);
        struct four f = {{pack_bf16(d * (float)q[0], d * (float)q[1]), pack_bf16(d * (float)q[2], d * (float)q[3])}};
        ((struct four *)p.y)[i] = f;
    }
}
