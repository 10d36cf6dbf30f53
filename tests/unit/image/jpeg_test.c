#include "image_support.h"

#include <unistd.h>

#include <jpeglib.h>
#include <lcms2.h>

#include "image/save.h"

/* ---- files made by the test ------------------------------------------------------------------- */

struct made {
    J_COLOR_SPACE from, to; /* of the rows, and in the file */
    int quality;
    bool progressive;
    bool interleaved; /* false: one scan a component */
    int orientation;  /* 0 = no EXIF */
    const char *icc;  /* a profile's bytes */
    unsigned icc_bytes;
};

static void one_scan_each(struct jpeg_compress_struct *c, jpeg_scan_info *scans)
{
    for (int i = 0; i < c->num_components; i++)
        scans[i] = (jpeg_scan_info){.comps_in_scan = 1, .component_index = {i}, .Se = 63};
    c->scan_info = scans;
    c->num_scans = c->num_components;
}

static void make_jpeg(const struct made *m, const struct image *im, struct buf *out)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    jpeg_scan_info scans[4];
    unsigned char *p = NULL;
    unsigned long n = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &p, &n);
    c.image_width = (JDIMENSION)im->w;
    c.image_height = (JDIMENSION)im->h;
    c.input_components = im->channels;
    c.in_color_space = m->from;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, m->to);
    jpeg_set_quality(&c, m->quality ? m->quality : 95, TRUE);
    if (m->progressive)
        jpeg_simple_progression(&c);
    else if (!m->interleaved)
        one_scan_each(&c, scans);
    jpeg_start_compress(&c, TRUE);
    if (m->orientation) {
        unsigned char exif[] = "Exif\0\0II\x2a\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\1\0\0\0\0\0\0";
        exif[24] = (unsigned char)m->orientation;
        jpeg_write_marker(&c, JPEG_APP0 + 1, exif, sizeof exif - 1);
    }
    if (m->icc)
        jpeg_write_icc_profile(&c, (const JOCTET *)m->icc, m->icc_bytes);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = image_row(im, (int)c.next_scanline);
        (void)jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    buf_init(out, 64u << 20);
    buf_add(out, p, n);
    mem_free(p);
    assert_false(buf_failed(out));
}

static const struct made plain = {.from = JCS_RGB, .to = JCS_YCbCr, .interleaved = true};

static struct image load(const struct buf *b, struct image_info *info)
{
    struct err e = {0};
    struct image im;
    must(image_load_memory(buf_str(b), NULL, info, &im, &e), &e);
    return im;
}

static struct image gradient(int w, int h, int channels)
{
    struct image im = new_image(w, h, channels);
    fill_gradient(&im);
    return im;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void written_jpeg_comes_back_close(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 3; channels += 2) {
        struct err e = {0};
        struct image_info info;
        struct image_difference d;
        struct image im = gradient(101, 67, channels);
        struct buf b;
        buf_init(&b, 1 << 20);
        must(image_jpeg_write(&im, 95, &b, &e), &e);
        struct image back = load(&b, &info);
        must(image_compare(&im, &back, &d, &e), &e);
        assert_true(d.psnr_db > 30.0);
        assert_int_equal(info.format, IMAGE_FORMAT_JPEG);
        assert_int_equal(info.bit_depth, 8);
        assert_string_equal(info.notes, "");
        buf_deinit(&b);
        image_free(&im);
        image_free(&back);
    }
}

static void alpha_is_put_on_white_when_jpeg_is_written(void **state)
{
    (void)state;
    for (int channels = 2; channels <= 4; channels += 2) {
        struct err e = {0};
        struct image im = new_image(16, 16, channels); /* black, transparent */
        struct buf b;
        buf_init(&b, 1 << 20);
        must(image_jpeg_write(&im, 90, &b, &e), &e);
        struct image back = load(&b, NULL);
        assert_int_equal(back.channels, channels - 1);
        assert_true(back.p[0] >= 253);
        buf_deinit(&b);
        image_free(&im);
        image_free(&back);
    }
}

static void jpeg_is_refused_when_quality_or_size_make_no_sense(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    struct image im = new_image(65501, 1, 1);
    assert_int_equal(image_jpeg_write(&im, 90, &b, &e), ERR_LIMIT);
    im.w = 1;
    assert_int_equal(image_jpeg_write(&im, 0, &b, &e), ERR_ARG);
    assert_int_equal(image_jpeg_write(&im, 101, &b, &e), ERR_ARG);
    assert_int_equal(image_jpeg_write_file("/nowhere/x.jpg", &im, 90, &e), ERR_IO);
    image_free(&im);
    im = noise(64, 64, 3, 1);
    b.max = 100;
    assert_int_equal(image_jpeg_write(&im, 90, &b, &e), ERR_NOMEM);
    buf_deinit(&b);
    image_free(&im);
}

