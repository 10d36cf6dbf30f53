/* plan_out.h - memory plans for people and as JSON. */
#ifndef VT_CLI_PLAN_OUT_H
#define VT_CLI_PLAN_OUT_H

#include <stdbool.h>

#include "veetance.h"

/* Prints the plan. Always CLI_OK: a plan that says no is a plan. */
int plan_out_print(const struct vt_plan *p, bool json);

#endif
