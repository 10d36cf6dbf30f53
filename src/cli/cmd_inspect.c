#include <stdio.h>

#include "cli/commands.h"
#include "weights/inspect.h"

enum { INSPECT_JSON = 1, INSPECT_ALL };

static const struct cli_option options[] = {
    {INSPECT_JSON, 0, "json", NULL, "print JSON, with every tensor"},
    {INSPECT_ALL, 'a', "all", NULL, "list every tensor, not the first few"},
    {0},
};

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    const char *path = NULL;
    bool json = false, all = false;
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_ERROR)
            return CLI_USAGE;
        if (id == INSPECT_JSON)
            json = true;
        else if (id == INSPECT_ALL)
            all = true;
        else if (path)
            return cli_usage_error(self, "one path at a time");
        else
            path = a.value;
    }
    if (!path)
        return cli_usage_error(self, "name a file or folder");
    struct buf out;
    struct err e = {0};
    buf_init(&out, 256u << 20);
    int rc = CLI_OK;
    if (inspect_path(path, json, all ? 0 : 12, &out, &e) == ERR_OK) {
        fputs(buf_z(&out), stdout);
        if (out.n && out.p[out.n - 1] != '\n')
            putchar('\n');
    } else {
        struct vt_error ve = {.status = (enum vt_status)e.code};
        (void)snprintf(ve.text, sizeof ve.text, "%s", e.text);
        (void)cli_fail(&ve, json);
        rc = CLI_FAILED;
    }
    buf_deinit(&out);
    return rc;
}

const struct cli_command cli_cmd_inspect = {
    .name = "inspect",
    .summary = "Say what a checkpoint or model folder is",
    .usage = "PATH [--json]",
    .examples = "  veetance inspect flux-2-klein-4b-fp8.safetensors\n"
                "  veetance inspect ~/models/FLUX.2-klein-4B --json\n",
    .options = options,
    .run = run,
};
