/* choice.c - reads, measures and writes which products are the faster; see choice.h.
 *
 * Measured are a panel's products as linear.c does them, weights unpacked from bf16 included, on one thread and with
 * data in cache. Both take turns, the fastest of some dozens of runs counts, and time in which the thread did not run
 * does not: a busy machine should not decide. oneDNN has to be faster by a twentieth: where both are about as fast, the
 * choice should not depend on the moment. */
#include "nn/cpu/choice.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/cpu/cpu.h"
#include "nn/cpu/gemm.h"
#include "nn/cpu/isa.h"
#include "nn/cpu/product.h"
#include "nn/cpu/vec.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { ROWS = 384, COLUMNS = 64, DEPTH = 1024, MAX_FILE = 4096 };
#define SECONDS 0.05 /* a kind of work */
#define MARGIN 1.05

static const char what[] = "cpu.json";
static const char *const work_names[NN_CPU_WORKS] = {"f32", "int8"};
static const char *const set_names[NN_CPU_SETS] = {"onednn", "own"};

/* Filled once, under `lock`. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct nn_cpu_rates known;
static bool is_known;

/* ---- what there is ---------------------------------------------------------------------------------- */

static bool can(enum nn_cpu_work work, enum nn_cpu_set set)
{
    if (set == NN_CPU_OWN)
        return gemm_get() != NULL;
    const struct onednn *d = onednn_get();
    return d && (work == NN_CPU_WORK_INT8 ? d->int8 : d->f32);
}

/* The set that is asked for by hand; NN_CPU_SETS: none. */
static enum nn_cpu_set forced(void)
{
    const char *wanted = getenv("VEETANCE_CPU_KERNELS");
    for (int i = 0; wanted && i < NN_CPU_SETS; i++)
        if (strcmp(wanted, set_names[i]) == 0)
            return (enum nn_cpu_set)i;
    return NN_CPU_SETS;
}

static void name_machine(char out[NN_CPU_MACHINE_BYTES])
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    const struct onednn *one = onednn_get();
    const dnnl_version_t *v = one ? one->version() : NULL;
#if defined(__x86_64__)
    (void)__get_cpuid(1, &a, &b, &c, &d);
#endif
    (void)snprintf(out, NN_CPU_MACHINE_BYTES, "cpu %08x, oneDNN %d.%d.%d, veetance " VT_VERSION, a,
                   v ? v->major : 0, v ? v->minor : 0, v ? v->patch : 0);
}

/* ---- measuring -------------------------------------------------------------------------------------- */

struct trial {
    uint16_t *w; /* [COLUMNS, DEPTH] in bf16 */
    float *x, *rows, *packed, *c, *scratch;
    void *onednn_scratch;
    struct product product;
};

static bool own_product(const struct trial *t, enum nn_cpu_work work)
{
    const struct gemm *g = gemm_get();
    bool int8 = work == NN_CPU_WORK_INT8;
    int64_t step = int8 ? DEPTH : GEMM_DEPTH;
    for (int64_t at = 0; at < DEPTH; at += step) {
        g->pack(&(struct gemm_pack){.from = int8 ? (const void *)t->rows : t->w + at,
                                    .ld = int8 ? DEPTH / 4 : DEPTH,
                                    .cols = COLUMNS,
                                    .k = int8 ? DEPTH / 4 : step,
                                    .bf16 = !int8,
                                    .to = t->packed});
        if (int8)
            g->multiply_bytes(&(struct gemm_bytes_job){.a = (const uint8_t *)t->x,
                                                       .b = t->packed,
                                                       .c = (int32_t *)(void *)t->c,
                                                       .lda = DEPTH,
                                                       .ldc = COLUMNS,
                                                       .rows = ROWS,
                                                       .cols = COLUMNS,
                                                       .k = DEPTH});
        else
            g->multiply(&(struct gemm_job){.a = t->x + at,
                                           .b = t->packed,
                                           .c = t->c,
                                           .lda = DEPTH,
                                           .ldc = COLUMNS,
                                           .rows = ROWS,
                                           .cols = COLUMNS,
                                           .k = step,
                                           .add = at > 0,
                                           .scratch = t->scratch});
    }
    return true;
}

static bool onednn_product(const struct trial *t, enum nn_cpu_work work)
{
    if (work == NN_CPU_WORK_F32)
        vec_get()->from_bf16(t->w, t->rows, (int64_t)COLUMNS * DEPTH);
    return product_run(&t->product, t->x, t->rows, t->c);
}

static double thread_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Both sets in turn, so that a disturbance hits both. */
static void time_sets(const struct trial *t, enum nn_cpu_work work, const bool has[NN_CPU_SETS],
                      double rate[NN_CPU_SETS])
{
    double start = clock_s();
    for (int i = 0; i < 3 || clock_s() - start < SECONDS; i++)
        for (int s = 0; s < NN_CPU_SETS; s++) {
            double before = thread_seconds();
            if (!has[s] || !(s == NN_CPU_OWN ? own_product : onednn_product)(t, work))
                continue;
            double seconds = thread_seconds() - before;
            double r = seconds > 0 ? 2e-9 * ROWS * COLUMNS * DEPTH / seconds : 0;
            if (i > 0 && r > rate[s]) /* the first one warms up */
                rate[s] = r;
        }
}

