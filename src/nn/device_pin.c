/* device_pin.c - loads the library that pin.json names, and writes the file.
 *
 * A pin only ever saves time: whatever is wrong with it (gone, changed, for another processor) costs a warning and
 * a search, never a failed start. So loading answers with one of three states, and only a stale pin is written
 * anew. No pin is read or written while VEETANCE_GGML_DIR or VEETANCE_CPU_ISA choose libraries by hand.
 */
#include "nn/device_pin.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/cpu/isa.h"
#include "nn/device.h"

/* "vulkan" means the first of its kind, "vulkan1" exactly that one. */
static bool is_of_kind(const char *name, const char *want)
{
    size_t n = strlen(want);
    return strncasecmp(name, want, n) == 0 && (!name[n] || isdigit((unsigned char)name[n]));
}

/* The library to load for `want`, NULL when the pin does not say; the device's name with it. */
static const struct nn_pin_library *pinned_for(const struct nn_pin *pin, const char *want,
                                               char name[DEVICE_NAME_BYTES])
{
    bool is_auto = strcasecmp(want, "auto") == 0;
    const char *device = is_auto ? pin->device : want;
    const struct nn_pin_library *lib = NULL;
    if (strcasecmp(device, "cpu") == 0)
        lib = &pin->cpu;
    else if (is_of_kind(pin->device, device))
        lib = &pin->library;
    (void)snprintf(name, DEVICE_NAME_BYTES, "%s", device);
    return lib && lib->path[0] ? lib : NULL;
}

/* Asks a CPU library whether this processor can run it: home folders are shared between machines. */
static bool runs_here(const char *path)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return false;
    int (*score)(void);
    *(void **)&score = dlsym(lib, "ggml_backend_score");
    bool ok = !score || score() > 0;
    dlclose(lib);
    return ok;
}

static bool is_loaded(const char *path)
{
    char have[NN_PIN_PATH_BYTES];
    for (size_t i = 0; i < ggml_backend_dev_count(); i++)
        if (device_pin_library_of(ggml_backend_dev_get(i), have, sizeof have) &&
            strcmp(have, path) == 0)
            return true;
    return false;
}

/* NVIDIA's driver is opened by nv_card_open: here it is only checked to be the recorded one. */
static bool load_library(const struct nn_pin_library *lib, const char *device)
{
    struct err e = {0};
    int64_t start = clock_ns();
    if (is_loaded(lib->path))
        return true;
    if (nn_pin_library_check(lib, &e) != ERR_OK) {
        log_warn("%s; searching for devices again", e.text);
        return false;
    }
    if (is_of_kind(device, "cuda"))
        return true;
    if (!runs_here(lib->path) || !ggml_backend_load(lib->path)) {
        log_warn(
            "the pinned library '%s' does not run on this machine; searching for devices again",
            lib->path);
        return false;
    }
    log_debug("boot: pinned library loaded in %.1f ms", (double)(clock_ns() - start) * 1e-6);
    return true;
}

enum device_pin_state device_pin_load(const char *want, char name[DEVICE_NAME_BYTES])
{
    const char *own = getenv("VEETANCE_GGML_DIR");
    char path[NN_PIN_PATH_BYTES];
    struct err e = {0};
    name[0] = 0;
    if ((own && *own) || nn_isa_limited() || nn_pin_path(path, sizeof path, NULL) != ERR_OK)
        return DEVICE_PIN_NONE;
    struct nn_pin *pin = mem_alloc(sizeof *pin);
    enum device_pin_state state = DEVICE_PIN_NONE;
    enum err_code rc = nn_pin_read(path, pin, &e);
    if (rc == ERR_OK) {
        const struct nn_pin_library *lib = pinned_for(pin, want, name);
        if (lib)
            state = load_library(lib, name) ? DEVICE_PIN_LOADED : DEVICE_PIN_STALE;
    } else if (rc != ERR_NOTFOUND) {
        log_warn("the pin cannot be used: %s; searching for devices again", e.text);
        state = DEVICE_PIN_STALE;
    }
    mem_free(pin);
    return state;
}

/* ---- writing --------------------------------------------------------------------------------------- */

bool device_pin_library_of(ggml_backend_dev_t dev, char *out, size_t size)
{
    Dl_info info;
    /* A backend's registry entry is a static object of its library. */
    if (!dladdr((const void *)ggml_backend_dev_backend_reg(dev), &info) || !info.dli_fname ||
        info.dli_fname[0] != '/')
        return false;
    int n = snprintf(out, size, "%s", info.dli_fname);
    return n > 0 && (size_t)n < size;
}

static enum err_code note_library(const struct nn_device_info *d, const char *library,
                                  struct nn_pin *pin, struct err *e)
{
    if (!library[0])
        return err_set(e, ERR_DEVICE, "cannot tell which library the device '%s' comes from",
                       d->name);
    return nn_pin_library_note(library, d->is_cpu ? &pin->cpu : &pin->library, e);
}

void device_pin_renew(const char *want, const struct nn_device_info *found, const char *library)
{
    char path[NN_PIN_PATH_BYTES];
    struct err e = {0};
    struct nn_pin *pin = mem_alloc(sizeof *pin);
    enum err_code rc = nn_pin_path(path, sizeof path, &e);
    if (rc == ERR_OK && nn_pin_read(path, pin, NULL) != ERR_OK)
        memset(pin, 0, sizeof *pin);
    if (strcasecmp(want, "auto") == 0 || !pin->device[0]) {
        memset(pin, 0, sizeof *pin);
        memcpy(pin->device, found->name, sizeof pin->device);
    }
    if (rc != ERR_OK)
        goto done;
    TRY_GOTO(note_library(found, library, pin, &e), done);
    rc = nn_pin_write(path, pin, &e);
done:
    if (rc == ERR_OK)
        log_warn("pinned again: '%s' (`veetance devices --pin` measures again)", pin->device);
    else
        log_warn("the pin could not be renewed: %s", e.text);
    mem_free(pin);
}

/* The CPU's library too where it is loaded: --device cpu then starts as quickly. */
static enum err_code note_cpu(struct nn_pin *pin, struct err *e)
{
    char path[NN_PIN_PATH_BYTES];
    const struct nn_device_info info = {.is_cpu = true, .name = "cpu"};
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!cpu || pin->cpu.path[0])
        return ERR_OK;
    if (!device_pin_library_of(cpu, path, sizeof path))
        path[0] = 0;
    return note_library(&info, path, pin, e);
}

enum err_code nn_device_pin(const struct nn_device *d, double flops, struct err *e)
{
    char path[NN_PIN_PATH_BYTES];
    struct nn_device_info info;
    struct nn_pin *pin = mem_alloc(sizeof *pin);
    nn_device_info(d, &info);
    memcpy(pin->device, info.name, sizeof pin->device);
    pin->gflops = flops * 1e-9;
    enum err_code rc;
    TRY_GOTO(nn_pin_path(path, sizeof path, e), done);
    TRY_GOTO(note_library(&info, nn_device_library(d), pin, e), done);
    TRY_GOTO(note_cpu(pin, e), done);
    rc = nn_pin_write(path, pin, e);
done:
    mem_free(pin);
    return rc;
}
