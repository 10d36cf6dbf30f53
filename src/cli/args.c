/* args.c - reads arguments by a command's option table, and prints its help from the same table.
 *
 * Options and positional words come in any order; "--" ends the options; short switches may share a dash. Numbers
 * are read without the locale and to their end, so that "12x" is a usage error. Whatever is wrong is told once, with
 * the command's name and where its help is, and comes back as CLI_ERROR: a command stops at the first.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/item.h"
#include "cli/suggest.h"

void cli_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("veetance: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

int cli_usage_error(const struct cli_command *c, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (cli_item_keep_error(VT_ERR_ARG, text))
        return CLI_USAGE;
    cli_error_json(VT_ERR_ARG, text);
    fprintf(stderr, "veetance %s: %s\n`veetance %s --help` explains its options\n", c->name, text,
            c->name);
    return CLI_USAGE;
}

int cli_no_subcommand(const struct cli_command *c, const char *name)
{
    struct cli_suggestion s = {.typed = name};
    char all[256] = "";
    for (const struct cli_subcommand *w = c->subcommands; w->name; w++) {
        size_t used = strlen(all);
        cli_suggest(&s, w->name);
        (void)snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", w->name);
    }
    return cli_usage_error(c, "'%.40s' is not one of %s%s", name, all, cli_suggest_text(&s));
}

static void print_subcommands(const struct cli_subcommand *w)
{
    printf("\nSubcommands:\n");
    for (; w->name; w++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s%s", w->name, w->value ? " " : "",
                       w->value ? w->value : "");
        printf("  %-22s %s\n", left, w->summary);
    }
}

enum { HELP_INDENT = 35 };

/* Columns of the terminal that standard output is; 0 when it is none, where lines stay whole for programs. */
static size_t help_width(void)
{
    struct winsize w;
    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 &&
                   w.ws_col > HELP_INDENT + 24
               ? w.ws_col - 1u
               : 0;
}

/* Breaks at blanks, so that what follows stays under the first line. */
static void print_wrapped(const char *text, size_t width)
{
    size_t room = width > HELP_INDENT ? width - HELP_INDENT : 0;
    while (room && strlen(text) > room) {
        size_t n = room;
        while (n > 0 && text[n] != ' ')
            n--;
        if (n == 0)
            break;
        printf("%.*s\n%*s", (int)n, text, HELP_INDENT, "");
        text += n + 1;
    }
    printf("%s\n", text);
}

void cli_print_help(const struct cli_command *c)
{
    size_t width = help_width();
    printf("%s\n\nUsage: veetance %s %s\n", c->summary, c->name, c->usage);
    if (c->subcommands)
        print_subcommands(c->subcommands);
    if (c->options[0].name)
        printf("\nOptions:\n");
    for (const struct cli_option *o = c->options; o->name; o++) {
        char left[64];
        char dash[5] = "    ";
        if (o->short_name)
            (void)snprintf(dash, sizeof dash, "-%c, ", o->short_name);
        (void)snprintf(left, sizeof left, "%s--%s%s%s", dash, o->name, o->value ? " " : "",
                       o->value ? o->value : "");
        printf("  %-32s ", left);
        if (width && strlen(left) > 32)
            printf("\n%*s", HELP_INDENT, "");
        print_wrapped(o->help, width);
    }
    if (c->examples)
        printf("\nExamples:\n%s", c->examples);
}

struct cli_args cli_args_begin(const struct cli_command *c, int argc, char **argv)
{
    return (struct cli_args){.command = c, .argc = argc, .argv = argv, .at = 1};
}

static const struct cli_option *find_long(const struct cli_command *c, struct str name)
{
    for (const struct cli_option *o = c->options; o->name; o++)
        if (str_eq_z(name, o->name))
            return o;
    return NULL;
}

static const struct cli_option *find_short(const struct cli_command *c, char name)
{
    for (const struct cli_option *o = c->options; o->name; o++)
        if (o->short_name && o->short_name == name)
            return o;
    return NULL;
}

/* inline_value: what follows '=' or a short option's letter; NULL when nothing does. */
static int take_value(struct cli_args *a, const struct cli_option *o, const char *inline_value)
{
    a->value = NULL;
    if (!o->value) {
        if (inline_value) {
            cli_usage_error(a->command, "%s takes no value", a->name);
            return CLI_ERROR;
        }
        return o->id;
    }
    if (inline_value) {
        a->value = inline_value;
    } else if (a->at < a->argc) {
        a->value = a->argv[a->at++];
    } else {
        cli_usage_error(a->command, "%s needs a value: %s", a->name, o->value);
        return CLI_ERROR;
    }
    return o->id;
}

