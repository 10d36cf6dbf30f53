/* klein.c - times and memory of a klein model, measured on an ordinary run; see klein.h.
 *
 * Nothing is computed specially for the measurement: the progress callbacks of klein_generate tell which stage
 * runs, and stage changes read the clock and switch the slot of the memory watcher. On the CPU all weights are put
 * in place first, so that no stage's time contains loading; a device with its own memory loads as it does for a
 * user. Of the steps the fastest counts, and of as many prompts, because other processes only ever add time.
 */
#include "bench/klein.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/memory.h"
#include "pipeline/placement.h"
#include "pipeline/convert/cache.h"
#include "pipeline/klein/internal.h"

enum { RUNS = 4, DISK_BLOCK = 512 };

static uint64_t disk_bytes(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_inblock * DISK_BLOCK : 0;
}

enum err_code bench_swap_measure(struct nn_params *ps, struct bench_swap *out, struct err *e)
{
    enum err_code rc = ERR_OK;
    uint64_t disk = disk_bytes();
    *out = (struct bench_swap){0};
    for (int i = 0; rc == ERR_OK && i < RUNS; i++) {
        nn_params_release(ps);
        double start = clock_s();
        rc = nn_params_engage(ps, e);
        double seconds = clock_s() - start;
        out->bytes = nn_params_device_bytes(ps);
        if (rc == ERR_OK && (double)out->bytes > out->bytes_per_second * seconds)
            out->bytes_per_second = (double)out->bytes / seconds;
    }
    out->disk_bytes = disk_bytes() - disk;
    return rc;
}

enum { SLOT_LOAD = 0, SLOT_TEXT, SLOT_FIRST_IMAGE, SLOTS_PER_IMAGE = 2 };

_Static_assert(SLOT_FIRST_IMAGE + SLOTS_PER_IMAGE * BENCH_MAX_SIZES <= BENCH_MEMORY_SLOTS,
               "every stage has a slot");

static const char PROMPT[] =
    "a lighthouse on a rock in the evening sun, waves, gulls, oil on canvas";

struct bench {
    const struct bench_request *rq;
    struct bench_result *out;
    struct klein *k;
    struct bench_memory memory;
    int image; /* the one that is being made */
    double step_sum;
    struct bench_stage best_step; /* times only */
    int steps_done;
    enum vt_stage stage;
    double cpu_start; /* CPU seconds of the process when the stage or step began */
};

/* ---- following a run -------------------------------------------------------------------------------- */

double bench_cpu_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void follow_profile(struct bench *b, enum vt_stage stage)
{
    if (!b->rq->profile)
        return;
    struct nn_profile *p = NULL;
    if (stage == VT_STAGE_TEXT)
        p = &b->out->profiles[BENCH_PROFILE_TEXT];
    else if (stage == VT_STAGE_STEPS)
        p = &b->out->profiles[BENCH_PROFILE_STEPS];
    else if (stage == VT_STAGE_DECODE)
        p = &b->out->profiles[BENCH_PROFILE_DECODE];
    nn_device_set_profile(b->k->on.transformer, p);
}

/* Each stage has its own slot of memory peaks. */
static void follow_memory(struct bench *b, enum vt_stage stage)
{
    int first = SLOT_FIRST_IMAGE + SLOTS_PER_IMAGE * b->image;
    follow_profile(b, stage);
    if (stage == VT_STAGE_TEXT)
        bench_memory_slot(&b->memory, SLOT_TEXT);
    else if (stage == VT_STAGE_STEPS)
        bench_memory_slot(&b->memory, first);
    else if (stage == VT_STAGE_DECODE)
        bench_memory_slot(&b->memory, first + 1);
}

static void on_progress(const struct vt_progress *p, void *user)
{
    struct bench *b = user;
    if (p->stage == b->stage && p->stage != VT_STAGE_STEPS) { /* goes on */
        report_progress(b->rq->callbacks, p);
        return;
    }
    double cpu = bench_cpu_seconds() - b->cpu_start;
    follow_memory(b, p->stage);
    if (p->stage == VT_STAGE_STEPS && p->step > 0) {
        b->step_sum += p->step_seconds;
        if (b->steps_done == 0 || p->step_seconds < b->best_step.seconds) {
            b->best_step.seconds = p->step_seconds;
            b->best_step.cpu_seconds = cpu;
        }
        b->steps_done++;
    }
    b->stage = p->stage;
    report_progress(b->rq->callbacks, p);
    b->cpu_start = bench_cpu_seconds();
}

static void on_note(const char *text, void *user)
{
    const struct bench *b = user;
    report_note(b->rq->callbacks, "%s", text);
}

/* ---- images --------------------------------------------------------------------------------------- */

