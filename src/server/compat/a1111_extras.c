/* a1111_extras.c - enlarging, with Lanczos or nearest pixels; no network, so no job. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "http/base64.h"
#include "image/resize.h"
#include "image/save.h"
#include "server/compat/a1111.h"
#include "server/limits.h"
#include "server/server_internal.h"

enum {
    SIDE_MAX = 16384,
    MAX_PIXELS = 40 << 20,
};

#define COMMON_FIELDS                                                                              \
    {.name = "resize_mode",                                                                        \
     .type = HTTP_INT,                                                                             \
     .lo = 0,                                                                                      \
     .hi = 1,                                                                                      \
     .fallback = "0",                                                                              \
     .nullable = true,                                                                             \
     .help = "0 by upscaling_resize, 1 to upscaling_resize_w x upscaling_resize_h"},               \
        {.name = "upscaling_resize",                                                               \
         .type = HTTP_NUMBER,                                                                      \
         .lo = 0.01,                                                                               \
         .hi = 64,                                                                                 \
         .fallback = "2",                                                                          \
         .nullable = true},                                                                        \
        {.name = "upscaling_resize_w",                                                             \
         .type = HTTP_NUMBER,                                                                      \
         .lo = 0,                                                                                  \
         .hi = SIDE_MAX,                                                                           \
         .fallback = "512",                                                                        \
         .nullable = true},                                                                        \
        {.name = "upscaling_resize_h",                                                             \
         .type = HTTP_NUMBER,                                                                      \
         .lo = 0,                                                                                  \
         .hi = SIDE_MAX,                                                                           \
         .fallback = "512",                                                                        \
         .nullable = true},                                                                        \
        {.name = "upscaling_crop", .type = HTTP_BOOL, .fallback = "true", .nullable = true},       \
        {.name = "upscaler_1",                                                                     \
         .type = HTTP_STRING,                                                                      \
         .values = "None|Lanczos|Nearest",                                                         \
         .fallback = "\"None\"",                                                                   \
         .nullable = true,                                                                         \
         .help = "None: the image as it is"},                                                      \
        {.name = "upscaler_2",                                                                     \
         .type = HTTP_STRING,                                                                      \
         .values = "None|Lanczos|Nearest",                                                         \
         .fallback = "\"None\"",                                                                   \
         .nullable = true},                                                                        \
        {.name = "extras_upscaler_2_visibility",                                                   \
         .type = HTTP_NUMBER,                                                                      \
         .nullable = true,                                                                         \
         .help = "0"},                                                                             \
        {.name = "gfpgan_visibility", .type = HTTP_NUMBER, .nullable = true, .help = "0"},         \
        {.name = "codeformer_visibility", .type = HTTP_NUMBER, .nullable = true, .help = "0"},     \
        {.name = "codeformer_weight", .type = HTTP_NUMBER, .nullable = true},                      \
        {.name = "upscale_first", .type = HTTP_ANY, .nullable = true},                             \
    {                                                                                              \
        .name = "show_extras_results", .type = HTTP_ANY, .nullable = true                          \
    }

const struct http_field a1111_extra_single[] = {
    {.name = "image", .type = HTTP_STRING, .required = true, .help = "in base64"},
    COMMON_FIELDS,
    {0}};

static const struct http_field file_fields[] = {
    {.name = "data", .type = HTTP_STRING, .required = true, .help = "in base64"},
    {.name = "name", .type = HTTP_STRING},
    {0}};

const struct http_field a1111_extra_batch[] = {{.name = "imageList",
                                                .type = HTTP_ARRAY,
                                                .items = HTTP_OBJECT,
                                                .fields = file_fields,
                                                .lo = 1,
                                                .hi = 16,
                                                .required = true},
                                               COMMON_FIELDS,
                                               {0}};

static enum err_code check(struct http_request *rq, struct err *e)
{
    static const char *const zero[] = {"extras_upscaler_2_visibility", "gfpgan_visibility",
                                       "codeformer_visibility"};
    for (size_t i = 0; i < sizeof zero / sizeof zero[0]; i++)
        if (http_body_double(rq, zero[i], 0) != 0)
            return http_refuse(rq, 422, zero[i], e, "%s should be 0: there is no such thing here",
                               zero[i]);
    return ERR_OK;
}

/* The size that is enlarged to, and the part of it that is kept. */
struct target {
    int w, h, crop_w, crop_h;
};

