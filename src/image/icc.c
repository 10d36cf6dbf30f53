/* icc.c - Little CMS behind two functions; see icc.h.
 *
 * Every call has its own Little CMS context, so that calls on several threads share nothing. */
#include "image/icc.h"

#include <lcms2.h>
#include <stdlib.h>

#include "base/late.h"
#include "base/mem.h"
#include "image/codec.h"
#include "image/sample.h"

#define LCMS_FUNCTIONS(X)                                                                          \
    X(_cmsLCMScolorSpace)                                                                          \
    X(cmsBuildParametricToneCurve)                                                                 \
    X(cmsCloseProfile)                                                                             \
    X(cmsCreateContext)                                                                            \
    X(cmsCreateGrayProfileTHR)                                                                     \
    X(cmsCreateTransformTHR)                                                                       \
    X(cmsCreate_sRGBProfileTHR)                                                                    \
    X(cmsD50_xyY)                                                                                  \
    X(cmsDeleteContext)                                                                            \
    X(cmsDeleteTransform)                                                                          \
    X(cmsDoTransform)                                                                              \
    X(cmsFreeToneCurve)                                                                            \
    X(cmsGetColorSpace)                                                                            \
    X(cmsOpenProfileFromMemTHR)                                                                    \
    X(cmsSetLogErrorHandlerTHR)

LATE_LIBRARY(image_lcms, "converting colour profiles", LCMS_FUNCTIONS)

struct icc {
    cmsContext context;
    cmsHPROFILE from, to;
    cmsHTRANSFORM transform;
};

static void quiet(cmsContext context, cmsUInt32Number code, const char *text)
{
    (void)context;
    (void)code;
    (void)text; /* who asks for a transform that fails writes a note of his own */
}

static void icc_close(struct icc *c)
{
    if (c->transform)
        cmsDeleteTransform(c->transform);
    if (c->from)
        cmsCloseProfile(c->from);
    if (c->to)
        cmsCloseProfile(c->to);
    if (c->context)
        cmsDeleteContext(c->context);
    *c = (struct icc){0};
}

static cmsHPROFILE grey_srgb(cmsContext context)
{
    static const double curve[5] = {2.4, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.04045};
    cmsToneCurve *t = cmsBuildParametricToneCurve(context, 4, curve);
    cmsHPROFILE p = t ? cmsCreateGrayProfileTHR(context, cmsD50_xyY(), t) : NULL;
    if (t)
        cmsFreeToneCurve(t);
    return p;
}

/* Opens the transform, or explains in a note why there is none and returns false. */
static bool icc_open(struct icc *c, struct str profile, cmsUInt32Number from_type,
                     cmsUInt32Number to_type, struct image_info *info)
{
    struct err why = {0};
    *c = (struct icc){0};
    if (late_open(&image_lcms, &why) != ERR_OK) {
        codec_note(info, "the ICC profile was ignored: %s", why.text);
        return false;
    }
    c->context = cmsCreateContext(NULL, NULL);
    if (!c->context)
        return false;
    cmsSetLogErrorHandlerTHR(c->context, quiet);
    c->from = cmsOpenProfileFromMemTHR(c->context, profile.p, (cmsUInt32Number)profile.n);
    if (!c->from) {
        codec_note(info, "the ICC profile is broken and was ignored");
        return false;
    }
    if (_cmsLCMScolorSpace(cmsGetColorSpace(c->from)) != (int)T_COLORSPACE(from_type)) {
        codec_note(info, "the ICC profile is for another kind of image and was ignored");
        return false;
    }
    c->to = T_COLORSPACE(to_type) == PT_GRAY ? grey_srgb(c->context)
                                             : cmsCreate_sRGBProfileTHR(c->context);
    /* Optimised grey is a table of 33 points, too coarse for the dark end; we make our own of every level. Optimised
     * RGB of 16 bits is a cube of as many. */
    bool whole = T_COLORSPACE(from_type) == PT_GRAY ||
                 (T_COLORSPACE(from_type) == PT_RGB && T_BYTES(from_type) == 2);
    cmsUInt32Number flags = T_EXTRA(from_type) ? cmsFLAGS_COPY_ALPHA : 0;
    flags |= whole ? cmsFLAGS_NOOPTIMIZE : 0;
    c->transform = c->to ? cmsCreateTransformTHR(c->context, c->from, from_type, c->to, to_type,
                                                 INTENT_PERCEPTUAL, flags)
                         : NULL;
    if (!c->transform)
        codec_note(info, "the ICC profile cannot be converted to sRGB and was ignored");
    return c->transform != NULL;
}

/* Two samples within one level of 255? */
static bool is_near(unsigned a, unsigned b, bool deep)
{
    return (a > b ? a - b : b - a) <= sample_max(deep) / 255;
}

