/* cmd_sheet.c - `veetance sheet`: several images side by side as one.
 *
 * The output is checked before images are loaded, all are loaded before the sheet is drawn (its columns depend on
 * the largest), and one of them may come from standard input. No model is involved.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/image_in.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "image/composite.h"
#include "image/save.h"
#include "pipeline/result_json.h"

enum {
    SHEET_OUTPUT = 1,
    SHEET_COLUMNS,
    SHEET_GAP,
    SHEET_COLUMN_LABELS,
    SHEET_ROW_LABELS,
    SHEET_FORCE,
    SHEET_JSON,
    SHEET_QUIET
};
enum { MAX_IMAGES = IMAGE_SHEET_MAX, SHEET_MAX_BYTES = 512 << 20, LABELS_BYTES = 16 << 10 };

static const struct cli_option options[] = {
    {SHEET_OUTPUT, 'o', "output", "FILE|DIR/",
     "sheet to write, .png, .jpg or .webp; - is standard output (default, and in a folder, "
     "sheet.png, numbered on)"},
    {SHEET_COLUMNS, 'c', "columns", "N", "images in a row (default: about a square)"},
    {SHEET_GAP, 0, "gap", "PX", "space between them (default 8)"},
    {SHEET_COLUMN_LABELS, 0, "column-labels", "LIST", "a word above each column, commas between"},
    {SHEET_ROW_LABELS, 0, "row-labels", "LIST", "a word at the left of each row"},
    {SHEET_FORCE, 'f', "force", NULL, "replace a file that is there"},
    {SHEET_JSON, 0, "json", NULL, "print the result as JSON on standard output"},
    {SHEET_QUIET, 'q', "quiet", NULL, "say nothing but errors"},
    {0},
};

/* "a,b,c" taken apart. */
struct labels {
    char text[LABELS_BYTES];
    const char *of[MAX_IMAGES];
    int n;
};

struct sheet {
    struct cli_output to;
    struct image_sheet_params params;
    enum image_format format; /* by the ending of the sheet */
    const char *paths[MAX_IMAGES];
    size_t n;
    struct labels column_labels, row_labels;
    bool json, quiet;
    struct cli_progress progress;
};

static size_t from_stdin(const struct sheet *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += strcmp(s->paths[i], "-") == 0;
    return n;
}

static enum err_code load_all(struct sheet *s, struct image *images, struct err *e)
{
    if (from_stdin(s) > 1)
        return err_set(e, ERR_ARG, "standard input is one image, and is named %zu times",
                       from_stdin(s));
    if (!s->to.named && !s->to.into && s->n > 1 && !file_exists(s->paths[0]))
        return err_set(e, ERR_NOTFOUND,
                       "there is no image '%.300s'; name the sheet to write with -o", s->paths[0]);
    for (size_t i = 0; i < s->n; i++)
        TRY(cli_image_load(s->paths[i], &s->progress, &images[i], e));
    return ERR_OK;
}

static enum err_code make(const struct sheet *s, const struct image *images, struct buf *file,
                          struct err *e)
{
    const struct image *list[MAX_IMAGES];
    struct image sheet = {0};
    for (size_t i = 0; i < s->n; i++)
        list[i] = &images[i];
    enum err_code rc;
    TRY_GOTO(image_sheet(list, s->n, &s->params, &sheet, e), done);
    rc = image_save(&sheet, &(struct image_save){.format = s->format}, file, e);
done:
    image_free(&sheet);
    return rc;
}

static void print_result(struct sheet *s, const char *path, bool replaced)
{
    struct buf b;
    if (s->json) {
        buf_init(&b, 1 << 16);
        json_object(&b, NULL);
        json_put_z(&b, "path", path);
        json_put_uint(&b, "images", s->n);
        if (replaced)
            json_put_bool(&b, "replaced", true);
        result_json_notes(&b, &s->progress.notes);
        json_end_object(&b);
        cli_print_json(&b);
    } else if (!s->quiet) {
        fprintf(cli_output_lines(path), "%s  %zu image%s\n", cli_output_name(path), s->n,
                s->n == 1 ? "" : "s");
    }
}

