/* What -o and --format of a stack mean together. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "cli/layers_out.h"

static char dir[] = "/tmp/vt-layers-out-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || chdir(dir) != 0 || !freopen("/dev/null", "r", stdin))
        return -1;
    return mkdir("there", 0700) == 0 && mkdir("odd.png", 0700) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove_tree(dir);
    return 0;
}

static unsigned formats(const char *list)
{
    unsigned out = 0;
    struct err e = {0};
    if (*list && layers_formats_parse(list, &out, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return out;
}

static struct layers_out checked(const char *named, const char *list, bool is_export, struct err *e)
{
    struct layers_out o = layers_out_defaults();
    o.to.named = named;
    o.formats = formats(list);
    o.is_export = is_export;
    *e = (struct err){0};
    (void)!layers_out_check(&o, e);
    return o;
}

static void the_ending_says_what_is_written(void **state)
{
    static const struct {
        const char *named, *list;
        bool is_export;
        enum layers_format kind;
    } rows[] = {
        {"x.psd", "", false, LAYERS_PSD},        {"x.ORA", "", false, LAYERS_ORA},
        {"x.psd", "psd", true, LAYERS_PSD},      {"x", "", false, LAYERS_PNG},
        {"v1.2", "", false, LAYERS_PNG},         {"x", "psd", false, LAYERS_PNG},
        {"x", "psd", true, LAYERS_PSD},          {"x", "psd,ora", true, LAYERS_PNG},
        {"x", "png", true, LAYERS_PNG},          {"there", "psd", true, LAYERS_PNG},
        {"odd.png", "", false, LAYERS_PNG},      {"x.psd/", "", false, LAYERS_PNG},
        {"/dev/null", "ora", false, LAYERS_ORA}, {"a.b/x.zip", "", false, LAYERS_ZIP},
    };
    struct err e;
    (void)state;
    assert_int_equal(mkdir("a.b", 0700), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct layers_out o = checked(rows[i].named, rows[i].list, rows[i].is_export, &e);
        if (e.code != ERR_OK || o.kind != rows[i].kind)
            fail_msg("-o %s --format %s: %s", rows[i].named, rows[i].list, e.text);
    }
}

static void an_export_into_a_folder_has_just_its_formats(void **state)
{
    struct err e;
    (void)state;
    assert_true(checked("there", "psd", true, &e).into_folder);
    assert_true(checked("new", "psd,ora", true, &e).into_folder);
    assert_true(checked("new2/", "psd", true, &e).into_folder);
    assert_false(checked("there", "png,psd", true, &e).into_folder);
    assert_false(checked("there", "", true, &e).into_folder);
    assert_false(checked("there", "psd", false, &e).into_folder);
    assert_false(checked("x.psd", "psd", true, &e).into_folder);
}

static void what_does_not_go_together_is_refused(void **state)
{
    static const struct {
        const char *named, *list, *text;
    } rows[] = {
        {"x.psd", "ora", "asks for others"},
        {"x.psd", "psd,ora", "asks for others"},
        {"x.xcf", "", "not as .xcf"},
        {"x.png", "", "not as .png"},
        {"x.pds", "", "did you mean 'psd'?"},
        {"", "", "nothing that could be written"},
        {"/dev/null", "", "cannot go to /dev/null"},
    };
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)checked(rows[i].named, rows[i].list, true, &e);
        if (e.code != ERR_ARG || !strstr(e.text, rows[i].text))
            fail_msg("-o %s --format %s: '%s' lacks '%s'", rows[i].named, rows[i].list, e.text,
                     rows[i].text);
    }
    (void)checked("nowhere/x.psd", "", false, &e);
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.text, "there is no folder 'nowhere'"));
}

static void a_format_that_is_none_gets_the_near_one(void **state)
{
    unsigned out;
    struct err e = {0};
    (void)state;
    assert_int_equal(formats("png,psd,ora,pptx,zip"), (1 << LAYERS_FORMATS) - 1);
    assert_int_equal(layers_formats_parse("psd,or", &out, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "'or' is no format"));
    assert_non_null(strstr(e.text, "did you mean 'ora'?"));
    assert_int_equal(layers_formats_parse("psd,", &out, &e), ERR_ARG);
    assert_int_equal(layers_formats_parse("", &out, &e), ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ending_says_what_is_written),
        cmocka_unit_test(an_export_into_a_folder_has_just_its_formats),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(a_format_that_is_none_gets_the_near_one),
    };
    return cmocka_run_group_tests_name("layers_out", tests, set_up, tear_down);
}
