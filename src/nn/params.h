/* params.h - a network's parameters on a device.
 *
 * A model declares every tensor that it needs (canonical name and shape, checked against the component at
 * once, so that a wrong checkpoint is refused before anything is loaded), then engages them: puts them on
 * the device. On the CPU matrices are used in place, in the mapped file; what must change form (float8,
 * biases and norms to float32, convolution kernels to float32) is converted into memory of its own. On other
 * devices everything is uploaded from the map.
 *
 * Parameters belong to groups (a block each) so that a memory plan can engage them apart.
 *
 *     nn_params_new(component, device, NN_PRECISION_STORED, &ps);
 *     nn_params_add(ps, NN_MATRIX, "x_embedder.weight", 2, (int64_t[]){3072, 128}, &m->x_embedder, &e);
 *     nn_params_engage(ps, &e);
 *     ... nn_linear(g, m->x_embedder, NULL, x) ...
 *     nn_params_free(ps);
 */
#ifndef VT_NN_PARAMS_H
#define VT_NN_PARAMS_H

#include <ggml.h>

#include "nn/device.h"
#include "weights/component.h"

enum nn_param_role {
    NN_MATRIX,            /* [out, in]: may stay in its stored type */
    NN_VECTOR,            /* biases, norms: float32 on the device */
    NN_KERNEL,            /* convolution kernels [out, in, kh, kw]: float32 on the device */
    NN_KERNEL_LAST_SLICE, /* causal 3-D kernels [out, in, kt, kh, kw]: the last of the kt slices, which
                           * is all that a single frame meets, as [out, in, kh, kw] in float32 */
    NN_HOST,              /* never on the device: read row by row from the map (embedding tables) */
};

/* How matrices are held. STORED: as in the file (float8 as bf16, int8 as Q8_0). F32: converted, so that arithmetic is plain
 * float32 throughout, as in the reference: for small models and for tests. */
enum nn_precision { NN_PRECISION_STORED, NN_PRECISION_F32 };

/* The precision for a component: one under 64 MiB is held in float32, which costs little and agrees with the
 * reference to the last digits. */
enum nn_precision nn_precision_for(const struct component *c);

struct nn_param;

/* What a layer adds to the product of a matrix W with x: up (down x), down NULL: up x. With mix, up and down work on
 * each of the equal parts that x consists of, and mix then mixes the parts: (mix (x) up down) x, of which the values
 * from `skip` on count. The scale of mix, else that of up, is the term's. (weights/lora.h) */
struct nn_term {
    const struct nn_param *down, *up, *mix;
    int64_t skip;
    struct nn_term *next;
};

/* Makes n rows from row0 on of a matrix, as float32. Called from several threads. */
typedef enum err_code (*nn_fill_fn)(const void *user, int64_t row0, int64_t n, float *dst,
                                    struct err *e);

struct nn_param {
    struct ggml_tensor *t; /* on the device while engaged, ne = dims reversed; NULL for NN_HOST */
    struct ggml_tensor *row_scales; /* [out]: of the product's columns; NULL: none */
    float scale;                    /* multiply the product by this, too */
    struct weights_view view;
    const char *name; /* canonical */
    enum nn_param_role role;
    int group;
    bool in_place;
    bool may_be_eight; /* nn_params_allow_eight */
    /* On a card: held in 8 bits of this kind, with row_scales. NN_COMPUTE_DEFAULT: not. */
    enum nn_compute eight;
    bool halved;     /* bf16 or float8 held in half precision, since the device has no bf16 */
    nn_fill_fn fill; /* makes its rows; NULL: they are the view's */
    const void *user;
    struct nn_term *terms; /* for graphs that are made from now on; NULL: none */
    struct nn_param *next;
};

struct nn_params;
struct nn_stream;

/* Residency of the groups while engaged. Group 0 is always resident. slots 0: every group is. Otherwise `resident` of
 * the groups that take room on the device are, and the others, evenly spread, are streamed through `slots` slots. */
struct nn_placement {
    int resident, slots;
};

/* c: NULL for a set of made matrices alone. */
ERR_MUST_CHECK enum err_code nn_params_new(struct component *c, struct nn_device *d,
                                           enum nn_precision precision, struct nn_params **out,
                                           struct err *e);
/* Releases first. The component and device must still be there. Accepts NULL. */
void nn_params_free(struct nn_params *ps);

