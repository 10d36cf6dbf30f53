/* tokenizer.c - text to ids and back.
 *
 *     text -> pieces between added tokens -> NFC -> pieces between normalised added tokens
 *          -> words (the tokenizer's regexes, one inside the other) -> byte pairs -> ids
 *
 * Long texts repeat their words: a small direct-mapped cache remembers where in the output a word's
 * ids were put the last time. It lives in one call, so a tokenizer stays immutable.
 */
#include "text/tokenizer.h"

#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/ck.h"
#include "base/mem.h"
#include "text/nfc.h"
#include "text/tokenizer_impl.h"

enum {
    CACHE_SLOTS = 4096, /* a power of two */
    CACHE_MIN_TEXT = 2048,
    CACHE_MAX_WORD = 64,
    NFC_MAX_GROWTH = 4,
};

struct cached_word {
    const char *p; /* in the text or its normalised copy; NULL = empty */
    uint32_t hash;
    uint32_t n;
    size_t at;
    uint32_t count;
};

struct encoder {
    const struct tokenizer *t;
    struct tokens *out;
    struct cached_word *cache; /* [CACHE_SLOTS], NULL for short texts */
    struct arena normalized;
    struct bpe_scratch scratch;
    struct presplit_run runs[TOKENIZER_MAX_SPLITS];
    struct err *e;
};

/* ---- lists of ids ------------------------------------------------------------------------------ */

static bool tokens_reserve(struct tokens *ids, size_t more)
{
    size_t want, bytes;
    if (!ck_add_size(ids->n, more, &want))
        return false;
    if (want <= ids->cap)
        return true;
    if (!ck_add_size(want, want / 2 + 16, &want) || !ck_mul_size(want, sizeof *ids->ids, &bytes))
        return false;
    int32_t *p = mem_try_realloc(ids->ids, bytes);
    if (!p)
        return false;
    ids->ids = p;
    ids->cap = want;
    return true;
}

bool tokens_add(struct tokens *ids, int32_t id)
{
    if (!tokens_reserve(ids, 1))
        return false;
    ids->ids[ids->n++] = id;
    return true;
}

void tokens_deinit(struct tokens *ids)
{
    mem_free(ids->ids);
    *ids = (struct tokens){0};
}

/* ---- words ------------------------------------------------------------------------------------- */

static enum err_code no_memory(struct encoder *en)
{
    return err_set(en->e, ERR_NOMEM, "no memory to encode the text");
}

static enum err_code encode_word_new(struct encoder *en, struct str word)
{
    const struct tokenizer *t = en->t;
    struct tokens *out = en->out;
    size_t n = 1;
    if (!tokens_reserve(out, word.n))
        return no_memory(en);
    int32_t whole = t->ignore_merges ? vocab_find(&t->vocab, word.p, word.n) : -1;
    if (whole >= 0) {
        out->ids[out->n] = whole;
    } else {
        enum err_code rc = bpe_encode_word(&t->merges, t->byte_ids, word, &en->scratch,
                                           out->ids + out->n, &n, en->e);
        if (rc != ERR_OK)
            return rc;
    }
    out->n += n;
    return ERR_OK;
}

static enum err_code encode_word(struct encoder *en, struct str word)
{
    struct tokens *out = en->out;
    if (!en->cache || word.n > CACHE_MAX_WORD)
        return encode_word_new(en, word);
    uint32_t hash = (uint32_t)hash_bytes(word.p, word.n);
    struct cached_word *c = &en->cache[hash & (CACHE_SLOTS - 1)];
    if (c->p && c->hash == hash && c->n == word.n && memcmp(c->p, word.p, word.n) == 0) {
        if (!tokens_reserve(out, c->count))
            return no_memory(en);
        memcpy(out->ids + out->n, out->ids + c->at, c->count * sizeof *out->ids);
        out->n += c->count;
        return ERR_OK;
    }
    size_t at = out->n;
    TRY(encode_word_new(en, word));
    *c = (struct cached_word){word.p, hash, (uint32_t)word.n, at, (uint32_t)(out->n - at)};
    return ERR_OK;
}

/* Splits by pattern `level`, the pieces by the next one, and encodes what the last one gives. */
static enum err_code encode_split(struct encoder *en, size_t level, struct str text)
{
    if (level == en->t->n_splits)
        return encode_word(en, text);
    struct presplit_run *run = &en->runs[level];
    presplit_start(run, text);
    for (;;) {
        struct str piece;
        TRY(presplit_next(run, &piece, en->e));
        if (piece.n == 0)
            return ERR_OK;
        TRY(encode_split(en, level + 1, piece));
    }
}

/* ---- pieces between added tokens --------------------------------------------------------------- */

typedef enum err_code (*piece_fn)(struct encoder *en, struct str piece);

