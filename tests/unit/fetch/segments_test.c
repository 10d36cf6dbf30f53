#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/sha256.h"
#include "fetch/segments.h"

static void init(struct segments *s, uint64_t size)
{
    assert_int_equal(segments_init(s, size, "sha256:abc", NULL), ERR_OK);
}

static void blocks_cover_the_file_when_sizes_are_odd(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 262143, 262144, 262145, 40900000001, 7751109744};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct segments s;
        uint64_t sum = 0;
        init(&s, sizes[i]);
        for (size_t b = 0; b < s.count; b++) {
            assert_int_equal(segments_block_start(&s, b), sum);
            sum += segments_block_length(&s, b);
            segments_mark(&s, b);
        }
        assert_int_equal(sum, sizes[i]);
        assert_int_equal(segments_bytes_done(&s), sizes[i]);
        assert_true(s.count < 5000);
        segments_deinit(&s);
    }
}

static void prefix_ends_at_the_first_gap(void **state)
{
    (void)state;
    struct segments s;
    init(&s, 10 * 262144 + 5);
    assert_int_equal(s.count, 11);
    segments_mark(&s, 0);
    segments_mark(&s, 1);
    segments_mark(&s, 3);
    assert_int_equal(segments_prefix_bytes(&s, 0), 2 * 262144);
    segments_mark(&s, 2);
    assert_int_equal(segments_prefix_bytes(&s, 2 * 262144), 4 * 262144);
    for (size_t i = 0; i < s.count; i++)
        segments_mark(&s, i);
    assert_int_equal(segments_prefix_bytes(&s, 0), s.size);
    assert_int_equal(s.done, s.count);
    segments_clear(&s);
    assert_int_equal(segments_prefix_bytes(&s, 0), 0);
    segments_deinit(&s);
}

/* A state file with every third block. Caller: buf_deinit. */
static void make_state(struct buf *out)
{
    struct segments s;
    init(&s, 21 * 262144 + 77);
    for (size_t i = 0; i < s.count; i += 3)
        segments_mark(&s, i);
    buf_init(out, 1 << 20);
    segments_encode(&s, out);
    segments_deinit(&s);
    assert_false(buf_failed(out));
}

static void state_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct buf text;
    struct segments s;
    make_state(&text);
    assert_int_equal(segments_decode(buf_str(&text), &s, NULL), ERR_OK);
    assert_int_equal(s.size, 21 * 262144 + 77);
    assert_string_equal(s.identity, "sha256:abc");
    for (size_t i = 0; i < s.count; i++)
        assert_int_equal(segments_has(&s, i), i % 3 == 0);
    segments_deinit(&s);
    buf_deinit(&text);
}

static void any_broken_byte_and_any_cut_is_refused(void **state)
{
    (void)state;
    struct buf text;
    struct segments s;
    make_state(&text);
    for (size_t i = 0; i < text.n; i++) {
        struct err e = {0};
        assert_int_equal(segments_decode((struct str){text.p, i}, &s, &e), ERR_FORMAT);
        text.p[i] = (char)(text.p[i] ^ 0x10);
        assert_int_equal(segments_decode(buf_str(&text), &s, &e), ERR_FORMAT);
        text.p[i] = (char)(text.p[i] ^ 0x10);
    }
    buf_deinit(&text);
}

/* Sets one number of a state file and its sum; the rules behind the sum are checked, too. */
static enum err_code decode_with(size_t at, unsigned char byte)
{
    struct buf text;
    struct segments s;
    struct sha256 h;
    make_state(&text);
    text.p[at] = (char)byte;
    sha256_init(&h);
    sha256_add(&h, text.p, text.n - SHA256_BYTES);
    sha256_end(&h, (unsigned char *)text.p + text.n - SHA256_BYTES);
    enum err_code rc = segments_decode(buf_str(&text), &s, NULL);
    if (rc == ERR_OK)
        segments_deinit(&s);
    buf_deinit(&text);
    return rc;
}

static void unsound_numbers_are_refused_when_the_sum_fits(void **state)
{
    (void)state;
    assert_int_equal(decode_with(0, 'V'), ERR_OK);
    assert_int_equal(decode_with(15, 0xff), ERR_FORMAT); /* size */
    assert_int_equal(decode_with(16, 1), ERR_FORMAT);    /* block: no power of two */
    assert_int_equal(decode_with(20, 1), ERR_FORMAT);    /* block: too large */
    assert_int_equal(decode_with(25, 0xff), ERR_FORMAT); /* identity longer than the file */
    assert_int_equal(decode_with(28, 0), ERR_FORMAT);    /* a NUL in the identity */
    assert_int_equal(decode_with(26 + 10 + 2, 0xff), ERR_FORMAT); /* a bit past the last block */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_cover_the_file_when_sizes_are_odd),
        cmocka_unit_test(prefix_ends_at_the_first_gap),
        cmocka_unit_test(state_comes_back_as_it_was_written),
        cmocka_unit_test(any_broken_byte_and_any_cut_is_refused),
        cmocka_unit_test(unsound_numbers_are_refused_when_the_sum_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
