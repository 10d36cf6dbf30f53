/* gemm.cu - products of bf16: gemm.cuh says how. */
#include "gemm.cuh"

KERNEL BOUNDS(256, 2) void gemm_bf16(struct nv_gemm g) { product<of_bf16, false>(&g); }
KERNEL BOUNDS(256, 2) void gemm_bf16_swiglu(struct nv_gemm g) { product<of_bf16, true>(&g); }
