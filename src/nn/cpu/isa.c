/* isa.c - which instructions this process may use.
 *
 * The limit exists for tests: a machine with AVX-512 must be able to run what a machine with AVX2 runs, in ggml,
 * oneDNN and our own kernels alike. It is read once, under pthread_once, before the first of the three is loaded,
 * and never changes; so no two of them can disagree. nn_isa_check refuses a bad value with a message; nn_isa_get,
 * which cannot fail, then falls back to what the processor has.
 */
#include "nn/cpu/isa.h"

#include "nn/cpu/gemm.h"
#include "nn/cpu/vec.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ISA_VARIABLE "VEETANCE_CPU_ISA"

static const char *const names[] = {
    [NN_ISA_BASE] = "base",
    [NN_ISA_AVX2] = "avx2",
    [NN_ISA_AVX2_VNNI] = "avx2-vnni",
    [NN_ISA_AVX512] = "avx512",
    [NN_ISA_AVX512_BF16] = "avx512-bf16",
};
enum { N_NAMES = sizeof names / sizeof names[0] };

/* ggml's names for the variants of its CPU backend; those not listed use more than any limit allows. */
static const struct {
    const char *name;
    enum nn_isa isa;
} variants[] = {
    {"x64", NN_ISA_BASE},
    {"haswell", NN_ISA_AVX2},
    {"alderlake", NN_ISA_AVX2_VNNI},
    {"skylakex", NN_ISA_AVX512},
    {"cooperlake", NN_ISA_AVX512_BF16},
};

#if defined(__x86_64__)
/* Not every compiler has a name for these features. */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & 1u << 29) != 0;
}

static bool has_avx_vnni(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & 1u << 4) != 0;
}
#endif

static bool processor_has(enum nn_isa isa)
{
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    switch (isa) {
    case NN_ISA_BASE:
        return true;
    case NN_ISA_AVX2:
        return avx2;
    case NN_ISA_AVX2_VNNI:
        return avx2 && has_avx_vnni();
    case NN_ISA_AVX512:
        return avx512;
    case NN_ISA_AVX512_BF16:
        return avx512 && __builtin_cpu_supports("avx512bf16");
    }
#endif
    return isa == NN_ISA_BASE;
}

static enum nn_isa most(void)
{
    int i = N_NAMES - 1;
    while (i > 0 && !processor_has((enum nn_isa)i))
        i--;
    return (enum nn_isa)i;
}

/* Written once under `once`, then only read. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static enum nn_isa chosen;
static bool limited;

static int index_of(const char *name)
{
    for (int i = 0; i < N_NAMES; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static void choose(void)
{
    const char *name = getenv(ISA_VARIABLE);
    int i = name ? index_of(name) : -1;
    limited = name && *name;
    chosen = i >= 0 && processor_has((enum nn_isa)i) ? (enum nn_isa)i : most();
}

enum err_code nn_isa_check(struct err *e)
{
    const char *name = getenv(ISA_VARIABLE);
    if (!name || !*name)
        return ERR_OK;
    int i = index_of(name);
    if (i < 0)
        return err_set(e, ERR_ARG,
                       ISA_VARIABLE " is base, avx2, avx2-vnni, avx512 or avx512-bf16, not '%s'",
                       name);
    if (!processor_has((enum nn_isa)i))
        return err_set(e, ERR_ARG, ISA_VARIABLE " is '%s', which this processor does not have",
                       name);
    return ERR_OK;
}

bool nn_isa_limited(void)
{
    (void)pthread_once(&once, choose);
    return limited;
}

enum nn_isa nn_isa_get(void)
{
    (void)pthread_once(&once, choose);
    return chosen;
}

bool nn_isa_allows_variant(const char *file)
{
    const char *head = "libggml-cpu-";
    if (!nn_isa_limited() || strncmp(file, head, strlen(head)) != 0) /* a build of one variant */
        return true;
    const char *name = file + strlen(head);
    size_t n = strcspn(name, ".");
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (strlen(variants[i].name) == n && strncmp(name, variants[i].name, n) == 0)
            return variants[i].isa <= chosen;
    return false;
}

const struct vec *vec_get(void)
{
    switch (nn_isa_get()) {
#if defined(__x86_64__)
    case NN_ISA_AVX512_BF16:
        return &vec_avx512_bf16;
    case NN_ISA_AVX512:
        return &vec_avx512;
    case NN_ISA_AVX2_VNNI:
    case NN_ISA_AVX2:
        return &vec_avx2;
#endif
    default:
        return &vec_base;
    }
}

const struct gemm *gemm_get(void)
{
#if defined(__x86_64__)
    if (nn_isa_get() >= NN_ISA_AVX2)
        return &gemm_avx2;
#endif
    return NULL;
}