/* Tries a grid of colours: does the transform move any by more than one level? */
static bool icc_is_identity(const struct icc *c, bool deep)
{
    enum { STEPS = 6 };
    const unsigned step = sample_max(deep) / (STEPS - 1);
    for (unsigned i = 0; i < STEPS * STEPS * STEPS; i++) {
        unsigned char in[8], out[8]; /* RGB transforms take three samples */
        sample_set(in, 0, i % STEPS * step, deep);
        sample_set(in, 1, i / STEPS % STEPS * step, deep);
        sample_set(in, 2, i / STEPS / STEPS * step, deep);
        sample_set(in, 3, sample_max(deep), deep);
        memcpy(out, in, sizeof out);
        cmsDoTransform(c->transform, in, out, 1);
        for (size_t k = 0; k < 3; k++) {
            if (!is_near(sample_get(in, k, deep), sample_get(out, k, deep), deep))
                return false;
        }
    }
    return true;
}

static void icc_colour(struct image *im, const struct icc *c)
{
    if (icc_is_identity(c, im->deep))
        return;
    for (int y = 0; y < im->h; y++)
        cmsDoTransform(c->transform, image_row(im, y), image_row(im, y), (cmsUInt32Number)im->w);
}

/* What becomes of every level; false when it is what it was. */
static bool grey_table(const struct icc *c, bool deep, unsigned char *levels, unsigned char *table)
{
    bool identity = true;
    for (size_t i = 0; i <= sample_max(deep); i++)
        sample_set(levels, i, (unsigned)i, deep);
    cmsDoTransform(c->transform, levels, table, sample_max(deep) + 1);
    for (size_t i = 0; i <= sample_max(deep); i++)
        identity = identity && is_near(sample_get(table, i, deep), (unsigned)i, deep);
    return !identity;
}

static inline void look_up_any(struct image *im, const unsigned char *table, const bool deep)
{
    for (int y = 0; y < im->h; y++) {
        unsigned char *p = image_row(im, y);
        for (int x = 0; x < im->w; x++, p += image_pixel_bytes(im))
            sample_set(p, 0, sample_get(table, sample_get(p, 0, deep), deep), deep);
    }
}

static void icc_grey(struct image *im, const struct icc *c, struct image_info *info)
{
    const size_t bytes = ((size_t)sample_max(im->deep) + 1) * sample_bytes(im->deep);
    unsigned char *levels = mem_try_array(2, bytes);
    if (!levels) {
        codec_note(info, "the ICC profile was ignored: no memory for its levels");
        return;
    }
    if (grey_table(c, im->deep, levels, levels + bytes)) {
        if (im->deep)
            look_up_any(im, levels + bytes, true);
        else
            look_up_any(im, levels + bytes, false);
    }
    mem_free(levels);
}

void icc_to_srgb(struct image *im, struct str profile, struct image_info *info)
{
    static const cmsUInt32Number types[2][5] = {
        {0, TYPE_GRAY_8, TYPE_GRAY_8, TYPE_RGB_8, TYPE_RGBA_8},
        {0, TYPE_GRAY_16, TYPE_GRAY_16, TYPE_RGB_16, TYPE_RGBA_16}};
    const cmsUInt32Number type = types[im->deep][im->channels];
    struct icc c;
    if (profile.n == 0)
        return;
    if (icc_open(&c, profile, type, type, info)) {
        if (im->channels >= 3)
            icc_colour(im, &c);
        else
            icc_grey(im, &c, info);
    }
    icc_close(&c);
}

static inline void cmyk_row_any(unsigned char *d, const unsigned char *s, int w, const bool deep)
{
    for (int x = 0; x < w; x++, d += 3 * sample_bytes(deep), s += 4 * sample_bytes(deep)) {
        unsigned k = sample_get(s, 3, deep);
        for (size_t c = 0; c < 3; c++) {
            unsigned ink = sample_max(deep) - sample_get(s, c, deep);
            sample_set(d, c, k - sample_times(ink, k, deep), deep);
        }
    }
}

static void cmyk_row(unsigned char *d, const unsigned char *s, int w, bool deep)
{
    if (deep)
        cmyk_row_any(d, s, w, true);
    else
        cmyk_row_any(d, s, w, false);
}

enum err_code icc_cmyk_to_srgb(const struct image *cmyk, struct str profile,
                               struct image_info *info, struct image *out, struct err *e)
{
    struct icc c = {0};
    const bool deep = cmyk->deep;
    TRY(image_new_deep(out, cmyk->w, cmyk->h, 3, deep, e));
    bool managed = profile.n > 0 && icc_open(&c, profile, deep ? TYPE_CMYK_16_REV : TYPE_CMYK_8_REV,
                                             deep ? TYPE_RGB_16 : TYPE_RGB_8, info);
    for (int y = 0; y < cmyk->h; y++) {
        if (managed)
            cmsDoTransform(c.transform, image_row(cmyk, y), image_row(out, y),
                           (cmsUInt32Number)cmyk->w);
        else
            cmyk_row(image_row(out, y), image_row(cmyk, y), cmyk->w, deep);
    }
    if (!managed)
        codec_note(info, "CMYK without a usable profile: colours are approximate");
    icc_close(&c);
    return ERR_OK;
}
