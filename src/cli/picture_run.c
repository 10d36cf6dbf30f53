#include "cli/picture_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/log.h"
#include "cli/image_in.h"
#include "cli/param_arg.h"
#include "cli/plan_out.h"
#include "image/save.h"
#include "pipeline/engine.h"
#include "pipeline/picture_file.h"
#include "pipeline/plan_public.h"

enum { MAX_STDIN_PROMPT = 4 << 20, PATH_BYTES = 4096, FILE_MAX_BYTES = 512 << 20 };

void picture_run_init(struct picture_run *r)
{
    memset(r, 0, sizeof *r);
    r->request = vt_request_defaults();
    r->request.prompt = NULL;
    r->output = "out.png";
    buf_init(&r->prompt, MAX_STDIN_PROMPT);
    cli_progress_init(&r->progress, false);
}

void picture_run_deinit(struct picture_run *r)
{
    buf_deinit(&r->prompt);
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
    if (b->p)
        b->p[n] = 0;
    b->n = n;
}

static int read_stdin_prompt(struct picture_run *r, const struct cli_command *c)
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

int picture_run_option(struct picture_run *r, const struct cli_args *a, int id)
{
    struct vt_request *q = &r->request;
    int64_t quality;
    switch (id) {
    case PICTURE_MODEL:
        q->model = a->value;
        return CLI_OK;
    case PICTURE_PROMPT:
        q->prompt = a->value;
        r->prompt_from_stdin = strcmp(a->value, "-") == 0;
        return CLI_OK;
    case PICTURE_WIDTH:
    case PICTURE_HEIGHT:
    case PICTURE_STEPS:
    case PICTURE_SEED:
    case PICTURE_GUIDANCE:
    case PICTURE_COUNT:
    case PICTURE_MAX_TOKENS:
    case PICTURE_COMPUTE:
        return cli_param_set(a, id, params_generate, q);
    case PICTURE_OUTPUT:
        r->output = a->value;
        return CLI_OK;
    case PICTURE_QUALITY:
        if (!cli_int(a, 1, 100, &quality))
            return CLI_USAGE;
        r->quality = (int)quality;
        return CLI_OK;
    case PICTURE_TRACE:
        q->trace_path = a->value;
        return CLI_OK;
    case PICTURE_TRACE_LEVEL:
        return cli_choice(a, "steps|blocks", &q->trace_blocks) ? CLI_OK : CLI_USAGE;
    case PICTURE_CACHE:
        q->cache_dir = a->value;
        return CLI_OK;
    case PICTURE_JSON:
        r->json = true;
        return CLI_OK;
    case PICTURE_QUIET:
        r->quiet = true;
        return CLI_OK;
    case PICTURE_VERBOSE:
        r->progress.verbose = true;
        log_set(LOG_DEBUG, NULL, NULL);
        return CLI_OK;
    default:
        return engine_args_set(&r->engine, a, id);
    }
}

/* ---- writing ----------------------------------------------------------------------------------------- */

/* out.png, or out-SEED.png when there are several. */
static void output_path(const struct picture_run *r, const struct vt_result *res, int i, char *out)
{
    const char *p = r->output, *dot = strrchr(p, '.'), *slash = strrchr(p, '/');
    if (!dot || (slash && dot < slash))
        dot = p + strlen(p);
    if (vt_result_request(res)->count == 1)
        (void)snprintf(out, PATH_BYTES, "%s", p);
    else
        (void)snprintf(out, PATH_BYTES, "%.*s-%lld%s", (int)(dot - p), p,
                       (long long)vt_result_seed(res, i), dot);
}

static enum err_code write_picture(const struct picture_run *r, const struct vt_result *res, int i,
                                   const char *path, struct err *e)
{
    struct buf file;
    buf_init(&file, FILE_MAX_BYTES);
    enum err_code rc = picture_file(res, i, r->format, r->quality, &file, e);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, file.p, file.n, e);
    buf_deinit(&file);
    return rc;
}

static void json_result(const struct picture_run *r, const struct vt_result *res,
                        const char *device, struct buf *b)
{
    const struct vt_request *q = vt_result_request(res);
    const struct vt_stats *s = vt_result_stats(res);
    char path[PATH_BYTES];
    buf_add_z(b, "{\"images\":[");
    for (int i = 0; i < vt_result_count(res); i++) {
        struct vt_image im = vt_result_image(res, i);
        output_path(r, res, i, path);
        buf_printf(b, "%s{\"path\":", i ? "," : "");
        json_add_z(b, path);
        buf_printf(b, ",\"seed\":%lld,\"width\":%d,\"height\":%d}",
                   (long long)vt_result_seed(res, i), im.width, im.height);
    }
    buf_add_z(b, "],\"model\":");
    json_add_z(b, q->model);
    buf_add_z(b, ",\"prompt\":");
    json_add_z(b, q->prompt ? q->prompt : "");
    buf_printf(b, ",\"steps\":%d,\"guidance\":%g,\"max_tokens\":%d,\"device\":", q->steps,
               q->guidance, q->max_tokens);
    json_add_z(b, device);
    buf_printf(b,
               ",\"seconds\":{\"load\":%.4f,\"text\":%.4f,\"encode\":%.4f,\"steps\":%.4f,"
               "\"decode\":%.4f,\"total\":%.4f}",
               s->load_seconds, s->text_seconds, s->encode_seconds, s->steps_seconds,
               s->decode_seconds, s->total_seconds);
    buf_add_z(b, ",\"memory\":");
    stats_public_json(b, s, NULL);
    buf_printf(b, ",\"notes\":[%s]}", buf_z(&r->progress.notes));
}

