#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "http/base64.h"
#include "http/check.h"

static const struct http_field inner[] = {
    {.name = "opacity", .type = HTTP_NUMBER, .lo = 0, .hi = 1, .required = true}, {0}};

static const struct http_field table[] = {
    {.name = "width", .type = HTTP_INT, .lo = 64, .hi = 2048, .nullable = true},
    {.name = "mode", .type = HTTP_STRING, .values = "normal|multiply"},
    {.name = "image", .type = HTTP_ASSET, .required = true},
    {.name = "layers", .type = HTTP_ARRAY, .items = HTTP_OBJECT, .fields = inner, .lo = 0, .hi = 2},
    {0}};

#define ID "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""

static enum err_code check(const char *text, bool merge, char field[CHECK_FIELD_SIZE])
{
    yyjson_doc *doc = NULL;
    struct err e = {0};
    assert_int_equal(json_parse(str_from(text), "test", &doc, &e), ERR_OK);
    enum err_code rc = check_object(table, yyjson_doc_get_root(doc), merge, field, &e);
    yyjson_doc_free(doc);
    return rc;
}

static void takes_what_the_table_says(void **state)
{
    char field[CHECK_FIELD_SIZE];
    (void)state;
    assert_int_equal(check("{\"image\":" ID "}", false, field), ERR_OK);
    assert_int_equal(check("{\"image\":" ID ",\"width\":null,\"mode\":\"multiply\"}", false, field),
                     ERR_OK);
    assert_int_equal(
        check("{\"image\":" ID ",\"width\":64.0,\"layers\":[{\"opacity\":1}]}", false, field),
        ERR_OK);
    assert_int_equal(check("{}", true, field), ERR_OK);
}

static void names_the_member_when_it_is_wrong(void **state)
{
    static const struct {
        const char *text, *field;
    } cases[] = {
        {"{}", "image"},
        {"{\"image\":\"x\"}", "image"},
        {"{\"image\":" ID ",\"width\":63}", "width"},
        {"{\"image\":" ID ",\"width\":64.5}", "width"},
        {"{\"image\":" ID ",\"width\":\"64\"}", "width"},
        {"{\"image\":" ID ",\"mode\":\"dissolve\"}", "mode"},
        {"{\"image\":" ID ",\"mode\":null}", "mode"},
        {"{\"image\":" ID ",\"depth\":1}", "depth"},
        {"{\"image\":" ID ",\"width\":64,\"width\":65}", "width"},
        {"{\"image\":" ID ",\"layers\":[{\"opacity\":0},{\"opacity\":2}]}", "layers[1].opacity"},
        {"{\"image\":" ID ",\"layers\":[{}]}", "layers[0].opacity"},
        {"{\"image\":" ID ",\"layers\":[1]}", "layers[0]"},
        {"{\"image\":" ID ",\"layers\":[{\"opacity\":0},{\"opacity\":0},{\"opacity\":0}]}",
         "layers"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char field[CHECK_FIELD_SIZE];
        assert_int_equal(check(cases[i].text, false, field), ERR_ARG);
        assert_string_equal(field, cases[i].field);
    }
}

static void long_names_do_not_overflow_the_path(void **state)
{
    char text[2000] = "{\"image\":" ID ",\"", field[CHECK_FIELD_SIZE];
    size_t n = strlen(text);
    (void)state;
    memset(text + n, 'a', 1000);
    memcpy(text + n + 1000, "\":1}", 5);
    assert_int_equal(check(text, false, field), ERR_ARG);
    assert_true(strlen(field) < CHECK_FIELD_SIZE);
}

static void base64_comes_back_as_it_was(void **state)
{
    (void)state;
    for (size_t n = 0; n < 64; n++) {
        unsigned char bytes[64];
        struct buf text, back;
        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)(i * 37 + n);
        buf_init(&text, 1000);
        buf_init(&back, 1000);
        base64_add(&text, (struct str){(const char *)bytes, n});
        assert_int_equal(text.n, (n + 2) / 3 * 4);
        assert_true(base64_decode(buf_str(&text), &back));
        assert_int_equal(back.n, n);
        assert_memory_equal(buf_z(&back), bytes, n);
        buf_deinit(&text);
        buf_deinit(&back);
    }
}

/* Whatever lay in the buffer's memory before: a password is compared as a C string. */
static void base64_ends_in_a_nul_when_memory_was_used_before(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    buf_add_z(&out, "................................");
    buf_clear(&out);
    assert_true(base64_decode(STR_LIT("OnRva2Vu"), &out));
    assert_string_equal(buf_z(&out), ":token");
    buf_clear(&out);
    buf_add_z(&out, "................................");
    buf_clear(&out);
    assert_true(base64_decode(STR_LIT("YTpi\n"), &out));
    assert_string_equal(buf_z(&out), "a:b");
    buf_deinit(&out);
}

static void base64_is_refused_when_it_is_none(void **state)
{
    static const char *const bad[] = {"!", "a", "ab*=", "=a", "abc=d"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf out;
        buf_init(&out, 100);
        assert_false(base64_decode(str_from(bad[i]), &out));
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_the_table_says),
        cmocka_unit_test(names_the_member_when_it_is_wrong),
        cmocka_unit_test(long_names_do_not_overflow_the_path),
        cmocka_unit_test(base64_comes_back_as_it_was),
        cmocka_unit_test(base64_ends_in_a_nul_when_memory_was_used_before),
        cmocka_unit_test(base64_is_refused_when_it_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
