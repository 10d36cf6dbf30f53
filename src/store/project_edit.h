/* project_edit.h - parts of a project as images, and changes of it that make new ones: merging, trimming, cleaning.
 *
 * What is made is put into the store; the project is changed in memory, for project_save. */
#ifndef VT_STORE_PROJECT_EDIT_H
#define VT_STORE_PROJECT_EDIT_H

#include "store/projects.h"

struct project_choice {
    const char *const *ids;
    size_t n;
};

/* Leaves only the layers that are named, the members of named groups, and the groups around them. The named ones and
 * what is around them become visible. ERR_NOTFOUND for an id that no layer has. */
ERR_MUST_CHECK enum err_code project_choose(struct project *p, struct project_choice choice,
                                            struct err *e);
/* What the visible layers cover at most: of the canvas, and of as much around it. 0 x 0 when there is nothing. */
ERR_MUST_CHECK enum err_code project_bounds(struct store *s, const struct project *p,
                                            struct image_rect *out, struct err *e);

/* One layer of the chosen ones, in the place of the topmost, whose id it gets: normal, opaque, as they look together
 * within that one's group, also beyond the canvas. name NULL: the topmost one's. ERR_ARG when nothing is seen. */
ERR_MUST_CHECK enum err_code project_merge(struct store *s, struct project *p,
                                           struct project_choice choice, const char *name,
                                           const struct project_stop *stop, struct err *e);
/* Cuts the transparent edges of a layer's image off, and as much of its mask. Its pixels stay where they are. */
ERR_MUST_CHECK enum err_code project_trim(struct store *s, struct project_layer *l, struct err *e);
/* layers/clean.h's clean-up of alpha, with its defaults. */
ERR_MUST_CHECK enum err_code project_clean(struct store *s, struct project_layer *l, struct err *e);

/* ---- the memory that it takes at most ---------------------------------------------------------- */

/* project_flatten of that part, and the image as an asset. */
ERR_MUST_CHECK enum err_code project_image_weight(struct store *s, const struct project *p,
                                                  const struct image_rect *part, uint64_t *bytes,
                                                  struct err *e);
ERR_MUST_CHECK enum err_code project_merge_weight(struct store *s, const struct project *p,
                                                  struct project_choice choice, uint64_t *bytes,
                                                  struct err *e);
/* project_trim, project_clean. */
ERR_MUST_CHECK enum err_code project_layer_weight(struct store *s, const struct project_layer *l,
                                                  uint64_t *bytes, struct err *e);

#endif
