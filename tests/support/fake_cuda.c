#include "fake_cuda.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_kernels.h"

#define EXPORT __attribute__((visibility("default")))

enum {
    OK = 0,
    INVALID_VALUE = 1,
    NO_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_CONTEXT = 201,
    LOST = 700
};
enum { MAX_BLOCKS = 1 << 16, MULTIPROCESSORS = 4, SHARED_UNASKED = 48 << 10 };

struct owned { /* goes with its context */
    struct owned *next;
};
struct context {
    uint32_t magic;
    bool dead;
    struct owned *owned;
};
struct module {
    struct owned owned;
    struct context *context;
    char name[64];
};
struct function {
    struct owned owned;
    struct context *context;
    const struct fake_kernel *kernel;
    int shared;
};
struct block { /* of device memory, or page-locked memory of the host */
    char *p;
    size_t bytes;
    struct context *context;
    bool host;
};

static struct fake_cuda state = {
    .cards = 1, .major = 9, .minor = 0, .total_bytes = (size_t)16 << 30};
static struct block blocks[MAX_BLOCKS];
static int n_blocks;
static bool started;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct context *current;

EXPORT struct fake_cuda *fake_cuda(void);
struct fake_cuda *fake_cuda(void)
{
    return &state;
}

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("fake driver: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    state.complaints++;
    return INVALID_VALUE;
}

static long number(const char *name, long otherwise)
{
    const char *s = getenv(name);
    return s && *s ? strtol(s, NULL, 10) : otherwise;
}

/* ---- cards --------------------------------------------------------------------------------------------------- */

EXPORT int cuInit(unsigned flags);
int cuInit(unsigned flags)
{
    (void)flags;
    if (!started) { /* for programs that a test only starts */
        state.cards = (int)number("VEETANCE_FAKE_CUDA_CARDS", state.cards);
        state.major = (int)number("VEETANCE_FAKE_CUDA_MAJOR", state.major);
        state.minor = (int)number("VEETANCE_FAKE_CUDA_MINOR", state.minor);
        state.total_bytes =
            (size_t)number("VEETANCE_FAKE_CUDA_MIB", (long)(state.total_bytes >> 20)) << 20;
        state.fail_launch = number("VEETANCE_FAKE_CUDA_FAIL_LAUNCH", 0);
    }
    started = true;
    return state.cards > 0 ? OK : NO_DEVICE;
}

EXPORT int cuDriverGetVersion(int *out);
int cuDriverGetVersion(int *out)
{
    *out = 12080;
    return OK;
}

EXPORT int cuGetErrorName(int r, const char **out);
int cuGetErrorName(int r, const char **out)
{
    *out = r == NO_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY"
           : r == LOST    ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                          : "CUDA_ERROR_INVALID_VALUE";
    return OK;
}

EXPORT int cuGetErrorString(int r, const char **out);
int cuGetErrorString(int r, const char **out)
{
    *out = r == NO_MEMORY ? "out of memory"
           : r == LOST    ? "an illegal memory access was encountered"
                          : "invalid argument";
    return OK;
}

EXPORT int cuDeviceGetCount(int *out);
int cuDeviceGetCount(int *out)
{
    *out = state.cards;
    return started ? OK : complain("cuDeviceGetCount before cuInit");
}

EXPORT int cuDeviceGet(int *out, int ordinal);
int cuDeviceGet(int *out, int ordinal)
{
    *out = ordinal;
    return ordinal < state.cards ? OK : complain("there is no card %d", ordinal);
}

EXPORT int cuDeviceGetName(char *out, int size, int d);
int cuDeviceGetName(char *out, int size, int d)
{
    (void)snprintf(out, (size_t)size, "Fake Card %d", d);
    return OK;
}

