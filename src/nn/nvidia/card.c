/* card.c - one NVIDIA card: context, memory, copies, kernels, and what happens when it fails.
 *
 * Every entry point makes the card's context current for the calling thread first (enter); the driver keeps that
 * per thread, and uploads come from several. Lane 0 is the stream that computes; the others belong to upload
 * workers.
 *
 * Failure: the first error that is not "out of memory" marks the context as failed and keeps the driver's words.
 * Calls then return that error until nv_card_generation, which whoever takes new memory or starts a request calls,
 * makes a new context. Handles of the old one are worthless, so drop_context forgets them all; memory carries the
 * generation it was taken in, and freeing memory of an older one does nothing.
 *
 * Recording belongs to the thread that computes. What the driver refuses while it records, or because of that, says
 * nothing of the context.
 *
 * Kernels are loaded with the module of the first one that is used: compiling all of the PTX would slow every
 * start. The lock guards context, generation, failure and the making of streams; computing is one thread's. The one
 * kernel that uploads launch is found by them under a lock of its own.
 */
#include "nn/nvidia/card.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/nvidia/kernels.h"
#include "nn/nvidia/ptx.h"

enum { MAX_CARDS = 16, OLDEST_MAJOR = 8, THROTTLE_EVENTS = 2 };
enum { READ_PARTS = 2, READ_BYTES = 2 << 20, ROWS_ALIGN = 256 };
static const uint64_t MOST_OVERHEAD = 1ull << 30;

struct module { /* loaded when the first of its kernels is used */
    const char *name;
    struct nv_module *module;
};

struct nv_card {
    const struct nv_driver *d;
    struct nv_card_info info;
    nv_dev dev;
    int shared_max;
    uint64_t overhead;
    pthread_mutex_t finding; /* guards functions and modules */
    pthread_mutex_t lock;    /* guards what follows, up to the kernels */
    struct nv_context *context;
    unsigned generation;
    bool failed;
    struct err failure;
    struct nv_stream *lanes[NV_LANES]; /* made when first used */
    nv_ptr tickets;                    /* NV_TICKETS zeros */
    nv_ptr rows; /* where weights lie until they are rounded, NV_ROWS_BYTES a lane */
    struct nv_event *events[THROTTLE_EVENTS];
    bool marked[THROTTLE_EVENTS]; /* in the stream */
    int event;
    bool records, recording; /* may; does so now */
    int recorded;            /* launches in recordings that there are */
    int recorded_now;        /* launches since one was begun */
    unsigned char *
        parts; /* page-locked, READ_PARTS of them: what is read comes through there; made when first used */
    struct nv_event *arrived[READ_PARTS];
    struct module modules[NV_KERNEL_COUNT]; /* by their first kernel */
    struct nv_function *functions[NV_KERNEL_COUNT];
};

struct kernel_row {
    const char *module, *name;
    int architecture, threads, shared;
};

static const struct kernel_row kernels[] = {
#define NV_KERNEL(module, name, architecture, parameters, threads, shared)                         \
    {#module, #name, architecture, threads, shared},
    NV_KERNELS(NV_KERNEL)
#undef NV_KERNEL
};

/* ---- errors ------------------------------------------------------------------------------------------- */

static bool is_about_recording(nv_result r)
{
    return r >= NV_ERROR_CAPTURE_FIRST && r <= NV_ERROR_CAPTURE_LAST;
}

/* Reports the driver's error, and marks the context as failed unless it only ran out of memory or could not record. */
static enum err_code fail(struct nv_card *c, nv_result r, const char *what, struct err *e)
{
    char words[160];
    struct err why = {0};
    nv_driver_words(c->d, r, words, sizeof words);
    if (r == NV_ERROR_OUT_OF_MEMORY)
        return err_set(e, ERR_NOMEM, "%s has no memory for %s", c->info.name, what);
    (void)err_set(&why, ERR_DEVICE, "%s failed in %s: %s", c->info.name, what, words);
    if (is_about_recording(r))
        return err_set(e, ERR_BUSY, "%s", why.text);
    pthread_mutex_lock(&c->lock);
    if (!c->failed)
        c->failure = why;
    c->failed = true;
    pthread_mutex_unlock(&c->lock);
    return err_set(e, ERR_DEVICE, "%s", why.text);
}

/* Makes the context the calling thread's. */
static enum err_code enter(struct nv_card *c, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    bool ok = c->context && !c->failed;
    struct nv_context *context = c->context;
    if (!ok)
        (void)err_set(e, ERR_DEVICE, "%s", c->failure.text);
    pthread_mutex_unlock(&c->lock);
    if (!ok)
        return ERR_DEVICE;
    nv_result r = c->d->context_use(context);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "starting", e);
}

