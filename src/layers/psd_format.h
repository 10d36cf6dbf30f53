/* psd_format.h - what the PSD writer and reader share. The byte tables are in docs/formats/psd.md. */
#ifndef VT_LAYERS_PSD_FORMAT_H
#define VT_LAYERS_PSD_FORMAT_H

#include "image/composite.h"

enum {
    PSD_VERSION = 1,
    PSD_VERSION_LARGE = 2, /* PSB */
    PSD_MODE_GREY = 1,
    PSD_MODE_INDEXED = 2,
    PSD_MODE_RGB = 3,
    PSD_MODE_CMYK = 4,
    PSD_MODE_DUOTONE = 8,

    PSD_COMPRESSION_RAW = 0,
    PSD_COMPRESSION_RLE = 1,
    PSD_COMPRESSION_ZIP = 2,
    PSD_COMPRESSION_ZIP_PREDICTED = 3,

    PSD_CHANNEL_ALPHA = -1,
    PSD_CHANNEL_MASK = -2,
    PSD_CHANNEL_REAL_MASK = -3, /* -2 then includes the vector mask */

    PSD_RESOURCE_RESOLUTION = 1005,
    PSD_RESOURCE_ICC = 1039,
    PSD_RESOURCE_VERSION = 1057,
    PSD_RESOURCE_XMP = 1060,
    /* In 4000..4999, which the format gives to plug-ins: our JSON of exact ids and opacities. */
    PSD_RESOURCE_LAYERS = 4571,

    PSD_FLAG_HIDDEN = 0x02,
    PSD_FLAG_HAS_BIT_4 = 0x08, /* "bit 4 means something"; set by every program since 5.0 */

    PSD_GROUP_OPEN = 1, /* kinds of section divider */
    PSD_GROUP_CLOSED = 2,
    PSD_GROUP_END = 3,
};

#define PSD_RESOURCE_NAME "Veetance layers"

/* The four letters of a blend mode; the mode of four letters (normal for those that we lack). */
const char *psd_blend_key(enum blend_mode mode);
enum blend_mode psd_blend_from_key(const char key[4]);
bool psd_blend_is_known(const char key[4]);

#endif
