/* bpe.c - merge table, and the two ways to apply it.
 *
 * Long words: symbols form a doubly linked list over the byte positions where they begin. Every pair
 * that merges waits under the key rank << 32 | position, so the smallest key is the best rank,
 * leftmost. The pairs of the unmerged word wait in a sorted list, those that merges create in a heap, which
 * therefore stays small enough for the cache. Entries are not removed when a neighbour changes; when an entry
 * is taken and the pair now at its position does not have its rank, it is stale and dropped.
 * A merge adds at most two pairs, so n entries in the list and 2 n in the heap suffice.
 */
#include "text/bpe.h"

#include <inttypes.h>
#include <string.h>

#include "base/ck.h"
#include "base/mem.h"
#include "text/vocab.h"

enum {
    SHORT_WORD = 48,
    SORTED_MIN_PAIRS = 4096,
    DIGIT_BITS = 11, /* two digits hold any rank */
    DIGITS = 1 << DIGIT_BITS,
};

/* ---- merge table ------------------------------------------------------------------------------- */

enum err_code bpe_merges_init(struct bpe_merges *m, size_t count, struct err *e)
{
    *m = (struct bpe_merges){0};
    if (count > VOCAB_MAX_IDS)
        return err_set(e, ERR_LIMIT, "%zu merges; at most %d are possible", count, VOCAB_MAX_IDS);
    uint32_t slots = hash_slots_for(count);
    m->list = mem_try_array(count, sizeof *m->list);
    m->slots = mem_try_array(slots, sizeof *m->slots);
    m->cap = (uint32_t)count;
    m->slot_mask = slots - 1;
    if (!m->list || !m->slots) {
        bpe_merges_deinit(m);
        return err_set(e, ERR_NOMEM, "no memory for %zu merges", count);
    }
    return ERR_OK;
}

void bpe_merges_deinit(struct bpe_merges *m)
{
    mem_free(m->list);
    mem_free(m->slots);
    *m = (struct bpe_merges){0};
}

static uint64_t pair_hash(uint32_t left, uint32_t right)
{
    return hash_mix((((uint64_t)left << 32) | right) * 0x9e3779b97f4a7c15u);
}

static bool is_pair(const struct bpe_merge *m, uint32_t left, uint32_t right)
{
    return m->left == left && m->right == right;
}

enum err_code bpe_merges_add(struct bpe_merges *m, struct bpe_merge merge, struct err *e)
{
    if (m->n >= m->cap)
        return err_set(e, ERR_INTERNAL, "more than %" PRIu32 " merges", m->cap);
    m->list[m->n++] = merge;
    return ERR_OK;
}

static uint64_t merge_hash(const struct bpe_merges *m, uint32_t rank)
{
    return pair_hash(m->list[rank].left, m->list[rank].right);
}

enum err_code bpe_merges_index(struct bpe_merges *m, struct err *e)
{
    memset(m->slots, 0, ((size_t)m->slot_mask + 1) * sizeof *m->slots);
    for (uint32_t rank = 0; rank < m->n; rank++) {
        const struct bpe_merge *merge = &m->list[rank];
        uint64_t h = merge_hash(m, rank);
        uint32_t at = (uint32_t)h & m->slot_mask;
        if (m->n - rank > HASH_AHEAD)
            __builtin_prefetch(&m->slots[(uint32_t)merge_hash(m, rank + HASH_AHEAD) & m->slot_mask],
                               1);
        for (int probes = 0; m->slots[at]; probes++) {
            if (hash_slot_may_match(m->slots[at], h) &&
                is_pair(&m->list[hash_slot_index(m->slots[at])], merge->left, merge->right))
                break;
            if (probes >= HASH_MAX_PROBES)
                return err_set(
                    e, ERR_FORMAT,
                    "the merges collide in the hash table, as only those of a crafted file do");
            at = (at + 1) & m->slot_mask;
        }
        m->slots[at] = hash_slot(h, rank);
    }
    return ERR_OK;
}

