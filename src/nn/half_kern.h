/* half_kern.h - bf16 to half precision, for devices whose matrix units lack bf16. */
#ifndef VT_NN_HALF_KERN_H
#define VT_NN_HALF_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* n values, rounded to nearest even; below the smallest half they become 0. False when one is too large
 * for a half (or is NaN or infinite). */
bool half_from_bf16(const uint16_t *src, uint16_t *dst, size_t n);

#endif
