/* a1111.h - what the files of Automatic1111's face share. */
#ifndef VT_SERVER_COMPAT_A1111_H
#define VT_SERVER_COMPAT_A1111_H

#include "server/compat/face.h"
#include "server/compat/inpaint.h"

/* ---- a1111_fields.c: members of requests ----------------------------------------------------------------- */

extern const struct http_field a1111_txt2img[], a1111_img2img[];

/* Refuses what cannot be done: members whose value asks for something that is not there (hires fix, ControlNet,
 * styles, ...), settings, samplers, extra networks in the prompt. */
ERR_MUST_CHECK enum err_code a1111_check(struct http_request *rq, struct err *e);
/* Numbers and switches as pydantic takes them: 1, true, "1". ERR_ARG (422) for others. */
ERR_MUST_CHECK enum err_code a1111_int(struct http_request *rq, const char *name, int64_t lo,
                                       int64_t hi, int64_t fallback, int64_t *out, struct err *e);
/* The samplers and schedulers that are known by name; all run as Euler. */
bool a1111_is_sampler(const char *name);

/* ---- a1111_settings.c: options --------------------------------------------------------------------------- */

/* Settings (of /options or override_settings): known, and as they are; only the model can change. prefix: of the
 * field's name in a refusal. */
ERR_MUST_CHECK enum err_code a1111_check_settings(struct http_request *rq, yyjson_val *settings,
                                                  const char *prefix, struct err *e);
/* The model that requests get: that of override_settings, else of the options; NULL: the first. */
ERR_MUST_CHECK enum err_code a1111_model(struct http_request *rq, const char **out, struct err *e);
ERR_MUST_CHECK enum err_code a1111_prefer_model(struct http_request *rq, const char *model,
                                                struct err *e);

enum err_code a1111_get_options(struct http_request *rq, struct http_reply *re, struct err *e);
enum err_code a1111_set_options(struct http_request *rq, struct http_reply *re, struct err *e);
extern const struct http_field a1111_options[];

/* ---- a1111_img2img.c ------------------------------------------------------------------------------------- */

/* How a result becomes the answer's image. Assets' ids. */
struct a1111_paste {
    const char *original, *mask; /* NULL: the result is the image */
    struct inpaint_place place;
    int mask_blur, padding; /* told in the image's text; padding -1: the whole was worked on */
    double strength;
};

/* The images of the request, fitted, masked and filled, into f. */
ERR_MUST_CHECK enum err_code a1111_take_images(struct http_request *rq, struct face_request *f,
                                               struct a1111_paste *paste, struct err *e);
/* The finished image of one result. */
ERR_MUST_CHECK enum err_code a1111_finish(struct http_request *rq, const struct a1111_paste *paste,
                                          const char *result, struct image *out, struct err *e);

/* ---- a1111_info.c ---------------------------------------------------------------------------------------- */

/* What an image's text says of how it was made, as their "parameters". */
ERR_MUST_CHECK enum err_code a1111_infotext(struct http_request *rq, const char *asset,
                                            const struct a1111_paste *paste, struct buf *out,
                                            struct err *e);
/* The answer's "info", JSON in a string; texts holds n infotexts as items of a list in JSON. */
void a1111_put_info(struct http_request *rq, const struct job_record *rec,
                    const struct face_image *images, size_t n, const struct buf *texts,
                    struct buf *b);
enum err_code a1111_png_info(struct http_request *rq, struct http_reply *re, struct err *e);

/* ---- a1111_extras.c -------------------------------------------------------------------------------------- */

extern const struct http_field a1111_extra_single[], a1111_extra_batch[];
enum err_code a1111_extra_image(struct http_request *rq, struct http_reply *re, struct err *e);
enum err_code a1111_extra_images(struct http_request *rq, struct http_reply *re, struct err *e);

/* ---- a1111_interrogate.c --------------------------------------------------------------------------------- */

extern const struct http_field a1111_interrogate_body[];
enum err_code a1111_interrogate(struct http_request *rq, struct http_reply *re, struct err *e);

/* ---- a1111_lists.c: what there is, mostly nothing; progress; memory --------------------------------------- */

extern const struct http_route a1111_lists[];

#endif
