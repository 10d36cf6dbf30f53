/* half.h - an encoder or a decoder as a flat list of operations.
 *
 * Both autoencoders here are chains of the same few operations, so each half is a list that is written down once, when
 * its parameters are declared, and walked to build the graph of a whole image, to work out which rows of its input a
 * band of rows needs, or to cut the list into stages.
 *
 *     resnet      KEEP, NORM + SiLU, CONV, NORM + SiLU, CONV, ADD (with a 1 x 1 CONV on what was kept when the
 *                 widths differ)
 *     attention   KEEP, NORM, ATTEND, ADD
 *     upsampling  UPSAMPLE, CONV        downsampling  CONV with stride 2, padded right and bottom by one
 *
 * A list is made with a vae_builder: the model says which blocks follow each other, the names of parameters come
 * from the loader's prefix. Two families differ in their norms (over groups of channels and the whole image,
 * or over the channels of a pixel) and in the form their kernels are stored in.
 */
#ifndef VT_MODEL_VAE_HALF_H
#define VT_MODEL_VAE_HALF_H

#include "model/blocks.h"
#include "nn/moments.h"

enum vae_norm { VAE_GROUP_NORM, VAE_RMS_NORM };

enum vae_op_kind {
    VAE_CONV,
    VAE_NORM,
    VAE_UPSAMPLE,
    VAE_KEEP, /* what the next VAE_ADD adds */
    VAE_ADD,
    VAE_ATTEND, /* of every pixel to every pixel, one head */
    VAE_CLAMP,  /* to -1 .. 1 */
};

struct vae_conv {
    struct nn_param *w, *b;
};

struct vae_op {
    enum vae_op_kind kind;
    int64_t channels; /* of its result */
    struct vae_conv
        conv; /* CONV; NORM: scale and shift; ADD: for what was kept, w NULL: as it is */
    struct vae_conv q, k, v, out; /* ATTEND: linear layers */
    int kernel, stride;           /* CONV */
    bool silu;                    /* NORM: followed by SiLU */
    char mid[48]; /* the reference's name of its result (before SiLU); empty: none */
};

struct vae_half {
    struct nn_params *params; /* its own */
    enum vae_norm norm;
    int norm_groups;
    int64_t in_channels;
    struct vae_op *ops;
    int n, room;
    bool from_file; /* its input comes from a file: see nn_moments */
};

/* Frees the parameters, too. */
void vae_half_deinit(struct vae_half *h);

/* Sides and channels before each operation and (at n) of the result. Of the same form for all halves: an
 * UPSAMPLE doubles, a stride of 2 halves. */
struct vae_shape {
    int64_t channels, h, w;
};
void vae_half_shapes(const struct vae_half *h, int64_t height, int64_t width,
                     struct vae_shape *out /* [n + 1] */);

/* A rough amount of work, without a unit: to weigh stretches of the list against each other. */
double vae_half_work(const struct vae_half *h, const struct vae_shape *shapes, int first, int last);

/* ---- making one ------------------------------------------------------------------------------------ */

struct vae_builder {
    struct model_loader l; /* its rc is sticky: nothing happens after an error */
    struct vae_half *half;
    bool last_slice; /* 3 x 3 kernels are stored over time as well, and the last slice counts */
    const char *attention_norm, *attention_out; /* their names, e.g. "group_norm", "to_out.0" */
    int64_t channels;                           /* at the end of the list */
};

/* 3 x 3 convolution NAME as the family stores it; a plain one of side k; a downsampling. */
void vae_add_conv3(struct vae_builder *b, const char *name, int64_t out);
void vae_add_conv(struct vae_builder *b, const char *name, int64_t out, int k);
void vae_add_downsample(struct vae_builder *b, const char *name, int64_t out);
/* Each pixel becomes 2 x 2, then a plain 3 x 3 convolution. */
void vae_add_upsample(struct vae_builder *b, const char *name, int64_t out);
void vae_add_norm(struct vae_builder *b, const char *name, bool silu);
/* Under the loader's prefix. */
void vae_add_resnet(struct vae_builder *b, int64_t out);
/* HALF.mid_block: resnet, attention, resnet. */
void vae_add_mid_block(struct vae_builder *b, const char *half, bool attention);
void vae_add_clamp(struct vae_builder *b);
/* Names the result of the last operation. */
void vae_name(struct vae_builder *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
