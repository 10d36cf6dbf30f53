#include "nn/cpu/cpu.h"
#include "nn/device.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <ggml.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/device_pin.h"
#include "nn/device_search.h"
#include "nn/nvidia/run.h"
#include "nn/rpc.h"
#include "nn/upload.h"

enum { PATH_BYTES = 4096 };

struct nn_device {
    char library[PATH_BYTES];
    struct nv_card *card; /* NULL: a backend of ggml */
    unsigned generation;  /* of the card's context, when it was last asked */
    ggml_backend_t backend;
    ggml_backend_dev_t dev;
    bool is_cpu;
    int threads, threads_in_use;
    ggml_backend_set_n_threads_t set_threads;
    void (*set_abort)(ggml_backend_t backend, ggml_abort_callback cb, void *user);
    struct nn_accountant accountant;
    bool has_accountant, dry, int8;
    struct nn_params *streaming;
    struct nn_uploader *uploader;
    struct nn_profile *profile;
    const atomic_bool *cancel;
    struct nn_watch watch;
    struct nn_span span;
    double told; /* to the watch */
};

static int available_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

static void setup_cpu(struct nn_device *d, int threads)
{
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(d->dev);
    *(void **)&d->set_threads =
        ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    *(void **)&d->set_abort =
        ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_abort_callback");
    d->threads = threads > 0 ? threads : available_cores();
    nn_device_use_threads(d, d->threads);
}

static void open_card(struct nn_device *d)
{
    d->generation = nv_card_generation(d->card);
    (void)snprintf(d->library, sizeof d->library, "%s", nv_card_library(d->card));
}

static enum err_code open_backend(struct nn_device *d, const char *want, int threads, struct err *e)
{
    d->is_cpu = device_is_cpu(d->dev);
    d->backend = ggml_backend_dev_init(d->dev, NULL);
    if (!d->backend)
        return err_set(e, ERR_DEVICE, "the device '%s' does not start", want);
    if (d->is_cpu)
        setup_cpu(d, threads);
    if (!device_pin_library_of(d->dev, d->library, sizeof d->library))
        d->library[0] = 0;
    return ERR_OK;
}

enum err_code nn_device_open(const char *want, int threads, struct nn_device **out, struct err *e)
{
    struct device_found found;
    *out = NULL;
    int64_t start = clock_ns();
    enum err_code rc = device_find(want, &found, e);
    if (rc != ERR_OK)
        return rc;
    int64_t chosen = clock_ns();
    struct nn_device *d = mem_alloc(sizeof *d);
    d->card = found.card;
    d->dev = found.dev;
    d->threads = 1;
    if (d->card)
        open_card(d);
    else
        rc = open_backend(d, want, threads, e);
    if (rc != ERR_OK) {
        mem_free(d);
        return rc;
    }
    log_debug("boot: device found in %.1f ms, started in %.1f ms", (double)(chosen - start) * 1e-6,
              (double)(clock_ns() - chosen) * 1e-6);
    log_debug("boot: %s", d->library);
    *out = d;
    return ERR_OK;
}

void nn_device_close(struct nn_device *d)
{
    if (!d)
        return;
    nn_uploader_free(d->uploader);
    if (d->backend)
        ggml_backend_free(d->backend);
    nv_card_close(d->card);
    mem_free(d);
}

enum err_code nn_device_serve(const struct nn_device *d, const char *address, struct err *e)
{
    if (d->card)
        return err_set(e, ERR_DEVICE,
                       "a worker can lend the processor and what Vulkan offers, but "
                       "no device of CUDA: use --device vulkan");
    TRY(device_load_rpc(e));
    return nn_rpc_serve(address, d->dev, d->threads, e);
}

struct nv_card *nn_device_card(const struct nn_device *d)
{
    return d->card;
}

bool nn_device_renew(struct nn_device *d)
{
    unsigned before = d->generation;
    if (d->card)
        d->generation = nv_card_generation(d->card);
    if (d->generation == before)
        return false;
    nn_uploader_free(d->uploader);
    d->uploader = NULL;
    return true;
}

uint64_t nn_device_overhead(const struct nn_device *d)
{
    return d->card ? nv_card_overhead(d->card) : 0;
}

enum err_code nn_device_check_address(const char *address, struct err *e)
{
    return nn_rpc_check_address(address, e);
}

void nn_device_on_abort(void (*fn)(const char *why))
{
    (void)ggml_set_abort_callback(fn);
}

const char *nn_device_library(const struct nn_device *d)
{
    return d->library;
}

