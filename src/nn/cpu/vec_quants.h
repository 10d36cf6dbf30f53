/* vec_quants.h - the blocks of GGUF's quantised types, as they lie in a file (little-endian, no gaps). */
#ifndef VT_NN_CPU_VEC_QUANTS_H
#define VT_NN_CPU_VEC_QUANTS_H

#include <stdint.h>

enum { QUANT_BLOCK = 32, QUANT_SUPER_BLOCK = 256 };

struct block_q4_0 { /* d * (q - 8) */
    uint16_t d;
    uint8_t qs[16];
};
struct block_q4_1 { /* d * q + m */
    uint16_t d, m;
    uint8_t qs[16];
};
struct block_q5_0 { /* d * (q - 16); the fifth bits are in qh */
    uint16_t d;
    uint8_t qh[4], qs[16];
};
struct block_q5_1 { /* d * q + m */
    uint16_t d, m;
    uint8_t qh[4], qs[16];
};
struct block_q8_0 { /* d * q */
    uint16_t d;
    int8_t qs[32];
};
struct block_q4_k { /* eight parts of 32: d * scale * q - dmin * min */
    uint16_t d, dmin;
    uint8_t scales[12], qs[128];
};
struct block_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12], qh[32], qs[128];
};
struct block_q6_k { /* sixteen parts of 16: d * scale * (q - 32) */
    uint8_t ql[128], qh[64];
    int8_t scales[16];
    uint16_t d;
};

_Static_assert(sizeof(struct block_q5_0) == 22 && sizeof(struct block_q8_0) == 34, "no gaps");
_Static_assert(sizeof(struct block_q4_k) == 144 && sizeof(struct block_q5_k) == 176 &&
                   sizeof(struct block_q6_k) == 210,
               "no gaps");

#endif
