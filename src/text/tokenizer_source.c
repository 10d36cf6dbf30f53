/* tokenizer_source.c - vocabulary, merges and added tokens out of JSON values.
 *
 * Two passes: the first only counts, so that every table is allocated once and at its final size.
 */
#include <inttypes.h>

#include "text/tokenizer_impl.h"

static struct str str_of(yyjson_val *v)
{
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

/* Ids in any file: a natural number below VOCAB_MAX_IDS. */
static enum err_code id_of(yyjson_val *v, struct str token, int64_t *out, struct err *e)
{
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) >= VOCAB_MAX_IDS)
        return err_set(e, ERR_FORMAT, "the id of '%.*s' is no whole number from 0 to %d",
                       (int)(token.n > 60 ? 60 : token.n), token.p, VOCAB_MAX_IDS - 1);
    *out = (int64_t)yyjson_get_uint(v);
    return ERR_OK;
}

/* ---- added tokens, from three kinds of files --------------------------------------------------- */

typedef enum err_code (*added_fn)(void *user, const struct tokenizer_added *a, struct err *e);

/* Reads {"content", "special", "normalized", ...}. */
static enum err_code read_added(yyjson_val *v, struct tokenizer_added *a, struct err *e)
{
    bool single_word = false, lstrip = false, rstrip = false;
    const char *what = "added token";
    a->text = (struct str){NULL, 0};
    a->special = false;
    a->normalized = true;
    TRY(json_get_str(v, "content", &a->text, what, e));
    if (!a->text.p)
        return err_set(e, ERR_FORMAT, "an added token has no 'content'");
    TRY(json_get_bool(v, "special", &a->special, what, e));
    a->normalized = !a->special;
    TRY(json_get_bool(v, "normalized", &a->normalized, what, e));
    TRY(json_get_bool(v, "single_word", &single_word, what, e));
    TRY(json_get_bool(v, "lstrip", &lstrip, what, e));
    TRY(json_get_bool(v, "rstrip", &rstrip, what, e));
    if (single_word || lstrip || rstrip)
        return err_set(e, ERR_FORMAT, "added token '%.*s': %s is not supported", STR_ARG(a->text),
                       single_word ? "single_word" : (lstrip ? "lstrip" : "rstrip"));
    return ERR_OK;
}

static enum err_code each_added_in_list(yyjson_val *list, added_fn fn, void *user, struct err *e)
{
    size_t i, max;
    yyjson_val *v;
    if (list && !yyjson_is_null(list) && !yyjson_is_arr(list))
        return err_set(e, ERR_FORMAT, "'added_tokens' should be an array, found %s",
                       yyjson_get_type_desc(list));
    yyjson_arr_foreach(list, i, max, v)
    {
        struct tokenizer_added a;
        TRY(read_added(v, &a, e));
        TRY(id_of(yyjson_obj_get(v, "id"), a.text, &a.id, e));
        TRY(fn(user, &a, e));
    }
    return ERR_OK;
}

/* tokenizer_config.json: {"151643": {"content": ...}} */
static enum err_code each_added_in_config(yyjson_val *config, added_fn fn, void *user,
                                          struct err *e)
{
    size_t i, max;
    yyjson_val *key, *v, *list = yyjson_obj_get(config, "added_tokens_decoder");
    if (!list) /* the macro below steps from a NULL object */
        return ERR_OK;
    yyjson_obj_foreach(list, i, max, key, v)
    {
        struct tokenizer_added a;
        uint64_t id = VOCAB_MAX_IDS;
        TRY(read_added(v, &a, e));
        if (!str_to_u64(str_of(key), &id) || id >= VOCAB_MAX_IDS)
            return err_set(e, ERR_FORMAT, "added_tokens_decoder: '%.*s' is no id",
                           (int)(yyjson_get_len(key) > 60 ? 60 : yyjson_get_len(key)),
                           yyjson_get_str(key));
        a.id = (int64_t)id;
        TRY(fn(user, &a, e));
    }
    return ERR_OK;
}

/* A name in special_tokens_map.json or tokenizer_config.json: a string, or an object with "content". */
static struct str token_name(yyjson_val *v)
{
    if (yyjson_is_obj(v))
        v = yyjson_obj_get(v, "content");
    return yyjson_is_str(v) ? str_of(v) : (struct str){NULL, 0};
}

static bool map_names(yyjson_val *special_map, struct str text)
{
    size_t i, j, max, max_list;
    yyjson_val *key, *v, *item;
    if (!special_map)
        return false;
    yyjson_obj_foreach(special_map, i, max, key, v)
    {
        if (str_eq(token_name(v), text))
            return true;
        yyjson_arr_foreach(v, j, max_list, item)
        {
            if (str_eq(token_name(item), text))
                return true;
        }
    }
    return false;
}

/* added_tokens.json: {"<|im_end|>": 151645}; which are special says special_tokens_map.json. */
static enum err_code each_added_in_map(const struct tokenizer_source *src, added_fn fn, void *user,
                                       struct err *e)
{
    size_t i, max;
    yyjson_val *key, *v;
    if (!src->added_map)
        return ERR_OK;
    yyjson_obj_foreach(src->added_map, i, max, key, v)
    {
        struct tokenizer_added a = {.text = str_of(key)};
        a.special = map_names(src->special_map, a.text);
        TRY(id_of(v, a.text, &a.id, e));
        TRY(fn(user, &a, e));
    }
    return ERR_OK;
}

