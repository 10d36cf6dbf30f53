/* cmd_layers_tools.c - layer tools that need no model: a stack in, a stack or image out.
 *
 * All of them are one command with a table of actions: arguments are read, the output is checked, the stack is
 * loaded, the action changes and writes it. A layer is named by its number, its id or its name, in this order; a
 * name that two layers have is refused, not guessed.
 */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "cli/image_in.h"
#include "cli/layers_job.h"
#include "cli/layers_out.h"
#include "cli/layers_tools.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "image/save.h"
#include "layers/clean.h"
#include "layers/file.h"
#include "pipeline/params_table.h"
#include "pipeline/result_json.h"

enum {
    TOOL_OUTPUT = 1,
    TOOL_FORMAT,
    TOOL_LOW,
    TOOL_HIGH,
    TOOL_RADIUS,
    TOOL_FORCE,
    TOOL_NO_METADATA,
    TOOL_JSON,
    TOOL_QUIET
};

enum { MAX_CHOSEN = 256, FLAT_MAX_BYTES = 1 << 30 };

const char layers_tool_names[] = "split, merge, flatten, export, import, trim, clean";

#define SHARED_OPTIONS                                                                             \
    {TOOL_FORCE, 'f', "force", NULL, "replace what is there"},                                     \
        {TOOL_NO_METADATA, 0, "no-metadata", NULL, PARAM_HELP_no_metadata},                        \
        {TOOL_JSON, 0, "json", NULL, "print the result as JSON on standard output"},               \
        {TOOL_QUIET, 'q', "quiet", NULL, "say nothing but errors"},                                \
    {                                                                                              \
        0                                                                                          \
    }
#define STACK_OUTPUT                                                                               \
    {                                                                                              \
        TOOL_OUTPUT, 'o', "output", "OUT",                                                         \
            "folder, or a file that ends in .psd, .ora, .pptx or .zip"                             \
    }

static const struct cli_option stack_options[] = {STACK_OUTPUT, SHARED_OPTIONS};

static const struct cli_option flatten_options[] = {
    {TOOL_OUTPUT, 'o', "output", "FILE|DIR/",
     "image to write, .png, .jpg or .webp; - is standard output; in a folder flat.png, numbered "
     "on"},
    SHARED_OPTIONS};

static const struct cli_option export_options[] = {
    {TOOL_OUTPUT, 'o', "output", "OUT",
     "file for one format; folder for several, or for png (files stack.psd, ... in it, numbered "
     "on)"},
    {TOOL_FORMAT, 0, "format", "LIST",
     "png, psd, ora, pptx, zip, commas between (default: by OUT's ending)"},
    SHARED_OPTIONS};

static const struct cli_option import_options[] = {
    {TOOL_OUTPUT, 'o', "output", "DIR", "folder for the layers"}, SHARED_OPTIONS};

static const struct cli_option clean_options[] = {
    STACK_OUTPUT,
    {TOOL_LOW, 0, "low", "A", "alpha up to this becomes 0 (default 12)"},
    {TOOL_HIGH, 0, "high", "A", "alpha from this on becomes 255 (default 243)"},
    {TOOL_RADIUS, 0, "radius", "PX",
     "how far an edge takes its colour from solid pixels (default 3)"},
    SHARED_OPTIONS};

struct tool {
    const struct cli_command *command;
    const char *input;
    const char *chosen[MAX_CHOSEN]; /* merge: layers */
    size_t n_chosen;
    struct layers_out out;
    enum image_format image; /* of flatten's output */
    struct layer_alpha_params alpha;
    bool json, quiet, no_metadata;
    struct cli_progress progress;
    struct layer_stack stack;
};

/* ---- what the tools do ---------------------------------------------------------------------------------- */

