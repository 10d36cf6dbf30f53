/* vocab.h - ids and bytes of tokens, both ways.
 *
 * All bytes lie in one block; `spans[id]` says where. The way from bytes to id is an open-addressing
 * table of 32-bit slots: 21 bits of id + 1, 11 bits of the key's hash as a tag, so that a miss seldom
 * touches the bytes. 151,000 tokens take 3.4 MB in four allocations.
 *
 * A file that makes one probe sequence longer than a table of honest data ever does is refused, which
 * keeps a crafted vocabulary from making lookups slow.
 */
#ifndef VT_TEXT_VOCAB_H
#define VT_TEXT_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    VOCAB_MAX_IDS = (1 << 21) - 2,
    VOCAB_MAX_TOKEN_BYTES = 65535,
    HASH_SLOT_BITS = 21, /* of a slot: index + 1; the rest is the tag */
    HASH_MAX_PROBES = 512,
    HASH_AHEAD = 16, /* keys between asking for a slot's memory and using it */
};

enum vocab_flag {
    VOCAB_PRESENT = 1, /* the id names a token */
    VOCAB_ADDED = 2,   /* cut out of the text before words are split */
    VOCAB_SPECIAL = 4, /* left out by decoding with skip_special */
    VOCAB_KEY = 8,     /* vocab_find finds it */
};

struct vocab_span {
    uint32_t at;
    uint16_t n;
    uint16_t flags;
};

struct vocab {
    char *bytes;
    size_t bytes_used;
    size_t bytes_cap;
    struct vocab_span *spans; /* [ids] */
    uint32_t ids;             /* highest possible id + 1 */
    uint32_t *slots;          /* [slot_mask + 1], 0 = empty */
    uint32_t slot_mask;
};

/* Room for `ids` ids, `keys` of them findable by their bytes, and bytes_cap bytes in all.
 * ERR_NOMEM or ERR_LIMIT. */
ERR_MUST_CHECK enum err_code vocab_init(struct vocab *v, uint32_t ids, size_t keys,
                                        size_t bytes_cap, struct err *e);
void vocab_deinit(struct vocab *v);

/* Where the next token's bytes may be written before vocab_put takes them: bytes_cap - bytes_used of
 * them. */
static inline char *vocab_room(struct vocab *v)
{
    return v->bytes + v->bytes_used;
}

/* Makes the n bytes at vocab_room the token `id`. With findable, vocab_find will find them after
 * vocab_index. ERR_FORMAT for a repeated id. */
ERR_MUST_CHECK enum err_code vocab_put(struct vocab *v, uint32_t id, size_t n, bool findable,
                                       struct err *e);

/* Enters all findable tokens into the table, once; in one pass, so that memory can be fetched ahead.
 * ERR_FORMAT for a repeated text. */
ERR_MUST_CHECK enum err_code vocab_index(struct vocab *v, struct err *e);

/* -1 when there is none. */
int32_t vocab_find(const struct vocab *v, const char *p, size_t n);

static inline bool vocab_has(const struct vocab *v, uint32_t id)
{
    return id < v->ids && (v->spans[id].flags & VOCAB_PRESENT);
}

static inline bool vocab_is_special(const struct vocab *v, uint32_t id)
{
    return v->spans[id].flags & VOCAB_SPECIAL;
}

/* Sets flags of a present token. */
static inline void vocab_mark(struct vocab *v, uint32_t id, unsigned flags)
{
    v->spans[id].flags = (uint16_t)(v->spans[id].flags | flags);
}

/* Bytes of a present token. Borrowed from v. */
static inline struct str vocab_bytes(const struct vocab *v, uint32_t id)
{
    return (struct str){v->bytes + v->spans[id].at, v->spans[id].n};
}

/* ---- hashing, for all tables of this folder ---------------------------------------------------- */

static inline uint64_t hash_mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0x9fb21c651e98df25u;
    return h ^ (h >> 28);
}

static inline uint64_t hash_load(const char *p, size_t n)
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return w;
}

/* Short keys: at most two overlapping loads; longer ones eight bytes at a time. */
static inline uint64_t hash_bytes(const char *p, size_t n)
{
    uint64_t h = 0x2545f4914f6cdd1du * (n + 1);
    while (n > 8) {
        h = hash_mix(h ^ hash_load(p, 8)) * 0x9e3779b97f4a7c15u;
        p += 8;
        n -= 8;
    }
    if (n == 8)
        h ^= hash_load(p, 8);
    else if (n >= 4)
        h ^= hash_load(p, 4) | (hash_load(p + n - 4, 4) << 32);
    else if (n > 0)
        h ^= (uint64_t)(unsigned char)p[0] | ((uint64_t)(unsigned char)p[n >> 1] << 8) |
             ((uint64_t)(unsigned char)p[n - 1] << 16);
    return hash_mix(h * 0x9e3779b97f4a7c15u);
}

/* Slot content for an index: the index + 1 with the top bits of the hash. Never 0. */
static inline uint32_t hash_slot(uint64_t h, uint32_t index)
{
    uint32_t tag = (uint32_t)(h >> (32 + HASH_SLOT_BITS));
    return (tag << HASH_SLOT_BITS) | (index + 1);
}

static inline bool hash_slot_may_match(uint32_t slot, uint64_t h)
{
    return (slot >> HASH_SLOT_BITS) == (uint32_t)(h >> (32 + HASH_SLOT_BITS));
}

static inline uint32_t hash_slot_index(uint32_t slot)
{
    return (slot & ((1u << HASH_SLOT_BITS) - 1)) - 1;
}

/* Slots for n keys: a power of two, at most two thirds full. */
uint32_t hash_slots_for(size_t n);

/* The byte-level alphabet of GPT-2 tokenizers, and lossy UTF-8.
 *
 * In tokenizer files every byte of a token is written as one printable character: the 188 printable
 * Latin-1 bytes as themselves, the other 68 (blanks, controls, 0x7f..0xa0, 0xad) in ascending order as
 * U+0100 .. U+0143. So " the" is written "\u0120the". */

enum { BYTELEVEL_CHARS = 0x144 };

/* Both directions; built once per tokenizer. */
struct bytelevel {
    int16_t byte_of[BYTELEVEL_CHARS]; /* by code point; -1 where it stands for no byte */
};

void bytelevel_init(struct bytelevel *b);

/* Turns written characters (well-formed UTF-8) into the bytes they stand for: at most text.n of them,
 * into out. False when some character stands for no byte (*n is then unset). */
bool bytelevel_decode(const struct bytelevel *b, struct str text, char *out, size_t *n);

/* Appends bytes as UTF-8: what is no UTF-8 becomes one U+FFFD for each maximal prefix of a well-formed
 * sequence, else for each byte. */
void utf8_append_lossy(struct buf *out, struct str bytes);

#endif
