/* face.h - what the faces of other APIs share: their words into a job of ours, its images out again, and failures
 * as their clients expect them. */
#ifndef VT_SERVER_COMPAT_FACE_H
#define VT_SERVER_COMPAT_FACE_H

#include "server/api/job_json.h"
#include "store/assets.h"

/* An image asked for in somebody else's words. */
struct face_request {
    const char *model; /* NULL: the first that can do it */
    const char *prompt;
    int64_t width, height, steps, seed, count; /* negative: not given */
    double guidance, strength;                 /* negative: not given */
    const char *images[VT_MAX_IMAGES];         /* asset ids; none: made from the prompt alone */
    size_t n_images;
    const char *mask;      /* NULL: none */
    struct vt_loras loras; /* by name */
};

struct face_request face_request_defaults(void);

/* <lora:NAME:WEIGHT> and its kin in a prompt are no words for a model: whoever writes them means a network, and is
 * refused. */
ERR_MUST_CHECK enum err_code face_check_prompt(struct http_request *rq, struct err *e);
/* The same but for "<lora:NAME:WEIGHT>" of what the model store has: taken out of the prompt, into f->loras. Both live as
 * long as the request. */
ERR_MUST_CHECK enum err_code face_take_prompt(struct http_request *rq, struct face_request *f,
                                              struct err *e);
/* Checks, stores and queues it. */
ERR_MUST_CHECK enum err_code face_submit(struct http_request *rq, const struct face_request *f,
                                         struct job_record *out, struct err *e);

/* For a handler that takes and gives images inside JSON: as http_heavy. */
bool face_heavy(struct http_request *rq, struct http_reply *re);

/* The images of a job that is done. */
struct face_image {
    char asset[ASSET_ID_SIZE];
    int64_t seed, width, height;
};
enum { FACE_MAX_IMAGES = 64 };
ERR_MUST_CHECK enum err_code face_images(const char *result, struct face_image out[FACE_MAX_IMAGES],
                                         size_t *n, struct err *e);

/* ---- face_image.c: images in and out ------------------------------------------------------------------- */

/* How an answer's images are written. */
struct face_format {
    enum image_format kind;
    int quality; /* of JPEG and WebP, 1 to 100 */
};

static const struct face_format face_png = {IMAGE_FORMAT_PNG, 100};

/* about: what the file says of itself; NULL: nothing. */
ERR_MUST_CHECK enum err_code face_encode(const struct image *im, struct face_format format,
                                         const struct image_about *about, struct buf *out,
                                         struct err *e);
/* The image's file, appended to b: as it is kept when it is of that format (PNG), else written anew. */
ERR_MUST_CHECK enum err_code face_file(struct store *s, const char *asset,
                                       struct face_format format, struct buf *b, struct err *e);
/* The same in base64. */
ERR_MUST_CHECK enum err_code face_base64(struct store *s, const char *asset,
                                         struct face_format format, struct buf *b, struct err *e);
/* The bytes behind base64 (a data URL's, too) appended to out; field names it in a refusal. */
ERR_MUST_CHECK enum err_code face_bytes(struct http_request *rq, struct str text, const char *field,
                                        struct buf *out, struct err *e);
/* An image from base64 into the store; id lives in the request's arena. */
ERR_MUST_CHECK enum err_code face_upload(struct http_request *rq, struct str text,
                                         const char *field, const char **id, struct err *e);
/* Our own image into the store. */
ERR_MUST_CHECK enum err_code face_put(struct http_request *rq, const struct image *im,
                                      const char *name, const char **id, struct err *e);
/* The mask's transparent pixels become white, others black, as a new image in the store: OpenAI's clients erase
 * where we paint. A mask without alpha stays as it is. */
ERR_MUST_CHECK enum err_code face_mask_of_alpha(struct http_request *rq, const char *asset,
                                                const char **id, struct err *e);

/* ---- face_error.c: failures ---------------------------------------------------------------------------- */

/* The status that the face's clients expect for a failure: OpenAI's know no 422. */
int face_status(const struct http_request *rq, int status);
/* The members that they look for, appended to the open problem+json object. True: they include "detail". */
bool face_error(const struct http_request *rq, int status, struct buf *b);
/* OpenAI's "error"; param: NULL for null. */
void openai_put_error(struct buf *b, struct str message, const char *type, const char *param,
                      const char *code);

/* ---- openai_stream.c ----------------------------------------------------------------------------------- */

struct openai_stream {
    bool edit;
    int partial; /* how many previews an image has, 0 to 3 */
    struct face_format format;
};

/* What an answer and an event say of an image, and of tokens, which nobody counts here. */
void openai_put_look(struct buf *b, enum image_format format, int64_t w, int64_t h);
void openai_put_usage(struct buf *b);
/* The job's events in OpenAI's form. */
ERR_MUST_CHECK enum err_code openai_stream(struct http_request *rq, struct http_reply *re,
                                           const struct openai_stream *asked, const char *job,
                                           struct err *e);
/* A preview, and the end of a job, for whoever streams it. */
void openai_tell_preview(struct server *s, const char *job, const struct vt_progress *at, int step,
                         const struct image *preview);
void openai_tell_end(struct server *s, const char *job, enum job_state state, const char *result,
                     const char *error);

#endif
