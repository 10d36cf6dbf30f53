#include <stdio.h>

#include "base/mem.h"
#include "build.h"
#include "weights/checkpoint.h"

#define T(name, dtype, shape, begin, end)                                                          \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end   \
    "]}"
#define GOOD T("a", "F32", "[2,3]", "0", "24")

/* One broken header a rule; each file has 48 bytes of data. */
static const struct {
    const char *rule;
    const char *header;
    enum err_code code;
    const char *says;
} broken[] = {
    {"header_is_an_array", "[1]", ERR_FORMAT, "neither a safetensors"},
    {"header_is_cut_json", "{\"a\":{", ERR_FORMAT, "not valid JSON"},
    {"header_has_text_behind", "{" GOOD "} x", ERR_FORMAT, "not valid JSON"},
    {"header_has_a_comment", "{/* */" GOOD "}", ERR_FORMAT, "not valid JSON"},
    {"header_has_a_trailing_comma", "{" GOOD ",}", ERR_FORMAT, "not valid JSON"},
    {"no_tensors", "{}", ERR_FORMAT, "no tensors"},
    {"only_metadata", "{\"__metadata__\":{}}", ERR_FORMAT, "no tensors"},
    {"tensor_is_no_object", "{\"a\":[0,24]}", ERR_FORMAT, "'a' is no JSON object"},
    {"double_tensor", "{" GOOD "," T("a", "F32", "[2]", "24", "32") "}", ERR_FORMAT,
     "'a' is there twice"},
    {"double_key_in_tensor",
     "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}",
     ERR_FORMAT, "'dtype' is there twice"},
    {"double_metadata", "{\"__metadata__\":{},\"__metadata__\":{}," GOOD "}", ERR_FORMAT,
     "'__metadata__' is there twice"},
    {"double_metadata_key", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}," GOOD "}", ERR_FORMAT,
     "'k' is there twice"},
    {"metadata_is_no_object", "{\"__metadata__\":3," GOOD "}", ERR_FORMAT,
     "'__metadata__' is no JSON object"},
    {"metadata_value_is_no_string", "{\"__metadata__\":{\"k\":{}}," GOOD "}", ERR_FORMAT,
     "'k' is no string"},
    {"dtype_missing", "{\"a\":{\"shape\":[6],\"data_offsets\":[0,24]}}", ERR_FORMAT,
     "'dtype' is missing"},
    {"dtype_is_a_number", "{\"a\":{\"dtype\":1,\"shape\":[6],\"data_offsets\":[0,24]}}", ERR_FORMAT,
     "'dtype' is missing or no string"},
    {"dtype_unknown", "{" T("a", "F5", "[6]", "0", "3") "}", ERR_FORMAT,
     "the dtype 'F5' is not known"},
    {"dtype_of_gguf", "{" T("a", "Q8_0", "[32]", "0", "34") "}", ERR_FORMAT, "'Q8_0'"},
    {"shape_missing", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,24]}}", ERR_FORMAT,
     "'shape' is missing"},
    {"shape_is_a_string", "{" T("a", "F32", "\"6\"", "0", "24") "}", ERR_FORMAT,
     "'shape' is missing or no array"},
    {"dim_negative", "{" T("a", "F32", "[-6]", "0", "24") "}", ERR_FORMAT, "dim 0 is no count"},
    {"dim_fractional", "{" T("a", "F32", "[6.0]", "0", "24") "}", ERR_FORMAT, "dim 0 is no count"},
    {"dim_over_int64", "{" T("a", "F32", "[9223372036854775808]", "0", "24") "}", ERR_FORMAT,
     "dim 0 is no count"},
    {"product_overflows", "{" T("a", "F32", "[4294967296,4294967296]", "0", "0") "}", ERR_FORMAT,
     "too large"},
    {"bytes_overflow", "{" T("a", "F64", "[4611686018427387904]", "0", "0") "}", ERR_FORMAT,
     "too large"},
    {"too_many_dims", "{" T("a", "F32", "[1,1,1,1,1,6]", "0", "24") "}", ERR_LIMIT,
     "6 dims, at most 5"},
    {"offsets_missing", "{\"a\":{\"dtype\":\"F32\",\"shape\":[6]}}", ERR_FORMAT,
     "'data_offsets' is no pair"},
    {"offsets_are_three", "{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24,24]}}",
     ERR_FORMAT, "'data_offsets' is no pair"},
    {"offsets_negative", "{" T("a", "F32", "[6]", "-24", "0") "}", ERR_FORMAT,
     "'data_offsets' is no pair"},
    {"offsets_reversed", "{" T("a", "F32", "[6]", "24", "0") "}", ERR_FORMAT, "before it begins"},
    {"offsets_leave_the_file", "{" T("a", "F32", "[6]", "40", "64") "}", ERR_FORMAT,
     "holds only 48 bytes"},
    {"offsets_near_overflow",
     "{" T("a", "F32", "[6]", "18446744073709551591", "18446744073709551615") "}", ERR_FORMAT,
     "holds only 48 bytes"},
    {"span_too_long", "{" T("a", "F32", "[5]", "0", "24") "}", ERR_FORMAT,
     "takes 20 bytes, its offsets span 24"},
    {"span_too_short", "{" T("a", "F32", "[7]", "0", "24") "}", ERR_FORMAT,
     "takes 28 bytes, its offsets span 24"},
    {"overlap", "{" GOOD "," T("b", "F32", "[4]", "20", "36") "}", ERR_FORMAT,
     "'a' and 'b' overlap"},
    {"same_bytes_twice", "{" GOOD "," T("b", "F32", "[6]", "0", "24") "}", ERR_FORMAT, "overlap"},
    {"name_empty", "{" T("", "F32", "[6]", "0", "24") "}", ERR_FORMAT, "empty name"},
    {"name_with_nul", "{" T("a\\u0000b", "F32", "[6]", "0", "24") "}", ERR_FORMAT,
     "control character"},
    {"name_with_newline", "{" T("a\\nb", "F32", "[6]", "0", "24") "}", ERR_FORMAT,
     "control character"},
    {"name_not_utf8", "{" T("a\xff", "F32", "[6]", "0", "24") "}", ERR_FORMAT, "not valid JSON"},
};

