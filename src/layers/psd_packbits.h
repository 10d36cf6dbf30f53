/* psd_packbits.h - the run-length code of PSD rows (PackBits).
 *
 * A control byte c: 0..127 copies the next c + 1 bytes; 129..255 repeats the next byte 257 - c times;
 * 128 does nothing. Pure functions over plain bytes. */
#ifndef VT_LAYERS_PSD_PACKBITS_H
#define VT_LAYERS_PSD_PACKBITS_H

#include <stdbool.h>
#include <stddef.h>

/* The most bytes that n bytes can take packed. */
static inline size_t packbits_bound(size_t n)
{
    return n + (n + 127) / 128;
}

/* Packs n bytes into out (packbits_bound(n) of room); returns how many were written. */
size_t packbits_encode(const unsigned char *in, size_t n, unsigned char *out);

/* Unpacks all n bytes of in to exactly out_n bytes; false when they give fewer or more. One no-op or
 * one pad byte behind the last run is allowed, as writers that even out their rows leave it. */
bool packbits_decode(const unsigned char *in, size_t n, unsigned char *out, size_t out_n);

#endif
