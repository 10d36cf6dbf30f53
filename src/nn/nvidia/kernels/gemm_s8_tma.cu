/* gemm_s8_tma.cu - products of int8: gemm_tma.cuh and gemm_heads_tma.cuh say how. */
#include "gemm_heads_tma.cuh"

GEMM_TMA(gemm_tma_s8_256, of_s8, 256, false)
GEMM_TMA(gemm_tma_s8_128, of_s8, 128, false)
GEMM_TMA(gemm_tma_s8_swiglu, of_s8, 256, true)
GEMM_HEADS_TMA(gemm_tma_heads_s8, of_s8)
