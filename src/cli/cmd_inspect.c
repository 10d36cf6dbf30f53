#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/mem.h"

#include "cli/commands.h"
#include "cli/model_arg.h"
#include "pipeline/model_dir.h"
#include "weights/inspect.h"

enum { INSPECT_JSON = 1, INSPECT_ALL };

static const struct cli_option options[] = {
    {INSPECT_JSON, 0, "json", NULL, "print JSON, with every tensor"},
    {INSPECT_ALL, 'a', "all", NULL, "list every tensor, not the first few"},
    {0},
};

/* A model that veetance.json puts together: its parts, wherever they lie. */
static enum err_code inspect_parts(const char *path, bool json, size_t most, struct buf *out,
                                   struct err *e)
{
    struct model_dir *dir = mem_alloc(sizeof *dir);
    enum err_code rc = model_dir_open(path, dir, e);
    const struct {
        const char *name, *path;
    } parts[] = {{"transformer", dir->transformer.weights},
                 {"text_encoder", dir->text_encoder.weights},
                 {"vae", dir->vae.weights},
                 {"vision", dir->vision.weights}};
    if (rc == ERR_OK && json) {
        buf_add_z(out, "{\"path\":");
        json_add_z(out, path);
        buf_add_z(out, ",\"format\":\"veetance\",\"kind\":\"pipeline\",\"name\":");
        json_add_z(out, dir->name);
        buf_add_z(out, ",\"components\":[");
    } else if (rc == ERR_OK) {
        buf_printf(out, "%s\n  %s\n", path, dir->name);
    }
    for (size_t i = 0; rc == ERR_OK && i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i].path[0])
            continue;
        if (json)
            buf_printf(out, "%s", i ? "," : "");
        else
            buf_printf(out, "\n%s\n", parts[i].name);
        rc = inspect_path(parts[i].path, json, most, out, e);
    }
    buf_add_z(out, rc == ERR_OK && json ? "]}" : "");
    mem_free(dir);
    return rc;
}

static bool has(const char *dir, const char *name)
{
    char path[MODEL_PATH_BYTES];
    return file_join(path, sizeof path, dir, name, NULL) == ERR_OK && file_exists(path);
}

static enum err_code inspect(const char *named, bool json, size_t most, struct buf *out,
                             struct err *e)
{
    struct cli_model m;
    enum err_code rc = cli_model_or_path(named, &m, e);
    if (rc != ERR_OK)
        return rc;
    if (m.note[0])
        cli_say("note: %s", m.note);
    if (has(m.path, "veetance.json") && !has(m.path, "model_index.json"))
        return inspect_parts(m.path, json, most, out, e);
    return inspect_path(m.path, json, most, out, e);
}

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
        return cli_usage_error(self, "name a file or folder, or a model");
    struct buf out;
    struct err e = {0};
    buf_init(&out, 256u << 20);
    int rc = CLI_OK;
    if (inspect(path, json, all ? 0 : 12, &out, &e) == ERR_OK) {
        fputs(buf_z(&out), stdout);
        if (out.n && out.p[out.n - 1] != '\n')
            putchar('\n');
    } else {
        rc = cli_fail_err(&e);
    }
    buf_deinit(&out);
    return rc;
}

const struct cli_command cli_cmd_inspect = {
    .name = "inspect",
    .summary = "Say what a checkpoint or model is",
    .usage = "FILE|FOLDER|MODEL [--json]",
    .examples = "  veetance inspect flux-2-klein-4b-fp8.safetensors\n"
                "  veetance inspect ~/models/FLUX.2-klein-4B --json\n"
                "  veetance inspect micro-klein\n",
    .options = options,
    .run = run,
};