EXPORT int cuDeviceGetAttribute(int *out, int attribute, int d);
int cuDeviceGetAttribute(int *out, int attribute, int d)
{
    (void)d;
    switch (attribute) {
    case 16:
        *out = MULTIPROCESSORS;
        return OK;
    case 75:
        *out = state.major;
        return OK;
    case 76:
        *out = state.minor;
        return OK;
    case 97:
        *out = state.major == 9 ? 232448 : 101376;
        return OK;
    default:
        return complain("attribute %d", attribute);
    }
}

EXPORT int cuDeviceTotalMem_v2(size_t *out, int d);
int cuDeviceTotalMem_v2(size_t *out, int d)
{
    (void)d;
    *out = state.total_bytes;
    return OK;
}

/* ---- contexts ------------------------------------------------------------------------------------------------- */

static int check_context(const char *who)
{
    if (!current) {
        (void)complain("%s without a context", who);
        return INVALID_CONTEXT;
    }
    return current->dead ? LOST : OK;
}

EXPORT int cuCtxCreate_v2(struct context **out, unsigned flags, int d);
int cuCtxCreate_v2(struct context **out, unsigned flags, int d)
{
    (void)flags;
    if (d >= state.cards)
        return complain("a context on card %d", d);
    *out = calloc(1, sizeof **out);
    if (!*out)
        return NO_MEMORY;
    (*out)->magic = 0xc0de;
    state.contexts++;
    current = *out;
    return OK;
}

/* p begins with a struct owned. */
static void own(void *p)
{
    struct owned *o = p;
    o->next = current->owned;
    current->owned = o;
}

static void free_block(int i)
{
    if (!blocks[i].host)
        state.held -= blocks[i].bytes;
    free(blocks[i].p);
    blocks[i] = blocks[--n_blocks];
}

EXPORT int cuCtxDestroy_v2(struct context *c);
int cuCtxDestroy_v2(struct context *c)
{
    if (!c || c->magic != 0xc0de)
        return complain("a context that is none is destroyed");
    pthread_mutex_lock(&lock);
    for (int i = n_blocks - 1; i >= 0; i--)
        if (blocks[i].context == c)
            free_block(i);
    pthread_mutex_unlock(&lock);
    c->magic = 0;
    while (c->owned) {
        struct owned *next = c->owned->next;
        free(c->owned);
        c->owned = next;
    }
    if (current == c)
        current = NULL;
    free(c);
    return OK;
}

EXPORT int cuCtxSetCurrent(struct context *c);
int cuCtxSetCurrent(struct context *c)
{
    if (c && c->magic != 0xc0de)
        return complain("a context that is none is used");
    current = c;
    return OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

EXPORT int cuMemGetInfo_v2(size_t *free_bytes, size_t *total);
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    size_t own = (size_t)300 << 20; /* the context's */
    int rc = check_context("cuMemGetInfo");
    *total = state.total_bytes;
    *free_bytes = state.total_bytes > state.held + own ? state.total_bytes - state.held - own : 0;
    return rc;
}

static int new_block(size_t bytes, bool host, char **out)
{
    int rc = OK;
    pthread_mutex_lock(&lock);
    state.allocations += !host;
    bool refused = !host && state.refuse_allocation > 0 && --state.refuse_allocation == 0;
    if (refused || n_blocks == MAX_BLOCKS || (!host && state.held + bytes > state.total_bytes))
        rc = NO_MEMORY;
    char *p = rc == OK ? aligned_alloc(256, (bytes + 255) / 256 * 256) : NULL;
    if (!p)
        rc = NO_MEMORY;
    if (rc == OK) {
        memset(p, 0xff, bytes); /* NaN, whatever it is taken for */
        blocks[n_blocks++] = (struct block){p, bytes, current, host};
        state.held += host ? 0 : bytes;
        state.peak = state.held > state.peak ? state.held : state.peak;
    }
    pthread_mutex_unlock(&lock);
    *out = p;
    return rc;
}

