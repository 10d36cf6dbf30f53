/* param_arg.h - options that are parameters of a request: read by the one table that the HTTP API has, too. */
#ifndef VT_CLI_PARAM_ARG_H
#define VT_CLI_PARAM_ARG_H

#include "cli/cli.h"
#include "pipeline/params_table.h"

/* The row of the table that is called as the command's option id is, '_' for '-'. Never NULL for options that the
 * table has. */
const struct param *cli_param_of(const struct cli_args *a, int id, const struct param *table);
/* The option's value, checked against its row, into the request struct that the table describes. CLI_OK, or
 * CLI_USAGE after saying what is wrong. */
int cli_param_set(const struct cli_args *a, int id, const struct param *table, void *request);
/* The same for one of some words. */
int cli_param_choice(const struct cli_args *a, int id, const struct param *table, const char **out);

#endif
