/* tokenizer_build.c - the steps in which every reader builds a tokenizer, whatever the file format.
 *
 * tokenizer_impl.h gives their order. Sizes are known first, so each table is allocated once; a reader that
 * counted wrong gets an error ("no room") and not an overflow. Words come before merges, because a merge names its
 * parts and its result by text, and added tokens last, as they may repeat a word. tokenizer_finish checks that
 * every byte has a token, without which some text could not be encoded.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "text/nfc.h"
#include "text/tokenizer_impl.h"

/* Composition never makes text longer, but a few characters decompose for good: up to three times. */
enum { NFC_GROWTH = 3 };

enum err_code tokenizer_new(const struct tokenizer_sizes *sizes, struct tokenizer **out,
                            struct err *e)
{
    struct tokenizer *t = mem_try_alloc(sizeof *t);
    *out = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "no memory for a tokenizer");
    t->pad_id = t->eos_id = TOKENIZER_NONE;
    bytelevel_init(&t->alphabet);
    enum err_code rc;
    TRY_GOTO(vocab_init(&t->vocab, sizes->ids, sizes->words, sizes->bytes, e), failed);
    TRY_GOTO(bpe_merges_init(&t->merges, sizes->merges, e), failed);
    TRY_GOTO(added_init(&t->before, sizes->added_bytes, e), failed);
    TRY_GOTO(added_init(&t->after, sizes->added_bytes * NFC_GROWTH, e), failed);
    t->merge_room = mem_try_array(2, VOCAB_MAX_TOKEN_BYTES);
    if (t->merge_room) {
        *out = t;
        return ERR_OK;
    }
    rc = err_set(e, ERR_NOMEM, "no memory for a tokenizer");
failed:
    tokenizer_free(t);
    return rc;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    vocab_deinit(&t->vocab);
    bpe_merges_deinit(&t->merges);
    for (size_t i = 0; i < t->n_splits; i++)
        presplit_free(t->splits[i]);
    added_deinit(&t->before);
    added_deinit(&t->after);
    mem_free(t->merge_room);
    mem_free(t);
}

/* ---- words and merges -------------------------------------------------------------------------- */

/* Writes text's bytes to the vocabulary's room: what it stands for, or itself when it is not written
 * in byte-level characters (*plain; such a token is never made by merging). */
static bool write_word(struct tokenizer *t, struct str text, size_t *n, bool *plain)
{
    struct vocab *v = &t->vocab;
    if (text.n > v->bytes_cap - v->bytes_used)
        return false;
    *plain = !bytelevel_decode(&t->alphabet, text, vocab_room(v), n);
    if (*plain) {
        memcpy(vocab_room(v), text.p, text.n);
        *n = text.n;
    }
    return true;
}

enum err_code tokenizer_put_word(struct tokenizer *t, struct str text, uint32_t id, struct err *e)
{
    size_t n;
    bool plain;
    if (text.n == 0)
        return err_set(e, ERR_FORMAT, "token %" PRIu32 " is empty", id);
    if (!write_word(t, text, &n, &plain))
        return err_set(e, ERR_INTERNAL, "no room for token %" PRIu32, id);
    return vocab_put(&t->vocab, id, n, !plain, e);
}

static enum err_code bad_merge(const struct tokenizer *t, struct str left, struct str right,
                               const char *problem, struct err *e)
{
    return err_set(e, ERR_FORMAT, "merge %" PRIu32 " ('%.*s' '%.*s'): %s", t->merges.n,
                   (int)(left.n > 60 ? 60 : left.n), left.p, (int)(right.n > 60 ? 60 : right.n),
                   right.p, problem);
}

static int32_t find_result(struct tokenizer *t, const char *p, size_t n)
{
    if (vocab_has(&t->vocab, t->next_result)) {
        struct str guess = vocab_bytes(&t->vocab, t->next_result);
        if (str_eq(guess, (struct str){p, n}))
            return (int32_t)t->next_result;
    }
    return vocab_find(&t->vocab, p, n);
}

enum err_code tokenizer_put_merge(struct tokenizer *t, struct str left, struct str right,
                                  struct err *e)
{
    size_t left_n, right_n;
    if (left.n == 0 || right.n == 0 || left.n > VOCAB_MAX_TOKEN_BYTES ||
        right.n > VOCAB_MAX_TOKEN_BYTES)
        return bad_merge(t, left, right, "two tokens are expected", e);
    if (!bytelevel_decode(&t->alphabet, left, t->merge_room, &left_n) ||
        !bytelevel_decode(&t->alphabet, right, t->merge_room + left_n, &right_n))
        return bad_merge(t, left, right, "a character that stands for no byte", e);
    int32_t left_id = vocab_find(&t->vocab, t->merge_room, left_n);
    int32_t right_id = vocab_find(&t->vocab, t->merge_room + left_n, right_n);
    int32_t result = find_result(t, t->merge_room, left_n + right_n);
    if (left_id < 0 || right_id < 0 || result < 0)
        return bad_merge(t, left, right,
                         left_id < 0    ? "the left one is not in the vocabulary"
                         : right_id < 0 ? "the right one is not in the vocabulary"
                                        : "both together are not in the vocabulary",
                         e);
    t->next_result = (uint32_t)result + 1;
    struct bpe_merge m = {(uint32_t)left_id, (uint32_t)right_id, (uint32_t)result};
    return bpe_merges_add(&t->merges, m, e);
}

