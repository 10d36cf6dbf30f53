/* gemm_s8.cu - products of int8: gemm.cuh says how. */
#include "gemm.cuh"

KERNEL BOUNDS(256, 2) void gemm_s8(struct nv_gemm g) { product<of_s8, false>(&g); }
KERNEL BOUNDS(256, 2) void gemm_s8_swiglu(struct nv_gemm g) { product<of_s8, true>(&g); }
