#include "support.h"

#include <utf8proc.h>

#include "text/nfc.h"

enum { LAST_CP = 0x10ffff };

static bool is_surrogate(int32_t cp)
{
    return cp >= 0xd800 && cp <= 0xdfff;
}

static void add_cp(struct buf *out, int32_t cp)
{
    utf8proc_uint8_t utf8[4];
    buf_add(out, utf8, (size_t)utf8proc_encode_char(cp, utf8));
}

/* The library's own answer for a whole string. */
static struct str library_nfc(struct str text, utf8proc_uint8_t **block)
{
    utf8proc_ssize_t n =
        utf8proc_map((const utf8proc_uint8_t *)text.p, (utf8proc_ssize_t)text.n, block,
                     (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    assert_true(n >= 0);
    return (struct str){(const char *)*block, (size_t)n};
}

static void check_equal(struct str text)
{
    struct buf got;
    utf8proc_uint8_t *block = NULL;
    struct str want = library_nfc(text, &block);
    buf_init(&got, text.n * 4 + 64);
    assert_int_equal(nfc_append(text, &got, NULL), ERR_OK);
    if (!str_eq(buf_str(&got), want))
        fail_msg("'%.*s' became '%s', expected '%.*s'", STR_ARG(text), buf_z(&got), STR_ARG(want));
    buf_deinit(&got);
    free(block);
}

static void every_character_is_normalised_as_the_library_does(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 64 << 20);
    for (int32_t cp = 0; cp <= LAST_CP; cp++) {
        if (!is_surrogate(cp))
            add_cp(&text, cp);
        if (text.n > 4000 || cp == LAST_CP) {
            check_equal(buf_str(&text));
            buf_clear(&text);
        }
    }
    buf_deinit(&text);
}

/* Appends characters that begin compositions; `after` follows each of them. */
static void add_composing_pairs(struct buf *out, int32_t after)
{
    static const int32_t firsts[] = {
        'A',    'o',    0x03b1, 0x0415, 0x0627, 0x0928, 0x09c7, 0x0b47, 0x0bc6,  0x0cc6, 0x0d46,
        0x0dd9, 0x1025, 0x1100, 0xac00, 0x3046, 0x30ab, 0x1b05, 0x2190, 0x11131, 0x1347, 0x114b9};
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        add_cp(out, firsts[i]);
        add_cp(out, after);
    }
}

static void text_called_trivial_is_in_form_c_after_any_neighbour(void **state)
{
    (void)state;
    size_t trivial = 0;
    for (int32_t cp = 0; cp <= 0x30000; cp++) {
        struct buf one, pairs;
        utf8proc_uint8_t *block = NULL;
        if (is_surrogate(cp))
            continue;
        buf_init(&one, 8);
        add_cp(&one, cp);
        bool is_trivial = nfc_is_trivial(buf_str(&one));
        buf_deinit(&one);
        if (!is_trivial)
            continue;
        trivial++;
        assert_int_equal(utf8proc_get_property(cp)->combining_class, 0);
        buf_init(&pairs, 4096);
        add_composing_pairs(&pairs, cp);
        if (!str_eq(library_nfc(buf_str(&pairs), &block), buf_str(&pairs)))
            fail_msg("U+%04X is no character to skip", (unsigned)cp);
        free(block);
        buf_deinit(&pairs);
    }
    assert_true(trivial > 100000);
}

static void marks_are_sorted_stably_in_runs_of_any_length(void **state)
{
    (void)state;
    static const int32_t marks[] = {0x0301, 0x0323, 0x0345, 0x0334, 0x0300, 0x0f71, 0x0327, 0x05b0};
    for (size_t n = 1; n < 80; n += 3) {
        struct buf text;
        buf_init(&text, 4096);
        for (size_t run = 0; run < 3; run++) {
            add_cp(&text, 'a' + (int32_t)run);
            for (size_t i = 0; i < n; i++)
                add_cp(&text, marks[(i * 5 + run + n) % 8]);
        }
        check_equal(buf_str(&text));
        buf_deinit(&text);
    }
}

static void a_megabyte_of_marks_takes_no_time(void **state)
{
    (void)state;
    struct buf text, got;
    buf_init(&text, 4 << 20);
    buf_init(&got, 8 << 20);
    for (size_t i = 0; i < 250000; i++)
        buf_add_z(&text, "\xcc\x81\xcc\xa3");
    assert_false(nfc_is_trivial(buf_str(&text)));
    assert_int_equal(nfc_append(buf_str(&text), &got, NULL), ERR_OK);
    assert_int_equal(got.n, text.n);
    assert_memory_equal(got.p, "\xcc\xa3\xcc\xa3", 4);
    buf_deinit(&text);
    buf_deinit(&got);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    struct buf got;
    struct err e = {0};
    buf_init(&got, 2);
    assert_int_equal(nfc_append(STR_LIT("e\xcc\x81xyz"), &got, &e), ERR_LIMIT);
    buf_deinit(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_normalised_as_the_library_does),
        cmocka_unit_test(text_called_trivial_is_in_form_c_after_any_neighbour),
        cmocka_unit_test(marks_are_sorted_stably_in_runs_of_any_length),
        cmocka_unit_test(a_megabyte_of_marks_takes_no_time),
        cmocka_unit_test(a_full_buffer_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
