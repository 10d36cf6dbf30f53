/* device_search.c - finds the device that a name asks for, and loads the library that drives it.
 *
 * Order for a name: the pinned library, if a pin says which; for "cuda" and "auto" NVIDIA's driver; then ggml's
 * backends, of which only those are loaded that the name can mean; for "auto" the CPU last. ggml's CPU library
 * must be the variant that fits this processor best: each is opened, asked for its score and closed, and only the
 * winner is loaded.
 *
 * Backends stay loaded until the process ends. GGML_VK_DISABLE_F16 has to be set before the Vulkan backend loads.
 * The worker and a question that does not wait behind it may search at the same time; ggml's registry has no lock, so
 * one search is under way at a time.
 */
#include "nn/device_search.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/log.h"
#include "nn/cpu/isa.h"
#include "nn/late_ggml.h"
#include "nn/pin.h"
#include "nn/nvidia/card.h"
#include "nn/rpc.h"

enum { PATH_BYTES = 4096, MAX_VULKAN = 16, MAX_CARDS = 16 };

/* The Vulkan backend tells only its log whether a card's matrix units take bf16:
 * "ggml_vulkan: 0 = NAME (DRIVER) | uma: 0 | fp16: 1 | bf16: 0 | ..." */
static bool vulkan_bf16[MAX_VULKAN];

/* Held by every search, from loading a backend to having found a device of it. */
static pthread_mutex_t searching = PTHREAD_MUTEX_INITIALIZER;

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

/* While a backend is only tried: a missing driver is normal and not worth a warning. */
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
    TRY(late_open(&nn_ggml, e));
    void *sym = dlsym(nn_ggml.handle, "ggml_backend_load");
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
        if (strncmp(ent->d_name, "libggml-cpu", 11) != 0 || !strstr(ent->d_name, ".so") ||
            !nn_isa_allows_variant(ent->d_name))
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
    TRY(nn_isa_check(e));
    TRY(backend_dir(dir, sizeof dir, e));
    return load_best_cpu(dir, e);
}

/* Without a GPU's device node whatever Vulkan offers is a software rasteriser. It emulates half floats, which
 * makes them slower than float32 and costs three digits: the backend is told not to use them. */
static void prepare_vulkan(void)
{
    if (!file_exists("/dev/dri") && !file_exists("/dev/nvidia0") && !file_exists("/dev/dxg"))
        (void)setenv("GGML_VK_DISABLE_F16", "1", 0);
}

/* Loads libggml-KIND.so if it is installed; not an error when it is not (the caller finds no device). */
static enum err_code load_gpu(const char *kind, struct err *e)
{
    char dir[PATH_BYTES], name[80], path[PATH_BYTES];
    if (have_backend(kind))
        return ERR_OK;
    TRY(backend_dir(dir, sizeof dir, e));
    if (strcmp(kind, "vulkan") == 0)
        prepare_vulkan();
    (void)snprintf(name, sizeof name, "libggml-%s.so", kind);
    TRY(file_join(path, sizeof path, dir, name, e));
    if (!file_exists(path))
        return ERR_OK;
    ggml_log_set(ggml_log_quiet, NULL);
    if (!ggml_backend_load(path))
        log_debug("the ggml backend '%s' is installed but has no device here", kind);
    ggml_log_set(ggml_log_sink, NULL);
    return ERR_OK;
}

/* NVIDIA cards run on our own engine (nn/nvidia), except old ones, which use Vulkan. */
static const char *const gpu_kinds[] = {"hip", "vulkan", "sycl"};

static enum err_code load_all(struct err *e)
{
    TRY(load_cpu(e));
    for (size_t i = 0; i < sizeof gpu_kinds / sizeof gpu_kinds[0]; i++)
        TRY(load_gpu(gpu_kinds[i], e));
    return ERR_OK;
}

bool device_is_cpu(ggml_backend_dev_t dev)
{
    return ggml_backend_dev_type(dev) == GGML_BACKEND_DEVICE_TYPE_CPU;
}

/* A software rasteriser looks like a GPU; it is for tests and never chosen by default. */
static bool is_software(ggml_backend_dev_t dev)
{
    return strstr(ggml_backend_dev_description(dev), "llvmpipe") != NULL;
}

void device_describe(ggml_backend_dev_t dev, struct nn_device_info *out)
{
    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "%s", ggml_backend_dev_name(dev));
    for (char *p = out->name; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    (void)snprintf(out->description, sizeof out->description, "%s",
                   ggml_backend_dev_description(dev));
    out->is_cpu = device_is_cpu(dev);
    out->is_software = is_software(dev);
    size_t free_bytes = 0, total = 0;
    ggml_backend_dev_memory(dev, &free_bytes, &total);
    out->free_bytes = free_bytes;
    out->total_bytes = total;
}

static void describe_card(const struct nv_card_info *card, struct nn_device_info *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->name, card->name, sizeof out->name);
    memcpy(out->description, card->description, sizeof out->description);
    out->is_card = true;
    out->has_fp8 = card->architecture >= 90;
    out->free_bytes = card->free_bytes;
    out->total_bytes = card->total_bytes;
}

void device_describe_card(struct nv_card *card, struct nn_device_info *out)
{
    struct nv_card_info info;
    nv_card_describe(card, &info);
    describe_card(&info, out);
}

bool device_has_bf16(ggml_backend_dev_t dev)
{
    const char *name = ggml_backend_dev_name(dev);
    if (strncasecmp(name, "vulkan", 6) != 0)
        return true;
    unsigned long i = strtoul(name + 6, NULL, 10);
    return i < MAX_VULKAN && vulkan_bf16[i];
}

