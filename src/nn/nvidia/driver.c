#include "nn/nvidia/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* Filled once. */
static struct nv_driver driver;
static struct err failure;
static bool usable;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool find(void *lib, const char *symbol, void *field)
{
    void *f = dlsym(lib, symbol);
    memcpy(field, &f, sizeof f);
    return f != NULL;
}

static enum err_code find_all(void *lib, struct err *e)
{
#define NV_FN(field, symbol, parameters)                                                           \
    if (!find(lib, symbol, &driver.field))                                                         \
        return err_set(e, ERR_DEVICE, "NVIDIA's driver is too old: it has no %s", symbol);
    NV_DRIVER_FUNCTIONS(NV_FN)
#undef NV_FN
#define NV_FN(field, symbol, parameters) (void)find(lib, symbol, &driver.field);
    NV_DRIVER_TENSOR_MAP(NV_FN)
#undef NV_FN
    driver.records = true;
#define NV_FN(field, symbol, parameters)                                                           \
    driver.records = find(lib, symbol, &driver.field) && driver.records;
    NV_DRIVER_RECORDING(NV_FN)
#undef NV_FN
    return ERR_OK;
}

static void note_path(void)
{
    Dl_info info;
    void *symbol;
    memcpy(&symbol, &driver.init, sizeof symbol);
    if (dladdr(symbol, &info) && info.dli_fname && info.dli_fname[0] == '/')
        (void)snprintf(driver.path, sizeof driver.path, "%s", info.dli_fname);
}

static enum err_code start(struct err *e)
{
    char words[200];
    nv_result r = driver.init(0);
    if (r == NV_ERROR_NO_DEVICE)
        return err_set(e, ERR_NOTFOUND, "NVIDIA's driver finds no card");
    if (r != NV_SUCCESS)
        return err_set(e, ERR_DEVICE, "NVIDIA's driver does not start: %s",
                       nv_driver_words(&driver, r, words, sizeof words));
    if (driver.driver_version(&driver.version) != NV_SUCCESS)
        driver.version = 0;
    return ERR_OK;
}

static void open_driver(void)
{
    const char *own = getenv("VEETANCE_CUDA_DRIVER");
    const char *name = own && *own ? own : "libcuda.so.1";
    void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        (void)err_set(&failure, ERR_NOTFOUND, "there is no driver for NVIDIA cards (%s)", name);
        return;
    }
    enum err_code rc = find_all(lib, &failure);
    if (rc == ERR_OK)
        note_path();
    if (rc == ERR_OK)
        rc = start(&failure);
    usable = rc == ERR_OK;
    if (!usable)
        log_debug("%s", failure.text);
}

const struct nv_driver *nv_driver_get(struct err *why)
{
    (void)pthread_once(&once, open_driver);
    if (usable)
        return &driver;
    if (why)
        *why = failure;
    return NULL;
}

const char *nv_driver_words(const struct nv_driver *d, nv_result r, char *out, size_t size)
{
    const char *name = NULL, *text = NULL;
    if (d->error_name(r, &name) != NV_SUCCESS || !name)
        name = "an unknown error";
    if (d->error_text(r, &text) != NV_SUCCESS || !text)
        text = "no explanation";
    (void)snprintf(out, size, "%s: %s", name, text);
    return out;
}