EXPORT int cuMemAlloc_v2(uint64_t *out, size_t bytes);
int cuMemAlloc_v2(uint64_t *out, size_t bytes)
{
    char *p;
    int rc = check_context("cuMemAlloc");
    if (rc != OK)
        return rc;
    if (bytes == 0)
        return complain("an allocation of nothing");
    rc = new_block(bytes, false, &p);
    *out = (uint64_t)(uintptr_t)p;
    return rc;
}

static int drop_block(const char *p, bool host)
{
    int rc = check_context("a free");
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < n_blocks && (blocks[i].p != p || blocks[i].host != host))
        i++;
    if (i == n_blocks)
        rc = complain("%p is freed and was not allocated", (const void *)p);
    else if (blocks[i].context != current)
        rc = complain("%p is freed in another context", (const void *)p);
    else
        free_block(i);
    pthread_mutex_unlock(&lock);
    return rc;
}

EXPORT int cuMemFree_v2(uint64_t p);
int cuMemFree_v2(uint64_t p)
{
    return drop_block((const char *)(uintptr_t)p, false);
}

EXPORT int cuMemHostAlloc(void **out, size_t bytes, unsigned flags);
int cuMemHostAlloc(void **out, size_t bytes, unsigned flags)
{
    char *p = NULL;
    int rc = check_context("cuMemHostAlloc");
    (void)flags;
    rc = rc == OK ? new_block(bytes, true, &p) : rc;
    *out = p;
    return rc;
}

EXPORT int cuMemFreeHost(void *p);
int cuMemFreeHost(void *p)
{
    return drop_block(p, true);
}

/* Whether n bytes at p lie in one piece of device memory of the current context. */
static bool on_device(uint64_t p, size_t n)
{
    bool found = false;
    const char *at = (const char *)(uintptr_t)p;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < n_blocks && !found; i++)
        found = !blocks[i].host && blocks[i].context == current && at >= blocks[i].p &&
                at + n <= blocks[i].p + blocks[i].bytes;
    pthread_mutex_unlock(&lock);
    return found;
}

static int check_copy(const char *who, uint64_t p, size_t n, const void *stream)
{
    int rc = check_context(who);
    if (rc != OK)
        return rc;
    __atomic_fetch_add(&state.copies, 1, __ATOMIC_RELAXED);
    if (!stream)
        return complain("%s without a stream", who);
    return on_device(p, n) ? OK
                           : complain("%s: %zu bytes at %llx are not on the card", who, n,
                                      (unsigned long long)p);
}

EXPORT int cuMemcpyHtoDAsync_v2(uint64_t dst, const void *src, size_t n, void *s);
int cuMemcpyHtoDAsync_v2(uint64_t dst, const void *src, size_t n, void *s)
{
    int rc = check_copy("a copy to the card", dst, n, s);
    if (rc == OK)
        memcpy((void *)(uintptr_t)dst, src, n);
    return rc;
}

EXPORT int cuMemcpyDtoHAsync_v2(void *dst, uint64_t src, size_t n, void *s);
int cuMemcpyDtoHAsync_v2(void *dst, uint64_t src, size_t n, void *s)
{
    int rc = check_copy("a copy from the card", src, n, s);
    if (rc == OK)
        memcpy(dst, (const void *)(uintptr_t)src, n);
    return rc;
}

EXPORT int cuMemcpyDtoDAsync_v2(uint64_t dst, uint64_t src, size_t n, void *s);
int cuMemcpyDtoDAsync_v2(uint64_t dst, uint64_t src, size_t n, void *s)
{
    int rc = check_copy("a copy on the card", dst, n, s);
    if (rc == OK)
        rc = check_copy("a copy on the card", src, n, s);
    if (rc == OK)
        memmove((void *)(uintptr_t)dst, (const void *)(uintptr_t)src, n);
    return rc;
}