static void progressive_and_split_scans_equal_baseline(void **state)
{
    (void)state;
    struct made kinds[3] = {plain, plain, plain};
    struct image im = gradient(53, 41, 3), out[3];
    kinds[1].progressive = true;
    kinds[2].interleaved = false;
    for (int i = 0; i < 3; i++) {
        struct buf b;
        make_jpeg(&kinds[i], &im, &b);
        out[i] = load(&b, NULL);
        buf_deinit(&b);
    }
    assert_same(&out[0], &out[1]);
    assert_same(&out[0], &out[2]);
    for (int i = 0; i < 3; i++)
        image_free(&out[i]);
    image_free(&im);
}

/* Inks are stored inverted: 255 is none. */
static void cmyk_and_ycck_become_rgb(void **state)
{
    (void)state;
    static const unsigned char inks[4][4] = {
        {255, 255, 255, 255}, {255, 0, 255, 255}, {255, 255, 255, 0}, {128, 255, 128, 255}};
    static const unsigned char want[4][3] = {
        {255, 255, 255}, {255, 0, 255}, {0, 0, 0}, {128, 255, 128}};
    for (int i = 0; i < 8; i++) {
        struct made m = {.from = JCS_CMYK, .to = i & 1 ? JCS_YCCK : JCS_CMYK, .interleaved = true};
        struct image_info info;
        struct image im = new_image(16, 16, 4);
        struct buf b;
        m.quality = 100;
        image_fill(&im, inks[i / 2]);
        make_jpeg(&m, &im, &b);
        struct image out = load(&b, &info);
        assert_int_equal(out.channels, 3);
        assert_int_equal(info.channels, 3);
        assert_non_null(strstr(info.notes, "CMYK"));
        for (int c = 0; c < 3; c++)
            assert_true(abs(out.p[c] - want[i / 2][c]) <= 2);
        buf_deinit(&b);
        image_free(&im);
        image_free(&out);
    }
}

/* Inks of a printer that knows only grey: L = (1 - K) (1 - (C + M + Y) / 3), neutral. In version 2
 * profiles 0xff00 is L = 100, and 0x8000 is a = b = 0. */
static int grey_inks(const cmsUInt16Number in[], cmsUInt16Number out[], void *cargo)
{
    (void)cargo;
    double inks = ((double)in[0] + in[1] + in[2]) / 3.0 / 65535.0;
    out[0] = (cmsUInt16Number)(65280.0 * (1.0 - in[3] / 65535.0) * (1.0 - inks));
    out[1] = out[2] = 0x8000;
    return TRUE;
}

static unsigned grey_ink_profile(char *bytes, unsigned room)
{
    cmsHPROFILE p = cmsCreateProfilePlaceholder(NULL);
    cmsPipeline *lut = cmsPipelineAlloc(NULL, 4, 3);
    cmsStage *grid = cmsStageAllocCLut16bit(NULL, 9, 4, 3, NULL);
    cmsSetProfileVersion(p, 2.1);
    cmsSetDeviceClass(p, cmsSigOutputClass);
    cmsSetColorSpace(p, cmsSigCmykData);
    cmsSetPCS(p, cmsSigLabData);
    assert_true(cmsStageSampleCLut16bit(grid, grey_inks, NULL, 0));
    assert_true(cmsPipelineInsertStage(lut, cmsAT_END, grid));
    assert_true(cmsWriteTag(p, cmsSigAToB0Tag, lut));
    cmsUInt32Number n = 0;
    assert_true(cmsSaveProfileToMem(p, NULL, &n));
    assert_true(n >= 1 && n <= room);
    assert_true(cmsSaveProfileToMem(p, bytes, &n));
    cmsPipelineFree(lut);
    cmsCloseProfile(p);
    return n;
}

static void cmyk_goes_through_its_profile(void **state)
{
    (void)state;
    /* No ink; all black; cyan only, which without the profile would be (0, 255, 255). */
    static const unsigned char inks[3][4] = {
        {255, 255, 255, 255}, {255, 255, 255, 0}, {0, 255, 255, 255}};
    static const int want[3] = {255, 0, 161}; /* L = 66.7 */
    static char profile[100000];
    struct made m = {.from = JCS_CMYK, .to = JCS_CMYK, .quality = 100, .interleaved = true};
    m.icc = profile;
    m.icc_bytes = grey_ink_profile(profile, sizeof profile);
    for (int i = 0; i < 3; i++) {
        struct image_info info;
        struct image im = new_image(16, 16, 4);
        struct buf b;
        image_fill(&im, inks[i]);
        make_jpeg(&m, &im, &b);
        struct image out = load(&b, &info);
        assert_true(info.had_icc);
        assert_string_equal(info.notes, "");
        for (int c = 0; c < 3; c++)
            assert_true(abs(out.p[c] - want[i]) <= 2);
        buf_deinit(&b);
        image_free(&im);
        image_free(&out);
    }
}

