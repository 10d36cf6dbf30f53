#include "nn/cpu/vec.h"

#include "nn/cpu/isa.h"

const struct vec *vec_get(void)
{
    switch (nn_isa_get()) {
#if defined(__x86_64__)
    case NN_ISA_AVX512_BF16:
        return &vec_avx512_bf16;
    case NN_ISA_AVX512:
        return &vec_avx512;
    case NN_ISA_AVX2_VNNI:
    case NN_ISA_AVX2:
        return &vec_avx2;
#endif
    default:
        return &vec_base;
    }
}
