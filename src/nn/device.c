/* device.c - opening and closing a device, and what it can do; what a run sets on it is in device_run.c.
 *
 * A device is either an NVIDIA card (d->card) or a backend of ggml (d->dev, d->backend), never both; everything
 * else asks nn_device_card which. Finding it is device_search.c's. The uploader is made later, on first use, and
 * freed before the backend or the card whose memory it holds; after a card was restarted (nn_device_renew) its
 * uploader is dropped, because its page-locked memory went with the old context. The device owns all of these. One
 * thread, except for the uploader.
 */
#include "nn/device_impl.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <ggml.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/cpu/cpu.h"
#include "nn/pin.h"
#include "nn/device_search.h"
#include "nn/late_ggml.h"
#include "nn/nvidia/run.h"
#include "nn/rpc.h"
#include "nn/upload.h"

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

/* How long a network may be silent, unless somebody says otherwise. */
enum { DEFAULT_PATIENCE = 60 };

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
    d->patience = DEFAULT_PATIENCE;
    if (nn_rpc_address(want))
        d->worker = nn_rpc_peer_of(nn_rpc_address(want));
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

enum err_code nn_device_watch_clients(struct err *e)
{
    return nn_rpc_watch_clients(e);
}

enum err_code nn_device_serve(const struct nn_device *d, const char *address, struct err *e)
{
    if (d->card)
        return err_set(e, ERR_DEVICE,
                       "a worker can offer the CPU or a Vulkan device, but not a CUDA "
                       "one: use --device vulkan");
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
    struct err why = {0};
    if (late_open(&nn_ggml, &why) == ERR_OK)
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

bool nn_device_has_compute(const struct nn_device *d, enum nn_compute c)
{
    if (c == NN_COMPUTE_INT8)
        return d->card || (d->is_cpu && nn_cpu_has_int8());
    return c == NN_COMPUTE_DEFAULT || (d->card && nv_card_architecture(d->card) >= 90);
}

void nn_device_use_compute(struct nn_device *d, enum nn_compute c)
{
    d->compute = nn_device_has_compute(d, c) ? c : NN_COMPUTE_DEFAULT;
}

enum nn_compute nn_device_compute(const struct nn_device *d)
{
    return d->compute;
}

void nn_device_info(const struct nn_device *d, struct nn_device_info *out)
{
    if (d->card)
        device_describe_card(d->card, out);
    else
        device_describe(d->dev, out);
}

bool nn_device_has_bf16(const struct nn_device *d)
{
    return d->card || device_has_bf16(d->dev);
}
