#include "nn/cpu/cpu.h"
#include "nn/device.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ggml.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/upload.h"
#include "nn/device_pin.h"
#include "nn/rpc.h"

enum { PATH_BYTES = 4096, MAX_VULKAN = 16 };

struct nn_device {
    char library[PATH_BYTES];
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
};

/* The Vulkan backend tells only its log whether a card's matrix units take bf16:
 * "ggml_vulkan: 0 = NAME (DRIVER) | uma: 0 | fp16: 1 | bf16: 0 | ..." */
static bool vulkan_bf16[MAX_VULKAN];

static void note_vulkan(const char *text)
{
    static const char head[] = "ggml_vulkan: ";
    if (strncmp(text, head, sizeof head - 1) != 0)
        return;
    char *end;
    unsigned long i = strtoul(text + sizeof head - 1, &end, 10);
    if (strncmp(end, " = ", 3) == 0 && i < MAX_VULKAN)
        vulkan_bf16[i] = strstr(end, "| bf16: 1") != NULL;
}

static void ggml_log_sink(enum ggml_log_level level, const char *text, void *user)
{
    (void)user;
    note_vulkan(text);
    if (level == GGML_LOG_LEVEL_ERROR)
        log_line(LOG_WARN, "ggml: %s", text);
    else if (level != GGML_LOG_LEVEL_CONT && text[0] != '\n')
        log_line(LOG_DEBUG, "ggml: %s", text);
}

/* While a backend is only tried: that a machine has no driver for it is no news. */
static void ggml_log_quiet(enum ggml_log_level level, const char *text, void *user)
{
    (void)level;
    (void)user;
    note_vulkan(text);
    if (text[0] != '\n')
        log_line(LOG_DEBUG, "ggml: %s", text);
}

/* ".../libggml.so.0" -> ".../ggml/backends0": where the distribution puts the backends. */
static enum err_code backend_dir(char *out, size_t size, struct err *e)
{
    const char *own = getenv("VEETANCE_GGML_DIR");
    if (own && *own) {
        if ((size_t)snprintf(out, size, "%s", own) >= size)
            return err_set(e, ERR_LIMIT, "VEETANCE_GGML_DIR is too long");
        return ERR_OK;
    }
    Dl_info info;
    void *sym = dlsym(RTLD_DEFAULT, "ggml_backend_load");
    if (!sym || !dladdr(sym, &info) || !info.dli_fname || !strrchr(info.dli_fname, '/'))
        return err_set(e, ERR_DEVICE,
                       "cannot tell where libggml is installed; set VEETANCE_GGML_DIR");
    int dir_len = (int)(strrchr(info.dli_fname, '/') - info.dli_fname);
    int n = snprintf(out, size, "%.*s/ggml/backends0", dir_len, info.dli_fname);
    if (n < 0 || (size_t)n >= size)
        return err_set(e, ERR_LIMIT, "the path of libggml is too long");
    if (!file_is_dir(out)) /* a build of ggml that keeps its backends beside the library */
        out[dir_len] = 0;
    return ERR_OK;
}

/* How well a CPU variant fits this processor: its own score function, 0 = does not run here. */
static int cpu_variant_score(const char *path)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return 0;
    int (*score)(void);
    *(void **)&score = dlsym(lib, "ggml_backend_score");
    int s = score ? score() : 1;
    dlclose(lib);
    return s;
}

static enum err_code load_best_cpu(const char *dir, struct err *e)
{
    char best[PATH_BYTES] = "", path[PATH_BYTES];
    int best_score = 0;
    DIR *d = opendir(dir);
    if (!d)
        return err_set(e, ERR_DEVICE, "no ggml backends in '%s'; install the package libggml0",
                       dir);
    for (struct dirent *ent = readdir(d); ent; ent = readdir(d)) {
        if (strncmp(ent->d_name, "libggml-cpu", 11) != 0 || !strstr(ent->d_name, ".so"))
            continue;
        if (file_join(path, sizeof path, dir, ent->d_name, NULL) != ERR_OK)
            continue;
        int s = cpu_variant_score(path);
        if (s > best_score) {
            best_score = s;
            memcpy(best, path, sizeof best);
        }
    }
    closedir(d);
    if (!best[0] || !ggml_backend_load(best))
        return err_set(e, ERR_DEVICE, "no ggml CPU backend in '%s' runs on this processor", dir);
    log_debug("cpu backend %s", best);
    return ERR_OK;
}

static bool have_backend(const char *reg_name)
{
    return ggml_backend_reg_by_name(reg_name) != NULL;
}

