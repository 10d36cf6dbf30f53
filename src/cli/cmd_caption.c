/* cmd_caption.c - images in words: one caption for each image, by one model that stays open.
 *
 * Several images are all read once before the model is opened, so that one that cannot be read is told at once and
 * not after minutes of work. A caption is printed as soon as it is there; JSON is one document and waits for the
 * last.
 */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/cli.h"
#include "cli/engine_args.h"
#include "cli/image_in.h"
#include "cli/model_arg.h"
#include "cli/param_arg.h"
#include "cli/progress.h"
#include "pipeline/lend.h"
#include "pipeline/result_json.h"

enum {
    CAPTION_MODEL = 1,
    CAPTION_IMAGE,
    CAPTION_LANGUAGE,
    CAPTION_TOKENS,
    CAPTION_COMPUTE,
    CAPTION_JSON,
    CAPTION_QUIET,
};

enum { MAX_CAPTIONS = 1024 };

static const struct cli_option options[] = {
    {CAPTION_MODEL, 'm', "model", "MODEL",
     "a name of `veetance models list`, a Qwen-Image-Layered or Qwen2.5-VL folder, or a GGUF file "
     "with its mmproj beside it"},
    {CAPTION_IMAGE, 'i', "image", "IMAGE",
     "image to describe; several give a caption each, - is standard input"},
    {CAPTION_LANGUAGE, 0, "language", "en|zh", PARAM_HELP_CAPTION_language " (default en)"},
    {CAPTION_TOKENS, 0, "max-new-tokens", "N", PARAM_HELP_CAPTION_max_new_tokens " (default 512)"},
    {CAPTION_COMPUTE, 0, "compute", PARAM_COMPUTES, PARAM_HELP_IMAGE_compute},
    ENGINE_OPTIONS,
    {CAPTION_JSON, 0, "json", NULL, "print the result as JSON on standard output"},
    {CAPTION_QUIET, 'q', "quiet", NULL, "no progress"},
    {0},
};

struct caption_args {
    struct vt_caption_request request;
    struct vt_engine_options engine;
    const char *images[MAX_CAPTIONS];
    int n_images;
    const char *named; /* the model as it was written */
    struct cli_model model;
    struct cli_settings settings;
    struct cli_progress progress;
    struct buf results; /* JSON objects, commas between */
    bool json, quiet;
};

static int add_image(struct caption_args *o, const struct cli_args *a)
{
    if (o->n_images == MAX_CAPTIONS)
        return cli_usage_error(a->command, "at most %d images at a time", MAX_CAPTIONS);
    o->images[o->n_images++] = a->value;
    return CLI_OK;
}

static int set_option(struct caption_args *o, const struct cli_args *a, int id)
{
    switch (id) {
    case CAPTION_MODEL:
        o->request.model = o->named = a->value;
        return CLI_OK;
    case CAPTION_IMAGE:
    case CLI_POSITIONAL:
        return add_image(o, a);
    case CAPTION_LANGUAGE:
    case CAPTION_TOKENS:
    case CAPTION_COMPUTE:
        return cli_param_set(a, id, params_caption, &o->request);
    case CAPTION_JSON:
        o->json = true;
        return CLI_OK;
    case CAPTION_QUIET:
        o->quiet = o->progress.quiet = true;
        return CLI_OK;
    default:
        return engine_args_set(&o->engine, a, id);
    }
}

/* ---- results ------------------------------------------------------------------------------------------ */

static void json_caption(const struct caption_args *o, const char *image,
                         const struct vt_caption_result *r, struct buf *b)
{
    json_object(b, NULL);
    result_json_caption(b, r, o->request.language);
    json_put_z(b, "model", o->named);
    json_put_z(b, "image", image);
    result_json_memory(b, vt_caption_stats(r), NULL);
    json_end_object(b);
}

/* A line for each image as soon as it is there; with several its name goes in front. */
static void take_result(struct caption_args *o, int i, const struct vt_caption_result *r)
{
    cli_progress_finish(&o->progress);
    if (o->json)
        json_caption(o, o->images[i], r, &o->results);
    else if (o->n_images > 1)
        printf("%s: %s\n", o->images[i], vt_caption_text(r));
    else
        puts(vt_caption_text(r));
    (void)fflush(stdout);
    if (!vt_caption_complete(r) && !o->quiet)
        cli_say("note: the caption is cut off after %d tokens; --max-new-tokens allows more",
                vt_caption_tokens(r));
}

