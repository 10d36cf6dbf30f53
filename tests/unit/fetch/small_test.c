/* The small modules: names, origins, git's sums, waiting, the record, words. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "fetch/git_blob.h"
#include "fetch/paths.h"
#include "fetch/record.h"
#include "fetch/token.h"
#include "fetch/words.h"

static void names_stay_inside(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a/b/c.json", "..a/b", "a b", "\xc3\xbc.bin"};
    static const char *const bad[] = {"",      "/a",     "a/",       "a//b", ".",    "..",
                                      "a/..",  "../a",   "a/./b",    "a\\b", "a\nb", "a\x7f",
                                      "a/b. ", ".fetch", ".fetch/a", "x.",   "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(path_check(str_from(good[i]), "test", NULL), ERR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (path_check(str_from(bad[i]), "test", NULL) != ERR_FORMAT)
            fail_msg("'%s' was believed", bad[i]);
}

static void sizes_read_well(void **state)
{
    (void)state;
    char t[32];
    assert_string_equal(path_size_text(999, t), "999 B");
    assert_string_equal(path_size_text(7751109744, t), "7.75 GB");
    assert_string_equal(path_size_text(168120878, t), "168.1 MB");
}

static void origins_are_compared_as_hosts_are(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"https://Hub.Example/a?b", "https://hub.example"},
        {"HTTPS://hub.example:443", "https://hub.example"},
        {"http://localhost:8000/x", "http://localhost:8000"},
        {"http://h:80#f", "http://h"},
        {"https://hub.example\\@evil.example/", "https://hub.example"},
    };
    static const char *const bad[] = {"ftp://h/",    "https://", "https://user@h/",
                                      "hub.example", "",         "https://:80"};
    char o[ORIGIN_BYTES];
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(url_origin(pairs[i][0], o, NULL), ERR_OK);
        assert_string_equal(o, pairs[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(url_origin(bad[i], o, NULL), ERR_ARG);
    assert_true(url_is_loopback("http://localhost:1/"));
    assert_true(url_is_loopback("http://127.0.0.1"));
    assert_false(url_is_loopback("http://localhost.evil.example/"));
    assert_false(url_is_loopback("http://127.0.0.1.evil.example/"));
}

static void git_names_contents_as_git_does(void **state)
{
    (void)state;
    struct git_blob g;
    char hex[GIT_BLOB_HEX_BYTES];
    git_blob_init(&g, 0);
    git_blob_end(&g, hex);
    assert_string_equal(hex, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    git_blob_init(&g, 12);
    git_blob_add(&g, "hello ", 6);
    git_blob_add(&g, "world\n", 6);
    git_blob_end(&g, hex);
    assert_string_equal(hex, "3b18e512dba79e4c8300dd08aeb37f8e728b8dad");
}

static void waits_grow_and_heed_the_server(void **state)
{
    (void)state;
    struct retry r = {.seed = 7};
    double base = 0.125;
    for (int i = 0; i < 20; i++) {
        double w = retry_next_s(&r, 0);
        assert_true(w >= base * 0.5 && w <= base);
        base = base * 2 > 30 ? 30 : base * 2;
    }
    assert_true(retry_next_s(&r, 17) >= 17);
    assert_true(retry_next_s(&r, 17) < 17.5);
    atomic_bool stop = true;
    assert_false(retry_sleep(10, &stop));
}

static void records_come_back_and_replace_by_path(void **state)
{
    (void)state;
    struct record r, back;
    struct buf text;
    struct err e = {0};
    char sha[65];
    memset(sha, 'a', 64);
    sha[64] = 0;
    struct record_file f = {.path = "x/y", .sha256 = sha, .size = 5, .repo = "o/r", .commit = ""};
    assert_int_equal(record_parse(STR_LIT("{\"format\":1,\"files\":[]}"), "test", &r, &e), ERR_OK);
    assert_int_equal(record_put(&r, &f, &e), ERR_OK);
    f.size = 6;
    assert_int_equal(record_put(&r, &f, &e), ERR_OK);
    assert_int_equal(record_add_licence(&r, "l", &e), ERR_OK);
    assert_int_equal(record_add_licence(&r, "l", &e), ERR_OK);
    buf_init(&text, 1 << 20);
    assert_int_equal(record_text(&r, &text, &e), ERR_OK);
    assert_int_equal(record_parse(buf_str(&text), "test", &back, &e), ERR_OK);
    assert_int_equal(back.count, 1);
    assert_int_equal(record_find(&back, "x/y")->size, 6);
    assert_string_equal(back.files[0].repo, "o/r");
    assert_int_equal(back.licence_count, 1);
    buf_deinit(&text);
    record_deinit(&back);
    record_deinit(&r);
}

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void unsound_records_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"format\":2,\"files\":[]}",
        "{\"format\":1}",
        "{\"format\":1,\"files\":{}}",
        "{\"format\":1,\"files\":[7]}",
        "{\"format\":1,\"files\":[{\"path\":\"a\",\"size\":1,\"sha256\":\"b\"}]}",
        "{\"format\":1,\"files\":[{\"path\":\"../a\",\"size\":1,\"sha256\":\"" SHA "\"}]}",
        "{\"format\":1,\"files\":[{\"path\":\"a\",\"sha256\":\"" SHA "\"}]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct record r;
        if (record_parse(str_from(bad[i]), "test", &r, NULL) != ERR_FORMAT)
            fail_msg("%s was believed", bad[i]);
        record_deinit(&r);
    }
}

static void tokens_are_for_their_origin_alone(void **state)
{
    (void)state;
    char home[] = "/tmp/veetance-token-XXXXXX";
    struct token t;
    struct err e = {0};
    bool was_there;
    assert_non_null(mkdtemp(home));
    assert_int_equal(setenv("VEETANCE_HOME", home, 1), 0);
    assert_int_equal(setenv("HF_HOME", home, 1), 0);
    assert_int_equal(unsetenv("HF_TOKEN"), 0);
    assert_int_equal(unsetenv("HF_TOKEN_PATH"), 0);
    assert_int_equal(unsetenv("HF_ENDPOINT"), 0);
    assert_int_equal(token_save("https://a.example", "secret-of-a", &e), ERR_OK);
    assert_int_equal(token_save("https://b.example", "secret-of-b", &e), ERR_OK);
    assert_int_equal(token_find("https://b.example", &t, &e), ERR_OK);
    assert_string_equal(t.secret, "secret-of-b");
    assert_int_equal(token_find("https://c.example", &t, &e), ERR_OK);
    assert_string_equal(t.secret, "");
    assert_int_equal(setenv("HF_TOKEN", "secret-of-hub", 1), 0);
    assert_int_equal(token_find("https://a.example", &t, &e), ERR_OK);
    assert_string_equal(t.secret, "secret-of-a");
    assert_int_equal(token_find("https://huggingface.co", &t, &e), ERR_OK);
    assert_string_equal(t.secret, "secret-of-hub");
    assert_int_equal(token_forget("https://a.example", &was_there, &e), ERR_OK);
    assert_true(was_there);
    assert_int_equal(token_find("https://a.example", &t, &e), ERR_OK);
    assert_string_equal(t.secret, "");
    folder_remove_tree(home);
}

static void refusals_name_the_page(void **state)
{
    (void)state;
    struct words_http h = {.status = 403,
                           .code = "GatedRepo",
                           .message = "",
                           .what = "o/r: f",
                           .page = "https://hub.example/o/r",
                           .hub = "https://hub.example",
                           .had_token = true};
    struct err e = {0};
    assert_int_equal(words_for_status(&h, &e), WORDS_GIVE_UP);
    assert_non_null(strstr(e.text, "visit https://hub.example/o/r"));
    h.status = 401;
    h.had_token = false;
    assert_int_equal(words_for_status(&h, &e), WORDS_GIVE_UP);
    assert_non_null(strstr(e.text, "veetance-fetch login"));
    h.status = 429;
    assert_int_equal(words_for_status(&h, &e), WORDS_TRY_AGAIN);
    h.status = 503;
    assert_int_equal(words_for_status(&h, &e), WORDS_TRY_AGAIN);
    assert_int_equal(words_for_transfer(CURLE_PEER_FAILED_VERIFICATION, "", "h", &e),
                     WORDS_GIVE_UP);
    assert_non_null(strstr(e.text, "certificate"));
    assert_int_equal(words_for_transfer(CURLE_RECV_ERROR, "", "h", &e), WORDS_TRY_AGAIN);
}

static void a_rate_limit_tells_how_long_to_wait(void **state)
{
    (void)state;
    assert_true(words_wait_s("\"resolvers\";r=0;t=172") == 172);
    assert_true(words_wait_s("\"resolvers\";r=2999;t=172") == 0);
    assert_true(words_wait_s("\"resolvers\";r=0") == 0);
    assert_true(words_wait_s("\"resolvers\";r=0;t=-5") == 0);
    assert_true(words_wait_s("") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stay_inside),
        cmocka_unit_test(sizes_read_well),
        cmocka_unit_test(origins_are_compared_as_hosts_are),
        cmocka_unit_test(git_names_contents_as_git_does),
        cmocka_unit_test(waits_grow_and_heed_the_server),
        cmocka_unit_test(records_come_back_and_replace_by_path),
        cmocka_unit_test(unsound_records_are_refused),
        cmocka_unit_test(tokens_are_for_their_origin_alone),
        cmocka_unit_test(refusals_name_the_page),
        cmocka_unit_test(a_rate_limit_tells_how_long_to_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
