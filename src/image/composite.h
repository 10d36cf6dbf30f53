/* composite.h - layers onto a canvas, stacks to one image, and how far two images differ.
 *
 * Blending follows the W3C's "Compositing and Blending": with backdrop b, source s and blend function B,
 *     as' = as * opacity,  ao = as' + ab (1 - as'),
 *     co = (cs (1 - ab) + ab B(cb, cs)) as' + cb ab (1 - as'),  all over ao,
 * in sRGB values as they are (what browsers and image editors do). Computed in float and rounded once
 * a layer, to the canvas' depth. An opaque normal pixel replaces the canvas exactly; a transparent one leaves it exactly. */
#ifndef VT_IMAGE_COMPOSITE_H
#define VT_IMAGE_COMPOSITE_H

#include "base/str.h"
#include "image/image.h"

enum blend_mode {
    BLEND_NORMAL,
    BLEND_MULTIPLY,
    BLEND_SCREEN,
    BLEND_OVERLAY,
    BLEND_DARKEN,
    BLEND_LIGHTEN,
    BLEND_COLOR_DODGE,
    BLEND_COLOR_BURN,
    BLEND_HARD_LIGHT,
    BLEND_SOFT_LIGHT,
    BLEND_DIFFERENCE,
    BLEND_EXCLUSION,
    BLEND_ADD, /* linear dodge: min(1, cb + cs) */
    BLEND_HUE,
    BLEND_SATURATION,
    BLEND_COLOR,
    BLEND_LUMINOSITY,
    BLEND_MODES /* how many there are */
};

/* CSS names: "normal", "color-dodge", ...; BLEND_ADD is "add". Static string. */
const char *blend_mode_name(enum blend_mode mode);
/* False and *out left alone when there is no such mode. */
bool blend_mode_from_name(struct str name, enum blend_mode *out);

struct composite_layer {
    const struct image *image; /* any mode; borrowed */
    int x, y;                  /* of its upper left pixel on the canvas; may lie outside */
    double opacity;            /* 0 to 1 */
    enum blend_mode blend;
};

/* Puts one layer onto the canvas (RGBA or RGB, in place). ERR_ARG for another mode, ERR_NOMEM. */
ERR_MUST_CHECK enum err_code image_composite(struct image *canvas,
                                             const struct composite_layer *layer, struct err *e);

/* The stack, bottom first, on a new canvas w x h: RGBA, of the colour background (RGBA; NULL =
 * transparent), deep when one of the layers is. */
ERR_MUST_CHECK enum err_code image_flatten(const struct composite_layer *layers, size_t n, int w,
                                           int h, const unsigned char *background,
                                           struct image *out, struct err *e);

/* The image on an opaque ground of that colour: mode RGB, or L for grey on a grey ground. An image without alpha
 * is only copied. */
ERR_MUST_CHECK enum err_code image_on_ground(const struct image *im, const unsigned char rgb[3],
                                             struct image *out, struct err *e);

struct image_difference {
    double psnr_db; /* over all channels; infinity when equal */
    double mean;    /* mean absolute difference, in levels of 255 */
    int max;        /* largest absolute difference, in levels */
    int max_x, max_y;
};

/* Channel by channel, alpha included. ERR_ARG when the sizes or modes differ. */
ERR_MUST_CHECK enum err_code image_compare(const struct image *a, const struct image *b,
                                           struct image_difference *out, struct err *e);

enum { IMAGE_SHEET_MAX = 256 }; /* images that commands lay out */

struct image_sheet_params {
    int columns;                 /* 0 = about a square */
    int gap;                     /* pixels between and around the images */
    unsigned char background[4]; /* RGBA */
    bool checker;                /* a grey chequer under images with alpha */
    /* A line above each column, and at the left of each row, as many as there are; cells grow with them, up to 50 letters.
     * NULL: none. */
    const char *const *column_labels, *const *row_labels;
};

struct image_sheet_params image_sheet_defaults(void); /* gap 8 on opaque white, chequered */

/* A contact sheet: every image centred in a cell of the largest width and height. RGB when the
 * background is opaque, else RGBA. ERR_ARG when n is 0. */
ERR_MUST_CHECK enum err_code image_sheet(const struct image *const *images, size_t n,
                                         const struct image_sheet_params *params, struct image *out,
                                         struct err *e);

/* One row of a layer onto one row of a canvas.
 * Both rows hold w RGBA pixels of one depth; canvas changes. opacity is 0 to 1. */
void composite_kern_row(unsigned char *canvas, const unsigned char *layer, int w, float opacity,
                        enum blend_mode mode, bool deep);

#endif
