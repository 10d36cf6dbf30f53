#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "build.h"
#include "weights/checkpoint.h"

/* Where things lie in the sound file that sound_file() makes; broken files are that one with one field
 * overwritten. */
enum {
    AT_VERSION = 4,
    AT_TENSOR_COUNT = 8,
    AT_KEY_COUNT = 16,
    AT_KEY_LENGTH = 24,
    AT_VALUE_TYPE = 49,
    AT_ALIGNMENT = 53,
    AT_ELEM_TYPE = 70,
    AT_ARRAY_COUNT = 74,
    AT_STRING_LENGTH = 92,
    AT_NAME_LENGTH = 101,
    AT_RANK = 110,
    AT_DIM_0 = 114,
    AT_DIM_1 = 122,
    AT_TYPE = 130,
    AT_OFFSET = 134,
    AT_NAME_2 = 150,
    AT_OFFSET_2 = 167,
    AT_DATA = 192,
};

static void sound_file(struct buf *b)
{
    gguf_begin(b, 3, 2, 2);
    gguf_key_u32(b, "general.alignment", 32);
    put_string(b, "a");
    put_u32(b, 9);
    put_u32(b, 8);
    put_u64(b, 2);
    put_string(b, "xy");
    put_string(b, "z");
    gguf_tensor(b, "t", 2, (uint64_t[]){32, 2}, 8, 0);
    gguf_tensor(b, "u", 1, (uint64_t[]){4}, 0, 96);
    gguf_data(b, 32, 112);
    assert_int_equal(b->n, AT_DATA + 112);
}

static const struct {
    const char *rule;
    size_t at, width;
    uint64_t value;
    enum err_code code;
    const char *says;
} broken[] = {
    {"version_0", AT_VERSION, 4, 0, ERR_FORMAT, "GGUF version 0"},
    {"version_1", AT_VERSION, 4, 1, ERR_FORMAT, "GGUF version 1"},
    {"version_4", AT_VERSION, 4, 4, ERR_FORMAT, "GGUF version 4"},
    {"version_big_endian", AT_VERSION, 4, 3u << 24, ERR_FORMAT, "big-endian"},
    {"one_tensor_too_many", AT_TENSOR_COUNT, 8, 3, ERR_FORMAT, "test: "},
    {"tensor_count_huge", AT_TENSOR_COUNT, 8, UINT64_MAX, ERR_LIMIT, "at most 200000"},
    {"no_tensors", AT_TENSOR_COUNT, 8, 0, ERR_FORMAT, "no tensors"},
    {"one_key_too_many", AT_KEY_COUNT, 8, 3, ERR_FORMAT, "test: "},
    {"one_key_too_few", AT_KEY_COUNT, 8, 1, ERR_FORMAT, "test: "},
    {"key_count_huge", AT_KEY_COUNT, 8, UINT64_MAX, ERR_LIMIT, "at most 65536"},
    {"key_empty", AT_KEY_LENGTH, 8, 0, ERR_FORMAT, "empty or not UTF-8"},
    {"key_longer_than_allowed", AT_KEY_LENGTH, 8, 65536, ERR_FORMAT, "metadata keys"},
    {"key_leaves_the_file", AT_KEY_LENGTH, 8, 1000, ERR_FORMAT, "metadata keys"},
    {"key_length_huge", AT_KEY_LENGTH, 8, UINT64_MAX, ERR_FORMAT, "metadata keys"},
    {"value_type_unknown", AT_VALUE_TYPE, 4, 13, ERR_FORMAT,
     "'general.alignment' is of an unknown"},
    {"alignment_zero", AT_ALIGNMENT, 4, 0, ERR_FORMAT, "general.alignment is 0"},
    {"alignment_no_power_of_two", AT_ALIGNMENT, 4, 24, ERR_FORMAT, "general.alignment is 24"},
    {"alignment_huge", AT_ALIGNMENT, 4, 1u << 31, ERR_FORMAT, "general.alignment is 2147483648"},
    {"alignment_of_another_type", AT_VALUE_TYPE, 4, 6, ERR_FORMAT, "no 32-bit count"},
    {"array_type_unknown", AT_ELEM_TYPE, 4, 99, ERR_FORMAT, "'a' is an array of an unknown type"},
    {"array_of_arrays", AT_ELEM_TYPE, 4, 9, ERR_FORMAT, "'a' is an array of an unknown type"},
    {"array_count_lies", AT_ARRAY_COUNT, 8, 1000, ERR_FORMAT, "more strings than"},
    {"array_count_huge", AT_ARRAY_COUNT, 8, UINT64_MAX, ERR_FORMAT, "more strings than"},
    {"string_leaves_the_file", AT_STRING_LENGTH, 8, 1000, ERR_FORMAT, "leaves the file"},
    {"string_length_huge", AT_STRING_LENGTH, 8, UINT64_MAX, ERR_FORMAT, "leaves the file"},
    {"name_leaves_the_file", AT_NAME_LENGTH, 8, 1u << 20, ERR_FORMAT, "list of tensors"},
    {"rank_5", AT_RANK, 4, 5, ERR_FORMAT, "'t' has 5 dims"},
    {"rank_huge", AT_RANK, 4, UINT32_MAX, ERR_FORMAT, "dims, at most 4"},
    {"dim_zero", AT_DIM_0, 8, 0, ERR_FORMAT, "dim 0 is 0"},
    {"dim_negative", AT_DIM_1, 8, UINT64_MAX, ERR_FORMAT, "dim 1 is"},
    {"product_overflows", AT_DIM_1, 8, (uint64_t)1 << 60, ERR_FORMAT, "too large"},
    {"row_of_half_a_block", AT_DIM_0, 8, 48, ERR_FORMAT, "not whole Q8_0 blocks of 32"},
    {"type_removed_from_the_format", AT_TYPE, 4, 4, ERR_FORMAT, "the type 4 is not known"},
    {"type_unknown", AT_TYPE, 4, 12345, ERR_FORMAT, "the type 12345 is not known"},
    {"offset_not_aligned", AT_OFFSET_2, 8, 97, ERR_FORMAT, "not a multiple of 32"},
    {"offset_outside_the_file", AT_OFFSET_2, 8, 128, ERR_FORMAT, "holds only 112 bytes"},
    {"offset_near_overflow", AT_OFFSET_2, 8, UINT64_MAX - 31, ERR_FORMAT, "holds only 112 bytes"},
    {"overlap", AT_OFFSET_2, 8, 64, ERR_FORMAT, "'t' and 'u' overlap"},
    {"double_name", AT_NAME_2, 1, 't', ERR_FORMAT, "'t' is there twice"},
    {"name_not_utf8", AT_NAME_2, 1, 0xff, ERR_FORMAT, "not UTF-8"},
    {"name_with_nul", AT_NAME_2, 1, 0, ERR_FORMAT, "control character"},
};

