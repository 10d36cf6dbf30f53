/* cmd_bench.c - `veetance bench`: how fast this machine is, and what a model makes of it.
 *
 * The machine's peaks are measured first and the model after them, because each stage is told as a share of the
 * peak: a slow stage on a slow machine is no news. A synthetic model is written once into a cache and then used like
 * any other. Both kinds of model end in one outcome, which is printed as a table or as JSON.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "bench/klein.h"
#include "bench/layered.h"
#include "bench/peak.h"
#include "bench/synthetic.h"
#include "cli/cli.h"
#include "cli/engine_args.h"
#include "cli/model_arg.h"
#include "cli/param_arg.h"
#include "cli/progress.h"

enum {
    BENCH_SYNTHETIC = 1,
    BENCH_MODEL,
    BENCH_SIZE,
    BENCH_STEPS,
    BENCH_CACHE,
    BENCH_DEVICE,
    BENCH_THREADS,
    BENCH_WEIGHTS,
    BENCH_COMPUTE,
    BENCH_PROFILE,
    BENCH_SWAP,
    BENCH_JSON,
    BENCH_QUIET,
};

enum { SMALL_MODEL_STEPS = 8, KLEIN_SIDE = 256, PATH_BYTES = 4096 };

static const char SMALL_MODEL[] = "micro-klein";
static const double PEAK_SECONDS = 2; /* for each measurement of the machine */

static const struct cli_option options[] = {
    {BENCH_SYNTHETIC, 0, "synthetic", "klein-4b|klein-9b|qwen-layered",
     "random weights of the real dimensions, made once"},
    {BENCH_MODEL, 'm', "model", "MODEL", "measure this model instead (default micro-klein)"},
    {BENCH_SIZE, 0, "size", "PX[,PX...]", "sides of square images (default 256; 640)"},
    {BENCH_STEPS, 0, "steps", "N", "steps of each image; the fastest counts (default 1; 8)"},
    {BENCH_CACHE, 0, "cache", "DIR",
     "where synthetic models are kept (default ~/.cache/veetance/bench)"},
    {BENCH_DEVICE, 0, "device", "NAME",
     "cpu (default), vulkan, cuda, auto or a name of `veetance devices`"},
    {BENCH_THREADS, 0, "threads", "N", "CPU threads (default: one a core)"},
    {BENCH_WEIGHTS, 0, "weights", "TYPE",
     "type to run in: q8_0, q5_0, q4_k, ...; converted once and kept (default: as stored)"},
    {BENCH_COMPUTE, 0, "compute", PARAM_COMPUTES, PARAM_HELP_IMAGE_compute},
    {BENCH_PROFILE, 0, "profile", NULL, "say what kinds of operations the time goes to"},
    {BENCH_SWAP, 0, "swap", NULL, "only measure how fast weights come onto the device"},
    {BENCH_JSON, 0, "json", NULL, "print the result as JSON on standard output"},
    {BENCH_QUIET, 'q', "quiet", NULL, "no progress"},
    {0},
};

struct bench_args {
    struct bench_request rq;
    const char *synthetic, *cache;
    bool json, quiet;
};

/* ---- arguments -------------------------------------------------------------------------------------- */

/* "256,512": what atoi would swallow is refused. */
static int set_sizes(struct bench_request *rq, const struct cli_args *a)
{
    struct str rest = str_from(a->value);
    rq->n_sizes = 0;
    for (bool more = true; more;) {
        const char *comma = memchr(rest.p, ',', rest.n);
        struct str one = {rest.p, comma ? (size_t)(comma - rest.p) : rest.n};
        int64_t v;
        if (!str_to_i64(one, &v) || v < 64 || v > 2048)
            return cli_usage_error(a->command,
                                   "--size takes sides from 64 to 2048, separated by commas, not "
                                   "'%.40s'",
                                   a->value);
        if (rq->n_sizes == BENCH_MAX_SIZES)
            return cli_usage_error(a->command, "--size takes at most %d sides", BENCH_MAX_SIZES);
        rq->sizes[rq->n_sizes++] = (int)v;
        more = comma != NULL;
        rest = str_skip(rest, one.n + 1);
    }
    return CLI_OK;
}

