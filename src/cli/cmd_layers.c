/* cmd_layers.c - `veetance layers`: takes an image apart; the layer tools are its subcommands.
 *
 * Where the result goes is checked before the model is opened. With --from the recipe of an earlier result fills the
 * request first, and options that were given win over it. `plan layers` goes the same way and stops where the run
 * would begin.
 */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/batch.h"
#include "cli/cli.h"
#include "cli/image_in.h"
#include "cli/item.h"
#include "cli/result_out.h"
#include "cli/layers_job.h"
#include "cli/layers_out.h"
#include "cli/layers_tools.h"
#include "cli/made.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "pipeline/engine.h"

enum {
    LAYERS_IMAGE = LAYERS_JOB_FIRST_OWN,
    LAYERS_FULL_SIZE,
    LAYERS_FORMAT,
    LAYERS_OUTPUT,
    LAYERS_FORCE,
    LAYERS_FROM
};

static const struct cli_option options[] = {
    {LAYERS_IMAGE, 'i', "image", "IMAGE",
     "PNG, JPEG, WebP, TIFF, HEIC, AVIF, GIF or BMP; its alpha counts"},
    {LAYERS_OUTPUT, 'o', "output", "OUT",
     "folder for layer_0.png (bottom) ..., composite.png, layers.json (default layers, numbered "
     "on), or a file that ends in .psd, .ora, .pptx or .zip"},
    {LAYERS_FORCE, 'f', "force", NULL, "replace what is there"},
    {LAYERS_FORMAT, 0, "format", "LIST",
     "further files beside the PNGs, commas between: psd,ora,pptx,zip"},
    {LAYERS_FROM, 0, "from", "IMAGE",
     "run the recipe of this composite.png or PSD again; options that are given go before it"},
    {LAYERS_FULL_SIZE, 0, "full-size", NULL,
     "bring the layers to the image's size and, where known, its colours"},
    LAYERS_JOB_OPTIONS,
    BATCH_OPTIONS,
    BATCH_EACH_OPTION,
    {0},
};

static const struct cli_subcommand subcommands[] = {
    {"split", "STACK", "take one layer apart; the parts take its place", &layers_tool_split},
    {"merge", "STACK LAYER...", "make one layer of several", NULL},
    {"flatten", "STACK", "compose all visible layers into one image", NULL},
    {"export", "STACK", "as PSD, OpenRaster, PowerPoint, ZIP or PNGs", NULL},
    {"import", "FILE", "a PSD, OpenRaster or ZIP file into a folder", NULL},
    {"trim", "STACK", "cut off transparent borders", NULL},
    {"clean", "STACK", "clean the edges", NULL},
    {0},
};

struct layers {
    struct layers_job job;
    const char *image;
    const char *from; /* the image whose recipe is run; NULL: none */
    struct recipe recipe;
    char found[CLI_PATH_BYTES];
    struct layers_out out;
};

static int set_option(struct layers *o, const struct cli_args *a, int id)
{
    struct err e = {0};
    switch (id) {
    case LAYERS_IMAGE:
        if (o->image)
            return cli_usage_error(a->command, "one image is taken apart at a time");
        o->image = a->value;
        return CLI_OK;
    case LAYERS_OUTPUT:
        o->out.to.named = a->value;
        return CLI_OK;
    case LAYERS_FORCE:
        o->out.to.force = true;
        return CLI_OK;
    case LAYERS_FROM:
        o->from = a->value;
        return CLI_OK;
    case LAYERS_FULL_SIZE:
        o->job.request.full_size = 1;
        return CLI_OK;
    case LAYERS_FORMAT:
        if (layers_formats_parse(a->value, &o->out.formats, &e) != ERR_OK)
            return cli_usage_error(a->command, "--format: %s", e.text);
        return CLI_OK;
    default:
        return layers_job_option(&o->job, a, id);
    }
}

