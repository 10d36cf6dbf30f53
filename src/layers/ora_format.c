#include "layers/ora_format.h"

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

bool ora_op_read(struct str name, enum blend_mode *blend, enum layers_op *op)
{
    static const struct {
        const char *name;
        enum layers_op op;
    } operators[] = {{"svg:dst-out", LAYERS_DST_OUT},
                     {"svg:dst-in", LAYERS_DST_IN},
                     {"svg:src-atop", LAYERS_SRC_ATOP},
                     {"svg:dst-atop", LAYERS_DST_ATOP},
                     {"krita:erase", LAYERS_DST_OUT}};
    /* Other names of modes: Krita's for those that SVG lacks, and an old one. */
    static const struct {
        const char *name;
        enum blend_mode blend;
    } modes[] = {{"krita:exclusion", BLEND_EXCLUSION}, {"svg:add", BLEND_ADD}};
    *blend = BLEND_NORMAL;
    *op = LAYERS_OVER;
    for (int i = 0; i < BLEND_MODES; i++)
        if (str_eq_z(name, composite_ops[i])) {
            *blend = (enum blend_mode)i;
            return true;
        }
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (str_eq_z(name, operators[i].name)) {
            *op = operators[i].op;
            return true;
        }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (str_eq_z(name, modes[i].name)) {
            *blend = modes[i].blend;
            return true;
        }
    return name.n == 0;
}