static void count_image(struct bench *b, struct bench_image *p)
{
    const struct flux2_config *t = flux2_transformer_config(b->k->transformer);
    const struct flux2_vae_config *v = flux2_vae_config(b->k->vae);
    int64_t unit = klein_size_unit(b->k), rows = p->height / unit, cols = p->width / unit;
    p->step.flops = bench_flops_flux2(t, b->rq->max_tokens, rows * cols);
    p->decode.flops = bench_flops_vae_decode(v, 2 * rows, 2 * cols);
}

static enum err_code make_image(struct bench *b, int i, struct err *e)
{
    struct bench_image *p = &b->out->images[i];
    struct vt_stats stats = {0};
    struct image image;
    const struct vt_callbacks callbacks = {.progress = on_progress, .note = on_note, .user = b};
    const struct klein_request rq = {
        .prompt = STR_LIT(PROMPT),
        .width = b->rq->sizes[i],
        .height = b->rq->sizes[i],
        .steps = b->rq->steps,
        .max_tokens = b->rq->max_tokens,
        .guidance = 1.0, /* one pass of the network a step */
    };
    const struct klein_run run = {.cancel = b->rq->cancel,
                                  .callbacks = &callbacks,
                                  .image = i,
                                  .image_count = b->rq->n_sizes,
                                  .stats = &stats};
    b->image = i;
    b->step_sum = 0;
    b->steps_done = 0;
    TRY(klein_generate(b->k, &rq, &run, &image, e));
    p->width = image.w;
    p->height = image.h;
    image_free(&image);
    p->decode.cpu_seconds = bench_cpu_seconds() - b->cpu_start;
    p->step.seconds = b->best_step.seconds;
    p->step.cpu_seconds = b->best_step.cpu_seconds;
    p->mean_step_seconds = b->step_sum / b->steps_done;
    p->decode.seconds = stats.decode_seconds;
    p->compute_bytes = stats.compute_bytes;
    b->out->load_seconds += stats.load_seconds;
    count_image(b, p);
    b->out->n_images = i + 1;
    return ERR_OK;
}

static enum err_code encode(struct bench *b, struct str prompt, struct bench_stage *out,
                            struct err *e)
{
    struct vt_stats stats = {0};
    const float *embedding;
    const struct vt_callbacks callbacks = {.progress = on_progress, .note = on_note, .user = b};
    const struct klein_request rq = {.prompt = prompt, .max_tokens = b->rq->max_tokens};
    const struct klein_run run = {
        .cancel = b->rq->cancel, .callbacks = &callbacks, .image_count = 1, .stats = &stats};
    double cpu = bench_cpu_seconds();
    TRY(klein_embed(b->k, prompt, (struct report_part){0, 1}, &rq, &run, &embedding, e));
    out->cpu_seconds = bench_cpu_seconds() - cpu;
    out->seconds = stats.text_seconds;
    b->out->load_seconds += stats.load_seconds;
    return ERR_OK;
}

/* As many prompts as there are steps, each another one, as embeddings are kept; the last is that of the images. */
static enum err_code encode_prompts(struct bench *b, struct err *e)
{
    struct bench_stage *best = &b->out->text;
    for (int i = b->rq->steps - 1; i >= 0; i--) {
        char prompt[sizeof PROMPT + 16] = "";
        struct bench_stage one = {0};
        if (i > 0)
            (void)snprintf(prompt, sizeof prompt, "%s %d", PROMPT, i);
        else
            memcpy(prompt, PROMPT, sizeof PROMPT);
        TRY(encode(b, str_from(prompt), &one, e));
        if (best->seconds == 0 || one.seconds < best->seconds) {
            best->seconds = one.seconds;
            best->cpu_seconds = one.cpu_seconds;
        }
    }
    return ERR_OK;
}

/* Puts every component's weights in place beforehand, so that no stage's numbers hold a part of that. Other
 * devices have room for one component at a time: there it happens as it does for a user. */
static enum err_code load(struct bench *b, struct err *e)
{
    struct nn_params *params[] = {qwen3_params(b->k->text),
                                  flux2_transformer_params(b->k->transformer),
                                  vae_params(flux2_vae_net(b->k->vae), VAE_DECODER)};
    struct vt_stats stats = {0};
    const struct klein_run run = {.callbacks = b->rq->callbacks, .image_count = 1, .stats = &stats};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++)
        TRY_GOTO(klein_engage(b->k, params[i], &run, e), done);
done:
    b->out->load_seconds = stats.load_seconds;
    return rc;
}