/* ---- the cards of this machine -------------------------------------------------------------------------- */

static int attribute(const struct nv_driver *d, int which, nv_dev dev)
{
    int n = 0;
    return d->device_attribute(&n, which, dev) == NV_SUCCESS ? n : 0;
}

/* VEETANCE_CUDA_ARCH=80 asks for the kernels that every card runs. */
static int choose_architecture(const struct nv_driver *d, const struct nv_card_info *card)
{
    const char *own = getenv("VEETANCE_CUDA_ARCH");
    bool hopper = card->major == 9 && card->minor == 0 && d->tensor_map != NULL;
    return hopper && !(own && strcmp(own, "80") == 0) ? 90 : 80;
}

static bool describe(const struct nv_driver *d, int ordinal, nv_dev *dev, struct nv_card_info *out)
{
    char name[100] = "";
    size_t total = 0;
    memset(out, 0, sizeof *out);
    if (d->device_get(dev, ordinal) != NV_SUCCESS ||
        d->device_name(name, sizeof name, *dev) != NV_SUCCESS ||
        d->device_memory(&total, *dev) != NV_SUCCESS)
        return false;
    out->ordinal = ordinal;
    out->major = attribute(d, NV_ATTR_MAJOR, *dev);
    out->minor = attribute(d, NV_ATTR_MINOR, *dev);
    out->multiprocessors = attribute(d, NV_ATTR_MULTIPROCESSORS, *dev);
    out->architecture = choose_architecture(d, out);
    out->total_bytes = total;
    (void)snprintf(out->name, sizeof out->name, "cuda%d", ordinal);
    (void)snprintf(out->description, sizeof out->description, "%s", name);
    return true;
}

static int count_cards(const struct nv_driver *d)
{
    int n = 0;
    if (!d || d->device_count(&n) != NV_SUCCESS)
        return 0;
    return n < MAX_CARDS ? n : MAX_CARDS;
}

/* The driver reports a card's free memory only within a context. */
static uint64_t free_without_context(const struct nv_driver *d, nv_dev dev)
{
    struct nv_context *context;
    size_t free_bytes = 0, total = 0;
    if (d->context_new(&context, 0, dev) != NV_SUCCESS)
        return 0;
    if (d->memory_info(&free_bytes, &total) != NV_SUCCESS)
        free_bytes = 0;
    (void)d->context_free(context);
    return free_bytes;
}

size_t nv_card_list(struct nv_card_info *out, size_t max)
{
    const struct nv_driver *d = nv_driver_get(NULL);
    size_t n = 0;
    nv_dev dev;
    for (int i = 0; i < count_cards(d) && n < max; i++) {
        if (!describe(d, i, &dev, &out[n]) || out[n].major < OLDEST_MAJOR)
            continue;
        out[n].free_bytes = free_without_context(d, dev);
        n++;
    }
    return n;
}

/* The ordinal that a name asks for: -1 for the first suitable one, -2 for a name that is not a card's. */
static int wanted_ordinal(const char *want)
{
    if (strncasecmp(want, "cuda", 4) != 0)
        return -2;
    if (!want[4])
        return -1;
    char *end;
    unsigned long n = strtoul(want + 4, &end, 10);
    return *end || n >= MAX_CARDS || !isdigit((unsigned char)want[4]) ? -2 : (int)n;
}