enum err_code tokenizer_put_merge_line(struct tokenizer *t, struct str line, struct err *e)
{
    const char *space = line.n ? memchr(line.p, ' ', line.n) : NULL;
    struct str left = {line.p, space ? (size_t)(space - line.p) : line.n};
    struct str right = str_skip(line, left.n + 1);
    return tokenizer_put_merge(t, left, right, e);
}

/* ---- added tokens ------------------------------------------------------------------------------ */

/* The token's place in the vocabulary: a new entry, or the existing one with the same text. */
static enum err_code put_added_word(struct tokenizer *t, const struct tokenizer_added *a,
                                    struct err *e)
{
    size_t n;
    bool plain;
    uint32_t id = (uint32_t)a->id;
    if (!write_word(t, a->text, &n, &plain))
        return err_set(e, ERR_INTERNAL, "no room for added token %" PRIu32, id);
    struct str bytes = {vocab_room(&t->vocab), n};
    int32_t other = plain ? -1 : vocab_find(&t->vocab, bytes.p, bytes.n);
    if (other >= 0 && (uint32_t)other != id)
        return err_set(e, ERR_FORMAT,
                       "added token '%.*s' has the id %" PRIu32 ", as a word it has %d",
                       STR_ARG(a->text), id, (int)other);
    if (!vocab_has(&t->vocab, id))
        return vocab_put(&t->vocab, id, n, false, e);
    if (!str_eq(vocab_bytes(&t->vocab, id), bytes))
        return err_set(e, ERR_FORMAT, "added token '%.*s' has the id %" PRIu32 " of another token",
                       STR_ARG(a->text), id);
    return ERR_OK;
}

static enum err_code put_added_normalized(struct tokenizer *t, const struct tokenizer_added *a,
                                          struct err *e)
{
    struct buf text;
    buf_init(&text, (size_t)ADDED_MAX_BYTES * NFC_GROWTH);
    enum err_code rc;
    TRY_GOTO(t->nfc ? nfc_append(a->text, &text, e) : ERR_OK, done);
    rc = added_put(&t->after, t->nfc ? buf_str(&text) : a->text, (int32_t)a->id, e);
done:
    buf_deinit(&text);
    return rc;
}

enum err_code tokenizer_put_added(struct tokenizer *t, const struct tokenizer_added *a,
                                  struct err *e)
{
    if (a->id < 0 || a->id >= (int64_t)t->vocab.ids)
        return err_set(e, ERR_FORMAT, "added token '%.*s' has the id %" PRId64, STR_ARG(a->text),
                       a->id);
    if (a->text.n == 0 || a->text.n > ADDED_MAX_BYTES)
        return err_set(e, ERR_FORMAT, "added token %" PRId64 " has %zu bytes; expected 1 to %d",
                       a->id, a->text.n, ADDED_MAX_BYTES);
    struct added_set *set = a->normalized ? &t->after : &t->before;
    if (added_get(set, a->text) == (int32_t)a->id)
        return ERR_OK;
    TRY(put_added_word(t, a, e));
    TRY(a->normalized ? put_added_normalized(t, a, e)
                      : added_put(&t->before, a->text, (int32_t)a->id, e));
    vocab_mark(&t->vocab, (uint32_t)a->id, a->special ? VOCAB_ADDED | VOCAB_SPECIAL : VOCAB_ADDED);
    return ERR_OK;
}

/* ---- the rest ---------------------------------------------------------------------------------- */

enum err_code tokenizer_add_split(struct tokenizer *t, struct str pattern, struct err *e)
{
    if (t->n_splits >= TOKENIZER_MAX_SPLITS)
        return err_set(e, ERR_LIMIT, "pre-tokenizer: more than %d patterns", TOKENIZER_MAX_SPLITS);
    TRY(presplit_new(pattern, &t->splits[t->n_splits], e));
    t->n_splits++;
    return ERR_OK;
}

enum err_code tokenizer_finish(struct tokenizer *t, struct err *e)
{
    TRY(bpe_merges_index(&t->merges, e));
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        t->byte_ids[byte] = vocab_find(&t->vocab, &c, 1);
        if (t->byte_ids[byte] < 0)
            return err_set(e, ERR_FORMAT, "the vocabulary has no token for byte 0x%02x", byte);
    }
    if (t->pad_id < 0)
        t->pad_id = tokenizer_token_id(t, "<|endoftext|>");
    if (t->eos_id < 0)
        t->eos_id = tokenizer_token_id(t, "<|im_end|>");
    mem_free(t->merge_room);
    t->merge_room = NULL;
    return ERR_OK;
}

/* ---- from arrays ----------------------------------------------------------------------------- */

