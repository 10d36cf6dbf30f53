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
    LOST = 700,
    RECORDING_UNSUPPORTED = 900,
    RECORDING_INVALID = 901
};
enum { MAX_BLOCKS = 1 << 16, MULTIPROCESSORS = 4, SHARED_UNASKED = 48 << 10 };

struct owned { /* goes with its context */
    struct owned *next;
    void (*end)(struct owned *o); /* NULL: only free */
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
struct stream {
    struct owned owned;
    struct context *context;
    struct recording *recording; /* what is put into it is recorded there; NULL: done at once */
    bool spoilt;                 /* the recording: something was called that must not be */
};
struct work { /* one thing that a stream does */
    enum { KERNEL, COPY, FILL } kind;
    const struct function *f;
    struct fake_grid grid;
    void *params; /* a copy of them */
    uint64_t dst, src;
    size_t n;
    unsigned char value;
};
struct recording {
    struct work *work;
    int n, room;
};
struct replay {
    struct owned owned;
    struct context *context;
    struct recording work;
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
static _Thread_local struct stream *recording_here; /* begun by this thread, and not ended */

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

/* The same for what a thread must not do while it records: that would not be part of the recording. */
static int check_unrecorded(const char *who)
{
    int rc = check_context(who);
    if (rc != OK || !recording_here)
        return rc;
    (void)complain("%s while a stream is recorded", who);
    recording_here->spoilt = true;
    return RECORDING_UNSUPPORTED;
}

EXPORT int cuCtxCreate_v2(struct context **out, unsigned flags, int d);
int cuCtxCreate_v2(struct context **out, unsigned flags, int d)
{
    (void)flags;
    if (d >= state.cards || recording_here)
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
    pthread_mutex_lock(&lock);
    o->next = current->owned;
    current->owned = o;
    pthread_mutex_unlock(&lock);
}

static void disown(void *p)
{
    pthread_mutex_lock(&lock);
    for (struct owned **at = &current->owned; *at; at = &(*at)->next)
        if (*at == p) {
            *at = (*at)->next;
            break;
        }
    pthread_mutex_unlock(&lock);
}

static void end_owned(struct owned *o)
{
    if (o->end)
        o->end(o);
    free(o);
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
        end_owned(c->owned);
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
    int rc = check_unrecorded("cuMemAlloc");
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
    int rc = check_unrecorded("a free");
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
    int rc = check_unrecorded("cuMemHostAlloc");
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

static int check_range(const char *who, uint64_t p, size_t n)
{
    return on_device(p, n) ? OK
                           : complain("%s: %zu bytes at %llx are not on the card", who, n,
                                      (unsigned long long)p);
}

static int check_stream(const char *who, const struct stream *s)
{
    if (!s)
        return complain("%s without a stream", who);
    return s->context == current ? OK : complain("%s in a stream of another context", who);
}

/* A copy from or to memory of the host. */
static int check_copy(const char *who, uint64_t p, size_t n, const struct stream *s)
{
    int rc = check_unrecorded(who);
    if (rc == OK)
        rc = check_stream(who, s);
    __atomic_fetch_add(&state.copies, 1, __ATOMIC_RELAXED);
    return rc == OK ? check_range(who, p, n) : rc;
}

EXPORT int cuMemcpyHtoDAsync_v2(uint64_t dst, const void *src, size_t n, struct stream *s);
int cuMemcpyHtoDAsync_v2(uint64_t dst, const void *src, size_t n, struct stream *s)
{
    int rc = check_copy("a copy to the card", dst, n, s);
    if (rc == OK)
        memcpy((void *)(uintptr_t)dst, src, n);
    return rc;
}

EXPORT int cuMemcpyDtoHAsync_v2(void *dst, uint64_t src, size_t n, struct stream *s);
int cuMemcpyDtoHAsync_v2(void *dst, uint64_t src, size_t n, struct stream *s)
{
    int rc = check_copy("a copy from the card", src, n, s);
    __atomic_fetch_add(&state.reads, 1, __ATOMIC_RELAXED);
    if (rc == OK)
        memcpy(dst, (const void *)(uintptr_t)src, n);
    return rc;
}

/* ---- what streams do: at once, or when it is replayed ------------------------------------------------------------ */

static int do_kernel(const struct work *w)
{
    const struct fake_kernel *k = w->f->kernel;
    state.launches++;
    if (state.fail_launch > 0 && --state.fail_launch == 0) {
        current->dead = true;
        return LOST;
    }
    const char *bad = k->run(w->params, w->grid);
    return bad ? complain("'%s': %s", k->name, bad) : OK;
}

static int do_copy(const struct work *w)
{
    int rc = check_range("a copy on the card", w->dst, w->n);
    if (rc == OK)
        rc = check_range("a copy on the card", w->src, w->n);
    __atomic_fetch_add(&state.copies, 1, __ATOMIC_RELAXED);
    if (rc == OK)
        memmove((void *)(uintptr_t)w->dst, (const void *)(uintptr_t)w->src, w->n);
    return rc;
}

static int do_fill(const struct work *w)
{
    int rc = check_range("clearing", w->dst, w->n);
    __atomic_fetch_add(&state.copies, 1, __ATOMIC_RELAXED);
    if (rc == OK)
        memset((void *)(uintptr_t)w->dst, w->value, w->n);
    return rc;
}

static int do_work(const struct work *w)
{
    return w->kind == KERNEL ? do_kernel(w) : w->kind == COPY ? do_copy(w) : do_fill(w);
}

static int record_work(struct recording *r, const struct work *w)
{
    if (r->n == r->room) {
        int room = r->room ? 2 * r->room : 64;
        struct work *more = realloc(r->work, (size_t)room * sizeof *more);
        if (!more)
            return NO_MEMORY;
        r->work = more;
        r->room = room;
    }
    struct work *to = &r->work[r->n++];
    *to = *w;
    if (w->kind != KERNEL)
        return OK;
    size_t bytes = (w->f->kernel->params_bytes + 63) / 64 * 64;
    to->params = aligned_alloc(64, bytes);
    if (!to->params)
        return NO_MEMORY;
    memcpy(to->params, w->params, w->f->kernel->params_bytes);
    return OK;
}

static int put(struct stream *s, const struct work *w)
{
    int rc = check_stream("work", s);
    if (rc == OK && s->recording && s != recording_here)
        rc = complain("work for a stream that another thread records");
    if (rc != OK)
        return rc;
    return s->recording ? record_work(s->recording, w) : do_work(w);
}

EXPORT int cuMemcpyDtoDAsync_v2(uint64_t dst, uint64_t src, size_t n, struct stream *s);
int cuMemcpyDtoDAsync_v2(uint64_t dst, uint64_t src, size_t n, struct stream *s)
{
    int rc = check_context("a copy on the card");
    return rc == OK ? put(s, &(struct work){.kind = COPY, .dst = dst, .src = src, .n = n}) : rc;
}

EXPORT int cuMemsetD8Async(uint64_t dst, unsigned char value, size_t n, struct stream *s);
int cuMemsetD8Async(uint64_t dst, unsigned char value, size_t n, struct stream *s)
{
    int rc = check_context("clearing");
    return rc == OK ? put(s, &(struct work){.kind = FILL, .dst = dst, .n = n, .value = value}) : rc;
}

/* ---- kernels --------------------------------------------------------------------------------------------------- */

EXPORT int cuModuleLoadDataEx(struct module **out, const void *image, unsigned n, int *options,
                              void **values);
int cuModuleLoadDataEx(struct module **out, const void *image, unsigned n, int *options,
                       void **values)
{
    int rc = check_unrecorded("cuModuleLoadDataEx");
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
    int rc = check_unrecorded("cuModuleGetFunction");
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
                          struct stream *s, void **params, void **extra);
int cuLaunchKernel(struct function *f, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                   struct stream *s, void **params, void **extra)
{
    int rc = check_context("cuLaunchKernel");
    if (rc != OK)
        return rc;
    if (grid_x == 0 || grid_y == 0 || grid_z == 0 || grid_y > 65535 || grid_z > 65535)
        return complain("'%s' in a grid of %u x %u x %u", f->kernel->name, grid_x, grid_y, grid_z);
    rc = check_launch(f, block_x, block_y, block_z, shared, params, extra);
    if (rc != OK)
        return rc;
    /* As on a card, where the kernel has a copy of its own. */
    _Alignas(64) unsigned char copy[4096];
    if (f->kernel->params_bytes > sizeof copy)
        return complain("'%s' with %zu bytes of parameters", f->kernel->name,
                        f->kernel->params_bytes);
    memcpy(copy, params[0], f->kernel->params_bytes);
    return put(s, &(struct work){.kind = KERNEL,
                                 .f = f,
                                 .grid = {grid_x, grid_y, grid_z, MULTIPROCESSORS},
                                 .params = copy});
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

EXPORT int cuStreamCreate(struct stream **out, unsigned flags);
int cuStreamCreate(struct stream **out, unsigned flags)
{
    int rc = check_unrecorded("cuStreamCreate");
    (void)flags;
    *out = rc == OK ? calloc(1, sizeof **out) : NULL;
    if (!*out)
        return rc == OK ? NO_MEMORY : rc;
    (*out)->context = current;
    own(*out);
    return OK;
}

EXPORT int cuStreamDestroy_v2(struct stream *s);
int cuStreamDestroy_v2(struct stream *s)
{
    int rc = check_stream("cuStreamDestroy", s);
    if (rc != OK)
        return rc;
    disown(s);
    free(s);
    return OK;
}

EXPORT int cuStreamSynchronize(struct stream *s);
int cuStreamSynchronize(struct stream *s)
{
    int rc = check_unrecorded("cuStreamSynchronize");
    __atomic_fetch_add(&state.waits, 1, __ATOMIC_RELAXED);
    return rc == OK ? check_stream("a wait", s) : rc;
}

EXPORT int cuEventCreate(void **out, unsigned flags);
int cuEventCreate(void **out, unsigned flags)
{
    (void)flags;
    *out = current;
    return check_unrecorded("cuEventCreate");
}

EXPORT int cuEventDestroy_v2(void *v);
int cuEventDestroy_v2(void *v)
{
    return v ? OK : complain("no event is destroyed");
}

EXPORT int cuEventRecord(void *v, struct stream *s);
int cuEventRecord(void *v, struct stream *s)
{
    int rc = check_unrecorded("cuEventRecord");
    if (rc == OK)
        rc = check_stream("an event", s);
    return rc != OK || v ? rc : complain("no event is recorded");
}

EXPORT int cuEventSynchronize(void *v);
int cuEventSynchronize(void *v)
{
    int rc = check_unrecorded("cuEventSynchronize");
    return rc != OK || v ? rc : complain("a wait without an event");
}

/* ---- recordings ------------------------------------------------------------------------------------------------------ */

static void clear_recording(struct recording *r)
{
    for (int i = 0; i < r->n; i++)
        free(r->work[i].params);
    free(r->work);
    *r = (struct recording){0};
}

EXPORT int cuStreamBeginCapture_v2(struct stream *s, int mode);
int cuStreamBeginCapture_v2(struct stream *s, int mode)
{
    int rc = check_unrecorded("cuStreamBeginCapture");
    if (rc == OK)
        rc = check_stream("cuStreamBeginCapture", s);
    if (rc != OK)
        return rc;
    if (mode != 1) /* other threads take memory meanwhile */
        return complain("a recording of mode %d", mode);
    s->recording = calloc(1, sizeof *s->recording);
    s->spoilt = false;
    recording_here = s;
    return s->recording ? OK : NO_MEMORY;
}

EXPORT int cuStreamEndCapture(struct stream *s, struct recording **out);
int cuStreamEndCapture(struct stream *s, struct recording **out)
{
    *out = NULL;
    if (!s || s != recording_here)
        return complain("a recording ends that this thread did not begin");
    recording_here = NULL;
    *out = s->recording;
    s->recording = NULL;
    if (!s->spoilt)
        return check_context("cuStreamEndCapture");
    clear_recording(*out);
    free(*out);
    *out = NULL;
    return RECORDING_INVALID;
}

static void end_replay(struct owned *o)
{
    struct replay *p = (struct replay *)(void *)o;
    clear_recording(&p->work);
    state.recordings--;
}

EXPORT int cuGraphInstantiateWithFlags(struct replay **out, struct recording *r,
                                       unsigned long long flags);
int cuGraphInstantiateWithFlags(struct replay **out, struct recording *r, unsigned long long flags)
{
    int rc = check_unrecorded("cuGraphInstantiate");
    *out = NULL;
    if (rc != OK)
        return rc;
    if (!r || flags != 0)
        return complain("no recording is made ready");
    if (state.refuse_recording > 0 && --state.refuse_recording == 0)
        return NO_MEMORY;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return NO_MEMORY;
    (*out)->owned.end = end_replay;
    (*out)->context = current;
    state.recordings++;
    own(*out);
    for (int i = 0; i < r->n && rc == OK; i++)
        rc = record_work(&(*out)->work, &r->work[i]);
    return rc;
}

EXPORT int cuGraphDestroy(struct recording *r);
int cuGraphDestroy(struct recording *r)
{
    if (!r)
        return complain("no recording is destroyed");
    clear_recording(r);
    free(r);
    return OK;
}

EXPORT int cuGraphLaunch(struct replay *p, struct stream *s);
int cuGraphLaunch(struct replay *p, struct stream *s)
{
    int rc = check_unrecorded("cuGraphLaunch");
    if (rc == OK)
        rc = check_stream("cuGraphLaunch", s);
    if (rc != OK)
        return rc;
    if (!p || p->context != current)
        return complain("a recording of another context is replayed");
    state.replays++;
    for (int i = 0; rc == OK && i < p->work.n; i++)
        rc = do_work(&p->work.work[i]);
    return rc;
}

EXPORT int cuGraphExecDestroy(struct replay *p);
int cuGraphExecDestroy(struct replay *p)
{
    int rc = check_unrecorded("cuGraphExecDestroy");
    if (rc != OK)
        return rc;
    if (!p || p->context != current)
        return complain("a recording of another context is destroyed");
    disown(p);
    end_owned(&p->owned);
    return OK;
}
