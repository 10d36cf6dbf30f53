/* alpha_kern.h - rows of LA or RGBA pixels between straight and premultiplied colours, in place. */
#ifndef VT_IMAGE_ALPHA_KERN_H
#define VT_IMAGE_ALPHA_KERN_H

#include <stdbool.h>

/* channels is 2 or 4; the last one is alpha. p holds w * channels samples, of 16 bits where they are deep. */
void alpha_kern_premultiply(unsigned char *p, int w, int channels, bool deep);
void alpha_kern_unpremultiply(unsigned char *p, int w, int channels, bool deep);

#endif
