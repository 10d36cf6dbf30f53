/* bpe.h - byte pair encoding of one word.
 *
 * The word's bytes become one symbol each; then, as long as some neighbouring pair is in the merge
 * table, the pair with the best rank (the leftmost of equals) becomes one symbol. Short words look for
 * the best pair by scanning; long ones keep pairs in a heap, so that a megabyte without a blank takes
 * O(n log n).
 */
#ifndef VT_TEXT_BPE_H
#define VT_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct bpe_merge {
    uint32_t left, right, result; /* ids */
};

/* (left, right) -> rank, in an open-addressing table of tagged 32-bit slots as in vocab.h. */
struct bpe_merges {
    struct bpe_merge *list; /* by rank */
    uint32_t n, cap;
    uint32_t *slots;
    uint32_t slot_mask;
};

ERR_MUST_CHECK enum err_code bpe_merges_init(struct bpe_merges *m, size_t count, struct err *e);
void bpe_merges_deinit(struct bpe_merges *m);

/* The next rank; found after bpe_merges_index. A pair that was there before moves to this rank, as in the
 * reference. */
ERR_MUST_CHECK enum err_code bpe_merges_add(struct bpe_merges *m, struct bpe_merge merge,
                                            struct err *e);

/* Enters all merges into the table, once. ERR_FORMAT for a crafted file whose merges collide. */
ERR_MUST_CHECK enum err_code bpe_merges_index(struct bpe_merges *m, struct err *e);

enum { BPE_NO_RANK = -1 };

/* Rank of a pair, BPE_NO_RANK when it does not merge. */
int32_t bpe_merges_find(const struct bpe_merges *m, uint32_t left, uint32_t right);

/* Memory of one encoder for long words; {0} at first. */
struct bpe_scratch {
    void *block;
    size_t block_bytes;
};

void bpe_scratch_deinit(struct bpe_scratch *s);

/* Ids of a word of 1 .. BPE_MAX_WORD_BYTES bytes into ids (room for word.n), how many into *n.
 * byte_ids: the id of each single byte. ERR_NOMEM only. */
enum { BPE_MAX_WORD_BYTES = 1 << 28 };

ERR_MUST_CHECK enum err_code bpe_encode_word(const struct bpe_merges *m, const int32_t *byte_ids,
                                             struct str word, struct bpe_scratch *s, int32_t *ids,
                                             size_t *n, struct err *e);

#endif
