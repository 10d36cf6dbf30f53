/* cmd_settings.c - `veetance settings`: what is set, where that comes from, and changing it.
 *
 * Values are checked by the same code that uses them later (cli/settings.c), so a setting that was accepted works.
 * Only the file is ever written; what the environment says is shown and wins.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_text.h"
#include "cli/cli.h"
#include "cli/settings.h"
#include "cli/suggest.h"

enum { SETTINGS_JSON = 1 };

static const struct cli_option options[] = {
    {SETTINGS_JSON, 0, "json", NULL, "print JSON"},
    {0},
};

static const char *const sources[] = {"built in", "file", "variable"};

static void print_json(const struct cli_settings *s)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_object(&b, NULL);
    json_put_z(&b, "path", s->path);
    json_object(&b, "settings");
    for (int i = 0; i < SETTINGS; i++) {
        const struct cli_setting_row *row = &cli_setting_rows[i];
        json_object(&b, row->key);
        json_put_z(&b, "value", cli_setting(s, (enum cli_setting)i));
        json_put_z(&b, "source", sources[s->of[i].source]);
        json_put_z(&b, "variable", row->variable);
        json_end_object(&b);
    }
    json_end_object(&b);
    json_end_object(&b);
    cli_print_json(&b);
}

static void print_table(const struct cli_settings *s)
{
    for (int i = 0; i < SETTINGS; i++) {
        const struct cli_setting_row *row = &cli_setting_rows[i];
        const char *value = cli_setting(s, (enum cli_setting)i);
        const char *from = s->of[i].source == SETTING_VARIABLE ? row->variable
                           : value                             ? sources[s->of[i].source]
                                                               : "not set";
        printf("%-14s %-34s %s\n", row->key, value ? value : "-", from);
    }
    printf("\nfile: %s%s\n", s->path[0] ? s->path : "none (no home folder)",
           s->path[0] && !file_exists(s->path) ? " (not there yet)" : "");
}

static int show(bool json)
{
    struct cli_settings s;
    struct err e = {0};
    if (cli_settings_load(&s, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (s.unknown[0])
        cli_say("note: %s", s.unknown);
    if (json)
        print_json(&s);
    else
        print_table(&s);
    return CLI_OK;
}

static int no_key(const struct cli_command *self, const char *key)
{
    struct cli_suggestion s = {.typed = key};
    for (int i = 0; i < SETTINGS; i++)
        cli_suggest(&s, cli_setting_rows[i].key);
    return cli_usage_error(self, "'%.60s' is no setting; `veetance settings` lists them%s", key,
                           cli_suggest_text(&s));
}

static int change(const struct cli_command *self, const char *key, const char *value, bool json)
{
    struct err e = {0};
    enum cli_setting which = cli_setting_from_key(key);
    if (which == SETTINGS)
        return no_key(self, key);
    if (cli_settings_change(which, value, &e) != ERR_OK)
        return cli_fail_err(&e);
    return show(json);
}

static int execute(const struct cli_command *self, const char *const words[3], int n, bool json)
{
    const char *verb = n ? words[0] : "show";
    if (strcmp(verb, "show") == 0)
        return n < 2 ? show(json) : cli_usage_error(self, "'%.60s' is not expected here", words[1]);
    if (strcmp(verb, "set") == 0)
        return n == 3 && *words[2] ? change(self, words[1], words[2], json)
                                   : cli_usage_error(self, "set takes a key and a value");
    if (strcmp(verb, "unset") == 0)
        return n == 2 ? change(self, words[1], NULL, json)
                      : cli_usage_error(self, "unset takes a key");
    return cli_no_subcommand(self, verb);
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    const char *words[3];
    bool json = false;
    int n = 0, id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_ERROR)
            return CLI_USAGE;
        if (id == SETTINGS_JSON)
            json = true;
        else if (n == 3)
            return cli_usage_error(self, "'%.60s' is one argument too many", a.value);
        else
            words[n++] = a.value;
    }
    return execute(self, words, n, json);
}

static const struct cli_subcommand subcommands[] = {
    {"show", NULL, "every setting, and where its value comes from", NULL},
    {"set", "KEY VALUE", "change the file", NULL},
    {"unset", "KEY", "take a key out of the file", NULL},
    {0},
};

const struct cli_command cli_cmd_settings = {
    .name = "settings",
    .summary = "Defaults of your own: model, device, budget, output folder, names",
    .usage = "[show | set KEY VALUE | unset KEY] [--json]",
    .examples =
        "  veetance settings set model klein-4b\n"
        "  veetance settings set output_folder ~/Pictures/veetance\n"
        "  veetance settings set name \"{date}/{prompt}-{seed}\"\n"
        "  VEETANCE_BUDGET=8G veetance settings\n"
        "\nKeys:\n"
        "  model          model of generate and edit\n"
        "  layers_model   model of layers and caption\n"
        "  device         where models run (built in: auto)\n"
        "  budget         most memory of each device: 16G, 80% or bytes\n"
        "  output_folder  folder of images without -o; made when it is missing\n"
        "  name           their names (built in: out), of {prompt} {model} {seed} {date} {time}\n",
    .options = options,
    .subcommands = subcommands,
    .run = run,
};
