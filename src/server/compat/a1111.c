/* a1111.c - the API of Automatic1111 over our jobs: txt2img and img2img, their answers, and the routes around them.
 *
 *     a1111_fields.c      members: what is done, what cannot matter, what is refused
 *     a1111_img2img.c     sizes and masks (inpaint.h)
 *     a1111_info.c        what is told of how an image was made
 *     a1111_settings.c    options
 *     a1111_extras.c      enlarging
 *     a1111_interrogate.c captions
 *     a1111_lists.c       models, samplers, progress, ... */
#include "server/compat/a1111.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/json.h"
#include "http/base64.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/server_internal.h"

static const struct http_field answer_fields[] = {
    {.name = "images", .type = HTTP_ARRAY, .items = HTTP_STRING, .required = true},
    {.name = "parameters", .type = HTTP_OBJECT, .required = true},
    {.name = "info", .type = HTTP_STRING, .required = true, .help = "JSON in a string"},
    {0}};

/* ---- the request --------------------------------------------------------------------------------------- */

static enum err_code take(struct http_request *rq, bool edit, struct face_request *f,
                          struct a1111_paste *paste, struct err *e)
{
    *f = face_request_defaults();
    f->prompt = http_body_str(rq, "prompt", "");
    f->steps = http_body_int(rq, "steps", -1);
    f->width = http_body_int(rq, "width", -1);
    f->height = http_body_int(rq, "height", -1);
    f->guidance = http_body_double(rq, "cfg_scale", -1);
    f->count = http_body_int(rq, "batch_size", 1) * http_body_int(rq, "n_iter", 1);
    TRY(a1111_check(rq, e));
    TRY(face_take_prompt(rq, f, e));
    TRY(a1111_int(rq, "seed", -1, 9000000000000000, -1, &f->seed, e));
    if (f->count >= FACE_MAX_IMAGES)
        TRY(http_refuse(rq, 422, "n_iter", e, "at most %d images can be made at once",
                        FACE_MAX_IMAGES - 1));
    TRY(a1111_model(rq, &f->model, e));
    return edit ? a1111_take_images(rq, f, paste, e) : ERR_OK;
}

/* ---- the answer ---------------------------------------------------------------------------------------- */

/* The image's file in base64: as the job made it, or put into its original. */
static enum err_code add_image(struct http_request *rq, const struct a1111_paste *paste,
                               const char *asset, struct str infotext, struct buf *b, struct err *e)
{
    struct image im = {0};
    struct image_about about;
    struct buf file;
    if (!paste->original)
        return face_base64(store_of(rq), asset, face_png, b, e);
    buf_init(&file, LIMIT_FILE);
    image_about_init(&about);
    enum err_code rc;
    TRY_GOTO(a1111_finish(rq, paste, asset, &im, e), done);
    TRY_GOTO(asset_about(store_of(rq), asset, NULL, &about, e), done);
    buf_clear(&about.recipe);
    buf_add_str(&about.recipe, infotext);
    TRY_GOTO(face_encode(&im, face_png, &about, &file, e), done);
    base64_add(b, buf_str(&file));
done:
    image_about_deinit(&about);
    buf_deinit(&file);
    image_free(&im);
    return rc;
}

static enum err_code put_images(struct http_request *rq, const struct a1111_paste *paste,
                                const struct face_image *images, size_t n, struct buf *texts,
                                struct buf *b, struct err *e)
{
    bool send = http_body_bool(rq, "send_images", true);
    enum err_code rc = ERR_OK;
    json_array(b, "images");
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        struct buf text;
        buf_init(&text, LIMIT_INFOTEXTS);
        rc = a1111_infotext(rq, images[i].asset, paste, &text, e);
        json_put_str(texts, NULL, buf_str(&text));
        if (rc == ERR_OK && send) {
            json_string(b, NULL);
            rc = add_image(rq, paste, images[i].asset, buf_str(&text), b, e);
            json_end_string(b);
        }
        buf_deinit(&text);
    }
    json_end_array(b);
    return rc;
}

/* The request as it came, without its images unless they are wanted back. */
static enum err_code put_parameters(struct http_request *rq, struct buf *b, struct err *e)
{
    static const char *const heavy[] = {"init_images", "mask", "expanded_mask"};
    bool keep = http_body_bool(rq, "include_init_images", false);
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = d ? yyjson_val_mut_copy(d, http_body(rq)) : NULL;
    enum err_code rc = root ? ERR_OK : err_set(e, ERR_NOMEM, "no memory to repeat the parameters");
    for (size_t i = 0; root && !keep && i < sizeof heavy / sizeof heavy[0]; i++)
        if (yyjson_mut_obj_remove_key(root, heavy[i]))
            (void)yyjson_mut_obj_add_null(d, root, heavy[i]);
    /* Clients put their password here. */
    if (root)
        (void)yyjson_mut_obj_remove_key(root, "auth");
    if (root)
        yyjson_mut_doc_set_root(d, root);
    if (rc == ERR_OK)
        rc = json_put_doc(b, "parameters", d, e);
    yyjson_mut_doc_free(d);
    return rc;
}

