/* The tokenizers that come with the program give the ids of the published one. */
#include "text/builtin.h"

#include "support.h"
#include "text/chat.h"

static struct tokenizer *open_it(bool qwen3)
{
    struct tokenizer *t = NULL;
    struct err e = {0};
    if (tokenizer_builtin(tokenizer_builtin_name(qwen3), &t, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return t;
}

static yyjson_doc *read_ids(void)
{
    struct err e = {0};
    yyjson_doc *doc = NULL;
    if (json_read_file(VT_SOURCE_DIR "/tests/unit/text/data/qwen3_ids.json", 1 << 20, &doc, &e) !=
        ERR_OK)
        fail_msg("%s", e.text);
    return doc;
}

static void encode_all(const struct tokenizer *t, bool qwen3)
{
    yyjson_doc *doc = read_ids();
    size_t i, max;
    yyjson_val *entry;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "encode"), i, max, entry)
    {
        struct tokens got = {0};
        struct err e = {0};
        struct str text = json_str(entry, "text");
        struct buf back;
        if (!qwen3 && (strstr(text.p, "think>") || strstr(text.p, "tool_response>")))
            continue; /* only Qwen3's are tokens */
        assert_int_equal(tokenizer_encode(t, text, &got, &e), ERR_OK);
        check_ids(text, yyjson_obj_get(entry, "ids"), got.ids, got.n);
        buf_init(&back, 1 << 20);
        assert_int_equal(tokenizer_decode(t, got.ids, got.n, false, &back, &e), ERR_OK);
        buf_deinit(&back);
        tokens_deinit(&got);
    }
    yyjson_doc_free(doc);
}

static void both_give_the_published_ids(void **state)
{
    (void)state;
    for (int qwen3 = 0; qwen3 < 2; qwen3++) {
        struct tokenizer *t = open_it(qwen3);
        assert_int_equal(tokenizer_vocab_size(t), qwen3 ? 151669 : 151665);
        assert_int_equal(tokenizer_pad_id(t), 151643);
        assert_int_equal(tokenizer_eos_id(t), 151645);
        assert_int_equal(tokenizer_token_id(t, "<|image_pad|>"), 151655);
        assert_int_equal(tokenizer_token_id(t, "<think>"), qwen3 ? 151667 : TOKENIZER_NONE);
        encode_all(t, qwen3);
        tokenizer_free(t);
    }
}

/* Every token's text leads back to it, if it is one word: so the merges are all there, in order. */
static void every_token_is_found_by_its_text(void **state)
{
    (void)state;
    struct tokenizer *t = open_it(true);
    size_t same = 0;
    for (int32_t id = 0; id < TOKENIZER_BUILTIN_WORDS; id += 7) {
        struct buf text;
        struct tokens got = {0};
        struct err e = {0};
        buf_init(&text, 1 << 16);
        assert_int_equal(tokenizer_decode(t, &id, 1, false, &text, &e), ERR_OK);
        if (tokenizer_encode(t, buf_str(&text), &got, &e) == ERR_OK)
            same += got.n == 1 && got.ids[0] == id;
        tokens_deinit(&got);
        buf_deinit(&text);
    }
    assert_true(same >
                20000); /* of 21663; the others are parts of characters, or of several words */
    tokenizer_free(t);
}

/* What a prompt of the layered pipeline drops in front is 34 tokens of the published tokenizer. */
static void prompts_have_the_published_length(void **state)
{
    (void)state;
    struct tokenizer *t = open_it(true);
    int32_t ids[512];
    uint8_t mask[512];
    size_t used = 0;
    struct err e = {0};
    assert_int_equal(klein_encode(t, STR_LIT("a red boat"), 512, ids, mask, &used, &e), ERR_OK);
    assert_int_equal(ids[0], 151644);
    assert_int_equal(ids[used], 151643);
    assert_int_equal(ids[511], 151643);
    tokenizer_free(t);
}

/* With VT_TOKENIZER=FILE, a published tokenizer.json: all its tokens are the same. */
static void the_published_file_agrees_when_it_is_there(void **state)
{
    (void)state;
    const char *path = getenv("VT_TOKENIZER");
    struct tokenizer *a = NULL, *b = open_it(true);
    struct err e = {0};
    if (!path) {
        tokenizer_free(b);
        skip();
    }
    assert_int_equal(tokenizer_open(path, &a, &e), ERR_OK);
    assert_int_equal(tokenizer_vocab_size(a), tokenizer_vocab_size(b));
    for (int32_t id = 0; id < tokenizer_vocab_size(a); id++) {
        struct buf x, y;
        buf_init(&x, 1 << 16);
        buf_init(&y, 1 << 16);
        assert_int_equal(tokenizer_decode(a, &id, 1, false, &x, &e), ERR_OK);
        assert_int_equal(tokenizer_decode(b, &id, 1, false, &y, &e), ERR_OK);
        assert_true(str_eq(buf_str(&x), buf_str(&y)));
        buf_deinit(&x);
        buf_deinit(&y);
    }
    encode_all(a, true);
    tokenizer_free(a);
    tokenizer_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_give_the_published_ids),
        cmocka_unit_test(every_token_is_found_by_its_text),
        cmocka_unit_test(prompts_have_the_published_length),
        cmocka_unit_test(the_published_file_agrees_when_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
