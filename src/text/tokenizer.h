/* tokenizer.h - text to token ids and back: byte-level BPE as the Qwen models use it.
 *
 * Reads a Hugging Face tokenizer.json, or vocab.json + merges.txt, or the arrays of a GGUF file; which
 * keys count and what is refused is in docs/formats/tokenizer.md. The file's own regex splits words.
 *
 *     struct tokenizer *t = NULL;
 *     struct tokens ids = {0};
 *     if ((rc = tokenizer_open("models/klein/tokenizer", &t, e)) != ERR_OK) ...
 *     if ((rc = tokenizer_encode(t, STR_LIT("a red boat"), &ids, e)) != ERR_OK) ...
 *     tokens_deinit(&ids);
 *     tokenizer_free(t);
 *
 * Immutable after opening: freely shared between threads. Text is UTF-8; bytes that are not are refused
 * with their offset. Added tokens such as <|im_end|> are recognised everywhere in the text, also in
 * what a user wrote, as the reference does.
 */
#ifndef VT_TEXT_TOKENIZER_H
#define VT_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    TOKENIZER_NONE = -1,                  /* "no such token" */
    TOKENIZER_MAX_FILE_BYTES = 64 << 20,  /* tokenizer.json, vocab.json, merges.txt */
    TOKENIZER_MAX_TEXT_BYTES = 256 << 20, /* one call of tokenizer_encode */
};

struct tokenizer;

/* ---- opening ---------------------------------------------------------------------------------- */

/* path: a folder (tokenizer.json with tokenizer_config.json beside it if there is one, else vocab.json
 * with merges.txt) or a tokenizer.json itself. Caller frees *out with tokenizer_free. */
ERR_MUST_CHECK enum err_code tokenizer_open(const char *path, struct tokenizer **out,
                                            struct err *e);

/* The same from the bytes of a tokenizer.json; `what` names them in messages. */
ERR_MUST_CHECK enum err_code tokenizer_from_json(struct str json, const char *what,
                                                 struct tokenizer **out, struct err *e);

/* What a GGUF file says under tokenizer.ggml.*; nothing is kept of it after the call. */
struct tokenizer_arrays {
    struct str model;         /* "gpt2": byte-level BPE, the only one that can be read */
    struct str pre;           /* "qwen2": which splitting regex */
    const struct str *tokens; /* index = id; byte-level characters, added tokens as they are */
    size_t n_tokens;
    const struct str *merges; /* "LEFT RIGHT", best first */
    size_t n_merges;
    const int32_t *types; /* [n_tokens] 1 normal, 3 control, 4 user-defined, 5 unused */
    int32_t eos_id;       /* TOKENIZER_NONE where the file has none */
    int32_t pad_id;
};

ERR_MUST_CHECK enum err_code tokenizer_from_arrays(const struct tokenizer_arrays *a,
                                                   const char *what, struct tokenizer **out,
                                                   struct err *e);

/* Accepts NULL. */
void tokenizer_free(struct tokenizer *t);

/* ---- using ------------------------------------------------------------------------------------ */

/* A growing list of ids; {0} is an empty one. */
struct tokens {
    int32_t *ids;
    size_t n;
    size_t cap;
};

void tokens_deinit(struct tokens *ids);
/* False when memory is out; the list is then unchanged. */
bool tokens_add(struct tokens *ids, int32_t id);

/* Appends the ids of text to out; on failure out is as before. ERR_FORMAT with the byte offset when
 * text is no UTF-8. */
ERR_MUST_CHECK enum err_code tokenizer_encode(const struct tokenizer *t, struct str text,
                                              struct tokens *out, struct err *e);

/* Appends the text of ids to out. Bytes that make no UTF-8 become U+FFFD, one for each longest prefix
 * of a sequence. Ids that name no token are skipped (models have more output rows than the tokenizer
 * has tokens); skip_special leaves out special tokens too. */
ERR_MUST_CHECK enum err_code tokenizer_decode(const struct tokenizer *t, const int32_t *ids,
                                              size_t n, bool skip_special, struct buf *out,
                                              struct err *e);

/* Id of a token by its text: an added token ("<|endoftext|>"), else a vocabulary entry in byte-level
 * characters; TOKENIZER_NONE when there is none. */
int32_t tokenizer_token_id(const struct tokenizer *t, const char *token);

/* From the config, else <|endoftext|> for padding and <|im_end|> for the end; TOKENIZER_NONE when the
 * tokenizer has neither. */
int32_t tokenizer_pad_id(const struct tokenizer *t);
int32_t tokenizer_eos_id(const struct tokenizer *t);

/* Highest id + 1, added tokens included. */
int32_t tokenizer_vocab_size(const struct tokenizer *t);

#endif
