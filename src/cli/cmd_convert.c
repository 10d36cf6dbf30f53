/* cmd_convert.c - `veetance convert`: a checkpoint or a whole model into another type, format or naming.
 *
 * Everything that can be wrong with the words is found before the source is opened. The work itself is
 * pipeline/convert; here are only the options, a progress line and the account at the end.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "cli/cli.h"
#include "cli/model_arg.h"
#include "cli/progress.h"
#include "cli/suggest.h"
#include "nn/quantise.h"
#include "pipeline/convert/convert.h"
#include "pipeline/result_json.h"
#include "weights/convert_types.h"

enum {
    CONVERT_TYPE = 1,
    CONVERT_NAMING,
    CONVERT_FORMAT,
    CONVERT_THREADS,
    CONVERT_FORCE,
    CONVERT_JSON,
    CONVERT_QUIET,
};

static const struct cli_option options[] = {
    {CONVERT_TYPE, 't', "type", "TYPE",
     "bf16 f16 f32 q8_0 q6_k q5_k q5_1 q5_0 q4_k q4_1 q4_0 iq4_nl iq4_xs q3_k q2_k (default: as "
     "stored)"},
    {CONVERT_NAMING, 0, "naming", "diffusers|original|comfy|gguf|keep",
     "names of the tensors (default diffusers)"},
    {CONVERT_FORMAT, 0, "format", "gguf|safetensors",
     "for a whole model (default: gguf for quantised types); a file's ending tells its own"},
    {CONVERT_THREADS, 0, "threads", "N", "default: one a core"},
    {CONVERT_FORCE, 'f', "force", NULL, "replace a file that is there"},
    {CONVERT_JSON, 0, "json", NULL, "print the result as JSON on standard output"},
    {CONVERT_QUIET, 'q', "quiet", NULL, "say nothing but errors"},
    {0},
};

static const double QUIET_SECONDS = 1;

struct convert_args {
    struct convert_request rq;
    bool json;
    struct cli_progress progress; /* quiet, and the notes */
    int percent;                  /* the last that was shown */
    int64_t start_ns;
};

/* ---- arguments -------------------------------------------------------------------------------------- */

static int set_type(struct convert_args *o, const struct cli_args *a)
{
    o->rq.type = convert_type_from_name(a->value);
    if (o->rq.type != DTYPE_INVALID)
        return CLI_OK;
    char kept[64];
    struct cli_suggestion s = {.typed = a->value};
    cli_suggest_words(&s, convert_type_names(), kept);
    return cli_usage_error(a->command, "--type is one of %s, not '%.40s'%s", convert_type_names(),
                           a->value, cli_suggest_text(&s));
}

static int set_format(struct convert_args *o, const struct cli_args *a)
{
    int i = 0;
    if (!cli_choice(a, "gguf|safetensors", &i))
        return CLI_USAGE;
    o->rq.format = i == 0 ? CONVERT_TO_GGUF : CONVERT_TO_SAFETENSORS;
    return CLI_OK;
}

static int set_path(struct convert_args *o, const struct cli_args *a)
{
    if (o->rq.target)
        return cli_usage_error(a->command, "'%.60s' is one path too many", a->value);
    if (!*a->value)
        return cli_usage_error(a->command, "an empty path names nothing");
    if (o->rq.source)
        o->rq.target = a->value;
    else
        o->rq.source = a->value;
    return CLI_OK;
}

static int set_option(struct convert_args *o, const struct cli_args *a, int id)
{
    int64_t v;
    switch (id) {
    case CONVERT_TYPE:
        return set_type(o, a);
    case CONVERT_NAMING:
        o->rq.naming = a->value;
        return cli_choice(a, "diffusers|original|comfy|gguf|keep", NULL) ? CLI_OK : CLI_USAGE;
    case CONVERT_FORMAT:
        return set_format(o, a);
    case CONVERT_THREADS:
        if (!cli_int(a, 1, 1024, &v))
            return CLI_USAGE;
        o->rq.threads = (int)v;
        return CLI_OK;
    case CONVERT_FORCE:
        o->rq.force = true;
        return CLI_OK;
    case CONVERT_JSON:
        o->json = true;
        return CLI_OK;
    case CONVERT_QUIET:
        o->progress.quiet = true;
        return CLI_OK;
    case CLI_POSITIONAL:
        return set_path(o, a);
    default:
        return CLI_USAGE;
    }
}

/* ---- progress -------------------------------------------------------------------------- */

/* On a terminal one line that is redrawn, elsewhere a line every ten percent; nothing about what is done in a
 * moment. */
