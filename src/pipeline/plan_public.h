/* plan_public.h - memory plans in the terms of veetance.h. */
#ifndef VT_PIPELINE_PLAN_PUBLIC_H
#define VT_PIPELINE_PLAN_PUBLIC_H

#include "memory/plan.h"
#include "veetance.h"

void plan_public(const struct memory_plan *p, struct vt_plan *out);

#endif