static int write_all(const struct picture_run *r, const struct vt_result *res, const char *device)
{
    char path[PATH_BYTES];
    const struct vt_request *q = vt_result_request(res);
    for (int i = 0; i < vt_result_count(res); i++) {
        struct err e = {0};
        output_path(r, res, i, path);
        if (write_picture(r, res, i, path, &e) != ERR_OK)
            return cli_fail_err(&e);
        if (!r->json && !r->quiet)
            printf("%s  seed %lld  %d x %d  %.2f s\n", path, (long long)vt_result_seed(res, i),
                   q->width, q->height, vt_result_stats(res)->total_seconds);
    }
    if (r->json) {
        struct buf b;
        buf_init(&b, 64u << 20);
        json_result(r, res, device, &b);
        puts(buf_z(&b));
        buf_deinit(&b);
    }
    return CLI_OK;
}

/* Fails early, before minutes of work, when a file could not be written. What is no plain file (a device, a
 * pipe) would be replaced by one. */
static enum err_code check_output(const char *what, const char *path, struct err *e)
{
    char dir[PATH_BYTES];
    struct stat st;
    const char *slash = strrchr(path, '/');
    if (!*path)
        return err_set(e, ERR_ARG, "%s names no file", what);
    if (strlen(path) >= PATH_BYTES - 40)
        return err_set(e, ERR_ARG, "the path behind %s is too long", what);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "'%s' is %s; %s names a file", path,
                       S_ISDIR(st.st_mode) ? "a folder" : "no regular file", what);
    (void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1,
                   slash ? path : ".");
    if (access(dir, W_OK) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    return ERR_OK;
}

int picture_run_check(struct picture_run *r, const struct cli_command *c)
{
    struct err e = {0};
    int rc;
    r->progress.quiet = r->quiet;
    if (!r->request.model)
        return cli_usage_error(c, "no model is named; give one with -m, e.g. -m micro-klein");
    if (!r->request.prompt)
        return cli_usage_error(c, "no prompt is given; say what to make with -p");
    if (r->prompt_from_stdin && (rc = read_stdin_prompt(r, c)) != CLI_OK)
        return rc;
    if (is_blank(r->request.prompt))
        return cli_usage_error(c, "the prompt is empty; say what to make with -p");
    if (engine_check_prompt(r->request.prompt, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (r->request.trace_blocks && !r->request.trace_path)
        return cli_usage_error(c, "--trace-level needs --trace");
    if (image_save_format(r->output, &r->format, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (r->quality && r->format == IMAGE_FORMAT_PNG)
        return cli_usage_error(c, "--quality is for JPEG and WebP; '%.200s' is a PNG", r->output);
    enum err_code bad = cli_model_take(&r->request.model, &r->model, &r->progress, &e);
    if (bad == ERR_OK && !r->plan)
        bad = check_output("-o", r->output, &e);
    if (bad == ERR_OK && !r->plan && r->request.trace_path)
        bad = check_output("--trace", r->request.trace_path, &e);
    return bad == ERR_OK ? CLI_OK : cli_fail_err(&e);
}

static int plan(const struct picture_run *r, struct vt_engine *engine)
{
    struct vt_error err;
    struct vt_plan p;
    int rc = vt_plan_picture(engine, &r->request, &p, &err) == VT_OK ? plan_out_print(&p, r->json)
                                                                     : cli_fail(&err);
    cli_cancel_on_signal(NULL);
    vt_engine_close(engine);
    return rc;
}

int picture_run_execute(struct picture_run *r, bool edit)
{
    struct vt_engine *engine;
    struct vt_result *res = NULL;
    struct vt_error err;
    struct cli_progress *p = &r->progress;
    if (vt_engine_open(&r->engine, &engine, &err) != VT_OK)
        return cli_fail(&err);
    cli_cancel_on_signal(engine);
    if (r->plan)
        return plan(r, engine);
    p->engine = engine;
    struct vt_callbacks cb = cli_progress_callbacks(p);
    enum vt_status st = edit ? vt_edit(engine, &r->request, &cb, &res, &err)
                             : vt_generate(engine, &r->request, &cb, &res, &err);
    cli_progress_finish(p);
    int rc = st == VT_OK ? write_all(r, res, vt_engine_device(engine)) : cli_fail(&err);
    vt_result_free(res);
    p->engine = NULL;
    cli_cancel_on_signal(NULL);
    vt_engine_close(engine);
    return rc;
}
