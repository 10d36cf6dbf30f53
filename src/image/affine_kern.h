/* affine_kern.h - one row of a moved image. */
#ifndef VT_IMAGE_AFFINE_KERN_H
#define VT_IMAGE_AFFINE_KERN_H

#include <stddef.h>

/* Where a row of the output lies in the source, in source pixels. */
struct affine_row {
    const unsigned char *src; /* RGBA, w x h */
    size_t stride;
    int w, h;
    double u, v;        /* of the first output pixel's centre */
    double du, dv;      /* to the next one */
    float per_u, per_v; /* output pixels across which u (v) changes by one */
};

/* n RGBA pixels, transparent outside the source. */
void affine_kern_row(unsigned char *dst, int n, const struct affine_row *row);

#endif