static int set_synthetic(struct bench_args *o, const struct cli_args *a)
{
    o->synthetic = a->value;
    if (bench_synthetic_find(a->value) || strcmp(a->value, bench_layered_name) == 0)
        return CLI_OK;
    char words[128];
    (void)snprintf(words, sizeof words, "%s|%s|%s", bench_synthetic_name(0),
                   bench_synthetic_name(1), bench_layered_name);
    return cli_choice(a, words, NULL) ? CLI_OK : CLI_USAGE;
}

static int set_number(const struct cli_args *a, int64_t hi, int *out)
{
    int64_t v;
    if (!cli_int(a, 1, hi, &v))
        return CLI_USAGE;
    *out = (int)v;
    return CLI_OK;
}

static int set_option(struct bench_args *o, const struct cli_args *a, int id)
{
    switch (id) {
    case BENCH_SYNTHETIC:
        return set_synthetic(o, a);
    case BENCH_MODEL:
        o->rq.model = a->value;
        return CLI_OK;
    case BENCH_SIZE:
        return set_sizes(&o->rq, a);
    case BENCH_STEPS:
        return set_number(a, 1000, &o->rq.steps);
    case BENCH_CACHE:
        o->cache = a->value;
        return CLI_OK;
    case BENCH_DEVICE:
        return engine_args_device(a, &o->rq.device);
    case BENCH_THREADS:
        return set_number(a, 1024, &o->rq.threads);
    case BENCH_WEIGHTS:
        return engine_args_weights(a, &o->rq.weights);
    case BENCH_COMPUTE:
        return cli_param_choice(a, id, params_generate, &o->rq.compute);
    case BENCH_PROFILE:
        o->rq.profile = true;
        return CLI_OK;
    case BENCH_SWAP:
        o->rq.swap_only = true;
        return CLI_OK;
    case BENCH_JSON:
        o->json = true;
        return CLI_OK;
    case BENCH_QUIET:
        o->quiet = true;
        return CLI_OK;
    case CLI_POSITIONAL:
        return cli_usage_error(a->command, "'%.60s' is not expected here", a->value);
    default:
        return CLI_USAGE;
    }
}

/* ---- progress -------------------------------------------------------------------------- */

struct writing_progress {
    const char *name;
    bool quiet, terminal;
    int percent; /* the last that was shown */
};

/* On a terminal one line that is redrawn, elsewhere a line every ten percent. */
static void show_writing(uint64_t done, uint64_t total, void *user)
{
    struct writing_progress *p = user;
    int percent = total ? (int)(100.0 * (double)done / (double)total) : 100;
    if (p->quiet || percent == p->percent || (!p->terminal && percent / 10 == p->percent / 10))
        return;
    p->percent = percent;
    fprintf(stderr, "%swriting %s: %d %% of %.1f GB%s", p->terminal ? "\r\033[K" : "", p->name,
            percent, (double)total * 1e-9, p->terminal ? "" : "\n");
    (void)fflush(stderr);
}

/* ---- results for people ----------------------------------------------------------------------------- */

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_rate(const char *name, double flops)
{
    if (flops > 0)
        printf(", %s %.1f GFLOP/s", name, flops * 1e-9);
    else
        printf(", %s not available", name);
}

static void print_stage(const char *name, const struct bench_stage *s, double peak)
{
    double flops = bench_flops_total(&s->flops), rate = flops / s->seconds;
    char share[16] = "-";
    if (peak > 0)
        (void)snprintf(share, sizeof share, "%.1f %%", 100 * rate / peak);
    printf("%-20s %9.3f %9.2f %10.1f %9.1f %8s %10.0f %10.0f\n", name, s->seconds, s->cpu_seconds,
           flops * 1e-9, rate * 1e-9, share, mib(s->anonymous_bytes), mib(s->file_bytes));
}

static const char *const profile_names[BENCH_PROFILES] = {"text", "steps", "decoding"};