static enum err_code choose(struct nv_card *c, const char *want, struct err *e)
{
    int ordinal = wanted_ordinal(want), n = count_cards(c->d);
    bool older = false;
    for (int i = 0; i < n; i++) {
        if (ordinal != -1 && i != ordinal)
            continue;
        if (!describe(c->d, i, &c->dev, &c->info))
            continue;
        if (c->info.major >= OLDEST_MAJOR)
            return ERR_OK;
        older = true;
    }
    if (older)
        return err_set(e, ERR_DEVICE,
                       "%s has compute capability %d.%d, but at least %d.0 is needed: use --device "
                       "vulkan",
                       c->info.description, c->info.major, c->info.minor, OLDEST_MAJOR);
    return err_set(e, ERR_NOTFOUND, "there is no device '%s'", want);
}

/* Before 12.4 drivers are said to take 64 KiB of the card for a recorded launch. */
static bool choose_recording(const struct nv_card *c)
{
    enum { OLDEST_DRIVER = 12040 };
    const char *own = getenv("VEETANCE_CUDA_GRAPHS");
    return c->d->records && c->d->version >= OLDEST_DRIVER && !(own && strcmp(own, "0") == 0);
}

/* ---- the context ---------------------------------------------------------------------------------------- */

static void drop_context(struct nv_card *c)
{
    if (c->context)
        (void)c->d->context_free(c->context);
    c->context = NULL;
    c->rows = 0; /* gone with the context */
    memset(c->lanes, 0, sizeof c->lanes);
    memset(c->events, 0, sizeof c->events);
    memset(c->marked, 0, sizeof c->marked);
    c->recording = false;
    c->recorded = 0;
    memset(c->arrived, 0, sizeof c->arrived);
    c->parts = NULL;
    memset(c->functions, 0, sizeof c->functions);
    for (int i = 0; i < NV_KERNEL_COUNT; i++)
        c->modules[i].module = NULL;
}

static nv_result new_context(struct nv_card *c)
{
    nv_result r = c->d->context_new(&c->context, NV_CONTEXT_BLOCKING_SYNC, c->dev);
    if (r == NV_SUCCESS)
        r = c->d->stream_new(&c->lanes[0], NV_STREAM_NON_BLOCKING);
    for (int i = 0; i < THROTTLE_EVENTS && r == NV_SUCCESS; i++)
        r = c->d->event_new(&c->events[i], NV_EVENT_NO_TIMING);
    const size_t rows = (size_t)NV_LANES * NV_ROWS_BYTES, tickets = NV_TICKETS * sizeof(int32_t);
    if (r == NV_SUCCESS) /* here, so that it counts as the context's own */
        r = c->d->memory_new(&c->rows, rows + tickets);
    c->tickets = c->rows + rows;
    if (r == NV_SUCCESS)
        r = c->d->fill(c->tickets, 0, tickets, c->lanes[0]);
    return r;
}

static enum err_code make_context(struct nv_card *c, struct err *e)
{
    char words[160];
    drop_context(c);
    nv_result r = new_context(c);
    if (r != NV_SUCCESS) {
        nv_driver_words(c->d, r, words, sizeof words);
        drop_context(c);
        (void)err_set(&c->failure, ERR_DEVICE, "%s does not start: %s", c->info.name, words);
        return err_set(e, ERR_DEVICE, "%s", c->failure.text);
    }
    c->generation++;
    c->failed = false;
    return ERR_OK;
}

/* At this point only the context is on the card, and what other programs hold, which cannot be told apart. */
static void measure_overhead(struct nv_card *c)
{
    size_t free_bytes = 0, total = 0;
    if (c->d->memory_info(&free_bytes, &total) != NV_SUCCESS)
        return;
    c->overhead = total - free_bytes < MOST_OVERHEAD ? total - free_bytes : MOST_OVERHEAD;
}