static void rgb_without_transform_is_read(void **state)
{
    (void)state;
    struct made m = {.from = JCS_RGB, .to = JCS_RGB, .quality = 100, .interleaved = true};
    struct image im = new_image(8, 8, 3);
    struct buf b;
    image_fill(&im, (const unsigned char[]){200, 30, 90});
    make_jpeg(&m, &im, &b);
    struct image out = load(&b, NULL);
    assert_true(max_difference(&im, &out) <= 1);
    buf_deinit(&b);
    image_free(&im);
    image_free(&out);
}

static void exif_orientation_is_applied(void **state)
{
    (void)state;
    struct image im = gradient(40, 24, 3);
    struct buf b;
    make_jpeg(&plain, &im, &b);
    struct image stored = load(&b, NULL);
    buf_deinit(&b);
    for (int o = 1; o <= 8; o++) {
        struct err e = {0};
        struct made m = plain;
        struct image_info info;
        struct image want;
        m.orientation = o;
        make_jpeg(&m, &im, &b);
        struct image out = load(&b, &info);
        must(image_orient(&stored, o, &want, &e), &e);
        assert_same(&out, &want);
        assert_int_equal(info.orientation, o);
        assert_int_equal(info.w, out.w);
        assert_int_equal(info.h, out.h);
        must(image_probe_memory(buf_str(&b), NULL, &info, &e), &e);
        assert_int_equal(info.w, out.w);
        image_free(&out);
        image_free(&want);
        buf_deinit(&b);
    }
    image_free(&im);
    image_free(&stored);
}

static void broken_profile_is_ignored_with_a_note(void **state)
{
    (void)state;
    static const char nonsense[300] = "no profile";
    struct made m = plain;
    struct image_info info;
    struct image im = gradient(16, 16, 3);
    struct buf b;
    make_jpeg(&m, &im, &b);
    struct image want = load(&b, NULL);
    buf_deinit(&b);
    m.icc = nonsense;
    m.icc_bytes = sizeof nonsense;
    make_jpeg(&m, &im, &b);
    struct image out = load(&b, &info);
    assert_true(info.had_icc);
    assert_non_null(strstr(info.notes, "ICC profile is broken"));
    assert_same(&want, &out);
    buf_deinit(&b);
    image_free(&im);
    image_free(&out);
    image_free(&want);
}

static void cut_jpeg_is_an_error_wherever_it_ends(void **state)
{
    (void)state;
    struct made kinds[3] = {plain, plain, plain};
    struct image im = noise(48, 40, 3, 7), out;
    kinds[1].progressive = true;
    kinds[2].interleaved = false;
    for (int i = 0; i < 3; i++) {
        struct buf b;
        make_jpeg(&kinds[i], &im, &b);
        /* Up to the last byte of pixels; behind it are FF D9. */
        for (size_t n = 3; n < b.n - 3; n++) {
            struct err e = {0};
            enum err_code rc = image_load_memory((struct str){b.p, n}, NULL, NULL, &out, &e);
            if (rc != ERR_FORMAT || !strstr(e.text, "cut"))
                fail_msg("kind %d cut at %zu of %zu: %s", i, n, b.n, e.text);
        }
        buf_deinit(&b);
    }
    image_free(&im);
}

static void missing_end_marker_is_only_a_note_when_all_pixels_are_there(void **state)
{
    (void)state;
    struct err e = {0};
    struct image_info info;
    struct image im = gradient(48, 40, 3), out;
    struct buf b;
    make_jpeg(&plain, &im, &b);
    must(image_load_memory((struct str){b.p, b.n - 2}, NULL, &info, &out, &e), &e);
    assert_non_null(strstr(info.notes, "end marker"));
    buf_deinit(&b);
    image_free(&im);
    image_free(&out);
}

static size_t find_marker(const struct buf *b, size_t from, unsigned char code)
{
    for (size_t i = from; i + 1 < b->n; i++) {
        if ((unsigned char)b->p[i] == 0xff && (unsigned char)b->p[i + 1] == code)
            return i;
    }
    return 0;
}

static void end_marker_amid_the_pixels_is_an_error(void **state)
{
    (void)state;
    struct err e = {0};
    struct image im = noise(48, 40, 3, 7), out;
    struct buf b;
    make_jpeg(&plain, &im, &b);
    memcpy(b.p + b.n / 2 + 100, "\xff\xd9", 2);
    assert_int_equal(image_load_memory(buf_str(&b), NULL, NULL, &out, &e), ERR_FORMAT);
    buf_deinit(&b);
    image_free(&im);
}