static double profile_seconds(const struct nn_profile *p)
{
    double s = 0;
    for (int i = 0; i < p->n; i++)
        s += p->kinds[i].cpu_seconds;
    return s;
}

/* By CPU seconds: on a busy machine the clock says little. */
static void print_profile(const char *stage, const struct nn_profile *p)
{
    double all = profile_seconds(p);
    printf("\n%-20s %9s %9s %8s %10s %9s\n", stage, "seconds", "CPU s", "share", "nodes", "GFLOP");
    for (int i = 0; i < p->n; i++) {
        const struct nn_profile_kind *k = &p->kinds[i];
        printf("%-20s %9.3f %9.3f %6.1f %% %10d %9.1f\n", k->name, k->seconds, k->cpu_seconds,
               all > 0 ? 100 * k->cpu_seconds / all : 0, k->nodes, k->flops * 1e-9);
    }
}

static void print_machine(const struct bench_peak *p)
{
    printf("machine   %s, %d cores, load %.1f\n", p->cpu, p->cores, p->load);
    printf("peak      matmul %lld x %lld x %lld (oneDNN %s)", (long long)p->shape.m,
           (long long)p->shape.k, (long long)p->shape.n, p->onednn[0] ? p->onednn : "is missing");
    print_rate("bf16", p->bf16_flops);
    print_rate("f32", p->f32_flops);
    printf(", copy %.1f GB/s, into new memory %.1f GB/s\n", p->copy_bytes * 1e-9,
           p->copy_into_new_bytes * 1e-9);
    printf("          convolution 3 x 3, %lld channels, %lld x %lld", (long long)p->image.channels,
           (long long)p->image.side, (long long)p->image.side);
    print_rate(p->conv_bf16 ? "bf16" : "f32", p->conv_flops);
    puts("");
    for (int i = 0; i < BENCH_ATTENTIONS; i++) {
        const struct bench_attention *a = &p->attention[i];
        printf("          attention %d heads of %d, %lld tokens", BENCH_ATTENTION_HEADS,
               BENCH_ATTENTION_HEAD_DIM, (long long)a->tokens);
        print_rate("ours", a->flops);
        if (a->flops > 0 && bench_peak_product(p) > 0)
            printf(", %.1f %% of the product's", 100 * a->flops / bench_peak_product(p));
        puts("");
    }
}

static void print_columns(const char *model, const char *device, int threads)
{
    printf("model     %s on %s, %d thread%s\n\n", model, device, threads, threads == 1 ? "" : "s");
    printf("%-20s %9s %9s %10s %9s %8s %10s %10s\n", "", "seconds", "CPU s", "GFLOP", "GFLOP/s",
           "of peak", "anon. MiB", "mapped MiB");
}

static void print_text(const struct bench_peak *p, const struct bench_result *r)
{
    char name[48];
    double peak = r->on_cpu ? bench_peak_product(p) : 0, conv_peak = r->on_cpu ? p->conv_flops : 0;
    print_machine(p);
    print_columns(r->model, r->device, r->threads);
    (void)snprintf(name, sizeof name, "text, %d tokens", r->text_tokens);
    if (r->n_images > 0)
        print_stage(name, &r->text, peak);
    for (int i = 0; i < r->n_images; i++) {
        const struct bench_image *q = &r->images[i];
        (void)snprintf(name, sizeof name, "step, %d x %d", q->width, q->height);
        print_stage(name, &q->step, peak);
        (void)snprintf(name, sizeof name, "decode, %d x %d", q->width, q->height);
        print_stage(name, &q->decode, conv_peak > 0 ? conv_peak : peak);
    }
    printf("\nweights   %.0f MiB in place in files, %.0f MiB in memory (%.2f s)\n",
           mib(r->mapped_bytes), mib(r->own_bytes), r->load_seconds);
    if (r->swap.bytes > 0)
        printf("swap      %.0f MiB of transformer at %.2f GB/s, %.0f %% of a copy in memory, %.0f "
               "%% of "
               "one into new memory; %.0f MiB read from disks\n",
               mib(r->swap.bytes), r->swap.bytes_per_second * 1e-9,
               100 * r->swap.bytes_per_second / p->copy_bytes,
               100 * r->swap.bytes_per_second / p->copy_into_new_bytes, mib(r->swap.disk_bytes));
    printf("memory    at most %.0f MiB anonymous, %.0f MiB of mapped files\n",
           mib(r->anonymous_bytes), mib(r->file_bytes));
    for (int i = 0; i < r->n_images; i++)
        printf("          %.0f MiB for the activations of a step at %d x %d\n",
               mib(r->images[i].compute_bytes), r->images[i].width, r->images[i].height);
    for (int i = 0; i < BENCH_PROFILES; i++)
        if (r->profiles[i].n > 0)
            print_profile(profile_names[i], &r->profiles[i]);
}