int32_t bpe_merges_find(const struct bpe_merges *m, uint32_t left, uint32_t right)
{
    uint64_t h = pair_hash(left, right);
    uint32_t at = (uint32_t)h & m->slot_mask;
    while (m->slots[at]) {
        uint32_t rank = hash_slot_index(m->slots[at]);
        if (hash_slot_may_match(m->slots[at], h) && is_pair(&m->list[rank], left, right))
            return (int32_t)rank;
        at = (at + 1) & m->slot_mask;
    }
    return BPE_NO_RANK;
}

/* ---- short words ------------------------------------------------------------------------------- */

/* Ranks as unsigned, so that "none" is the largest. */
static uint32_t rank_of(const struct bpe_merges *m, int32_t left, int32_t right)
{
    return (uint32_t)bpe_merges_find(m, (uint32_t)left, (uint32_t)right);
}

static size_t encode_short(const struct bpe_merges *m, const int32_t *byte_ids, struct str word,
                           int32_t *ids)
{
    uint32_t ranks[SHORT_WORD]; /* ranks[i]: of the pair (i, i + 1) */
    size_t n = word.n;
    for (size_t i = 0; i < n; i++)
        ids[i] = byte_ids[(unsigned char)word.p[i]];
    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = rank_of(m, ids[i], ids[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == UINT32_MAX)
            break;
        ids[best] = (int32_t)m->list[ranks[best]].result;
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        n--;
        if (best + 1 < n) {
            memmove(ranks + best, ranks + best + 1, (n - best - 1) * sizeof *ranks);
            ranks[best] = rank_of(m, ids[best], ids[best + 1]);
        }
        if (best > 0)
            ranks[best - 1] = rank_of(m, ids[best - 1], ids[best]);
    }
    return n;
}

/* ---- long words -------------------------------------------------------------------------------- */

struct symbol {
    int32_t id; /* -1: swallowed by its left neighbour */
    int32_t prev, next;
};

struct long_word {
    const struct bpe_merges *m;
    struct symbol *symbols;
    uint64_t *sorted; /* [n] */
    size_t sorted_n, sorted_at;
    uint64_t *heap; /* [2 n] */
    size_t heap_n;
};

static void heap_sift_down(uint64_t *heap, size_t n, size_t at)
{
    uint64_t key = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= key)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

static uint64_t heap_pop(struct long_word *w)
{
    uint64_t top = w->heap[0];
    w->heap[0] = w->heap[--w->heap_n];
    if (w->heap_n > 0)
        heap_sift_down(w->heap, w->heap_n, 0);
    return top;
}

/* Takes the smallest key of list and heap. False when both are empty. */
static bool next_key(struct long_word *w, uint64_t *key)
{
    bool listed = w->sorted_at < w->sorted_n;
    if (!listed && w->heap_n == 0)
        return false;
    if (listed && (w->heap_n == 0 || w->sorted[w->sorted_at] < w->heap[0]))
        *key = w->sorted[w->sorted_at++];
    else
        *key = heap_pop(w);
    return true;
}

