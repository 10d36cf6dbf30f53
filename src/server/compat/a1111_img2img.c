/* a1111_img2img.c - the images of an img2img: fitted to the size that was asked for, and with a mask as
 * Automatic1111 does it:
 *
 *     whole       image and mask are fitted; the soft edge of the mask lies outside of it
 *     full res    the masked part, with padding, is cut out and worked on at the full size
 *
 * What is painted is every pixel that the blurred mask touches. The result is then put into the original through the
 * blurred mask, so that every pixel that it does not touch stays bit for bit. */
#include <stdio.h>

#include "image/resize.h"
#include "pipeline/klein/klein.h"
#include "server/compat/a1111.h"
#include "server/server_internal.h"
#include "store/assets.h"

enum {
    SIDE_MIN = 64,
    SIDE_MAX = 2048,
    SIDE_UNIT = 16,
    MASKED_MAX_PIXELS = 24 << 20, /* about ten bytes each while it is taken */
};

/* What is asked for around the mask. */
struct asked {
    int64_t w, h; /* -1: not given */
    int64_t seed;
    enum inpaint_fit fit;
    enum inpaint_fill fill;
    bool full_res, invert;
    int padding, blur_x, blur_y;
};

static enum err_code read_asked(struct http_request *rq, const struct face_request *f,
                                struct asked *a, struct err *e)
{
    int64_t full_res = 1, invert = 0, blur = http_body_int(rq, "mask_blur", -1);
    enum err_code rc = a1111_int(rq, "inpaint_full_res", 0, 1, 1, &full_res, e);
    if (rc == ERR_OK)
        rc = a1111_int(rq, "inpainting_mask_invert", 0, 1, 0, &invert, e);
    *a = (struct asked){
        .w = f->width,
        .h = f->height,
        .seed = f->seed,
        .fit = (enum inpaint_fit)http_body_int(rq, "resize_mode", INPAINT_STRETCH),
        .fill = (enum inpaint_fill)http_body_int(rq, "inpainting_fill", INPAINT_AROUND),
        .full_res = full_res,
        .invert = invert,
        .padding = (int)http_body_int(rq, "inpaint_full_res_padding", 0),
        .blur_x = (int)(blur >= 0 ? blur : http_body_int(rq, "mask_blur_x", 4)),
        .blur_y = (int)(blur >= 0 ? blur : http_body_int(rq, "mask_blur_y", 4)),
    };
    return rc;
}

/* ---- images as they came ------------------------------------------------------------------------------- */

