/* params_impl.h - shared by the files params*.c only. */
#ifndef VT_NN_PARAMS_IMPL_H
#define VT_NN_PARAMS_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "nn/buffer.h"
#include "nn/params.h"
#include "nn/stream.h"

enum { NN_PARAMS_MAX_FILES = 256 };

/* State of an engagement: there is a real one and one for plans. */
struct nn_held {
    bool engaged;
    struct nn_placement placement;
    uint64_t device_bytes, mapped_bytes;
};

struct nn_group {
    uint64_t bytes;           /* on the device */
    int stream;               /* its place in the order of streamed groups; -1: resident */
    struct nn_buffer *buffer; /* of a resident group: one each, as cards limit its size */
};

struct nn_streamed { /* a tensor in a slot, for finding it by address */
    const struct ggml_tensor *t;
    struct nn_param *p; /* NULL for a tensor of row scales */
    int block;
};

struct nn_params {
    struct component *component;
    struct nn_device *device;
    enum nn_precision precision;
    enum nn_compute compute; /* for which the records were made */
    bool eight_allowed;      /* nn_params_allow_eight; any_eight: of one that was added */
    bool any_eight;
    struct arena arena;
    struct nn_param *first, **last;
    size_t count;
    int group;
    struct ggml_context *ctx; /* tensor records without data: made once, by the first engagement */
    struct nn_group *groups;  /* [n_groups], by group number */
    int n_groups;
    struct nn_placement wanted; /* of the next engagement */
    struct nn_held real, dry;
    struct nn_buffer **slots; /* [n_slots], real */
    int n_slots;
    ggml_backend_buffer_t
        maps[NN_PARAMS_MAX_FILES]; /* CPU: one over each mapped file that is used in place */
    struct nn_stream *stream;
    struct nn_streamed *streamed; /* [n_streamed], by address */
    size_t n_streamed;
    int n_blocks; /* streamed groups */
};

/* Are the scales of all values and of the rows applied to the product? float8 as stored (I8) or in 16 bits is exact
 * then, and NVFP4's blocks stay as stored. */
static inline bool nn_type_scales_product(enum ggml_type t)
{
    return t == GGML_TYPE_BF16 || t == GGML_TYPE_F16 || t == GGML_TYPE_NVFP4 || t == GGML_TYPE_I8;
}

static inline bool nn_param_is_kernel(const struct nn_param *p)
{
    return p->role == NN_KERNEL || p->role == NN_KERNEL_LAST_SLICE;
}

/* p->t must be there. A kernel in bf16 has its scales in its values. */
static inline bool nn_param_scales_product(const struct nn_param *p)
{
    return p->role == NN_MATRIX && !p->eight && nn_type_scales_product(p->t->type);
}

/* params_form.c: the type that holds a matrix on the device, where that is an NVIDIA card or ggml has no type for its
 * stored numbers. */
enum ggml_type nn_param_form(const struct nn_device *d, const struct weights_view *v);
/* Rows of it in that type, when it is one of blocks. */
ERR_MUST_CHECK enum err_code nn_param_fill_blocks(const void *param, size_t at, size_t n, void *dst,
                                                  struct err *e);

/* params_form.c: rows of a view of p as float32, or of what makes p. */
ERR_MUST_CHECK enum err_code nn_param_rows_f32(const struct nn_param *p,
                                               const struct weights_view *v, int64_t row0,
                                               int64_t n, float *dst, struct err *e);

/* params_eight.c: whether a matrix of this shape can be held in 8 bits. */
bool nn_param_suits_eight(const struct nn_param *p);
/* Fills a matrix that is held so, and its row scales. */
ERR_MUST_CHECK enum err_code nn_param_upload_eight(struct nn_device *d, struct nn_param *p,
                                                   const atomic_bool *cancel, struct err *e);

/* params_upload.c: rows of ggml's blocks as bf16, for an uploader (upload.h); user is the parameter. */
ERR_MUST_CHECK enum err_code nn_param_fill_unpacked(const void *user, size_t at, size_t n,
                                                    void *dst, struct err *e);
/* The same for bytes that stay as they are stored: int8, float8, ggml's blocks. Refuses NaN and infinities. */
ERR_MUST_CHECK enum err_code nn_param_fill_stored(const void *user, size_t at, size_t n, void *dst,
                                                  struct err *e);
/* Those that were stored. Refuses NaN and infinities. */
ERR_MUST_CHECK enum err_code nn_param_upload_row_scales(struct nn_device *d,
                                                        const struct nn_param *p, struct err *e);
/* The error that p holds NaN or infinity, with both its names. */
ERR_MUST_CHECK enum err_code nn_param_refuse_nan(const struct nn_param *p, struct err *e);
/* That error if one of f[n] is no number. */
ERR_MUST_CHECK enum err_code nn_param_check_floats(const struct nn_param *p, const float *f,
                                                   int64_t n, struct err *e);

/* params_upload.c: fills p->t (and its row scales), which must have a place. cancel may be NULL. */
ERR_MUST_CHECK enum err_code nn_param_upload(struct nn_device *d, struct nn_param *p,
                                             const atomic_bool *cancel, struct err *e);

/* bf16 to half precision, for devices whose matrix units lack bf16.
 * n values, rounded to nearest even; below the smallest half they become 0. False when one is too large
 * for a half (or is NaN or infinite). */
bool half_from_bf16(const uint16_t *src, uint16_t *dst, size_t n);

#endif
