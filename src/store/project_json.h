/* project_json.h - projects as JSON: what the store keeps and what clients say. docs/formats/project.md.
 *
 * Readers name the field that is wrong in the error's text, first and in quotes ("'layers[2].opacity' is
 * 3, ..."), so that a server can point at it. Unknown keys are refused, because a misspelt one would be
 * lost in silence; the keys that only the store sets (id, revision, ...) are read over. The bytes may be
 * hostile. Thread-safe: no state. */
#ifndef VT_STORE_PROJECT_JSON_H
#define VT_STORE_PROJECT_JSON_H

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "store/projects.h"

/* A whole project. *out is initialised here and empty after a failure. Caller: project_deinit. */
ERR_MUST_CHECK enum err_code project_json_read(yyjson_val *obj, struct project *out, struct err *e);
ERR_MUST_CHECK enum err_code project_json_parse(struct str text, struct project *out,
                                                struct err *e);

/* The keys that are there replace what p has (layers: all of them); p is as it was after a failure. */
ERR_MUST_CHECK enum err_code project_json_patch(struct project *p, yyjson_val *obj, struct err *e);

/* One layer: the keys that are there replace what l has. `what` names it in messages ("layers[2]"). */
ERR_MUST_CHECK enum err_code project_json_layer(yyjson_val *obj, const char *what,
                                                struct project_layer *l, struct err *e);

/* A member of doc's object. NULL when memory is out. */
yyjson_mut_val *project_json_layer_value(yyjson_mut_doc *doc, const struct project_layer *l);
/* With id, revision and the rest that the store sets; heads of lists have no "layers" but a count. */
yyjson_mut_val *project_json_value(yyjson_mut_doc *doc, const struct project *p);
/* What the store keeps: name, width, height, selection, layers. Appended to out. */
ERR_MUST_CHECK enum err_code project_json_write(const struct project *p, struct buf *out,
                                                struct err *e);

#endif
