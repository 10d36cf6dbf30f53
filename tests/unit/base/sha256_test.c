/* SHA-256 against the published vectors, pieces against the whole, and the fast loop against the plain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sha256.h"

static void expect(const char *text, size_t repeat, const char *want)
{
    struct sha256 h;
    char hex[SHA256_HEX_SIZE];
    sha256_init(&h);
    for (size_t i = 0; i < repeat; i++)
        sha256_add(&h, text, strlen(text));
    sha256_hex(&h, hex);
    assert_string_equal(hex, want);
}

static void digests_are_right_when_input_is_a_known_vector(void **state)
{
    (void)state;
    expect("", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect("aaaaaaaaaa", 100000,
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void digest_is_the_same_when_input_comes_in_pieces(void **state)
{
    (void)state;
    unsigned char data[400];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 7 + 3);
    for (size_t n = 0; n <= sizeof data; n += 13) {
        char whole[SHA256_HEX_SIZE], pieces[SHA256_HEX_SIZE];
        struct sha256 h;
        sha256_init(&h);
        sha256_add(&h, data, n);
        sha256_hex(&h, whole);
        for (size_t step = 1; step < 130; step += 9) {
            sha256_init(&h);
            for (size_t at = 0; at < n; at += step)
                sha256_add(&h, data + at, n - at < step ? n - at : step);
            sha256_hex(&h, pieces);
            assert_string_equal(whole, pieces);
        }
    }
}

static void fast_loop_agrees_when_compared_with_the_plain_one(void **state)
{
    (void)state;
    unsigned char data[64 * 7 + 1];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 31 ^ i >> 3);
    for (size_t blocks = 0; blocks <= 7; blocks++) {
        uint32_t a[8] = {1, 2, 3, 0xffffffff, 5, 6, 0x80000000, 8}, b[8];
        memcpy(b, a, sizeof b);
        sha256_kern(a, data + 1, blocks);
        sha256_kern_ref(b, data + 1, blocks);
        assert_memory_equal(a, b, sizeof a);
    }
}

static void file_digest_is_that_of_its_bytes_when_it_can_be_read(void **state)
{
    (void)state;
    char path[] = "/tmp/sha256-test-XXXXXX", hex[SHA256_HEX_SIZE];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    assert_int_equal(sha256_file(path, hex, NULL), ERR_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    unlink(path);
    assert_int_equal(sha256_file(path, hex, NULL), ERR_NOTFOUND);
    assert_int_equal(sha256_file("/", hex, NULL), ERR_IO);
}

static void text_is_a_digest_when_it_has_64_lower_case_digits(void **state)
{
    (void)state;
    char hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_true(sha256_is_hex(hex));
    assert_false(sha256_is_hex(hex + 1));
    assert_false(sha256_is_hex(NULL));
    hex[10] = 'A';
    assert_false(sha256_is_hex(hex));
    hex[10] = '/';
    assert_false(sha256_is_hex(hex));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_right_when_input_is_a_known_vector),
        cmocka_unit_test(digest_is_the_same_when_input_comes_in_pieces),
        cmocka_unit_test(fast_loop_agrees_when_compared_with_the_plain_one),
        cmocka_unit_test(file_digest_is_that_of_its_bytes_when_it_can_be_read),
        cmocka_unit_test(text_is_a_digest_when_it_has_64_lower_case_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