static void print_result(const struct layers *o)
{
    const struct layers_job *j = &o->job;
    const struct layer_stack *made = layers_job_stack(j);
    struct buf b;
    if (j->json) {
        buf_init(&b, 64u << 20);
        json_object(&b, NULL);
        cli_item_json(&b, "made");
        layers_json_stack(&o->out, made, &b);
        layers_job_json(j, &b);
        json_end_object(&b);
        cli_print_json(&b);
    } else if (!j->quiet) {
        FILE *to = cli_output_lines(o->out.path);
        fprintf(to, "%s  seed %lld  %zu layer%s of %d x %d  %.2f s\n", cli_output_name(o->out.path),
                (long long)vt_layers_report(j->made)->seed, made->n, made->n == 1 ? "" : "s",
                made->w, made->h, vt_layers_stats(j->made)->total_seconds);
        layers_print_list(made, to);
        layers_job_print(j, to);
    }
}

/* What a run would take, instead of a run. */
static int print_plan(struct layers *o)
{
    struct err e = {0};
    struct image source = {0};
    struct vt_plan plan, **to = &o->job.run->plan;
    bool prints = !*to;
    if (prints)
        *to = &plan;
    enum err_code rc;
    TRY_GOTO(cli_image_load_deep(o->image, &o->job.progress, &source, &e), done);
    rc = layers_job_run(&o->job, &source, &e);
done:
    image_free(&source);
    if (rc != ERR_OK)
        return cli_fail_err(&e);
    return prints ? plan_out_print(&plan, o->job.json) : CLI_OK;
}

static int execute(struct layers *o)
{
    struct err e = {0};
    struct image source = {0};
    cli_cancel_on_signal(NULL);
    enum err_code rc;
    TRY_GOTO(cli_image_load_deep(o->image, &o->job.progress, &source, &e), done);
    TRY_GOTO(layers_job_run(&o->job, &source, &e), done);
    recipe_about_layers(o->job.made, &o->job.request, o->image, engine_layers_about(o->job.made));
    rc = layers_out_write(&o->out, layers_job_stack(&o->job), &o->job.progress, &e);
done:
    image_free(&source);
    if (rc != ERR_OK) {
        cli_progress_finish(&o->job.progress);
        return cli_fail_err(&e);
    }
    print_result(o);
    return layers_job_status(&o->job);
}

/* With what an earlier run left. */
static void compare(struct layers *o)
{
    struct cli_run *run = o->job.run;
    if (run->path)
        run->made = cli_made_layers(run->path, &o->job.request, o->image);
}

static int check(struct layers *o, const struct cli_command *self)
{
    struct err e = {0};
    int rc = layers_job_check(&o->job, &o->out, self);
    if (rc != CLI_OK || o->job.run->way == CLI_PLAN)
        return rc;
    o->out.to.json = o->job.json;
    o->out.to.folder = cli_setting(&o->job.settings, SETTING_OUTPUT_FOLDER);
    return layers_out_check(&o->out, &e) == ERR_OK ? CLI_OK : cli_fail_err(&e);
}

static int stray(const struct cli_command *self, const char *word)
{
    struct cli_suggestion s = {.typed = word};
    for (const struct cli_subcommand *w = subcommands; w->name; w++)
        cli_suggest(&s, w->name);
    return cli_usage_error(self,
                           "'%.60s' is not expected here; the image goes behind -i, tools come "
                           "first (%s)%s",
                           word, layers_tool_names, cli_suggest_text(&s));
}

static bool has_flag(const struct recipe *r, const char *name)
{
    const char *at = strstr(r->flags, name);
    return at && (at == r->flags || at[-1] == '|');
}

static void fill_int(int *value, int from)
{
    if (*value == VT_DEFAULT)
        *value = from;
}

static void fill_request(struct vt_layers_request *q, struct recipe *r)
{
    if (!q->prompt && r->prompt.n)
        q->prompt = buf_z(&r->prompt);
    if (!q->model && r->model[0])
        q->model = r->model;
    if (!q->compute && r->compute[0])
        q->compute = r->compute;
    if (!q->matte && r->matte[0])
        q->matte = r->matte;
    q->fast = q->fast ? q->fast : r->fast;
    fill_int(&q->steps, r->steps);
    fill_int(&q->layers, r->layers);
    fill_int(&q->resolution, r->resolution);
    if (q->seed == VT_SEED_RANDOM)
        q->seed = r->seed;
    if (q->guidance < 0)
        q->guidance = r->guidance;
    q->cfg_normalize = q->cfg_normalize || has_flag(r, "cfg-normalize");
    q->keep_empty = q->keep_empty || has_flag(r, "keep-empty");
    q->merge_duplicates = q->merge_duplicates || has_flag(r, "merge-duplicates");
    q->full_size = q->full_size || has_flag(r, "full-size");
}