static void show_progress(uint64_t done, uint64_t total, void *user)
{
    struct convert_args *o = user;
    bool terminal = o->progress.terminal;
    int percent = total ? (int)(100.0 * (double)done / (double)total) : 100;
    double seconds = (double)(clock_ns() - o->start_ns) * 1e-9;
    if (o->progress.quiet || percent == o->percent || seconds < QUIET_SECONDS ||
        (!terminal && percent / 10 == o->percent / 10))
        return;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    o->percent = percent;
    fprintf(stderr, "%sconverting: %d %% of %.2f GB, %.2f GB/s, %.0f s left%s",
            terminal ? "\r\033[K" : "", percent, (double)total * 1e-9, rate * 1e-9,
            rate > 0 ? (double)(total - done) / rate : 0, terminal ? "" : "\n");
    (void)fflush(stderr);
    o->progress.line_open = terminal;
}

static void show_note(const char *text, void *user)
{
    struct convert_args *o = user;
    cli_progress_note(&o->progress, text);
}

/* ---- results ---------------------------------------------------------------------------------------- */

static void print_result(const struct convert_args *o, const struct convert_result *r)
{
    printf("%s  %zu tensors, %zu quantised  %.2f GB from %.2f GB  %.2f s\n", o->rq.target,
           r->tensors, r->quantised + r->fallback, (double)r->file_bytes * 1e-9,
           (double)r->source_bytes * 1e-9, r->seconds);
}

static void print_json(const struct convert_args *o, const struct convert_result *r)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_object(&b, NULL);
    json_put_z(&b, "source", o->rq.source);
    json_put_z(&b, "path", o->rq.target);
    json_put_z(&b, "type", o->rq.type == DTYPE_INVALID ? "keep" : dtype_info(o->rq.type)->name);
    json_put_uint(&b, "files", r->files);
    json_put_uint(&b, "tensors", r->tensors);
    json_put_uint(&b, "quantised", r->quantised);
    json_put_uint(&b, "fallback", r->fallback);
    json_put_uint(&b, "source_bytes", r->source_bytes);
    json_put_uint(&b, "bytes", r->file_bytes);
    json_put_fixed(&b, "seconds", r->seconds, 6);
    result_json_notes(&b, &o->progress.notes);
    json_end_object(&b);
    cli_print_json(&b);
}

static int execute(struct convert_args *o)
{
    struct err e = {0};
    struct convert_result r;
    int rc = CLI_OK;
    cli_cancel_on_signal(NULL);
    o->percent = -1;
    o->start_ns = clock_ns();
    o->rq.cancel = cli_stop_flag();
    o->rq.progress = show_progress;
    o->rq.note = show_note;
    o->rq.user = o;
    struct convert_request rq = o->rq;
    struct cli_model source;
    enum err_code failed = cli_model_or_path(rq.source, &source, &e);
    rq.source = source.path;
    if (failed == ERR_OK)
        failed = convert_any(&rq, &r, &e);
    const char *dot = rq.target ? strrchr(rq.target, '.') : NULL;
    if (failed == ERR_ARG && dot)
        failed = cli_suggest_add(&e, dot + 1, "gguf safetensors");
    cli_progress_finish(&o->progress);
    if (failed != ERR_OK) {
        rc = cli_fail_err(&e);
    } else if (o->json) {
        print_json(o, &r);
    } else if (!o->progress.quiet) {
        print_result(o, &r);
    }
    nn_quantise_free();
    return rc;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct convert_args o = {0};
    int id, rc = CLI_OK;
    cli_progress_init(&o.progress, false);
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP) {
            cli_progress_deinit(&o.progress);
            return CLI_OK;
        }
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(&o, &a, id);
    }
    if (rc == CLI_OK && !o.rq.target)
        rc = cli_usage_error(self, "name what to convert, and what it should become");
    if (rc == CLI_OK)
        rc = execute(&o);
    cli_progress_deinit(&o.progress);
    return rc;
}

const struct cli_command cli_cmd_convert = {
    .name = "convert",
    .summary = "Write weights in another type, container or naming",
    .usage = "MODEL|FILE DST [--type TYPE] [--naming NAME]",
    .examples =
        "  veetance convert flux-2-klein-4b-fp8.safetensors klein-4b-q5_0.gguf --type q5_0\n"
        "  veetance convert ~/models/FLUX.2-klein-4B klein-4b-q4_k --type q4_k\n"
        "  veetance convert micro-klein micro-q8 --type q8_0\n"
        "  veetance convert klein.gguf klein.safetensors --type bf16 --naming comfy\n",
    .options = options,
    .run = run,
};