static void print_layered(const struct bench_peak *p, const struct bench_layered_result *r)
{
    char name[48];
    print_machine(p);
    print_columns("synthetic qwen-layered, Q5_0", r->device, r->threads);
    (void)snprintf(name, sizeof name, "step, %d, %d layers", r->side, r->layers);
    print_stage(name, &r->step, r->on_cpu ? bench_peak_product(p) : 0);
    printf("\ntokens    %d of %d frames and the condition, %d of text\n", r->image_tokens,
           r->layers + 1, r->text_tokens);
    printf("weights   %.0f MiB in place in files, %.0f MiB in memory (%.2f s); modulation tables "
           "%.2f s\n",
           mib(r->mapped_bytes), mib(r->own_bytes), r->load_seconds, r->table_seconds);
    printf("memory    %.0f MiB for the activations of a step\n", mib(r->compute_bytes));
    if (r->profile.n > 0)
        print_profile("step", &r->profile);
}

/* ---- results as JSON -------------------------------------------------------------------------------- */

static void json_stage(struct buf *b, const char *key, const struct bench_stage *s, double peak)
{
    double flops = bench_flops_total(&s->flops);
    json_object(b, key);
    json_put_fixed(b, "seconds", s->seconds, 6);
    json_put_fixed(b, "cpu_seconds", s->cpu_seconds, 3);
    json_object(b, "flop");
    json_put_fixed(b, "matmul", s->flops.matmul, 0);
    json_put_fixed(b, "attention", s->flops.attention, 0);
    json_put_fixed(b, "conv", s->flops.conv, 0);
    json_end_object(b);
    json_put_fixed(b, "gflops", s->seconds > 0 ? flops / s->seconds * 1e-9 : 0, 3);
    if (peak > 0 && s->seconds > 0)
        json_put_fixed(b, "share_of_peak", flops / s->seconds / peak, 5);
    else
        json_put_null(b, "share_of_peak");
    json_put_uint(b, "anonymous_bytes", s->anonymous_bytes);
    json_put_uint(b, "mapped_bytes", s->file_bytes);
    json_end_object(b);
}

static void json_peak(struct buf *b, const struct bench_peak *p)
{
    json_object(b, "peak");
    json_put_ints(b, "shape", (const int64_t[]){p->shape.m, p->shape.k, p->shape.n}, 3);
    json_put_z(b, "onednn", p->onednn);
    json_put_fixed(b, "bf16_gflops", p->bf16_flops * 1e-9, 3);
    json_put_fixed(b, "f32_gflops", p->f32_flops * 1e-9, 3);
    json_put_fixed(b, p->conv_bf16 ? "conv_bf16_gflops" : "conv_f32_gflops", p->conv_flops * 1e-9,
                   3);
    json_put_fixed(b, "copy_bytes_per_second", p->copy_bytes, 0);
    json_put_fixed(b, "copy_into_new_bytes_per_second", p->copy_into_new_bytes, 0);
    json_array(b, "attention");
    for (int i = 0; i < BENCH_ATTENTIONS; i++) {
        json_object(b, NULL);
        json_put_int(b, "tokens", p->attention[i].tokens);
        json_put_fixed(b, "gflops", p->attention[i].flops * 1e-9, 3);
        json_end_object(b);
    }
    json_end_array(b);
    json_end_object(b);
}