static enum err_code load_cpu(struct err *e)
{
    char dir[PATH_BYTES];
    ggml_log_set(ggml_log_sink, NULL);
    if (have_backend("CPU"))
        return ERR_OK;
    enum err_code rc = backend_dir(dir, sizeof dir, e);
    return rc == ERR_OK ? load_best_cpu(dir, e) : rc;
}

/* Without a GPU's device node whatever Vulkan offers is a software rasteriser. It emulates half floats, which
 * makes them slower than float32 and costs three digits: the backend is told not to use them. */
static void prepare_vulkan(void)
{
    if (!file_exists("/dev/dri") && !file_exists("/dev/nvidia0") && !file_exists("/dev/dxg"))
        (void)setenv("GGML_VK_DISABLE_F16", "1", 0);
}

/* Loads libggml-KIND.so if it is installed; silence when it is not (the caller sees no device). */
static enum err_code load_gpu(const char *kind, struct err *e)
{
    char dir[PATH_BYTES], name[80], path[PATH_BYTES];
    if (have_backend(kind))
        return ERR_OK;
    enum err_code rc = backend_dir(dir, sizeof dir, e);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(kind, "vulkan") == 0)
        prepare_vulkan();
    (void)snprintf(name, sizeof name, "libggml-%s.so", kind);
    rc = file_join(path, sizeof path, dir, name, e);
    if (rc != ERR_OK || !file_exists(path))
        return rc;
    ggml_log_set(ggml_log_quiet, NULL);
    if (!ggml_backend_load(path))
        log_debug("the ggml backend '%s' is installed but has no device here", kind);
    ggml_log_set(ggml_log_sink, NULL);
    return ERR_OK;
}

static const char *const gpu_kinds[] = {"cuda", "hip", "vulkan", "sycl"};

static enum err_code load_all(struct err *e)
{
    enum err_code rc = load_cpu(e);
    for (size_t i = 0; rc == ERR_OK && i < sizeof gpu_kinds / sizeof gpu_kinds[0]; i++)
        rc = load_gpu(gpu_kinds[i], e);
    return rc;
}

static bool dev_is_cpu(ggml_backend_dev_t dev)
{
    return ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
}

/* A software rasteriser answers as a GPU; it is for tests and never chosen unasked. */
static bool is_software(ggml_backend_dev_t dev)
{
    return strstr(ggml_backend_dev_description(dev), "llvmpipe") != NULL;
}

static void describe(ggml_backend_dev_t dev, struct nn_device_info *out)
{
    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "%s", ggml_backend_dev_name(dev));
    for (char *p = out->name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    (void)snprintf(out->description, sizeof out->description, "%s",
                   ggml_backend_dev_description(dev));
    out->is_cpu = dev_is_cpu(dev);
    out->is_software = is_software(dev);
    size_t free_bytes = 0, total = 0;
    ggml_backend_dev_memory(dev, &free_bytes, &total);
    out->free_bytes = free_bytes;
    out->total_bytes = total;
}

enum err_code nn_device_list(struct nn_device_info *out, size_t max, size_t *n, struct err *e)
{
    enum err_code rc = load_all(e);
    *n = 0;
    for (size_t i = 0; rc == ERR_OK && i < ggml_backend_dev_count() && *n < max; i++)
        describe(ggml_backend_dev_get(i), &out[(*n)++]);
    return rc;
}

static bool matches(ggml_backend_dev_t dev, const char *want)
{
    const char *name = ggml_backend_dev_name(dev);
    if (strcasecmp(want, "auto") == 0)
        return !dev_is_cpu(dev) && !is_software(dev) &&
               ggml_backend_dev_type(dev) != GGML_BACKEND_DEVICE_TYPE_ACCEL;
    if (strcasecmp(name, want) == 0)
        return true;
    /* "vulkan" means the first of its kind. */
    size_t n = strlen(want);
    return strncasecmp(name, want, n) == 0 && isdigit((unsigned char)name[n]);
}

static ggml_backend_dev_t find_device(const char *want)
{
    for (size_t i = 0; i < ggml_backend_dev_count(); i++)
        if (matches(ggml_backend_dev_get(i), want))
            return ggml_backend_dev_get(i);
    return NULL;
}

