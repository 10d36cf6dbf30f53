/* messages.h - what a reader's process is asked and what it answers. Only for this folder.
 *
 *     READER_ASK    -> what is wished for, its bounds, and the file; of a series after each answer another one
 *     READER_SIZE   <- of a file with layers, by its headers
 *     READER_STACK  <- all of a file with layers but the layers
 *     READER_LAYER  <- each of them, from the bottom
 *     READER_TEXT   <- each text of a PNG, when these are asked for
 *     READER_SAID   <- what a file says of itself
 *     READER_ANSWER <- the last one: an error's code and text, what an image's header says, and its pixels
 */
#ifndef VT_READER_MESSAGES_H
#define VT_READER_MESSAGES_H

#include "child/code.h"
#include "reader/reader.h"

enum {
    READER_ASK = 1,
    READER_ANSWER,
    READER_SIZE,
    READER_STACK,
    READER_LAYER,
    READER_TEXT,
    READER_SAID
};

enum { READER_SERIES_FILES = 32 }; /* that one process reads at most */

/* Wishes beside those for images. */
enum { READER_LAYERS_SIZE = READER_DEEP + 1, READER_LAYERS, READER_ABOUT, READER_TEXTS };

/* An image's file. It is handed over by its path, /proc/self/fd/N of who asks, so that it is opened anew, to read only. */
struct reader_question {
    int wish, confined;
    int series;  /* others may follow */
    int seconds; /* of the processor */
    struct layers_limits limits;
    struct vt_image file;
    uint64_t bytes;
};
void reader_code_question(struct code *c, struct reader_question *q);

struct reader_answer {
    int rc;
    char text[sizeof((struct err *)0)->text];
    struct image_info info;
    struct vt_image pixels; /* none: not wished for, or there was an error */
};
void reader_code_answer(struct code *c, struct reader_answer *a);
void reader_code_size(struct code *c, struct layers_size *s);
/* The stack without its layers; n: how many there are. */
void reader_code_stack(struct code *c, struct layer_stack *s, size_t *n);
/* Without its image, which pixels stands for. */
void reader_code_layer(struct code *c, struct layer *l, struct vt_image *pixels);

/* A text of a PNG. */
void reader_code_text(struct code *c, char key[READER_KEY_SIZE], const char **text);
/* *a was initialised. */
void reader_code_about(struct code *c, struct image_about *a);

static inline bool reader_wants_image(int wish)
{
    return wish <= READER_DEEP;
}

static inline bool reader_wants_layers(int wish)
{
    return wish == READER_LAYERS_SIZE || wish == READER_LAYERS;
}

static inline bool reader_wants_pixels(int wish)
{
    return wish == READER_PIXELS || wish == READER_DEEP;
}

static inline bool reader_wants_words(int wish)
{
    return wish == READER_ABOUT || wish == READER_TEXTS;
}

/* A sanitizer reserves more memory than any machine has, so that there is no bound then. */
#if defined(__has_feature)
#define READER_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define READER_SANITIZED 1
#else
#define READER_SANITIZED 0
#endif
static inline bool reader_bounds_memory(void)
{
    return !READER_SANITIZED;
}

/* ---- in who asked ------------------------------------------------------------------------------------------ */

/* How far the answer has come, and where it goes. */
struct reader_taking {
    int wish;
    struct image_info *info;
    struct image *out;                /* of wishes for pixels */
    struct layers_size size;          /* of files with layers */
    struct image_about *about;        /* of READER_ABOUT and READER_TEXTS; initialised */
    const struct reader_texts *texts; /* of READER_TEXTS */
    size_t text_bytes;                /* that came */
    struct layer_stack *stack;        /* of READER_LAYERS; initialised */
    struct layers_limits limits;      /* of that; of the pixels, what the size says, once it came */
    bool has_size, has_stack, has_said;
    size_t n;        /* of the layers that are to come */
    uint64_t pixels; /* of those that came */
    bool is_done;    /* with this: */
    enum err_code rc;
    struct err why;
};

/* Takes the next message as what it is, a stranger's. A failure says that it makes no sense; those of the file are in
 * t. */
ERR_MUST_CHECK enum err_code reader_take(struct wire_message *m, struct reader_taking *t,
                                         struct err *e);
/* READER_STACK and READER_LAYER. */
ERR_MUST_CHECK enum err_code reader_take_stack(struct code *c, struct reader_taking *t,
                                               struct err *e);
ERR_MUST_CHECK enum err_code reader_take_layer(struct code *c, struct reader_taking *t,
                                               struct err *e);
/* READER_TEXT and READER_SAID. */
ERR_MUST_CHECK enum err_code reader_take_text(struct code *c, struct reader_taking *t,
                                              struct err *e);
ERR_MUST_CHECK enum err_code reader_take_said(struct code *c, struct reader_taking *t,
                                              struct err *e);
/* The file could not be read for a reason of ours. */
void reader_give_up(struct reader_taking *t, enum err_code rc, const struct err *why);

/* No more pixels are read than the headers spoke of: a file that hides more in it is stopped there. */
static inline void reader_limit_pixels(struct layers_limits *l, const struct layers_size *s)
{
    l->max_pixels = s->all < l->max_pixels ? s->all : l->max_pixels;
}

/* ---- either ------------------------------------------------------------------------------------------------- */

/* decode.c: the wishes for images, here and now. */
ERR_MUST_CHECK enum err_code reader_decode(struct str bytes, int wish, struct image_info *info,
                                           struct image *out, struct err *e);
/* READER_ABOUT and READER_TEXTS: to is of the latter. */
ERR_MUST_CHECK enum err_code reader_words(struct str bytes, int wish, const struct reader_texts *to,
                                          struct image_about *about, struct err *e);

#endif
