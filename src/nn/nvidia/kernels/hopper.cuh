/* hopper.cuh - what sm_90a has beyond device.cuh: barriers that count bytes, tiles that the card fetches by itself (TMA), and
 * products of a whole warp group (wgmma), asynchronous as well.
 *
 * The number of registers in a wgmma is written out in its text, so its wrappers are made by a macro for each width. */
#ifndef VT_NN_NVIDIA_HOPPER_H
#define VT_NN_NVIDIA_HOPPER_H

#include "device.cuh"

/* ---- barriers in shared memory ------------------------------------------------------------------------------ */

DEVICE void barrier_init(u32 barrier, int arrivals)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

DEVICE void barriers_ready()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async;" ::: "memory");
}

DEVICE void barrier_expect(u32 barrier, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
                 : "memory");
}

DEVICE void barrier_arrive(u32 barrier)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

DEVICE void barrier_wait(u32 barrier, u32 phase)
{
    asm volatile("{\n"
                 ".reg .pred P;\n"
                 "again_%=:\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 P, [%0], %1;\n"
                 "@P bra.uni done_%=;\n"
                 "bra.uni again_%=;\n"
                 "done_%=:\n"
                 "}" ::"r"(barrier),
                 "r"(phase)
                 : "memory");
}

/* ---- tiles -------------------------------------------------------------------------------------------------- */

/* The address of a map that is a parameter of the kernel: maps must not be copied to local memory. */
#define MAP_OF(kernel, offset)                                                  \
    ({                                                                          \
        u64 address_;                                                           \
        asm("{ .reg .b64 t; mov.b64 t, " #kernel "_param_0; cvta.param.u64 %0, t; }" : "=l"(address_)); \
        address_ + (offset);                                                    \
    })

DEVICE void fetch_tile(u32 to, u64 map, u32 barrier, int x, int y)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];" ::"r"(to),
                 "l"(map), "r"(barrier), "r"(x), "r"(y)
                 : "memory");
}

DEVICE void fetch_tile3(u32 to, u64 map, u32 barrier, int x, int y, int z)
{
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(to),
                 "l"(map), "r"(barrier), "r"(x), "r"(y), "r"(z)
                 : "memory");
}

/* The same into both blocks of a pair; `barrier` of both counts the bytes. */
DEVICE void fetch_tile_for_both(u32 to, u64 map, u32 barrier, int x, int y)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
                 "[%0], [%1, {%3, %4}], [%2], %5;" ::"r"(to),
                 "l"(map), "r"(barrier), "r"(x), "r"(y), "h"((u16)3)
                 : "memory");
}

/* Adds a tile of float32 in shared memory to the card's, element by element, while the warps go on. */
DEVICE void add_tile(u64 map, u32 from, int x, int y)
{
    asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
                 "r"(from), "r"(x), "r"(y)
                 : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/* Until at most N tiles of this thread are still being read from shared memory. */
template <int N> DEVICE void tiles_read() { asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory"); }

/* Until all tiles of this thread have arrived. */
DEVICE void tiles_arrived() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

/* What was stored to shared memory becomes visible to what the card fetches and adds by itself. */
DEVICE void shared_ready() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/* ---- pairs of blocks (clusters of two) ---------------------------------------------------------------------------- */

DEVICE int block_of_pair()
{
    int r;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(r));
    return r;
}

/* All threads of both blocks that have not ended. */
DEVICE void sync_pair()
{
    asm volatile("barrier.cluster.arrive;" ::: "memory");
    asm volatile("barrier.cluster.wait;" ::: "memory");
}

/* Arrives at the barrier at the same place in block `block` of the pair. Without ".release.cluster", which would wait for
 * everything that the thread ever wrote: that alone cost a third of a product's speed. */
DEVICE void barrier_arrive_at(u32 barrier, int block)
{
    asm volatile("{ .reg .b32 r; mapa.shared::cluster.u32 r, %0, %1; "
                 "mbarrier.arrive.shared::cluster.b64 _, [r]; }" ::"r"(barrier),
                 "r"(block)
                 : "memory");
}

/* ---- turns in the card's memory: who adds to the same place adds in a fixed order --------------------------------- */

/* All 128 threads of warp group `group` (1 or 2). */
DEVICE void sync_group(int group) { asm volatile("bar.sync %0, 128;" ::"r"(group) : "memory"); }

DEVICE void await_turn(const int *ticket, int turn, int group)
{
    if ((thread_x() & 127) == 0) {
        int now;
        do
            asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(now) : "l"(ticket) : "memory");
        while (now != turn);
    }
    sync_group(group);
}

DEVICE void give_turn(int *ticket, int turn, int group)
{
    asm volatile("fence.acq_rel.gpu;" ::: "memory");
    sync_group(group);
    if ((thread_x() & 127) == 0)
        asm volatile("st.release.gpu.global.s32 [%0], %1;" ::"l"(ticket), "r"(turn) : "memory");
}

/* ---- products of a warp group ---------------------------------------------------------------------------------- */

/* A tile in shared memory whose rows are 128 bytes, swizzled as TMA does: eight rows every 1024 bytes. */
DEVICE u64 tile_descriptor(u32 address)
{
    return (u64)((address & 0x3FFFF) >> 4) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}

/* The same read across its rows: k runs over rows, eight every 1024 bytes; a group of 64 columns every `group` bytes. */
DEVICE u64 tile_descriptor_across(u32 address, int group)
{
    return (u64)((address & 0x3FFFF) >> 4) | (u64)(group >> 4) << 16 | 64ull << 32 | 1ull << 62;
}

