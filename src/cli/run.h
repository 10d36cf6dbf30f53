/* run.h - how a command that makes something is asked to: for itself, or as an item of a batch. */
#ifndef VT_CLI_RUN_H
#define VT_CLI_RUN_H

#include <stdbool.h>

#include "cli/cli.h"
#include "veetance.h"

enum cli_way {
    CLI_RUN,   /* make it */
    CLI_PLAN,  /* say what it would take */
    CLI_CHECK, /* refuse what can be refused before any work */
};

/* What is there of an earlier run. */
enum cli_made { CLI_MADE_BROKEN, CLI_MADE_OTHERWISE, CLI_MADE_WHOLE };

struct cli_run {
    enum cli_way way;
    bool keeps_engine;        /* open from one run to the next; whoever says so closes it */
    struct vt_engine *engine; /* that one; NULL before the first run */
    struct vt_plan *plan;     /* of CLI_PLAN: takes the plan; NULL: it is printed */
    const char *path;         /* of CLI_CHECK: a result to compare with the request; NULL: none */
    enum cli_made made;       /* what it is */
};

/* argv[0] is the command's name. Exit code. */
typedef int cli_runner(const struct cli_command *self, int argc, char **argv, struct cli_run *run);

/* The engine that is open, or a new one; Ctrl-C stops it from now on. */
enum vt_status cli_run_open(struct cli_run *run, const struct vt_engine_options *options,
                            struct vt_engine **out, struct vt_error *err);
/* Ctrl-C stops it no more; closed unless it is kept. */
void cli_run_close(struct cli_run *run, struct vt_engine *engine);

#endif
