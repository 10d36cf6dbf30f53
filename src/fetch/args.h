/* args.h - veetance-fetch's commands and options as tables; help comes from the same tables.
 *
 * Exit codes: 0 done, 1 failed, 2 bad usage, 130 stopped by Ctrl-C. Results go to standard output, everything
 * else to standard error. */
#ifndef VT_FETCH_ARGS_H
#define VT_FETCH_ARGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_STOPPED = 130 };

struct arg_option {
    int id; /* the command's own enum, from 1 */
    const char *name;
    const char *value; /* NULL: a switch */
    const char *help;
};

struct command {
    const char *name;
    const char *summary;
    const char *usage;
    const char *details; /* paragraphs for --help; may be NULL */
    const char *examples;
    const struct arg_option *options; /* ends with a NULL name */
    int (*run)(const struct command *self, int argc, char **argv);
};

enum { ARG_END = 0, ARG_POSITIONAL = -1, ARG_ERROR = -2, ARG_HELP = -3 };

struct args {
    const struct command *command;
    int argc, at;
    char **argv;
    bool only_positional;
    const char *value, *name;
};

/* argv[0] is the command's name. */
struct args args_begin(const struct command *c, int argc, char **argv);
/* An option's id, or one of the above; what is wrong was said already. */
int args_next(struct args *a);
bool args_int(const struct args *a, int64_t lo, int64_t hi, int64_t *out);

void args_print_help(const struct command *c);
int args_usage_error(const struct command *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* "veetance-fetch: ..." on standard error. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Says the error (as JSON on standard output, too, when json) and gives the exit code. */
int fail(const struct err *e, bool json);
/* A JSON string, quoted, on standard output. */
/* A line on standard output; an answer that is too large is named as such instead. */
void print_json(const struct buf *b);

/* Set by Ctrl-C and SIGTERM once stop_on_signals was called; a second one ends the process. */
extern atomic_bool stop_wanted;
void stop_on_signals(void);

extern const struct command cmd_list, cmd_get, cmd_verify, cmd_login, cmd_logout, cmd_export,
    cmd_import;

/* The whole program. */
int fetch_main(int argc, char **argv);

#endif
