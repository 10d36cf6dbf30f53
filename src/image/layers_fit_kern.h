/* layers_fit_kern.h - one row of the colour fit. */
#ifndef VT_IMAGE_LAYERS_FIT_KERN_H
#define VT_IMAGE_LAYERS_FIT_KERN_H

#include <stdbool.h>

/* n RGBA pixels of a layer and of the source; free_way[n] is how much of what lies here can be seen
 * through the layers above (1 = all), and is lessened by this layer. With fit, colours move to the
 * source's where layer, way and source are opaque. */
void layers_fit_kern_row(unsigned char *layer, const unsigned char *source, float *free_way, int n,
                         float opacity, bool fit);

#endif
