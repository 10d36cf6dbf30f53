#include <math.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/ck.h"
#include "base/err.h"
#include "base/file.h"
#include "base/floats.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/str.h"

static void err_note_puts_prefix_in_front(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_FORMAT, "tensor %d", 3), ERR_FORMAT);
    assert_int_equal(err_note(&e, "file %s", "a.bin"), ERR_FORMAT);
    assert_string_equal(e.text, "file a.bin: tensor 3");
}

static void err_note_stays_in_bounds_when_texts_are_long(void **state)
{
    (void)state;
    struct err e = {0};
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    (void)err_set(&e, ERR_IO, "%s", big);
    (void)err_note(&e, "%s", big);
    assert_true(strlen(e.text) < sizeof e.text);
}

static void checked_math_fails_when_it_overflows(void **state)
{
    (void)state;
    size_t out = 7;
    assert_false(ck_mul_size(SIZE_MAX / 2, 3, &out));
    assert_int_equal(out, 7);
    assert_true(ck_mul_size(6, 7, &out));
    assert_int_equal(out, 42);
}

static void numbers_parse_only_whole_strings(void **state)
{
    (void)state;
    int64_t i;
    uint64_t u;
    double d;
    assert_true(str_to_i64(STR_LIT("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_false(str_to_i64(STR_LIT("9223372036854775808"), &i));
    assert_false(str_to_u64(STR_LIT("12x"), &u));
    assert_false(str_to_u64(STR_LIT(""), &u));
    assert_true(str_to_double(STR_LIT("1e-3"), &d) && d == 1e-3);
    assert_false(str_to_double(STR_LIT("nan"), &d));
    assert_false(str_to_double(STR_LIT("1e999"), &d));
}

static void utf8_is_refused_when_malformed(void **state)
{
    (void)state;
    size_t at;
    assert_true(str_is_utf8(STR_LIT("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), &at));
    assert_false(str_is_utf8(STR_LIT("ab\xc0\x80"), &at));
    assert_int_equal(at, 2);
    assert_false(str_is_utf8(STR_LIT("\xed\xa0\x80"), NULL));
    assert_false(str_is_utf8(STR_LIT("\xf4\x90\x80\x80"), NULL));
    assert_false(str_is_utf8(STR_LIT("\xe2\x82"), NULL));
}

static void buf_failure_sticks_when_maximum_is_passed(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    buf_add_z(&b, "abcde");
    assert_false(buf_failed(&b));
    buf_add_byte(&b, 'f');
    buf_printf(&b, "%d", 1);
    assert_true(buf_failed(&b));
    assert_int_equal(b.n, 5);
    buf_deinit(&b);
}

static void arena_returns_null_past_its_maximum(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1000);
    assert_non_null(arena_alloc(&a, 600));
    assert_null(arena_alloc(&a, 600));
    assert_null(arena_array(&a, SIZE_MAX / 2, 4));
    assert_string_equal(arena_strdup(&a, STR_LIT("hello")), "hello");
    arena_deinit(&a);
}

static void allocation_fails_when_told_to(void **state)
{
    (void)state;
    mem_fail_after(2);
    void *p = mem_try_alloc(8);
    assert_non_null(p);
    assert_null(mem_try_alloc(8));
    assert_null(mem_try_alloc(8));
    mem_fail_after(0);
    mem_free(p);
    assert_null(mem_try_array(SIZE_MAX, 2));
}

static void written_file_comes_back_whole(void **state)
{
    (void)state;
    char dir[] = "/tmp/vt-base-XXXXXX", path[4096];
    struct err e = {0};
    assert_non_null(mkdtemp(dir));
    assert_int_equal(file_join(path, sizeof path, dir, "f", &e), ERR_OK);
    assert_int_equal(file_write_atomic(path, "one", 3, &e), ERR_OK);
    assert_int_equal(file_write_atomic(path, "twoo", 4, &e), ERR_OK);
    struct buf b;
    assert_int_equal(file_read(path, 100, &b, &e), ERR_OK);
    assert_string_equal(buf_z(&b), "twoo");
    buf_deinit(&b);
    assert_int_equal(file_read(path, 3, &b, &e), ERR_LIMIT);
    struct file_map m;
    assert_int_equal(file_map(path, &m, &e), ERR_OK);
    assert_int_equal(m.n, 4);
    file_unmap(&m);
    assert_int_equal(file_map(dir, &m, &e), ERR_ARG);
    unlink(path);
    assert_int_equal(file_map(path, &m, &e), ERR_NOTFOUND);
    rmdir(dir);
}

static void windows_paths_are_those_of_linux_beside_it(void **state)
{
    static const char *const rows[][2] = {
        {"D:\\models\\FLUX.2-klein-4B", "/mnt/d/models/FLUX.2-klein-4B"},
        {"c:/Users/me/x.gguf", "/mnt/c/Users/me/x.gguf"},
        {"\\\\wsl.localhost\\Ubuntu\\home\\me", "/home/me"},
        {"\\\\wsl$\\Debian\\srv\\x", "/srv/x"},
        {"..\\parts\\x.safetensors", "../parts/x.safetensors"},
        {"/srv/models/x", "/srv/models/x"},
        {"d:x", "d:x"},
        {"micro-klein", "micro-klein"},
        {"", ""},
    };
    char out[64], little[8];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(file_native_path(rows[i][0], out, sizeof out));
        assert_string_equal(out, rows[i][1]);
    }
    assert_false(file_native_path("D:\\models", little, sizeof little));
    assert_false(file_native_path("/srv/models", little, sizeof little));
}

static void json_is_refused_when_nested_too_deep(void **state)
{
    (void)state;
    char deep[2 * JSON_MAX_DEPTH + 4];
    memset(deep, '[', sizeof deep);
    yyjson_doc *doc;
    struct err e = {0};
    assert_int_equal(json_parse((struct str){deep, sizeof deep}, "x.json", &doc, &e), ERR_LIMIT);
    assert_null(doc);
}

/* One bad number anywhere is found, in whole parts and behind them. */
static void numbers_that_are_not_finite_are_found(void **state)
{
    (void)state;
    enum { N = 2600 };
    static float x[N];
    for (int i = 0; i < N; i++)
        x[i] = i % 2 ? -3.4e38f : 1e-45f;
    for (int64_t n = 0; n <= N; n += 100)
        assert_true(floats_finite(x, n));
    for (int i = 0; i < N; i += 37) {
        float kept = x[i];
        x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? -INFINITY : INFINITY;
        assert_false(floats_finite(x, N));
        assert_true(floats_finite(x, i));
        x[i] = kept;
    }
}

static void count_piece(size_t i, void *user)
{
    atomic_int *done = user;
    atomic_fetch_add(&done[i], 1);
}

static void every_piece_is_done_once(void **state)
{
    (void)state;
    enum { N = 1000 };
    static atomic_int done[N];
    for (size_t n = 0; n <= N; n += 250) {
        memset(done, 0, sizeof done);
        parallel_each(n, count_piece, done);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(atomic_load(&done[i]), i < n);
    }
}

static void json_getters_name_the_key_that_is_wrong(void **state)
{
    (void)state;
    yyjson_doc *doc;
    struct err e = {0};
    assert_int_equal(
        json_parse(STR_LIT("{\"a\":5,\"b\":\"x\",\"c\":null,\"d\":[1,2,3]}"), "x.json", &doc, &e),
        ERR_OK);
    yyjson_val *o = yyjson_doc_get_root(doc);
    int64_t v = 9, list[3];
    size_t n = 0;
    assert_int_equal(json_get_i64(o, "a", 0, 10, &v, "x.json", &e), ERR_OK);
    assert_int_equal(v, 5);
    assert_int_equal(json_get_i64(o, "a", 6, 10, &v, "x.json", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "'a'"));
    assert_int_equal(json_get_i64(o, "b", 0, 10, &v, "x.json", &e), ERR_FORMAT);
    assert_int_equal(json_get_i64(o, "c", 0, 10, &v, "x.json", &e), ERR_OK);
    assert_int_equal(json_get_i64_array(o, "d", 0, 9, list, 3, &n, "x.json", &e), ERR_OK);
    assert_int_equal(n, 3);
    assert_int_equal(json_get_i64_array(o, "d", 0, 9, list, 2, &n, "x.json", &e), ERR_LIMIT);
    yyjson_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_note_puts_prefix_in_front),
        cmocka_unit_test(err_note_stays_in_bounds_when_texts_are_long),
        cmocka_unit_test(checked_math_fails_when_it_overflows),
        cmocka_unit_test(numbers_parse_only_whole_strings),
        cmocka_unit_test(utf8_is_refused_when_malformed),
        cmocka_unit_test(buf_failure_sticks_when_maximum_is_passed),
        cmocka_unit_test(arena_returns_null_past_its_maximum),
        cmocka_unit_test(allocation_fails_when_told_to),
        cmocka_unit_test(written_file_comes_back_whole),
        cmocka_unit_test(windows_paths_are_those_of_linux_beside_it),
        cmocka_unit_test(json_is_refused_when_nested_too_deep),
        cmocka_unit_test(json_getters_name_the_key_that_is_wrong),
        cmocka_unit_test(numbers_that_are_not_finite_are_found),
        cmocka_unit_test(every_piece_is_done_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
