/* mma_tile.cuh - one slice of a product of 128 x 128 by eight warps: what products and convolutions of sm_80 share.
 *
 * A stage of shared memory holds 128 rows of x and 128 of w, 128 bytes of k each, swizzled. Two by four warps hold 64 x 32 sums. */
#ifndef VT_NN_NVIDIA_MMA_TILE_CUH
#define VT_NN_NVIDIA_MMA_TILE_CUH

#include "device.cuh"

enum { TILE = 128, ROW_BYTES = 128, STAGES = 3, STAGE_BYTES = 2 * TILE * ROW_BYTES };

/* What is multiplied. */
struct of_bf16 {
    typedef u16 number;
    typedef float sum;
    enum { SLICE = 64, PIECE = 8 }; /* numbers in a row of a slice, in 16 bytes */
    INLINE static void multiply(float *sums, const u32 *a, const u32 *b) { mma_bf16(sums, a, b); }
};

struct of_s8 {
    typedef signed char number;
    typedef int sum;
    enum { SLICE = 128, PIECE = 16 };
    INLINE static void multiply(int *sums, const u32 *a, const u32 *b) { mma_s8(sums, a, b); }
};

/* column_of(j): the row of w's part at which this warp's columns j (of four times eight) begin. */
template <typename OF, typename COLUMN>
DEVICE void multiply_stage(u32 at, typename OF::sum (*sums)[4][4], COLUMN column_of)
{
    int lane = thread_x() & 31, rows = (thread_x() >> 5 & 1) * 64;
    u32 w = at + TILE * ROW_BYTES;
    UNROLL for (int s = 0; s < ROW_BYTES / 32; s++)
    {
        u32 a[4][4], b[2][4];
        UNROLL for (int i = 0; i < 4; i++)
            load_matrix(a[i], at + swizzled(rows + i * 16 + (lane & 15), s * 2 + (lane >> 4)));
        UNROLL for (int j = 0; j < 2; j++)
        {
            int r = column_of(j * 2) + (lane & 7) + ((lane >> 4) << 3);
            load_matrix(b[j], w + swizzled(r, s * 2 + ((lane >> 3) & 1)));
        }
        UNROLL for (int i = 0; i < 4; i++)
            UNROLL for (int j = 0; j < 4; j++) OF::multiply(sums[i][j], a[i], &b[j >> 1][(j & 1) * 2]);
    }
}

#endif