EXPORT int cuMemsetD8Async(uint64_t dst, unsigned char value, size_t n, void *s);
int cuMemsetD8Async(uint64_t dst, unsigned char value, size_t n, void *s)
{
    int rc = check_copy("clearing", dst, n, s);
    if (rc == OK)
        memset((void *)(uintptr_t)dst, value, n);
    return rc;
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

EXPORT int cuModuleLoadDataEx(struct module **out, const void *image, unsigned n, int *options,
                              void **values);
int cuModuleLoadDataEx(struct module **out, const void *image, unsigned n, int *options,
                       void **values)
{
    int rc = check_context("cuModuleLoadDataEx");
    (void)n;
    (void)options;
    (void)values;
    if (rc != OK)
        return rc;
    if (!strstr(image, ".version"))
        return complain("a module that is no PTX");
    *out = calloc(1, sizeof **out);
    if (!*out)
        return NO_MEMORY;
    own(*out);
    (*out)->context = current;
    for (int i = 0; i < fake_kernel_count; i++) { /* named by an entry point of its own */
        char entry[100];
        (void)snprintf(entry, sizeof entry, ".entry %s(", fake_kernels[i].name);
        if (strstr(image, entry))
            (void)snprintf((*out)->name, sizeof(*out)->name, "%s", fake_kernels[i].module);
    }
    return OK;
}

EXPORT int cuModuleGetFunction(struct function **out, struct module *m, const char *name);
int cuModuleGetFunction(struct function **out, struct module *m, const char *name)
{
    int rc = check_context("cuModuleGetFunction");
    if (rc != OK)
        return rc;
    if (m->context != current)
        return complain("a module of another context");
    for (int i = 0; i < fake_kernel_count; i++)
        if (strcmp(fake_kernels[i].name, name) == 0 &&
            strcmp(fake_kernels[i].module, m->name) == 0) {
            if (fake_kernels[i].architecture > state.major * 10 + state.minor)
                return complain("'%s' is not for this card", name);
            *out = calloc(1, sizeof **out);
            if (!*out)
                return NO_MEMORY;
            **out = (struct function){
                .context = current, .kernel = &fake_kernels[i], .shared = SHARED_UNASKED};
            own(*out);
            return OK;
        }
    return complain("there is no kernel '%s' in '%s'", name, m->name);
}

EXPORT int cuFuncSetAttribute(struct function *f, int attribute, int value);
int cuFuncSetAttribute(struct function *f, int attribute, int value)
{
    if (attribute != 8)
        return complain("attribute %d of a function", attribute);
    f->shared = value;
    return OK;
}

static int check_launch(const struct function *f, unsigned block_x, unsigned block_y,
                        unsigned block_z, unsigned shared, void **params, void **extra)
{
    const struct fake_kernel *k = f->kernel;
    if (f->context != current)
        return complain("'%s' of another context", k->name);
    if (block_x != (unsigned)k->threads || block_y != 1 || block_z != 1)
        return complain("'%s' in blocks of %u x %u x %u", k->name, block_x, block_y, block_z);
    if (shared != (unsigned)k->shared || (int)shared > f->shared)
        return complain("'%s' with %u bytes of shared memory", k->name, shared);
    return params && params[0] && !extra ? OK : complain("'%s' without parameters", k->name);
}

EXPORT int cuLaunchKernel(struct function *f, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                          void *s, void **params, void **extra);
int cuLaunchKernel(struct function *f, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared, void *s,
                   void **params, void **extra)
{
    int rc = check_context("cuLaunchKernel");
    if (rc != OK)
        return rc;
    state.launches++;
    if (state.fail_launch > 0 && --state.fail_launch == 0) {
        current->dead = true;
        return LOST;
    }
    if (!s || grid_x == 0 || grid_y == 0 || grid_z == 0 || grid_y > 65535 || grid_z > 65535)
        return complain("'%s' in a grid of %u x %u x %u", f->kernel->name, grid_x, grid_y, grid_z);
    rc = check_launch(f, block_x, block_y, block_z, shared, params, extra);
    if (rc != OK)
        return rc;
    /* As on a card, where the kernel has a copy of its own. */
    _Alignas(64) static unsigned char copy[4096];
    if (f->kernel->params_bytes > sizeof copy)
        return complain("'%s' with %zu bytes of parameters", f->kernel->name,
                        f->kernel->params_bytes);
    memcpy(copy, params[0], f->kernel->params_bytes);
    const char *bad =
        f->kernel->run(copy, (struct fake_grid){grid_x, grid_y, grid_z, MULTIPROCESSORS});
    return bad ? complain("'%s': %s", f->kernel->name, bad) : OK;
}

EXPORT int cuTensorMapEncodeTiled(void *out, int type, unsigned rank, uint64_t p,
                                  const uint64_t *dims, const uint64_t *strides,
                                  const uint32_t *box, const uint32_t *steps, int interleave,
                                  int swizzle, int l2, int out_of_bounds);
int cuTensorMapEncodeTiled(void *out, int type, unsigned rank, uint64_t p, const uint64_t *dims,
                           const uint64_t *strides, const uint32_t *box, const uint32_t *steps,
                           int interleave, int swizzle, int l2, int out_of_bounds)
{
    struct fake_map m = {.p = p, .rank = rank, .type = type};
    (void)interleave;
    (void)l2;
    (void)out_of_bounds;
    if ((uintptr_t)out % 64 != 0 || p % 16 != 0 ||
        (type != FAKE_MAP_BYTES && type != FAKE_MAP_F32 && type != FAKE_MAP_BF16) || swizzle != 3 ||
        rank > 3)
        return complain("a map at %p of type %d, %u dimensions", out, type, rank);
    for (unsigned i = 0; i < rank; i++) {
        m.dims[i] = dims[i];
        m.box[i] = box[i];
        m.steps[i] = steps[i];
        if (i + 1 < rank)
            m.strides[i] = strides[i];
        if (steps[i] == 0 || steps[i] > 8 || box[i] == 0 || box[i] > 256 || dims[i] == 0 ||
            (i + 1 < rank && strides[i] % 16 != 0))
            return complain("a map with dimension %u of %llu", i, (unsigned long long)dims[i]);
    }
    memset(out, 0, 128);
    memcpy(out, &m, sizeof m);
    return OK;
}

/* ---- streams and events: everything is done at once ---------------------------------------------------------------- */

EXPORT int cuStreamCreate(void **out, unsigned flags);
int cuStreamCreate(void **out, unsigned flags)
{
    (void)flags;
    *out = current;
    return check_context("cuStreamCreate");
}

EXPORT int cuStreamDestroy_v2(void *s);
int cuStreamDestroy_v2(void *s)
{
    return s ? OK : complain("no stream is destroyed");
}

EXPORT int cuStreamSynchronize(void *s);
int cuStreamSynchronize(void *s)
{
    int rc = check_context("cuStreamSynchronize");
    return rc != OK || s ? rc : complain("a wait without a stream");
}

EXPORT int cuEventCreate(void **out, unsigned flags);
int cuEventCreate(void **out, unsigned flags)
{
    (void)flags;
    *out = current;
    return check_context("cuEventCreate");
}

EXPORT int cuEventDestroy_v2(void *v);
int cuEventDestroy_v2(void *v)
{
    return v ? OK : complain("no event is destroyed");
}

EXPORT int cuEventRecord(void *v, void *s);
int cuEventRecord(void *v, void *s)
{
    int rc = check_context("cuEventRecord");
    return rc != OK || (v && s) ? rc : complain("an event without a stream");
}

EXPORT int cuEventSynchronize(void *v);
int cuEventSynchronize(void *v)
{
    int rc = check_context("cuEventSynchronize");
    return rc != OK || v ? rc : complain("a wait without an event");
}
