/* vocab.c - tokens' bytes by id, and ids by bytes: see vocab.h.
 *
 * Filling has two phases: vocab_put stores bytes and spans only; vocab_index then enters all keys in one pass that
 * asks for each slot's memory some keys ahead, since a table of this size does not fit into the cache and lookups
 * one by one would wait for memory every time. After that the vocabulary is only read, from any thread.
 */
#include "text/vocab.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

static bool is_printable_latin1(int byte)
{
    return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

void bytelevel_init(struct bytelevel *b)
{
    int next = 0x100;
    for (int i = 0; i < BYTELEVEL_CHARS; i++)
        b->byte_of[i] = -1;
    for (int byte = 0; byte < 256; byte++)
        b->byte_of[is_printable_latin1(byte) ? byte : next++] = (int16_t)byte;
}

bool bytelevel_decode(const struct bytelevel *b, struct str text, char *out, size_t *n)
{
    const unsigned char *p = (const unsigned char *)text.p;
    size_t used = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned cp = p[i];
        if (cp >= 0x80) {
            /* Only two-byte sequences reach the alphabet, which ends at U+0143. */
            if (cp < 0xc2 || cp > 0xc5 || i + 1 >= text.n)
                return false;
            cp = ((cp & 0x1fu) << 6) | (p[++i] & 0x3fu);
        }
        if (cp >= BYTELEVEL_CHARS || b->byte_of[cp] < 0)
            return false;
        out[used++] = (char)b->byte_of[cp];
    }
    *n = used;
    return true;
}

/* Bytes of the sequence that starts at p, n bytes left: well-formed (true) or the longest prefix of a
 * well-formed one, at least 1 (false). Table 3-7 of the Unicode standard. */
static bool utf8_prefix(const unsigned char *p, size_t n, size_t *len)
{
    *len = 1;
    if (p[0] < 0x80)
        return true;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return false;
    size_t want = p[0] >= 0xf0 ? 4 : (p[0] >= 0xe0 ? 3 : 2);
    unsigned lo = p[0] == 0xe0 ? 0xa0 : (p[0] == 0xf0 ? 0x90 : 0x80);
    unsigned hi = p[0] == 0xed ? 0x9f : (p[0] == 0xf4 ? 0x8f : 0xbf);
    while (*len < want) {
        if (*len >= n || p[*len] < lo || p[*len] > hi)
            return false;
        (*len)++;
        lo = 0x80;
        hi = 0xbf;
    }
    return true;
}

void utf8_append_lossy(struct buf *out, struct str bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t good_from = 0, i = 0;
    while (i < bytes.n) {
        size_t len;
        bool good = utf8_prefix(p + i, bytes.n - i, &len);
        if (!good) {
            buf_add(out, bytes.p + good_from, i - good_from);
            buf_add(out, "\xef\xbf\xbd", 3);
            good_from = i + len;
        }
        i += len;
    }
    buf_add(out, bytes.p + good_from, bytes.n - good_from);
}

uint32_t hash_slots_for(size_t n)
{
    uint32_t slots = 64;
    while ((size_t)slots * 2 / 3 < n)
        slots *= 2;
    return slots;
}

enum err_code vocab_init(struct vocab *v, uint32_t ids, size_t keys, size_t bytes_cap,
                         struct err *e)
{
    *v = (struct vocab){0};
    if (ids > VOCAB_MAX_IDS || keys > VOCAB_MAX_IDS || bytes_cap > UINT32_MAX)
        return err_set(e, ERR_LIMIT, "the vocabulary has %" PRIu32 " ids; at most %d are possible",
                       ids, VOCAB_MAX_IDS);
    uint32_t slots = hash_slots_for(keys);
    v->bytes = mem_try_alloc(bytes_cap);
    v->spans = mem_try_array(ids, sizeof *v->spans);
    v->slots = mem_try_array(slots, sizeof *v->slots);
    v->bytes_cap = bytes_cap;
    v->ids = ids;
    v->slot_mask = slots - 1;
    if (!v->bytes || !v->spans || !v->slots) {
        vocab_deinit(v);
        return err_set(e, ERR_NOMEM, "no memory for a vocabulary of %" PRIu32 " tokens", ids);
    }
    memset(v->slots, 0, slots * sizeof *v->slots); /* one page fault a page: first reads cost two */
    return ERR_OK;
}

