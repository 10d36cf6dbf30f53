/* image_run.c - what `generate` and `edit` share, in the order of a run.
 *
 * Options fill the request; a recipe fills what they left; settings fill the rest; then everything is checked, and
 * the output with it, before the engine is opened. Images are written as they come (result_out.h). A prompt from
 * standard input loses what a shell or an editor added: a final newline, a byte order mark, carriage returns.
 */
#include "cli/image_run.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/image_in.h"
#include "cli/made.h"
#include "cli/param_arg.h"
#include "cli/result_out.h"
#include "pipeline/engine.h"

enum { MAX_STDIN_PROMPT = 4 << 20 };

void image_run_init(struct image_run *r, struct cli_run *run)
{
    memset(r, 0, sizeof *r);
    r->run = run;
    r->request = vt_request_defaults();
    r->request.prompt = NULL;
    result_out_init(&r->out);
    buf_init(&r->prompt, MAX_STDIN_PROMPT);
    cli_loras_init(&r->loras);
    cli_progress_init(&r->progress, false);
}

void image_run_deinit(struct image_run *r)
{
    result_out_deinit(&r->out);
    recipe_deinit(&r->recipe);
    buf_deinit(&r->prompt);
    cli_loras_deinit(&r->loras);
    cli_progress_deinit(&r->progress);
}

/* As the person wrote it: without what a shell, an editor or another system's line ends add (a final newline, a byte
 * order mark, carriage returns). */
static void plain_text(struct buf *b)
{
    size_t from = str_starts(buf_str(b), STR_LIT("\xef\xbb\xbf")) ? 3 : 0, n = 0;
    for (size_t i = from; i < b->n; i++)
        if (b->p[i] != '\r' || i + 1 == b->n || b->p[i + 1] != '\n')
            b->p[n++] = b->p[i];
    if (n > 0 && b->p[n - 1] == '\n')
        n--;
    buf_cut(b, n);
}

static int read_stdin_prompt(struct image_run *r, const struct cli_command *c)
{
    struct err e = {0};
    if (cli_read_input("-", MAX_STDIN_PROMPT, &r->prompt, &e) != ERR_OK)
        return cli_fail_err(&e);
    plain_text(&r->prompt);
    if (r->prompt.n && memchr(r->prompt.p, 0, r->prompt.n))
        return cli_usage_error(c, "the prompt on standard input holds a zero byte");
    r->request.prompt = buf_z(&r->prompt);
    return CLI_OK;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == 0;
}

int image_run_option(struct image_run *r, const struct cli_args *a, int id)
{
    struct vt_request *q = &r->request;
    int64_t quality;
    switch (id) {
    case IMAGE_MODEL:
        q->model = a->value;
        return CLI_OK;
    case IMAGE_PROMPT:
        q->prompt = a->value;
        r->prompt_from_stdin = strcmp(a->value, "-") == 0;
        return CLI_OK;
    case IMAGE_WIDTH:
    case IMAGE_HEIGHT:
    case IMAGE_STEPS:
    case IMAGE_SEED:
    case IMAGE_GUIDANCE:
    case IMAGE_COUNT:
    case IMAGE_MAX_TOKENS:
    case IMAGE_COMPUTE:
    case IMAGE_FAST:
    case IMAGE_TRANSPARENT:
    case IMAGE_NO_METADATA:
        return cli_param_set(a, id, params_generate, q);
    case IMAGE_LORA:
        return cli_lora_add(a, &r->loras, &q->loras);
    case IMAGE_OUTPUT:
        r->out.to.named = a->value;
        return CLI_OK;
    case IMAGE_FROM:
        r->from = a->value;
        return CLI_OK;
    case IMAGE_FORCE:
        r->out.to.force = true;
        return CLI_OK;
    case IMAGE_QUALITY:
        if (!cli_int(a, 1, 100, &quality))
            return CLI_USAGE;
        r->out.quality = (int)quality;
        return CLI_OK;
    case IMAGE_TRACE:
        q->trace_path = a->value;
        return CLI_OK;
    case IMAGE_TRACE_LEVEL:
        return cli_choice(a, "steps|blocks", &q->trace_blocks) ? CLI_OK : CLI_USAGE;
    case IMAGE_CACHE:
        q->cache_dir = a->value;
        return CLI_OK;
    case IMAGE_PREVIEW:
        r->previews.to = a->value;
        return CLI_OK;
    case IMAGE_SAVE_STEPS:
        r->previews.save_steps = true;
        return CLI_OK;
    case IMAGE_JSON:
        r->json = true;
        return CLI_OK;
    case IMAGE_QUIET:
        r->quiet = true;
        return CLI_OK;
    case IMAGE_VERBOSE:
        r->progress.verbose = true;
        log_set(LOG_DEBUG, NULL, NULL);
        return CLI_OK;
    default:
        return engine_args_set(&r->engine, a, id);
    }
}

