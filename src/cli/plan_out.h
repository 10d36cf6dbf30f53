/* plan_out.h - memory plans and what runs took, for people and as JSON. */
#ifndef VT_CLI_PLAN_OUT_H
#define VT_CLI_PLAN_OUT_H

#include "base/buf.h"
#include "veetance.h"

/* Prints the plan. Always CLI_OK: a plan that says no is a plan. */
int plan_out_print(const struct vt_plan *p, bool json);
/* The plan as a JSON object. */
void plan_out_json(struct buf *b, const struct vt_plan *p);
/* The member "memory" of a run's JSON; host is NULL or more members of memory.host, with a comma in front. */
void plan_out_memory(struct buf *b, const struct vt_stats *s, const char *host);

#endif
