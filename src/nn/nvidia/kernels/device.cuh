/* device.cuh - what every kernel here starts from: plain CUDA C as clang takes it without a CUDA toolkit.
 *
 * No header of CUDA is included, so the few built-ins that we need are named here. Types other than float32 are
 * read and written through load/store with a type of nv_type. */
#ifndef VT_NN_NVIDIA_DEVICE_H
#define VT_NN_NVIDIA_DEVICE_H

#include "../kernels.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long long u64;
typedef long long i64;

#define KERNEL extern "C" __attribute__((global))
#define DEVICE static __attribute__((device)) __attribute__((always_inline))
#define INLINE __attribute__((device, always_inline)) /* of a lambda */
#define SHARED __attribute__((shared))
#define BOUNDS(threads, blocks) __attribute__((launch_bounds(threads, blocks)))
#define UNROLL _Pragma("unroll")

DEVICE int thread_x() { return (int)__nvvm_read_ptx_sreg_tid_x(); }
DEVICE int block_x() { return (int)__nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE int block_y() { return (int)__nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE int block_z() { return (int)__nvvm_read_ptx_sreg_ctaid_z(); }
DEVICE int blocks_x() { return (int)__nvvm_read_ptx_sreg_nctaid_x(); }

DEVICE void sync_block() { asm volatile("bar.sync 0;" ::: "memory"); }

/* ---- arithmetic --------------------------------------------------------------------------------------- */

DEVICE float exp2_fast(float x)
{
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}

/* Within 2 units in the last place: x log2(e) is split, so that its rounding does not grow with x. */
DEVICE float exp_exact(float x)
{
    const float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    float n = __builtin_rintf(x * log2e);
    n = n < -126.0f ? -126.0f : n > 127.0f ? 127.0f : n;
    float r = __builtin_fmaf(-n, ln2_low, __builtin_fmaf(-n, ln2_high, x));
    return exp2_fast(r * log2e) * exp2_fast(n);
}

DEVICE float sigmoid(float x) { return 1.0f / (1.0f + exp_exact(-x)); }
DEVICE float silu(float x) { return x * sigmoid(x); }

/* x / 2 (1 + tanh(u)) = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
DEVICE float gelu_tanh(float x)
{
    return x * sigmoid(1.5957691216057308f * x * (1.0f + 0.044715f * x * x));
}

/* The same to about 20 bits, for what becomes bf16. */
DEVICE float sigmoid_fast(float x)
{
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(1.0f + exp2_fast(-1.44269504f * x)));
    return r;
}

DEVICE float silu_fast(float x) { return x * sigmoid_fast(x); }

DEVICE float gelu_tanh_fast(float x)
{
    return x * sigmoid_fast(1.5957691216057308f * x * (1.0f + 0.044715f * x * x));
}

DEVICE float sqrt_exact(float x)
{
    float r;
    asm("sqrt.rn.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}

DEVICE float rsqrt_exact(float x) { return 1.0f / sqrt_exact(x); }

DEVICE float max_of(float a, float b)
{
    float r;
    asm("max.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}

DEVICE float shuffle_xor(float x, int mask)
{
    float r;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(r) : "f"(x), "r"(mask));
    return r;
}

DEVICE bool any_of_warp(bool x)
{
    int r;
    asm volatile("{ .reg .pred p, q; setp.ne.b32 p, %1, 0; vote.sync.any.pred q, p, 0xffffffff; selp.b32 %0, 1, 0, q; }"
                 : "=r"(r)
                 : "r"((int)x));
    return r != 0;
}

DEVICE float warp_sum(float x)
{
    UNROLL for (int m = 16; m > 0; m >>= 1) x += shuffle_xor(x, m);
    return x;
}

DEVICE float warp_max(float x)
{
    UNROLL for (int m = 16; m > 0; m >>= 1) x = max_of(x, shuffle_xor(x, m));
    return x;
}

/* Sum or maximum over all threads of a block, known to all; room for one float a warp. */
template <bool MAX> DEVICE float block_reduce(float x, float *room, int threads)
{
    int warp = thread_x() >> 5, warps = threads >> 5;
    x = MAX ? warp_max(x) : warp_sum(x);
    sync_block();
    if ((thread_x() & 31) == 0)
        room[warp] = x;
    sync_block();
    float r = room[0];
    for (int i = 1; i < warps; i++)
        r = MAX ? max_of(r, room[i]) : r + room[i];
    return r;
}

/* ---- types --------------------------------------------------------------------------------------------- */

DEVICE float from_bf16(u16 x) { return __builtin_bit_cast(float, (u32)x << 16); }

/* The low half is x. */
DEVICE u32 pack_bf16(float x, float y)
{
    u32 r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(y), "f"(x));
    return r;
}

DEVICE u16 to_bf16(float x) { return (u16)pack_bf16(x, 0.0f); }

DEVICE float from_f16(u16 x)
{
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x));
    return r;
}

/* A float8 that is no NaN: with its exponent in the place of a half's, it is 256 times too small. */
DEVICE float from_e4m3(u32 b) { return from_f16((u16)((b & 0x80) << 8 | (b & 0x7f) << 7)) * 256.0f; }

DEVICE u16 to_f16(float x)
{
    u16 r;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
    return r;
}

/* What a thread reads or writes at a time. */
struct two_words {
    u32 v[2];
} __attribute__((aligned(8)));

struct four_words {
    u32 v[4];
} __attribute__((aligned(16)));

DEVICE float load(const void *p, i64 i, int type)
{
    switch (type) {
    case NV_BF16:
        return from_bf16(((const u16 *)p)[i]);
    case NV_F16:
        return from_f16(((const u16 *)p)[i]);
    case NV_I32:
        return (float)((const int *)p)[i];
    case NV_F64:
        return (float)((const double *)p)[i];
    default:
        return ((const float *)p)[i];
    }
}

DEVICE void store(void *p, i64 i, int type, float x)
{
    switch (type) {
    case NV_BF16:
        ((u16 *)p)[i] = to_bf16(x);
        break;
    case NV_F16:
        ((u16 *)p)[i] = to_f16(x);
        break;
    case NV_I32:
        ((int *)p)[i] = (int)x;
        break;
    case NV_F64:
        ((double *)p)[i] = (double)x;
        break;
    default:
        ((float *)p)[i] = x;
    }
}

/* ---- shared memory ---------------------------------------------------------------------------------------- */

/* What the launch gives beyond a kernel's own arrays. */
extern SHARED __attribute__((aligned(1024))) char dynamic_shared[];

DEVICE u32 shared_base()
{
    u32 a;
    asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }"
        : "=r"(a)
        : "l"(dynamic_shared));
    return a;
}

/* 16 bytes from the card's memory to shared memory, while the warp goes on; zeros where `bytes` is 0. */
DEVICE void copy_async(u32 to, const void *from, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes));
}

DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int N> DEVICE void copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* ---- matrix units: mma (sm_80 and later) ------------------------------------------------------------------- */

DEVICE void load_matrix(u32 *r, u32 address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

DEVICE void load_matrix_transposed(u32 *r, u32 address)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

/* c [16, 8] += a [16, 16] b [8, 16]^T. Of c, thread l holds rows l / 4 and l / 4 + 8, columns 2 (l % 4) and + 1. */
DEVICE void mma_bf16(float *c, const u32 *a, const u32 *b)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* c [16, 8] += a [16, 32] b [8, 32]^T, of int8; the fragments lie as those of bf16 do, byte for byte. */
DEVICE void mma_s8(int *c, const u32 *a, const u32 *b)
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
                 "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Where 16 bytes number q (of 8) of row r lie in a tile whose rows are 128 bytes: no two of the eight rows that a
 * matrix load reads at a time fall on the same banks. */
DEVICE u32 swizzled(int r, int q) { return (u32)(r * 128 + ((q ^ (r & 7)) << 4)); }

#endif
