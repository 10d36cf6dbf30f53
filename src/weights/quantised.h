/* quantised.h - inside this room: a stored matrix and the tensors beside it that say how its numbers become values.
 *
 * Beside "M.weight" may lie "M.weight_scale" and the like, and a marker: the tensor "M.comfy_quant" (JSON), or M's
 * entry in the header's "_quantization_metadata". Whatever of it is not understood is refused, as the values
 * would be silently wrong. docs/formats/quantised.md lists the forms.
 */
#ifndef VT_WEIGHTS_QUANTISED_H
#define VT_WEIGHTS_QUANTISED_H

#include "base/json.h"
#include "weights/view.h"

struct quantised {
    struct weights_tensor values; /* of the tensor: name, dtype and dims of values, not of bytes */
    float scale;
    const struct weights_tensor *rows, *columns;
    struct weights_grid grid, offset;
    struct weights_numbers levels;
    int64_t rotation;
    bool high_first, rounded;
};

/* markers: what quantised_markers gave. */
ERR_MUST_CHECK enum err_code quantised_read(const struct checkpoint *cp, yyjson_doc *markers,
                                            const char *prefix, const struct weights_tensor *t,
                                            struct quantised *out, struct err *e);
/* The parsed "_quantization_metadata"; NULL when there is none. The caller frees it. */
ERR_MUST_CHECK enum err_code quantised_markers(const struct checkpoint *cp, yyjson_doc **out,
                                               struct err *e);
/* Does a tensor of this name only describe another one (a scale, a marker)? */
bool quantised_describes(const struct checkpoint *cp, const char *name);

#endif