static enum err_code target_size(struct http_request *rq, const struct image *im, struct target *t,
                                 struct err *e)
{
    double by = http_body_double(rq, "upscaling_resize", 2);
    bool to_size = http_body_int(rq, "resize_mode", 0) == 1;
    const char *field = to_size ? "upscaling_resize_w" : "upscaling_resize";
    double cw = floor(http_body_double(rq, "upscaling_resize_w", 512));
    double ch = floor(http_body_double(rq, "upscaling_resize_h", 512));
    if (to_size && (cw < 1 || ch < 1))
        return http_refuse(rq, 422, field, e,
                           "upscaling_resize_w and upscaling_resize_h should be 1 to %d", SIDE_MAX);
    if (to_size)
        by = fmax(cw / im->w, ch / im->h);
    double w = fmax(1, round(im->w * by)), h = fmax(1, round(im->h * by));
    if (w > SIDE_MAX || h > SIDE_MAX || w * h > MAX_PIXELS)
        return http_refuse(rq, 422, field, e,
                           "the image would have %.0f x %.0f pixels; sides up to %d and %d million "
                           "pixels can be made",
                           w, h, SIDE_MAX, MAX_PIXELS >> 20);
    bool crop = to_size && http_body_bool(rq, "upscaling_crop", true);
    *t = (struct target){(int)w, (int)h, (int)(crop ? cw : w), (int)(crop ? ch : h)};
    return ERR_OK;
}

static enum err_code enlarge(struct http_request *rq, const struct image *im, struct image *out,
                             struct err *e)
{
    const char *name = http_body_str(rq, "upscaler_1", "None");
    bool nearest = strcmp(name, "Nearest") == 0;
    struct image large = {0};
    struct target t = {0};
    if (strcmp(name, "None") == 0)
        return image_copy(im, out, e);
    enum err_code rc;
    TRY_GOTO(target_size(rq, im, &t, e), done);
    TRY_GOTO(image_resize(im, t.w, t.h, nearest ? IMAGE_NEAREST : IMAGE_LANCZOS, &large, e), done);
    rc = image_crop_centre(&large, t.crop_w, t.crop_h, out, e);
done:
    image_free(&large);
    return rc;
}

static enum err_code one(struct http_request *rq, yyjson_val *text, const char *field,
                         struct buf *b, struct err *e)
{
    struct image im = {0}, large = {0};
    struct image_about about;
    struct buf file;
    buf_init(&file, LIMIT_FILE);
    image_about_init(&about);
    enum err_code rc =
        face_bytes(rq, (struct str){yyjson_get_str(text), yyjson_get_len(text)}, field, &file, e);
    if (rc == ERR_OK) {
        struct reader_series series = {0};
        const struct reader_file f = {.fd = -1, .memory = buf_str(&file), .series = &series};
        rc = reader_image(server_of(rq)->reader, &f, READER_PIXELS, NULL, &im, e);
        if (rc != ERR_OK)
            http_set_error_field(rq, "%s", field);
        else
            rc = reader_about(server_of(rq)->reader, &f, &about, e);
        reader_series_end(&series);
    }
    buf_clear(&file);
    if (rc == ERR_OK)
        rc = enlarge(rq, &im, &large, e);
    if (rc == ERR_OK)
        rc = face_encode(&large, face_png, &about, &file, e);
    if (rc == ERR_OK)
        base64_add(b, buf_str(&file));
    image_free(&im);
    image_free(&large);
    image_about_deinit(&about);
    buf_deinit(&file);
    return rc;
}

static void begin(struct http_request *rq, struct http_reply *re)
{
    buf_deinit(&re->body);
    buf_init(&re->body, LIMIT_IMAGES_REPLY);
    json_object(&re->body, NULL);
    json_string(&re->body, "html_info");
    buf_printf(&re->body, "<p>Upscaler: %s</p>", http_body_str(rq, "upscaler_1", "None"));
    json_end_string(&re->body);
}

enum err_code a1111_extra_image(struct http_request *rq, struct http_reply *re, struct err *e)
{
    if (!face_heavy(rq, re))
        return ERR_OK;
    enum err_code rc = check(rq, e);
    begin(rq, re);
    json_string(&re->body, "image");
    if (rc == ERR_OK)
        rc = one(rq, yyjson_obj_get(http_body(rq), "image"), "image", &re->body, e);
    json_end_string(&re->body);
    json_end_object(&re->body);
    return rc;
}

enum err_code a1111_extra_images(struct http_request *rq, struct http_reply *re, struct err *e)
{
    size_t i, max;
    yyjson_val *v;
    char field[48];
    if (!face_heavy(rq, re))
        return ERR_OK;
    enum err_code rc = check(rq, e);
    begin(rq, re);
    json_array(&re->body, "images");
    yyjson_arr_foreach(yyjson_obj_get(http_body(rq), "imageList"), i, max, v)
    {
        (void)snprintf(field, sizeof field, "imageList[%zu].data", i);
        json_string(&re->body, NULL);
        if (rc == ERR_OK)
            rc = one(rq, yyjson_obj_get(v, "data"), field, &re->body, e);
        json_end_string(&re->body);
    }
    json_end_array(&re->body);
    json_end_object(&re->body);
    return rc;
}
