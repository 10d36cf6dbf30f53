/* gemm_tma.cu - products of bf16 on sm_90a: tiles fetched by the card (TMA), multiplied by warp groups (wgmma).
 *
 * One warp group feeds four stages of shared memory, two multiply 64 x 256 of y each. Blocks stay and take tile after
 * tile. For SwiGLU the lower half of a tile's 256 columns are of w, the upper half the same 128 columns of w2: a thread
 * then holds both factors of what it stores. Rows and columns beyond m, n and k arrive as zeros. */
#include "epilogue.cuh"
#include "hopper.cuh"

enum {
    TILE_M = 128,
    TILE_N = 256,
    SLICE = 64,
    STAGES = 4,
    X_BYTES = TILE_M * SLICE * 2,
    W_BYTES = TILE_N * SLICE * 2,
    STAGE_BYTES = X_BYTES + W_BYTES,
    GROUP_ROWS = 16
};

/* Full: what was asked for is there. Empty: both warp groups are done with it. */
struct stages {
    u32 base, full, empty;
    int at;
    u32 phase;
};

DEVICE struct stages stages_of(u32 base)
{
    struct stages s = {base, base + STAGES * STAGE_BYTES, base + STAGES * STAGE_BYTES + 8 * STAGES, 0, 0};
    return s;
}

DEVICE void next_stage(struct stages *s)
{
    if (++s->at == STAGES) {
        s->at = 0;
        s->phase ^= 1;
    }
}

struct maps {
    u64 x, w, w2;
};

template <bool SWIGLU>
DEVICE void feed(const struct maps *m, struct stages s, int tiles_m, int tiles_n, int slices)
{
    for (int b = block_x(); b < tiles_m * tiles_n; b += blocks_x()) {
        struct tile_place t = tile_of(b, tiles_m, tiles_n, GROUP_ROWS);
        for (int k = 0; k < slices; k++) {
            u32 full = s.full + 8 * s.at, to = s.base + s.at * STAGE_BYTES;
            barrier_wait(s.empty + 8 * s.at, s.phase ^ 1);
            barrier_expect(full, STAGE_BYTES);
            fetch_tile(to, m->x, full, k * SLICE, t.m * TILE_M);
            if (SWIGLU) {
                fetch_tile(to + X_BYTES, m->w, full, k * SLICE, t.n * TILE_N / 2);
                fetch_tile(to + X_BYTES + W_BYTES / 2, m->w2, full, k * SLICE, t.n * TILE_N / 2);
            } else {
                fetch_tile(to + X_BYTES, m->w, full, k * SLICE, t.n * TILE_N);
            }
            next_stage(&s);
        }
    }
}

/* Sums of one tile. A stage is given back when the product after it is under way, so that the units never wait. */
DEVICE void multiply_tile(float *sums, struct stages *s, int half, int slices)
{
    bool first_thread = (thread_x() & 127) == 0;
    int before = 0;
    UNROLL for (int i = 0; i < 128; i++) sums[i] = 0.0f;
    for (int k = 0; k < slices; k++) {
        barrier_wait(s->full + 8 * s->at, s->phase);
        u32 x = s->base + s->at * STAGE_BYTES + half * 64 * 128, w = s->base + s->at * STAGE_BYTES + X_BYTES;
        group_fence();
        UNROLL for (int i = 0; i < SLICE / 16; i++)
            multiply_256(sums, tile_descriptor(x + i * 32), tile_descriptor(w + i * 32));
        group_commit();
        if (k > 0) {
            group_wait<1>();
            if (first_thread)
                barrier_arrive(s->empty + 8 * before);
        }
        before = s->at;
        next_stage(s);
    }
    group_wait<0>();
    if (first_thread)
        barrier_arrive(s->empty + 8 * before);
}

template <bool SWIGLU> DEVICE void store_tile(const struct nv_gemm *g, float *sums, int row, int column)
{
    const int n = SWIGLU ? 64 : 128;
    int lane = thread_x() & 31, warp = (thread_x() >> 5) & 3, quad = lane & 3;
    row += warp * 16 + (lane >> 2);
    finish_sums<n>(g, sums, SWIGLU ? sums + 64 : 0,
                   [&](int i) { return column + quad * 2 + (i >> 2) * 8 + (i & 1); });
    UNROLL for (int j = 0; j < n / 4; j += 4)
    {
        store_tiles(g, row, column + j * 8, quad, sums + 4 * j);
        store_tiles(g, row + 8, column + j * 8, quad, sums + 4 * j + 2);
    }
}

template <bool SWIGLU> DEVICE void product(const struct nv_gemm *g, const struct maps *m)
{
    const int width = SWIGLU ? TILE_N / 2 : TILE_N;
    u32 base = shared_base();
    struct stages s = stages_of(base);
    int group = thread_x() >> 7;
    if (thread_x() == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(s.full + 8 * i, 1);
            barrier_init(s.empty + 8 * i, 2);
        }
        barriers_ready();
    }
    sync_block();
    int tiles_m = (g->m + TILE_M - 1) / TILE_M, tiles_n = (g->n + width - 1) / width;
    int slices = (g->k + SLICE - 1) / SLICE;
    if (group == 0) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (thread_x() == 0)
            feed<SWIGLU>(m, s, tiles_m, tiles_n, slices);
        return;
    }
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
    for (int b = block_x(); b < tiles_m * tiles_n; b += blocks_x()) {
        struct tile_place t = tile_of(b, tiles_m, tiles_n, GROUP_ROWS);
        float sums[128];
        multiply_tile(sums, &s, group - 1, slices);
        store_tile<SWIGLU>(g, sums, t.m * TILE_M + (group - 1) * 64, t.n * width);
    }
}

#define MAPS(kernel)                                                      \
    struct maps m = {MAP_OF(kernel, __builtin_offsetof(nv_gemm_tma, x_map)), \
                     MAP_OF(kernel, __builtin_offsetof(nv_gemm_tma, w_map)), \
                     MAP_OF(kernel, __builtin_offsetof(nv_gemm_tma, w2_map))}

KERNEL BOUNDS(384, 1) void gemm_tma(struct nv_gemm_tma p)
{
    MAPS(gemm_tma);
    product<false>(&p.g, &m);
}

KERNEL BOUNDS(384, 1) void gemm_tma_swiglu(struct nv_gemm_tma p)
{
    MAPS(gemm_tma_swiglu);
    product<true>(&p.g, &m);
}
