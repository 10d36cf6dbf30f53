#include "support.h"

#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static const char MERGES[] = "\"a b\",[\"ab\",\"c\"],\"\\u0120 ab\"";
static const char WORDS[] = ",\"ab\":256,\"abc\":257,\"\\u0120ab\":258";

static struct tokenizer *made(const char *members)
{
    struct tokenizer *t = NULL;
    struct err e = {0};
    if (open_made(WORDS, MERGES, members, &t, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return t;
}

static void check_made(const struct tokenizer *t, struct str text, const int32_t *want, size_t n)
{
    struct tokens got = {0};
    struct err e = {0};
    if (tokenizer_encode(t, text, &got, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_int_equal(got.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got.ids[i], want[i]);
    tokens_deinit(&got);
}

#define CHECK_MADE(t, text, ...)                                                                   \
    check_made(t, STR_LIT(text), (const int32_t[]){__VA_ARGS__},                                   \
               sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

/* Opening what was made fails with this code, and the message says `reason`. */
static void check_refused(const char *words, const char *merges, const char *members,
                          const char *reason)
{
    struct tokenizer *t = NULL;
    struct err e = {0};
    assert_int_equal(open_made(words, merges, members, &t, &e), ERR_FORMAT);
    assert_null(t);
    if (!strstr(e.text, reason))
        fail_msg("'%s' does not mention '%s'", e.text, reason);
}

static void check_json_refused(const char *json, enum err_code code, const char *reason)
{
    struct tokenizer *t = NULL;
    struct err e = {0};
    assert_int_equal(tokenizer_from_json(str_from(json), "made", &t, &e), code);
    assert_null(t);
    if (!strstr(e.text, reason))
        fail_msg("'%s' does not mention '%s'", e.text, reason);
}

static void merges_apply_in_order_of_rank(void **state)
{
    (void)state;
    struct tokenizer *t = made("");
    CHECK_MADE(t, "abcab ab", 257, 256, 258);
    CHECK_MADE(t, "b a", 'b', ' ', 'a');
    tokenizer_free(t);
}

static void added_tokens_are_found_everywhere_longest_first(void **state)
{
    (void)state;
    struct tokenizer *t = made(",\"normalizer\":{\"type\":\"NFC\"},\"added_tokens\":["
                               "{\"id\":300,\"content\":\"<x>\",\"special\":true},"
                               "{\"id\":301,\"content\":\"<x>y\",\"normalized\":false},"
                               "{\"id\":302,\"content\":\"\\u00e9!\",\"normalized\":true},"
                               "{\"id\":257,\"content\":\"abc\",\"normalized\":false}]");
    CHECK_MADE(t, "<x><x>yab<x", 300, 301, 256, '<', 'x');
    CHECK_MADE(t, "e\xcc\x81!", 302);
    CHECK_MADE(t, "e\xcc\x81<x>", 0xc3, 0xa9, 300);
    CHECK_MADE(t, "aabc", 'a', 257);
    assert_int_equal(tokenizer_token_id(t, "<x>y"), 301);
    assert_int_equal(tokenizer_token_id(t, "\xc4\xa0"
                                           "ab"),
                     258);
    assert_int_equal(tokenizer_token_id(t, "nothing"), TOKENIZER_NONE);
    assert_int_equal(tokenizer_vocab_size(t), 303);
    assert_int_equal(tokenizer_pad_id(t), TOKENIZER_NONE);
    tokenizer_free(t);
}

static void whole_words_win_when_merges_are_ignored(void **state)
{
    (void)state;
    struct buf json;
    struct tokenizer *t = NULL;
    make_json(&json, ",\"zzz\":256", "", "");
    struct str plain = buf_str(&json);
    const char *model = strstr(plain.p, "\"type\":\"BPE\"");
    struct buf with;
    buf_init(&with, 1 << 20);
    buf_add(&with, plain.p, (size_t)(model - plain.p));
    buf_add_z(&with, "\"ignore_merges\":true,");
    buf_add_z(&with, model);
    assert_int_equal(tokenizer_from_json(buf_str(&with), "made", &t, NULL), ERR_OK);
    CHECK_MADE(t, "zzz", 256);
    CHECK_MADE(t, "zz", 'z', 'z');
    tokenizer_free(t);
    buf_deinit(&with);
    buf_deinit(&json);
}

static void several_splits_apply_one_inside_the_other(void **state)
{
    (void)state;
    struct buf json;
    struct tokenizer *t = NULL;
    struct err e = {0};
    buf_init(&json, 1 << 20);
    buf_add_z(&json, "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
                     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"-\"},\"behavior\":\"Isolated\"},"
                     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"b\"},\"behavior\":\"Isolated\"},"
                     "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},"
                     "\"model\":{\"vocab\":{");
    add_byte_words(&json);
    buf_add_z(&json, ",\"ab\":256,\"aa\":257,\"-a\":258},\"merges\":[\"- a\",\"a b\",\"a a\"]}}");
    if (tokenizer_from_json(buf_str(&json), "made", &t, &e) != ERR_OK)
        fail_msg("%s", e.text);
    CHECK_MADE(t, "aab-aa", 257, 'b', '-', 257);
    tokenizer_free(t);
    buf_deinit(&json);
}

static void decoding_replaces_what_is_no_utf8(void **state)
{
    (void)state;
    struct tokenizer *t = made("");
    const struct {
        struct str bytes;
        const char *want;
    } cases[] = {
        {STR_LIT("a\xff\xfe"), "a\xef\xbf\xbd\xef\xbf\xbd"},
        {STR_LIT("\xe2\x82"), "\xef\xbf\xbd"},
        {STR_LIT("\xe2\x82x"), "\xef\xbf\xbdx"},
        {STR_LIT("\xf0\x9f\x92\xc3\xa9"), "\xef\xbf\xbd\xc3\xa9"},
        {STR_LIT("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {STR_LIT("\xc0\x80"), "\xef\xbf\xbd\xef\xbf\xbd"},
        {STR_LIT("\xf4\x90\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {STR_LIT("\xc3"), "\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t ids[8];
        struct buf out;
        buf_init(&out, 1024);
        for (size_t k = 0; k < cases[i].bytes.n; k++)
            ids[k] = (unsigned char)cases[i].bytes.p[k];
        assert_int_equal(tokenizer_decode(t, ids, cases[i].bytes.n, false, &out, NULL), ERR_OK);
        assert_string_equal(buf_z(&out), cases[i].want);
        buf_deinit(&out);
    }
    tokenizer_free(t);
}

static void decoding_skips_ids_without_a_token(void **state)
{
    (void)state;
    struct tokenizer *t =
        made(",\"added_tokens\":[{\"id\":300,\"content\":\"<x>\",\"special\":true}]");
    const int32_t ids[] = {'a', -5, 280, 100000, 300, 257};
    struct buf out;
    buf_init(&out, 1024);
    assert_int_equal(tokenizer_decode(t, ids, 6, false, &out, NULL), ERR_OK);
    assert_string_equal(buf_z(&out), "a<x>abc");
    buf_clear(&out);
    assert_int_equal(tokenizer_decode(t, ids, 6, true, &out, NULL), ERR_OK);
    assert_string_equal(buf_z(&out), "aabc");
    buf_deinit(&out);
    tokenizer_free(t);
}

static void text_that_is_no_utf8_is_refused_with_its_offset(void **state)
{
    (void)state;
    struct tokenizer *t = made("");
    struct tokens ids = {0};
    struct err e = {0};
    assert_true(tokens_add(&ids, 7));
    assert_int_equal(tokenizer_encode(t, STR_LIT("abc\xff"), &ids, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "byte 3"));
    assert_int_equal(ids.n, 1);
    tokens_deinit(&ids);
    tokenizer_free(t);
}

static void long_texts_are_encoded_like_short_ones(void **state)
{
    (void)state;
    static const char part[] = "The abc cab, e\xcc\x81t\xc3\xa9 <x> abc ab 123\n";
    struct tokenizer *t = made(",\"normalizer\":{\"type\":\"NFC\"},"
                               "\"added_tokens\":[{\"id\":300,\"content\":\"<x>\"}]");
    struct tokens once = {0}, all = {0};
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 500; i++)
        buf_add_z(&text, part);
    assert_int_equal(tokenizer_encode(t, STR_LIT(part), &once, NULL), ERR_OK);
    assert_int_equal(tokenizer_encode(t, buf_str(&text), &all, NULL), ERR_OK);
    assert_int_equal(all.n, once.n * 500);
    for (size_t i = 0; i < all.n; i++)
        assert_int_equal(all.ids[i], once.ids[i % once.n]);
    tokens_deinit(&once);
    tokens_deinit(&all);
    buf_deinit(&text);
    tokenizer_free(t);
}

static void vocabularies_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    check_refused(",\"zz\":3", "", "", "two tokens have the id 3");
    check_refused(",\"a\":300", "", "", "same text");
    check_refused(",\"zz\":-1", "", "", "no whole number");
    check_refused(",\"zz\":1.5", "", "", "no whole number");
    check_refused(",\"zz\":99999999999", "", "", "no whole number");
    check_refused(",\"zz\":\"3\"", "", "", "no whole number");
    check_refused(",\"\":300", "", "", "empty");
    check_refused("", "\"a b\"", "", "both together are not in the vocabulary");
    check_refused(",\"ab\":256", "\"a bb\"", "", "right one is not in the vocabulary");
    check_refused(",\"ab\":256", "\"ab\"", "", "two tokens are expected");
    check_refused(",\"ab\":256", "\"a  b\"", "", "stands for no byte");
    check_refused(",\"ab\":256", "[\"a\"]", "", "merge 0 is neither");
    check_refused(",\"ab\":256", "7", "", "merge 0 is neither");
    check_json_refused("{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                       "\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
                       ERR_FORMAT, "no token for byte 0x00");
}

static void added_tokens_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    check_refused("", "", ",\"added_tokens\":{}", "should be an array");
    check_refused("", "", ",\"added_tokens\":[{\"id\":300}]", "no 'content'");
    check_refused("", "", ",\"added_tokens\":[{\"content\":\"<x>\"}]", "no whole number");
    check_refused("", "", ",\"added_tokens\":[{\"id\":300,\"content\":\"\"}]", "0 bytes");
    check_refused("", "", ",\"added_tokens\":[{\"id\":65,\"content\":\"<x>\"}]", "another token");
    check_refused("", "", ",\"added_tokens\":[{\"id\":300,\"content\":\"A\"}]", "as a word");
    check_refused("", "", ",\"added_tokens\":[{\"id\":300,\"content\":\"<x>\",\"lstrip\":true}]",
                  "lstrip");
    check_refused("", "",
                  ",\"added_tokens\":[{\"id\":300,\"content\":\"<x>\"},"
                  "{\"id\":301,\"content\":\"<x>\"}]",
                  "same text");
}

static void settings_that_are_not_honoured_are_refused(void **state)
{
    (void)state;
    check_refused("", "", ",\"normalizer\":{\"type\":\"NFKC\"}", "NFKC");
    check_refused("", "", ",\"post_processor\":{\"type\":\"TemplateProcessing\"}", "Template");
    check_refused("", "", ",\"decoder\":{\"type\":\"Metaspace\"}", "Metaspace");
    check_json_refused("{\"model\":{\"type\":\"Unigram\"}}", ERR_FORMAT, "Unigram");
    check_json_refused("{\"model\":{\"dropout\":0.1}}", ERR_FORMAT, "dropout");
    check_json_refused("{\"model\":{\"end_of_word_suffix\":\"</w>\"}}", ERR_FORMAT, "suffixes");
    check_json_refused("{\"model\":{}}", ERR_FORMAT, "'vocab'");
    check_json_refused("{\"model\":{\"vocab\":{}}}", ERR_FORMAT, "'merges'");
    check_json_refused("{\"model\":{\"vocab\":{},\"merges\":[]}}", ERR_FORMAT, "not byte-level");
    check_json_refused("{}", ERR_FORMAT, "no 'model'");
    check_json_refused("[]", ERR_FORMAT, "should be an object");
    check_json_refused("{\"model\":", ERR_FORMAT, "not valid JSON");
    check_json_refused("", ERR_FORMAT, "not valid JSON");
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct buf json;
    struct tokenizer *t = NULL;
    struct err e = {0};
    buf_init(&json, 8 << 20);
    for (int i = 0; i < 1000000; i++)
        buf_add_byte(&json, '[');
    assert_int_not_equal(tokenizer_from_json(buf_str(&json), "made", &t, &e), ERR_OK);
    buf_clear(&json);
    buf_add_z(&json, "{\"model\":{\"vocab\":{},\"merges\":[]},\"pre_tokenizer\":");
    for (int i = 0; i < 1000; i++)
        buf_add_z(&json, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    for (int i = 0; i < 1000; i++)
        buf_add_z(&json, "]}");
    buf_add_byte(&json, '}');
    assert_int_equal(tokenizer_from_json(buf_str(&json), "made", &t, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "nested"));
    buf_deinit(&json);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct buf json;
    make_json(&json, WORDS, MERGES, ",\"added_tokens\":[{\"id\":300,\"content\":\"<x>\"}]");
    int failures = 0;
    for (long n = 1; n < 200; n++) {
        struct tokenizer *t = NULL;
        struct tokens ids = {0};
        struct err e = {0};
        mem_fail_after(n);
        enum err_code rc = tokenizer_from_json(buf_str(&json), "made", &t, &e);
        if (rc == ERR_OK)
            rc = tokenizer_encode(t, STR_LIT("abc e\xcc\x81 <x>"), &ids, &e);
        mem_fail_after(0);
        failures += rc != ERR_OK;
        assert_true(rc == ERR_OK || rc == ERR_NOMEM || rc == ERR_LIMIT);
        tokens_deinit(&ids);
        tokenizer_free(t);
    }
    assert_true(failures >= 10 && failures <= 100);
    buf_deinit(&json);
}

static void missing_files_are_named(void **state)
{
    (void)state;
    struct tokenizer *t = NULL;
    struct err e = {0};
    char dir[] = "/tmp/veetance-tokenizer-XXXXXX";
    assert_int_equal(tokenizer_open("/nowhere/tokenizer.json", &t, &e), ERR_NOTFOUND);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(tokenizer_open(dir, &t, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "neither tokenizer.json nor vocab.json"));
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_apply_in_order_of_rank),
        cmocka_unit_test(added_tokens_are_found_everywhere_longest_first),
        cmocka_unit_test(whole_words_win_when_merges_are_ignored),
        cmocka_unit_test(several_splits_apply_one_inside_the_other),
        cmocka_unit_test(decoding_replaces_what_is_no_utf8),
        cmocka_unit_test(decoding_skips_ids_without_a_token),
        cmocka_unit_test(text_that_is_no_utf8_is_refused_with_its_offset),
        cmocka_unit_test(long_texts_are_encoded_like_short_ones),
        cmocka_unit_test(vocabularies_that_make_no_sense_are_refused),
        cmocka_unit_test(added_tokens_that_make_no_sense_are_refused),
        cmocka_unit_test(settings_that_are_not_honoured_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(missing_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