static void json_machine(struct buf *b, const struct bench_peak *p)
{
    json_object(b, "machine");
    json_put_z(b, "cpu", p->cpu);
    json_put_int(b, "cores", p->cores);
    json_put_fixed(b, "load", p->load, 2);
    json_peak(b, p);
    json_end_object(b);
}

static void json_kinds(struct buf *b, const char *key, const struct nn_profile *p)
{
    json_array(b, key);
    for (int k = 0; k < p->n; k++) {
        json_object(b, NULL);
        json_put_z(b, "kind", p->kinds[k].name);
        json_put_int(b, "nodes", p->kinds[k].nodes);
        json_put_fixed(b, "seconds", p->kinds[k].seconds, 6);
        json_put_fixed(b, "cpu_seconds", p->kinds[k].cpu_seconds, 6);
        json_put_fixed(b, "flop", p->kinds[k].flops, 0);
        json_end_object(b);
    }
    json_end_array(b);
}

/* "profile":{"text":[{"kind":..., "nodes":..., ...}, ...], ...}; nothing where none was asked for. */
static void json_profiles(struct buf *b, const struct bench_result *r)
{
    bool any = false;
    for (int i = 0; i < BENCH_PROFILES; i++) {
        if (r->profiles[i].n == 0)
            continue;
        if (!any)
            json_object(b, "profile");
        any = true;
        json_kinds(b, profile_names[i], &r->profiles[i]);
    }
    if (any)
        json_end_object(b);
}

static void json_images(struct buf *b, const struct bench_peak *p, const struct bench_result *r,
                        double peak)
{
    json_array(b, "pictures");
    for (int i = 0; i < r->n_images; i++) {
        const struct bench_image *q = &r->images[i];
        json_object(b, NULL);
        json_put_int(b, "width", q->width);
        json_put_int(b, "height", q->height);
        json_put_fixed(b, "mean_step_seconds", q->mean_step_seconds, 6);
        json_put_uint(b, "compute_bytes", q->compute_bytes);
        json_stage(b, "step", &q->step, peak);
        json_stage(b, "decode", &q->decode, r->on_cpu && p->conv_flops > 0 ? p->conv_flops : peak);
        json_end_object(b);
    }
    json_end_array(b);
}

static void json_memory(struct buf *b, const struct bench_result *r)
{
    json_object(b, "weights");
    json_put_uint(b, "mapped_bytes", r->mapped_bytes);
    json_put_uint(b, "own_bytes", r->own_bytes);
    json_put_fixed(b, "load_seconds", r->load_seconds, 6);
    json_end_object(b);
    json_object(b, "memory");
    json_put_uint(b, "anonymous_bytes", r->anonymous_bytes);
    json_put_uint(b, "mapped_bytes", r->file_bytes);
    json_end_object(b);
    if (r->swap.bytes == 0)
        return;
    json_object(b, "swap");
    json_put_uint(b, "bytes", r->swap.bytes);
    json_put_fixed(b, "bytes_per_second", r->swap.bytes_per_second, 0);
    json_put_uint(b, "disk_bytes", r->swap.disk_bytes);
    json_end_object(b);
}

static void json_result(struct buf *b, const struct bench_peak *p, const struct bench_result *r)
{
    double peak = r->on_cpu ? bench_peak_product(p) : 0;
    json_object(b, NULL);
    json_machine(b, p);
    json_put_z(b, "model", r->model);
    json_put_z(b, "device", r->device);
    json_put_int(b, "threads", r->threads);
    json_put_int(b, "steps", r->steps);
    json_put_int(b, "max_tokens", r->text_tokens);
    json_stage(b, "text", &r->text, peak);
    json_images(b, p, r, peak);
    json_memory(b, r);
    json_profiles(b, r);
    json_end_object(b);
}

static void print_json(const struct bench_peak *p, const struct bench_result *r)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_result(&b, p, r);
    cli_print_json(&b);
}