/* ---- recipes ----------------------------------------------------------------------------------------- */

static void fill_int(int *value, int from)
{
    if (*value == VT_DEFAULT)
        *value = from;
}

static const char *if_told(const char *text)
{
    return text[0] ? text : NULL;
}

/* Sizes of an edit are the first image's unless others were asked for. */
static void fill_request(struct vt_request *q, struct recipe *r, bool edit)
{
    q->prompt = q->prompt ? q->prompt : if_told(buf_z(&r->prompt));
    q->model = q->model ? q->model : if_told(r->model);
    q->compute = q->compute ? q->compute : if_told(r->compute);
    q->transparent = q->transparent || r->transparent;
    q->fast = q->fast ? q->fast : r->fast;
    fill_int(&q->steps, r->steps);
    fill_int(&q->max_tokens, r->max_tokens);
    if (!edit || r->size_asked) {
        fill_int(&q->width, r->width);
        fill_int(&q->height, r->height);
    }
    if (q->seed == VT_SEED_RANDOM)
        q->seed = r->seed;
    if (q->guidance < 0)
        q->guidance = r->guidance;
}

int image_run_recipe(struct image_run *r, const struct cli_command *c, bool edit)
{
    struct err e = {0};
    if (!r->from)
        return CLI_OK;
    if (cli_recipe_read(r->from, &r->recipe, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (!edit && strcmp(r->recipe.task, "edit") == 0)
        return cli_usage_error(c, "'%.200s' was made by `veetance edit`, which can run it again",
                               cli_input_name(r->from));
    fill_request(&r->request, &r->recipe, edit);
    cli_loras_of_recipe(&r->loras, &r->recipe.loras, &r->request.loras);
    return CLI_OK;
}

/* ---- checks ------------------------------------------------------------------------------------------- */

/* What the person did not say and the settings do. */
static void image_run_defaults(struct image_run *r)
{
    const struct cli_settings *s = &r->settings;
    if (s->unknown[0])
        cli_progress_note(&r->progress, s->unknown);
    if (!r->request.model)
        r->request.model = cli_setting(s, SETTING_MODEL);
    r->out.to.folder = cli_setting(s, SETTING_OUTPUT_FOLDER);
    r->out.to.name = cli_setting(s, SETTING_NAME);
    engine_args_defaults(&r->engine, s);
}

static int check_format(struct image_run *r, const struct cli_command *c)
{
    struct err e = {0};
    if (cli_output_image(&r->out.to, &r->out.format, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (r->request.transparent && r->out.format == IMAGE_FORMAT_JPEG)
        return cli_usage_error(c, "--transparent makes an image with alpha, which a JPEG has not; "
                                  "name a .png or a .webp with -o");
    if (r->out.quality && r->out.format == IMAGE_FORMAT_PNG)
        return cli_usage_error(c, "--quality is for JPEG and WebP; '%.200s' is a PNG",
                               r->out.to.named ? r->out.to.named : "out.png");
    return CLI_OK;
}

/* The names of step files have the seed, so it is drawn here when the engine would draw it. */
static int check_previews(struct image_run *r, const struct cli_command *c)
{
    struct vt_request *q = &r->request;
    q->previews = preview_out_wanted(&r->previews);
    if (!q->previews)
        return CLI_OK;
    if (q->seed == VT_SEED_RANDOM)
        q->seed = engine_random_seed();
    r->progress.previews = &r->previews;
    r->previews.result = &r->out.to;
    r->previews.words = (struct cli_output_words){q->prompt, q->model, q->seed};
    return preview_out_check(&r->previews, c);
}

int image_run_check(struct image_run *r, const struct cli_command *c)
{
    struct err e = {0};
    enum err_code bad;
    int rc;
    r->progress.quiet = r->out.quiet = r->quiet || r->run->way == CLI_CHECK;
    r->out.json = r->out.to.json = r->json;
    r->out.progress = &r->progress;
    r->out.to.count = r->request.count;
    bad = cli_settings_load(&r->settings, &e);
    if (bad != ERR_OK)
        return cli_fail_err(&e);
    image_run_defaults(r);
    if (!r->request.model)
        return cli_usage_error(c, "no model is named; give one with -m, e.g. -m micro-klein");
    if (!r->request.prompt)
        return cli_usage_error(c, "no prompt is given; say what to make with -p");
    if (r->prompt_from_stdin && (rc = read_stdin_prompt(r, c)) != CLI_OK)
        return rc;
    if (cli_loras_of_prompt(&r->loras, &r->request.prompt, &r->request.loras, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (is_blank(r->request.prompt))
        return cli_usage_error(c, "the prompt is empty; say what to make with -p");
    if (engine_check_prompt(r->request.prompt, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (r->request.trace_blocks && !r->request.trace_path)
        return cli_usage_error(c, "--trace-level needs --trace");
    if ((rc = check_format(r, c)) != CLI_OK || (rc = check_previews(r, c)) != CLI_OK)
        return rc;
    bad = cli_model_take(&r->request.model, &r->model, &r->progress, &e);
    if (bad == ERR_OK)
        bad = cli_loras_find(&r->loras, &r->request.loras, &e);
    if (bad == ERR_OK && r->run->way != CLI_PLAN)
        bad = cli_output_check(&r->out.to, &e);
    if (bad == ERR_OK && r->run->way != CLI_PLAN && r->request.trace_path)
        bad = cli_output_check_file("--trace", r->request.trace_path, &e);
    return bad == ERR_OK ? CLI_OK : cli_fail_err(&e);
}

/* ---- running ------------------------------------------------------------------------------------------ */

static int plan(const struct image_run *r, struct vt_engine *engine)
{
    struct vt_error err;
    struct vt_plan p, *to = r->run->plan ? r->run->plan : &p;
    if (vt_plan_picture(engine, &r->request, to, &err) != VT_OK)
        return cli_fail(&err);
    return r->run->plan ? CLI_OK : plan_out_print(to, r->json);
}

static void on_image(const struct vt_result *result, int i, void *user)
{
    struct cli_progress *p = user;
    result_out_take(p->out, result, i);
}

static int make(struct image_run *r, struct vt_engine *engine, bool edit)
{
    struct vt_result *res = NULL;
    struct vt_error err;
    struct cli_progress *p = &r->progress;
    p->engine = r->out.engine = engine;
    p->out = &r->out;
    r->out.since_ns = clock_ns();
    struct vt_callbacks cb = cli_progress_callbacks(p);
    cb.image = on_image;
    enum vt_status st = edit ? vt_edit(engine, &r->request, &cb, &res, &err)
                             : vt_generate(engine, &r->request, &cb, &res, &err);
    cli_progress_finish(p);
    int rc = CLI_OK;
    if (st != VT_OK || r->out.failed.code != ERR_OK)
        rc = result_out_fail(&r->out, &err);
    else
        result_out_finish(&r->out, res, vt_engine_device(engine));
    vt_result_free(res);
    p->engine = NULL;
    return rc;
}

int image_run_execute(struct image_run *r, bool edit)
{
    struct vt_engine *engine;
    struct vt_error err;
    if (r->run->way == CLI_CHECK) {
        if (r->run->path)
            r->run->made = cli_made_image(r->run->path, &r->request);
        return CLI_OK;
    }
    r->engine.model = r->request.model;
    if (cli_run_open(r->run, &r->engine, &engine, &err) != VT_OK)
        return cli_fail(&err);
    int rc = r->run->way == CLI_PLAN ? plan(r, engine) : make(r, engine, edit);
    cli_run_close(r->run, engine);
    return rc;
}
