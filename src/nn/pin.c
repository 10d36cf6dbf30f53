/* pin.c - the file pin.json, and whether the libraries it names are still the same.
 *
 * Reading, writing and checking pin.json, and starting by it. Size and modification
 * time are compared first, as hashing a library of 60 MB costs more than all the rest of a start; the hash is only
 * computed when they differ, so that a reinstalled but identical library stays pinned.
 */
#include "nn/pin.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/cpu/isa.h"
#include "nn/device.h"

static const char what[] = "pin.json";

enum err_code nn_pin_path(char *out, size_t size, struct err *e)
{
    return home_path(HOME_CONFIG, "pin.json", out, size, e);
}

/* ---- reading --------------------------------------------------------------------------------------- */

static enum err_code copy_text(struct str s, char *out, size_t size, const char *key, struct err *e)
{
    if (s.n >= size || memchr(s.p, 0, s.n))
        return err_set(e, ERR_FORMAT, "%s: '%s' is no text of at most %zu bytes", what, key,
                       size - 1);
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return ERR_OK;
}

static enum err_code read_text(yyjson_val *o, const char *key, char *out, size_t size,
                               struct err *e)
{
    struct str s = {"", 0};
    TRY(json_get_str(o, key, &s, what, e));
    return copy_text(s, out, size, key, e);
}

static enum err_code read_library(yyjson_val *root, const char *key, struct nn_pin_library *out,
                                  struct err *e)
{
    yyjson_val *o = yyjson_obj_get(root, key);
    int64_t bytes = 0;
    if (!o || yyjson_is_null(o))
        return ERR_OK;
    if (!yyjson_is_obj(o))
        return err_set(e, ERR_FORMAT, "%s: '%s' should be an object", what, key);
    enum err_code rc;
    TRY_GOTO(read_text(o, "path", out->path, sizeof out->path, e), done);
    TRY_GOTO(json_get_i64(o, "bytes", 0, INT64_MAX, &bytes, what, e), done);
    TRY_GOTO(json_get_i64(o, "mtime_ns", INT64_MIN, INT64_MAX, &out->mtime_ns, what, e), done);
    TRY_GOTO(read_text(o, "sha256", out->sha256, sizeof out->sha256, e), done);
    if (out->path[0] != '/')
        rc = err_set(e, ERR_FORMAT, "%s: '%s' names no absolute path", what, key);
done:
    out->bytes = (uint64_t)bytes;
    return rc;
}

enum err_code nn_pin_parse(struct str text, struct nn_pin *out, struct err *e)
{
    yyjson_doc *doc;
    int64_t version = 0;
    memset(out, 0, sizeof *out);
    TRY(json_parse(text, what, &doc, e));
    yyjson_val *root = yyjson_doc_get_root(doc);
    enum err_code rc = ERR_OK;
    if (!yyjson_is_obj(root)) {
        rc = err_set(e, ERR_FORMAT, "%s should be an object", what);
        goto done;
    }
    TRY_GOTO(json_get_i64(root, "veetance_pin", 0, INT64_MAX, &version, what, e), done);
    if (version != 1) {
        rc = err_set(e, ERR_FORMAT, "%s is of another version", what);
        goto done;
    }
    TRY_GOTO(read_text(root, "device", out->device, sizeof out->device, e), done);
    TRY_GOTO(json_get_double(root, "gflops", 0, 1e12, &out->gflops, what, e), done);
    TRY_GOTO(read_library(root, "library", &out->library, e), done);
    TRY_GOTO(read_library(root, "cpu_library", &out->cpu, e), done);
    if (!out->device[0] || (!out->library.path[0] && !out->cpu.path[0]))
        rc = err_set(e, ERR_FORMAT, "%s names no device or no library", what);
done:
    yyjson_doc_free(doc);
    return rc;
}

enum err_code nn_pin_read(const char *path, struct nn_pin *out, struct err *e)
{
    struct buf text;
    memset(out, 0, sizeof *out);
    if (!file_exists(path))
        return err_set(e, ERR_NOTFOUND, "nothing is pinned");
    buf_init(&text, NN_PIN_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(file_read(path, NN_PIN_MAX_BYTES, &text, e), done);
    rc = nn_pin_parse(buf_str(&text), out, e);
done:
    buf_deinit(&text);
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------------- */

static void add_library(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key,
                        const struct nn_pin_library *lib)
{
    if (!lib->path[0])
        return;
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    (void)yyjson_mut_obj_add_str(doc, o, "path", lib->path);
    (void)yyjson_mut_obj_add_uint(doc, o, "bytes", lib->bytes);
    (void)yyjson_mut_obj_add_sint(doc, o, "mtime_ns", lib->mtime_ns);
    (void)yyjson_mut_obj_add_str(doc, o, "sha256", lib->sha256);
    (void)yyjson_mut_obj_add_val(doc, root, key, o);
}

enum err_code nn_pin_write(const char *path, const struct nn_pin *pin, struct err *e)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)yyjson_mut_obj_add_int(doc, root, "veetance_pin", 1);
    (void)yyjson_mut_obj_add_str(doc, root, "device", pin->device);
    if (pin->gflops > 0)
        (void)yyjson_mut_obj_add_real(doc, root, "gflops", pin->gflops);
    add_library(doc, root, "library", &pin->library);
    add_library(doc, root, "cpu_library", &pin->cpu);
    enum err_code rc;
    TRY_GOTO(folder_make_parents(path, 0700, e), done);
    rc = json_write_file(doc, path, e);
done:
    yyjson_mut_doc_free(doc);
    return rc;
}

/* ---- libraries ------------------------------------------------------------------------------------- */

static enum err_code look(const char *path, uint64_t *bytes, int64_t *mtime_ns, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_set_sys(e, ERR_NOTFOUND, errno, "the pinned library '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_NOTFOUND, "the pinned library '%s' is no file", path);
    *bytes = (uint64_t)st.st_size;
    *mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return ERR_OK;
}

enum err_code nn_pin_library_note(const char *path, struct nn_pin_library *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    if ((size_t)snprintf(out->path, sizeof out->path, "%s", path) >= sizeof out->path)
        return err_set(e, ERR_LIMIT, "the library's path is too long");
    TRY(look(path, &out->bytes, &out->mtime_ns, e));
    return sha256_file(path, out->sha256, e);
}

enum err_code nn_pin_library_check(const struct nn_pin_library *lib, struct err *e)
{
    char hex[SHA256_HEX_SIZE];
    uint64_t bytes;
    int64_t mtime;
    enum err_code rc = look(lib->path, &bytes, &mtime, e);
    if (rc != ERR_OK || (bytes == lib->bytes && mtime == lib->mtime_ns))
        return rc;
    if (bytes == lib->bytes) {
        rc = sha256_file(lib->path, hex, e);
        if (rc != ERR_OK || strcmp(hex, lib->sha256) == 0)
            return rc;
    }
    return err_set(e, ERR_FORMAT, "the pinned library '%s' has changed", lib->path);
}

/* ---- starting by the pin --------------------------------------------------------------------- */

/* Loads the library that pin.json names, and writes the file.
 *
 * A pin only ever saves time: whatever is wrong with it (gone, changed, for another processor) costs a warning and
 * a search, never a failed start. So loading answers with one of three states, and only a stale pin is written
 * anew. No pin is read or written while VEETANCE_GGML_DIR or VEETANCE_CPU_ISA choose libraries by hand. */

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

/* ---- pinning --------------------------------------------------------------------------------------- */

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
