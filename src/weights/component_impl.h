/* component_impl.h - inside this room: what the files about components share. */
#ifndef VT_WEIGHTS_COMPONENT_IMPL_H
#define VT_WEIGHTS_COMPONENT_IMPL_H

#include "base/json.h"
#include "weights/catalogue.h"
#include "weights/component.h"
#include "weights/naming.h"

struct component {
    struct checkpoint *cp;
    const struct naming *naming;
    char prefix[NAMING_MAX_BYTES];
    struct naming_numbers numbers;
    yyjson_doc *markers; /* of quantised layers, from the header; may be NULL */
};

/* schema.c: does a network of this kind have such a canonical tensor? */
bool schema_knows(enum component_kind kind, const char *canonical);
/* impostor.c: an error when the network only looks like one that the pipelines use. */
ERR_MUST_CHECK enum err_code component_refuse_impostor(const struct component *c, struct err *e);

/* A stored tensor as a view of all its values. */
ERR_MUST_CHECK enum err_code component_stored(const struct component *c,
                                              const struct weights_tensor *t,
                                              struct weights_view *out, struct err *e);

/* Is there a tensor whose name begins so? Tensors are sorted by name. */
bool component_any_begins(const struct checkpoint *cp, const char *start);

/* Says what a checkpoint that matches no naming looks like. */
ERR_MUST_CHECK enum err_code component_refuse_unknown(const struct checkpoint *cp, struct err *e);

#endif
