#include "image/ora_format.h"

static const char *const composite_ops[BLEND_MODES] = {
    [BLEND_NORMAL] = "svg:src-over",
    [BLEND_MULTIPLY] = "svg:multiply",
    [BLEND_SCREEN] = "svg:screen",
    [BLEND_OVERLAY] = "svg:overlay",
    [BLEND_DARKEN] = "svg:darken",
    [BLEND_LIGHTEN] = "svg:lighten",
    [BLEND_COLOR_DODGE] = "svg:color-dodge",
    [BLEND_COLOR_BURN] = "svg:color-burn",
    [BLEND_HARD_LIGHT] = "svg:hard-light",
    [BLEND_SOFT_LIGHT] = "svg:soft-light",
    [BLEND_DIFFERENCE] = "svg:difference",
    [BLEND_EXCLUSION] = "svg:exclusion",
    [BLEND_ADD] = "svg:plus",
    [BLEND_HUE] = "svg:hue",
    [BLEND_SATURATION] = "svg:saturation",
    [BLEND_COLOR] = "svg:color",
    [BLEND_LUMINOSITY] = "svg:luminosity",
};

const char *ora_composite_op(enum blend_mode mode)
{
    return composite_ops[mode];
}

enum blend_mode ora_blend_from_op(struct str op)
{
    for (int i = 0; i < BLEND_MODES; i++)
        if (str_eq_z(op, composite_ops[i]))
            return (enum blend_mode)i;
    /* Krita writes the modes that SVG lacks under its own prefix. */
    if (str_eq_z(op, "krita:exclusion"))
        return BLEND_EXCLUSION;
    if (str_eq_z(op, "svg:add"))
        return BLEND_ADD;
    return BLEND_NORMAL;
}