static int execute(struct sheet *s)
{
    struct err e = {0};
    struct buf png;
    char path[CLI_PATH_BYTES];
    bool replaced = false;
    const struct cli_output_words words = {"", "", 0};
    struct cli_settings settings;
    struct image *images = mem_alloc(s->n * sizeof *images);
    buf_init(&png, SHEET_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(cli_settings_load(&settings, &e), done);
    s->to.folder = cli_setting(&settings, SETTING_OUTPUT_FOLDER); /* without -o: where others go */
    TRY_GOTO(cli_output_image(&s->to, &s->format, &e), done);
    TRY_GOTO(cli_output_check(&s->to, &e), done);
    TRY_GOTO(load_all(s, images, &e), done);
    TRY_GOTO(make(s, images, &png, &e), done);
    rc = cli_output_write(&s->to, &words, png.p, png.n, path, &replaced, &e);
done:
    for (size_t i = 0; i < s->n; i++)
        image_free(&images[i]);
    mem_free(images);
    buf_deinit(&png);
    if (rc != ERR_OK)
        return cli_fail_err(&e);
    cli_output_note(&s->to, path, replaced, &s->progress);
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

static int set_labels(const struct cli_args *a, struct labels *out)
{
    if (strlen(a->value) >= sizeof out->text)
        return cli_usage_error(a->command, "%s is too long", a->name);
    (void)snprintf(out->text, sizeof out->text, "%s", a->value);
    out->n = 0;
    for (char *p = out->text; p; out->n++) {
        if (out->n == MAX_IMAGES)
            return cli_usage_error(a->command, "%s: at most %d", a->name, MAX_IMAGES);
        out->of[out->n] = p;
        p = strchr(p, ',');
        if (p)
            *p++ = 0;
    }
    return CLI_OK;
}

/* As many as there are columns and rows. */
static int take_labels(struct sheet *s, const struct cli_command *self)
{
    int n = (int)s->n, columns = s->params.columns;
    if (!s->column_labels.n && !s->row_labels.n)
        return CLI_OK;
    if (!columns)
        columns =
            s->column_labels.n ? s->column_labels.n : (n + s->row_labels.n - 1) / s->row_labels.n;
    columns = columns > n ? n : columns;
    int rows = (n + columns - 1) / columns;
    if (s->column_labels.n && s->column_labels.n != columns)
        return cli_usage_error(self, "--column-labels has %d for %d columns", s->column_labels.n,
                               columns);
    if (s->row_labels.n && s->row_labels.n != rows)
        return cli_usage_error(self, "--row-labels has %d for %d rows", s->row_labels.n, rows);
    s->params.columns = columns;
    s->params.column_labels = s->column_labels.n ? s->column_labels.of : NULL;
    s->params.row_labels = s->row_labels.n ? s->row_labels.of : NULL;
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
    case SHEET_COLUMN_LABELS:
        return set_labels(a, &s->column_labels);
    case SHEET_ROW_LABELS:
        return set_labels(a, &s->row_labels);
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
        if (s->n == MAX_IMAGES)
            return cli_usage_error(a->command, "at most %d images fit on a sheet", MAX_IMAGES);
        s->paths[s->n++] = a->value;
        return CLI_OK;
    default:
        return CLI_USAGE;
    }
}

static int parse(struct sheet *s, const struct cli_command *self, int argc, char **argv,
                 bool *helped)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        *helped = id == CLI_HELP;
        if (*helped)
            return CLI_OK;
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(s, &a, id);
    }
    if (rc == CLI_OK && s->n == 0)
        rc = cli_usage_error(self, "name the images to lay out, and the sheet with -o");
    else if (rc == CLI_OK)
        rc = take_labels(s, self);
    s->to.json = s->json;
    s->progress.quiet = s->quiet;
    return rc;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct sheet s = {.params = image_sheet_defaults(), .to = {.count = 1, .name = "sheet"}};
    bool helped = false;
    cli_progress_init(&s.progress, false);
    int rc = parse(&s, self, argc, argv, &helped);
    if (rc == CLI_OK && !helped)
        rc = execute(&s);
    cli_progress_deinit(&s.progress);
    return rc;
}

const struct cli_command cli_cmd_sheet = {
    .name = "sheet",
    .summary = "Lay images out on one contact sheet",
    .usage = "IMAGE... [-o FILE|DIR/] [-c N]",
    .examples = "  veetance sheet out-*.png -c 4 -o sheet.png\n"
                "  veetance sheet a.png b.png --column-labels before,after -o both.png\n",
    .options = options,
    .run = run,
};
