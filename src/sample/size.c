/* size.c - size arithmetic in double, in the reference's order of operations.
 *
 * The reference mixes Python's round (halves to even), truncation and ceiling, and a size that is off by one unit
 * is another image. So every function follows one function of the reference step by step, and none is simplified.
 * Sizes that come from outside are checked here against SIZE_MAX_SIDE; what is left cannot overflow.
 */
#include "sample/size.h"

#include <math.h>
#include <stdbool.h>

enum { LAYERED_UNIT = 32, DEFAULT_UNITS = 64, VISION_MAX_ASPECT = 200 };

double size_round_half_even(double x)
{
    double low = floor(x);
    double rest = x - low;
    if (rest < 0.5)
        return low;
    if (rest > 0.5)
        return low + 1.0;
    return fmod(low, 2.0) == 0.0 ? low : low + 1.0;
}

struct size_px size_floor_to(struct size_px s, int unit)
{
    return (struct size_px){s.w / unit * unit, s.h / unit * unit};
}

struct size_px size_ceil_to(struct size_px s, int unit)
{
    return size_floor_to((struct size_px){s.w + unit - 1, s.h + unit - 1}, unit);
}

struct size_px size_limit_area(struct size_px s, int64_t area)
{
    int64_t pixels = (int64_t)s.w * s.h;
    if (pixels <= area)
        return s;
    double scale = sqrt((double)area / (double)pixels);
    struct size_px out = {(int)(s.w * scale), (int)(s.h * scale)};
    out.w = out.w < 1 ? 1 : out.w;
    out.h = out.h < 1 ? 1 : out.h;
    return out;
}

static bool sides_are_sane(struct size_px s)
{
    return s.w >= 1 && s.h >= 1 && s.w <= SIZE_MAX_SIDE && s.h <= SIZE_MAX_SIDE;
}

static enum err_code check_image(struct size_px s, struct err *e)
{
    if (!sides_are_sane(s))
        return err_set(e, ERR_ARG, "an image of %d x %d pixels; sides from 1 to %d can be used",
                       s.w, s.h, SIZE_MAX_SIDE);
    return ERR_OK;
}

static int first_set(int a, int b, int c)
{
    return a ? a : (b ? b : c);
}

enum err_code size_klein_output(struct size_px wanted, struct size_px first_reference, int unit,
                                struct size_px *out, struct err *e)
{
    struct size_px s = {first_set(wanted.w, first_reference.w, DEFAULT_UNITS * unit),
                        first_set(wanted.h, first_reference.h, DEFAULT_UNITS * unit)};
    if (!sides_are_sane(s) || s.w < unit || s.h < unit)
        return err_set(e, ERR_ARG, "a size of %d x %d pixels; each side must be %d to %d", s.w, s.h,
                       unit, SIZE_MAX_SIDE);
    *out = size_floor_to(s, unit);
    return ERR_OK;
}

enum err_code size_klein_reference(struct size_px image, int unit, struct size_reference *out,
                                   struct err *e)
{
    TRY(check_image(image, e));
    int shorter = image.w < image.h ? image.w : image.h;
    int longer = image.w < image.h ? image.h : image.w;
    if (shorter < SIZE_REFERENCE_MIN_SIDE)
        return err_set(e, ERR_ARG,
                       "a reference image of %d x %d pixels; both sides must be %d or more",
                       image.w, image.h, SIZE_REFERENCE_MIN_SIDE);
    if ((double)longer / shorter > SIZE_REFERENCE_MAX_ASPECT)
        return err_set(
            e, ERR_ARG,
            "a reference image of %d x %d pixels; one side may be at most %d times the other",
            image.w, image.h, SIZE_REFERENCE_MAX_ASPECT);
    out->resized = size_limit_area(image, SIZE_REFERENCE_AREA);
    struct size_px cut = size_floor_to(out->resized, unit);
    if (cut.w < 1 || cut.h < 1)
        return err_set(e, ERR_ARG,
                       "a reference image of %d x %d pixels; both sides must be %d or more",
                       image.w, image.h, unit);
    out->crop = (struct size_rect){(out->resized.w - cut.w) / 2, (out->resized.h - cut.h) / 2,
                                   cut.w, cut.h};
    return ERR_OK;
}

