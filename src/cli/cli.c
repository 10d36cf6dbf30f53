/* cli.c - from main's arguments to one command, and from a failure to words and an exit code.
 *
 * In this order: the command is found by its name; the process gives up the network for good, unless the command has
 * to open a socket first (.listens), and but for the worker that an option names; only then does the command run. So
 * nothing reads a file with the network open. Standard output is flushed at the end, as a full disk shows only
 * there.
 */
#include "cli/cli.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "cli/interrupt.h"
#include "cli/item.h"
#include "cli/suggest.h"
#include "cli/engine_args.h"
#include "cli/offline.h"

const struct cli_command *const cli_commands[] = {
    &cli_cmd_generate, &cli_cmd_edit,    &cli_cmd_layers, &cli_cmd_plan,     &cli_cmd_caption,
    &cli_cmd_inspect,  &cli_cmd_devices, &cli_cmd_models, &cli_cmd_doctor,   &cli_cmd_serve,
    &cli_cmd_mask,     &cli_cmd_sheet,   &cli_cmd_store,  &cli_cmd_bench,    &cli_cmd_convert,
    &cli_cmd_worker,   &cli_cmd_engine,  &cli_cmd_reader, &cli_cmd_settings, NULL,
};

/* Set once at start: failures are also told as JSON. */
static bool errors_as_json;

static void print_overview(FILE *to)
{
    fprintf(to, "veetance %s - make, edit and take apart images on this machine\n\n", vt_version());
    fprintf(to, "Usage: veetance COMMAND [options]\n\nCommands:\n");
    for (size_t i = 0; cli_commands[i]; i++)
        if (!cli_commands[i]->is_internal)
            fprintf(to, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fprintf(to, "  %-12s %s\n", "help",
            "This overview, or a command's options: veetance help COMMAND");
    fprintf(to, "\nFirst image:\n"
                "  veetance generate -m micro-klein -p \"a red star on white\" -o star.png\n");
}

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, name) == 0)
            return cli_commands[i];
    return NULL;
}

static int no_command(const char *name)
{
    char text[256];
    struct cli_suggestion s = {.typed = name};
    for (size_t i = 0; cli_commands[i]; i++)
        cli_suggest(&s, cli_commands[i]->name);
    cli_suggest(&s, "help");
    (void)snprintf(text, sizeof text, "there is no command '%.60s'%s", name,
                   s.best ? cli_suggest_text(&s) : "; `veetance help` lists them");
    cli_error_json(VT_ERR_ARG, text);
    cli_say("%s", text);
    return CLI_USAGE;
}

static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stdout);
        return CLI_OK;
    }
    const struct cli_command *c = find_command(argv[1]);
    if (!c)
        return no_command(argv[1]);
    if (argc > 2 && c->subcommands) {
        char asked[] = "--help";
        return c->run(c, 3, (char *[]){argv[1], argv[2], asked, NULL});
    }
    cli_print_help(c);
    return CLI_OK;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    errors_as_json = cli_has_switch(argc, argv, "--json");
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("veetance %s\n", vt_version());
        return CLI_OK;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 1, argv + 1);
    const struct cli_command *c = find_command(name);
    if (!c)
        return no_command(name);
    if (!c->listens)
        (void)cli_go_offline(engine_args_want_network(argv + 1));
    return c->run(c, argc - 1, argv + 1);
}

int cli_main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    int rc = dispatch(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && rc == CLI_OK) {
        cli_say("cannot write to standard output");
        rc = CLI_FAILED;
    }
    return rc;
}

/* ---- failure and interruption ----------------------------------------------------------------------- */

static void cancel_engine(void *user)
{
    vt_engine_cancel(user);
}

void cli_cancel_on_signal(struct vt_engine *engine)
{
    interrupt_set(engine ? cancel_engine : NULL, engine);
}

const atomic_bool *cli_stop_flag(void)
{
    return interrupt_flag();
}

int cli_fail_err(const struct err *e)
{
    struct vt_error ve = {.status = (enum vt_status)e->code};
    (void)snprintf(ve.text, sizeof ve.text, "%s", e->text);
    return cli_fail(&ve);
}

void cli_print_json(struct buf *b)
{
    puts(buf_z(b));
    buf_deinit(b);
}

void cli_error_json(enum vt_status status, const char *text)
{
    struct buf b;
    if (!errors_as_json)
        return;
    buf_init(&b, 1 << 16);
    json_object(&b, NULL);
    json_object(&b, "error");
    json_put_z(&b, "code", vt_status_name(status));
    json_put_z(&b, "message", text);
    json_end_object(&b);
    json_end_object(&b);
    cli_print_json(&b);
}

int cli_fail(const struct vt_error *e)
{
    if (!cli_item_keep_error(e->status, e->text)) {
        cli_error_json(e->status, e->text);
        cli_say("%s", e->text);
    }
    if (e->status == VT_ERR_CANCELLED)
        return CLI_INTERRUPTED;
    return e->status == VT_ERR_ARG ? CLI_USAGE : CLI_FAILED;
}
