/* component_impl.h - inside this room: what the files about components share. */
#ifndef VT_WEIGHTS_COMPONENT_IMPL_H
#define VT_WEIGHTS_COMPONENT_IMPL_H

#include "weights/catalogue.h"
#include "weights/component.h"
#include "weights/naming.h"

struct component {
    struct checkpoint *cp;
    const struct naming *naming;
    const char *prefix;
    struct naming_numbers numbers;
    unsigned char *used; /* a flag per tensor of cp */
};

/* Is there a tensor whose name begins so? Tensors are sorted by name. */
bool component_any_begins(const struct checkpoint *cp, const char *start);

/* Says what a checkpoint that matches no naming looks like. */
ERR_MUST_CHECK enum err_code component_refuse_unknown(const struct checkpoint *cp, struct err *e);

#endif
