/* gemm_heads_tma.cu - heads in bf16: gemm_heads_tma.cuh says how. */
#include "gemm_heads_tma.cuh"

GEMM_HEADS_TMA(gemm_tma_heads, of_bf16)