enum err_code size_klein_inpaint(struct size_px image, int unit, struct size_inpaint *out,
                                 struct err *e)
{
    TRY(check_image(image, e));
    out->limited = size_limit_area(image, SIZE_REFERENCE_AREA);
    out->work = size_floor_to(out->limited, unit);
    if (out->work.w < 1 || out->work.h < 1)
        return err_set(e, ERR_ARG,
                       "an image of %d x %d pixels (%d x %d at the working size); both "
                       "sides must be %d or more",
                       image.w, image.h, out->limited.w, out->limited.h, unit);
    return ERR_OK;
}

enum err_code size_klein_padded(struct size_px image, int unit, struct size_inpaint *out,
                                struct err *e)
{
    TRY(size_klein_inpaint(image, unit, out, e));
    out->work = size_ceil_to(out->limited, unit);
    return ERR_OK;
}

enum err_code size_layered(struct size_px image, int resolution, struct size_px *out, struct err *e)
{
    TRY(check_image(image, e));
    if (resolution < LAYERED_UNIT || resolution > SIZE_MAX_SIDE)
        return err_set(e, ERR_ARG, "resolution %d; expected %d to %d", resolution, LAYERED_UNIT,
                       SIZE_MAX_SIDE);
    double ratio = (double)image.w / image.h;
    double area = (double)resolution * resolution;
    double w = sqrt(area * ratio);
    double h = w / ratio;
    w = size_round_half_even(w / LAYERED_UNIT) * LAYERED_UNIT;
    h = size_round_half_even(h / LAYERED_UNIT) * LAYERED_UNIT;
    if (w < 1 || h < 1 || w > SIZE_MAX_SIDE || h > SIZE_MAX_SIDE)
        return err_set(e, ERR_ARG,
                       "an image of %d x %d pixels is too narrow to take apart at resolution %d",
                       image.w, image.h, resolution);
    *out = (struct size_px){(int)w, (int)h};
    return ERR_OK;
}

enum err_code size_vision_input(struct size_px image, const struct size_vision *limits,
                                struct size_px *out, struct err *e)
{
    TRY(check_image(image, e));
    if (limits->factor < 1 || limits->factor > SIZE_MAX_SIDE || limits->min_pixels < 1 ||
        limits->max_pixels < limits->min_pixels)
        return err_set(
            e, ERR_FORMAT, "image processor: factor %d, %lld to %lld pixels make no sense together",
            limits->factor, (long long)limits->min_pixels, (long long)limits->max_pixels);
    double shorter = image.w < image.h ? image.w : image.h;
    double longer = image.w < image.h ? image.h : image.w;
    if (longer / shorter > VISION_MAX_ASPECT)
        return err_set(e, ERR_ARG,
                       "an image of %d x %d pixels; one side may be at most %d times the other",
                       image.w, image.h, VISION_MAX_ASPECT);
    double factor = limits->factor;
    double w = size_round_half_even(image.w / factor) * factor;
    double h = size_round_half_even(image.h / factor) * factor;
    double pixels = (double)image.w * image.h;
    if (w * h > (double)limits->max_pixels) {
        double beta = sqrt(pixels / (double)limits->max_pixels);
        w = fmax(factor, floor(image.w / beta / factor) * factor);
        h = fmax(factor, floor(image.h / beta / factor) * factor);
    } else if (w * h < (double)limits->min_pixels) {
        double beta = sqrt((double)limits->min_pixels / pixels);
        w = ceil(image.w * beta / factor) * factor;
        h = ceil(image.h * beta / factor) * factor;
    }
    if (w > INT32_MAX || h > INT32_MAX)
        return err_set(e, ERR_FORMAT, "image processor: pixel limits ask for %.0f x %.0f pixels", w,
                       h);
    *out = (struct size_px){(int)w, (int)h};
    return ERR_OK;
}
