/* chat.h - the fixed texts that the pipelines put around a prompt, and prompt to padded ids.
 *
 * The models were trained on exactly these texts: they are part of the models, not of the tokenizer
 * file, so they live in code. Prompts go in unstripped.
 *
 *     int32_t ids[512];
 *     uint8_t mask[512];
 *     size_t used;
 *     rc = klein_encode(t, prompt, 512, ids, mask, &used, e);
 */
#ifndef VT_TEXT_CHAT_H
#define VT_TEXT_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "text/tokenizer.h"

enum {
    CHAT_KLEIN_MAX_TOKENS = 512,   /* default length that klein prompts are padded to */
    CHAT_LAYERED_MAX_TOKENS = 512, /* default of what is kept of a layered prompt */
    CHAT_LAYERED_PREFIX_TOKENS =
        34, /* the template's own first tokens; their embeddings are dropped */
};

enum chat_language { CHAT_ENGLISH, CHAT_CHINESE };

/* ---- klein ------------------------------------------------------------------------------------ */

/* Appends the prompt as a user's message with an answer begun by an empty think block. */
void chat_klein_text(struct str prompt, struct buf *out);

/* Prompt to exactly max_tokens ids: cut on the right, padded on the right with <|endoftext|>, whatever the
 * tokenizer's file names (what that names where there is no such token). mask is 1 for the prompt's own tokens, 0
 * for padding; both have max_tokens elements; *used is the number of ones. */
ERR_MUST_CHECK enum err_code klein_encode(const struct tokenizer *t, struct str prompt,
                                          size_t max_tokens, int32_t *ids, uint8_t *mask,
                                          size_t *used, struct err *e);

/* ---- layered ---------------------------------------------------------------------------------- */

void chat_layered_text(struct str prompt, struct buf *out);

/* Appends the prompt's ids, cut to CHAT_LAYERED_PREFIX_TOKENS + max_tokens. The text encoder is causal,
 * so cutting before it gives the same embeddings as cutting after. */
ERR_MUST_CHECK enum err_code layered_encode(const struct tokenizer *t, struct str prompt,
                                            size_t max_tokens, struct tokens *out, struct err *e);

/* ---- prompts that are too long ------------------------------------------------------------------ */

struct prompt_cut {
    size_t total; /* tokens of the prompt and the text around it */
    size_t limit;
    size_t cut;      /* tokens that are left out at the end; 0: it fits */
    char behind[80]; /* the last words that are kept, for the message */
};

/* What klein_encode and layered_encode leave out of a prompt. */
ERR_MUST_CHECK enum err_code klein_prompt_cut(const struct tokenizer *t, struct str prompt,
                                              size_t max_tokens, struct prompt_cut *out,
                                              struct err *e);
ERR_MUST_CHECK enum err_code layered_prompt_cut(const struct tokenizer *t, struct str prompt,
                                                size_t max_tokens, struct prompt_cut *out,
                                                struct err *e);

/* The question that makes the vision model describe an image; one <|image_pad|> stands for the
 * image. Static. */
struct str chat_caption_text(enum chat_language language);

/* Appends the question's ids with <|image_pad|> n_image times in a row (one for every merged patch of
 * the image). *image_at is the index in out of the first one. */
ERR_MUST_CHECK enum err_code caption_encode(const struct tokenizer *t, enum chat_language language,
                                            size_t n_image, struct tokens *out, size_t *image_at,
                                            struct err *e);

#endif
