/* gemm_tma.cu - products of bf16 with tiles of 256 columns: gemm_tma.cuh says how. */
#include "gemm_tma.cuh"

GEMM_TMA(gemm_tma_256, of_bf16, 256, false)
GEMM_TMA(gemm_tma_swiglu, of_bf16, 256, true)
