/* cli.h - the command line: commands and their options are tables; help, man pages and completion come from
 * the same tables.
 *
 * Only this room prints and only this room decides exit codes: 0 done, 1 failed, 2 bad usage, 3 doubtful
 * under --strict, 130 stopped by Ctrl-C. Results go to standard output, everything else to standard error. */
#ifndef VT_CLI_CLI_H
#define VT_CLI_CLI_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "veetance.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_DOUBTFUL = 3, CLI_INTERRUPTED = 130 };

struct cli_option {
    int id;            /* the command's own enum; CLI_POSITIONAL and below are reserved */
    char short_name;   /* 0: none */
    const char *name;  /* without dashes */
    const char *value; /* what the value is called in help; NULL: a switch */
    const char *help;
};

enum { CLI_END = 0, CLI_POSITIONAL = -1, CLI_ERROR = -2, CLI_HELP = -3 };

struct cli_command;

/* A word that may follow a command's name. */
struct cli_subcommand {
    const char *name, *value, *summary; /* value: what follows it in help; NULL: nothing */
    const struct cli_command *command;  /* with options of its own; NULL: the command's */
};

struct cli_command {
    const char *name;
    const char *summary;                      /* one line for `veetance help` */
    const char *usage;                        /* what follows the command's name */
    const char *examples;                     /* lines, each indented by two spaces */
    const struct cli_option *options;         /* ends with a NULL name */
    const struct cli_subcommand *subcommands; /* ends with a NULL name; NULL: none */
    int (*run)(const struct cli_command *self, int argc, char **argv);
    bool is_internal; /* for our own programs; the overview leaves it out */
    bool listens; /* gives up the network itself (cli/offline.h); others have none when they run */
};

/* Every command, ends with a NULL name. */
extern const struct cli_command *const cli_commands[];

int cli_main(int argc, char **argv);

/* ---- arguments -------------------------------------------------------------------------------------- */

struct cli_args {
    const struct cli_command *command;
    int argc, at;
    char **argv;
    bool only_positional; /* after "--" */
    const char *letters;  /* further short options behind the same dash; NULL: none */
    const char *value;    /* of the option just returned, or the positional argument */
    char name[64];        /* the option as written, without its value, for messages */
};

/* argv[0] is the command's name. Returns an option's id, CLI_POSITIONAL, CLI_HELP (already printed), CLI_END,
 * or CLI_ERROR after it has said what is wrong. */
struct cli_args cli_args_begin(const struct cli_command *c, int argc, char **argv);
int cli_args_next(struct cli_args *a);

/* Whether an argument before "--" is exactly this. */
bool cli_has_switch(int argc, char **argv, const char *name);

/* Values: false after saying what is wrong. */
bool cli_int(const struct cli_args *a, int64_t lo, int64_t hi, int64_t *out);
bool cli_double(const struct cli_args *a, double lo, double hi, double *out);
/* One of "a|b|c"; *out (may be NULL) is how many come before it. */
bool cli_choice(const struct cli_args *a, const char *words, int *out);

/* "veetance: ..." on standard error. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int cli_usage_error(const struct cli_command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void cli_print_help(const struct cli_command *c);
/* Bad usage because name is no subcommand: says which there are, and which was probably meant. */
int cli_no_subcommand(const struct cli_command *c, const char *name);

/* ---- running a request ------------------------------------------------------------------------------ */

/* Exit code for a failed call; prints the error, with --json also on standard output. */
int cli_fail(const struct vt_error *e);
int cli_fail_err(const struct err *e);
/* The error as JSON on standard output, if the arguments ask for JSON; for what has its own words for people. */
/* A line on standard output; frees it. */
void cli_print_json(struct buf *b);
void cli_error_json(enum vt_status status, const char *text);

/* Ctrl-C and SIGTERM set the flag and cancel this engine (NULL: none); a second one ends the process. */
void cli_cancel_on_signal(struct vt_engine *engine);
const atomic_bool *cli_stop_flag(void);

/* ---- the commands ---------------------------------------------------------------------------- */

/* The table entry of every subcommand; one file each. */

extern const struct cli_command cli_cmd_generate, cli_cmd_edit, cli_cmd_inspect, cli_cmd_devices,
    cli_cmd_bench, cli_cmd_sheet, cli_cmd_mask, cli_cmd_caption, cli_cmd_layers, cli_cmd_plan,
    cli_cmd_convert;
extern const struct cli_command cli_cmd_models, cli_cmd_doctor;
extern const struct cli_command cli_cmd_serve;
extern const struct cli_command cli_cmd_store;
extern const struct cli_command cli_cmd_worker, cli_cmd_engine, cli_cmd_reader;
extern const struct cli_command cli_cmd_settings;

#endif