/* oneDNN's product, with its scratch; false when there is none. The caller frees both. */
static bool make_product(struct trial *t, enum nn_cpu_work work)
{
    const struct product_shape s = {.m = ROWS,
                                    .n = COLUMNS,
                                    .k = DEPTH,
                                    .lda = DEPTH,
                                    .ldb = DEPTH,
                                    .ldc = COLUMNS,
                                    .int8 = work == NN_CPU_WORK_INT8,
                                    .b_by_rows = true};
    if (!product_make(&t->product, onednn_get(), &s, NULL))
        return false;
    size_t bytes = t->product.scratch_bytes + 1;
    product_free(&t->product);
    t->onednn_scratch = mem_try_aligned(64, bytes);
    return t->onednn_scratch && product_make(&t->product, onednn_get(), &s, t->onednn_scratch);
}

/* Pages that were never written are one page, which caches do not like to see under many addresses. */
static void fill(const struct trial *t)
{
    for (int64_t i = 0; i < (int64_t)ROWS * DEPTH; i++)
        t->x[i] = 0.25f * (float)(i % 7);
    for (int64_t i = 0; i < (int64_t)COLUMNS * DEPTH; i++) {
        t->w[i] = (uint16_t)(0x3e00 + i % 64);
        t->rows[i] = 0.25f;
    }
}

static void measure(enum nn_cpu_work work, double rate[NN_CPU_SETS])
{
    struct trial t = {.w = mem_try_array((size_t)COLUMNS * DEPTH, sizeof(uint16_t)),
                      .x = mem_try_array((size_t)ROWS * DEPTH, sizeof(float)),
                      .rows = mem_try_array((size_t)COLUMNS * DEPTH, sizeof(float)),
                      .packed = mem_try_aligned(64, (size_t)COLUMNS * DEPTH * sizeof(float)),
                      .c = mem_try_array((size_t)ROWS * COLUMNS, sizeof(float)),
                      .scratch = mem_try_aligned(64, GEMM_SCRATCH * sizeof(float))};
    if (t.w && t.x && t.rows && t.packed && t.c && t.scratch) {
        fill(&t);
        int before = onednn_alone(onednn_get());
        bool has[NN_CPU_SETS] = {[NN_CPU_OWN] = can(work, NN_CPU_OWN)};
        has[NN_CPU_ONEDNN] = can(work, NN_CPU_ONEDNN) && make_product(&t, work);
        time_sets(&t, work, has, rate);
        onednn_restore(onednn_get(), before);
    }
    if (t.product.d)
        product_free(&t.product);
    mem_free(t.onednn_scratch);
    mem_free(t.w);
    mem_free(t.x);
    mem_free(t.rows);
    mem_free(t.packed);
    mem_free(t.c);
    mem_free(t.scratch);
}

static void measure_all(struct nn_cpu_rates *r)
{
    memset(r, 0, sizeof *r);
    name_machine(r->machine);
    for (int w = 0; w < NN_CPU_WORKS; w++)
        measure((enum nn_cpu_work)w, r->rate[w]);
}

/* ---- cpu.json --------------------------------------------------------------------------------------- */

static enum err_code parse_rates(yyjson_val *root, struct nn_cpu_rates *out, struct err *e)
{
    for (int w = 0; w < NN_CPU_WORKS; w++) {
        yyjson_val *o = yyjson_obj_get(root, work_names[w]);
        if (!yyjson_is_obj(o))
            return err_set(e, ERR_FORMAT, "%s: '%s' should be an object", what, work_names[w]);
        for (int s = 0; s < NN_CPU_SETS; s++)
            TRY(json_get_double(o, set_names[s], 0, 1e9, &out->rate[w][s], what, e));
    }
    return ERR_OK;
}

enum err_code nn_cpu_choice_parse(struct str text, struct nn_cpu_rates *out, struct err *e)
{
    yyjson_doc *doc;
    int64_t version = 0;
    struct str machine = {"", 0};
    memset(out, 0, sizeof *out);
    TRY(json_parse(text, what, &doc, e));
    yyjson_val *root = yyjson_doc_get_root(doc);
    enum err_code rc = ERR_OK;
    if (!yyjson_is_obj(root)) {
        rc = err_set(e, ERR_FORMAT, "%s should be an object", what);
        goto done;
    }
    TRY_GOTO(json_get_i64(root, "veetance_cpu", 0, INT64_MAX, &version, what, e), done);
    if (version != 1) {
        rc = err_set(e, ERR_FORMAT, "%s is of another version", what);
        goto done;
    }
    TRY_GOTO(json_get_str(root, "machine", &machine, what, e), done);
    if (machine.n >= sizeof out->machine) {
        rc = err_set(e, ERR_FORMAT, "%s: 'machine' has more than %zu bytes", what,
                     sizeof out->machine - 1);
        goto done;
    }
    memcpy(out->machine, machine.p, machine.n);
    rc = parse_rates(root, out, e);
done:
    yyjson_doc_free(doc);
    return rc;
}

