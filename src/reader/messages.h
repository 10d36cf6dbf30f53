/* messages.h - what a reader's process is asked and what it answers. Only for this folder.
 *
 *     READER_ASK     -> what is wished for, its bounds, and the file
 *     READER_ANSWER  <- an error's code and text, what the header says, and the pixels where they were wished for
 */
#ifndef VT_READER_MESSAGES_H
#define VT_READER_MESSAGES_H

#include "child/code.h"
#include "reader/reader.h"

enum { READER_ASK = 1, READER_ANSWER };

/* An image's file. It is handed over by its path, /proc/self/fd/N of who asks, so that it is opened anew, to read only. */
struct reader_question {
    int wish, confined;
    int seconds; /* of the processor */
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

/* Checks the answer to a wish as what it is, a stranger's: its error is *e and what comes back. *is_nonsense: it was no
 * answer. out is filled where pixels are wished for. */
ERR_MUST_CHECK enum err_code reader_take_answer(struct wire_message *m, enum reader_wish wish,
                                                struct image_info *info, struct image *out,
                                                bool *is_nonsense, struct err *e);

static inline bool reader_wants_pixels(enum reader_wish wish)
{
    return wish == READER_PIXELS || wish == READER_DEEP;
}

/* decode.c: as reader_image, here and now. */
ERR_MUST_CHECK enum err_code reader_decode(struct str bytes, enum reader_wish wish,
                                           struct image_info *info, struct image *out,
                                           struct err *e);

#endif
