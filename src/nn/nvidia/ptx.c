#include "nn/nvidia/ptx.h"

#include <stdbool.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#include "base/embed.h"
#include "base/mem.h"

/* The files of src/nn/nvidia/ptx, which tools/ptx makes from kernels/ and which are committed. */
#define NV_MODULES(NV_MODULE)                                                                      \
    NV_MODULE(attention)                                                                           \
    NV_MODULE(attention_tma)                                                                       \
    NV_MODULE(attention_wide_tma)                                                                  \
    NV_MODULE(conv)                                                                                \
    NV_MODULE(conv_tma)                                                                            \
    NV_MODULE(gemm)                                                                                \
    NV_MODULE(gemm_exact)                                                                          \
    NV_MODULE(gemm_f8_tma)                                                                         \
    NV_MODULE(gemm_heads_tma)                                                                      \
    NV_MODULE(gemm_narrow_tma)                                                                     \
    NV_MODULE(gemm_s8)                                                                             \
    NV_MODULE(gemm_s8_tma)                                                                         \
    NV_MODULE(gemm_tma)                                                                            \
    NV_MODULE(gemm_wide)                                                                           \
    NV_MODULE(gemv_eight)                                                                          \
    NV_MODULE(group_norm)                                                                          \
    NV_MODULE(map)                                                                                 \
    NV_MODULE(quantise)                                                                            \
    NV_MODULE(rows)                                                                                \
    NV_MODULE(unpack)

#define NV_MODULE(name) EMBED_FILE(nv_ptx_##name, VT_PTX_DIR "/" #name ".ptx.gz")
NV_MODULES(NV_MODULE)
#undef NV_MODULE

struct packed {
    const char *name;
    const unsigned char *begin, *end;
};

static const struct packed all[] = {
#define NV_MODULE(name) {#name, nv_ptx_##name, nv_ptx_##name##_end},
    NV_MODULES(NV_MODULE)
#undef NV_MODULE
};

/* A gzip file ends with the size of what it holds, in four bytes, the least first. */
static size_t unpacked_bytes(const struct packed *p)
{
    const unsigned char *s = p->end - 4;
    return (size_t)s[0] | (size_t)s[1] << 8 | (size_t)s[2] << 16 | (size_t)s[3] << 24;
}

static bool unpack(const struct packed *p, char *out, size_t bytes)
{
    enum { GZIP = 16 + MAX_WBITS };
    z_stream z = {.next_in = p->begin,
                  .avail_in = (unsigned)(p->end - p->begin),
                  .next_out = (unsigned char *)out,
                  .avail_out = (unsigned)bytes};
    if (inflateInit2(&z, GZIP) != Z_OK)
        return false;
    bool ok = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_out == 0;
    (void)inflateEnd(&z);
    return ok;
}

enum err_code nv_ptx(const char *module, char **out, struct err *e)
{
    size_t i = 0, n = sizeof all / sizeof all[0];
    *out = NULL;
    while (i < n && strcmp(all[i].name, module) != 0)
        i++;
    if (i == n)
        return err_set(e, ERR_INTERNAL, "there are no kernels '%s'", module);
    size_t bytes = unpacked_bytes(&all[i]);
    *out = mem_try_alloc(bytes + 1);
    if (!*out)
        return err_set(e, ERR_NOMEM, "no memory for the kernels '%s'", module);
    if (unpack(&all[i], *out, bytes))
        return ERR_OK;
    mem_free(*out);
    *out = NULL;
    return err_set(e, ERR_INTERNAL, "the kernels '%s' are damaged", module);
}
