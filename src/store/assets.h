/* assets.h - images as files that never change: the id of an image is the sha256 of its bytes.
 *
 *     struct asset_writer *w;
 *     if ((rc = asset_writer_begin(s, max_bytes, &w, e)) != ERR_OK) ...
 *     while (more)
 *         if ((rc = asset_writer_write(w, p, n, e)) != ERR_OK) { asset_writer_abort(w); ... }
 *     rc = asset_writer_finish(w, &(struct asset_note){.name = "cat.png", .origin = "upload"}, &a, e);
 *
 * Bytes become an asset only after they were read as an image (image/load.h) without a complaint.
 * The same bytes twice give the same asset. Ids are 64 lower-case hexadecimal digits; everything that takes
 * one checks that, and answers ERR_NOTFOUND for other text, so ids never act as paths.
 *
 * Threads: a writer belongs to one thread at a time; all else as store.h says. */
#ifndef VT_STORE_ASSETS_H
#define VT_STORE_ASSETS_H

#include "base/str.h"
#include "image/about.h"
#include "image/image.h"
#include "image/load.h"
#include "store/store.h"

struct reader_series;

enum {
    ASSET_ID_SIZE = 65,    /* with the NUL */
    ASSET_NAME_SIZE = 256, /* with the NUL; UTF-8, no control characters */
    ASSET_ORIGIN_SIZE = 16,
    ASSET_TASK_SIZE = 24,
    ASSET_MODEL_SIZE = 256,
    ASSET_PROMPT_SIZE =
        2048, /* of a longer one this much is handed out; all of it is kept and searched */
};

struct asset {
    char id[ASSET_ID_SIZE];
    enum image_format format;
    int width, height; /* upright */
    bool alpha;        /* the mode has an alpha channel */
    uint64_t bytes;
    char name[ASSET_NAME_SIZE]; /* what the first one who put it in called it; never a path */
    char origin
        [ASSET_ORIGIN_SIZE]; /* "upload", "result", "preview", "found" ... : who put it in first */
    int64_t created_ms;
    bool starred; /* never collected, unless it is trashed, too */
    bool trashed; /* until it is put in again */
    /* Of a job's result; "" otherwise. The last job that made it, which need not be there any more. */
    char job[STORE_ID_SIZE], task[ASSET_TASK_SIZE], model[ASSET_MODEL_SIZE];
    char prompt[ASSET_PROMPT_SIZE];
    int64_t seed;
    int64_t seq;  /* grows with every new asset: the key for lists */
    bool existed; /* after putting it in: these bytes were in the store before */
};

/* How a job made it. */
struct asset_made {
    const char *job, *task, *model, *prompt;
    int64_t seed;
};

struct asset_note {
    const char *name;   /* NULL: none. Any bytes, cleaned; ERR_ARG when its last part is too long */
    const char *origin; /* NULL: "upload" */
    /* Our own encoder made the bytes: only the header is read again, not every pixel. */
    bool trusted;
    const struct asset_made *made; /* NULL: by no job */
    /* Of asset_put_image: what the file says of itself; NULL: nothing. */
    const struct image_about *about;
};

/* "image/png", ... Static string. */
const char *asset_mime(enum image_format format);
/* Extension without a dot: "png", "jpg", "webp". Static string. */
const char *asset_extension(enum image_format format);
bool asset_is_id(const char *id);

/* ---- putting in ------------------------------------------------------------------------------- */

struct asset_writer;

/* max_bytes 0: the default of image_limits. */
ERR_MUST_CHECK enum err_code asset_writer_begin(struct store *s, uint64_t max_bytes,
                                                struct asset_writer **out, struct err *e);
/* ERR_LIMIT past max_bytes. After a failure only abort makes sense. */
ERR_MUST_CHECK enum err_code asset_writer_write(struct asset_writer *w, const void *p, size_t n,
                                                struct err *e);
