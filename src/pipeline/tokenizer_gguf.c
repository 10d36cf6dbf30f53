/* tokenizer_gguf.c - the tokenizer that a llama.cpp GGUF file carries, as arrays in its metadata.
 *
 * Strings are borrowed from the mapped file while the tokenizer is built, which copies what it needs.
 * tokenizer_from_path takes a built-in one, a GGUF file, which is told by its first bytes, or the files of a Hugging
 * Face folder.
 */
#include "pipeline/tokenizer_gguf.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "text/builtin.h"

struct lists {
    struct str *tokens, *merges;
    int32_t *types;
};

static void lists_free(struct lists *l)
{
    mem_free(l->tokens);
    mem_free(l->merges);
    mem_free(l->types);
}

static int32_t id_of(const struct checkpoint *cp, const char *key)
{
    int64_t v;
    return checkpoint_meta_i64(cp, key, &v) && v >= 0 && v <= INT32_MAX ? (int32_t)v
                                                                        : TOKENIZER_NONE;
}

static enum err_code read_strings(const struct checkpoint *cp, const char *key, struct str *out,
                                  size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!checkpoint_meta_array_str(cp, key, i, &out[i]))
            return err_set(e, ERR_FORMAT, "'%s': entry %zu of %s is not a string",
                           checkpoint_path(cp), i, key);
    return ERR_OK;
}

enum err_code tokenizer_from_checkpoint(const struct checkpoint *cp, struct tokenizer **out,
                                        struct err *e)
{
    static const char tokens_key[] = "tokenizer.ggml.tokens",
                      merges_key[] = "tokenizer.ggml.merges",
                      types_key[] = "tokenizer.ggml.token_type";
    struct lists l = {0};
    struct tokenizer_arrays a = {
        .n_tokens = checkpoint_meta_array_count(cp, tokens_key),
        .n_merges = checkpoint_meta_array_count(cp, merges_key),
        .eos_id = id_of(cp, "tokenizer.ggml.eos_token_id"),
        .pad_id = id_of(cp, "tokenizer.ggml.padding_token_id"),
    };
    *out = NULL;
    if (a.n_tokens == 0)
        return err_set(e, ERR_NOTFOUND, "'%s' has no tokenizer", checkpoint_path(cp));
    (void)checkpoint_meta_str(cp, "tokenizer.ggml.model", &a.model);
    (void)checkpoint_meta_str(cp, "tokenizer.ggml.pre", &a.pre);
    l.tokens = mem_try_array(a.n_tokens, sizeof *l.tokens);
    l.merges = mem_try_array(a.n_merges, sizeof *l.merges);
    l.types = mem_try_array(a.n_tokens, sizeof *l.types);
    enum err_code rc;
    TRY_GOTO(l.tokens && l.merges && l.types
                 ? ERR_OK
                 : err_set(e, ERR_NOMEM, "no memory for %zu tokens", a.n_tokens),
             done);
    TRY_GOTO(read_strings(cp, tokens_key, l.tokens, a.n_tokens, e), done);
    TRY_GOTO(read_strings(cp, merges_key, l.merges, a.n_merges, e), done);
    for (size_t i = 0; i < a.n_tokens; i++) {
        double type = 1; /* an ordinary token */
        (void)checkpoint_meta_array_double(cp, types_key, i, &type);
        l.types[i] = type >= 0 && type < 100 ? (int32_t)type : 1;
    }
    a.tokens = l.tokens;
    a.merges = l.merges;
    a.types = l.types;
    rc = tokenizer_from_arrays(&a, checkpoint_path(cp), out, e);
done:
    lists_free(&l);
    return rc;
}

bool tokenizer_is_gguf(const char *path)
{
    char head[4] = "";
    FILE *f = file_is_dir(path) ? NULL : fopen(path, "re");
    if (!f)
        return false;
    bool is = fread(head, 1, sizeof head, f) == sizeof head && memcmp(head, "GGUF", 4) == 0;
    (void)fclose(f);
    return is;
}

enum err_code tokenizer_from_path(const char *path, struct tokenizer **out, struct err *e)
{
    struct checkpoint *cp;
    if (tokenizer_is_builtin(path))
        return tokenizer_builtin(path, out, e);
    if (!tokenizer_is_gguf(path))
        return tokenizer_open(path, out, e);
    enum err_code rc = checkpoint_open(path, &cp, e);
    if (rc != ERR_OK)
        return rc;
    rc = tokenizer_from_checkpoint(cp, out, e);
    checkpoint_close(cp);
    return rc;
}
