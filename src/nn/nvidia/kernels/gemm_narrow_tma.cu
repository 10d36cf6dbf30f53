/* gemm_narrow_tma.cu - products with narrower tiles, for sizes that would leave multiprocessors without one. */
#include "gemm_tma.cuh"

GEMM_TMA(gemm_tma_192, 192, false)
GEMM_TMA(gemm_tma_128, 128, false)
