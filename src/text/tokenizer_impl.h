/* tokenizer_impl.h - what a tokenizer is made of, and the steps in which its readers make one.
 * For the files of this folder only.
 *
 *     tokenizer_new          sizes of the vocabulary and the merges are known
 *     tokenizer_put_word     each vocabulary entry, in byte-level characters; then vocab_index
 *     tokenizer_put_merge    each merge, best first
 *     tokenizer_put_added    each added token
 *     tokenizer_add_split    each splitting pattern
 *     tokenizer_finish       checks, default ids
 */
#ifndef VT_TEXT_TOKENIZER_IMPL_H
#define VT_TEXT_TOKENIZER_IMPL_H

#include <stdbool.h>

#include "base/json.h"
#include "text/added.h"
#include "text/bpe.h"
#include "text/presplit.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

enum { TOKENIZER_MAX_SPLITS = 4 };

struct tokenizer {
    struct vocab vocab;
    struct bpe_merges merges;
    int32_t byte_ids[256];
    struct presplit *splits[TOKENIZER_MAX_SPLITS]; /* each splits the pieces of the one before */
    size_t n_splits;
    bool nfc;
    bool ignore_merges; /* a word that is a token is that token, whatever the merges say */
    struct added_set before, after; /* added tokens looked for before and after normalisation */
    int32_t pad_id, eos_id;
    struct bytelevel alphabet;
    /* Only while reading: */
    char *merge_room;     /* two tokens side by side */
    uint32_t next_result; /* merges mostly make tokens in the order of their ids */
};

struct tokenizer_sizes {
    uint32_t ids; /* highest id, added tokens included, + 1 */
    size_t words;
    size_t bytes; /* of all words and added tokens as written */
    size_t merges;
    size_t added_bytes;
};

/* What is known of one added token. */
struct tokenizer_added {
    struct str text;
    int64_t id;
    bool special;
    bool normalized;
};

ERR_MUST_CHECK enum err_code tokenizer_new(const struct tokenizer_sizes *sizes,
                                           struct tokenizer **out, struct err *e);
ERR_MUST_CHECK enum err_code tokenizer_put_word(struct tokenizer *t, struct str text, uint32_t id,
                                                struct err *e);
ERR_MUST_CHECK enum err_code tokenizer_put_merge(struct tokenizer *t, struct str left,
                                                 struct str right, struct err *e);
/* "LEFT RIGHT" */
ERR_MUST_CHECK enum err_code tokenizer_put_merge_line(struct tokenizer *t, struct str line,
                                                      struct err *e);
/* One that is there already with the same id is taken as it is. */
ERR_MUST_CHECK enum err_code tokenizer_put_added(struct tokenizer *t,
                                                 const struct tokenizer_added *a, struct err *e);
ERR_MUST_CHECK enum err_code tokenizer_add_split(struct tokenizer *t, struct str pattern,
                                                 struct err *e);
ERR_MUST_CHECK enum err_code tokenizer_finish(struct tokenizer *t, struct err *e);

/* ---- from JSON values (tokenizer_source.c) ----------------------------------------------------- */

/* Where each part is; NULL for one that is missing. Borrowed from their documents. */
struct tokenizer_source {
    const char *what;        /* for messages */
    yyjson_val *vocab;       /* {"text": id} */
    yyjson_val *merges;      /* ["a b"] or [["a", "b"]] */
    struct str merge_lines;  /* merges.txt, when there is no array */
    yyjson_val *added;       /* tokenizer.json: [{"id", "content", ...}] */
    yyjson_val *config;      /* tokenizer_config.json */
    yyjson_val *added_map;   /* added_tokens.json: {"text": id} */
    yyjson_val *special_map; /* special_tokens_map.json */
    bool nfc;                /* the normaliser; added tokens must know */
};

/* Everything but the splits; the caller goes on with those and tokenizer_finish. */
ERR_MUST_CHECK enum err_code tokenizer_from_source(const struct tokenizer_source *src,
                                                   struct tokenizer **out, struct err *e);

/* ---- tokenizer.json (tokenizer_json.c) --------------------------------------------------------- */

/* A JSON document that owns its text. */
struct json_owned {
    struct buf text;
    yyjson_doc *doc;
    size_t doc_max; /* bytes that the document may take */
};

/* Takes over the bytes of text (which is empty afterwards) and parses them in place. j must not be moved until
 * json_owned_deinit. */
ERR_MUST_CHECK enum err_code json_owned_parse(struct json_owned *j, struct buf *text,
                                              const char *what, struct err *e);
void json_owned_deinit(struct json_owned *j);

/* root: a whole tokenizer.json; src brings what lies beside it (config, special_map). */
ERR_MUST_CHECK enum err_code tokenizer_read_json(yyjson_val *root, struct tokenizer_source *src,
                                                 struct tokenizer **out, struct err *e);

#endif