static enum err_code make_images(struct bench *b, struct err *e)
{
    TRY(bench_memory_start(&b->memory, e));
    b->stage = VT_STAGE_LOAD;
    enum err_code rc = ERR_OK;
    if (nn_device_is_cpu(b->k->on.transformer))
        TRY_GOTO(load(b, e), done);
    TRY_GOTO(encode_prompts(b, e), done);
    /* The first image on a card also loads its kernels. */
    if (!nn_device_is_cpu(b->k->on.transformer) && !b->rq->profile)
        TRY_GOTO(make_image(b, 0, e), done);
    for (int i = 0; i < b->rq->n_sizes; i++)
        TRY_GOTO(make_image(b, i, e), done);
done:
    bench_memory_stop(&b->memory);
    return rc;
}

/* ---- results ---------------------------------------------------------------------------------------- */

static void read_peak(struct bench *b, int slot, struct bench_stage *s)
{
    const struct bench_memory_peak *p = &b->memory.peaks[slot];
    struct bench_result *r = b->out;
    s->anonymous_bytes = p->anonymous_bytes;
    s->file_bytes = p->file_bytes;
    r->anonymous_bytes =
        p->anonymous_bytes > r->anonymous_bytes ? p->anonymous_bytes : r->anonymous_bytes;
    r->file_bytes = p->file_bytes > r->file_bytes ? p->file_bytes : r->file_bytes;
}

static void read_memory(struct bench *b)
{
    struct bench_result *r = b->out;
    struct nn_params *params[] = {qwen3_params(b->k->text),
                                  flux2_transformer_params(b->k->transformer),
                                  vae_params(flux2_vae_net(b->k->vae), VAE_DECODER)};
    struct bench_stage loading;
    read_peak(b, SLOT_LOAD, &loading);
    read_peak(b, SLOT_TEXT, &r->text);
    for (int i = 0; i < r->n_images; i++) {
        int first = SLOT_FIRST_IMAGE + SLOTS_PER_IMAGE * i;
        read_peak(b, first, &r->images[i].step);
        read_peak(b, first + 1, &r->images[i].decode);
    }
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        r->mapped_bytes += nn_params_mapped_bytes(params[i]);
        r->own_bytes += nn_params_device_bytes(params[i]);
    }
}

static enum err_code run_on(struct bench *b, struct nn_device *d, struct model_dir *dir,
                            struct err *e)
{
    struct nn_device_info info;
    const struct convert_cache_run run = {.type = b->rq->weights,
                                          .threads = b->rq->threads,
                                          .cancel = b->rq->cancel,
                                          .callbacks = b->rq->callbacks};
    enum err_code rc;
    TRY_GOTO(convert_cache_check(b->rq->weights, e), done);
    TRY_GOTO(compute_choose(devices_all(d), b->rq->compute, b->rq->callbacks, e), done);
    TRY_GOTO(model_dir_open(b->rq->model, dir, e), done);
    TRY_GOTO(convert_cache_model(dir, &run, e), done);
    TRY_GOTO(klein_open(dir, devices_all(d), NULL, &b->k, e), done);
    nn_device_info(d, &info);
    if (b->rq->swap_only && info.is_cpu) {
        rc = err_set(e, ERR_ARG,
                     "on the CPU weights are used in place: there is no upload to measure");
        goto done;
    }
    if (!b->rq->swap_only)
        TRY_GOTO(make_images(b, e), done);
    struct bench_result *r = b->out;
    memcpy(r->device, info.name, sizeof r->device);
    (void)snprintf(r->model, sizeof r->model, "%s", dir->name);
    r->on_cpu = info.is_cpu;
    r->threads = nn_device_threads(d);
    r->text.flops =
        bench_flops_qwen3(qwen3_config(b->k->text), KLEIN_TEXT_LAYERS, b->rq->max_tokens);
    read_memory(b);
    if (!info.is_cpu)
        rc = bench_swap_measure(flux2_transformer_params(b->k->transformer), &r->swap, e);
done:
    klein_free(b->k);
    return rc;
}

enum err_code bench_run(const struct bench_request *rq, struct bench_result *out, struct err *e)
{
    struct nn_device *d;
    memset(out, 0, sizeof *out);
    out->text_tokens = rq->max_tokens;
    out->steps = rq->steps;
    if (rq->n_sizes < 1 || rq->n_sizes > BENCH_MAX_SIZES || rq->steps < 1 || rq->max_tokens < 1)
        return err_set(e, ERR_ARG, "nothing to measure: %d sizes, %d steps", rq->n_sizes,
                       rq->steps);
    enum err_code rc = nn_device_open(rq->device, rq->threads, &d, e);
    if (rc != ERR_OK)
        return rc;
    struct bench *b = mem_alloc(sizeof *b);
    struct model_dir *dir = mem_alloc(sizeof *dir);
    nn_device_set_cancel(d, rq->cancel);
    b->rq = rq;
    b->out = out;
    rc = run_on(b, d, dir, e);
    nn_device_close(d);
    mem_free(dir);
    mem_free(b);
    return rc;
}
