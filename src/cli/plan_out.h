/* plan_out.h - memory plans for people and as JSON. */
#ifndef VT_CLI_PLAN_OUT_H
#define VT_CLI_PLAN_OUT_H

#include <stdbool.h>

#include "veetance.h"

/* Prints the plan. CLI_FAILED when it says that the run would be refused, so that scripts can ask. */
int plan_out_print(const struct vt_plan *p, bool json);

#endif
