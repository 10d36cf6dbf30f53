/* png_filter_kern.h - a row of a PNG as differences from its neighbours. Only for png_pixels.c. */
#ifndef VT_IMAGE_PNG_FILTER_KERN_H
#define VT_IMAGE_PNG_FILTER_KERN_H

#include <stddef.h>

/* Filter types of the format. */
enum png_filter { PNG_FILTER_TYPE_SUB = 1, PNG_FILTER_TYPE_UP = 2, PNG_FILTER_TYPE_PAETH = 4 };

/* The n bytes of a row whose pixels have bpp bytes; above is the row before it. The first bpp bytes in front of row and
 * above must be there, and zero. */
void png_filter_kern(enum png_filter type, unsigned char *dst, const unsigned char *row,
                     const unsigned char *above, size_t n, size_t bpp);

/* What libpng's authors recommend to choose by: the sum of the bytes' distances from zero, as signed numbers. */
size_t png_filter_kern_cost(const unsigned char *filtered, size_t n);

#endif