void vocab_deinit(struct vocab *v)
{
    mem_free(v->bytes);
    mem_free(v->spans);
    mem_free(v->slots);
    *v = (struct vocab){0};
}

static bool same_bytes(const struct vocab *v, uint32_t id, const char *p, size_t n)
{
    const struct vocab_span *s = &v->spans[id];
    return s->n == n && memcmp(v->bytes + s->at, p, n) == 0;
}

enum err_code vocab_put(struct vocab *v, uint32_t id, size_t n, bool findable, struct err *e)
{
    if (id >= v->ids)
        return err_set(e, ERR_INTERNAL, "token id %" PRIu32 " of %" PRIu32, id, v->ids);
    if (v->spans[id].flags & VOCAB_PRESENT)
        return err_set(e, ERR_FORMAT, "two tokens have the id %" PRIu32, id);
    if (n > VOCAB_MAX_TOKEN_BYTES || n > v->bytes_cap - v->bytes_used)
        return err_set(e, ERR_LIMIT, "token %" PRIu32 " has %zu bytes; at most %d are possible", id,
                       n, VOCAB_MAX_TOKEN_BYTES);
    uint16_t flags = findable ? VOCAB_PRESENT | VOCAB_KEY : VOCAB_PRESENT;
    v->spans[id] = (struct vocab_span){(uint32_t)v->bytes_used, (uint16_t)n, flags};
    v->bytes_used += n;
    return ERR_OK;
}

static enum err_code enter(struct vocab *v, uint32_t id, uint64_t h, struct err *e)
{
    struct str key = vocab_bytes(v, id);
    uint32_t at = (uint32_t)h & v->slot_mask;
    for (int probes = 0; v->slots[at]; probes++) {
        uint32_t other = hash_slot_index(v->slots[at]);
        if (hash_slot_may_match(v->slots[at], h) && same_bytes(v, other, key.p, key.n))
            return err_set(e, ERR_FORMAT, "tokens %" PRIu32 " and %" PRIu32 " are the same text",
                           other, id);
        if (probes >= HASH_MAX_PROBES)
            return err_set(e, ERR_FORMAT,
                           "the vocabulary's tokens collide in the hash table, as only those of a "
                           "crafted file do");
        at = (at + 1) & v->slot_mask;
    }
    v->slots[at] = hash_slot(h, id);
    return ERR_OK;
}

enum err_code vocab_index(struct vocab *v, struct err *e)
{
    struct {
        uint64_t hash;
        uint32_t id;
    } ahead[HASH_AHEAD];
    size_t seen = 0;
    enum err_code rc = ERR_OK;
    for (uint32_t id = 0; rc == ERR_OK && id < v->ids; id++) {
        if (!(v->spans[id].flags & VOCAB_KEY))
            continue;
        struct str key = vocab_bytes(v, id);
        size_t turn = seen++ % HASH_AHEAD;
        if (seen > HASH_AHEAD)
            rc = enter(v, ahead[turn].id, ahead[turn].hash, e);
        ahead[turn].id = id;
        ahead[turn].hash = hash_bytes(key.p, key.n);
        __builtin_prefetch(&v->slots[(uint32_t)ahead[turn].hash & v->slot_mask], 1);
    }
    for (size_t i = seen > HASH_AHEAD ? seen - HASH_AHEAD : 0; rc == ERR_OK && i < seen; i++)
        rc = enter(v, ahead[i % HASH_AHEAD].id, ahead[i % HASH_AHEAD].hash, e);
    return rc;
}

int32_t vocab_find(const struct vocab *v, const char *p, size_t n)
{
    uint64_t h = hash_bytes(p, n);
    uint32_t at = (uint32_t)h & v->slot_mask;
    while (v->slots[at]) {
        uint32_t id = hash_slot_index(v->slots[at]);
        if (hash_slot_may_match(v->slots[at], h) && same_bytes(v, id, p, n))
            return (int32_t)id;
        at = (at + 1) & v->slot_mask;
    }
    return -1;
}
