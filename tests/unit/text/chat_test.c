#include "support.h"

#include "text/chat.h"

static void captions_become_one_image_with_many_tokens(void **state)
{
    (void)state;
    struct tokenizer *t = parity_tokenizer("layered");
    const int32_t image = tokenizer_token_id(t, "<|image_pad|>");
    for (int language = CHAT_ENGLISH; language <= CHAT_CHINESE; language++) {
        struct tokens plain = {0}, wide = {0};
        size_t at;
        assert_int_equal(
            tokenizer_encode(t, chat_caption_text((enum chat_language)language), &plain, NULL),
            ERR_OK);
        assert_true(tokens_add(&wide, 1));
        assert_int_equal(caption_encode(t, (enum chat_language)language, 5, &wide, &at, NULL),
                         ERR_OK);
        assert_int_equal(wide.n, 1 + plain.n + 4);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(wide.ids[at + i], image);
        assert_memory_equal(wide.ids + 1, plain.ids, (at - 1) * sizeof *plain.ids);
        assert_memory_equal(wide.ids + at + 5, plain.ids + at, (plain.n - at) * sizeof *plain.ids);
        tokens_deinit(&plain);
        tokens_deinit(&wide);
    }
    tokenizer_free(t);
}

static void layered_prompts_are_cut_behind_the_prefix(void **state)
{
    (void)state;
    struct tokenizer *t = parity_tokenizer("layered");
    struct tokens all = {0}, cut = {0};
    assert_int_equal(layered_encode(t, STR_LIT("one two three four"), 100000, &all, NULL), ERR_OK);
    assert_int_equal(layered_encode(t, STR_LIT("one two three four"), 3, &cut, NULL), ERR_OK);
    assert_int_equal(cut.n, CHAT_LAYERED_PREFIX_TOKENS + 3);
    assert_memory_equal(cut.ids, all.ids, cut.n * sizeof *cut.ids);
    tokens_deinit(&all);
    tokens_deinit(&cut);
    tokenizer_free(t);
}

static void prompts_that_are_no_utf8_name_their_own_byte(void **state)
{
    (void)state;
    struct tokenizer *t = parity_tokenizer("klein");
    int32_t ids[16];
    uint8_t mask[16];
    size_t used;
    struct err e = {0};
    assert_int_equal(klein_encode(t, STR_LIT("ab\xff"), 16, ids, mask, &used, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "byte 2"));
    tokenizer_free(t);
}

static void tokenizers_without_the_needed_tokens_are_refused(void **state)
{
    (void)state;
    struct tokenizer *t = NULL;
    struct tokens ids = {0};
    int32_t list[16];
    uint8_t mask[16];
    size_t n;
    struct err e = {0};
    assert_int_equal(open_made("", "", "", &t, NULL), ERR_OK);
    assert_int_equal(klein_encode(t, STR_LIT("a"), 16, list, mask, &n, &e), ERR_FORMAT);
    assert_int_equal(caption_encode(t, CHAT_ENGLISH, 4, &ids, &n, &e), ERR_FORMAT);
    assert_int_equal(ids.n, 0);
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captions_become_one_image_with_many_tokens),
        cmocka_unit_test(layered_prompts_are_cut_behind_the_prefix),
        cmocka_unit_test(prompts_that_are_no_utf8_name_their_own_byte),
        cmocka_unit_test(tokenizers_without_the_needed_tokens_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
