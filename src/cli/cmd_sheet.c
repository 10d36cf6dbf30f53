#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/image_in.h"
#include "cli/output.h"
#include "image/composite.h"
#include "image/save.h"

enum { SHEET_OUTPUT = 1, SHEET_COLUMNS, SHEET_GAP, SHEET_FORCE, SHEET_JSON, SHEET_QUIET };
enum { MAX_PICTURES = 256, SHEET_MAX_BYTES = 512 << 20 };

static const struct cli_option options[] = {
    {SHEET_OUTPUT, 'o', "output", "FILE",
     "sheet to write, .png, .jpg or .webp; - is standard output (default sheet.png, numbered on)"},
    {SHEET_COLUMNS, 'c', "columns", "N", "images in a row (default: about a square)"},
    {SHEET_GAP, 0, "gap", "PX", "space between them (default 8)"},
    {SHEET_FORCE, 'f', "force", NULL, "replace a file that is there"},
    {SHEET_JSON, 0, "json", NULL, "print the result as JSON on standard output"},
    {SHEET_QUIET, 'q', "quiet", NULL, "say nothing but errors"},
    {0},
};

struct sheet {
    struct cli_output to;
    struct image_sheet_params params;
    enum image_format format; /* by the ending of the sheet */
    const char *paths[MAX_PICTURES];
    size_t n;
    bool json, quiet;
};

static enum err_code load_all(const struct sheet *s, struct image *images, struct err *e)
{
    enum err_code rc = ERR_OK;
    if (!s->to.named && s->n > 1 && !file_exists(s->paths[0]))
        return err_set(e, ERR_NOTFOUND,
                       "there is no image '%.300s'; name the sheet to write with -o", s->paths[0]);
    for (size_t i = 0; rc == ERR_OK && i < s->n; i++)
        rc = cli_image_load(s->paths[i], NULL, &images[i], e);
    return rc;
}

static enum err_code make(const struct sheet *s, const struct image *images, struct buf *file,
                          struct err *e)
{
    const struct image *list[MAX_PICTURES];
    struct image sheet = {0};
    for (size_t i = 0; i < s->n; i++)
        list[i] = &images[i];
    enum err_code rc = image_sheet(list, s->n, &s->params, &sheet, e);
    if (rc == ERR_OK)
        rc = image_save(&sheet, &(struct image_save){.format = s->format}, file, e);
    image_free(&sheet);
    return rc;
}

static void print_result(const struct sheet *s, const char *path, bool replaced)
{
    struct buf b;
    if (replaced && !s->to.force && !s->quiet)
        cli_say("note: '%s' was there and is replaced", path);
    if (s->json) {
        buf_init(&b, 1 << 16);
        buf_add_z(&b, "{\"path\":");
        json_add_z(&b, path);
        buf_printf(&b, ",\"images\":%zu}", s->n);
        puts(buf_z(&b));
        buf_deinit(&b);
    } else if (!s->quiet && strcmp(path, "-") != 0) {
        printf("%s  %zu image%s\n", path, s->n, s->n == 1 ? "" : "s");
    }
}

static int execute(struct sheet *s)
{
    struct err e = {0};
    struct buf png;
    char path[CLI_PATH_BYTES];
    bool replaced = false;
    const struct cli_output_words words = {"", "", 0};
    struct image *images = mem_alloc(s->n * sizeof *images);
    buf_init(&png, SHEET_MAX_BYTES);
    enum err_code rc = cli_output_check(&s->to, &e);
    s->format = IMAGE_FORMAT_PNG;
    if (rc == ERR_OK && s->to.named && !cli_output_is_stream(s->to.named))
        rc = image_save_format(s->to.named, &s->format, &e);
    if (rc == ERR_OK)
        rc = load_all(s, images, &e);
    if (rc == ERR_OK)
        rc = make(s, images, &png, &e);
    if (rc == ERR_OK)
        rc = cli_output_write(&s->to, &words, png.p, png.n, path, &replaced, &e);
    for (size_t i = 0; i < s->n; i++)
        image_free(&images[i]);
    mem_free(images);
    buf_deinit(&png);
    if (rc != ERR_OK)
        return cli_fail_err(&e);
    print_result(s, path, replaced);
    return CLI_OK;
}

static int set_number(const struct cli_args *a, int *out)
{
    int64_t v;
    if (!cli_int(a, 0, 1000, &v))
        return CLI_USAGE;
    *out = (int)v;
    return CLI_OK;
}

static int set_option(struct sheet *s, const struct cli_args *a, int id)
{
    switch (id) {
    case SHEET_OUTPUT:
        s->to.named = a->value;
        return CLI_OK;
    case SHEET_COLUMNS:
        return set_number(a, &s->params.columns);
    case SHEET_GAP:
        return set_number(a, &s->params.gap);
    case SHEET_FORCE:
        s->to.force = true;
        return CLI_OK;
    case SHEET_JSON:
        s->json = true;
        return CLI_OK;
    case SHEET_QUIET:
        s->quiet = true;
        return CLI_OK;
    case CLI_POSITIONAL:
        if (s->n == MAX_PICTURES)
            return cli_usage_error(a->command, "at most %d images fit on a sheet", MAX_PICTURES);
        s->paths[s->n++] = a->value;
        return CLI_OK;
    default:
        return CLI_USAGE;
    }
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct sheet s = {.params = image_sheet_defaults(), .to = {.count = 1, .name = "sheet"}};
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        int rc = id == CLI_ERROR ? CLI_USAGE : set_option(&s, &a, id);
        if (rc != CLI_OK)
            return rc;
    }
    if (s.n == 0)
        return cli_usage_error(self, "name the images to lay out, and the sheet with -o");
    if (s.json && s.to.named && strcmp(s.to.named, "-") == 0)
        return cli_usage_error(self, "--json and the sheet of -o - both want standard output");
    return execute(&s);
}

const struct cli_command cli_cmd_sheet = {
    .name = "sheet",
    .summary = "Lay images out on one contact sheet",
    .usage = "IMAGE... [-o FILE] [-c N]",
    .examples = "  veetance sheet out-*.png -c 4 -o sheet.png\n",
    .options = options,
    .run = run,
};
