/* A tokenizer from GGUF-like arrays encodes as the same one from its JSON file. */
#include "support.h"
#include "text/chat.h"

#include "base/file.h"

enum { MAX_TOKENS = 4096, NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };

struct arrays {
    yyjson_doc *doc;
    struct str tokens[MAX_TOKENS], merges[MAX_TOKENS];
    int32_t types[MAX_TOKENS];
    struct tokenizer_arrays a;
};

static struct str value_str(yyjson_val *v)
{
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

static void fill_from_json(struct arrays *s, const char *path)
{
    struct err e = {0};
    size_t i, max;
    yyjson_val *key, *v;
    if (json_read_file(path, 1 << 24, &s->doc, &e) != ERR_OK)
        fail_msg("%s", e.text);
    yyjson_val *root = yyjson_doc_get_root(s->doc), *model = yyjson_obj_get(root, "model");
    s->a = (struct tokenizer_arrays){.model = STR_LIT("gpt2"),
                                     .pre = STR_LIT("qwen2"),
                                     .tokens = s->tokens,
                                     .merges = s->merges,
                                     .types = s->types,
                                     .eos_id = TOKENIZER_NONE,
                                     .pad_id = TOKENIZER_NONE};
    yyjson_obj_foreach(yyjson_obj_get(model, "vocab"), i, max, key, v)
    {
        s->tokens[yyjson_get_uint(v)] = value_str(key);
        s->types[yyjson_get_uint(v)] = NORMAL;
    }
    s->a.n_tokens = max;
    yyjson_arr_foreach(yyjson_obj_get(root, "added_tokens"), i, max, v)
    {
        uint64_t id = yyjson_get_uint(yyjson_obj_get(v, "id"));
        s->tokens[id] = value_str(yyjson_obj_get(v, "content"));
        s->types[id] = yyjson_get_bool(yyjson_obj_get(v, "special")) ? CONTROL : USER_DEFINED;
        s->a.n_tokens++;
    }
    yyjson_arr_foreach(yyjson_obj_get(model, "merges"), i, max, v)
    {
        s->merges[i] = value_str(v);
    }
    s->a.n_merges = max;
}

static struct arrays *arrays_new(void)
{
    struct arrays *s = calloc(1, sizeof *s);
    assert_non_null(s);
    fill_from_json(s, VT_SOURCE_DIR "/tests/parity/tokenizers/klein-base/tokenizer.json");
    return s;
}

static void arrays_free(struct arrays *s)
{
    yyjson_doc_free(s->doc);
    free(s);
}

static void arrays_encode_as_the_reference_does(void **state)
{
    (void)state;
    struct arrays *s = arrays_new();
    struct tokenizer *t = NULL;
    struct err e = {0};
    size_t i, max;
    yyjson_val *entry;
    s->tokens[s->a.n_tokens] = STR_LIT("[PAD]"); /* rows that only fill up the embedding */
    s->types[s->a.n_tokens++] = UNUSED;
    if (tokenizer_from_arrays(&s->a, "made", &t, &e) != ERR_OK)
        fail_msg("%s", e.text);
    yyjson_doc *doc = parity_json("tokenizer-klein-base", "expected.json");
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "encode"), i, max, entry)
    {
        check_encode(t, json_str(entry, "text"), yyjson_obj_get(entry, "ids"));
    }
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "decode"), i, max, entry)
    {
        check_decode(t, yyjson_obj_get(entry, "ids"), true, json_str(entry, "text_skip_special"));
    }
    assert_int_equal(tokenizer_pad_id(t), tokenizer_token_id(t, "<|endoftext|>"));
    assert_int_equal(tokenizer_token_id(t, "[PAD]"), TOKENIZER_NONE);
    yyjson_doc_free(doc);
    tokenizer_free(t);
    arrays_free(s);
}

/* Files that were made for training name another token, which is not what klein's prompts were padded with. */
static void prompts_are_padded_as_the_model_was_made(void **state)
{
    (void)state;
    struct arrays *s = arrays_new();
    struct tokenizer *t = NULL;
    struct err e = {0};
    int32_t ids[64];
    uint8_t mask[64];
    size_t used;
    s->a.pad_id = 300;
    assert_int_equal(tokenizer_from_arrays(&s->a, "made", &t, &e), ERR_OK);
    assert_int_equal(klein_encode(t, STR_LIT("a"), 64, ids, mask, &used, &e), ERR_OK);
    assert_int_equal(ids[63], tokenizer_token_id(t, "<|endoftext|>"));
    assert_int_not_equal(ids[63], 300);
    tokenizer_free(t);
    arrays_free(s);
}

static void check_refused(struct arrays *s, const char *reason)
{
    struct tokenizer *t = NULL;
    struct err e = {0};
    assert_int_not_equal(tokenizer_from_arrays(&s->a, "made", &t, &e), ERR_OK);
    assert_null(t);
    if (!strstr(e.text, reason))
        fail_msg("'%s' does not mention '%s'", e.text, reason);
}

static void arrays_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct arrays *s = arrays_new();
    struct tokenizer_arrays good = s->a;
    s->a.model = STR_LIT("llama");
    check_refused(s, "'llama'");
    s->a = good;
    s->a.pre = STR_LIT("llama-bpe");
    check_refused(s, "'llama-bpe'");
    s->a = good;
    s->a.types = NULL;
    check_refused(s, "token_type");
    s->a = good;
    s->a.eos_id = 1 << 30;
    check_refused(s, "eos_token_id");
    s->a.eos_id = TOKENIZER_NONE;
    s->a.pad_id = -7;
    check_refused(s, "padding_token_id");
    s->a = good;
    struct str token = s->tokens[300];
    s->tokens[300] = STR_LIT("\xff");
    check_refused(s, "token 300 is not UTF-8");
    s->tokens[300] = s->tokens[301];
    check_refused(s, "same text");
    s->tokens[300] = token;
    s->merges[5] = STR_LIT("no_space");
    check_refused(s, "merge 5");
    arrays_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_encode_as_the_reference_does),
        cmocka_unit_test(prompts_are_padded_as_the_model_was_made),
        cmocka_unit_test(arrays_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