/* Parameters added from now on belong to this group (0 at first). */
void nn_params_set_group(struct nn_params *ps, int group);
/* Matrices added from now on may be held in 8 bits, with a scale a row, on a card that computes in them (nn_device_use_compute).
 * Models allow it for the blocks in which they allow such products (nn_graph_allow_int8). */
void nn_params_allow_eight(struct nn_params *ps, bool allowed);
/* dims in reading order. *out lives as long as ps. */
ERR_MUST_CHECK enum err_code nn_params_add(struct nn_params *ps, enum nn_param_role role,
                                           const char *name, int n_dims, const int64_t *dims,
                                           struct nn_param **out, struct err *e);

/* A matrix [rows, columns] that `fill` makes whenever it is engaged. Held in 16 bits, in float32 with NN_PRECISION_F32.
 * user must outlive ps. Its scale is the caller's. */
ERR_MUST_CHECK enum err_code nn_params_add_made(struct nn_params *ps, const char *name,
                                                const int64_t dims[2], nn_fill_fn fill,
                                                const void *user, struct nn_param **out,
                                                struct err *e);
/* The first of what was declared; the others by ->next. NULL: none. */
struct nn_param *nn_params_first(const struct nn_params *ps);

/* For the next engagement. Until this is called everything is resident. */
void nn_params_place(struct nn_params *ps, struct nn_placement want);
ERR_MUST_CHECK enum err_code nn_params_engage(struct nn_params *ps, struct err *e);
void nn_params_release(struct nn_params *ps);
/* While the device is dry these are about the plan that is being made. A plan starts with nn_params_begin_dry
 * from what is really engaged, and ends with nn_params_release while still dry. */
bool nn_params_engaged(const struct nn_params *ps);
/* Whether they are engaged in another form than the device would engage them in now. They stay in that form until released. */
bool nn_params_outdated(const struct nn_params *ps);
struct nn_placement nn_params_placement(const struct nn_params *ps);
void nn_params_begin_dry(struct nn_params *ps);

struct nn_params_sizes {
    uint64_t total, shared; /* bytes on the device; of group 0 */
    int blocks;             /* groups that could be streamed */
};
/* Bytes that engaging takes, from shapes alone. */
ERR_MUST_CHECK enum err_code nn_params_sizes(struct nn_params *ps, struct nn_params_sizes *out,
                                             struct err *e);
/* Bytes that a placement holds on the device, and that it streams through its slots in one pass. */
ERR_MUST_CHECK enum err_code nn_params_placed_bytes(struct nn_params *ps, struct nn_placement want,
                                                    uint64_t *resident, uint64_t *streamed,
                                                    struct err *e);

/* The type that most bytes of its matrices have on the device, in small letters ("bf16"). Static string. */
const char *nn_params_dtype_name(const struct nn_params *ps);
/* Matrices stored in less than 16 bits a value that are held in a wider type on the device. */
struct nn_widened {
    char from[64];  /* the forms in the files: "float8, NVFP4"; "" when there are none */
    const char *to; /* "bfloat16"; static */
    uint64_t bytes; /* how many more */
};
/* Of what is engaged, or was in a plan. */
void nn_params_widened(const struct nn_params *ps, struct nn_widened *out);
enum nn_precision nn_params_precision(const struct nn_params *ps);
struct component *nn_params_component(const struct nn_params *ps);

/* Bytes on the device (or in memory of our own on the CPU), and bytes used in place in mapped files. */
uint64_t nn_params_device_bytes(const struct nn_params *ps);
uint64_t nn_params_mapped_bytes(const struct nn_params *ps);
/* What all declared tensors take in their files, engaged or not. */
uint64_t nn_params_stored_bytes(const struct nn_params *ps);

/* For graphs: the streamed block that t belongs to (-1: it is resident), how many blocks and slots there are,
 * and the stream to take blocks from (NULL: nothing is streamed). */
int nn_params_block_of(const struct nn_params *ps, const struct ggml_tensor *t);
int nn_params_blocks(const struct nn_params *ps);
int nn_params_slots(const struct nn_params *ps);
struct nn_stream *nn_params_stream(const struct nn_params *ps);

/* Looks for NaN and infinities in everything declared: names the first bad tensor. Reads all bytes. */
ERR_MUST_CHECK enum err_code nn_params_check_finite(const struct nn_params *ps, struct err *e);

/* n_rows rows of a matrix from row0 on, as float32, scales applied; for any dtype. */
ERR_MUST_CHECK enum err_code nn_view_rows_f32(const struct weights_view *v, int64_t row0,
                                              int64_t n_rows, float *dst, struct err *e);

#endif