/* A tokenizer out of a GGUF file's metadata.
 *
 * GGUF keeps tokens, merges and what kind each token is, but neither regex nor normaliser: tokenizer.
 * ggml.pre names a set of them. For the Qwen family that is its own regex, after NFC as the original
 * tokenizer does it. */

enum { TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_UNUSED = 5 };

static bool is_added(const struct tokenizer_arrays *a, size_t i)
{
    return a->types[i] == TYPE_CONTROL || a->types[i] == TYPE_USER_DEFINED;
}

static enum err_code check_arrays(const struct tokenizer_arrays *a, struct err *e)
{
    if (!str_eq_z(a->model, "gpt2"))
        return err_set(e, ERR_FORMAT, "tokenizer.ggml.model is '%.*s'; only 'gpt2' is supported",
                       STR_ARG(a->model));
    if (!str_eq_z(a->pre, "qwen2") && !str_eq_z(a->pre, "deepseek-r1-qwen"))
        return err_set(e, ERR_FORMAT, "tokenizer.ggml.pre is '%.*s'; only 'qwen2' is supported",
                       STR_ARG(a->pre));
    if (!a->types || a->n_tokens == 0)
        return err_set(e, ERR_FORMAT, "tokenizer.ggml.token_type is missing");
    if (a->n_tokens > VOCAB_MAX_IDS)
        return err_set(e, ERR_LIMIT, "%zu tokens; at most %d are possible", a->n_tokens,
                       VOCAB_MAX_IDS);
    for (size_t i = 0; i < a->n_tokens; i++)
        if (!str_is_utf8(a->tokens[i], NULL))
            return err_set(e, ERR_FORMAT, "token %zu is not UTF-8", i);
    for (size_t i = 0; i < a->n_merges; i++)
        if (!str_is_utf8(a->merges[i], NULL))
            return err_set(e, ERR_FORMAT, "merge %zu is not UTF-8", i);
    return ERR_OK;
}

static struct tokenizer_sizes sizes_of(const struct tokenizer_arrays *a)
{
    struct tokenizer_sizes s = {
        .ids = (uint32_t)a->n_tokens, .words = a->n_tokens, .merges = a->n_merges};
    for (size_t i = 0; i < a->n_tokens; i++) {
        s.bytes += a->tokens[i].n;
        s.added_bytes += is_added(a, i) ? a->tokens[i].n : 0;
    }
    return s;
}

static enum err_code put_word(struct tokenizer *t, const struct tokenizer_arrays *a, size_t i,
                              struct err *e)
{
    if (a->types[i] == TYPE_UNUSED || is_added(a, i))
        return ERR_OK;
    return tokenizer_put_word(t, a->tokens[i], (uint32_t)i, e);
}

static enum err_code put_added(struct tokenizer *t, const struct tokenizer_arrays *a, size_t i,
                               struct err *e)
{
    if (!is_added(a, i))
        return ERR_OK;
    struct tokenizer_added added = {
        .text = a->tokens[i], .id = (int64_t)i, .special = a->types[i] == TYPE_CONTROL};
    return tokenizer_put_added(t, &added, e);
}

static enum err_code check_id(const struct tokenizer *t, const char *key, int32_t id, struct err *e)
{
    if (id != TOKENIZER_NONE && (id < 0 || !vocab_has(&t->vocab, (uint32_t)id)))
        return err_set(e, ERR_FORMAT, "tokenizer.ggml.%s is %" PRId32 ", which is no token", key,
                       id);
    return ERR_OK;
}

static enum err_code fill(struct tokenizer *t, const struct tokenizer_arrays *a, struct err *e)
{
    t->nfc = true;
    for (size_t i = 0; i < a->n_tokens; i++)
        TRY(put_word(t, a, i, e));
    TRY(vocab_index(&t->vocab, e));
    for (size_t i = 0; i < a->n_tokens; i++)
        TRY(put_added(t, a, i, e));
    for (size_t i = 0; i < a->n_merges; i++)
        TRY(tokenizer_put_merge_line(t, a->merges[i], e));
    TRY(check_id(t, "eos_token_id", a->eos_id, e));
    TRY(check_id(t, "padding_token_id", a->pad_id, e));
    TRY(tokenizer_add_split(t, presplit_qwen(), e));
    t->eos_id = a->eos_id;
    t->pad_id = a->pad_id;
    return tokenizer_finish(t, e);
}

enum err_code tokenizer_from_arrays(const struct tokenizer_arrays *a, const char *what,
                                    struct tokenizer **out, struct err *e)
{
    struct tokenizer *t = NULL;
    *out = NULL;
    enum err_code rc;
    TRY_GOTO(check_arrays(a, e), done);
    struct tokenizer_sizes sizes = sizes_of(a);
    TRY_GOTO(tokenizer_new(&sizes, &t, e), done);
    rc = fill(t, a, e);
done:
    if (rc != ERR_OK) {
        tokenizer_free(t);
        return err_note(e, "%s", what);
    }
    *out = t;
    return ERR_OK;
}
