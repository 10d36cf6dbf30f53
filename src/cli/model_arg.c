#include "cli/model_arg.h"

#include <stdio.h>
#include <string.h>

static const struct cli_option *option_of(const struct cli_command *c, const char *arg)
{
    for (const struct cli_option *o = c->options; o->name; o++) {
        size_t n = strlen(o->name);
        if (arg[1] == '-' ? strncmp(arg + 2, o->name, n) == 0 && (!arg[2 + n] || arg[2 + n] == '=')
                          : o->short_name && o->short_name == arg[1])
            return o;
    }
    return NULL;
}

/* Where the value begins that is written in the same argument: "--model=X", "-mX"; NULL: in the next one. */
static const char *inline_value(const char *arg)
{
    if (arg[1] == '-') {
        const char *eq = strchr(arg, '=');
        return eq ? eq + 1 : NULL;
    }
    return arg[2] ? arg + 2 : NULL;
}

static enum err_code replace(char **arg, const char *value, struct cli_model_arg *out,
                             struct err *e)
{
    char path[MODELS_PATH_BYTES];
    if (strlen(value) >= MODELS_NAME_BYTES) /* no name of the store */
        return ERR_OK;
    enum err_code rc = models_resolve(value, path, e);
    if (rc == ERR_OK && strcmp(path, value) != 0) {
        (void)snprintf(out->text, sizeof out->text, "%.*s%s", (int)(value - *arg), *arg, path);
        *arg = out->text;
    }
    return rc;
}

enum err_code cli_resolve_model(const struct cli_command *c, int argc, char **argv,
                                struct cli_model_arg *out, struct err *e)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (argv[i][0] != '-' || !argv[i][1])
            continue;
        const struct cli_option *o = option_of(c, argv[i]);
        if (!o || !o->value)
            continue;
        const char *value = inline_value(argv[i]);
        if (!value) {
            if (++i == argc)
                break;
            value = argv[i];
        }
        if (strcmp(o->name, "model") == 0)
            return replace(&argv[i], value, out, e);
    }
    return ERR_OK;
}

bool cli_has_switch(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}