enum err_code nn_cpu_choice_path(char *out, size_t size, struct err *e)
{
    return home_path(HOME_CONFIG, what, out, size, e);
}

/* ERR_NOTFOUND when there is none, or one of another machine. */
static enum err_code read_file(struct nn_cpu_rates *out, struct err *e)
{
    char path[4096], machine[NN_CPU_MACHINE_BYTES];
    struct buf text;
    TRY(nn_cpu_choice_path(path, sizeof path, e));
    if (!file_exists(path))
        return err_set(e, ERR_NOTFOUND, "there is no %s", what);
    buf_init(&text, MAX_FILE);
    enum err_code rc;
    TRY_GOTO(file_read(path, MAX_FILE, &text, e), done);
    TRY_GOTO(nn_cpu_choice_parse(buf_str(&text), out, e), done);
    name_machine(machine);
    if (strcmp(machine, out->machine) != 0)
        rc = err_set(e, ERR_NOTFOUND, "%s is of '%s'", what, out->machine);
done:
    buf_deinit(&text);
    return rc;
}

static enum err_code write_file(const struct nn_cpu_rates *r, struct err *e)
{
    char path[4096];
    TRY(nn_cpu_choice_path(path, sizeof path, e));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)yyjson_mut_obj_add_int(doc, root, "veetance_cpu", 1);
    (void)yyjson_mut_obj_add_str(doc, root, "machine", r->machine);
    for (int w = 0; w < NN_CPU_WORKS; w++) {
        yyjson_mut_val *o = yyjson_mut_obj(doc);
        for (int s = 0; s < NN_CPU_SETS; s++)
            (void)yyjson_mut_obj_add_real(doc, o, set_names[s], r->rate[w][s]);
        (void)yyjson_mut_obj_add_val(doc, root, work_names[w], o);
    }
    enum err_code rc;
    TRY_GOTO(folder_make_parents(path, 0700, e), done);
    rc = json_write_file(doc, path, e);
done:
    yyjson_mut_doc_free(doc);
    return rc;
}

/* ---- choosing --------------------------------------------------------------------------------------- */

/* Under `lock`. A limited processor (VEETANCE_CPU_ISA) is neither read from the file nor written to it. */
static void find_out(void)
{
    struct err e = {0};
    if (is_known)
        return;
    is_known = true;
    enum err_code rc = nn_isa_limited() ? ERR_NOTFOUND : read_file(&known, &e);
    if (rc == ERR_OK)
        return;
    if (rc != ERR_NOTFOUND)
        log_warn("%s; measuring the processor again", e.text);
    measure_all(&known);
    if (!nn_isa_limited() && write_file(&known, &e) != ERR_OK)
        log_debug("what the processor does best is not kept: %s", e.text);
}

struct nn_cpu_rates nn_cpu_choice_rates(void)
{
    (void)pthread_mutex_lock(&lock);
    find_out();
    struct nn_cpu_rates r = known;
    (void)pthread_mutex_unlock(&lock);
    return r;
}

bool nn_cpu_own(enum nn_cpu_work work)
{
    bool own = can(work, NN_CPU_OWN), other = can(work, NN_CPU_ONEDNN);
    if (!own || !other)
        return own;
    if (forced() != NN_CPU_SETS)
        return forced() == NN_CPU_OWN;
    struct nn_cpu_rates r = nn_cpu_choice_rates();
    return r.rate[work][NN_CPU_OWN] * MARGIN >= r.rate[work][NN_CPU_ONEDNN];
}

void nn_cpu_choice_describe(enum nn_cpu_work work, char *out, size_t size)
{
    bool own = can(work, NN_CPU_OWN), other = can(work, NN_CPU_ONEDNN);
    const char *name = nn_cpu_own(work) ? "ours" : "oneDNN's";
    if (!own && !other)
        (void)snprintf(out, size, "ggml's (no others run on this processor)");
    else if (!own || !other)
        (void)snprintf(out, size, "%s (the only ones for this processor)", name);
    else if (forced() != NN_CPU_SETS)
        (void)snprintf(out, size, "%s (VEETANCE_CPU_KERNELS)", name);
    else {
        struct nn_cpu_rates r = nn_cpu_choice_rates();
        (void)snprintf(out, size, "%s (measured on one core, in GFLOP/s: ours %.0f, oneDNN's %.0f)",
                       name, r.rate[work][NN_CPU_OWN], r.rate[work][NN_CPU_ONEDNN]);
    }
}

enum err_code nn_cpu_choice_pin(struct err *e)
{
    if (nn_isa_limited())
        return ERR_OK;
    (void)pthread_mutex_lock(&lock);
    measure_all(&known);
    is_known = true;
    enum err_code rc = write_file(&known, e);
    (void)pthread_mutex_unlock(&lock);
    return rc;
}

enum err_code nn_cpu_choice_unpin(struct err *e)
{
    char path[4096];
    TRY(nn_cpu_choice_path(path, sizeof path, e));
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set_sys(e, ERR_IO, errno, "cannot remove '%s'", path);
    return ERR_OK;
}
