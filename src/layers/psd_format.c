#include "layers/psd_format.h"

#include <string.h>

static const char blend_keys[BLEND_MODES][5] = {
    [BLEND_NORMAL] = "norm",      [BLEND_MULTIPLY] = "mul ",   [BLEND_SCREEN] = "scrn",
    [BLEND_OVERLAY] = "over",     [BLEND_DARKEN] = "dark",     [BLEND_LIGHTEN] = "lite",
    [BLEND_COLOR_DODGE] = "div ", [BLEND_COLOR_BURN] = "idiv", [BLEND_HARD_LIGHT] = "hLit",
    [BLEND_SOFT_LIGHT] = "sLit",  [BLEND_DIFFERENCE] = "diff", [BLEND_EXCLUSION] = "smud",
    [BLEND_ADD] = "lddg",         [BLEND_HUE] = "hue ",        [BLEND_SATURATION] = "sat ",
    [BLEND_COLOR] = "colr",       [BLEND_LUMINOSITY] = "lum ",
};

const char *psd_blend_key(enum blend_mode mode)
{
    return blend_keys[mode];
}

enum blend_mode psd_blend_from_key(const char key[4])
{
    for (int i = 0; i < BLEND_MODES; i++)
        if (memcmp(key, blend_keys[i], 4) == 0)
            return (enum blend_mode)i;
    return BLEND_NORMAL;
}

bool psd_blend_is_known(const char key[4])
{
    return psd_blend_from_key(key) != BLEND_NORMAL || memcmp(key, "norm", 4) == 0 ||
           memcmp(key, "pass", 4) == 0;
}