enum err_code layers_pick(const struct layer_stack *s, const char *which, size_t *out,
                          struct err *e)
{
    int64_t number;
    size_t found = s->n, same = 0;
    if (str_to_i64(str_from(which), &number)) {
        if (number < 0 || (uint64_t)number >= s->n)
            return err_set(e, ERR_ARG, "there is no layer %lld; there are 0 to %zu",
                           (long long)number, s->n - 1);
        *out = (size_t)number;
        return ERR_OK;
    }
    *out = layer_stack_find(s, str_from(which));
    if (*out < s->n)
        return ERR_OK;
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->layers[i].name, which) == 0) {
            found = i;
            same++;
        }
    if (same > 1)
        return err_set(e, ERR_ARG, "%zu layers are called '%.80s'; use a number or an id", same,
                       which);
    *out = found;
    struct cli_suggestion near = {.typed = which};
    for (size_t i = 0; i < s->n; i++)
        cli_suggest(&near, s->layers[i].name);
    return same ? ERR_OK
                : err_set(e, ERR_ARG, "no layer has the id or name '%.80s'%s", which,
                          cli_suggest_text(&near));
}

static enum err_code write_stack(struct tool *t, struct err *e)
{
    return layers_out_write(&t->out, &t->stack, &t->progress, e);
}

static enum err_code do_merge(struct tool *t, struct err *e)
{
    bool *marked = mem_alloc(t->stack.n * sizeof *marked + 1);
    size_t indexes[MAX_CHOSEN], n = 0, at = 0;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < t->n_chosen; i++) {
        TRY_GOTO(layers_pick(&t->stack, t->chosen[i], &at, e), done);
        marked[at] = true;
    }
    for (size_t i = 0; i < t->stack.n; i++)
        if (marked[i])
            indexes[n++] = i;
done:
    mem_free(marked);
    TRY(rc);
    if (n < 2)
        return err_set(e, ERR_ARG, "merging takes at least two different layers");
    TRY(layers_merge_chosen(&t->stack, indexes, n, e));
    return write_stack(t, e);
}