static void broken_headers_are_refused_with_their_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct buf b;
        struct checkpoint *c;
        struct err e = {0};
        sound_file(&b);
        for (size_t k = 0; k < broken[i].width; k++)
            b.p[broken[i].at + k] = (char)(broken[i].value >> (8 * k));
        enum err_code rc = checkpoint_open_bytes("test", b.p, b.n, &c, &e);
        if (rc != broken[i].code || !strstr(e.text, broken[i].says))
            fail_msg("%s: %s: %s", broken[i].rule, err_code_name(rc), e.text);
        buf_deinit(&b);
    }
}

static void every_truncation_of_a_sound_file_is_refused(void **state)
{
    struct buf b;
    (void)state;
    sound_file(&b);
    for (size_t n = 0; n < b.n; n++) {
        struct checkpoint *c;
        unsigned char *copy = mem_try_alloc(n);
        memcpy(copy, b.p, n);
        assert_int_not_equal(checkpoint_open_bytes("test", copy, n, &c, NULL), ERR_OK);
        mem_free(copy);
    }
    buf_deinit(&b);
}

static void expect_refusal(struct buf *b, const char *says)
{
    struct checkpoint *c;
    struct err e = {0};
    assert_int_equal(checkpoint_open_bytes("test", b->p, b->n, &c, &e), ERR_FORMAT);
    if (!strstr(e.text, says))
        fail_msg("expected '%s' in '%s'", says, e.text);
    buf_deinit(b);
}

static void a_key_that_is_there_twice_is_refused(void **state)
{
    struct buf b;
    (void)state;
    gguf_begin(&b, 3, 1, 3);
    gguf_key_string(&b, "k", "1");
    gguf_key_string(&b, "l", "2");
    gguf_key_string(&b, "k", "3");
    gguf_tensor(&b, "t", 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&b, 32, 32);
    expect_refusal(&b, "'k' is there twice");
}