/* Loads what the name asks for and finds it. */
static enum err_code search(const char *want, ggml_backend_dev_t *out, struct err *e)
{
    enum err_code rc;
    if (strcasecmp(want, "cpu") == 0)
        rc = load_cpu(e);
    else if (strncasecmp(want, "vulkan", 6) == 0 || strncasecmp(want, "cuda", 4) == 0)
        rc = load_gpu(tolower((unsigned char)want[0]) == 'v' ? "vulkan" : "cuda", e);
    else
        rc = load_all(e);
    if (rc != ERR_OK)
        return rc;
    ggml_log_set(ggml_log_sink, NULL);
    *out = find_device(want);
    if (!*out && strcasecmp(want, "auto") == 0)
        *out = find_device("cpu");
    if (!*out)
        return err_set(e, ERR_DEVICE,
                       "there is no device '%s'; `veetance devices` lists what this machine has",
                       want);
    return ERR_OK;
}

/* The pinned library where there is a pin that holds; else whatever is found, which a pin that did not hold
 * is replaced with. */
static enum err_code choose(const char *want, ggml_backend_dev_t *out, struct err *e)
{
    char pinned[DEVICE_NAME_BYTES];
    ggml_log_set(ggml_log_sink, NULL);
    if (strcasecmp(want, "cpu") != 0)
        prepare_vulkan();
    enum device_pin_state pin = device_pin_load(want, pinned);
    if (pin == DEVICE_PIN_LOADED) {
        *out = find_device(pinned);
        if (*out)
            return ERR_OK;
        log_warn("the pinned device '%s' is not there; looking for the devices anew", pinned);
        pin = DEVICE_PIN_STALE;
    }
    enum err_code rc = search(want, out, e);
    if (rc == ERR_OK && pin == DEVICE_PIN_STALE)
        device_pin_renew(want, *out);
    return rc;
}

/* Another machine's device; nothing is pinned for it. */
static enum err_code choose_remote(const char *address, ggml_backend_dev_t *out, struct err *e)
{
    enum err_code rc = load_cpu(e);
    if (rc == ERR_OK)
        rc = load_gpu("rpc", e);
    return rc == ERR_OK ? nn_rpc_connect(address, out, e) : rc;
}

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

enum err_code nn_device_open(const char *want, int threads, struct nn_device **out, struct err *e)
{
    ggml_backend_dev_t dev = NULL;
    *out = NULL;
    int64_t start = clock_ns();
    const char *remote = nn_rpc_address(want);
    enum err_code rc =
        remote ? choose_remote(remote, &dev, e) : choose(want && *want ? want : "auto", &dev, e);
    if (rc != ERR_OK)
        return rc;
    int64_t chosen = clock_ns();
    struct nn_device *d = mem_alloc(sizeof *d);
    d->dev = dev;
    d->is_cpu = dev_is_cpu(dev);
    d->threads = 1;
    d->backend = ggml_backend_dev_init(dev, NULL);
    if (!d->backend) {
        mem_free(d);
        return err_set(e, ERR_DEVICE, "the device '%s' does not start", want);
    }
    if (d->is_cpu)
        setup_cpu(d, threads);
    if (!device_pin_library_of(dev, d->library, sizeof d->library))
        d->library[0] = 0;
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
    ggml_backend_free(d->backend);
    mem_free(d);
}

enum err_code nn_device_serve(const struct nn_device *d, const char *address, struct err *e)
{
    enum err_code rc = load_gpu("rpc", e);
    return rc == ERR_OK ? nn_rpc_serve(address, d->dev, d->threads, e) : rc;
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
    describe(d->dev, out);
}

void nn_device_set_cancel(struct nn_device *d, const atomic_bool *cancel)
{
    d->cancel = cancel;
}

const atomic_bool *nn_device_cancel(const struct nn_device *d)
{
    return d->cancel;
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

bool nn_device_is_cuda(const struct nn_device *d)
{
    return strcmp(ggml_backend_reg_name(ggml_backend_dev_backend_reg(d->dev)), "CUDA") == 0;
}

bool nn_device_has_bf16(const struct nn_device *d)
{
    const char *name = ggml_backend_dev_name(d->dev);
    if (strncasecmp(name, "vulkan", 6) != 0)
        return true;
    unsigned long i = strtoul(name + 6, NULL, 10);
    return i < MAX_VULKAN && vulkan_bf16[i];
}

struct nn_uploader *nn_device_uploader(struct nn_device *d)
{
    if (!d->uploader)
        d->uploader = nn_uploader_new(d->dev);
    return d->uploader;
}

uint64_t nn_device_pinned_bytes(const struct nn_device *d)
{
    return d->uploader ? nn_uploader_pinned_bytes(d->uploader) : 0;
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