ggml_backend_t nn_device_backend(const struct nn_device *d)
{
    return d->backend;
}

ggml_backend_dev_t nn_device_ggml(const struct nn_device *d)
{
    return d->dev;
}

bool nn_device_is_cpu(const struct nn_device *d)
{
    return d->is_cpu;
}

int nn_device_threads(const struct nn_device *d)
{
    return d->threads;
}

void nn_device_use_threads(struct nn_device *d, int n)
{
    n = n < d->threads ? n : d->threads;
    if (d->set_threads && n != d->threads_in_use)
        d->set_threads(d->backend, n);
    d->threads_in_use = n;
}

void nn_device_use_int8(struct nn_device *d, bool wanted)
{
    d->int8 = wanted && nn_device_has_int8(d);
}

bool nn_device_has_int8(const struct nn_device *d)
{
    return d->is_cpu && nn_cpu_has_int8();
}

bool nn_device_int8(const struct nn_device *d)
{
    return d->int8;
}

void nn_device_info(const struct nn_device *d, struct nn_device_info *out)
{
    if (d->card)
        device_describe_card(d->card, out);
    else
        device_describe(d->dev, out);
}

void nn_device_set_cancel(struct nn_device *d, const atomic_bool *cancel)
{
    d->cancel = cancel;
}

const atomic_bool *nn_device_cancel(const struct nn_device *d)
{
    return d->cancel;
}

void nn_device_set_watch(struct nn_device *d, const struct nn_watch *w)
{
    d->watch = w ? *w : (struct nn_watch){0};
    d->span = (struct nn_span){0, 1};
    d->told = 0;
}

bool nn_device_watched(const struct nn_device *d)
{
    return d->watch.fn != NULL;
}

struct nn_span nn_device_span(const struct nn_device *d)
{
    return d->span;
}

void nn_device_set_span(struct nn_device *d, struct nn_span span)
{
    d->span = span;
}

void nn_device_tell_watch(struct nn_device *d, double done)
{
    double now = d->span.from + d->span.share * done;
    if (!d->watch.fn || now < d->told)
        return;
    d->told = now < 1 - 1e-9 ? now : 1; /* the sum of all parts may miss it by a rounding */
    d->watch.fn(d->watch.user, d->told);
}

void nn_device_set_abort(struct nn_device *d, bool (*fn)(void *user), void *user)
{
    if (d->set_abort)
        d->set_abort(d->backend, fn, user);
}

/* ---- memory ------------------------------------------------------------------------------------------ */

void nn_device_set_accountant(struct nn_device *d, const struct nn_accountant *a)
{
    d->has_accountant = a != NULL;
    d->accountant = a ? *a : (struct nn_accountant){0};
}

const struct nn_accountant *nn_device_accountant(const struct nn_device *d)
{
    return d->has_accountant ? &d->accountant : NULL;
}

void nn_device_set_dry(struct nn_device *d, bool dry)
{
    d->dry = dry;
}

bool nn_device_is_dry(const struct nn_device *d)
{
    return d->dry;
}

enum err_code nn_device_take(struct nn_device *d, enum nn_memory_kind kind, uint64_t bytes,
                             const char *what, struct err *e)
{
    return d->has_accountant && bytes > 0
               ? d->accountant.take(d->accountant.user, kind, bytes, what, e)
               : ERR_OK;
}

void nn_device_give(struct nn_device *d, enum nn_memory_kind kind, uint64_t bytes)
{
    if (d->has_accountant && bytes > 0)
        d->accountant.give(d->accountant.user, kind, bytes);
}

bool nn_device_has_bf16(const struct nn_device *d)
{
    return d->card || device_has_bf16(d->dev);
}

struct nn_uploader *nn_device_uploader(struct nn_device *d)
{
    if (!d->uploader)
        d->uploader = nn_uploader_new(d);
    return d->uploader;
}

uint64_t nn_device_pinned_bytes(const struct nn_device *d)
{
    uint64_t own = d->card ? nv_card_pinned_bytes(d->card) : 0;
    return own + (d->uploader ? nn_uploader_pinned_bytes(d->uploader) : 0);
}

void nn_device_set_streaming(struct nn_device *d, struct nn_params *ps)
{
    d->streaming = ps;
}

struct nn_params *nn_device_streaming(const struct nn_device *d)
{
    return d->streaming;
}

void nn_device_set_profile(struct nn_device *d, struct nn_profile *p)
{
    d->profile = p;
}

struct nn_profile *nn_device_profile(const struct nn_device *d)
{
    return d->profile;
}