enum err_code nv_card_open(const char *want, struct nv_card **out, struct err *e)
{
    struct err why = {0};
    const struct nv_driver *d = nv_driver_get(&why);
    *out = NULL;
    if (!d)
        return err_set(e, why.code, "%s", why.text);
    int64_t start = clock_ns();
    struct nv_card *c = mem_alloc(sizeof *c);
    c->d = d;
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->finding, NULL);
    enum err_code rc = choose(c, want, e);
    if (rc == ERR_OK)
        rc = make_context(c, e);
    if (rc != ERR_OK) {
        nv_card_close(c);
        return rc;
    }
    c->shared_max = attribute(d, NV_ATTR_SHARED_OPTIN, c->dev);
    measure_overhead(c);
    c->records = choose_recording(c);
    if (c->records)
        c->overhead += NV_RECORD_ROOM;
    log_debug("boot: %s (%s, sm_%d%d, kernels of sm_%d) in %.1f ms; the context takes %llu MiB",
              c->info.name, c->info.description, c->info.major, c->info.minor, c->info.architecture,
              (double)(clock_ns() - start) * 1e-6, (unsigned long long)c->overhead >> 20);
    *out = c;
    return ERR_OK;
}

void nv_card_close(struct nv_card *c)
{
    if (!c)
        return;
    drop_context(c);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->finding);
    mem_free(c);
}

void nv_card_describe(struct nv_card *c, struct nv_card_info *out)
{
    size_t free_bytes = 0, total = 0;
    *out = c->info;
    if (enter(c, NULL) == ERR_OK && c->d->memory_info(&free_bytes, &total) == NV_SUCCESS)
        out->free_bytes = free_bytes;
}

const char *nv_card_library(const struct nv_card *c)
{
    return c->d->path;
}

uint64_t nv_card_overhead(const struct nv_card *c)
{
    return c->overhead;
}

int nv_card_architecture(const struct nv_card *c)
{
    return c->info.architecture;
}

nv_ptr nv_card_tickets(const struct nv_card *c)
{
    return c->tickets;
}

int nv_card_multiprocessors(const struct nv_card *c)
{
    return c->info.multiprocessors;
}

unsigned nv_card_generation(struct nv_card *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->failed || !c->context) {
        struct err e = {0};
        log_warn("restarting %s after an error: %s", c->info.name, c->failure.text);
        if (make_context(c, &e) != ERR_OK)
            log_warn("%s", e.text);
    }
    unsigned generation = c->generation;
    pthread_mutex_unlock(&c->lock);
    return generation;
}

enum err_code nv_card_check(struct nv_card *c, unsigned generation, struct err *e)
{
    TRY(enter(c, e));
    if (generation != c->generation)
        return err_set(e, ERR_DEVICE, "%s was restarted, and its memory was lost", c->info.name);
    return ERR_OK;
}

/* ---- memory ----------------------------------------------------------------------------------------------- */

enum err_code nv_memory_new(struct nv_card *c, size_t bytes, struct nv_memory *out, struct err *e)
{
    *out = (struct nv_memory){.generation = nv_card_generation(c)};
    TRY(enter(c, e));
    if (bytes == 0)
        return ERR_OK;
    nv_result r = c->d->memory_new(&out->p, bytes);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "taking memory", e);
}

void nv_memory_free(struct nv_card *c, struct nv_memory *m)
{
    if (m->p && m->generation == c->generation && enter(c, NULL) == ERR_OK)
        (void)c->d->memory_free(m->p);
    *m = (struct nv_memory){0};
}

void *nv_host_new(struct nv_card *c, size_t bytes)
{
    void *p = NULL;
    return enter(c, NULL) == ERR_OK && c->d->host_new(&p, bytes, 0) == NV_SUCCESS ? p : NULL;
}