static void an_array_of_numbers_whose_size_overflows_is_refused(void **state)
{
    struct buf b;
    (void)state;
    gguf_begin(&b, 3, 1, 1);
    put_string(&b, "k");
    put_u32(&b, 9);
    put_u32(&b, 12);
    put_u64(&b, ((uint64_t)1 << 61) + 1); /* times 8 is 8 */
    put_u64(&b, 0);
    gguf_tensor(&b, "t", 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&b, 32, 32);
    expect_refusal(&b, "more numbers than");
}

static void a_part_of_a_split_file_is_refused(void **state)
{
    struct buf b;
    (void)state;
    gguf_begin(&b, 3, 1, 1);
    gguf_key_u32(&b, "split.count", 4);
    gguf_tensor(&b, "t", 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&b, 32, 32);
    expect_refusal(&b, "one of 4 parts");
}

static void a_sound_file_is_read_when_opened(void **state)
{
    struct buf b;
    struct checkpoint *c;
    struct str s;
    int64_t v = 0;
    (void)state;
    sound_file(&b);
    b.p[AT_VERSION] = 2;
    assert_int_equal(checkpoint_open_bytes("test", b.p, b.n, &c, NULL), ERR_OK);
    assert_int_equal(checkpoint_format(c), CHECKPOINT_GGUF);
    const struct weights_tensor *t = checkpoint_find(c, "t");
    assert_true(t->n_dims == 2 && t->dims[0] == 2 && t->dims[1] == 32); /* turned round */
    assert_int_equal(t->dtype, DTYPE_Q8_0);
    assert_int_equal(t->bytes, 68);
    assert_ptr_equal(t->data, b.p + AT_DATA);
    assert_ptr_equal(checkpoint_find(c, "u")->data, b.p + AT_DATA + 96);
    assert_true(checkpoint_meta_i64(c, "general.alignment", &v) && v == 32);
    assert_int_equal(checkpoint_meta_array_count(c, "a"), 2);
    assert_true(checkpoint_meta_array_str(c, "a", 1, &s) && str_eq_z(s, "z"));
    assert_false(checkpoint_meta_array_str(c, "a", 2, &s));
    assert_false(checkpoint_meta_str(c, "a", &s));
    assert_false(checkpoint_meta_i64(c, "a", &v));
    checkpoint_close(c);
    buf_deinit(&b);
}

static void every_number_type_is_read_from_metadata(void **state)
{
    static const struct {
        uint32_t type;
        int width;
        uint64_t bits;
        double value;
        bool whole;
    } rows[] = {
        {0, 1, 200, 200, true},
        {1, 1, 0xff, -1, true},
        {2, 2, 65535, 65535, true},
        {3, 2, 0xfffe, -2, true},
        {4, 4, 0xffffffffu, 4294967295.0, true},
        {5, 4, 0xfffffffdu, -3, true},
        {6, 4, 0x3fc00000u, 1.5, false},
        {7, 1, 1, 1, true},
        {10, 8, (uint64_t)1 << 40, 1099511627776.0, true},
        {11, 8, UINT64_MAX, -1, true},
        {12, 8, 0x3fe0000000000000u, 0.5, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b;
        struct checkpoint *c;
        double d = 0;
        int64_t v = 0;
        gguf_begin(&b, 3, 1, 2);
        put_string(&b, "one");
        put_u32(&b, rows[i].type);
        for (int k = 0; k < rows[i].width; k++)
            buf_add_byte(&b, rows[i].bits >> (8 * k) & 255);
        put_string(&b, "many");
        put_u32(&b, 9);
        put_u32(&b, rows[i].type);
        put_u64(&b, 3);
        for (int k = 0; k < 3 * rows[i].width; k++)
            buf_add_byte(&b, rows[i].bits >> (8 * (k % rows[i].width)) & 255);
        gguf_tensor(&b, "t", 1, (uint64_t[]){8}, 0, 0);
        gguf_data(&b, 32, 32);
        assert_int_equal(checkpoint_open_bytes("test", b.p, b.n, &c, NULL), ERR_OK);
        assert_true(checkpoint_meta_double(c, "one", &d) && d == rows[i].value);
        assert_true(checkpoint_meta_array_double(c, "many", 2, &d) && d == rows[i].value);
        assert_false(checkpoint_meta_array_double(c, "many", 3, &d));
        assert_true(checkpoint_meta_i64(c, "one", &v) == rows[i].whole);
        checkpoint_close(c);
        buf_deinit(&b);
    }
}

static void long_string_arrays_are_found_by_index(void **state)
{
    struct buf b;
    struct checkpoint *c;
    enum { COUNT = 1000 };
    (void)state;
    gguf_begin(&b, 3, 1, 1);
    put_string(&b, "tokens");
    put_u32(&b, 9);
    put_u32(&b, 8);
    put_u64(&b, COUNT);
    for (int i = 0; i < COUNT; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "t%d", i);
        put_string(&b, text);
    }
    gguf_tensor(&b, "t", 1, (uint64_t[]){8}, 0, 0);
    gguf_data(&b, 32, 32);
    assert_int_equal(checkpoint_open_bytes("test", b.p, b.n, &c, NULL), ERR_OK);
    for (int i = COUNT - 1; i >= 0; i -= 7) {
        char text[16];
        struct str s;
        (void)snprintf(text, sizeof text, "t%d", i);
        assert_true(checkpoint_meta_array_str(c, "tokens", (size_t)i, &s) && str_eq_z(s, text));
    }
    checkpoint_close(c);
    buf_deinit(&b);
}