static void print_layered_json(const struct bench_peak *p, const struct bench_layered_result *r)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_object(&b, NULL);
    json_machine(&b, p);
    json_put_z(&b, "model", "synthetic qwen-layered");
    json_put_z(&b, "device", r->device);
    json_put_int(&b, "threads", r->threads);
    json_put_int(&b, "side", r->side);
    json_put_int(&b, "layers", r->layers);
    json_put_int(&b, "image_tokens", r->image_tokens);
    json_put_int(&b, "text_tokens", r->text_tokens);
    json_put_fixed(&b, "mean_step_seconds", r->mean_step_seconds, 6);
    json_put_uint(&b, "compute_bytes", r->compute_bytes);
    json_stage(&b, "step", &r->step, r->on_cpu ? bench_peak_product(p) : 0);
    json_object(&b, "weights");
    json_put_uint(&b, "mapped_bytes", r->mapped_bytes);
    json_put_uint(&b, "own_bytes", r->own_bytes);
    json_put_fixed(&b, "load_seconds", r->load_seconds, 6);
    json_put_fixed(&b, "table_seconds", r->table_seconds, 6);
    json_end_object(&b);
    if (r->profile.n > 0) {
        json_object(&b, "profile");
        json_kinds(&b, "step", &r->profile);
        json_end_object(&b);
    }
    json_end_object(&b);
    cli_print_json(&b);
}

/* ---- running ---------------------------------------------------------------------------------------- */

static bool is_layered(const struct bench_args *o)
{
    return o->synthetic && strcmp(o->synthetic, bench_layered_name) == 0;
}

/* A klein model takes the embedded one's tokenizer. */
static enum err_code write_klein(const struct bench_args *o, const struct bench_writing *run,
                                 char *path, struct err *e)
{
    struct model_dir *small = mem_alloc(sizeof *small);
    enum err_code rc;
    TRY_GOTO(model_dir_open(SMALL_MODEL, small, e), done);
    rc = bench_synthetic_get(bench_synthetic_find(o->synthetic), small->tokenizer, o->cache, run,
                             path, PATH_BYTES, e);
done:
    mem_free(small);
    return rc;
}

static enum err_code write_layered(const struct bench_args *o, const struct bench_writing *run,
                                   char *path, struct err *e)
{
    const struct qwen_image_config c = bench_layered_config();
    TRY(bench_layered_check_memory(&c, e));
    return bench_layered_get(&c, bench_layered_name, o->cache, run, path, PATH_BYTES, e);
}

/* The synthetic model's folder, or its one file, into path. */
static enum err_code prepare_synthetic(const struct bench_args *o, char *path, struct err *e)
{
    struct writing_progress p = {.name = o->synthetic,
                                 .quiet = o->quiet,
                                 .terminal = isatty(STDERR_FILENO) != 0,
                                 .percent = -1};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const struct bench_writing run = {.threads = cores > 0 ? (int)cores : 1,
                                      .cancel = cli_stop_flag(),
                                      .progress = show_writing,
                                      .user = &p};
    enum err_code rc =
        is_layered(o) ? write_layered(o, &run, path, e) : write_klein(o, &run, path, e);
    if (p.terminal && p.percent >= 0 && !p.quiet)
        fputs("\r\033[K", stderr);
    return rc;
}

/* Of either kind of model; the other's pointer stays NULL. */
struct bench_outcome {
    struct bench_peak peak;
    struct bench_result *klein;
    struct bench_layered_result *layered;
};

static enum err_code measure_layered(const struct bench_request *rq, const char *path,
                                     struct bench_layered_result *out, struct err *e)
{
    const struct bench_layered_request lq = {.weights = path,
                                             .side = rq->sizes[0],
                                             .layers = BENCH_LAYERED_LAYERS,
                                             .text_tokens = rq->max_tokens,
                                             .steps = rq->steps,
                                             .device = rq->device,
                                             .threads = rq->threads,
                                             .compute = rq->compute,
                                             .profile = rq->profile,
                                             .cancel = rq->cancel,
                                             .callbacks = rq->callbacks};
    return bench_layered_run(&lq, out, e);
}

