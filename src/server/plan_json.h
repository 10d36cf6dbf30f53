/* plan_json.h - a memory plan as JSON: what /v1/plan and `veetance plan --json` answer. */
#ifndef VT_SERVER_PLAN_JSON_H
#define VT_SERVER_PLAN_JSON_H

#include "server/http.h"
#include "veetance.h"

extern const struct http_field plan_fields[];

void plan_json(struct buf *b, const struct vt_plan *p);

#endif
