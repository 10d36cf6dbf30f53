/* text.h - labels on images. */
#ifndef VT_IMAGE_TEXT_H
#define VT_IMAGE_TEXT_H

#include "image/image.h"

enum {
    IMAGE_TEXT_DOT = 2,
    IMAGE_TEXT_ADVANCE = 6 * IMAGE_TEXT_DOT,
    IMAGE_TEXT_H = 7 * IMAGE_TEXT_DOT
};

/* Pixels that it takes in a line. */
int image_text_width(const char *text);
/* Its upper left corner at x, y; whole letters, as many as width pixels hold. The image is RGB or RGBA of 8 bits; what
 * lies outside it is left out. */
void image_draw_text(struct image *im, int x, int y, int width, const char *text,
                     const unsigned char colour[4]);

#endif
