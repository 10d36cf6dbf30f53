/* onednn.c - finds libdnnl, its functions, and a thread's right to use it alone.
 *
 * The library is looked for under the names that distributions give it; its functions are looked up once, and
 * without all of them it counts as absent. The instruction set has to be limited before its first primitive, as
 * oneDNN decides once.
 */
#include "nn/cpu/onednn.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

#include "base/log.h"
#include "nn/cpu/isa.h"

#define STRING_OF(x) #x
#define STRING(x) STRING_OF(x)
#define DNNL_BY_MAJOR "libdnnl.so." STRING(DNNL_VERSION_MAJOR)

/* Written once under `once`, then only read. */
static struct onednn library;
static bool usable;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* First as the library that the program was built with calls itself: in Debian 13 oneDNN 3.7 is libdnnl.so.3.6, and
 * without its development files nothing has another name. oneDNN itself names the file by the major version alone. */
static void *open_library(void)
{
    static const char *const names[] = {VT_DNNL_SONAME, DNNL_BY_MAJOR, "libdnnl.so"};
    void *handle = NULL;
    for (size_t i = 0; !handle && i < sizeof names / sizeof names[0]; i++)
        handle = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
    return handle;
}

static bool find_functions(void *handle, struct onednn *d)
{
    const struct {
        const char *name;
        void **to;
    } table[] = {
#define ONEDNN_ENTRY(name) {"dnnl_" #name, (void **)&d->name},
        ONEDNN_FUNCTIONS(ONEDNN_ENTRY)
#undef ONEDNN_ENTRY
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        *table[i].to = dlsym(handle, table[i].name);
        if (!*table[i].to) {
            log_warn("oneDNN has no %s and is not used", table[i].name);
            return false;
        }
    }
    *(void **)&d->set_threads = dlsym(handle, "omp_set_num_threads");
    *(void **)&d->get_threads = dlsym(handle, "omp_get_max_threads");
    return true;
}

/* oneDNN detects the processor itself; a limit has to be set before its first use. */
static void limit_isa(const struct onednn *d)
{
    static const dnnl_cpu_isa_t limits[] = {
        [NN_ISA_BASE] = dnnl_cpu_isa_sse41,
        [NN_ISA_AVX2] = dnnl_cpu_isa_avx2,
        [NN_ISA_AVX2_VNNI] = dnnl_cpu_isa_avx2_vnni,
        [NN_ISA_AVX512] = dnnl_cpu_isa_avx512_core,
        [NN_ISA_AVX512_BF16] = dnnl_cpu_isa_avx512_core_bf16,
    };
    if (nn_isa_limited())
        (void)d->set_max_cpu_isa(limits[nn_isa_get()]);
}

static void load(void)
{
    void *handle = open_library();
    if (!handle || !find_functions(handle, &library))
        return;
    limit_isa(&library);
    if (library.engine_create(&library.engine, dnnl_cpu, 0) != dnnl_success)
        return;
    unsigned isa = (unsigned)library.get_effective_cpu_isa();
    library.f32 = (isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2;
    library.bf16 = (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
    /* Without VNNI pairs of products are added in 16 bits, which overflows for 2 x 255 x 127. */
    library.int8 = (isa & dnnl_cpu_isa_avx2_vnni) == dnnl_cpu_isa_avx2_vnni ||
                   (isa & dnnl_cpu_isa_avx512_core_vnni) == dnnl_cpu_isa_avx512_core_vnni;
    usable = true;
    log_debug("oneDNN %d.%d.%d, isa %#x", library.version()->major, library.version()->minor,
              library.version()->patch, isa);
}

const struct onednn *onednn_get(void)
{
    (void)pthread_once(&once, load);
    return usable ? &library : NULL;
}

int onednn_alone(const struct onednn *d)
{
    int before = d && d->get_threads ? d->get_threads() : 1;
    if (d && d->set_threads && before != 1)
        d->set_threads(1);
    return before;
}

void onednn_restore(const struct onednn *d, int before)
{
    if (d && d->set_threads && before != 1)
        d->set_threads(before);
}
