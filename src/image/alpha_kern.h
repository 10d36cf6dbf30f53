/* alpha_kern.h - rows of LA or RGBA pixels between straight and premultiplied colours, in place. */
#ifndef VT_IMAGE_ALPHA_KERN_H
#define VT_IMAGE_ALPHA_KERN_H

/* channels is 2 or 4; the last one is alpha. p holds w * channels bytes. */
void alpha_kern_premultiply(unsigned char *p, int w, int channels);
void alpha_kern_unpremultiply(unsigned char *p, int w, int channels);

#endif