/* What the header says of what was written so far; 0 when it is no image that would be taken. */
uint64_t asset_writer_pixels(const struct asset_writer *w);
/* Frees w, whatever comes back. ERR_FORMAT: not an image, or a damaged one. note may be NULL. */
ERR_MUST_CHECK enum err_code asset_writer_finish(struct asset_writer *w,
                                                 const struct asset_note *note, struct asset *out,
                                                 struct err *e);
/* Frees w and removes what it wrote. Accepts NULL. */
void asset_writer_abort(struct asset_writer *w);

/* All at once. */
ERR_MUST_CHECK enum err_code asset_put(struct store *s, struct str bytes,
                                       const struct asset_note *note, struct asset *out,
                                       struct err *e);
/* An image as PNG. */
ERR_MUST_CHECK enum err_code asset_put_image(struct store *s, const struct image *im,
                                             const struct asset_note *note, struct asset *out,
                                             struct err *e);

/* ---- reading ---------------------------------------------------------------------------------- */

ERR_MUST_CHECK enum err_code asset_get(struct store *s, const char *id, struct asset *out,
                                       struct err *e);
/* What the file says of itself. *out was initialised. series (reader/reader.h): NULL unless it is one of several. */
ERR_MUST_CHECK enum err_code asset_about(struct store *s, const char *id,
                                         struct reader_series *series, struct image_about *out,
                                         struct err *e);
/* The file, opened for reading; the caller closes *fd. out may be NULL. */
ERR_MUST_CHECK enum err_code asset_open(struct store *s, const char *id, struct asset *out, int *fd,
                                        struct err *e);
/* Decoded, upright, in its own mode. Caller: image_free. The second is for what a model will see: an image of more
 * than 8 bits a channel comes out deep. */
ERR_MUST_CHECK enum err_code asset_load(struct store *s, const char *id, struct image *out,
                                        struct err *e);
ERR_MUST_CHECK enum err_code asset_load_deep(struct store *s, const char *id, struct image *out,
                                             struct err *e);
/* As asset_load, one image of a series (reader/reader.h). */
ERR_MUST_CHECK enum err_code asset_load_next(struct store *s, const char *id,
                                             struct reader_series *series, struct image *out,
                                             struct err *e);

/* Each 1 or 0, or -1 to leave it as it is. What is trashed stays until its days are over, as if it had been put in now. */
struct asset_marks {
    int starred, trashed;
};
ERR_MUST_CHECK enum err_code asset_mark(struct store *s, const char *id, struct asset_marks marks,
                                        struct asset *out, struct err *e);

/* With its small versions. ERR_BUSY while a project, an undo point or a job refers to it (the text says which). */
ERR_MUST_CHECK enum err_code asset_delete(struct store *s, const char *id, struct err *e);

struct asset_list {
    struct asset *items;
    size_t n;
    int64_t next; /* `before` for the next page; 0 when there is none */
};

struct asset_filter {
    struct asset_marks marks; /* -1: either */
    const char *origin;       /* NULL: any */
    const char *words; /* each of them is in the name or the prompt, without case; NULL: all */
};
struct asset_filter asset_filter_all(void);

/* Newest first, at most limit (1 to 1000) with seq < before (0: from the newest). Caller:
 * asset_list_deinit. */
ERR_MUST_CHECK enum err_code asset_list(struct store *s, const struct asset_filter *filter,
                                        int64_t before, int limit, struct asset_list *out,
                                        struct err *e);
void asset_list_deinit(struct asset_list *l);

/* ---- thumbnails ------------------------------------------------------------------------------- */

enum { ASSET_THUMB_MAX = 1024 };

/* A WebP that fits into a square of `side` pixels, rounded up to 64, 128, 256, 512 or 1024, never larger
 * than the image; made at the first call. The caller closes *fd. *bytes and *side_used may be NULL. */
/* Only what is made already: *fd is -1 otherwise. */
ERR_MUST_CHECK enum err_code asset_thumb_find(struct store *s, const char *id, int side, int *fd,
                                              uint64_t *bytes, int *side_used, struct err *e);
ERR_MUST_CHECK enum err_code asset_thumb_open(struct store *s, const char *id, int side, int *fd,
                                              uint64_t *bytes, int *side_used, struct err *e);

#endif
