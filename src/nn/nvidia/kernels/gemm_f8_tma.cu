/* gemm_f8_tma.cu - products of float8: gemm_tma.cuh and gemm_heads_tma.cuh say how. */
#include "gemm_heads_tma.cuh"

GEMM_TMA(gemm_tma_f8_256, of_f8, 256, false)
GEMM_TMA(gemm_tma_f8_128, of_f8, 128, false)
GEMM_TMA(gemm_tma_f8_swiglu, of_f8, 256, true)
GEMM_HEADS_TMA(gemm_tma_heads_f8, of_f8)
