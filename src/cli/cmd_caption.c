#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/commands.h"
#include "cli/engine_args.h"
#include "cli/param_arg.h"
#include "cli/progress.h"
#include "image/load.h"
#include "pipeline/plan_public.h"

enum {
    CAPTION_MODEL = 1,
    CAPTION_IMAGE,
    CAPTION_LANGUAGE,
    CAPTION_TOKENS,
    CAPTION_COMPUTE,
    CAPTION_JSON,
    CAPTION_QUIET,
};

static const struct cli_option options[] = {
    {CAPTION_MODEL, 'm', "model", "MODEL",
     "Qwen-Image-Layered or Qwen2.5-VL folder, GGUF file with its mmproj beside it, or an embedded "
     "model"},
    {CAPTION_IMAGE, 'i', "image", "IMAGE", "PNG, JPEG or WebP"},
    {CAPTION_LANGUAGE, 0, "language", "en|zh", PARAM_HELP_CAPTION_language " (default en)"},
    {CAPTION_TOKENS, 0, "max-new-tokens", "N", PARAM_HELP_CAPTION_max_new_tokens " (default 512)"},
    {CAPTION_COMPUTE, 0, "compute", "default|int8", PARAM_HELP_PICTURE_compute},
    ENGINE_OPTIONS,
    {CAPTION_JSON, 0, "json", NULL, "print the result as JSON on standard output"},
    {CAPTION_QUIET, 'q', "quiet", NULL, "no progress"},
    {0},
};

struct caption_args {
    struct vt_caption_request request;
    struct vt_engine_options engine;
    const char *image;
    bool json, quiet;
};

static int set_language(struct caption_args *o, const struct cli_args *a)
{
    if (strcmp(a->value, "en") != 0 && strcmp(a->value, "zh") != 0)
        return cli_usage_error(a->command, "--language is en or zh, not '%.40s'", a->value);
    o->request.language = a->value;
    return CLI_OK;
}

static int set_option(struct caption_args *o, const struct cli_args *a, int id)
{
    switch (id) {
    case CAPTION_MODEL:
        o->request.model = a->value;
        return CLI_OK;
    case CAPTION_IMAGE:
        o->image = a->value;
        return CLI_OK;
    case CAPTION_LANGUAGE:
        return set_language(o, a);
    case CAPTION_TOKENS:
    case CAPTION_COMPUTE:
        return cli_param_set(a, id, params_caption, &o->request);
    case CAPTION_JSON:
        o->json = true;
        return CLI_OK;
    case CAPTION_QUIET:
        o->quiet = true;
        return CLI_OK;
    default:
        return engine_args_set(&o->engine, a, id);
    }
}

/* ---- running ------------------------------------------------------------------------------------------ */

static void print_json(const struct caption_args *o, const struct vt_caption_result *r)
{
    struct buf b;
    buf_init(&b, 64u << 20);
    buf_add_z(&b, "{\"caption\":");
    json_add_z(&b, vt_caption_text(r));
    buf_printf(&b, ",\"language\":\"%s\",\"tokens\":%d,\"complete\":%s,\"model\":",
               o->request.language ? o->request.language : "en", vt_caption_tokens(r),
               vt_caption_complete(r) ? "true" : "false");
    json_add_z(&b, o->request.model);
    buf_add_z(&b, ",\"image\":");
    json_add_z(&b, o->image);
    buf_add_z(&b, ",\"memory\":");
    stats_public_json(&b, vt_caption_stats(r), NULL);
    buf_add_z(&b, "}");
    puts(buf_z(&b));
    buf_deinit(&b);
}

static void print_result(const struct caption_args *o, const struct vt_caption_result *r)
{
    if (o->json)
        print_json(o, r);
    else
        puts(vt_caption_text(r));
    if (!vt_caption_complete(r) && !o->quiet)
        cli_say("note: the caption is cut off after %d tokens; --max-new-tokens allows more",
                vt_caption_tokens(r));
}

static enum vt_status describe(struct caption_args *o, struct vt_engine *engine,
                               struct vt_caption_result **out, struct vt_error *err)
{
    struct cli_progress progress;
    cli_progress_init(&progress, o->quiet);
    progress.engine = engine;
    struct vt_callbacks cb = cli_progress_callbacks(&progress);
    enum vt_status st = vt_caption(engine, &o->request, &cb, out, err);
    cli_progress_finish(&progress);
    cli_progress_deinit(&progress);
    return st;
}

static int execute(struct caption_args *o)
{
    struct err e = {0};
    struct vt_error err;
    struct image picture = {0};
    struct vt_engine *engine;
    struct vt_caption_result *r = NULL;
    cli_cancel_on_signal(NULL);
    if (image_load_file(o->image, NULL, NULL, &picture, &e) != ERR_OK)
        return cli_fail_err(&e, o->json);
    o->request.image = (struct vt_image){picture.w, picture.h, picture.channels, picture.p};
    enum vt_status st = vt_engine_open(&o->engine, &engine, &err);
    if (st == VT_OK) {
        cli_cancel_on_signal(engine);
        st = describe(o, engine, &r, &err);
        cli_cancel_on_signal(NULL);
        vt_engine_close(engine);
    }
    image_free(&picture);
    if (st != VT_OK)
        return cli_fail(&err, o->json);
    print_result(o, r);
    vt_caption_result_free(r);
    return CLI_OK;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct caption_args o = {.request = vt_caption_request_defaults()};
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_POSITIONAL)
            return cli_usage_error(self, "'%.60s' is not expected here; the picture goes behind -i",
                                   a.value);
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(&o, &a, id);
    }
    if (rc != CLI_OK)
        return rc;
    if (!o.request.model)
        return cli_usage_error(self, "no model is named; give one with -m, e.g. -m micro-layered");
    if (!o.image)
        return cli_usage_error(self, "no picture is given; name one with -i");
    return execute(&o);
}

const struct cli_command cli_cmd_caption = {
    .name = "caption",
    .summary = "Describe an image in words",
    .usage = "-m MODEL -i IMAGE [--language en|zh] [--max-new-tokens 512]",
    .examples =
        "  veetance caption -m ~/models/Qwen-Image-Layered -i photo.png\n"
        "  veetance caption -m ~/models/Qwen2.5-VL-7B-Instruct-Q4_K_M.gguf -i photo.jpg --language "
        "zh\n",
    .options = options,
    .run = run,
};