static enum err_code do_flatten(struct tool *t, struct err *e)
{
    struct image flat = {0};
    struct buf file;
    const struct cli_output_words none = {"", "", 0};
    const struct image_save how = {.format = t->image, .about = &t->stack.about};
    buf_init(&file, FLAT_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(layers_flatten(&t->stack, &flat, e), done);
    TRY_GOTO(image_save(&flat, &how, &file, e), done);
    TRY_GOTO(cli_output_write(&t->out.to, &none, file.p, file.n, t->out.path, &t->out.replaced, e),
             done);
    cli_output_note(&t->out.to, t->out.path, t->out.replaced, &t->progress);
done:
    image_free(&flat);
    buf_deinit(&file);
    return rc;
}

static enum err_code do_export(struct tool *t, struct err *e)
{
    return write_stack(t, e);
}

static enum err_code do_import(struct tool *t, struct err *e)
{
    return write_stack(t, e);
}

static enum err_code do_trim(struct tool *t, struct err *e)
{
    TRY(layers_trim(&t->stack, e));
    return write_stack(t, e);
}

static enum err_code do_clean(struct tool *t, struct err *e)
{
    if (t->alpha.low >= t->alpha.high)
        return err_set(e, ERR_ARG, "--low %d should be below --high %d", t->alpha.low,
                       t->alpha.high);
    for (size_t i = 0; i < t->stack.n; i++)
        TRY(layer_clean_alpha(&t->stack.layers[i], &t->alpha, e));
    return write_stack(t, e);
}

/* ---- running ------------------------------------------------------------------------------------------- */

enum result_kind { RESULT_STACK, RESULT_IMAGE, RESULT_EXPORT, RESULT_FOLDER };

struct action {
    struct cli_command command;
    enum result_kind result;
    enum err_code (*act)(struct tool *t, struct err *e);
};

static int run_tool(const struct cli_command *self, int argc, char **argv);

static const struct action actions[] = {
    {{.name = "layers merge",
      .summary = "Make one layer of several",
      .usage = "STACK LAYER LAYER... -o OUT",
      .examples =
          "  veetance layers merge poster 1 2 -o fewer\n"
          "  veetance layers merge poster.psd \"red, upper left\" \"red, centre\" -o poster2.psd\n"
          "\nSTACK is a folder with layers.json, a PSD, OpenRaster or ZIP file. LAYER is a number "
          "(0 is the\nbottom), an id or a name. The topmost of them gives name and place.\n",
      .options = stack_options,
      .run = run_tool},
     RESULT_STACK,
     do_merge},
    {{.name = "layers flatten",
      .summary = "Compose all visible layers into one image",
      .usage = "STACK -o FILE",
      .examples = "  veetance layers flatten poster -o poster.png\n"
                  "  veetance layers flatten poster.psd -o poster.png\n",
      .options = flatten_options,
      .run = run_tool},
     RESULT_IMAGE,
     do_flatten},
    {{.name = "layers export",
      .summary = "Write a stack as PSD, OpenRaster, PowerPoint, ZIP or a folder of PNGs",
      .usage = "STACK [--format LIST] -o OUT",
      .examples = "  veetance layers export poster -o poster.psd\n"
                  "  veetance layers export poster --format psd,ora,pptx -o exports\n",
      .options = export_options,
      .run = run_tool},
     RESULT_EXPORT,
     do_export},
    {{.name = "layers import",
      .summary = "Bring a PSD, OpenRaster or ZIP file into a folder of layers",
      .usage = "FILE -o DIR",
      .examples = "  veetance layers import poster.psd -o poster\n"
                  "  veetance layers import drawing.ora -o drawing\n",
      .options = import_options,
      .run = run_tool},
     RESULT_FOLDER,
     do_import},
    {{.name = "layers trim",
      .summary = "Cut off every layer's wholly transparent borders; its place stays",
      .usage = "STACK -o OUT",
      .examples =
          "  veetance layers clean poster -o clean && veetance layers trim clean -o trimmed\n",
      .options = stack_options,
      .run = run_tool},
     RESULT_STACK,
     do_trim},
    {{.name = "layers clean",
      .summary = "Clean the edges: no faint alpha, no fringe of the old background",
      .usage = "STACK [--low A] [--high A] [--radius PX] -o OUT",
      .examples = "  veetance layers clean poster -o clean\n"
                  "  veetance layers clean poster --low 30 --high 220 -o harder.psd\n",
      .options = clean_options,
      .run = run_tool},
     RESULT_STACK,
     do_clean},
};

const struct cli_command *layers_tool_find(const char *name)
{
    if (strcmp(name, "split") == 0)
        return &layers_tool_split;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(actions[i].command.name + strlen("layers "), name) == 0)
            return &actions[i].command;
    return NULL;
}

static const struct action *action_of(const struct cli_command *c)
{
    size_t i = 0;
    while (&actions[i].command != c)
        i++;
    return &actions[i];
}

static int set_level(const struct cli_args *a, int hi, int *out)
{
    int64_t v;
    if (!cli_int(a, 0, hi, &v))
        return CLI_USAGE;
    *out = (int)v;
    return CLI_OK;
}

static int set_positional(struct tool *t, const struct cli_args *a)
{
    if (!t->input)
        t->input = a->value;
    else if (action_of(t->command)->act != do_merge)
        return cli_usage_error(t->command, "'%.60s' is not expected here", a->value);
    else if (t->n_chosen == MAX_CHOSEN)
        return cli_usage_error(t->command, "at most %d layers can be named", MAX_CHOSEN);
    else
        t->chosen[t->n_chosen++] = a->value;
    return CLI_OK;
}

