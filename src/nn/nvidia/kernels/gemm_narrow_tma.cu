/* gemm_narrow_tma.cu - products of bf16 with narrower tiles, for sizes that would leave multiprocessors without one. */
#include "gemm_tma.cuh"

GEMM_TMA(gemm_tma_192, of_bf16, 192, false)
GEMM_TMA(gemm_tma_128, of_bf16, 128, false)
