/* added.c - added tokens: strings that are matched before the pre-tokenizer sees the text; see added.h.
 *
 * All strings lie in one trie whose edges are a hash table, so that a text is walked once whatever the number of
 * tokens. The longest match at the first position wins; a table of first bytes passes over the rest of the text
 * quickly.
 */
#include "text/added.h"

#include "base/mem.h"
#include "text/vocab.h"

enum err_code added_init(struct added_set *s, size_t total_bytes, struct err *e)
{
    *s = (struct added_set){0};
    if (total_bytes == 0)
        return ERR_OK;
    if (total_bytes > ADDED_MAX_TOTAL)
        return err_set(e, ERR_LIMIT, "the added tokens have %zu bytes; at most %d are possible",
                       total_bytes, ADDED_MAX_TOTAL);
    uint32_t slots = hash_slots_for(total_bytes);
    s->edges = mem_try_array(slots, sizeof *s->edges);
    s->ids = mem_try_array(total_bytes + 1, sizeof *s->ids);
    if (!s->edges || !s->ids) {
        added_deinit(s);
        return err_set(e, ERR_NOMEM, "no memory for the added tokens");
    }
    s->edge_mask = slots - 1;
    s->cap = (uint32_t)total_bytes + 1;
    s->nodes = 1;
    s->ids[0] = -1;
    return ERR_OK;
}

void added_deinit(struct added_set *s)
{
    mem_free(s->edges);
    mem_free(s->ids);
    *s = (struct added_set){0};
}

/* Slot of the edge, or the empty slot where it belongs. The trie is at most two thirds full and its
 * keys are small consecutive numbers, which the mix spreads. */
static uint64_t *edge_slot(const struct added_set *s, uint32_t node, unsigned char byte)
{
    uint32_t key = ((node << 8) | byte) + 1;
    uint32_t at = (uint32_t)hash_mix(key * 0x9e3779b97f4a7c15u) & s->edge_mask;
    while (s->edges[at] && (uint32_t)(s->edges[at] >> 32) != key)
        at = (at + 1) & s->edge_mask;
    return &s->edges[at];
}

enum err_code added_put(struct added_set *s, struct str text, int32_t id, struct err *e)
{
    if (text.n == 0 || text.n > ADDED_MAX_BYTES)
        return err_set(e, ERR_FORMAT, "added token %d has %zu bytes; expected 1 to %d", (int)id,
                       text.n, ADDED_MAX_BYTES);
    uint32_t node = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char byte = (unsigned char)text.p[i];
        uint64_t *edge = edge_slot(s, node, byte);
        if (!*edge) {
            if (s->nodes >= s->cap)
                return err_set(e, ERR_INTERNAL, "more added tokens than announced");
            s->ids[s->nodes] = -1;
            *edge = ((uint64_t)(((node << 8) | byte) + 1) << 32) | s->nodes++;
        }
        node = (uint32_t)*edge;
    }
    if (s->ids[node] >= 0)
        return err_set(e, ERR_FORMAT, "added tokens %d and %d are the same text '%.*s'",
                       (int)s->ids[node], (int)id, STR_ARG(text));
    s->ids[node] = id;
    s->starts[(unsigned char)text.p[0]] = true;
    return ERR_OK;
}

int32_t added_get(const struct added_set *s, struct str text)
{
    uint32_t node = 0;
    if (!s->edges || text.n == 0)
        return -1;
    for (size_t i = 0; i < text.n; i++) {
        uint64_t edge = *edge_slot(s, node, (unsigned char)text.p[i]);
        if (!edge)
            return -1;
        node = (uint32_t)edge;
    }
    return s->ids[node];
}

/* The longest token that begins exactly at `at`. */
static bool longest_at(const struct added_set *s, struct str text, size_t at,
                       struct added_match *out)
{
    uint32_t node = 0;
    bool found = false;
    for (size_t i = at; i < text.n; i++) {
        uint64_t edge = *edge_slot(s, node, (unsigned char)text.p[i]);
        if (!edge)
            break;
        node = (uint32_t)edge;
        if (s->ids[node] >= 0) {
            *out = (struct added_match){at, i + 1, s->ids[node]};
            found = true;
        }
    }
    return found;
}

bool added_find(const struct added_set *s, struct str text, size_t from, struct added_match *out)
{
    if (!s->edges)
        return false;
    for (size_t at = from; at < text.n; at++)
        if (s->starts[(unsigned char)text.p[at]] && longest_at(s, text, at, out))
            return true;
    return false;
}
