/* card.h - one NVIDIA card: its context, memory, kernels and streams.
 *
 * Everything on the card belongs to a context, which is ours alone. When the driver reports an error while the card
 * computes (a lost device, a kernel that read outside of its memory) the context is of no more use: that call reports
 * it, and the next one that needs the card makes a new context, which increases the generation. Memory of an earlier
 * generation is gone; freeing it does nothing, using it is refused.
 *
 * Computing belongs to one thread at a time. Memory may be written from several threads, each in a lane of its own.
 */
#ifndef VT_NN_NVIDIA_CARD_H
#define VT_NN_NVIDIA_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "nn/nvidia/driver.h"
#include "nn/nvidia/kernels.h"

struct nv_card;

enum { NV_LANES = 17 }; /* 0: ordered with the computation; the others: for uploads */

struct nv_card_info {
    char name[64]; /* "cuda0" */
    char description[128];
    int ordinal, major, minor, multiprocessors;
    int architecture; /* 90: the kernels of sm_90a are used beside those of sm_80; else 80 */
    uint64_t total_bytes, free_bytes;
};

/* The cards that this engine can use: those of sm_80 and later. 0 without a driver. free_bytes is what the
 * driver reports now. */
size_t nv_card_list(struct nv_card_info *out, size_t max);

/* want: "cuda" (the first) or "cuda1". ERR_DEVICE with the reason when it cannot be used. */
ERR_MUST_CHECK enum err_code nv_card_open(const char *want, struct nv_card **out, struct err *e);
void nv_card_close(struct nv_card *c);
void nv_card_describe(struct nv_card *c, struct nv_card_info *out);
const char *nv_card_library(const struct nv_card *c);
/* Bytes of the card's memory that the context takes for itself. */
uint64_t nv_card_overhead(const struct nv_card *c);
int nv_card_architecture(const struct nv_card *c);
int nv_card_multiprocessors(const struct nv_card *c);
/* Zeros for products that share tiles, one launch after the other; they leave zeros (nv_gemm.tickets). */
enum { NV_TICKETS = 32 << 10 };
nv_ptr nv_card_tickets(const struct nv_card *c);

/* The number of the context: memory taken from an earlier one is gone. Replaces a context that has failed first. */
unsigned nv_card_generation(struct nv_card *c);
/* ERR_DEVICE when memory taken from that context is gone. */
ERR_MUST_CHECK enum err_code nv_card_check(struct nv_card *c, unsigned generation, struct err *e);

/* ---- memory ----------------------------------------------------------------------------------------------- */

struct nv_memory {
    nv_ptr p;
    unsigned generation;
};

/* ERR_NOMEM when the card has not enough memory; ERR_DEVICE when the card failed. */
ERR_MUST_CHECK enum err_code nv_memory_new(struct nv_card *c, size_t bytes, struct nv_memory *out,
                                           struct err *e);
void nv_memory_free(struct nv_card *c, struct nv_memory *m);

/* Page-locked memory of the host; NULL when there is none. It is gone when the context is. */
void *nv_host_new(struct nv_card *c, size_t bytes);
void nv_host_free(struct nv_card *c, void *p, unsigned generation);

/* Bytes of page-locked memory that reads go through. */
uint64_t nv_card_locked_bytes(const struct nv_card *c);

/* Lane 0 returns when src may be changed, and later computations see the bytes. Other lanes return when the bytes are
 * on the card. */
ERR_MUST_CHECK enum err_code nv_write(struct nv_card *c, int lane, nv_ptr dst, const void *src,
                                      size_t n, struct err *e);
/* Rows of numbers that the card makes rows of 8 bits of: q says how (not where: x is nv_write_rows' own); blocks of ggml are
 * unpacked to bf16 first (NV_BLOCKS_NONE: they are numbers). */
struct nv_rows {
    struct nv_quantise q;
    enum nv_blocks blocks;
};
/* n bytes of q.rows whole rows, at most nv_rows_part of them; of lanes other than 0. Returns when they are there. */
ERR_MUST_CHECK enum err_code nv_write_rows(struct nv_card *c, int lane, const struct nv_rows *rows,
                                           const void *src, size_t n, struct err *e);
