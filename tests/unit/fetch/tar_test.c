#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "fetch/tar.h"

struct memory {
    struct str left;
    size_t most; /* bytes a call */
};

static enum err_code read_memory(void *user, void *p, size_t n, size_t *got, struct err *e)
{
    struct memory *m = user;
    (void)e;
    if (n > m->left.n)
        n = m->left.n;
    if (n > m->most)
        n = m->most;
    if (n > 0)
        memcpy(p, m->left.p, n);
    m->left = str_skip(m->left, n);
    *got = n;
    return ERR_OK;
}

static void put(struct buf *b, const char *name, const char *data)
{
    static const char zeros[TAR_BLOCK];
    tar_put_header(b, name, strlen(data));
    buf_add_z(b, data);
    buf_add(b, zeros, tar_padding(strlen(data)));
}

static void entries_come_back_whatever_the_read_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, 512, 100000};
    char long_name[400];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    long_name[5] = '/';
    struct buf b;
    buf_init(&b, 1 << 20);
    put(&b, "a/b", "hello");
    put(&b, "empty", "");
    put(&b, long_name, "world");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct memory m = {buf_str(&b), sizes[i]};
        struct tar_reader r;
        struct tar_entry entry;
        char text[16];
        size_t got;
        bool end;
        tar_reader_init(&r, read_memory, &m);
        assert_int_equal(tar_next(&r, &entry, &end, NULL), ERR_OK);
        assert_string_equal(entry.name, "a/b");
        assert_int_equal(entry.size, 5);
        assert_int_equal(tar_read(&r, text, 1, &got, NULL), ERR_OK);
        assert_int_equal(text[0], 'h'); /* the rest is passed over */
        assert_int_equal(tar_next(&r, &entry, &end, NULL), ERR_OK);
        assert_string_equal(entry.name, "empty");
        assert_int_equal(tar_read(&r, text, sizeof text, &got, NULL), ERR_OK);
        assert_int_equal(got, 0);
        assert_int_equal(tar_next(&r, &entry, &end, NULL), ERR_OK);
        assert_string_equal(entry.name, long_name);
        assert_int_equal(tar_next(&r, &entry, &end, NULL), ERR_OK);
        assert_true(end);
    }
    buf_deinit(&b);
}

static enum err_code first_of(struct buf *b, struct tar_entry *entry, struct err *e)
{
    struct memory m = {buf_str(b), 1000};
    struct tar_reader r;
    bool end;
    tar_reader_init(&r, read_memory, &m);
    return tar_next(&r, entry, &end, e);
}

static void sizes_from_8_gib_on_survive(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {(UINT64_C(1) << 33) - 1, UINT64_C(1) << 33, 40900000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf b;
        struct tar_entry entry;
        buf_init(&b, 1 << 20);
        tar_put_header(&b, "big", sizes[i]);
        assert_int_equal(first_of(&b, &entry, NULL), ERR_OK);
        assert_int_equal(entry.size, sizes[i]);
        buf_deinit(&b);
    }
}

/* One byte of a header changed, its sum made right again. */
static enum err_code with_byte(size_t at, char byte, struct err *e)
{
    struct buf b;
    struct tar_entry entry;
    buf_init(&b, 1 << 20);
    put(&b, "name", "data");
    b.p[at] = byte;
    unsigned sum = 8 * ' ';
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? 0 : (unsigned char)b.p[i];
    (void)snprintf(b.p + 148, 8, "%06o", sum);
    enum err_code rc = first_of(&b, &entry, e);
    buf_deinit(&b);
    return rc;
}

static void links_devices_and_unreadable_sizes_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(with_byte(156, '0', &e), ERR_OK);
    for (const char *type = "12346S"; *type; type++) {
        assert_int_equal(with_byte(156, *type, &e), ERR_FORMAT);
        assert_non_null(strstr(e.text, "no regular file"));
    }
    assert_int_equal(with_byte(124, 'x', &e), ERR_FORMAT);
    assert_int_equal(with_byte(124, (char)0xff, &e), ERR_FORMAT); /* negative, base 256 */
}

static void a_wrong_sum_and_a_cut_are_refused(void **state)
{
    (void)state;
    struct buf b;
    struct tar_entry entry;
    struct err e = {0};
    buf_init(&b, 1 << 20);
    put(&b, "name", "data");
    b.p[0] = 'N';
    assert_int_equal(first_of(&b, &entry, &e), ERR_FORMAT);
    b.p[0] = 'n';
    b.n = 300;
    assert_int_equal(first_of(&b, &entry, &e), ERR_FORMAT);
    buf_deinit(&b);
}

static void unsound_extended_headers_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "5 a=b\n",      "9999 path=x\n", "x path=y\n", "11 path=abc",
        "12 size=-1\n", "8 path=\n",     "3 \n",       "25 GNU.sparse.size=12345\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct buf b;
        struct tar_entry entry;
        buf_init(&b, 1 << 20);
        put(&b, "pax", bodies[i]);
        b.p[156] = 'x';
        unsigned sum = 8 * ' ';
        for (size_t k = 0; k < TAR_BLOCK; k++)
            sum += k >= 148 && k < 156 ? 0 : (unsigned char)b.p[k];
        (void)snprintf(b.p + 148, 8, "%06o", sum);
        put(&b, "name", "data");
        if (first_of(&b, &entry, NULL) != ERR_FORMAT)
            fail_msg("'%s' was believed", bodies[i]);
        buf_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back_whatever_the_read_size),
        cmocka_unit_test(sizes_from_8_gib_on_survive),
        cmocka_unit_test(links_devices_and_unreadable_sizes_are_refused),
        cmocka_unit_test(a_wrong_sum_and_a_cut_are_refused),
        cmocka_unit_test(unsound_extended_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