DEVICE void group_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void group_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <int N> DEVICE void group_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

#define SUMS8(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
                    "+f"(d[i + 6]), "+f"(d[i + 7])
#define SUMS64(d, i) SUMS8(d, i), SUMS8(d, i + 8), SUMS8(d, i + 16), SUMS8(d, i + 24), SUMS8(d, i + 32), \
                     SUMS8(d, i + 40), SUMS8(d, i + 48), SUMS8(d, i + 56)

#define SUMS32(d, i) SUMS8(d, i), SUMS8(d, i + 8), SUMS8(d, i + 16), SUMS8(d, i + 24)

#define NAMES_0_31 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, " \
                   "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES_0_63 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, " \
                   "%21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, " \
                   "%40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, " \
                   "%59, %60, %61, %62, %63"
#define NAMES_64_95 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, " \
                    "%83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define NAMES_64_127 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, " \
                     "%83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, " \
                     "%101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, " \
                     "%116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

/* sums [64, 256] += a [64, 16] b [256, 16]^T, both in shared memory. Of the sums, thread t of the group holds rows
 * t / 32 * 16 + t % 32 / 4 (and + 8), columns 8 j + 2 (t % 4) (and + 1): d[4 j] .. d[4 j + 3]. */
DEVICE void multiply_256(float *d, u64 a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" NAMES_0_63 ", " NAMES_64_127
                 "}, %128, %129, 1, 1, 1, 0, 0; }"
                 : SUMS64(d, 0), SUMS64(d, 64)
                 : "l"(a), "l"(b));
}

#define WHOLE8(d, i) "+r"(d[i]), "+r"(d[i + 1]), "+r"(d[i + 2]), "+r"(d[i + 3]), "+r"(d[i + 4]), "+r"(d[i + 5]), \
                     "+r"(d[i + 6]), "+r"(d[i + 7])
#define WHOLE64(d, i) WHOLE8(d, i), WHOLE8(d, i + 8), WHOLE8(d, i + 16), WHOLE8(d, i + 24), WHOLE8(d, i + 32), \
                      WHOLE8(d, i + 40), WHOLE8(d, i + 48), WHOLE8(d, i + 56)

/* The same of int8, 32 of k at a time. */
DEVICE void multiply_s8_256(int *d, u64 a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n256k32.s32.s8.s8 {" NAMES_0_63 ", " NAMES_64_127 "}, %128, %129, 1; }"
                 : WHOLE64(d, 0), WHOLE64(d, 64)
                 : "l"(a), "l"(b));
}

DEVICE void multiply_s8_128(int *d, u64 a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n128k32.s32.s8.s8 {" NAMES_0_63 "}, %64, %65, 1; }"
                 : WHOLE64(d, 0)
                 : "l"(a), "l"(b));
}

/* The same of float8 (e4m3). */
DEVICE void multiply_f8_256(float *d, u64 a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n256k32.f32.e4m3.e4m3 {" NAMES_0_63 ", " NAMES_64_127
                 "}, %128, %129, 1, 1, 1; }"
                 : SUMS64(d, 0), SUMS64(d, 64)
                 : "l"(a), "l"(b));
}

DEVICE void multiply_f8_128(float *d, u64 a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {" NAMES_0_63 "}, %64, %65, 1, 1, 1; }"
                 : SUMS64(d, 0)
                 : "l"(a), "l"(b));
}

/* The same 192 wide. */
DEVICE void multiply_192(float *d, u64 a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {" NAMES_0_63 ", " NAMES_64_95
                 "}, %96, %97, 1, 1, 1, 0, 0; }"
                 : SUMS64(d, 0), SUMS8(d, 64), SUMS8(d, 72), SUMS8(d, 80), SUMS8(d, 88)
                 : "l"(a), "l"(b));
}

/* sums [64, 128] = (or += where `add`) a [64, 16] b [128, 16]^T. */
DEVICE void multiply_128(float *d, u64 a, u64 b, int add)
{
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %66, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES_0_63
                 "}, %64, %65, p, 1, 1, 0, 0; }"
                 : SUMS64(d, 0)
                 : "l"(a), "l"(b), "r"(add));
}

/* sums [64, 64] = (or += where `add`) a [64, 16] b [64, 16]^T. */
DEVICE void multiply_64(float *d, u64 a, u64 b, int add)
{
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %34, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" NAMES_0_31
                 "}, %32, %33, p, 1, 1, 0, 0; }"
                 : SUMS32(d, 0)
                 : "l"(a), "l"(b), "r"(add));
}

/* sums [64, 256] += a [64, 16] (in registers) b [16, 256], b read across its rows. */
DEVICE void multiply_256_across(float *d, const u32 *a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" NAMES_0_63 ", " NAMES_64_127
                 "}, {%128, %129, %130, %131}, %132, 1, 1, 1, 1; }"
                 : SUMS64(d, 0), SUMS64(d, 64)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

/* The same 192 wide. */
DEVICE void multiply_192_across(float *d, const u32 *a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n192k16.f32.bf16.bf16 {" NAMES_0_63 ", " NAMES_64_95
                 "}, {%96, %97, %98, %99}, %100, 1, 1, 1, 1; }"
                 : SUMS64(d, 0), SUMS32(d, 64)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

/* The same 128 wide. */
DEVICE void multiply_128_across(float *d, const u32 *a, u64 b)
{
    asm volatile("{ wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES_0_63
                 "}, {%64, %65, %66, %67}, %68, 1, 1, 1, 1; }"
                 : SUMS64(d, 0)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

#endif
