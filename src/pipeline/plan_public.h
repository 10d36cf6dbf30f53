/* plan_public.h - memory plans in the words of veetance.h, and memory as JSON for every face of the program. */
#ifndef VT_PIPELINE_PLAN_PUBLIC_H
#define VT_PIPELINE_PLAN_PUBLIC_H

#include "base/buf.h"
#include "memory/plan.h"
#include "veetance.h"

void plan_public(const struct memory_plan *p, struct vt_plan *out);

/* A plan as an object; and what a run took, with further members for "host" (", "name": value") or NULL. */
void plan_public_json(struct buf *b, const struct vt_plan *p);
void stats_public_json(struct buf *b, const struct vt_stats *s, const char *host);

#endif
