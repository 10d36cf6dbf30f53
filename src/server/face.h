/* face.h - what the faces of other APIs share: their words into a job of ours, and its pictures out again. */
#ifndef VT_SERVER_FACE_H
#define VT_SERVER_FACE_H

#include "server/job_json.h"

/* A picture asked for in somebody else's words. */
struct face_request {
    const char *model; /* NULL: the first that can do it */
    const char *prompt;
    int64_t width, height, steps, seed, count; /* negative: not given */
    double guidance, strength;                 /* negative: not given */
    const char *images[VT_MAX_IMAGES];         /* asset ids; none: made from the prompt alone */
    size_t n_images;
    const char *mask; /* NULL: none */
    int64_t feather;
};

struct face_request face_request_defaults(void);

/* Checks, stores and queues it. */
ERR_MUST_CHECK enum err_code face_submit(struct http_request *rq, const struct face_request *f,
                                         struct job_record *out, struct err *e);

/* The pictures of a job that is done. */
struct face_picture {
    char asset[ASSET_ID_SIZE];
    int64_t seed, width, height;
};
enum { FACE_MAX_PICTURES = 64 };
ERR_MUST_CHECK enum err_code face_pictures(const char *result,
                                           struct face_picture out[FACE_MAX_PICTURES], size_t *n,
                                           struct err *e);
/* The picture's file as base64, appended to b: as it is kept (PNG), or as JPEG or WebP. */
ERR_MUST_CHECK enum err_code face_base64(struct store *s, const char *asset, const char *format,
                                         struct buf *b, struct err *e);
/* A picture from base64 (a data URL's, too) into the store; id lives in the request's arena. field names it in
 * a refusal. */
ERR_MUST_CHECK enum err_code face_upload(struct http_request *rq, const char *text,
                                         const char *field, const char **id, struct err *e);
/* The mask's transparent pixels become white, others black, as a new picture in the store: other APIs erase where
 * we paint. */
ERR_MUST_CHECK enum err_code face_mask_of_alpha(struct http_request *rq, const char *asset,
                                                const char **id, struct err *e);

/* openai.c: a preview and the end of a job for streams in OpenAI's form. */
void openai_tell_preview(struct server *s, const char *job, int step, int steps, struct str jpeg);
void openai_tell_end(struct server *s, const char *job, enum job_state state, const char *result,
                     const char *error);

#endif
