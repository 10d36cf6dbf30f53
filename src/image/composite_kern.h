/* composite_kern.h - one row of a layer onto one row of a canvas. */
#ifndef VT_IMAGE_COMPOSITE_KERN_H
#define VT_IMAGE_COMPOSITE_KERN_H

#include "image/composite.h"

/* Both rows hold w RGBA pixels of one depth; canvas changes. opacity is 0 to 1. */
void composite_kern_row(unsigned char *canvas, const unsigned char *layer, int w, float opacity,
                        enum blend_mode mode, bool deep);

#endif
