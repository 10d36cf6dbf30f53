/* png_filter_kern.c - see png_filter_kern.h. */
#include "image/png_filter_kern.h"

#include <stdint.h>
#include <stdlib.h>

static void sub(unsigned char *dst, const unsigned char *row, size_t n, size_t bpp)
{
    const unsigned char *left = row - bpp;
    for (size_t i = 0; i < n; i++)
        dst[i] = (unsigned char)(row[i] - left[i]);
}

static void up(unsigned char *dst, const unsigned char *row, const unsigned char *above, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = (unsigned char)(row[i] - above[i]);
}

/* Whichever of left, above and corner is nearest to left + above - corner, the first of them that is. In 16 bits and
 * without branches, so that it is done for many bytes at a time. */
static void paeth(unsigned char *dst, const unsigned char *row, const unsigned char *above,
                  size_t n, size_t bpp)
{
    const unsigned char *left = row - bpp, *corner = above - bpp;
    for (size_t i = 0; i < n; i++) {
        int16_t a = left[i], b = above[i], c = corner[i];
        int16_t from_a = (int16_t)(b - c), from_b = (int16_t)(a - c);
        int16_t from_c = (int16_t)(from_a + from_b);
        from_a = (int16_t)(from_a < 0 ? -from_a : from_a);
        from_b = (int16_t)(from_b < 0 ? -from_b : from_b);
        from_c = (int16_t)(from_c < 0 ? -from_c : from_c);
        int16_t b_or_c = from_b <= from_c ? b : c;
        int16_t nearest = from_b <= from_c ? from_b : from_c;
        dst[i] = (unsigned char)(row[i] - (from_a <= nearest ? a : b_or_c));
    }
}

void png_filter_kern(enum png_filter type, unsigned char *dst, const unsigned char *row,
                     const unsigned char *above, size_t n, size_t bpp)
{
    if (type == PNG_FILTER_TYPE_SUB)
        sub(dst, row, n, bpp);
    else if (type == PNG_FILTER_TYPE_UP)
        up(dst, row, above, n);
    else
        paeth(dst, row, above, n, bpp);
}

size_t png_filter_kern_cost(const unsigned char *filtered, size_t n)
{
    enum { PART = 1 << 16 };
    size_t sum = 0;
    for (size_t at = 0; at < n; at += PART) {
        size_t end = n - at < PART ? n : at + PART;
        uint32_t part = 0;
        for (size_t i = at; i < end; i++)
            part += (uint32_t)abs((signed char)filtered[i]);
        sum += part;
    }
    return sum;
}
