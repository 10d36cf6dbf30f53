/* added.h - finding added tokens (<|im_end|>, <think>, ...) in text.
 *
 * A trie over the bytes of the tokens, its edges in one hash table. The first place where any token
 * matches wins, and at that place the longest one.
 */
#ifndef VT_TEXT_ADDED_H
#define VT_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum {
    ADDED_MAX_BYTES = 256,     /* of one token: bounds the work at one place of the text */
    ADDED_MAX_TOTAL = 4 << 20, /* of all tokens together */
};

struct added_set {
    uint64_t *edges; /* (node << 8 | byte) + 1 in the high half, node in the low; 0 = empty */
    int32_t *ids;    /* [nodes] id of the token that ends here, -1 = none */
    uint32_t edge_mask;
    uint32_t nodes, cap;
    bool starts[256]; /* bytes with which some token begins */
};

/* Room for tokens of total_bytes bytes together. */
ERR_MUST_CHECK enum err_code added_init(struct added_set *s, size_t total_bytes, struct err *e);
void added_deinit(struct added_set *s);

/* ERR_FORMAT for an empty, too long or repeated text. */
ERR_MUST_CHECK enum err_code added_put(struct added_set *s, struct str text, int32_t id,
                                       struct err *e);

/* Id of exactly this text, -1 when it is none of the tokens. */
int32_t added_get(const struct added_set *s, struct str text);

struct added_match {
    size_t at, end;
    int32_t id;
};

/* The first match that begins at or after `from`. False when there is none. */
bool added_find(const struct added_set *s, struct str text, size_t from, struct added_match *out);

#endif