/* Bytes of whole rows of row_bytes that a lane has room for. */
enum { NV_ROWS_BYTES = 512 << 10 };
size_t nv_rows_part(const struct nv_rows *rows, size_t row_bytes);
/* Ordered after everything launched before. */
ERR_MUST_CHECK enum err_code nv_read(struct nv_card *c, void *dst, nv_ptr src, size_t n,
                                     struct err *e);
ERR_MUST_CHECK enum err_code nv_copy(struct nv_card *c, nv_ptr dst, nv_ptr src, size_t n,
                                     struct err *e);
ERR_MUST_CHECK enum err_code nv_zero(struct nv_card *c, nv_ptr dst, size_t n, struct err *e);

/* ---- kernels ---------------------------------------------------------------------------------------------- */

enum nv_kernel {
#define NV_KERNEL(module, name, architecture, parameters, threads, shared) NV_KERNEL_##name,
    NV_KERNELS(NV_KERNEL)
#undef NV_KERNEL
        NV_KERNEL_COUNT
};

struct nv_grid {
    int64_t x, y, z; /* 0 counts as 1 */
};

/* Queues the kernel after what was launched before. params: the struct that kernels.h names. */
ERR_MUST_CHECK enum err_code nv_launch(struct nv_card *c, enum nv_kernel k, struct nv_grid grid,
                                       void *params, struct err *e);
/* Waits for everything that was launched. */
ERR_MUST_CHECK enum err_code nv_wait(struct nv_card *c, struct err *e);
/* Waits for what had been launched when this was called the last time: keeps the card's queue short enough for
 * stopping to take effect soon. */
ERR_MUST_CHECK enum err_code nv_throttle(struct nv_card *c, struct err *e);

/* ---- recording -------------------------------------------------------------------------------------------- */

/* What was launched, copied on the card and cleared, to be launched again as one, with the parameters of then. A card
 * holds at most NV_RECORD_LAUNCHES of them; room for those is part of nv_card_overhead. */
enum { NV_RECORD_LAUNCHES = 4096, NV_RECORD_ROOM = 16 << 20 };
struct nv_record {
    struct nv_replay *replay; /* NULL: nothing was launched */
    unsigned generation;      /* of the context; gone with it */
    int launches;
};

/* Whether the driver can. VEETANCE_CUDA_GRAPHS=0: no. */
bool nv_card_records(const struct nv_card *c);
/* From here to nv_record_end nothing runs. In between this thread may take or free no memory, not wait, read or write;
 * a kernel that was never launched before is refused, as loading it would be all of that. */
ERR_MUST_CHECK enum err_code nv_record_begin(struct nv_card *c, struct err *e);
/* To be called after every nv_record_begin that succeeded. An error leaves nothing behind, and the card usable. Caller frees
 * with nv_record_free. */
ERR_MUST_CHECK enum err_code nv_record_end(struct nv_card *c, struct nv_record *out, struct err *e);
/* Queues it after what was launched before. */
ERR_MUST_CHECK enum err_code nv_record_replay(struct nv_card *c, const struct nv_record *r,
                                              struct err *e);
/* Not while it runs. */
void nv_record_free(struct nv_card *c, struct nv_record *r);

enum nv_map_of { NV_MAP_OF_BF16, NV_MAP_OF_F32, NV_MAP_OF_BYTES };

/* A map of [outer, rows, columns] for the kernels of sm_90a, columns side by side; strides in elements. */
struct nv_map_spec {
    nv_ptr p;
    enum nv_map_of of;
    uint64_t columns, rows, outer; /* outer 0: two dimensions */
    uint64_t row_stride, outer_stride;
    uint32_t box_columns, box_rows, box_outer; /* box_outer 0 counts as 1 */
    uint32_t step; /* of rows and of the outer dimension; 0 counts as 1 */
};
struct nv_tensor_map;
ERR_MUST_CHECK enum err_code nv_tensor_map_make(struct nv_card *c, const struct nv_map_spec *s,
                                                struct nv_tensor_map *out, struct err *e);

#endif
