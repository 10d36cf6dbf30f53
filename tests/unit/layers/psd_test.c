#include "layers_support.h"

#include "base/mem.h"
#include "layers/file.h"
#include "layers/psd.h"
#include "layers/psd_plane.h"

/* ---- rows ------------------------------------------------------------------------------------ */

static void packbits_gives_the_row_back_when_runs_and_literals_mix(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (size_t n = 0; n < 700; n++) {
        unsigned char in[700], packed[720], out[700];
        for (size_t i = 0; i < n; i++) {
            if (seed % 5 != 0 || i == 0)
                seed = seed * 1664525u + 1013904223u;
            in[i] = (unsigned char)((seed >> 24) % 3);
        }
        size_t k = packbits_encode(in, n, packed);
        assert_true(k <= packbits_bound(n));
        assert_true(packbits_decode(packed, k, out, n));
        assert_memory_equal(in, out, n);
        seed++;
    }
}

static void packbits_stays_in_bound_when_nothing_repeats(void **state)
{
    (void)state;
    unsigned char in[1000], packed[1010], out[1000];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 7);
    size_t k = packbits_encode(in, sizeof in, packed);
    assert_int_equal(k, packbits_bound(sizeof in));
    assert_true(packbits_decode(packed, k, out, sizeof out));
    assert_memory_equal(in, out, sizeof in);
}

static void packbits_fails_when_row_is_short_long_or_cut(void **state)
{
    (void)state;
    unsigned char out[8];
    assert_true(packbits_decode((const unsigned char[]){0xfd, 9}, 2, out, 4));
    assert_true(packbits_decode((const unsigned char[]){128, 0xfd, 9}, 3, out, 4));
    assert_true(packbits_decode((const unsigned char[]){0xfd, 9, 0}, 3, out, 4));
    assert_false(packbits_decode((const unsigned char[]){0xfd, 9}, 2, out, 5));
    assert_false(packbits_decode((const unsigned char[]){0xfd, 9}, 2, out, 3));
    assert_false(packbits_decode((const unsigned char[]){0xfd}, 1, out, 4));
    assert_false(packbits_decode((const unsigned char[]){3, 1, 2}, 3, out, 4));
    assert_false(packbits_decode((const unsigned char[]){0xfd, 9, 0, 1}, 4, out, 4));
}

/* ---- round trips ----------------------------------------------------------------------------- */

static void round_trip(const struct layer_stack *s, struct layer_stack *back)
{
    struct err e = {0};
    struct buf b;
    must(encode(psd_write, s, &b, &e), &e);
    must(psd_decode(buf_str(&b), NULL, back, &e), &e);
    buf_deinit(&b);
}

static void stack_comes_back_the_same_when_written_and_read(void **state)
{
    (void)state;
    struct layer_stack s, back;
    sample_stack(&s);
    round_trip(&s, &back);
    assert_same_stack(&s, &back);
    layer_stack_deinit(&s);
    layer_stack_deinit(&back);
}

static void every_blend_mode_comes_back_when_written_and_read(void **state)
{
    (void)state;
    struct layer_stack s, back;
    layer_stack_init(&s, 4, 4);
    for (int i = 0; i < BLEND_MODES; i++)
        put(&s, noise(4, 4, (uint32_t)i, false), blend_mode_name((enum blend_mode)i), 0, 0)->blend =
            (enum blend_mode)i;
    round_trip(&s, &back);
    assert_same_stack(&s, &back);
    layer_stack_deinit(&s);
    layer_stack_deinit(&back);
}