static int take_recipe(struct layers *o, const struct cli_command *self)
{
    struct err e = {0};
    if (cli_recipe_read(o->from, &o->recipe, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (strcmp(o->recipe.task, "layers") != 0)
        return cli_usage_error(self, "'%.200s' was not made by `veetance layers`",
                               cli_input_name(o->from));
    fill_request(&o->job.request, &o->recipe);
    cli_loras_of_recipe(&o->job.loras, &o->recipe.loras, &o->job.request.loras);
    if (o->image)
        return CLI_OK;
    const char *name = o->recipe.image_count ? o->recipe.images[0] : "";
    if (cli_recipe_image(o->from, name, o->found, &e) != ERR_OK)
        return cli_fail_err(&e);
    o->image = o->found;
    return CLI_OK;
}

static int parse(struct layers *o, const struct cli_command *self, int argc, char **argv,
                 bool *helped)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP) {
            *helped = true;
            return CLI_OK;
        }
        if (id == CLI_POSITIONAL)
            rc = stray(self, a.value);
        else
            rc = id == CLI_ERROR ? CLI_USAGE : set_option(o, &a, id);
    }
    if (rc != CLI_OK)
        return rc;
    if (o->from && (rc = take_recipe(o, self)) != CLI_OK)
        return rc;
    if (!o->image)
        return cli_usage_error(self, "no image is given; name one with -i");
    return CLI_OK;
}

static int decompose(const struct cli_command *self, int argc, char **argv, struct cli_run *how)
{
    struct layers o = {.out = layers_out_defaults()};
    bool helped = false;
    layers_job_init(&o.job, how);
    int rc = parse(&o, self, argc, argv, &helped);
    if (rc == CLI_OK && !helped)
        rc = check(&o, self);
    if (rc == CLI_OK && !helped && how->way == CLI_CHECK)
        compare(&o);
    else if (rc == CLI_OK && !helped)
        rc = how->way == CLI_PLAN ? print_plan(&o) : execute(&o);
    recipe_deinit(&o.recipe);
    layers_job_deinit(&o.job);
    return rc;
}

const struct batch_task layers_task = {decompose, ""};

static int run(const struct cli_command *self, int argc, char **argv)
{
    const struct cli_command *tool = argc > 1 ? layers_tool_find(argv[1]) : NULL;
    return tool ? tool->run(tool, argc - 1, argv + 1)
                : batch_or_one(self, argc, argv, &layers_task, CLI_RUN);
}

const struct cli_command cli_cmd_layers = {
    .name = "layers",
    .summary = "Take an image apart into RGBA layers, and work on layers",
    .usage = "-m MODEL -i IMAGE -n N [-p PROMPT] [--full-size] [--format psd,ora,...] [-o OUT] ...",
    .examples =
        "  veetance layers -m micro-layered -i scene.png -n 3 -o scene-layers\n"
        "  veetance layers -m ~/models/Qwen-Image-Layered -i poster.png -n 6 --full-size --format "
        "psd,ora -o poster\n"
        "  veetance layers -m ~/models/Qwen-Image-Layered -i poster.png -n 6 -o poster.psd "
        "--strict\n"
        "  veetance layers -m ~/models/Qwen-Image-Layered --each *.png -o 'apart/{source}.psd'\n"
        "  veetance layers split poster -m ~/models/Qwen-Image-Layered --layer 2 -n 3 -o finer\n"
        "  veetance layers merge poster 0 1 -o fewer\n"
        "  veetance layers flatten poster -o poster-again.png\n"
        "  veetance layers export poster --format psd -o poster.psd\n"
        "  veetance layers import poster.psd -o poster\n"
        "  veetance layers trim poster -o trimmed\n"
        "  veetance layers clean poster -o clean\n",
    .options = options,
    .subcommands = subcommands,
    .run = run,
};