void nv_host_free(struct nv_card *c, void *p, unsigned generation)
{
    if (p && generation == c->generation && enter(c, NULL) == ERR_OK)
        (void)c->d->host_free(p);
}

static enum err_code lane_stream(struct nv_card *c, int lane, struct nv_stream **out, struct err *e)
{
    nv_result r = NV_SUCCESS;
    pthread_mutex_lock(&c->lock);
    if (!c->lanes[lane])
        r = c->d->stream_new(&c->lanes[lane], NV_STREAM_NON_BLOCKING);
    *out = c->lanes[lane];
    pthread_mutex_unlock(&c->lock);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "making a stream", e);
}

enum err_code nv_write(struct nv_card *c, int lane, nv_ptr dst, const void *src, size_t n,
                       struct err *e)
{
    struct nv_stream *s = NULL;
    TRY(enter(c, e));
    TRY(lane_stream(c, lane, &s, e));
    if (n == 0)
        return ERR_OK;
    nv_result r = c->d->to_device(dst, src, n, s);
    /* On lane 0 src is ordinary memory, which the driver has copied by now; other lanes read page-locked memory. */
    if (r == NV_SUCCESS && lane > 0)
        r = c->d->stream_wait(s);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "a copy to the card", e);
}

static nv_result make_parts(struct nv_card *c)
{
    void *p = NULL;
    if (c->parts)
        return NV_SUCCESS;
    nv_result r = c->d->host_new(&p, READ_PARTS * READ_BYTES, 0);
    for (int i = 0; i < READ_PARTS && r == NV_SUCCESS; i++)
        r = c->d->event_new(&c->arrived[i], NV_EVENT_NO_TIMING);
    if (r == NV_SUCCESS)
        c->parts = p;
    return r;
}

uint64_t nv_card_locked_bytes(const struct nv_card *c)
{
    return c->parts ? READ_PARTS * READ_BYTES : 0;
}

static size_t part_bytes(size_t n, size_t at)
{
    return n - at < READ_BYTES ? n - at : READ_BYTES;
}

static nv_result ask_for_part(struct nv_card *c, nv_ptr src, size_t n, size_t at)
{
    size_t i = at / READ_BYTES % READ_PARTS;
    if (at >= n)
        return NV_SUCCESS;
    nv_result r =
        c->d->to_host(c->parts + i * READ_BYTES, src + at, part_bytes(n, at), c->lanes[0]);
    return r == NV_SUCCESS ? c->d->event_record(c->arrived[i], c->lanes[0]) : r;
}

/* While one part is copied to its place the next one is transferred. */
static nv_result read_parts(struct nv_card *c, unsigned char *dst, nv_ptr src, size_t n)
{
    nv_result r = make_parts(c);
    if (r == NV_SUCCESS)
        r = ask_for_part(c, src, n, 0);
    for (size_t at = 0; at < n && r == NV_SUCCESS; at += READ_BYTES) {
        size_t i = at / READ_BYTES % READ_PARTS;
        r = ask_for_part(c, src, n, at + READ_BYTES);
        if (r == NV_SUCCESS)
            r = c->d->event_wait(c->arrived[i]);
        if (r == NV_SUCCESS)
            memcpy(dst + at, c->parts + i * READ_BYTES, part_bytes(n, at));
    }
    return r;
}

enum err_code nv_read(struct nv_card *c, void *dst, nv_ptr src, size_t n, struct err *e)
{
    TRY(enter(c, e));
    if (n == 0)
        return ERR_OK;
    nv_result r = read_parts(c, dst, src, n);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "a copy from the card", e);
}

enum err_code nv_copy(struct nv_card *c, nv_ptr dst, nv_ptr src, size_t n, struct err *e)
{
    TRY(enter(c, e));
    if (n == 0)
        return ERR_OK;
    c->recorded_now++;
    nv_result r = c->d->copy(dst, src, n, c->lanes[0]);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "a copy on the card", e);
}

