/* A tokenizer that is read on a thread of its own: the same one, given to one caller, and read anew for any other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "pipeline/ahead.h"
#include "pipeline/model_dir.h"

static const char *const MODEL = VT_SOURCE_DIR "/models/micro-klein";

static void open_dir(struct model_dir *dir)
{
    struct err e = {0};
    if (model_dir_open(MODEL, dir, &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static void take(struct ahead *a, const char *path)
{
    struct err e = {0};
    struct tokenizer *t;
    if (ahead_tokenizer(a, path, &t, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_true(tokenizer_vocab_size(t) > 0);
    tokenizer_free(t);
}

static void what_was_read_is_given_once_and_then_read_again(void **state)
{
    (void)state;
    static struct model_dir dir;
    open_dir(&dir);
    struct ahead *a = ahead_begin(MODEL);
    assert_non_null(a);
    take(a, dir.tokenizer);
    take(a, dir.tokenizer);
    ahead_end(a);
    take(NULL, dir.tokenizer);
}

static void another_path_is_read_when_it_is_asked_for(void **state)
{
    (void)state;
    struct err e = {0};
    struct tokenizer *t;
    struct ahead *a = ahead_begin(MODEL);
    take(a, "builtin:qwen3");
    assert_int_not_equal(ahead_tokenizer(a, VT_SOURCE_DIR "/no-such-file", &t, &e), ERR_OK);
    assert_true(e.text[0]);
    ahead_end(a); /* with one that nobody took */
}

static void a_model_that_is_not_there_is_nobodys_error_yet(void **state)
{
    (void)state;
    static struct model_dir dir;
    open_dir(&dir);
    struct ahead *a = ahead_begin(VT_SOURCE_DIR "/no-such-model");
    take(a, dir.tokenizer);
    ahead_end(a);
    assert_null(ahead_begin(NULL));
    assert_null(ahead_begin(""));
    ahead_end(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_read_is_given_once_and_then_read_again),
        cmocka_unit_test(another_path_is_read_when_it_is_asked_for),
        cmocka_unit_test(a_model_that_is_not_there_is_nobodys_error_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
