/* json_groups.h - groups in layers.json. Internal. */
#ifndef VT_LAYERS_JSON_GROUPS_H
#define VT_LAYERS_JSON_GROUPS_H

#include "base/json.h"
#include "layers/stack.h"

/* The member "groups" of the manifest; nothing when there are none. False when memory is out. */
bool layers_groups_put(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct layer_stack *s);

/* Those of the manifest into s, which has no layers yet. ERR_FORMAT for ids that are missing or there twice, parents that
 * are not there, and nesting that is too deep or goes round. */
ERR_MUST_CHECK enum err_code layers_groups_read(yyjson_val *root, struct layer_stack *s,
                                                struct err *e);
/* The number of the group with that id. ERR_FORMAT when there is none. */
ERR_MUST_CHECK enum err_code layers_group_find(const struct layer_stack *s, struct str id,
                                               size_t *at, struct err *e);

#endif