static void shape_file(struct buf *b, const char *key, uint32_t rank, const uint32_t *dims)
{
    gguf_begin(b, 3, 1, 1);
    put_string(b, key);
    put_u32(b, 9);
    put_u32(b, 5);
    put_u64(b, rank);
    for (uint32_t i = 0; i < rank; i++)
        put_u32(b, dims[i]);
    gguf_tensor(b, "conv", 2, (uint64_t[]){4, 6}, 0, 0);
    gguf_data(b, 32, 96);
}

static void flattened_shapes_are_restored_from_their_key(void **state)
{
    struct buf b;
    struct checkpoint *c;
    (void)state;
    shape_file(&b, "comfy.gguf.orig_shape.conv", 5, (uint32_t[]){3, 2, 1, 2, 2});
    assert_int_equal(checkpoint_open_bytes("test", b.p, b.n, &c, NULL), ERR_OK);
    const struct weights_tensor *t = checkpoint_find(c, "conv");
    assert_int_equal(t->n_dims, 5);
    assert_true(t->dims[0] == 3 && t->dims[1] == 2 && t->dims[4] == 2);
    checkpoint_close(c);
    buf_deinit(&b);

    shape_file(&b, "comfy.gguf.orig_shape.conv", 2, (uint32_t[]){5, 5});
    expect_refusal(&b, "does not fit its tensor");
    shape_file(&b, "comfy.gguf.orig_shape.conv", 3, (uint32_t[]){24, 1, 0});
    expect_refusal(&b, "is no shape");
    shape_file(&b, "comfy.gguf.orig_shape.conv", 6, (uint32_t[]){1, 1, 1, 1, 1, 24});
    expect_refusal(&b, "is no shape");
}

/* Found by fuzzing: the sentence about a bad offset quoted a name that was not UTF-8. */
static void a_message_is_utf8_when_the_name_is_not(void **state)
{
    struct buf b;
    struct checkpoint *c;
    struct err e = {0};
    (void)state;
    const char *path = VT_SOURCE_DIR "/tests/data/regress/gguf-message-with-broken-utf8";
    assert_int_equal(file_read(path, 1 << 20, &b, NULL), ERR_OK);
    assert_int_equal(checkpoint_open_bytes("test", b.p, b.n, &c, &e), ERR_FORMAT);
    assert_true(str_is_utf8(str_from(e.text), NULL));
    buf_deinit(&b);
}

static void opening_fails_cleanly_when_memory_runs_out(void **state)
{
    struct buf b;
    struct checkpoint *c = NULL;
    enum err_code rc = ERR_NOMEM;
    (void)state;
    sound_file(&b);
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
        cmocka_unit_test(every_truncation_of_a_sound_file_is_refused),
        cmocka_unit_test(a_key_that_is_there_twice_is_refused),
        cmocka_unit_test(an_array_of_numbers_whose_size_overflows_is_refused),
        cmocka_unit_test(a_part_of_a_split_file_is_refused),
        cmocka_unit_test(a_sound_file_is_read_when_opened),
        cmocka_unit_test(every_number_type_is_read_from_metadata),
        cmocka_unit_test(long_string_arrays_are_found_by_index),
        cmocka_unit_test(flattened_shapes_are_restored_from_their_key),
        cmocka_unit_test(a_message_is_utf8_when_the_name_is_not),
        cmocka_unit_test(opening_fails_cleanly_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