enum err_code nv_zero(struct nv_card *c, nv_ptr dst, size_t n, struct err *e)
{
    TRY(enter(c, e));
    if (n == 0)
        return ERR_OK;
    c->recorded_now++;
    nv_result r = c->d->fill(dst, 0, n, c->lanes[0]);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "clearing memory", e);
}

/* ---- kernels ---------------------------------------------------------------------------------------------- */

static enum err_code load_module(struct nv_card *c, const char *name, struct nv_module **out,
                                 struct err *e)
{
    enum { JIT_ERROR_LOG = 5, JIT_ERROR_LOG_BYTES = 6 };
    char log[1000] = "", what[64];
    int options[] = {JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES};
    void *values[] = {log, (void *)(uintptr_t)sizeof log};
    char *text;
    int64_t start = clock_ns();
    TRY(nv_ptx(name, &text, e));
    nv_result r = c->d->module_new(out, text, 2, options, values);
    mem_free(text);
    if (r == NV_SUCCESS) {
        log_debug("boot: kernels '%s' in %.1f ms", name, (double)(clock_ns() - start) * 1e-6);
        return ERR_OK;
    }
    log_warn("the driver refuses the kernels '%s': %s", name, log);
    (void)snprintf(what, sizeof what, "loading the kernels '%s'", name);
    return fail(c, r, what, e);
}

static enum err_code module_of(struct nv_card *c, enum nv_kernel k, struct nv_module **out,
                               struct err *e)
{
    int i = 0;
    while (strcmp(kernels[i].module, kernels[k].module) != 0)
        i++;
    if (!c->modules[i].module) {
        enum err_code rc = load_module(c, kernels[k].module, &c->modules[i].module, e);
        if (rc != ERR_OK)
            return rc;
    }
    *out = c->modules[i].module;
    return ERR_OK;
}

static enum err_code find_function(struct nv_card *c, enum nv_kernel k, struct err *e)
{
    enum { SHARED_UNASKED = 48 << 10 };
    const struct kernel_row *row = &kernels[k];
    struct nv_module *m = NULL;
    char what[64];
    if (row->shared > c->shared_max)
        return err_set(e, ERR_DEVICE, "%s has %d bytes of shared memory; '%s' needs %d",
                       c->info.name, c->shared_max, row->name, row->shared);
    TRY(module_of(c, k, &m, e));
    (void)snprintf(what, sizeof what, "finding the kernel '%s'", row->name);
    nv_result r = c->d->module_function(&c->functions[k], m, row->name);
    if (r == NV_SUCCESS && row->shared > SHARED_UNASKED)
        r = c->d->function_set(c->functions[k], NV_FUNC_MAX_DYNAMIC_SHARED, row->shared);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, what, e);
}

static unsigned side(int64_t n)
{
    return n > 0 ? (unsigned)n : 1;
}

static enum err_code launch_on(struct nv_card *c, struct nv_stream *s, enum nv_kernel k,
                               struct nv_grid grid, void *params, struct err *e)
{
    const struct kernel_row *row = &kernels[k];
    if (grid.x > INT32_MAX || grid.y > UINT16_MAX || grid.z > UINT16_MAX)
        return err_set(e, ERR_LIMIT, "'%s' cannot be launched in %lld x %lld x %lld blocks",
                       row->name, (long long)grid.x, (long long)grid.y, (long long)grid.z);
    nv_result r = c->d->launch(c->functions[k], side(grid.x), side(grid.y), side(grid.z),
                               (unsigned)row->threads, 1, 1, (unsigned)row->shared, s,
                               (void *[]){params}, NULL);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, row->name, e);
}

