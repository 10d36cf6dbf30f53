/* tokenizer_arrays.c - a tokenizer out of a GGUF file's metadata.
 *
 * GGUF keeps tokens, merges and what kind each token is, but neither regex nor normaliser: tokenizer.
 * ggml.pre names a set of them. For the Qwen family that is its own regex, after NFC as the original
 * tokenizer does it.
 */
#include <inttypes.h>

#include "text/tokenizer_impl.h"

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