/* An object for one image, a list for several. */
static void print_json(struct caption_args *o)
{
    struct buf b;
    buf_init(&b, 64u << 20);
    if (o->n_images > 1) {
        json_object(&b, NULL);
        json_array(&b, "captions");
    }
    json_put_raw(&b, NULL, buf_str(&o->results));
    if (o->n_images > 1) {
        json_end_array(&b);
        json_end_object(&b);
    }
    cli_print_json(&b);
}

/* ---- running ------------------------------------------------------------------------------------------ */

static enum vt_status to_status(enum err_code rc, const struct err *e, struct vt_error *err)
{
    err->status = (enum vt_status)rc;
    (void)snprintf(err->text, sizeof err->text, "%s", e->text);
    return err->status;
}

static enum vt_status describe(struct caption_args *o, struct vt_engine *engine, int i,
                               struct vt_error *err)
{
    struct err e = {0};
    struct image image = {0};
    struct vt_caption_result *r = NULL;
    struct vt_callbacks cb = cli_progress_callbacks(&o->progress);
    enum err_code rc = cli_image_load_deep(o->images[i], &o->progress, &image, &e);
    if (rc != ERR_OK)
        return to_status(rc, &e, err);
    o->request.image = lend_image(&image);
    enum vt_status st = vt_caption(engine, &o->request, &cb, &r, err);
    image_free(&image);
    if (st == VT_OK)
        take_result(o, i, r);
    vt_caption_result_free(r);
    return st;
}

/* Images that cannot be read should be told before minutes of work. */
static enum err_code check_images(const struct caption_args *o, struct err *e)
{
    struct image image;
    enum err_code rc = ERR_OK;
    for (int i = 0; rc == ERR_OK && o->n_images > 1 && i < o->n_images; i++) {
        if (strcmp(o->images[i], "-") == 0)
            return err_set(e, ERR_ARG, "standard input can be the only image");
        rc = cli_image_load_deep(o->images[i], NULL, &image, e);
        image_free(&image);
    }
    return rc;
}

static int execute(struct caption_args *o)
{
    struct err e = {0};
    struct vt_error err;
    struct vt_engine *engine;
    cli_cancel_on_signal(NULL);
    enum err_code rc;
    TRY_GOTO(cli_model_take(&o->request.model, &o->model, &o->progress, &e), done);
    rc = check_images(o, &e);
done:
    if (rc != ERR_OK)
        return cli_fail_err(&e);
    if (vt_engine_open(&o->engine, &engine, &err) != VT_OK)
        return cli_fail(&err);
    enum vt_status st = VT_OK;
    cli_cancel_on_signal(engine);
    o->progress.engine = engine;
    for (int i = 0; st == VT_OK && i < o->n_images; i++)
        st = describe(o, engine, i, &err);
    o->progress.engine = NULL;
    cli_progress_finish(&o->progress);
    cli_cancel_on_signal(NULL);
    vt_engine_close(engine);
    if (st != VT_OK)
        return cli_fail(&err);
    if (o->json)
        print_json(o);
    return CLI_OK;
}

static int parse(struct caption_args *o, const struct cli_command *self, int argc, char **argv,
                 bool *helped)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct err e = {0};
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        *helped = id == CLI_HELP;
        if (*helped)
            return CLI_OK;
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(o, &a, id);
    }
    if (rc != CLI_OK)
        return rc;
    if (cli_settings_load(&o->settings, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (!o->request.model)
        o->request.model = o->named = cli_setting(&o->settings, SETTING_LAYERS_MODEL);
    engine_args_defaults(&o->engine, &o->settings);
    if (!o->request.model)
        return cli_usage_error(self, "no model is named; give one with -m, e.g. -m micro-layered");
    if (!o->n_images)
        return cli_usage_error(self, "no image is given; name one with -i");
    return CLI_OK;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct caption_args o = {.request = vt_caption_request_defaults()};
    bool helped = false;
    cli_progress_init(&o.progress, false);
    buf_init(&o.results, 256u << 20);
    int rc = parse(&o, self, argc, argv, &helped);
    if (rc == CLI_OK && !helped)
        rc = execute(&o);
    buf_deinit(&o.results);
    cli_progress_deinit(&o.progress);
    return rc;
}

const struct cli_command cli_cmd_caption = {
    .name = "caption",
    .summary = "Describe images in words",
    .usage = "-m MODEL -i IMAGE... [--language en|zh] [--max-new-tokens 512]",
    .examples =
        "  veetance caption -m ~/models/Qwen-Image-Layered -i photo.png\n"
        "  veetance caption -m ~/models/Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf -i *.jpg --language "
        "zh\n",
    .options = options,
    .run = run,
};
