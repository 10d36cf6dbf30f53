/* conv_tma.cu - convolutions on sm_90a: gemm_tma.cuh's loop, where the rows of a tile are 8 x 16 pixels. For each place of the
 * kernel the card fetches these pixels shifted by that place, 64 channels at a time, with zeros beside the image: nothing
 * is ever laid out in memory. */
#include "gemm_tma.cuh"

enum { TILE_H = 8, TILE_W = 16, SLICE = of_bf16::SLICE };

template <int N> DEVICE void convolve(const struct nv_conv_tma *c, u64 x_map, u64 w_map)
{
    int across = (c->out_width + TILE_W - 1) / TILE_W, down = (c->out_height + TILE_H - 1) / TILE_H;
    int per_tap = (c->in + SLICE - 1) / SLICE, slices = c->kh * c->kw * per_tap;
    for_each_tile<of_bf16, N>(
        share_of(across * down * TILE_M, (c->g.n + N - 1) / N, slices, false),
        [&](struct work t, struct stages<N> *s, int rank) INLINE {
            int x0 = t.tile.m % across * TILE_W * c->stride - c->pad_left;
            int y0 = t.tile.m / across * TILE_H * c->stride - c->pad_top;
            feed_stages<N>(
                s, t, rank,
                [&](int k, u32 to, u32 full) INLINE {
                    int tap = k / per_tap;
                    fetch_tile3(to, x_map, full, k % per_tap * SLICE, x0 + tap % c->kw, y0 + tap / c->kw);
                },
                [&](int k, int i) INLINE {
                    int tap = k / per_tap;
                    struct box_source b = {w_map, tap * c->in + k % per_tap * SLICE, t.tile.n * N + i * BOX};
                    return b;
                });
        },
        [&](struct work t, float *sums, int half) INLINE {
            int y = t.tile.m / across * TILE_H + half * 4 + ((thread_x() >> 5) & 3);
            int x = t.tile.m % across * TILE_W + ((thread_x() & 31) >> 2), none = c->g.m;
            int row = y < c->out_height && x < c->out_width ? y * c->out_width + x : none;
            int row8 = y < c->out_height && x + 8 < c->out_width ? y * c->out_width + x + 8 : none;
            store_sums<of_bf16, N, false>(&c->g, sums, row, row8, t.tile.n * N, half);
        });
}

KERNEL BOUNDS(384, 1) void conv_tma_256(struct nv_conv_tma c)
{
    convolve<256>(&c, MAP_OF(conv_tma_256, __builtin_offsetof(nv_conv_tma, x_map)),
                  MAP_OF(conv_tma_256, __builtin_offsetof(nv_conv_tma, w_map)));
}

KERNEL BOUNDS(384, 1) void conv_tma_128(struct nv_conv_tma c)
{
    convolve<128>(&c, MAP_OF(conv_tma_128, __builtin_offsetof(nv_conv_tma, x_map)),
                  MAP_OF(conv_tma_128, __builtin_offsetof(nv_conv_tma, w_map)));
}