static enum err_code open_bytes(const struct buf *b, struct checkpoint **c, struct err *e)
{
    *e = (struct err){0};
    return checkpoint_open_bytes("test", b->p, b->n, c, e);
}

static void broken_headers_are_refused_with_their_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct buf b;
        struct checkpoint *c;
        struct err e;
        build_raw(&b, str_from(broken[i].header), 48);
        enum err_code rc = open_bytes(&b, &c, &e);
        if (rc != broken[i].code || !strstr(e.text, broken[i].says))
            fail_msg("%s: %s: %s", broken[i].rule, err_code_name(rc), e.text);
        assert_null(c);
        buf_deinit(&b);
    }
}

static void expect_refusal(const void *p, size_t n, enum err_code code, const char *says)
{
    struct checkpoint *c;
    struct err e = {0};
    assert_int_equal(checkpoint_open_bytes("test", p, n, &c, &e), code);
    if (!strstr(e.text, says))
        fail_msg("expected '%s' in '%s'", says, e.text);
}

static void other_files_are_named_when_handed_over_by_mistake(void **state)
{
    (void)state;
    expect_refusal("", 0, ERR_FORMAT, "empty");
    expect_refusal("abc", 3, ERR_FORMAT, "neither a safetensors nor a GGUF");
    expect_refusal("PK\x03\x04 archive/data.pkl", 20, ERR_FORMAT, "PyTorch pickle");
    expect_refusal("version https://git-lfs.github.com/spec/v1\n", 43, ERR_FORMAT,
                   "Git LFS pointer");
    expect_refusal("<!DOCTYPE html><html>", 21, ERR_FORMAT, "web page");
}

static void a_header_that_leaves_the_file_is_refused(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    put_u64(&b, 1000);
    buf_add_z(&b, "{\"a\":1}");
    expect_refusal(b.p, b.n, ERR_FORMAT, "claims 1000 bytes");
    buf_clear(&b);
    put_u64(&b, UINT64_MAX);
    buf_add_z(&b, "{}");
    expect_refusal(b.p, b.n, ERR_LIMIT, "at most 100000000");
    buf_clear(&b);
    put_u64(&b, 0);
    buf_add_z(&b, "{}");
    expect_refusal(b.p, b.n, ERR_FORMAT, "does not begin with '{'");
    buf_deinit(&b);
}

static void every_truncation_of_a_sound_file_is_refused(void **state)
{
    struct buf b;
    (void)state;
    build_raw(&b, STR_LIT("{" GOOD "," T("b", "F16", "[12]", "24", "48") "}"), 48);
    for (size_t n = 0; n < b.n; n++) {
        struct checkpoint *c;
        unsigned char *copy =
            mem_try_alloc(n); /* its own block, so that a read behind it is seen */
        memcpy(copy, b.p, n);
        assert_int_not_equal(checkpoint_open_bytes("test", copy, n, &c, NULL), ERR_OK);
        mem_free(copy);
    }
    buf_deinit(&b);
}

static void nesting_bombs_are_refused(void **state)
{
    struct buf text, b;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_z(&text, "{\"a\":");
    for (int i = 0; i < 100000; i++)
        buf_add_byte(&text, '[');
    build_raw(&b, buf_str(&text), 0);
    expect_refusal(b.p, b.n, ERR_LIMIT, "nested deeper");
    buf_deinit(&text);
    buf_deinit(&b);
}