static enum err_code take_list(struct http_request *rq, struct face_request *f, struct err *e)
{
    yyjson_val *list = yyjson_obj_get(http_body(rq), "init_images"), *v;
    size_t i, max;
    char field[40];
    if (yyjson_arr_size(list) > 1 &&
        http_body_int(rq, "batch_size", 1) >= (int64_t)yyjson_arr_size(list))
        return http_refuse(
            rq, 422, "init_images", e,
            "a batch of different images cannot be made at once; send one at a time");
    yyjson_arr_foreach(list, i, max, v)
    {
        (void)snprintf(field, sizeof field, "init_images[%zu]", i);
        if (f->n_images == VT_MAX_IMAGES)
            break;
        enum err_code rc = face_upload(rq, (struct str){yyjson_get_str(v), yyjson_get_len(v)},
                                       field, &f->images[f->n_images++], e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* The mask of the original's size: white, grey at its soft edge, black. */
static enum err_code take_mask(struct http_request *rq, const char *text, const struct asked *a,
                               const struct image *original, struct image *out, struct err *e)
{
    struct image im = {0}, hard = {0};
    const char *id = NULL;
    enum err_code rc = face_upload(rq, str_from(text), "mask", &id, e);
    if (rc == ERR_OK)
        rc = asset_load(store_of(rq), id, &im, e);
    if (rc == ERR_OK) {
        rc = klein_mask_check(&im, original, NULL, e);
        if (rc != ERR_OK)
            http_set_error_field(rq, "mask");
    }
    if (rc == ERR_OK)
        rc = inpaint_mask(&im, a->invert, &hard, e);
    if (rc == ERR_OK)
        rc = image_resize(&hard, original->w, original->h, IMAGE_BILINEAR, out, e);
    if (rc == ERR_OK)
        rc = inpaint_blur(out, a->blur_x, a->blur_y, e);
    image_free(&im);
    image_free(&hard);
    return rc;
}

/* ---- what is worked on --------------------------------------------------------------------------------- */

/* What the masked part is worked on at, when no size was given: the image's own, or about as much. */
static void default_size(struct asked *a, const struct image *im)
{
    int w = im->w, h = im->h;
    if (w > SIDE_MAX || h > SIDE_MAX)
        image_area_size(w, h, 1024 * 1024, &w, &h);
    w = w / SIDE_UNIT * SIDE_UNIT;
    h = h / SIDE_UNIT * SIDE_UNIT;
    a->w = a->w > 0 ? a->w : w < SIDE_MIN ? SIDE_MIN : w > SIDE_MAX ? SIDE_MAX : w;
    a->h = a->h > 0 ? a->h : h < SIDE_MIN ? SIDE_MIN : h > SIDE_MAX ? SIDE_MAX : h;
}

struct work {
    struct image image, mask; /* RGB, and L: white is painted */
    struct image original, blend;
    struct inpaint_place place;
};

static void work_free(struct work *w)
{
    image_free(&w->image);
    image_free(&w->mask);
    image_free(&w->original);
    image_free(&w->blend);
}

static enum err_code fill(const struct asked *a, struct image *im, const struct image *mask,
                          struct err *e)
{
    return inpaint_fill(im, mask, a->fill, a->seed < 0 ? 0 : (uint64_t)a->seed, e);
}

/* Colours from around the mask are taken before what is around is cut off. */
static enum err_code cut_out(const struct asked *a, struct image *flat, struct work *w,
                             struct err *e)
{
    struct image part = {0}, part_mask = {0};
    enum err_code rc = ERR_OK;
    if (a->fill == INPAINT_AROUND)
        TRY_GOTO(fill(a, flat, &w->blend, e), done);
    TRY_GOTO(image_crop(flat, w->place.rect, &part, e), done);
    TRY_GOTO(image_crop(&w->blend, w->place.rect, &part_mask, e), done);
    TRY_GOTO(inpaint_fit(&part, INPAINT_PAD, (int)a->w, (int)a->h, &w->image, e), done);
    TRY_GOTO(inpaint_fit(&part_mask, INPAINT_PAD, (int)a->w, (int)a->h, &w->mask, e), done);
    if (a->fill != INPAINT_AROUND)
        TRY_GOTO(fill(a, &w->image, &w->mask, e), done);
done:
    image_free(&part);
    image_free(&part_mask);
    return rc;
}

/* Original and blend hold what came; what is worked on is made of them. */
static enum err_code prepare_full_res(struct http_request *rq, struct asked *a, struct work *w,
                                      struct err *e)
{
    struct image flat = {0};
    default_size(a, &w->original);
    w->place.fit = INPAINT_CROP;
    if (!inpaint_region(&w->blend, a->padding, (int)a->w, (int)a->h, &w->place.rect))
        return http_refuse(rq, 422, "mask", e, "the mask is empty: nothing would be painted");
    enum err_code rc = inpaint_flatten(&w->original, &flat, e);
    if (rc == ERR_OK)
        rc = cut_out(a, &flat, w, e);
    image_free(&flat);
    return rc;
}

static enum err_code refit(struct image *im, const struct asked *a, struct err *e)
{
    struct image fitted = {0};
    TRY(inpaint_fit(im, a->fit, (int)a->w, (int)a->h, &fitted, e));
    image_free(im);
    *im = fitted;
    return ERR_OK;
}

static enum err_code prepare_whole(struct http_request *rq, struct asked *a, struct work *w,
                                   struct err *e)
{
    if (a->w > 0 || a->h > 0) {
        a->w = a->w > 0 ? a->w : w->original.w;
        a->h = a->h > 0 ? a->h : w->original.h;
        TRY(refit(&w->original, a, e));
        TRY(refit(&w->blend, a, e));
    }
    inpaint_double(&w->blend);
    w->place.rect = (struct image_rect){0, 0, w->original.w, w->original.h};
    w->place.fit = INPAINT_STRETCH;
    if (!inpaint_region(&w->blend, 0, 1, 1, &(struct image_rect){0}))
        return http_refuse(rq, 422, "mask", e, "the mask is empty: nothing would be painted");
    TRY(inpaint_flatten(&w->original, &w->image, e));
    TRY(image_copy(&w->blend, &w->mask, e));
    return fill(a, &w->image, &w->mask, e);
}

static enum err_code take_masked(struct http_request *rq, const char *mask, struct asked *a,
                                 struct face_request *f, struct a1111_paste *paste, struct err *e)
{
    struct work w = {0};
    struct asset info;
    enum err_code rc = asset_get(store_of(rq), f->images[0], &info, e);
    if (rc == ERR_OK && (int64_t)info.width * info.height > MASKED_MAX_PIXELS)
        rc = http_refuse(rq, 422, "init_images[0]", e,
                         "an image of %d x %d pixels; with a mask up to %d million pixels can be "
                         "worked on",
                         info.width, info.height, MASKED_MAX_PIXELS >> 20);
    if (rc == ERR_OK)
        rc = asset_load(store_of(rq), f->images[0], &w.original, e);
    if (rc == ERR_OK)
        rc = take_mask(rq, mask, a, &w.original, &w.blend, e);
    if (rc == ERR_OK)
        rc = a->full_res ? prepare_full_res(rq, a, &w, e) : prepare_whole(rq, a, &w, e);
    inpaint_any(&w.mask);
    if (rc == ERR_OK)
        rc = face_put(rq, &w.original, "original.png", &paste->original, e);
    if (rc == ERR_OK)
        rc = face_put(rq, &w.blend, "mask.png", &paste->mask, e);
    if (rc == ERR_OK)
        rc = face_put(rq, &w.image, "worked-on.png", &f->images[0], e);
    if (rc == ERR_OK)
        rc = face_put(rq, &w.mask, "painted.png", &f->mask, e);
    f->width = a->w;
    f->height = a->h;
    paste->place = w.place;
    paste->mask_blur = a->blur_x;
    paste->padding = a->full_res ? a->padding : -1;
    work_free(&w);
    return rc;
}

static enum err_code take_unmasked(struct http_request *rq, struct asked *a, struct face_request *f,
                                   struct err *e)
{
    struct image im = {0};
    if (a->w <= 0 && a->h <= 0)
        return ERR_OK;
    enum err_code rc = asset_load(store_of(rq), f->images[0], &im, e);
    a->w = a->w > 0 ? a->w : im.w;
    a->h = a->h > 0 ? a->h : im.h;
    if (rc == ERR_OK && (a->w != im.w || a->h != im.h)) {
        rc = refit(&im, a, e);
        if (rc == ERR_OK)
            rc = face_put(rq, &im, "fitted.png", &f->images[0], e);
    }
    f->width = a->w;
    f->height = a->h;
    image_free(&im);
    return rc;
}

enum err_code a1111_take_images(struct http_request *rq, struct face_request *f,
                                struct a1111_paste *paste, struct err *e)
{
    const char *mask = http_body_str(rq, "mask", NULL);
    struct asked a;
    f->strength = paste->strength = http_body_double(rq, "denoising_strength", 0.75);
    TRY(read_asked(rq, f, &a, e));
    TRY(take_list(rq, f, e));
    return mask && *mask ? take_masked(rq, mask, &a, f, paste, e) : take_unmasked(rq, &a, f, e);
}

enum err_code a1111_finish(struct http_request *rq, const struct a1111_paste *paste,
                           const char *result, struct image *out, struct err *e)
{
    struct image original = {0}, mask = {0}, made = {0};
    enum err_code rc;
    TRY_GOTO(asset_load(store_of(rq), result, &made, e), done);
    TRY_GOTO(asset_load(store_of(rq), paste->original, &original, e), done);
    TRY_GOTO(asset_load(store_of(rq), paste->mask, &mask, e), done);
    rc = inpaint_paste(&original, &made, paste->place, &mask, out, e);
done:
    image_free(&original);
    image_free(&mask);
    image_free(&made);
    return rc;
}