/* A kernel may be used for the first time by a run and by an upload at once. `late`: now is no time to load one. */
static enum err_code find_kernel(struct nv_card *c, enum nv_kernel k, bool late, struct err *e)
{
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&c->finding);
    if (!c->functions[k] && late)
        rc = err_set(e, ERR_BUSY, "'%s' is launched for the first time", kernels[k].name);
    else if (!c->functions[k])
        rc = find_function(c, k, e);
    pthread_mutex_unlock(&c->finding);
    return rc;
}

enum err_code nv_launch(struct nv_card *c, enum nv_kernel k, struct nv_grid grid, void *params,
                        struct err *e)
{
    TRY(find_kernel(c, k, c->recording, e));
    c->recorded_now++;
    return launch_on(c, c->lanes[0], k, grid, params, e);
}

/* Unpacks what lies at x to y, n numbers of this kind. */
static enum err_code unpack(struct nv_card *c, struct nv_stream *s, enum nv_blocks kind, nv_ptr x,
                            nv_ptr y, int64_t n, struct err *e)
{
    struct nv_unpack u = {.x = (const void *)(uintptr_t)x,
                          .y = (void *)(uintptr_t)y,
                          .numbers = n,
                          .kind = (int)kind};
    TRY(find_kernel(c, NV_KERNEL_unpack, false, e));
    return launch_on(c, s, NV_KERNEL_unpack,
                     (struct nv_grid){.x = (n + NV_UNPACK_NUMBERS - 1) / NV_UNPACK_NUMBERS}, &u, e);
}

enum err_code nv_write_rows(struct nv_card *c, int lane, const struct nv_rows *rows,
                            const void *src, size_t n, struct err *e)
{
    struct nv_stream *s = NULL;
    struct nv_quantise q = rows->q;
    TRY(enter(c, e));
    TRY(lane_stream(c, lane, &s, e));
    TRY(find_kernel(c, NV_KERNEL_quantise_rows, false, e));
    nv_ptr room = c->rows + (size_t)lane * NV_ROWS_BYTES, x = room;
    nv_result r = c->d->to_device(room, src, n, s);
    if (r != NV_SUCCESS)
        return fail(c, r, "a copy to the card", e);
    if (rows->blocks) {
        x = room + (n + ROWS_ALIGN - 1) / ROWS_ALIGN * ROWS_ALIGN;
        TRY(unpack(c, s, rows->blocks, room, x, (int64_t)q.rows * q.dim, e));
    }
    q.x = (const void *)(uintptr_t)x;
    TRY(launch_on(c, s, NV_KERNEL_quantise_rows, (struct nv_grid){.x = q.rows}, &q, e));
    r = c->d->stream_wait(s);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "rounding weights", e);
}

size_t nv_rows_part(const struct nv_rows *rows, size_t row_bytes)
{
    size_t unpacked = rows->blocks ? (size_t)rows->q.dim * sizeof(uint16_t) : 0;
    return (NV_ROWS_BYTES - ROWS_ALIGN) / (row_bytes + unpacked) * row_bytes;
}

enum err_code nv_wait(struct nv_card *c, struct err *e)
{
    TRY(enter(c, e));
    nv_result r = c->d->stream_wait(c->lanes[0]);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "computing", e);
}

enum err_code nv_throttle(struct nv_card *c, struct err *e)
{
    nv_result r = c->d->event_record(c->events[c->event], c->lanes[0]);
    c->marked[c->event] = true;
    c->event = (c->event + 1) % THROTTLE_EVENTS;
    if (r == NV_SUCCESS && c->marked[c->event])
        r = c->d->event_wait(c->events[c->event]);
    return r == NV_SUCCESS ? ERR_OK : fail(c, r, "computing", e);
}

/* ---- recording -------------------------------------------------------------------------------------------- */

bool nv_card_records(const struct nv_card *c)
{
    return c->records;
}

enum err_code nv_record_begin(struct nv_card *c, struct err *e)
{
    TRY(enter(c, e));
    nv_result r = c->d->record_begin(c->lanes[0], NV_CAPTURE_THREAD);
    if (r != NV_SUCCESS)
        return fail(c, r, "recording", e);
    c->recording = true;
    c->recorded_now = 0;
    return ERR_OK;
}