static void ids_and_opacity_follow_the_record_when_another_program_changed_it(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b;
    layer_stack_init(&s, 4, 4);
    put(&s, noise(4, 4, 1, false), "a", 0, 0)->opacity = 0.3;
    must(encode(psd_write, &s, &b, &e), &e);
    /* The record's opacity stands behind the blend mode's key. */
    char *at = memmem(b.p, b.n, "8BIMnorm", 8);
    assert_non_null(at);
    at[8] = (char)51;
    must(psd_decode(buf_str(&b), NULL, &back, &e), &e);
    assert_string_equal(back.layers[0].id, s.layers[0].id);
    assert_true(back.layers[0].opacity == 0.2);
    layer_stack_deinit(&back);
    /* Without our resource the layer's number is the id. */
    at = memmem(b.p, b.n, "\"lyid\":1", 8);
    assert_non_null(at);
    at[7] = '9';
    must(psd_decode(buf_str(&b), NULL, &back, &e), &e);
    assert_string_equal(back.layers[0].id, "psd-1");
    layer_stack_deinit(&back);
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

static void transparency_is_told_from_saved_selections(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b;
    layer_stack_init(&s, 8, 8);
    put(&s, plain(8, 4, (const unsigned char[]){200, 40, 10, 128}), "half", 0, 0);
    must(encode(psd_write, &s, &b, &e), &e);
    must(psd_decode(buf_str(&b), NULL, &back, &e), &e);
    assert_true(back.merged.known && back.merged.psnr_db > 45); /* the flattened image's alpha */
    assert_int_equal(back.notes.n, 0);
    layer_stack_deinit(&back);
    /* Cut the list of layers out: what is left is a flat document, whose fourth channel is a saved selection. */
    size_t at = 26 + 4;
    const unsigned char *p = (const unsigned char *)b.p;
    at += 4 + ((size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3]);
    size_t n = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
    memset(b.p + at, 0, 4);
    memmove(b.p + at + 4, b.p + at + 4 + n, b.n - at - 4 - n);
    must(psd_decode((struct str){b.p, b.n - n}, NULL, &back, &e), &e);
    assert_int_equal(back.n, 1);
    const unsigned char *top = image_row(&back.layers[0].image, 0);
    assert_true(top[0] >= 226 && top[0] <= 228);
    assert_int_equal(top[3], 255);
    assert_memory_equal(image_row(&back.layers[0].image, 7), "\xff\xff\xff\xff", 4);
    assert_non_null(strstr(buf_z(&back.notes), "1 further channel (saved selections)"));
    layer_stack_deinit(&back);
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

static void writing_is_refused_when_a_side_passes_30000(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    struct buf b;
    layer_stack_init(&s, 30001, 1);
    put(&s, noise(1, 1, 1, false), "a", 0, 0);
    assert_int_equal(encode(psd_write, &s, &b, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "30000"));
    buf_deinit(&b);
    s.w = 1;
    put(&s, noise(1, 30001, 1, false), "tall", 0, 0);
    assert_int_equal(encode(psd_write, &s, &b, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "tall"));
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

/* ---- documents by hand ----------------------------------------------------------------------- */

static void u16(struct buf *b, unsigned v)
{
    buf_add_byte(b, v >> 8 & 255);
    buf_add_byte(b, v & 255);
}

static void u32(struct buf *b, uint32_t v)
{
    u16(b, v >> 16);
    u16(b, v & 0xffff);
}

static void header(struct buf *b, unsigned version, unsigned channels, uint32_t w, uint32_t h,
                   unsigned depth, unsigned mode)
{
    buf_init(b, 1 << 20);
    buf_add_z(b, "8BPS");
    u16(b, version);
    buf_add(b, "\0\0\0\0\0\0", 6);
    u16(b, channels);
    u32(b, h);
    u32(b, w);
    u16(b, depth);
    u16(b, mode);
    u32(b, 0);
}

/* A record of a layer of 2 x 1 pixels, raw, with alpha `a`; kind is its section divider. */
struct hand_layer {
    const char *name;
    unsigned opacity, flags, divider;
    bool masked;
};

static void hand_record(struct buf *b, const struct hand_layer *l)
{
    const bool pixels = l->divider == 0;
    u32(b, 0);
    u32(b, 0);
    u32(b, pixels ? 1 : 0);
    u32(b, pixels ? 2 : 0);
    u16(b, pixels ? (l->masked ? 4 : 3) : 0);
    for (unsigned c = 0; pixels && c < 3; c++) {
        u16(b, c);
        u32(b, 4);
    }
    if (l->masked) {
        u16(b, 0xfffe);
        u32(b, 3);
    }
    buf_add_z(b, "8BIMnorm");
    buf_add_byte(b, l->opacity);
    buf_add_byte(b, 0);
    buf_add_byte(b, l->flags);
    buf_add_byte(b, 0);
    size_t name = strlen(l->name), pad = (4 - (name + 1) % 4) % 4;
    u32(b, (uint32_t)((l->masked ? 24 : 4) + 4 + 1 + name + pad + (l->divider ? 16 : 0) + 15));
    u32(b, l->masked ? 20 : 0);
    if (l->masked) {
        u32(b, 0);
        u32(b, 1);
        u32(b, 1);
        u32(b, 2);
        buf_add(b, "\x40\0\0\0", 4); /* 64 outside of the mask */
    }
    u32(b, 0);
    buf_add_byte(b, (unsigned)name);
    buf_add_z(b, l->name);
    for (size_t i = 0; i < pad; i++)
        buf_add_byte(b, 0);
    if (l->divider) {
        buf_add_z(b, "8BIMlsct");
        u32(b, 4);
        u32(b, l->divider);
    }
    buf_add_z(b, "8BIMabcd"); /* an unknown block, of odd length */
    u32(b, 3);
    buf_add_z(b, "???");
}

static void hand_document(struct buf *b, const struct hand_layer *l, size_t n)
{
    struct buf section;
    buf_init(&section, 1 << 20);
    u16(&section, (unsigned)n);
    for (size_t i = 0; i < n; i++)
        hand_record(&section, &l[i]);
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < 3 && l[i].divider == 0; c++)
            buf_add(&section, (const char[]){0, 0, (char)(10 * c), (char)(10 * c + 1)}, 4);
        if (l[i].masked)
            buf_add(&section, "\0\0\x80", 3);
    }
    header(b, 1, 3, 2, 1, 8, 3);
    u32(b, 0);
    u32(b, (uint32_t)section.n + 4);
    u32(b, (uint32_t)section.n);
    buf_add_str(b, buf_str(&section));
    buf_deinit(&section);
}

static void groups_dissolve_when_a_document_has_them(void **state)
{
    (void)state;
    const struct hand_layer layers[] = {
        {.name = "under", .opacity = 255},
        {.name = "</end>", .opacity = 255, .divider = 3},
        {.name = "inside", .opacity = 51},
        {.name = "hidden group", .opacity = 255, .flags = 2, .divider = 1},
        {.name = "</end>", .opacity = 255, .divider = 3},
        {.name = "faint", .opacity = 255},
        {.name = "half group", .opacity = 51, .divider = 2},
        {.name = "above", .opacity = 255},
    };
    struct layer_stack s;
    struct err e = {0};
    struct buf b;
    hand_document(&b, layers, 8);
    must(psd_decode(buf_str(&b), NULL, &s, &e), &e);
    assert_int_equal(s.n, 4);
    assert_string_equal(s.layers[1].name, "inside");
    assert_false(s.layers[1].visible);
    assert_true(s.layers[0].visible && s.layers[2].visible && s.layers[3].visible);
    assert_true(s.layers[2].opacity == 0.2 && s.layers[3].opacity == 1);
    assert_memory_equal(s.layers[3].image.p, "\0\x0a\x14\xff\x01\x0b\x15\xff", 8);
    layer_stack_deinit(&s);
    buf_deinit(&b);
}

static void mask_becomes_alpha_when_a_layer_has_one(void **state)
{
    (void)state;
    const struct hand_layer layer = {.name = "masked", .opacity = 255, .masked = true};
    struct layer_stack s;
    struct err e = {0};
    struct buf b;
    hand_document(&b, &layer, 1);
    must(psd_decode(buf_str(&b), NULL, &s, &e), &e);
    assert_int_equal(s.layers[0].image.p[3], 0x40);
    assert_int_equal(s.layers[0].image.p[7], 0x80);
    layer_stack_deinit(&s);
    buf_deinit(&b);
}

static void flat_document(struct buf *b, unsigned version, unsigned depth, unsigned mode)
{
    header(b, version, 3, 2, 1, depth, mode);
    u32(b, 0);
    u32(b, 0);
    u16(b, 0);
    buf_add(b, "\x01\x02\x03\x04\x05\x06", 6);
}

static void flat_document_gives_one_layer_when_read(void **state)
{
    (void)state;
    struct layer_stack s;
    struct err e = {0};
    struct buf b;
    flat_document(&b, 1, 8, 3);
    must(psd_decode(buf_str(&b), NULL, &s, &e), &e);
    assert_int_equal(s.n, 1);
    assert_memory_equal(s.layers[0].image.p, "\x01\x03\x05\xff\x02\x04\x06\xff", 8);
    layer_stack_deinit(&s);
    buf_deinit(&b);
}

/* Two files of one document that ag-psd wrote, with rows packed in the usual way and as ZIP. */
static void channels_read_the_same_when_packed_as_zip(void **state)
{
    (void)state;
    struct layer_stack rle, zip;
    struct err e = {0};
    must(layers_import(VT_SOURCE_DIR "/fuzz/corpus/psd/groups_mask.psd", NULL, &rle, &e), &e);
    must(layers_import(VT_SOURCE_DIR "/fuzz/corpus/psd/zip.psd", NULL, &zip, &e), &e);
    assert_int_equal(rle.n, 4);
    assert_string_equal(rle.layers[1].name, "in");
    assert_same_stack(&rle, &zip);
    layer_stack_deinit(&rle);
    layer_stack_deinit(&zip);
}

/* ---- broken and foreign files ---------------------------------------------------------------- */

static void assert_refused(struct buf *b, enum err_code code, const char *word)
{
    struct layer_stack s;
    struct err e = {0};
    assert_int_equal(psd_decode(buf_str(b), NULL, &s, &e), code);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not tell of '%s'", e.text, word);
    assert_int_equal(s.n, 0);
    buf_deinit(b);
}

static void reading_is_refused_when_the_document_is_of_another_kind(void **state)
{
    (void)state;
    struct buf b;
    flat_document(&b, 2, 8, 3);
    assert_refused(&b, ERR_FORMAT, "PSB");
    flat_document(&b, 1, 32, 3);
    assert_refused(&b, ERR_FORMAT, "32 bits");
    flat_document(&b, 1, 8, 9);
    assert_refused(&b, ERR_FORMAT, "Lab");
    flat_document(&b, 1, 8, 4);
    assert_refused(&b, ERR_FORMAT, "3 channels");
    header(&b, 1, 3, 0, 5, 8, 3);
    assert_refused(&b, ERR_FORMAT, "0 x 5");
    header(&b, 1, 3, 30001, 5, 8, 3);
    assert_refused(&b, ERR_LIMIT, "30001");
    header(&b, 1, 3, 29000, 29000, 8, 3);
    assert_refused(&b, ERR_LIMIT, "841000000 pixels");
    header(&b, 1, 2, 5, 5, 8, 3);
    assert_refused(&b, ERR_FORMAT, "2 channels");
    buf_init(&b, 100);
    buf_add_z(&b, "GIF89a");
    assert_refused(&b, ERR_FORMAT, "8BPS");
}

static void reading_is_refused_when_pixels_cannot_be_in_so_few_bytes(void **state)
{
    (void)state;
    struct buf b;
    header(&b, 1, 3, 20000, 20000, 8, 3);
    u32(&b, 0);
    u32(&b, 0);
    u16(&b, 1);
    assert_refused(&b, ERR_FORMAT, "bytes for 400000000 pixels");
}

static void reading_is_refused_when_there_are_too_many_layers(void **state)
{
    (void)state;
    struct buf b;
    header(&b, 1, 3, 2, 1, 8, 3);
    u32(&b, 0);
    u32(&b, 6);
    u32(&b, 2);
    u16(&b, 30000);
    assert_refused(&b, ERR_LIMIT, "30000 layers");
    header(&b, 1, 3, 2, 1, 8, 3);
    u32(&b, 0);
    u32(&b, 6);
    u32(&b, 2);
    u16(&b, 50);
    assert_refused(&b, ERR_FORMAT, "do not fit");
}

static void every_cut_is_an_error_when_a_document_is_truncated(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b;
    layer_stack_init(&s, 9, 7);
    put(&s, noise(9, 7, 1, true), "a", 0, 0);
    put(&s, noise(5, 3, 2, false), "b", 2, 2);
    must(encode(psd_write, &s, &b, &e), &e);
    /* Once all layers are there, the flattened image behind them is not read. */
    size_t last_error = 0;
    for (size_t n = 0; n < b.n; n++) {
        char *cut = mem_alloc(n); /* its own block, so that the sanitizer sees one byte too far */
        memcpy(cut, b.p, n);
        if (psd_decode((struct str){cut, n}, NULL, &back, &e) != ERR_OK)
            last_error = n;
        else
            assert_same_stack(&s, &back);
        layer_stack_deinit(&back);
        mem_free(cut);
    }
    assert_true(last_error > b.n / 2);
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

static void nothing_leaks_when_an_allocation_fails(void **state)
{
    (void)state;
    struct layer_stack s, back;
    struct err e = {0};
    struct buf b, again;
    sample_stack(&s);
    must(encode(psd_write, &s, &b, &e), &e);
    for (long n = 1;; n++) {
        mem_fail_after(n);
        enum err_code rc = encode(psd_write, &s, &again, &e);
        mem_fail_after(0);
        buf_deinit(&again);
        if (rc == ERR_OK)
            break;
        assert_true(rc == ERR_NOMEM || rc == ERR_LIMIT);
    }
    for (long n = 1;; n++) {
        mem_fail_after(n);
        enum err_code rc = psd_decode(buf_str(&b), NULL, &back, &e);
        mem_fail_after(0);
        layer_stack_deinit(&back);
        if (rc == ERR_OK)
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
    buf_deinit(&b);
    layer_stack_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packbits_gives_the_row_back_when_runs_and_literals_mix),
        cmocka_unit_test(packbits_stays_in_bound_when_nothing_repeats),
        cmocka_unit_test(packbits_fails_when_row_is_short_long_or_cut),
        cmocka_unit_test(stack_comes_back_the_same_when_written_and_read),
        cmocka_unit_test(every_blend_mode_comes_back_when_written_and_read),
        cmocka_unit_test(ids_and_opacity_follow_the_record_when_another_program_changed_it),
        cmocka_unit_test(transparency_is_told_from_saved_selections),
        cmocka_unit_test(writing_is_refused_when_a_side_passes_30000),
        cmocka_unit_test(groups_dissolve_when_a_document_has_them),
        cmocka_unit_test(mask_becomes_alpha_when_a_layer_has_one),
        cmocka_unit_test(flat_document_gives_one_layer_when_read),
        cmocka_unit_test(channels_read_the_same_when_packed_as_zip),
        cmocka_unit_test(reading_is_refused_when_the_document_is_of_another_kind),
        cmocka_unit_test(reading_is_refused_when_pixels_cannot_be_in_so_few_bytes),
        cmocka_unit_test(reading_is_refused_when_there_are_too_many_layers),
        cmocka_unit_test(every_cut_is_an_error_when_a_document_is_truncated),
        cmocka_unit_test(nothing_leaks_when_an_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
