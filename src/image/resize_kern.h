/* resize_kern.h - the two loops of resampling. Plain pointers; no allocation, no errors.
 *
 * A weight is an integer k of `precision` fractional bits, kept in two halves, k = hi * 256 + lo with
 * 0 <= lo < 256, because then a window is two sums of 16-bit products, which every x86-64 multiplies
 * and adds eight at a time (pmaddwd). The result is the exact 32-bit sum, so it does not matter that
 * the reference multiplies otherwise. Deep samples (16 bits) are summed in 64 bits by the plain loops. */
#ifndef VT_IMAGE_RESIZE_KERN_H
#define VT_IMAGE_RESIZE_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Windows and weights of one axis. Output i = clamp((sum over j < count[i] of
 * k[i * taps + j] * in[first[i] + j] + half) >> precision). */
struct resize_axis {
    int in, out;
    int taps; /* room per output, a multiple of 8; weights from count[i] on are zero */
    int precision;
    int *first;
    int *count;
    int16_t *hi; /* [out, taps] */
    int16_t *lo; /* [out, taps] */
};

/* One row: axis->in pixels of `channels` samples to axis->out pixels. */
void resize_kern_row(unsigned char *dst, const unsigned char *src, const struct resize_axis *axis,
                     int channels, bool deep);
void resize_kern_row_ref(unsigned char *dst, const unsigned char *src,
                         const struct resize_axis *axis, int channels, bool deep);

/* Output row i of n samples from the rows of the axis->in rows at src, `stride` bytes apart, that its window
 * covers. */
void resize_kern_column(unsigned char *dst, const unsigned char *src, size_t stride, size_t n,
                        const struct resize_axis *axis, int i, bool deep);
void resize_kern_column_ref(unsigned char *dst, const unsigned char *src, size_t stride, size_t n,
                            const struct resize_axis *axis, int i, bool deep);

#endif
