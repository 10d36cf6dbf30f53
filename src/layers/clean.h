/* clean.h - tidying a stack: a model's layers have soft edges, full size and no names.
 *
 * All functions work in place and keep what the stack looks like as far as their name allows: dropping
 * and trimming what is transparent, merging and naming change nothing that can be seen; cleaning alpha
 * does, and only at edges. */
#ifndef VT_LAYERS_CLEAN_H
#define VT_LAYERS_CLEAN_H

#include "base/err.h"
#include "layers/stack.h"

enum {
    LAYERS_EMPTY_ALPHA = 8,     /* a layer whose alpha nowhere reaches this is empty */
    LAYERS_DUPLICATE_LEVEL = 4, /* mean difference, in levels of 255, of neighbours that are one */
};

/* The layer's largest alpha, 0 to 255. */
int layer_alpha_max(const struct layer *l);

/* Drops layers whose largest alpha is below min_alpha; the last layer stays. Returns how many went. */
size_t layers_drop_empty(struct layer_stack *s, int min_alpha);

/* Mean difference of two layers, colours weighted by alpha, over the pixels that either covers; in
 * levels of 255. 255 when their opacity, blend mode or visibility differ. */
double layers_difference(const struct layer *a, const struct layer *b);

/* Merges each layer with the one above it when they differ by at most `levels`; *merged (may be NULL)
 * is how many went. */
ERR_MUST_CHECK enum err_code layers_merge_duplicates(struct layer_stack *s, double levels,
                                                     size_t *merged, struct err *e);

/* Brings n layers, by ascending index, together under the topmost of them and merges them. */
ERR_MUST_CHECK enum err_code layers_merge_chosen(struct layer_stack *s, const size_t *indexes,
                                                 size_t n, struct err *e);

/* Cuts off transparent rows and columns (alpha 0); the offset follows. Nothing left: 1 x 1. */
ERR_MUST_CHECK enum err_code layer_trim(struct layer *l, struct err *e);
ERR_MUST_CHECK enum err_code layers_trim(struct layer_stack *s, struct err *e);

/* Names every layer that has none by dominant colour and place: "red, upper left". A bottom layer that
 * fills the canvas is "background". Equal names are numbered. */
void layers_suggest_names(struct layer_stack *s);

struct layer_alpha_params {
    int low;    /* alpha up to this becomes 0 */
    int high;   /* alpha from this on becomes 255 */
    int radius; /* how far, in pixels, colours are taken from solid pixels; 0 leaves colours alone */
};
struct layer_alpha_params layer_alpha_defaults(void); /* 12, 243, 3 */

/* Cleans the edge: faint alpha goes, nearly solid becomes solid, and pixels in between (and transparent
 * ones beside them) get the colour of the solid pixels next to them instead of what the background
 * left in them. What has no solid pixel near, as glass or a shadow, keeps its colour. */
ERR_MUST_CHECK enum err_code
layer_clean_alpha(struct layer *l, const struct layer_alpha_params *params, struct err *e);

#endif
