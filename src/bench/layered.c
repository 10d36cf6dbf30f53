/* layered.c - one step of Qwen-Image-Layered's transformer, alone; see layered.h.
 *
 * The whole model would not fit most machines, and the step is what takes the time, so only the transformer is
 * opened and its inputs are random numbers. What the pipeline does around a step is done here in the same order:
 * modulation tables, then the other weights, then a pass. Memory is checked first, since running out ends the
 * process.
 */
#include "bench/layered.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/memory.h"
#include "memory/governor.h"
#include "memory/budget.h"
#include "pipeline/placement.h"
#include "pipeline/report.h"
#include "sample/rng.h"

enum { PIXELS_PER_TOKEN = 16 };

/* Beside weights and activations: libraries, tables, what else runs. */
static const uint64_t SPARE_BYTES = (uint64_t)2 << 30;
static const float TIME = 1.0f; /* of the first step */

struct bench {
    const struct bench_layered_request *rq;
    struct bench_layered_result *out;
    struct nn_device *device;
    struct qwen_image_transformer *m;
    struct qwen_image_tables *tables;
    struct qwen_image_pass *pass;
    struct qwen_image_layout layout;
    float *x, *text, *velocity;
};

/* ---- memory ----------------------------------------------------------------------------------------- */

enum err_code bench_layered_check_memory(const struct qwen_image_config *c, struct err *e)
{
    uint64_t needed = bench_layered_bytes(c) + SPARE_BYTES, have = host_available_bytes();
    if (have == 0 || have >= needed)
        return ERR_OK;
    return err_set(e, ERR_LIMIT,
                   "a step of %s needs %.1f GB of memory that is free or can be freed, this "
                   "machine has %.1f GB",
                   bench_layered_name, (double)needed * 1e-9, (double)have * 1e-9);
}

/* ---- a step ----------------------------------------------------------------------------------------- */

static enum err_code allocate(struct bench *b, struct err *e)
{
    const struct qwen_image_config *c = qwen_image_transformer_config(b->m);
    size_t n = (size_t)qwen_image_tokens(&b->layout);
    size_t x = n * (size_t)c->in_channels, text = (size_t)(b->layout.n_text * c->joint_dim);
    struct rng r;
    b->x = mem_try_array(x, sizeof(float));
    b->text = mem_try_array(text, sizeof(float));
    b->velocity = mem_try_array(n, (size_t)c->out_channels * sizeof(float));
    if (!b->x || !b->text || !b->velocity)
        return err_set(e, ERR_NOMEM, "no memory for %zu tokens", n);
    rng_seed(&r, 1);
    rng_normal_f32(&r, b->x, x);
    rng_normal_f32(&r, b->text, text);
    return ERR_OK;
}

/* As the pipeline does: tables first, so that the modulation's weights are gone when the others come. */
static enum err_code prepare(struct bench *b, struct err *e)
{
    struct nn_params *ps = qwen_image_transformer_params(b->m);
    struct qwen_image_pass_options options = {0};
    double start = clock_s();
    TRY(qwen_image_tables_build(b->m, &TIME, 1, 0, b->rq->cancel, &b->tables, e));
    b->out->table_seconds = clock_s() - start;
    start = clock_s();
    TRY(governor_engage(b->device, "transformer", ps, e));
    b->out->load_seconds = clock_s() - start;
    options.tables = b->tables;
    TRY(qwen_image_pass_new(b->m, &b->layout, &options, &b->pass, e));
    b->out->compute_bytes = qwen_image_pass_compute_bytes(b->pass);
    b->out->mapped_bytes = nn_params_mapped_bytes(ps);
    b->out->own_bytes = nn_params_device_bytes(ps);
    return allocate(b, e);
}