static void heap_push(struct long_word *w, uint64_t key)
{
    size_t at = w->heap_n++;
    while (at > 0 && w->heap[(at - 1) / 2] > key) {
        w->heap[at] = w->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    w->heap[at] = key;
}

static int32_t rank_at(const struct long_word *w, int32_t at)
{
    const struct symbol *s = &w->symbols[at];
    if (s->id < 0 || s->next < 0)
        return BPE_NO_RANK;
    return bpe_merges_find(w->m, (uint32_t)s->id, (uint32_t)w->symbols[s->next].id);
}

static uint64_t heap_key(int32_t rank, int32_t at)
{
    return ((uint64_t)(uint32_t)rank << 32) | (uint32_t)at;
}

static void push_pair(struct long_word *w, int32_t at)
{
    int32_t rank = at < 0 ? BPE_NO_RANK : rank_at(w, at);
    if (rank != BPE_NO_RANK)
        heap_push(w, heap_key(rank, at));
}

static void merge_at(struct long_word *w, int32_t at, uint32_t result)
{
    struct symbol *s = &w->symbols[at];
    struct symbol *gone = &w->symbols[s->next];
    s->id = (int32_t)result;
    s->next = gone->next;
    gone->id = -1;
    if (s->next >= 0)
        w->symbols[s->next].prev = at;
    push_pair(w, s->prev);
    push_pair(w, at);
}

/* List, heap and symbols for n bytes in one block, kept for the next long word. */
static bool reserve(struct bpe_scratch *s, size_t n, struct long_word *w)
{
    size_t heap_bytes, symbol_bytes, bytes;
    if (!ck_mul_size(n, 3 * sizeof(uint64_t), &heap_bytes) ||
        !ck_mul_size(n, sizeof *w->symbols, &symbol_bytes) ||
        !ck_add_size(heap_bytes, symbol_bytes, &bytes))
        return false;
    if (bytes > s->block_bytes) {
        bpe_scratch_deinit(s);
        s->block = mem_try_alloc(bytes);
        if (!s->block)
            return false;
        s->block_bytes = bytes;
    }
    w->sorted = s->block;
    w->heap = w->sorted + n;
    w->symbols = (struct symbol *)(w->heap + 2 * n);
    return true;
}

/* One stable pass by a digit of the rank. */
static void sort_by_digit(const uint64_t *from, uint64_t *to, size_t n, int shift)
{
    uint32_t start[DIGITS + 1] = {0};
    for (size_t i = 0; i < n; i++)
        start[((from[i] >> shift) & (DIGITS - 1)) + 1]++;
    for (size_t d = 1; d < DIGITS; d++)
        start[d] += start[d - 1];
    for (size_t i = 0; i < n; i++)
        to[start[(from[i] >> shift) & (DIGITS - 1)]++] = from[i];
}

/* Sorts the list, which is in order of position, by rank. Few pairs go through the heap instead, which
 * costs less than counting digits. */
static void sort_pairs(struct long_word *w)
{
    if (w->sorted_n < SORTED_MIN_PAIRS) {
        for (size_t i = 0; i < w->sorted_n; i++)
            heap_push(w, w->sorted[i]);
        w->sorted_n = 0;
        return;
    }
    sort_by_digit(w->sorted, w->heap, w->sorted_n, 32);
    sort_by_digit(w->heap, w->sorted, w->sorted_n, 32 + DIGIT_BITS);
}

static void long_word_init(struct long_word *w, const int32_t *byte_ids, struct str word)
{
    int32_t n = (int32_t)word.n;
    for (int32_t i = 0; i < n; i++)
        w->symbols[i] =
            (struct symbol){byte_ids[(unsigned char)word.p[i]], i - 1, i + 1 < n ? i + 1 : -1};
    for (int32_t i = 0; i + 1 < n; i++) {
        int32_t rank = rank_at(w, i);
        if (rank != BPE_NO_RANK)
            w->sorted[w->sorted_n++] = heap_key(rank, i);
    }
    sort_pairs(w);
}

static enum err_code encode_long(const struct bpe_merges *m, const int32_t *byte_ids,
                                 struct str word, struct bpe_scratch *s, int32_t *ids, size_t *n,
                                 struct err *e)
{
    struct long_word w = {.m = m};
    if (!reserve(s, word.n, &w))
        return err_set(e, ERR_NOMEM, "no memory to encode a word of %zu bytes", word.n);
    long_word_init(&w, byte_ids, word);
    uint64_t key;
    while (next_key(&w, &key)) {
        int32_t at = (int32_t)(uint32_t)key;
        int32_t rank = (int32_t)(key >> 32);
        if (rank_at(&w, at) == rank)
            merge_at(&w, at, m->list[rank].result);
    }
    *n = 0;
    for (int32_t at = 0; at >= 0; at = w.symbols[at].next)
        ids[(*n)++] = w.symbols[at].id;
    return ERR_OK;
}

void bpe_scratch_deinit(struct bpe_scratch *s)
{
    mem_free(s->block);
    *s = (struct bpe_scratch){0};
}

enum err_code bpe_encode_word(const struct bpe_merges *m, const int32_t *byte_ids, struct str word,
                              struct bpe_scratch *s, int32_t *ids, size_t *n, struct err *e)
{
    if (word.n > BPE_MAX_WORD_BYTES)
        return err_set(e, ERR_LIMIT, "a word of %zu bytes; at most %d are possible", word.n,
                       BPE_MAX_WORD_BYTES);
    if (word.n > SHORT_WORD)
        return encode_long(m, byte_ids, word, s, ids, n, e);
    *n = encode_short(m, byte_ids, word, ids);
    return ERR_OK;
}
