#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "image/composite.h"
#include "image/load.h"
#include "image/png_write.h"

enum { SHEET_COLUMNS = 1, SHEET_GAP, MAX_PICTURES = 256 };

static const struct cli_option options[] = {
    {SHEET_COLUMNS, 'c', "columns", "N", "pictures in a row (default: about a square)"},
    {SHEET_GAP, 0, "gap", "PX", "space between them (default 8)"},
    {0},
};

/* Names the file unless the error already does. */
static int fail(const char *path, const struct err *e)
{
    bool named = strstr(e->text, path) != NULL;
    cli_say("%s%s%s", named ? "" : path, named ? "" : ": ", e->text);
    return CLI_FAILED;
}

static int make(const char **paths, size_t n, const struct image_sheet_params *params)
{
    struct err e = {0};
    struct image *pictures = mem_try_array(n, sizeof *pictures), sheet = {0};
    const struct image *list[MAX_PICTURES];
    int rc = CLI_OK;
    if (!pictures) {
        (void)err_set(&e, ERR_NOMEM, "no memory for %zu pictures", n - 1);
        rc = fail(paths[0], &e);
    }
    for (size_t i = 1; rc == CLI_OK && i < n; i++) {
        if (image_load_file(paths[i], NULL, NULL, &pictures[i], &e) != ERR_OK)
            rc = fail(paths[i], &e);
        list[i - 1] = &pictures[i];
    }
    if (rc == CLI_OK && (image_sheet(list, n - 1, params, &sheet, &e) != ERR_OK ||
                         image_png_write_file(paths[0], &sheet, NULL, 0, &e) != ERR_OK))
        rc = fail(paths[0], &e);
    for (size_t i = 0; pictures && i < n; i++)
        image_free(&pictures[i]);
    image_free(&sheet);
    mem_free(pictures);
    return rc;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct image_sheet_params params = image_sheet_defaults();
    const char *paths[MAX_PICTURES + 1];
    size_t n = 0;
    int64_t v = 0;
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_ERROR || (id != CLI_POSITIONAL && !cli_int(&a, 0, 1000, &v)))
            return CLI_USAGE;
        if (id == SHEET_COLUMNS)
            params.columns = (int)v;
        else if (id == SHEET_GAP)
            params.gap = (int)v;
        else if (n <= MAX_PICTURES)
            paths[n++] = a.value;
        else
            return cli_usage_error(self, "at most %d pictures fit on a sheet", MAX_PICTURES);
    }
    if (n < 2)
        return cli_usage_error(self, "name the sheet to write and at least one picture");
    return make(paths, n, &params);
}

const struct cli_command cli_cmd_sheet = {
    .name = "sheet",
    .summary = "Lay pictures out on one contact sheet",
    .usage = "OUT.png IN... [-c N]",
    .examples = "  veetance sheet sheet.png out-*.png -c 4\n",
    .options = options,
    .run = run,
};
