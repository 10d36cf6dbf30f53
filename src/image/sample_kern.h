/* sample_kern.h - rows of pixels between modes, depths and floats. */
#ifndef VT_IMAGE_SAMPLE_KERN_H
#define VT_IMAGE_SAMPLE_KERN_H

#include <stdbool.h>
#include <stddef.h>

/* w pixels of `from` channels to `to` channels, of one depth; see image_convert. */
void sample_kern_convert(unsigned char *dst, int to, const unsigned char *src, int from, int w,
                         bool deep);

/* n samples. dst may be src where they get smaller. */
void sample_kern_narrow(unsigned char *dst, const unsigned char *src, size_t n);
void sample_kern_widen(unsigned char *dst, const unsigned char *src, size_t n);

/* w pixels of `channels` samples to as many rows of floats, `plane` floats apart: v / max * 2 - 1. */
void sample_kern_planes(float *dst, size_t plane, const unsigned char *src, int channels, int w,
                        bool deep);

/* The way back, to 8 bits: v / 2 + 1/2 within 0 to 1, times 255, halves to even as numpy rounds. */
void sample_kern_pixels(unsigned char *dst, const float *src, size_t plane, int channels, int w);

#endif