static void huge_header_is_refused_before_pixels(void **state)
{
    (void)state;
    struct err e = {0};
    struct image im = gradient(16, 16, 3), out;
    struct buf b;
    make_jpeg(&plain, &im, &b);
    size_t sof = find_marker(&b, 0, 0xc0);
    assert_true(sof > 0);
    memcpy(b.p + sof + 5, "\xea\x60\xea\x60", 4); /* 60,000 a side */
    assert_int_equal(image_load_memory(buf_str(&b), NULL, NULL, &out, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "60000 x 60000"));
    buf_deinit(&b);
    image_free(&im);
}

/* The first scan of a progressive file again and again: little to store, much to decode. */
/* An image of side x side with its first scan so many times. */
static void refuse_scans(int side, int times)
{
    struct err e = {0};
    struct made m = plain;
    struct image im = gradient(side, side, 3), out;
    struct buf b, bomb;
    m.progressive = true;
    make_jpeg(&m, &im, &b);
    size_t scan = find_marker(&b, 2, 0xda), end = scan + 2;
    while (b.p[end] != (char)0xff || b.p[end + 1] == 0)
        end++;
    buf_init(&bomb, 64u << 20);
    buf_add(&bomb, b.p, scan);
    for (int i = 0; i < times; i++)
        buf_add(&bomb, b.p + scan, end - scan);
    buf_add(&bomb, "\xff\xd9", 2);
    assert_int_equal(image_load_memory(buf_str(&bomb), NULL, NULL, &out, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "scans"));
    buf_deinit(&b);
    buf_deinit(&bomb);
    image_free(&im);
}

static void endless_scans_are_refused(void **state)
{
    (void)state;
    refuse_scans(16, 200);
    refuse_scans(6000, 65); /* each is a pass over 36 million pixels */
}

static void damaged_byte_never_crashes(void **state)
{
    (void)state;
    struct image im = noise(24, 24, 3, 7), out;
    for (int i = 0; i < 2; i++) {
        struct made m = plain;
        struct buf b;
        m.progressive = i;
        m.quality = 50;
        m.orientation = 6;
        make_jpeg(&m, &im, &b);
        for (size_t at = 0; at < b.n; at++) {
            b.p[at] = (char)(b.p[at] ^ 0x41);
            (void)!image_load_memory(buf_str(&b), NULL, NULL, &out, NULL);
            image_free(&out);
            b.p[at] = (char)(b.p[at] ^ 0x41);
        }
        buf_deinit(&b);
    }
    image_free(&im);
}

static enum err_code write_it(void *arg, struct err *e)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    enum err_code rc = image_jpeg_write(arg, 80, &b, e);
    buf_deinit(&b);
    return rc;
}

static enum err_code read_it(void *arg, struct err *e)
{
    struct image im;
    enum err_code rc = image_load_memory(buf_str(arg), NULL, NULL, &im, e);
    image_free(&im);
    return rc;
}

static void reading_and_writing_fail_cleanly_when_memory_is_out(void **state)
{
    (void)state;
    struct image im = noise(33, 20, 4, 1);
    struct made m = {.from = JCS_CMYK, .to = JCS_YCCK, .orientation = 3, .interleaved = true};
    struct buf b;
    assert_survives_without_memory(write_it, &im);
    m.icc = "x";
    m.icc_bytes = 1;
    make_jpeg(&m, &im, &b);
    assert_survives_without_memory(read_it, &b);
    buf_deinit(&b);
    image_free(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_jpeg_comes_back_close),
        cmocka_unit_test(alpha_is_put_on_white_when_jpeg_is_written),
        cmocka_unit_test(jpeg_is_refused_when_quality_or_size_make_no_sense),
        cmocka_unit_test(progressive_and_split_scans_equal_baseline),
        cmocka_unit_test(cmyk_and_ycck_become_rgb),
        cmocka_unit_test(cmyk_goes_through_its_profile),
        cmocka_unit_test(rgb_without_transform_is_read),
        cmocka_unit_test(exif_orientation_is_applied),
        cmocka_unit_test(broken_profile_is_ignored_with_a_note),
        cmocka_unit_test(cut_jpeg_is_an_error_wherever_it_ends),
        cmocka_unit_test(missing_end_marker_is_only_a_note_when_all_pixels_are_there),
        cmocka_unit_test(end_marker_amid_the_pixels_is_an_error),
        cmocka_unit_test(huge_header_is_refused_before_pixels),
        cmocka_unit_test(endless_scans_are_refused),
        cmocka_unit_test(damaged_byte_never_crashes),
        cmocka_unit_test(reading_and_writing_fail_cleanly_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
