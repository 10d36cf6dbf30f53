/* fill_kern.h - the loop that turns a block of normal numbers into bf16 weights. */
#ifndef VT_BENCH_FILL_KERN_H
#define VT_BENCH_FILL_KERN_H

#include <stddef.h>
#include <stdint.h>

/* dst[i] = scale * src[i], rounded to the nearest bf16 (ties to even). src is finite. */
void bench_fill_bf16_kern(const float *src, size_t n, float scale, uint16_t *dst);

#endif
