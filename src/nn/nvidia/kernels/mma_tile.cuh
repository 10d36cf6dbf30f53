/* mma_tile.cuh - one slice of a product of 128 x 128 by eight warps: what products and convolutions of sm_80 share.
 *
 * A stage of shared memory holds 128 rows of x and 128 of w, 64 of k each, swizzled. Two by four warps hold 64 x 32 sums. */
#ifndef VT_NN_NVIDIA_MMA_TILE_CUH
#define VT_NN_NVIDIA_MMA_TILE_CUH

#include "device.cuh"

enum { TILE = 128, SLICE = 64, STAGES = 3, STAGE_BYTES = 2 * TILE * SLICE * 2 };

/* column_of(j): the row of w's part at which this warp's columns j (of four times eight) begin. */
template <typename COLUMN> DEVICE void multiply_stage(u32 at, float (*sums)[4][4], COLUMN column_of)
{
    int lane = thread_x() & 31, rows = (thread_x() >> 5 & 1) * 64;
    u32 w = at + TILE * SLICE * 2;
    UNROLL for (int s = 0; s < SLICE / 16; s++)
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
            UNROLL for (int j = 0; j < 4; j++) mma_bf16(sums[i][j], a[i], &b[j >> 1][(j & 1) * 2]);
    }
}

#endif
