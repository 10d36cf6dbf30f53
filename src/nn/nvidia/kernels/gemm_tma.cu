/* gemm_tma.cu - products with tiles of 256 columns: gemm_tma.cuh says how. */
#include "gemm_tma.cuh"

GEMM_TMA(gemm_tma_256, 256, false)
GEMM_TMA(gemm_tma_swiglu, 256, true)
