/* psd_record.h - the layer records of a PSD: everything about a layer but its pixels. Internal. */
#ifndef VT_LAYERS_PSD_RECORD_H
#define VT_LAYERS_PSD_RECORD_H

#include "base/err.h"
#include "layers/psd_cursor.h"
#include "layers/stack.h"

enum { PSD_CHANNELS_MAX = 56 };

struct psd_rect {
    int32_t top, left, bottom, right;
};

struct psd_channel {
    int id; /* 0 red, 1 green, 2 blue, or PSD_CHANNEL_* */
    uint32_t bytes;
};

struct psd_record {
    struct psd_rect rect;
    size_t n_channels;
    struct psd_channel channels[PSD_CHANNELS_MAX];
    char blend_key[4];
    unsigned opacity, flags;
    bool clipped;
    double fill;                /* fill opacity: of the pixels, not of effects */
    char name[LAYER_NAME_SIZE]; /* any bytes; for layer_set_name */
    uint32_t lyid;              /* 0: none */
    uint32_t divider;           /* PSD_GROUP_*, 0 for a layer */
    bool has_mask;
    struct psd_rect mask;
    unsigned mask_default, mask_flags;
    unsigned mask_density; /* 255: the mask has its full effect */
    bool mask_feathered, has_vector_mask, has_effects, is_adjustment;
    size_t
        group; /* of a group's record: the index of its end, and of an end: of its group; else PSD_NO_GROUP */
};

#define PSD_NO_GROUP SIZE_MAX

/* Reads one record. */
ERR_MUST_CHECK enum err_code psd_record_read(struct psd_cursor *c, struct psd_record *r,
                                             struct err *e);

/* Finds for each group its end, and for each end its group. */
ERR_MUST_CHECK enum err_code psd_records_match_groups(struct psd_record *r, size_t n,
                                                      struct err *e);

#endif
