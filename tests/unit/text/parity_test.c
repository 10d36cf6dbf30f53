/* Every string of the reference's tokenizer cases. The real vocabularies are too big to keep here:
 * VEETANCE_TOKENIZER_QWEN3 and VEETANCE_TOKENIZER_QWEN2_5 may name their tokenizer.json files. */
#include "support.h"

#include "text/chat.h"

static void check_encode_list(const struct tokenizer *t, yyjson_val *list)
{
    size_t i, max;
    yyjson_val *entry;
    yyjson_arr_foreach(list, i, max, entry)
    {
        check_encode(t, json_str(entry, "text"), yyjson_obj_get(entry, "ids"));
    }
    assert_true(max > 50);
}

static void check_decode_list(const struct tokenizer *t, yyjson_val *list)
{
    size_t i, max;
    yyjson_val *entry;
    yyjson_arr_foreach(list, i, max, entry)
    {
        yyjson_val *ids = yyjson_obj_get(entry, "ids");
        if (yyjson_obj_get(entry, "text_skip_special")) {
            check_decode(t, ids, false, json_str(entry, "text"));
            check_decode(t, ids, true, json_str(entry, "text_skip_special"));
        } else { /* the cases of the real tokenizers keep only this text */
            check_decode(t, ids, true, json_str(entry, "text"));
        }
    }
    assert_true(max > 0);
}

static void check_length(const struct tokenizer *t, struct str prompt, yyjson_val *entry,
                         size_t max)
{
    int32_t ids[512];
    uint8_t mask[512];
    size_t used;
    struct err e = {0};
    size_t padded = (size_t)yyjson_get_uint(yyjson_obj_get(entry, "num_padded"));
    assert_true(max <= 512 && padded == max);
    if (klein_encode(t, prompt, max, ids, mask, &used, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_int_equal(used, yyjson_get_uint(yyjson_obj_get(entry, "num_real")));
    check_ids(prompt, yyjson_obj_get(entry, "ids"), ids, used);
    for (size_t i = 0; i < max; i++) {
        assert_int_equal(mask[i], i < used);
        if (i >= used)
            assert_int_equal(ids[i], yyjson_get_sint(yyjson_obj_get(entry, "pad_id")));
    }
}

static void check_chat_list(const struct tokenizer *t, yyjson_val *list)
{
    size_t i, max;
    yyjson_val *entry;
    yyjson_arr_foreach(list, i, max, entry)
    {
        struct buf text;
        struct str prompt = json_str(entry, "prompt");
        buf_init(&text, 1 << 20);
        chat_klein_text(prompt, &text);
        assert_true(str_eq(buf_str(&text), json_str(entry, "text")));
        buf_deinit(&text);
        check_length(t, prompt, yyjson_obj_get(entry, "max_length_24"), 24);
        check_length(t, prompt, yyjson_obj_get(entry, "max_length_64"), 64);
        check_length(t, prompt, yyjson_obj_get(entry, "max_length_512"), 512);
    }
}

static void check_special_ids(const struct tokenizer *t, yyjson_val *ids)
{
    size_t i, max;
    yyjson_val *key, *id;
    yyjson_obj_foreach(ids, i, max, key, id)
    {
        assert_int_equal(tokenizer_token_id(t, yyjson_get_str(key)), yyjson_get_sint(id));
    }
    assert_true(max > 0);
}

static void check_tiny(const char *case_name, const char *tokenizer_name)
{
    struct tokenizer *t = parity_tokenizer(tokenizer_name);
    yyjson_doc *doc = parity_json(case_name, "expected.json");
    yyjson_val *root = yyjson_doc_get_root(doc);
    check_encode_list(t, yyjson_obj_get(root, "encode"));
    check_decode_list(t, yyjson_obj_get(root, "decode"));
    check_chat_list(t, yyjson_obj_get(root, "chat"));
    check_special_ids(t, yyjson_obj_get(root, "special_ids"));
    assert_int_equal(tokenizer_vocab_size(t),
                     yyjson_get_sint(yyjson_obj_get(root, "vocab_size_with_added")));
    assert_int_equal(tokenizer_pad_id(t), tokenizer_token_id(t, "<|endoftext|>"));
    assert_int_equal(tokenizer_eos_id(t), tokenizer_token_id(t, "<|im_end|>"));
    yyjson_doc_free(doc);
    tokenizer_free(t);
}

static void tiny_tokenizers_agree_with_the_reference(void **state)
{
    (void)state;
    check_tiny("tokenizer-klein", "klein");
    check_tiny("tokenizer-klein-base", "klein-base");
    check_tiny("tokenizer-layered", "layered");
    check_tiny("tokenizer-layered-b", "layered-b");
}

static void vocab_and_merges_files_agree_when_there_is_no_tokenizer_json(void **state)
{
    (void)state;
    check_tiny("tokenizer-klein-base", "klein-base-files");
}

static void check_layered_template(const struct tokenizer *t, yyjson_val *entry)
{
    struct tokens got = {0};
    struct err e = {0};
    struct buf text;
    struct str prompt = json_str(entry, "prompt");
    buf_init(&text, 1 << 20);
    chat_layered_text(prompt, &text);
    assert_true(str_eq(buf_str(&text), json_str(entry, "text")));
    buf_deinit(&text);
    if (layered_encode(t, prompt, 100000, &got, &e) != ERR_OK)
        fail_msg("%s", e.text);
    check_ids(prompt, yyjson_obj_get(entry, "ids"), got.ids, got.n);
    tokens_deinit(&got);
}

static void check_klein_template(const struct tokenizer *t, yyjson_val *entry)
{
    int32_t ids[2048];
    uint8_t mask[2048];
    size_t used;
    struct err e = {0};
    struct str prompt = json_str(entry, "prompt");
    if (klein_encode(t, prompt, 2048, ids, mask, &used, &e) != ERR_OK)
        fail_msg("%s", e.text);
    check_ids(prompt, yyjson_obj_get(entry, "ids"), ids, used);
}

static void check_real(const char *case_name, const char *env,
                       void (*check_template)(const struct tokenizer *, yyjson_val *))
{
    const char *path = getenv(env);
    struct tokenizer *t = NULL;
    struct err e = {0};
    if (!path) {
        print_message("%s is not set: skipped\n", env);
        skip();
    }
    if (tokenizer_open(path, &t, &e) != ERR_OK)
        fail_msg("%s", e.text);
    yyjson_doc *doc = parity_json(case_name, "expected.json");
    yyjson_val *root = yyjson_doc_get_root(doc), *entry;
    check_encode_list(t, yyjson_obj_get(root, "encode"));
    check_decode_list(t, yyjson_obj_get(root, "decode"));
    size_t i, max;
    yyjson_arr_foreach(yyjson_obj_get(root, "template"), i, max, entry)
    {
        check_template(t, entry);
    }
    assert_true(max > 0);
    yyjson_doc_free(doc);
    tokenizer_free(t);
}

static void real_qwen3_agrees_with_the_reference(void **state)
{
    (void)state;
    check_real("tokenizer-real-qwen3", "VEETANCE_TOKENIZER_QWEN3", check_klein_template);
}

static void real_qwen2_5_agrees_with_the_reference(void **state)
{
    (void)state;
    check_real("tokenizer-real-qwen2_5", "VEETANCE_TOKENIZER_QWEN2_5", check_layered_template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_tokenizers_agree_with_the_reference),
        cmocka_unit_test(vocab_and_merges_files_agree_when_there_is_no_tokenizer_json),
        cmocka_unit_test(real_qwen3_agrees_with_the_reference),
        cmocka_unit_test(real_qwen2_5_agrees_with_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
