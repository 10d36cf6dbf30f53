/* graph.h - one computation: built once, run as often as its shapes stay the same.
 *
 * Shapes in our comments are in reading order, outermost first ([tokens, dim]); ggml's `ne` is the reverse
 * (ne[0] = dim). Tensors in a graph are float32 unless a comment says otherwise.
 *
 * Life cycle: nn_graph_init; inputs and building blocks (ops.h); nn_graph_output for what is to be read;
 * nn_graph_prepare (allocates); then, as often as wanted, nn_graph_set for each input, nn_graph_run,
 * nn_graph_get; nn_graph_deinit.
 *
 * A block may offer its result under the reference's module name with nn_mid. When `trace` is on these
 * become outputs, can be read back, and are searched for the first NaN.
 */
#ifndef VT_NN_GRAPH_H
#define VT_NN_GRAPH_H

#include <ggml-alloc.h>
#include <ggml.h>
#include <stdatomic.h>

#include "nn/device.h"

struct nn_segments;
struct nn_running;
struct nv_graph;

/* Rotary tables as wide as a head, made once a graph: see rope.c. */
struct nn_rope_table {
    const struct ggml_tensor *base; /* of the narrow tables, and where in them */
    size_t at;
    struct ggml_tensor *cos, *sin;
};

enum { NN_MID_NAME_BYTES = 96, NN_ROPE_TABLES = 8 };

struct nn_mid {
    char name[NN_MID_NAME_BYTES];
    struct ggml_tensor *t;
};

struct nn_records;

struct nn_graph {
    struct nn_device *device;
    struct nn_records *records; /* tensor records, in pieces: see nn_ctx */
    struct ggml_tensor **added; /* what nn_graph_add was given, in this order */
    size_t n_added, room_for_added;
    bool out_of_memory;         /* while it was built; nn_graph_prepare says so */
    struct ggml_context *order; /* of gf */
    struct ggml_cgraph *gf; /* made of what was added, by nn_graph_prepare or nn_graph_measure */
    ggml_gallocr_t alloc;
    struct nv_graph *on_card; /* the same for an NVIDIA card */
    int threads;              /* on the CPU; set by nn_graph_prepare from the amount of work */
    bool exact;               /* float32 arithmetic throughout: no half-precision keys and values */
    bool int8;                /* see nn_graph_allow_int8 */
    struct ggml_tensor *int8_of, *int8_x; /* last tensor quantised to int8, and the result */
    bool trace;
    struct nn_mid *mids; /* when tracing */
    size_t n_mids, room_for_mids;
    /* The last tensor converted for products, and the result: several products read the same tensor. */
    struct ggml_tensor *wide, *narrow;
    struct nn_rope_table rope[NN_ROPE_TABLES];
    int n_rope;
    size_t compute_bytes;         /* taken from the device */
    struct nn_segments *segments; /* NULL unless its weights are streamed */
};

/* A graph has no limit of its own: it grows with what is put into it. */
void nn_graph_init(struct nn_graph *g, struct nn_device *d, bool trace);
void nn_graph_deinit(struct nn_graph *g);

/* Where ggml's functions put the next tensor of g. It changes while the graph grows, so call it anew in
 * every expression; one expression may create up to NN_EXPRESSION_TENSORS tensors. */
enum { NN_EXPRESSION_TENSORS = 32 };
struct ggml_context *nn_ctx(struct nn_graph *g);
/* t, and what it is made of, is computed before anything that is added later. */
void nn_graph_add(struct nn_graph *g, struct ggml_tensor *t);

/* A float32 input of shape [ne3, ne2, ne1, ne0], filled with nn_graph_set before each run. */
struct ggml_tensor *nn_input(struct nn_graph *g, int64_t ne0, int64_t ne1, int64_t ne2,
                             int64_t ne3);
/* n int32, filled with nn_graph_set_bytes. */
struct ggml_tensor *nn_input_ints(struct nn_graph *g, int64_t n);
/* Asks for an input to keep its contents from run to run. True where it does (on a card, where setting it again costs
 * a transfer). */
bool nn_graph_keep(struct nn_graph *g, struct ggml_tensor *input);
/* Marks a result that will be read. */
void nn_graph_output(struct nn_graph *g, struct ggml_tensor *t);
/* Offers t under a module's name; returns t. */
struct ggml_tensor *nn_mid(struct nn_graph *g, struct ggml_tensor *t, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A block of weights ends here: x is computed before anything of the next block, so that its slot becomes free. */
void nn_graph_block_end(struct nn_graph *g, struct ggml_tensor *x);

/* Linear layers that are made from here on may use int8 matmul, if the device is told to (nn_device). Models allow it
 * for the repeated blocks, not for the layers before and after them. */
void nn_graph_allow_int8(struct nn_graph *g, bool allowed);

/* Checks that the device can do every operation, then allocates. */
ERR_MUST_CHECK enum err_code nn_graph_prepare(struct nn_graph *g, struct err *e);
/* Bytes that the graph's own tensors will take: they are laid out without allocating. */
ERR_MUST_CHECK enum err_code nn_graph_measure(struct nn_graph *g, size_t *bytes, struct err *e);
/* Bytes of compute memory that nn_graph_prepare took. */
size_t nn_graph_compute_bytes(const struct nn_graph *g);

void nn_graph_set(struct nn_graph *g, struct ggml_tensor *input, const float *data);
/* The same for an input of another type. */
void nn_graph_set_bytes(struct nn_graph *g, struct ggml_tensor *input, const void *data);
/* cancel may be NULL; when it becomes true the run ends soon with ERR_CANCELLED. */
ERR_MUST_CHECK enum err_code nn_graph_run(struct nn_graph *g, const atomic_bool *cancel,
                                          struct err *e);
/* On a dry device dst stays as it is. */
void nn_graph_get(const struct nn_graph *g, const struct ggml_tensor *t, float *dst);

/* For running a graph piece by piece: nodes first .. end - 1, of which gf is a graph of its own (on an NVIDIA card
 * not needed: NULL). */
struct nn_piece {
    struct ggml_cgraph *gf;
    int first, end;
};
ERR_MUST_CHECK enum err_code nn_graph_compute(const struct nn_graph *g, struct nn_piece piece,
                                              const atomic_bool *cancel, struct err *e);

/* The first mid with a NaN or infinity, NULL when all are finite. Reads them all. */
const struct nn_mid *nn_graph_first_bad_mid(const struct nn_graph *g);

#endif