static int set_option(struct tool *t, const struct cli_args *a, int id)
{
    struct err e = {0};
    switch (id) {
    case CLI_POSITIONAL:
        return set_positional(t, a);
    case TOOL_OUTPUT:
        t->out.to.named = a->value;
        return CLI_OK;
    case TOOL_FORMAT:
        if (layers_formats_parse(a->value, &t->out.formats, &e) != ERR_OK)
            return cli_usage_error(t->command, "--format: %s", e.text);
        return CLI_OK;
    case TOOL_LOW:
        return set_level(a, 255, &t->alpha.low);
    case TOOL_HIGH:
        return set_level(a, 255, &t->alpha.high);
    case TOOL_RADIUS:
        return set_level(a, 64, &t->alpha.radius);
    case TOOL_FORCE:
        t->out.to.force = true;
        return CLI_OK;
    case TOOL_NO_METADATA:
        t->no_metadata = true;
        return CLI_OK;
    case TOOL_JSON:
        t->json = t->out.to.json = true;
        return CLI_OK;
    case TOOL_QUIET:
        t->quiet = true;
        return CLI_OK;
    default:
        return CLI_USAGE;
    }
}

/* What the ending asks for, and whether it can be written. */
static enum err_code check_output(struct tool *t, struct err *e)
{
    enum result_kind result = action_of(t->command)->result;
    enum err_code rc;
    if (result == RESULT_IMAGE) {
        t->out.to.name = "flat";
        t->out.to.ending = NULL;
        rc = cli_output_image(&t->out.to, &t->image, e);
        return rc == ERR_OK ? cli_output_check(&t->out.to, e) : rc;
    }
    t->out.is_export = result == RESULT_EXPORT;
    rc = layers_out_check(&t->out, e);
    return rc == ERR_OK && result == RESULT_FOLDER && t->out.kind != LAYERS_PNG
               ? err_set(e, ERR_ARG, "'%.200s': import makes a folder; export makes a .%s file",
                         t->out.to.named, layers_format_name(t->out.kind))
               : rc;
}

static void print_result(const struct tool *t)
{
    struct buf b;
    if (t->json) {
        buf_init(&b, 64u << 20);
        json_object(&b, NULL);
        layers_json_stack(&t->out, &t->stack, &b);
        layers_json_merged(&t->stack, &b);
        result_json_notes(&b, &t->progress.notes);
        json_end_object(&b);
        cli_print_json(&b);
    } else if (!t->quiet) {
        fprintf(cli_output_lines(t->out.path), "%s  %zu layer%s, %d x %d\n",
                cli_output_name(t->out.path), t->stack.n, t->stack.n == 1 ? "" : "s", t->stack.w,
                t->stack.h);
    }
}

static int execute(struct tool *t)
{
    struct err e = {0};
    cli_cancel_on_signal(NULL);
    t->progress.quiet = t->quiet;
    enum err_code rc;
    TRY_GOTO(check_output(t, &e), done);
    TRY_GOTO(cli_stack_load(t->input, &t->stack, &e), done);
    layers_tell_notes(&t->stack, &t->progress);
    if (t->no_metadata)
        image_about_clear(&t->stack.about);
    rc = action_of(t->command)->act(t, &e);
done:
    if (rc != ERR_OK)
        return cli_fail_err(&e);
    print_result(t);
    return CLI_OK;
}

static int parse(struct tool *t, int argc, char **argv, bool *helped)
{
    struct cli_args a = cli_args_begin(t->command, argc, argv);
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP) {
            *helped = true;
            return CLI_OK;
        }
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(t, &a, id);
    }
    if (rc != CLI_OK)
        return rc;
    if (!t->input)
        return cli_usage_error(t->command, "name the folder or file with the layers");
    if (!t->out.to.named)
        return cli_usage_error(t->command, "say with -o where the result goes");
    return CLI_OK;
}

static int run_tool(const struct cli_command *self, int argc, char **argv)
{
    struct tool t = {
        .command = self, .out = layers_out_defaults(), .alpha = layer_alpha_defaults()};
    bool helped = false;
    cli_progress_init(&t.progress, false);
    layer_stack_init(&t.stack, 0, 0);
    int rc = parse(&t, argc, argv, &helped);
    if (rc == CLI_OK && !helped)
        rc = execute(&t);
    layer_stack_deinit(&t.stack);
    cli_progress_deinit(&t.progress);
    return rc;
}
