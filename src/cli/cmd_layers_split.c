/* cmd_layers_split.c - a layer taken apart again: the decomposition takes its place in the stack.
 *
 * The output, the stack and the layer are checked before the model is opened. Parts are made at the layer's own size
 * and then clipped to its silhouette, since a model may fill what was transparent; they replace the layer where it
 * was.
 */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/image_in.h"
#include "cli/layers_job.h"
#include "cli/layers_out.h"
#include "cli/layers_tools.h"
#include "layers/file.h"

enum { SPLIT_LAYER = LAYERS_JOB_FIRST_OWN, SPLIT_OUTPUT, SPLIT_FORCE };

static const struct cli_option options[] = {
    {SPLIT_LAYER, 'l', "layer", "LAYER", "number from the bottom (0), id or name"},
    {SPLIT_OUTPUT, 'o', "output", "OUT",
     "folder, or a file that ends in .psd, .ora, .pptx or .zip"},
    {SPLIT_FORCE, 'f', "force", NULL, "replace what is there"},
    LAYERS_JOB_OPTIONS,
    {0},
};

struct split {
    struct layers_job job;
    const char *input, *layer;
    struct layers_out out;
    struct layer_stack stack;
};

/* The layer's own silhouette bounds its parts: a model may fill what was transparent. */
static void clip_to(struct layer_stack *parts, const struct image *parent)
{
    for (size_t i = 0; i < parts->n; i++) {
        struct image *im = &parts->layers[i].image;
        for (int y = 0; y < im->h && y < parent->h; y++) {
            unsigned char *row = image_row(im, y);
            const unsigned char *bound = image_row(parent, y);
            for (int x = 0; x < im->w && x < parent->w; x++)
                if (row[4 * x + 3] > bound[4 * x + 3])
                    row[4 * x + 3] = bound[4 * x + 3];
        }
    }
}

static enum err_code split_layer(struct split *s, struct err *e)
{
    size_t at = 0;
    struct image image = {0};
    enum err_code rc;
    TRY_GOTO(cli_stack_load(s->input, &s->stack, e), done);
    layers_tell_notes(&s->stack, &s->job.progress);
    TRY_GOTO(layers_pick(&s->stack, s->layer, &at, e), done);
    TRY_GOTO(image_copy(&s->stack.layers[at].image, &image, e), done);
    TRY_GOTO(layers_job_run(&s->job, &image, e), done);
    struct layer_stack parts;
    TRY_GOTO(layer_stack_copy(layers_job_stack(&s->job), &parts, e), done);
    clip_to(&parts, &image);
    rc = layers_replace(&s->stack, at, &parts, e);
    image_about_clear(&s->stack.about); /* its recipe makes other layers than these */
    if (!s->job.request.no_metadata)
        s->stack.about.source = IMAGE_SOURCE_EDITED;
done:
    image_free(&image);
    return rc;
}

static void print_result(const struct split *s)
{
    struct buf b;
    if (s->job.json) {
        buf_init(&b, 64u << 20);
        json_object(&b, NULL);
        layers_json_stack(&s->out, &s->stack, &b);
        json_object(&b, "split");
        layers_job_json(&s->job, &b);
        json_end_object(&b);
        json_end_object(&b);
        cli_print_json(&b);
    } else if (!s->job.quiet) {
        FILE *to = cli_output_lines(s->out.path);
        fprintf(to, "%s  seed %lld  %zu layers, %d of them from '%s'  %.2f s\n",
                cli_output_name(s->out.path), (long long)vt_layers_report(s->job.made)->seed,
                s->stack.n, vt_layers_count(s->job.made), s->layer,
                vt_layers_stats(s->job.made)->total_seconds);
        layers_print_list(&s->stack, to);
        layers_job_print(&s->job, to);
    }
}

static int execute(struct split *s)
{
    struct err e = {0};
    cli_cancel_on_signal(NULL);
    s->out.to.json = s->job.json;
    enum err_code rc;
    TRY_GOTO(layers_out_check(&s->out, &e), done);
    TRY_GOTO(split_layer(s, &e), done);
    rc = layers_out_write(&s->out, &s->stack, &s->job.progress, &e);
done:
    if (rc != ERR_OK) {
        cli_progress_finish(&s->job.progress);
        return cli_fail_err(&e);
    }
    print_result(s);
    return layers_job_status(&s->job);
}

static int set_option(struct split *s, const struct cli_args *a, int id)
{
    switch (id) {
    case CLI_POSITIONAL:
        if (s->input)
            return cli_usage_error(a->command, "'%.60s' is not expected here", a->value);
        s->input = a->value;
        return CLI_OK;
    case SPLIT_LAYER:
        s->layer = a->value;
        return CLI_OK;
    case SPLIT_OUTPUT:
        s->out.to.named = a->value;
        return CLI_OK;
    case SPLIT_FORCE:
        s->out.to.force = true;
        return CLI_OK;
    default:
        return layers_job_option(&s->job, a, id);
    }
}

static int parse(struct split *s, const struct cli_command *self, int argc, char **argv,
                 bool *helped)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP) {
            *helped = true;
            return CLI_OK;
        }
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(s, &a, id);
    }
    if (rc != CLI_OK)
        return rc;
    if (!s->input)
        return cli_usage_error(self, "name the folder or file with the layers");
    if (!s->layer)
        return cli_usage_error(self, "say with --layer which layer to split");
    if (!s->out.to.named)
        return cli_usage_error(self, "say with -o where the result goes");
    return layers_job_check(&s->job, &s->out, self);
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct split s = {.out = layers_out_defaults()};
    struct cli_run alone = {.way = CLI_RUN};
    bool helped = false;
    layers_job_init(&s.job, &alone);
    layer_stack_init(&s.stack, 0, 0);
    s.job.request.full_size = 1; /* the parts take the layer's place, so they have its size */
    int rc = parse(&s, self, argc, argv, &helped);
    if (rc == CLI_OK && !helped)
        rc = execute(&s);
    layer_stack_deinit(&s.stack);
    layers_job_deinit(&s.job);
    return rc;
}

const struct cli_command layers_tool_split = {
    .name = "layers split",
    .summary = "Take one layer of a stack apart; the parts take its place",
    .usage = "STACK --layer LAYER -m MODEL -n N [-p PROMPT] -o OUT ...",
    .examples =
        "  veetance layers split poster --layer 2 -m ~/models/Qwen-Image-Layered -n 3 -o "
        "finer\n"
        "  veetance layers split poster.psd --layer \"red, upper left\" -m micro-layered -o "
        "finer.psd\n",
    .options = options,
    .run = run,
};