static enum err_code list_all(struct nn_device_info *out, size_t max, size_t *n, struct err *e)
{
    struct nv_card_info cards[MAX_CARDS];
    *n = 0;
    TRY(late_open(&nn_ggml, e));
    enum err_code rc = load_all(e);
    size_t n_cards = rc == ERR_OK ? nv_card_list(cards, MAX_CARDS) : 0;
    for (size_t i = 0; i < n_cards && *n < max; i++)
        describe_card(&cards[i], &out[(*n)++]);
    for (size_t i = 0; rc == ERR_OK && i < ggml_backend_dev_count() && *n < max; i++)
        device_describe(ggml_backend_dev_get(i), &out[(*n)++]);
    return rc;
}

enum err_code nn_device_list(struct nn_device_info *out, size_t max, size_t *n, struct err *e)
{
    pthread_mutex_lock(&searching);
    enum err_code rc = list_all(out, max, n, e);
    pthread_mutex_unlock(&searching);
    return rc;
}

static bool matches(ggml_backend_dev_t dev, const char *want)
{
    const char *name = ggml_backend_dev_name(dev);
    if (strcasecmp(want, "auto") == 0)
        return !device_is_cpu(dev) && !is_software(dev) &&
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

static bool is_cuda(const char *want)
{
    return strncasecmp(want, "cuda", 4) == 0;
}

/* Loads what the name asks for and finds it. */
static enum err_code search_ggml(const char *want, ggml_backend_dev_t *out, struct err *e)
{
    if (strcasecmp(want, "cpu") == 0)
        TRY(load_cpu(e));
    else {
        if (strncasecmp(want, "vulkan", 6) == 0)
            TRY(load_gpu("vulkan", e));
        else
            TRY(load_all(e));
    }
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

/* For "auto" an NVIDIA card comes first. Having none is normal; one that does not start is worth a warning. */
static enum err_code search(const char *want, struct device_found *out, struct err *e)
{
    bool automatic = strcasecmp(want, "auto") == 0;
    struct err why = {0};
    if (!automatic && !is_cuda(want))
        return search_ggml(want, &out->dev, e);
    enum err_code rc = nv_card_open(automatic ? "cuda" : want, &out->card, &why);
    if (rc == ERR_OK)
        return rc;
    if (!automatic)
        return err_set(e, ERR_DEVICE, "%s; `veetance devices` lists what this machine has",
                       why.text);
    if (rc == ERR_NOTFOUND)
        log_debug("%s", why.text);
    else
        log_warn("%s", why.text);
    return search_ggml(want, &out->dev, e);
}

/* The device that a pin names, whose library is loaded. */
static bool find_pinned(const char *name, struct device_found *out)
{
    struct err why = {0};
    if (is_cuda(name)) {
        if (nv_card_open(name, &out->card, &why) == ERR_OK)
            return true;
        log_warn("%s", why.text);
        return false;
    }
    out->dev = find_device(name);
    return out->dev != NULL;
}

static void renew_pin(const char *want, const struct device_found *found)
{
    struct nn_device_info info;
    char library[PATH_BYTES] = "";
    if (found->card) {
        device_describe_card(found->card, &info);
        (void)snprintf(library, sizeof library, "%s", nv_card_library(found->card));
    } else {
        device_describe(found->dev, &info);
        if (!device_pin_library_of(found->dev, library, sizeof library))
            library[0] = 0;
    }
    device_pin_renew(want, &info, library);
}

/* The pinned device if its pin is valid; else whatever the search finds, and a stale pin is rewritten for that. */
static enum err_code choose(const char *want, struct device_found *out, struct err *e)
{
    char pinned[DEVICE_NAME_BYTES];
    ggml_log_set(ggml_log_sink, NULL);
    if (strcasecmp(want, "cpu") != 0)
        prepare_vulkan();
    enum device_pin_state pin = device_pin_load(want, pinned);
    if (pin == DEVICE_PIN_LOADED) {
        if (find_pinned(pinned, out))
            return ERR_OK;
        log_warn("the pinned device '%s' is not there; searching for devices again", pinned);
        pin = DEVICE_PIN_STALE;
    }
    TRY(search(want, out, e));
    if (pin == DEVICE_PIN_STALE)
        renew_pin(want, out);
    return ERR_OK;
}

static enum err_code load_rpc(struct err *e)
{
    TRY(load_cpu(e));
    return load_gpu("rpc", e);
}

enum err_code device_load_rpc(struct err *e)
{
    pthread_mutex_lock(&searching);
    enum err_code rc = load_gpu("rpc", e);
    pthread_mutex_unlock(&searching);
    return rc;
}

/* Another machine's device; nothing is pinned for it. A machine that does not answer holds up no other search. */
static enum err_code choose_remote(const char *address, ggml_backend_dev_t *out, struct err *e)
{
    pthread_mutex_lock(&searching);
    enum err_code rc = load_rpc(e);
    pthread_mutex_unlock(&searching);
    return rc == ERR_OK ? nn_rpc_connect(address, out, e) : rc;
}

enum err_code device_find(const char *want, struct device_found *out, struct err *e)
{
    const char *remote = nn_rpc_address(want);
    *out = (struct device_found){0};
    TRY(late_open(&nn_ggml, e));
    if (remote)
        return choose_remote(remote, &out->dev, e);
    pthread_mutex_lock(&searching);
    enum err_code rc = choose(want && *want ? want : "auto", out, e);
    pthread_mutex_unlock(&searching);
    return rc;
}