static int unknown(struct cli_args *a)
{
    struct cli_suggestion s = {.typed = a->name + 2};
    for (const struct cli_option *o = a->command->options; o->name; o++)
        cli_suggest(&s, o->name);
    cli_suggest(&s, "help");
    if (s.best)
        cli_usage_error(a->command, "there is no option %s; did you mean --%s?", a->name, s.best);
    else
        cli_usage_error(a->command, "there is no option %s", a->name);
    return CLI_ERROR;
}

static int next_long(struct cli_args *a, const char *arg)
{
    const char *eq = strchr(arg, '=');
    struct str name = {arg + 2, eq ? (size_t)(eq - arg - 2) : strlen(arg + 2)};
    (void)snprintf(a->name, sizeof a->name, "%.*s", (int)strcspn(arg, "="), arg);
    if (str_eq_z(name, "help")) {
        cli_print_help(a->command);
        return CLI_HELP;
    }
    const struct cli_option *o = find_long(a->command, name);
    return o ? take_value(a, o, eq ? eq + 1 : NULL) : unknown(a);
}

static int no_letter(struct cli_args *a, const char *arg)
{
    if (strcmp(a->name, arg) != 0)
        cli_usage_error(a->command, "there is no option %s in %.60s", a->name, arg);
    else
        cli_usage_error(a->command, "there is no option %s", a->name);
    return CLI_ERROR;
}

/* Switches may share a dash (-qf), the last may be an option with its value (-qW64). arg: all of it. */
static int next_letter(struct cli_args *a, const char *arg)
{
    const char *at = a->letters;
    bool ascii = (unsigned char)*at < 0x80;
    (void)snprintf(a->name, sizeof a->name, ascii ? "-%.1s" : "-%s", at);
    a->letters = at[1] && ascii ? at + 1 : NULL;
    const struct cli_option *o = find_short(a->command, *at);
    if (!o && *at == 'h') {
        cli_print_help(a->command);
        return CLI_HELP;
    }
    if (!o)
        return no_letter(a, arg);
    if (!o->value)
        return take_value(a, o, NULL);
    a->letters = NULL;
    return take_value(a, o, at[1] ? at + 1 : NULL);
}

int cli_args_next(struct cli_args *a)
{
    if (a->letters)
        return next_letter(a, a->argv[a->at - 1]);
    if (a->at >= a->argc)
        return CLI_END;
    const char *arg = a->argv[a->at++];
    if (a->only_positional || arg[0] != '-' || arg[1] == 0) {
        a->value = arg;
        return CLI_POSITIONAL;
    }
    if (strcmp(arg, "--") == 0) {
        a->only_positional = true;
        return cli_args_next(a);
    }
    if (arg[1] == '-')
        return next_long(a, arg);
    a->letters = arg + 1;
    return next_letter(a, arg);
}

bool cli_int(const struct cli_args *a, int64_t lo, int64_t hi, int64_t *out)
{
    int64_t v;
    if (str_to_i64(str_from(a->value), &v) && v >= lo && v <= hi) {
        *out = v;
        return true;
    }
    cli_usage_error(a->command, "%s takes a whole number from %lld to %lld, not '%.40s'", a->name,
                    (long long)lo, (long long)hi, a->value);
    return false;
}

bool cli_double(const struct cli_args *a, double lo, double hi, double *out)
{
    double v;
    if (str_to_double(str_from(a->value), &v) && v >= lo && v <= hi) {
        *out = v;
        return true;
    }
    cli_usage_error(a->command, "%s takes a number from %g to %g, not '%.40s'", a->name, lo, hi,
                    a->value);
    return false;
}

bool cli_choice(const struct cli_args *a, const char *words, int *out)
{
    size_t n = strlen(a->value);
    int i = 0;
    for (const char *w = words; n > 0 && w && !strchr(a->value, '|');
         w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL, i++)
        if (strncmp(w, a->value, n) == 0 && (w[n] == 0 || w[n] == '|')) {
            if (out)
                *out = i;
            return true;
        }
    char kept[64], list[256];
    struct cli_suggestion s = {.typed = a->value};
    size_t at = 0;
    cli_suggest_words(&s, words, kept);
    for (const char *p = words; p && *p && at + 3 < sizeof list; p++) {
        list[at++] = *p == '|' ? ',' : *p;
        if (*p == '|')
            list[at++] = ' ';
    }
    list[at] = 0;
    cli_usage_error(a->command, "%s takes one of %s, not '%.40s'%s", a->name, list, a->value,
                    cli_suggest_text(&s));
    return false;
}

bool cli_has_switch(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}
