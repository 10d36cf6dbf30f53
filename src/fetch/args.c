/* args.c - options by table, help from the same table, signals, and the list of commands; see args.h.
 *
 * Ctrl-C sets stop_wanted, which everything that takes long looks at: the state of downloads is saved, and the
 * exit code tells. A second one ends the process at once.
 */
#include "fetch/args.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"

void say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("veetance-fetch: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

int args_usage_error(const struct command *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "veetance-fetch %s: ", c->name);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n`veetance-fetch %s --help` explains its options\n", c->name);
    va_end(ap);
    return EXIT_USAGE;
}

void args_print_help(const struct command *c)
{
    printf("%s\n\nUsage: veetance-fetch %s %s\n", c->summary, c->name, c->usage);
    if (c->details)
        printf("\n%s", c->details);
    printf("\nOptions:\n");
    for (const struct arg_option *o = c->options; o->name; o++) {
        char left[64];
        (void)snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "",
                       o->value ? o->value : "");
        printf("  %-24s %s\n", left, o->help);
    }
    printf("  %-24s %s\n", "--help", "this text");
    printf("\nExamples:\n%s", c->examples);
}

struct args args_begin(const struct command *c, int argc, char **argv)
{
    return (struct args){.command = c, .argc = argc, .argv = argv, .at = 1};
}

static int next_option(struct args *a, const char *arg)
{
    const char *equals = strchr(arg, '=');
    struct str name = {arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2)};
    const struct arg_option *o = a->command->options;
    while (o->name && !str_eq_z(name, o->name))
        o++;
    if (!o->name) {
        args_usage_error(a->command, "there is no option %s", arg);
        return ARG_ERROR;
    }
    a->value = equals ? equals + 1 : NULL;
    if (!o->value && equals) {
        args_usage_error(a->command, "--%s takes no value", o->name);
        return ARG_ERROR;
    }
    if (o->value && !equals) {
        if (a->at >= a->argc) {
            args_usage_error(a->command, "--%s needs a value: %s", o->name, o->value);
            return ARG_ERROR;
        }
        a->value = a->argv[a->at++];
    }
    return o->id;
}

int args_next(struct args *a)
{
    if (a->at >= a->argc)
        return ARG_END;
    const char *arg = a->argv[a->at++];
    a->name = arg;
    if (a->only_positional || arg[0] != '-' || arg[1] == 0) {
        a->value = arg;
        return ARG_POSITIONAL;
    }
    if (strcmp(arg, "--") == 0) {
        a->only_positional = true;
        return args_next(a);
    }
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        args_print_help(a->command);
        return ARG_HELP;
    }
    if (arg[1] == '-')
        return next_option(a, arg);
    args_usage_error(a->command, "there is no option %s", arg);
    return ARG_ERROR;
}

bool args_int(const struct args *a, int64_t lo, int64_t hi, int64_t *out)
{
    int64_t v;
    if (str_to_i64(str_from(a->value), &v) && v >= lo && v <= hi) {
        *out = v;
        return true;
    }
    args_usage_error(a->command, "%s takes a whole number from %lld to %lld, not '%.40s'", a->name,
                     (long long)lo, (long long)hi, a->value);
    return false;
}

void print_json(const struct buf *b)
{
    if (buf_failed(b))
        say("the answer in JSON is too large");
    else
        puts(buf_z(b));
}

int fail(const struct err *e, bool json)
{
    if (json) {
        struct buf b;
        buf_init(&b, 1u << 16);
        json_object(&b, NULL);
        json_object(&b, "error");
        json_put_z(&b, "code", err_code_name(e->code));
        json_put_z(&b, "message", e->text);
        json_end_object(&b);
        json_end_object(&b);
        print_json(&b);
        buf_deinit(&b);
    }
    say("%s", e->text);
    if (e->code == ERR_CANCELLED)
        return EXIT_STOPPED;
    return e->code == ERR_ARG ? EXIT_USAGE : EXIT_FAILED;
}

/* ---- signals --------------------------------------------------------------------------------------------------- */

atomic_bool stop_wanted;

static void on_signal(int signal_number)
{
    (void)signal_number;
    if (atomic_exchange(&stop_wanted, true))
        _exit(EXIT_STOPPED);
}

void stop_on_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigemptyset(&a.sa_mask);
    (void)sigaction(SIGINT, &a, NULL);
    (void)sigaction(SIGTERM, &a, NULL);
    /* A pipe that is closed is an error of a write, not the end. */
    a.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &a, NULL);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

static const struct command *const commands[] = {&cmd_list,   &cmd_get,    &cmd_verify, &cmd_login,
                                                 &cmd_logout, &cmd_export, &cmd_import};

static void print_overview(void)
{
    printf("Downloads models for veetance; the only one of its programs that connects to the "
           "internet.\n\n"
           "Usage: veetance-fetch COMMAND [OPTIONS]\n\nCommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n`veetance-fetch COMMAND --help` explains one.\n\nExamples:\n"
           "  veetance-fetch list\n"
           "  veetance-fetch get klein-4b --accept-licence\n"
           "  veetance-fetch get qwen-layered --quant Q5_0 --to /mnt/models/qwen-layered\n"
           "  veetance-fetch verify\n");
}

int fetch_main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        puts("veetance-fetch " VT_VERSION);
        return EXIT_DONE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        for (size_t i = 0; argc > 2 && i < sizeof commands / sizeof commands[0]; i++)
            if (strcmp(argv[2], commands[i]->name) == 0) {
                args_print_help(commands[i]);
                return EXIT_DONE;
            }
        print_overview();
        return EXIT_DONE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i]->run(commands[i], argc - 1, argv + 1);
    if (*name)
        say("there is no command '%s'; `veetance-fetch --help` lists them", name);
    else
        say("a command is missing; `veetance-fetch --help` lists them");
    return EXIT_USAGE;
}
