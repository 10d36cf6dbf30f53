/* fit.h - layers of a model's size brought back to the size of the image they came from.
 *
 * A model works at its bucket's size, so its layers are smaller than the source and a little off in
 * colour. Two steps correct that: alpha-aware (premultiplied) Lanczos resampling of each layer, and
 * then, where a layer is opaque and nothing lies over it, the source's own pixels, for there they are
 * known. Between "known" and "not" the change is smooth, by the alpha of the layer and of what lies
 * above. Soft edges and hidden parts stay as the model made them. */
#ifndef VT_LAYERS_FIT_H
#define VT_LAYERS_FIT_H

#include "base/err.h"
#include "layers/stack.h"

/* In place, to source's size; source has any mode. Where its own alpha is not full, colours are left.
 * After a failure the layers have mixed sizes: free the stack. */
ERR_MUST_CHECK enum err_code layers_to_full_size(struct layer_stack *s, const struct image *source,
                                                 struct err *e);

/* The two steps of it. */
ERR_MUST_CHECK enum err_code layers_resize(struct layer_stack *s, int w, int h, struct err *e);
ERR_MUST_CHECK enum err_code layers_fit_colours(struct layer_stack *s, const struct image *source,
                                                struct err *e);

/* How the flattened stack differs from an image of the canvas' size, any mode. Over RGB when both are
 * opaque; else over RGBA with colours multiplied by alpha. */
ERR_MUST_CHECK enum err_code layers_recompose_report(const struct layer_stack *s,
                                                     const struct image *reference,
                                                     struct image_difference *out, struct err *e);

#endif