static enum err_code run_steps(struct bench *b, struct err *e)
{
    const struct bench_layered_request *rq = b->rq;
    struct bench_stage *best = &b->out->step;
    struct vt_progress p = {
        .stage = VT_STAGE_STEPS, .image_count = 1, .step_count = rq->steps, .seconds_left = -1};
    enum err_code rc = ERR_OK;
    double sum = 0;
    report_progress(rq->callbacks, &p);
    if (rq->profile)
        nn_device_set_profile(b->device, &b->out->profile);
    for (int i = 0; rc == ERR_OK && i < rq->steps; i++) {
        double start = clock_s(), cpu = bench_cpu_seconds();
        rc = qwen_image_pass_run(b->pass, b->x, b->text, TIME, b->velocity, rq->cancel, e);
        double seconds = clock_s() - start;
        sum += seconds;
        if (i == 0 || seconds < best->seconds) {
            best->seconds = seconds;
            best->cpu_seconds = bench_cpu_seconds() - cpu;
        }
        p.step = i + 1;
        p.done = (double)p.step / rq->steps;
        p.step_seconds = seconds;
        report_progress(rq->callbacks, &p);
    }
    nn_device_set_profile(b->device, NULL);
    b->out->mean_step_seconds = sum / rq->steps;
    return rc;
}

static enum err_code measure(struct bench *b, struct err *e)
{
    struct bench_memory memory;
    TRY(prepare(b, e));
    TRY(bench_memory_start(&memory, e));
    enum err_code rc = run_steps(b, e);
    bench_memory_stop(&memory);
    b->out->step.anonymous_bytes = memory.peaks[0].anonymous_bytes;
    b->out->step.file_bytes = memory.peaks[0].file_bytes;
    b->out->step.flops = bench_flops_qwen_image(qwen_image_transformer_config(b->m), &b->layout);
    return rc;
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static enum err_code open_transformer(struct bench *b, struct component *c, struct err *e)
{
    struct qwen_image_config config;
    TRY(qwen_image_config_read(NULL, b->rq->weights, c, &config, e));
    return qwen_image_transformer_new(c, b->device, nn_precision_for(c), &config, &b->m, e);
}

static void describe(struct bench *b)
{
    struct bench_layered_result *r = b->out;
    struct nn_device_info info;
    int64_t side = b->rq->side / PIXELS_PER_TOKEN;
    nn_device_info(b->device, &info);
    memcpy(r->device, info.name, sizeof r->device);
    r->on_cpu = info.is_cpu;
    r->threads = nn_device_threads(b->device);
    r->side = b->rq->side;
    r->layers = b->rq->layers;
    r->text_tokens = b->rq->text_tokens;
    b->layout = (struct qwen_image_layout){.n_text = b->rq->text_tokens,
                                           .frames = b->rq->layers + 1,
                                           .rows = side,
                                           .cols = side,
                                           .cond_rows = side,
                                           .cond_cols = side};
    r->image_tokens = (int)qwen_image_tokens(&b->layout);
}

enum err_code bench_layered_run(const struct bench_layered_request *rq,
                                struct bench_layered_result *out, struct err *e)
{
    struct bench b = {.rq = rq, .out = out};
    struct component *c = NULL;
    memset(out, 0, sizeof *out);
    if (rq->side < PIXELS_PER_TOKEN || rq->layers < 1 || rq->steps < 1 || rq->text_tokens < 1)
        return err_set(e, ERR_ARG, "nothing to measure: %d pixels, %d layers, %d steps", rq->side,
                       rq->layers, rq->steps);
    enum err_code rc = nn_device_open(rq->device, rq->threads, &b.device, e);
    if (rc != ERR_OK)
        return rc;
    describe(&b);
    TRY_GOTO(compute_choose(devices_all(b.device), rq->compute, rq->callbacks, e), done);
    TRY_GOTO(component_open(rq->weights, COMPONENT_QWEN_IMAGE_TRANSFORMER, &c, e), done);
    TRY_GOTO(open_transformer(&b, c, e), done);
    rc = measure(&b, e);
done:
    qwen_image_pass_free(b.pass);
    qwen_image_tables_free(b.tables);
    qwen_image_transformer_free(b.m);
    component_close(c);
    nn_device_close(b.device);
    mem_free(b.x);
    mem_free(b.text);
    mem_free(b.velocity);
    return rc;
}