static enum err_code each_added(const struct tokenizer_source *src, added_fn fn, void *user,
                                struct err *e)
{
    TRY(each_added_in_list(src->added, fn, user, e));
    TRY(each_added_in_config(src->config, fn, user, e));
    return each_added_in_map(src, fn, user, e);
}

/* ---- counting ---------------------------------------------------------------------------------- */

static void count_id(struct tokenizer_sizes *s, int64_t id)
{
    if ((uint32_t)id >= s->ids)
        s->ids = (uint32_t)id + 1;
}

static enum err_code count_added(void *user, const struct tokenizer_added *a, struct err *e)
{
    struct tokenizer_sizes *s = user;
    (void)e;
    count_id(s, a->id);
    s->bytes += a->text.n;
    s->added_bytes += a->text.n;
    return ERR_OK;
}

static size_t count_lines(struct str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '\n';
    return n;
}

static enum err_code count_all(const struct tokenizer_source *src, struct tokenizer_sizes *s,
                               struct err *e)
{
    size_t i, max;
    yyjson_val *key, *v;
    if (!yyjson_is_obj(src->vocab))
        return err_set(e, ERR_FORMAT, "'vocab' should be an object, found %s",
                       src->vocab ? yyjson_get_type_desc(src->vocab) : "nothing");
    if (!src->merge_lines.p && !yyjson_is_arr(src->merges))
        return err_set(e, ERR_FORMAT, "'merges' should be an array, found %s",
                       src->merges ? yyjson_get_type_desc(src->merges) : "nothing");
    yyjson_obj_foreach(src->vocab, i, max, key, v)
    {
        int64_t id = 0;
        enum err_code rc = id_of(v, str_of(key), &id, e);
        if (rc != ERR_OK)
            return rc;
        count_id(s, id);
        s->bytes += yyjson_get_len(key);
    }
    s->words = max;
    s->merges = src->merge_lines.p ? count_lines(src->merge_lines) : yyjson_arr_size(src->merges);
    return each_added(src, count_added, s, e);
}

/* ---- filling ----------------------------------------------------------------------------------- */

static enum err_code put_words(struct tokenizer *t, yyjson_val *vocab, struct err *e)
{
    size_t i, max;
    yyjson_val *key, *v;
    yyjson_obj_foreach(vocab, i, max, key, v)
    {
        enum err_code rc = tokenizer_put_word(t, str_of(key), (uint32_t)yyjson_get_uint(v), e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code put_merges(struct tokenizer *t, yyjson_val *merges, struct err *e)
{
    size_t i, max;
    yyjson_val *v;
    enum err_code rc = ERR_OK;
    yyjson_arr_foreach(merges, i, max, v)
    {
        yyjson_val *left = yyjson_arr_get(v, 0), *right = yyjson_arr_get(v, 1);
        if (yyjson_is_str(v))
            rc = tokenizer_put_merge_line(t, str_of(v), e);
        else if (yyjson_arr_size(v) == 2 && yyjson_is_str(left) && yyjson_is_str(right))
            rc = tokenizer_put_merge(t, str_of(left), str_of(right), e);
        else
            rc = err_set(e, ERR_FORMAT, "merge %zu is neither \"a b\" nor [\"a\", \"b\"]", i);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code put_merge_lines(struct tokenizer *t, struct str text, struct err *e)
{
    for (size_t at = 0; at < text.n;) {
        struct str line = {text.p + at, text.n - at};
        const char *end = memchr(line.p, '\n', line.n);
        line.n = end ? (size_t)(end - line.p) : line.n;
        at += line.n + 1;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0 || str_starts(line, STR_LIT("#version")))
            continue;
        enum err_code rc = tokenizer_put_merge_line(t, line, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code put_added(void *user, const struct tokenizer_added *a, struct err *e)
{
    return tokenizer_put_added(user, a, e);
}

/* pad_token and eos_token by name; a name that is no token is an error. */
static enum err_code named_id(const struct tokenizer *t, const struct tokenizer_source *src,
                              const char *key, int32_t *out, struct err *e)
{
    struct str name = token_name(yyjson_obj_get(src->config, key));
    if (!name.p)
        name = token_name(yyjson_obj_get(src->special_map, key));
    if (!name.p)
        return ERR_OK;
    *out = tokenizer_token_id(t, name.p);
    if (*out == TOKENIZER_NONE)
        return err_set(e, ERR_FORMAT, "%s '%.*s' is not in the vocabulary", key, STR_ARG(name));
    return ERR_OK;
}

enum err_code tokenizer_from_source(const struct tokenizer_source *src, struct tokenizer **out,
                                    struct err *e)
{
    struct tokenizer_sizes sizes = {0};
    struct tokenizer *t = NULL;
    *out = NULL;
    enum err_code rc;
    TRY_GOTO(count_all(src, &sizes, e), done);
    TRY_GOTO(tokenizer_new(&sizes, &t, e), done);
    t->nfc = src->nfc;
    TRY_GOTO(put_words(t, src->vocab, e), done);
    TRY_GOTO(vocab_index(&t->vocab, e), done);
    TRY_GOTO(src->merge_lines.p ? put_merge_lines(t, src->merge_lines, e)
                                : put_merges(t, src->merges, e),
             done);
    TRY_GOTO(each_added(src, put_added, t, e), done);
    TRY_GOTO(named_id(t, src, "pad_token", &t->pad_id, e), done);
    rc = named_id(t, src, "eos_token", &t->eos_id, e);
done:
    if (rc != ERR_OK) {
        tokenizer_free(t);
        return rc;
    }
    *out = t;
    return ERR_OK;
}