static enum err_code encode_between(struct encoder *en, const struct added_set *set,
                                    struct str text, piece_fn fn)
{
    size_t from = 0;
    while (from < text.n) {
        struct added_match m = {text.n, text.n, TOKENIZER_NONE};
        bool found = added_find(set, text, from, &m);
        if (m.at > from) {
            enum err_code rc = fn(en, (struct str){text.p + from, m.at - from});
            if (rc != ERR_OK)
                return rc;
        }
        if (found && !tokens_add(en->out, m.id))
            return no_memory(en);
        from = m.end;
    }
    return ERR_OK;
}

static enum err_code encode_plain(struct encoder *en, struct str text)
{
    return encode_split(en, 0, text);
}

/* The normalised copy stays until the end of the call: the cache points into it. */
static enum err_code encode_raw(struct encoder *en, struct str text)
{
    if (en->t->nfc && !nfc_is_trivial(text)) {
        struct buf form;
        buf_init(&form, text.n * NFC_MAX_GROWTH + 64);
        enum err_code rc = nfc_append(text, &form, en->e);
        char *kept = rc == ERR_OK ? arena_strdup(&en->normalized, buf_str(&form)) : NULL;
        text = (struct str){kept, form.n};
        buf_deinit(&form);
        if (rc != ERR_OK)
            return rc;
        if (!kept)
            return no_memory(en);
    }
    return encode_between(en, &en->t->after, text, encode_plain);
}

static enum err_code encoder_init(struct encoder *en, size_t text_bytes)
{
    arena_init(&en->normalized, text_bytes * NFC_MAX_GROWTH * 2 + (1 << 20));
    if (text_bytes >= CACHE_MIN_TEXT) {
        en->cache = mem_try_array(CACHE_SLOTS, sizeof *en->cache);
        if (!en->cache)
            return no_memory(en);
    }
    for (size_t i = 0; i < en->t->n_splits; i++) {
        enum err_code rc = presplit_run_init(&en->runs[i], en->t->splits[i], en->e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static void encoder_deinit(struct encoder *en)
{
    for (size_t i = 0; i < en->t->n_splits; i++)
        presplit_run_deinit(&en->runs[i]);
    bpe_scratch_deinit(&en->scratch);
    arena_deinit(&en->normalized);
    mem_free(en->cache);
}

enum err_code tokenizer_encode(const struct tokenizer *t, struct str text, struct tokens *out,
                               struct err *e)
{
    size_t bad, before = out->n;
    if (text.n > TOKENIZER_MAX_TEXT_BYTES)
        return err_set(e, ERR_LIMIT, "a text of %zu bytes; at most %d are possible", text.n,
                       TOKENIZER_MAX_TEXT_BYTES);
    if (!str_is_utf8(text, &bad))
        return err_set(e, ERR_FORMAT, "the text is not UTF-8 at byte %zu", bad);
    struct encoder en = {.t = t, .out = out, .e = e};
    enum err_code rc;
    TRY_GOTO(encoder_init(&en, text.n), done);
    rc = encode_between(&en, &t->before, text, encode_raw);
done:
    encoder_deinit(&en);
    if (rc != ERR_OK)
        out->n = before;
    return rc;
}

/* ---- the way back, and single tokens ----------------------------------------------------------- */

enum err_code tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n,
                               bool skip_special, struct buf *out, struct err *e)
{
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX / 4);
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || !vocab_has(&t->vocab, (uint32_t)ids[i]))
            continue;
        if (!skip_special || !vocab_is_special(&t->vocab, (uint32_t)ids[i]))
            buf_add_str(&bytes, vocab_bytes(&t->vocab, (uint32_t)ids[i]));
    }
    utf8_append_lossy(out, buf_str(&bytes));
    bool failed = buf_failed(&bytes) || buf_failed(out);
    buf_deinit(&bytes);
    if (failed)
        return err_set(e, ERR_NOMEM, "no memory for the text of %zu tokens", n);
    return ERR_OK;
}

int32_t tokenizer_token_id(const struct tokenizer *t, const char *token)
{
    struct str text = str_from(token);
    char bytes[ADDED_MAX_BYTES];
    size_t n;
    int32_t id = added_get(&t->before, text);
    if (id < 0)
        id = added_get(&t->after, text);
    if (id < 0 && text.n <= sizeof bytes && bytelevel_decode(&t->alphabet, text, bytes, &n))
        id = vocab_find(&t->vocab, bytes, n);
    return id < 0 ? TOKENIZER_NONE : id;
}

int32_t tokenizer_pad_id(const struct tokenizer *t)
{
    return t->pad_id;
}

int32_t tokenizer_eos_id(const struct tokenizer *t)
{
    return t->eos_id;
}

int32_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return (int32_t)t->vocab.ids;
}
