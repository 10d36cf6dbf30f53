/* icc.c - Little CMS behind two functions; see icc.h.
 *
 * Every call has its own Little CMS context, so that calls on several threads share nothing. */
#include "image/icc.h"

#include <lcms2.h>
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

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
    *c = (struct icc){0};
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
        codec_note(info, "the ICC profile is for another kind of picture and was ignored");
        return false;
    }
    c->to = T_COLORSPACE(to_type) == PT_GRAY ? grey_srgb(c->context)
                                             : cmsCreate_sRGBProfileTHR(c->context);
    /* Optimised grey is a table of 33 points, too coarse for the dark end; we make our own of 256. */
    cmsUInt32Number flags = T_EXTRA(from_type) ? cmsFLAGS_COPY_ALPHA : 0;
    flags |= T_COLORSPACE(from_type) == PT_GRAY ? cmsFLAGS_NOOPTIMIZE : 0;
    c->transform = c->to ? cmsCreateTransformTHR(c->context, c->from, from_type, c->to, to_type,
                                                 INTENT_PERCEPTUAL, flags)
                         : NULL;
    if (!c->transform)
        codec_note(info, "the ICC profile cannot be converted to sRGB and was ignored");
    return c->transform != NULL;
}

/* Tries a grid of colours: does the transform move any by more than one level? */
static bool icc_is_identity(const struct icc *c)
{
    enum { STEPS = 6 };
    for (int i = 0; i < STEPS * STEPS * STEPS; i++) {
        unsigned char in[4] = {0, 0, 0, 255}, out[4]; /* RGB transforms take three */
        in[0] = (unsigned char)(i % STEPS * 51);
        in[1] = (unsigned char)(i / STEPS % STEPS * 51);
        in[2] = (unsigned char)(i / STEPS / STEPS * 51);
        memcpy(out, in, sizeof out);
        cmsDoTransform(c->transform, in, out, 1);
        for (int k = 0; k < 3; k++) {
            if (abs(in[k] - out[k]) > 1)
                return false;
        }
    }
    return true;
}

static void icc_colour(struct image *im, const struct icc *c)
{
    if (icc_is_identity(c))
        return;
    for (int y = 0; y < im->h; y++)
        cmsDoTransform(c->transform, image_row(im, y), image_row(im, y), (cmsUInt32Number)im->w);
}

static void icc_grey(struct image *im, const struct icc *c)
{
    unsigned char in[256], table[256];
    bool identity = true;
    for (int i = 0; i < 256; i++)
        in[i] = (unsigned char)i;
    cmsDoTransform(c->transform, in, table, 256);
    for (int i = 0; i < 256; i++)
        identity = identity && abs(table[i] - i) <= 1;
    for (int y = 0; !identity && y < im->h; y++) {
        unsigned char *p = image_row(im, y);
        for (int x = 0; x < im->w; x++, p += im->channels)
            *p = table[*p];
    }
}

void icc_to_srgb(struct image *im, struct str profile, struct image_info *info)
{
    static const cmsUInt32Number types[] = {0, TYPE_GRAY_8, TYPE_GRAY_8, TYPE_RGB_8, TYPE_RGBA_8};
    struct icc c;
    if (profile.n == 0)
        return;
    if (icc_open(&c, profile, types[im->channels], types[im->channels], info)) {
        if (im->channels >= 3)
            icc_colour(im, &c);
        else
            icc_grey(im, &c);
    }
    icc_close(&c);
}

/* a * b / 255 to nearest, as PIL does it. */
static unsigned char times(unsigned a, unsigned b)
{
    unsigned t = a * b + 128;
    return (unsigned char)(((t >> 8) + t) >> 8);
}

static void cmyk_row(unsigned char *d, const unsigned char *s, int w)
{
    for (int x = 0; x < w; x++, d += 3, s += 4) {
        for (int c = 0; c < 3; c++)
            d[c] = (unsigned char)(s[3] - times(255u - s[c], s[3]));
    }
}

enum err_code icc_cmyk_to_srgb(const struct image *cmyk, struct str profile,
                               struct image_info *info, struct image *out, struct err *e)
{
    struct icc c = {0};
    enum err_code rc = image_new(out, cmyk->w, cmyk->h, 3, e);
    if (rc != ERR_OK)
        return rc;
    bool managed = profile.n > 0 && icc_open(&c, profile, TYPE_CMYK_8_REV, TYPE_RGB_8, info);
    for (int y = 0; y < cmyk->h; y++) {
        if (managed)
            cmsDoTransform(c.transform, image_row(cmyk, y), image_row(out, y),
                           (cmsUInt32Number)cmyk->w);
        else
            cmyk_row(image_row(out, y), image_row(cmyk, y), cmyk->w);
    }
    if (!managed)
        codec_note(info, "CMYK without a usable profile: colours are approximate");
    icc_close(&c);
    return ERR_OK;
}
