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

static void what_is_cut_of_a_prompt_is_known(void **state)
{
    (void)state;
    struct tokenizer *t = parity_tokenizer("klein");
    struct prompt_cut cut;
    struct tokens all = {0};
    struct buf text;
    buf_init(&text, 10000);
    chat_klein_text(STR_LIT("one two three four five six"), &text);
    assert_int_equal(tokenizer_encode(t, buf_str(&text), &all, NULL), ERR_OK);
    assert_int_equal(klein_prompt_cut(t, STR_LIT("one two three four five six"), all.n, &cut, NULL),
                     ERR_OK);
    assert_int_equal(cut.cut, 0);
    assert_int_equal(cut.total, all.n);
    for (size_t limit = 1; limit < all.n; limit++) {
        assert_int_equal(
            klein_prompt_cut(t, STR_LIT("one two three four five six"), limit, &cut, NULL), ERR_OK);
        assert_int_equal(cut.cut, all.n - limit);
        assert_true(strlen(cut.behind) < sizeof cut.behind);
    }
    for (size_t limit = 8; limit < 90; limit++) { /* cut inside characters of several bytes */
        const char *stars = "\xe2\x98\x85\xf0\x9f\x8c\x9f\n\xe2\x98\x85\xe6\x98\x9f\xf0\x9f\x8c\x9f"
                            "\xe2\x98\x85\xf0\x9f\x8c\x9f\xe6\x98\x9f\xe6\x98\x9f\xf0\x9f\x8c\x9f";
        assert_int_equal(klein_prompt_cut(t, str_from(stars), limit, &cut, NULL), ERR_OK);
        assert_true(str_is_utf8(str_from(cut.behind), NULL));
        assert_null(strchr(cut.behind, '\n'));
    }
    buf_deinit(&text);
    tokens_deinit(&all);
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
        cmocka_unit_test(what_is_cut_of_a_prompt_is_known),
        cmocka_unit_test(prompts_that_are_no_utf8_name_their_own_byte),
        cmocka_unit_test(tokenizers_without_the_needed_tokens_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