static enum err_code measure(const struct bench_args *o, struct bench_outcome *r, struct err *e)
{
    char path[PATH_BYTES] = "";
    struct cli_progress progress;
    struct bench_request rq = o->rq;
    struct cli_model model;
    enum err_code rc = ERR_OK;
    cli_progress_init(&progress, o->quiet);
    if (o->synthetic) {
        rc = prepare_synthetic(o, path, e);
        rq.model = path;
    } else {
        rc = cli_model_take(&rq.model, &model, &progress, e);
    }
    if (rc == ERR_OK)
        rc = bench_peak_measure(rq.threads, PEAK_SECONDS, cli_stop_flag(), &r->peak, e);
    struct vt_callbacks cb = cli_progress_callbacks(&progress);
    rq.callbacks = &cb;
    if (rc == ERR_OK)
        rc = r->layered ? measure_layered(&rq, path, r->layered, e) : bench_run(&rq, r->klein, e);
    cli_progress_finish(&progress);
    cli_progress_deinit(&progress);
    if (rc != ERR_OK && rc != ERR_CANCELLED && o->synthetic && path[0])
        return err_note(e, "the synthetic model in '%s'", path);
    return rc;
}

static void print(const struct bench_outcome *r, bool json)
{
    if (r->layered)
        (json ? print_layered_json : print_layered)(&r->peak, r->layered);
    else if (r->klein)
        (json ? print_json : print_text)(&r->peak, r->klein);
}

static int execute(struct bench_args *o)
{
    struct err e = {0};
    struct bench_outcome r = {0};
    int rc = CLI_OK;
    if (is_layered(o))
        r.layered = mem_alloc(sizeof *r.layered);
    else
        r.klein = mem_alloc(sizeof *r.klein);
    cli_cancel_on_signal(NULL);
    if (measure(o, &r, &e) != ERR_OK) {
        rc = cli_fail_err(&e);
    } else {
        print(&r, o->json);
    }
    mem_free(r.layered);
    mem_free(r.klein);
    return rc;
}

/* What was not said, and what does not go together. */
static int complete(const struct cli_command *self, struct bench_args *o)
{
    struct bench_request *rq = &o->rq;
    if (o->synthetic && rq->model)
        return cli_usage_error(self, "--synthetic and --model exclude each other");
    if (is_layered(o) && (rq->weights || rq->n_sizes > 1))
        return cli_usage_error(self, "--synthetic %s is Q5_0 and of one size", bench_layered_name);
    if (rq->n_sizes == 0)
        rq->sizes[rq->n_sizes++] = is_layered(o) ? BENCH_LAYERED_SIDE : KLEIN_SIDE;
    if (is_layered(o) && rq->sizes[0] % 32 != 0)
        return cli_usage_error(self, "--size of %s is a multiple of 32", bench_layered_name);
    if (!rq->steps)
        rq->steps = o->synthetic || rq->model ? 1 : SMALL_MODEL_STEPS;
    if (!o->synthetic && !rq->model)
        rq->model = SMALL_MODEL;
    rq->cancel = cli_stop_flag();
    return CLI_OK;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct bench_args o = {
        .rq = {.max_tokens = BENCH_TEXT_TOKENS, .device = "cpu"},
    };
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        int rc = id == CLI_ERROR ? CLI_USAGE : set_option(&o, &a, id);
        if (rc != CLI_OK)
            return rc;
    }
    int rc = complete(self, &o);
    return rc == CLI_OK ? execute(&o) : rc;
}

const struct cli_command cli_cmd_bench = {
    .name = "bench",
    .summary = "Measure speed and memory on this machine",
    .usage = "[--synthetic klein-4b|klein-9b|qwen-layered] [--size 256,512] [--json]",
    .examples = "  veetance bench\n"
                "  veetance bench --synthetic klein-4b --size 256,512\n",
    .options = options,
    .run = run,
};
