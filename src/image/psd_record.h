/* psd_record.h - the layer records of a PSD: everything about a layer but its pixels. Internal. */
#ifndef VT_IMAGE_PSD_RECORD_H
#define VT_IMAGE_PSD_RECORD_H

#include "base/err.h"
#include "image/layers.h"
#include "image/psd_cursor.h"

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
    char name[LAYER_NAME_SIZE]; /* any bytes; for layer_set_name */
    uint32_t lyid;              /* 0: none */
    uint32_t divider;           /* PSD_GROUP_*, 0 for a layer */
    bool has_mask;
    struct psd_rect mask;
    unsigned mask_default, mask_flags;
    /* From the groups around it: */
    double group_opacity;
    bool group_visible;
};

/* Reads one record; group_* are left at "no group". */
ERR_MUST_CHECK enum err_code psd_record_read(struct psd_cursor *c, struct psd_record *r,
                                             struct err *e);

/* Passes the visibility and opacity of groups to the records in them. */
ERR_MUST_CHECK enum err_code psd_records_dissolve_groups(struct psd_record *r, size_t n,
                                                         struct err *e);

#endif