static void floods_of_values_are_refused_before_parsing(void **state)
{
    struct buf text, b;
    (void)state;
    buf_init(&text, (size_t)16 << 20);
    buf_add_z(&text, "{\"a\":[0");
    for (int i = 0; i < 4000001; i++)
        buf_add(&text, ",0", 2);
    buf_add_z(&text, "]}");
    build_raw(&b, buf_str(&text), 0);
    expect_refusal(b.p, b.n, ERR_LIMIT, "entries");
    buf_deinit(&text);
    buf_deinit(&b);
}

static void long_names_are_refused(void **state)
{
    struct buf text, b;
    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_z(&text, "{\"");
    for (int i = 0; i < 513; i++)
        buf_add_byte(&text, 'n');
    buf_add_z(&text, "\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}");
    build_raw(&b, buf_str(&text), 24);
    expect_refusal(b.p, b.n, ERR_LIMIT, "513 bytes, at most 512");
    buf_deinit(&text);
    buf_deinit(&b);
}

/* What other writers put into headers, and the reference reader takes. */
static void unusual_but_legal_headers_are_read(void **state)
{
    static const char *const headers[] = {
        "{\"__metadata__\":null," GOOD "}",
        "{" GOOD ",\"__metadata__\":{}}   ",
        "{" GOOD ",\"s\":{\"data_offsets\":[24,28],\"shape\":[],\"dtype\":\"F32\",\"extra\":1}}",
        "{" GOOD ",\"e\":{\"dtype\":\"BF16\",\"shape\":[0,8],\"data_offsets\":[24,24]}}",
        "{" GOOD ",\"u\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[24,28]}}",
        "{" GOOD ",\"f\":{\"dtype\":\"F4\",\"shape\":[2,4],\"data_offsets\":[24,28]}}",
        "{" GOOD ",\"x\":{\"dtype\":\"F8_E8M0\",\"shape\":[4],\"data_offsets\":[24,28]}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct buf b;
        struct checkpoint *c = NULL;
        struct err e = {0};
        build_raw(&b, str_from(headers[i]), 28);
        if (checkpoint_open_bytes("test", b.p, b.n, &c, &e) != ERR_OK)
            fail_msg("%s: %s", headers[i], e.text);
        checkpoint_close(c);
        buf_deinit(&b);
    }
}

static void a_sound_file_is_read_when_opened(void **state)
{
    struct buf b;
    struct checkpoint *c;
    struct err e;
    struct str s;
    (void)state;
    build_raw(
        &b,
        STR_LIT("{\"__metadata__\":{\"format\":\"pt\"}," T("z", "BF16", "[4]", "32", "40") "," T(
            "scalar", "I64", "[]", "24", "32") "," GOOD "," T("none", "F8_E4M3", "[0]", "40",
                                                              "40") "}      "),
        64); /* spaces behind the header, bytes behind the data */
    assert_int_equal(open_bytes(&b, &c, &e), ERR_OK);
    assert_int_equal(checkpoint_count(c), 4);
    assert_string_equal(checkpoint_at(c, 0)->name, "a");
    assert_string_equal(checkpoint_at(c, 3)->name, "z");
    const struct weights_tensor *t = checkpoint_find(c, "a");
    assert_int_equal(t->dtype, DTYPE_F32);
    assert_int_equal(t->n_dims, 2);
    assert_true(t->dims[0] == 2 && t->dims[1] == 3 && t->bytes == 24);
    assert_int_equal(checkpoint_find(c, "scalar")->n_dims, 0);
    assert_int_equal(checkpoint_find(c, "none")->bytes, 0);
    assert_null(checkpoint_find(c, "b"));
    assert_true(checkpoint_meta_str(c, "format", &s) && str_eq_z(s, "pt"));
    assert_false(checkpoint_meta_str(c, "forma", &s));
    assert_int_equal(checkpoint_format(c), CHECKPOINT_SAFETENSORS);
    checkpoint_close(c);
    buf_deinit(&b);
}

static void opening_fails_cleanly_when_memory_runs_out(void **state)
{
    struct buf b;
    struct checkpoint *c = NULL;
    enum err_code rc = ERR_NOMEM;
    (void)state;
    build_raw(&b, STR_LIT("{\"__metadata__\":{\"k\":\"v\"}," GOOD "}"), 48);
    for (long n = 1; n < 100 && rc != ERR_OK; n++) {
        mem_fail_after(n);
        rc = checkpoint_open_bytes("test", b.p, b.n, &c, NULL);
        mem_fail_after(0);
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
    }
    assert_int_equal(rc, ERR_OK);
    checkpoint_close(c);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_headers_are_refused_with_their_rule),
        cmocka_unit_test(other_files_are_named_when_handed_over_by_mistake),
        cmocka_unit_test(a_header_that_leaves_the_file_is_refused),
        cmocka_unit_test(every_truncation_of_a_sound_file_is_refused),
        cmocka_unit_test(nesting_bombs_are_refused),
        cmocka_unit_test(floods_of_values_are_refused_before_parsing),
        cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(unusual_but_legal_headers_are_read),
        cmocka_unit_test(a_sound_file_is_read_when_opened),
        cmocka_unit_test(opening_fails_cleanly_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
