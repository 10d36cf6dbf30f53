/* tokenizer_json.c - tokenizer.json: which of its settings this program honours, and which it refuses.
 *
 * The file is parsed in place and its document thrown away once the tables are filled. The document's
 * size is bounded by the file's, so that a file of brackets cannot ask for all memory; nothing walks it
 * by recursion but the lists of pre-tokenizers, whose depth is counted.
 */
#include <string.h>

#include "base/mem.h"
#include "text/tokenizer_impl.h"

enum { MAX_LIST_DEPTH = 8, DOC_BYTES_PER_FILE_BYTE = 9, DOC_BYTES_BASE = 64 << 10 };

/* ---- a document that owns its text ------------------------------------------------------------- */

static void *doc_alloc(void *max, size_t n)
{
    return n <= *(size_t *)max ? mem_try_alloc(n) : NULL;
}

static void *doc_realloc(void *max, void *p, size_t old, size_t n)
{
    (void)old;
    return n <= *(size_t *)max ? mem_try_realloc(p, n) : NULL;
}

static void doc_free(void *max, void *p)
{
    (void)max;
    mem_free(p);
}

enum err_code json_owned_parse(struct json_owned *j, struct buf *text, const char *what,
                               struct err *e)
{
    size_t n = text->n;
    j->doc = NULL;
    j->text = *text;
    memset(text, 0, sizeof *text);
    j->text.max += YYJSON_PADDING_SIZE;
    char *padding = buf_grow(&j->text, YYJSON_PADDING_SIZE);
    if (!padding)
        return err_set(e, ERR_NOMEM, "%s: no memory to read the JSON", what);
    memset(padding, 0, YYJSON_PADDING_SIZE);
    j->doc_max = n * DOC_BYTES_PER_FILE_BYTE + DOC_BYTES_BASE;
    yyjson_alc alloc = {doc_alloc, doc_realloc, doc_free, &j->doc_max};
    yyjson_read_err re = {0};
    j->doc = yyjson_read_opts(j->text.p, n, YYJSON_READ_INSITU, &alloc, &re);
    if (j->doc)
        return ERR_OK;
    if (re.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return err_set(e, ERR_LIMIT, "%s: the JSON holds more than its %zu bytes should", what, n);
    return err_set(e, ERR_FORMAT, "%s: not valid JSON: %s at byte %zu", what,
                   re.msg ? re.msg : "error", re.pos);
}

void json_owned_deinit(struct json_owned *j)
{
    yyjson_doc_free(j->doc);
    buf_deinit(&j->text);
    j->doc = NULL;
}

/* ---- settings ---------------------------------------------------------------------------------- */

static const char *type_of(yyjson_val *v)
{
    const char *type = yyjson_get_str(yyjson_obj_get(v, "type"));
    return type ? type : "";
}

static enum err_code not_supported(const char *part, yyjson_val *v, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s of type '%.40s' is not supported", part, type_of(v));
}

static bool is_absent(yyjson_val *v)
{
    return !v || yyjson_is_null(v);
}

typedef enum err_code (*part_fn)(void *user, yyjson_val *part, struct err *e);

/* Calls fn for v, or for everything in it when it is a Sequence. */
static enum err_code each_part(yyjson_val *v, const char *list_key, int depth, part_fn fn,
                               void *user, struct err *e)
{
    if (is_absent(v))
        return ERR_OK;
    if (strcmp(type_of(v), "Sequence") != 0)
        return fn(user, v, e);
    if (depth >= MAX_LIST_DEPTH)
        return err_set(e, ERR_LIMIT, "'%s' is nested deeper than %d levels", list_key,
                       MAX_LIST_DEPTH);
    yyjson_val *list = yyjson_obj_get(v, list_key), *part;
    size_t i, max;
    yyjson_arr_foreach(list, i, max, part)
    {
        enum err_code rc = each_part(part, list_key, depth + 1, fn, user, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_normalizer(void *user, yyjson_val *v, struct err *e)
{
    if (strcmp(type_of(v), "NFC") != 0)
        return not_supported("a normalizer", v, e);
    *(bool *)user = true;
    return ERR_OK;
}

static enum err_code accept_byte_level(void *user, yyjson_val *v, struct err *e)
{
    return strcmp(type_of(v), "ByteLevel") == 0 ? ERR_OK : not_supported(user, v, e);
}

struct pretokenizers {
    struct tokenizer *t;
    bool byte_level;
};

static enum err_code read_split(struct tokenizer *t, yyjson_val *v, struct err *e)
{
    bool invert = false;
    struct str behavior = STR_LIT("Isolated"), regex = {NULL, 0};
    const char *what = "pre-tokenizer";
    TRY(json_get_bool(v, "invert", &invert, what, e));
    TRY(json_get_str(v, "behavior", &behavior, what, e));
    TRY(json_get_str(yyjson_obj_get(v, "pattern"), "Regex", &regex, what, e));
    if (invert || !str_eq_z(behavior, "Isolated") || !regex.p)
        return err_set(e, ERR_FORMAT,
                       "pre-tokenizer: only a Split by a Regex that is Isolated and "
                       "not inverted is supported");
    return tokenizer_add_split(t, regex, e);
}

static enum err_code read_pretokenizer(void *user, yyjson_val *v, struct err *e)
{
    struct pretokenizers *p = user;
    bool add_prefix_space = true, use_regex = true;
    if (p->byte_level)
        return err_set(e, ERR_FORMAT, "pre-tokenizer: something follows ByteLevel");
    if (strcmp(type_of(v), "Split") == 0)
        return read_split(p->t, v, e);
    if (strcmp(type_of(v), "ByteLevel") != 0)
        return not_supported("a pre-tokenizer", v, e);
    p->byte_level = true;
    TRY(json_get_bool(v, "add_prefix_space", &add_prefix_space, "ByteLevel", e));
    TRY(json_get_bool(v, "use_regex", &use_regex, "ByteLevel", e));
    if (add_prefix_space)
        return err_set(e, ERR_FORMAT, "pre-tokenizer: add_prefix_space is not supported");
    if (use_regex)
        TRY(tokenizer_add_split(p->t, presplit_gpt2(), e));
    return ERR_OK;
}

static enum err_code read_pretokenizers(struct tokenizer *t, yyjson_val *root, struct err *e)
{
    struct pretokenizers p = {.t = t};
    TRY(each_part(yyjson_obj_get(root, "pre_tokenizer"), "pretokenizers", 0, read_pretokenizer, &p,
                  e));
    if (!p.byte_level)
        return err_set(e, ERR_FORMAT, "the pre-tokenizer is not byte-level");
    return ERR_OK;
}

static enum err_code check_model(yyjson_val *model, bool *ignore_merges, struct err *e)
{
    struct str type = STR_LIT("BPE"), prefix = {NULL, 0}, suffix = {NULL, 0};
    if (!yyjson_is_obj(model))
        return err_set(e, ERR_FORMAT, "there is no 'model'");
    TRY(json_get_str(model, "type", &type, "model", e));
    if (!str_eq_z(type, "BPE"))
        TRY(not_supported("a model", model, e));
    TRY(json_get_str(model, "continuing_subword_prefix", &prefix, "model", e));
    TRY(json_get_str(model, "end_of_word_suffix", &suffix, "model", e));
    if (prefix.n > 0 || suffix.n > 0)
        return err_set(e, ERR_FORMAT,
                       "model: prefixes and suffixes of word parts are not supported");
    if (!is_absent(yyjson_obj_get(model, "dropout")))
        return err_set(e, ERR_FORMAT, "model: dropout is not supported");
    return json_get_bool(model, "ignore_merges", ignore_merges, "model", e);
}

/* A template that adds no token of its own (a single sequence, nothing around it) changes nothing. */
static bool is_identity_template(yyjson_val *v)
{
    yyjson_val *single = yyjson_obj_get(v, "single");
    return strcmp(type_of(v), "TemplateProcessing") == 0 && yyjson_arr_size(single) == 1 &&
           yyjson_obj_get(yyjson_arr_get_first(single), "Sequence") != NULL;
}

static enum err_code read_postprocessor(void *user, yyjson_val *v, struct err *e)
{
    return is_identity_template(v) ? ERR_OK : accept_byte_level(user, v, e);
}

static enum err_code check_settings(yyjson_val *root, struct tokenizer_source *src,
                                    bool *ignore_merges, struct err *e)
{
    char post[] = "a post-processor", decoder[] = "a decoder";
    TRY(check_model(yyjson_obj_get(root, "model"), ignore_merges, e));
    TRY(each_part(yyjson_obj_get(root, "normalizer"), "normalizers", 0, read_normalizer, &src->nfc,
                  e));
    TRY(each_part(yyjson_obj_get(root, "post_processor"), "processors", 0, read_postprocessor, post,
                  e));
    return each_part(yyjson_obj_get(root, "decoder"), "decoders", 0, accept_byte_level, decoder, e);
}

enum err_code tokenizer_read_json(yyjson_val *root, struct tokenizer_source *src,
                                  struct tokenizer **out, struct err *e)
{
    struct tokenizer *t = NULL;
    bool ignore_merges = false;
    *out = NULL;
    if (!yyjson_is_obj(root))
        return err_set(e, ERR_FORMAT, "%s: should be an object, found %s", src->what,
                       yyjson_get_type_desc(root));
    yyjson_val *model = yyjson_obj_get(root, "model");
    enum err_code rc;
    TRY_GOTO(check_settings(root, src, &ignore_merges, e), done);
    src->vocab = yyjson_obj_get(model, "vocab");
    src->merges = yyjson_obj_get(model, "merges");
    src->added = yyjson_obj_get(root, "added_tokens");
    TRY_GOTO(tokenizer_from_source(src, &t, e), done);
    t->ignore_merges = ignore_merges;
    TRY_GOTO(read_pretokenizers(t, root, e), done);
    rc = tokenizer_finish(t, e);
done:
    if (rc != ERR_OK) {
        tokenizer_free(t);
        return err_note(e, "%s", src->what);
    }
    *out = t;
    return ERR_OK;
}

enum err_code tokenizer_from_json(struct str json, const char *what, struct tokenizer **out,
                                  struct err *e)
{
    struct json_owned j;
    struct buf copy;
    struct tokenizer_source src = {.what = what};
    *out = NULL;
    buf_init(&copy, TOKENIZER_MAX_FILE_BYTES);
    buf_add_str(&copy, json);
    if (buf_failed(&copy)) {
        buf_deinit(&copy);
        return err_set(e, ERR_LIMIT, "%s: %zu bytes; at most %d are possible", what, json.n,
                       TOKENIZER_MAX_FILE_BYTES);
    }
    enum err_code rc;
    TRY_GOTO(json_owned_parse(&j, &copy, what, e), done);
    rc = tokenizer_read_json(yyjson_doc_get_root(j.doc), &src, out, e);
done:
    json_owned_deinit(&j);
    return rc;
}