/* Of a stream that was given nothing there is nothing to replay. */
static enum err_code make_replay(struct nv_card *c, struct nv_capture *what, struct nv_record *out,
                                 struct err *e)
{
    if (c->recorded_now > NV_RECORD_LAUNCHES - c->recorded)
        return err_set(e, ERR_LIMIT, "%s has room for %d recorded launches", c->info.name,
                       NV_RECORD_LAUNCHES);
    if (c->recorded_now > 0) {
        nv_result r = c->d->replay_new(&out->replay, what, 0);
        if (r != NV_SUCCESS)
            return fail(c, r, "a recording", e);
    }
    out->launches = c->recorded_now;
    c->recorded += out->launches;
    return ERR_OK;
}

enum err_code nv_record_end(struct nv_card *c, struct nv_record *out, struct err *e)
{
    struct nv_capture *what = NULL;
    *out = (struct nv_record){.generation = c->generation};
    nv_result r = c->d->record_end(c->lanes[0], &what);
    c->recording = false;
    enum err_code rc = r == NV_SUCCESS ? make_replay(c, what, out, e) : fail(c, r, "recording", e);
    if (what)
        (void)c->d->capture_free(what);
    return rc;
}

enum err_code nv_record_replay(struct nv_card *c, const struct nv_record *r, struct err *e)
{
    if (!r->replay)
        return ERR_OK;
    nv_result rc = c->d->replay(r->replay, c->lanes[0]);
    return rc == NV_SUCCESS ? ERR_OK : fail(c, rc, "computing", e);
}

void nv_record_free(struct nv_card *c, struct nv_record *r)
{
    bool ours = r->generation == c->generation;
    if (ours)
        c->recorded -= r->launches;
    if (ours && r->replay && enter(c, NULL) == ERR_OK)
        (void)c->d->replay_free(r->replay);
    *r = (struct nv_record){0};
}

enum err_code nv_tensor_map_make(struct nv_card *c, const struct nv_map_spec *s,
                                 struct nv_tensor_map *out, struct err *e)
{
    enum { RANK = 3 };
    static const struct {
        uint64_t bytes;
        int type;
    } kinds[] = {[NV_MAP_OF_BF16] = {2, NV_MAP_TYPE_BF16},
                 [NV_MAP_OF_F32] = {4, NV_MAP_TYPE_F32},
                 [NV_MAP_OF_BYTES] = {1, NV_MAP_TYPE_U8}};
    const uint64_t bytes = kinds[s->of].bytes;
    const uint64_t dims[RANK] = {s->columns, s->rows, s->outer};
    const uint64_t strides[RANK - 1] = {s->row_stride * bytes, s->outer_stride * bytes};
    const uint32_t step = s->step ? s->step : 1;
    const uint32_t box[RANK] = {s->box_columns, s->box_rows, s->box_outer ? s->box_outer : 1};
    const uint32_t steps[RANK] = {1, step, step};
    /* The driver wants 64 bytes of alignment; a struct on the stack has less where its use is watched. */
    unsigned char room[2 * sizeof *out], *map = room + (64 - (uintptr_t)room % 64) % 64;
    nv_result r = c->d->tensor_map(map, kinds[s->of].type, s->outer ? RANK : RANK - 1, s->p, dims,
                                   strides, box, steps, 0, NV_MAP_SWIZZLE_128B, NV_MAP_L2_256B, 0);
    memcpy(out, map, sizeof *out);
    if (r == NV_SUCCESS)
        return ERR_OK;
    char words[160];
    return err_set(e, ERR_INTERNAL, "the driver refuses a tensor map of %llu x %llu x %llu: %s",
                   (unsigned long long)s->outer, (unsigned long long)s->rows,
                   (unsigned long long)s->columns, nv_driver_words(c->d, r, words, sizeof words));
}