static enum err_code answer(struct http_request *rq, struct http_reply *re,
                            const struct job_record *rec, struct err *e)
{
    struct face_image *images = arena_array(http_arena(rq), FACE_MAX_IMAGES, sizeof *images);
    struct buf *b = &re->body, texts;
    size_t n = 0;
    enum err_code rc = images ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the answer");
    if (rc == ERR_OK && rec->result[0]) /* none: interrupted before the first image */
        rc = face_images(rec->result, images, &n, e);
    buf_deinit(b);
    buf_init(b, LIMIT_IMAGES_REPLY);
    buf_init(&texts, LIMIT_INFOTEXTS);
    json_object(b, NULL);
    if (rc == ERR_OK)
        rc = put_images(rq, http_memo(rq)->face, images, n, &texts, b, e);
    if (rc == ERR_OK)
        rc = put_parameters(rq, b, e);
    if (rc == ERR_OK)
        a1111_put_info(rq, rec, images, n, &texts, b);
    json_end_object(b);
    buf_deinit(&texts);
    return rc;
}

static enum err_code run(struct http_request *rq, struct http_reply *re, bool edit, struct err *e)
{
    struct job_record rec = {0}, ended = {0};
    struct face_request f;
    enum err_code rc = ERR_OK;
    if (!face_heavy(rq, re))
        return ERR_OK;
    if (!http_again(rq)) {
        http_memo(rq)->face = arena_alloc(http_arena(rq), sizeof(struct a1111_paste));
        rc = http_memo(rq)->face ? take(rq, edit, &f, http_memo(rq)->face, e)
                                 : err_set(e, ERR_NOMEM, "no memory for the request");
        if (rc == ERR_OK)
            rc = face_submit(rq, &f, &rec, e);
        if (rc != ERR_OK && strcmp(http_error_field(rq), "model") == 0) /* as it was named here */
            http_set_error_field(rq, "override_settings.sd_model_checkpoint");
    }
    if (rc == ERR_OK)
        rc = job_wait_end(rq, rec.id, &re->later, &ended, e);
    /* Interrupted, a request gives the images that were finished. */
    if (rc == ERR_OK && !re->later)
        rc = ended.state == JOB_DONE || ended.state == JOB_CANCELLED ? answer(rq, re, &ended, e)
                                                                     : job_failure(rq, &ended, e);
    job_record_deinit(&ended);
    job_record_deinit(&rec);
    return rc;
}

static enum err_code run_txt2img(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, false, e);
}

static enum err_code run_img2img(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return run(rq, re, true, e);
}

/* ---- routes -------------------------------------------------------------------------------------------- */

static const struct http_field png_info_body[] = {
    {.name = "image", .type = HTTP_STRING, .required = true, .help = "in base64"}, {0}};

static const struct http_field png_info_fields[] = {
    {.name = "info", .type = HTTP_STRING, .required = true, .help = "how it was made"},
    {.name = "items", .type = HTTP_OBJECT, .required = true, .help = "its other texts"},
    {.name = "parameters", .type = HTTP_OBJECT, .required = true, .help = "info, taken apart"},
    {0}};

static const struct http_field caption_fields[] = {
    {.name = "caption", .type = HTTP_STRING, .required = true}, {0}};

static const struct http_field extra_fields[] = {
    {.name = "html_info", .type = HTTP_STRING, .required = true},
    {.name = "image", .type = HTTP_STRING},
    {.name = "images", .type = HTTP_ARRAY, .items = HTTP_STRING},
    {0}};

static const struct http_field options_fields[] = {
    {.name = "sd_model_checkpoint", .type = HTTP_STRING, .required = true},
    {.name = "*", .type = HTTP_ANY},
    {0}};

const struct http_route routes_a1111[] = {
    {HTTP_POST, "/sdapi/v1/txt2img", "a1111Txt2img", "Automatic1111: make images", "a1111",
     run_txt2img, .body = a1111_txt2img, .gives = answer_fields, .accepts = HTTP_JSON,
     .max_body = LIMIT_TASK_BODY},
    {HTTP_POST, "/sdapi/v1/img2img", "a1111Img2img", "Automatic1111: change images", "a1111",
     run_img2img, .body = a1111_img2img, .gives = answer_fields, .accepts = HTTP_JSON,
     .max_body = LIMIT_IMAGES_BODY},
    {HTTP_POST, "/sdapi/v1/extra-single-image", "a1111ExtraImage",
     "Automatic1111: enlarge an image", "a1111", a1111_extra_image, .body = a1111_extra_single,
     .gives = extra_fields, .accepts = HTTP_JSON, .max_body = LIMIT_IMAGES_BODY},
    {HTTP_POST, "/sdapi/v1/extra-batch-images", "a1111ExtraImages", "Automatic1111: enlarge images",
     "a1111", a1111_extra_images, .body = a1111_extra_batch, .gives = extra_fields,
     .accepts = HTTP_JSON, .max_body = LIMIT_IMAGES_BODY},
    {HTTP_POST, "/sdapi/v1/png-info", "a1111PngInfo", "Automatic1111: how an image was made",
     "a1111", a1111_png_info, .body = png_info_body, .gives = png_info_fields, .accepts = HTTP_JSON,
     .max_body = LIMIT_IMAGES_BODY},
    {HTTP_POST, "/sdapi/v1/interrogate", "a1111Interrogate", "Automatic1111: describe an image",
     "a1111", a1111_interrogate, .body = a1111_interrogate_body, .gives = caption_fields,
     .accepts = HTTP_JSON, .max_body = LIMIT_IMAGES_BODY},
    {HTTP_GET, "/sdapi/v1/options", "a1111Options", "Automatic1111: options", "a1111",
     a1111_get_options, .gives = options_fields},
    {HTTP_POST, "/sdapi/v1/options", "a1111SetOptions",
     "Automatic1111: choose the model for requests that name none", "a1111", a1111_set_options,
     .body = a1111_options, .type = "application/json", .accepts = HTTP_JSON},
    {0}};
