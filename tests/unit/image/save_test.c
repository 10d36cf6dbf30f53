/* save_test.c - formats by their endings, and recipes that come back from every one of them. */
#include "image/save.h"

#include "image/exif.h"
#include "image_support.h"

static void an_ending_says_the_format(void **state)
{
    static const struct {
        const char *path;
        enum image_format format;
    } good[] = {{"a.png", IMAGE_FORMAT_PNG},         {"a.JPG", IMAGE_FORMAT_JPEG},
                {"b/c.d/a.jpeg", IMAGE_FORMAT_JPEG}, {"a.b.WebP", IMAGE_FORMAT_WEBP},
                {"name", IMAGE_FORMAT_PNG},          {"folder.gif/name", IMAGE_FORMAT_PNG},
                {"a/.png", IMAGE_FORMAT_PNG}};
    static const char *const bad[] = {"a.gif", "a.tif", "a.", "x/a.pngg", "a.jp"};
    struct err e = {0};
    enum image_format f;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        must(image_save_format(good[i].path, &f, &e), &e);
        assert_int_equal(f, good[i].format);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(image_save_format(bad[i], &f, &e), ERR_ARG);
}

static const enum image_format formats[] = {IMAGE_FORMAT_PNG, IMAGE_FORMAT_JPEG, IMAGE_FORMAT_WEBP};

/* The text that comes back from an image saved with text. */
static void round_trip(enum image_format format, int channels, const char *text, const char *want)
{
    const struct image_text seed = {"seed", STR_LIT("1")};
    struct image_about about;
    const struct image_save s = {.format = format, .about = &about, .texts = &seed, .n_texts = 1};
    struct image im = noise(33, 17, channels, 1), back;
    struct image_info info;
    struct err e = {0};
    struct buf file, found;
    buf_init(&file, 8 << 20);
    buf_init(&found, 8 << 20);
    image_about_init(&about);
    buf_add_z(&about.recipe, text);
    must(image_save(&im, &s, &file, &e), &e);
    must(image_load_memory(buf_str(&file), NULL, &info, &back, &e), &e);
    assert_int_equal(info.format, format);
    assert_int_equal(info.orientation, 1);
    assert_int_equal(back.w, 33);
    assert_int_equal(image_has_alpha(&back), image_has_alpha(&im) && format != IMAGE_FORMAT_JPEG);
    must(image_parameters(buf_str(&file), &found, &e), &e);
    assert_string_equal(buf_z(&found), want);
    for (size_t n = 0; n < file.n; n += 1 + n / 30) { /* cut files never read behind their end */
        char *cut = mem_alloc(n + 1);
        memcpy(cut, file.p, n);
        buf_clear(&found);
        enum err_code rc = image_parameters((struct str){cut, n}, &found, &e);
        assert_true(rc == ERR_OK || rc == ERR_FORMAT || rc == ERR_NOTFOUND);
        mem_free(cut);
    }
    image_free(&im);
    image_free(&back);
    image_about_deinit(&about);
    buf_deinit(&file);
    buf_deinit(&found);
}

static void a_recipe_comes_back_from_every_format(void **state)
{
    static const char *const texts[] = {
        "a star\nSteps: 4, Seed: 1",
        "\xe2\x80\x9eStern\xe2\x80\x9c \xe2\x98\x85 \xe6\x98\x9f \xf0\x9f\x8c\x9f", "x"};
    (void)state;
    for (size_t f = 0; f < 3; f++)
        for (int channels = 1; channels <= 4; channels++)
            for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
                round_trip(formats[f], channels, texts[i], texts[i]);
}

static void a_long_recipe_is_cut_only_where_it_must_be(void **state)
{
    enum { LONG = 100000 };
    char *text = mem_alloc(LONG + 1), *want = mem_alloc(LONG + 1);
    (void)state;
    memset(text, 'a', LONG);
    round_trip(IMAGE_FORMAT_PNG, 3, text, text);
    round_trip(IMAGE_FORMAT_WEBP, 3, text, text);
    struct buf exif, found;
    buf_init(&exif, LONG);
    buf_init(&found, LONG);
    exif_write(str_from(text), IMAGE_JPEG_EXIF_MAX, &exif);
    assert_true(exif.n <= IMAGE_JPEG_EXIF_MAX && exif.n > IMAGE_JPEG_EXIF_MAX - 16);
    assert_true(exif_comment(buf_str(&exif), &found));
    assert_string_equal(buf_z(&found) + found.n - 6, "a[cut]");
    memcpy(want, found.p, found.n);
    round_trip(IMAGE_FORMAT_JPEG, 3, text, want);
    buf_deinit(&exif);
    buf_deinit(&found);
    mem_free(text);
    mem_free(want);
}

static void files_without_a_recipe_say_so(void **state)
{
    struct image im = noise(8, 8, 3, 1);
    struct err e = {0};
    struct buf file, found;
    (void)state;
    buf_init(&found, 1000);
    for (size_t f = 0; f < 3; f++) {
        const struct image_save s = {.format = formats[f]};
        buf_init(&file, 1 << 20);
        must(image_save(&im, &s, &file, &e), &e);
        assert_int_equal(image_parameters(buf_str(&file), &found, &e), ERR_NOTFOUND);
        buf_deinit(&file);
    }
    assert_int_equal(image_parameters(STR_LIT("no image"), &found, &e), ERR_FORMAT);
    assert_int_equal(image_save(&im, &(struct image_save){0}, &found, &e), ERR_ARG);
    assert_int_equal(found.n, 0);
    image_free(&im);
}

/* UTF-16 in either order, with and without its mark, and plain text. */
static void comments_of_other_programs_are_read(void **state)
{
    static const struct {
        const char *p;
        size_t n;
    } bodies[] = {{"UNICODE\0\0s\0t", 12},         {"UNICODE\0s\0t\0", 12},
                  {"UNICODE\0\xfe\xff\0s\0t", 14}, {"UNICODE\0\xff\xfes\0t\0", 14},
                  {"ASCII\0\0\0st", 10},           {"\0\0\0\0\0\0\0\0st\0\0", 12}};
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        unsigned char tiff[80] = "II\x2a\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x1a\0\0\0\0\0\0\0"
                                 "\1\0\x86\x92\7\0\0\0\0\0\x2c\0\0\0\0\0\0\0";
        struct buf found;
        tiff[32] = (unsigned char)bodies[i].n;
        memcpy(tiff + 44, bodies[i].p, bodies[i].n);
        buf_init(&found, 100);
        assert_true(exif_comment((struct str){(const char *)tiff, 44 + bodies[i].n}, &found));
        assert_string_equal(buf_z(&found), "st");
        assert_false(exif_comment((struct str){(const char *)tiff, 43 + bodies[i].n}, &found));
        buf_deinit(&found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ending_says_the_format),
        cmocka_unit_test(a_recipe_comes_back_from_every_format),
        cmocka_unit_test(a_long_recipe_is_cut_only_where_it_must_be),
        cmocka_unit_test(files_without_a_recipe_say_so),
        cmocka_unit_test(comments_of_other_programs_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
