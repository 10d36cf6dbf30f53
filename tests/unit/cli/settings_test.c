/* What is set: the file, variables before it, and what a file may not say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "cli/settings.h"

static char dir[64], path[128];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/vt-settings-XXXXXX");
    if (!mkdtemp(dir) || setenv("VEETANCE_HOME", dir, 1) != 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/settings.json", dir);
    for (int i = 0; i < SETTINGS; i++)
        (void)unsetenv(cli_setting_rows[i].variable);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove_tree(dir);
    return 0;
}

static void put(const char *text)
{
    assert_int_equal(file_write_atomic(path, text, strlen(text), NULL), ERR_OK);
}

static struct cli_settings load(void)
{
    struct cli_settings s;
    struct err e = {0};
    if (cli_settings_load(&s, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return s;
}

static void without_a_file_it_is_what_is_built_in(void **state)
{
    (void)state;
    struct cli_settings s = load();
    assert_null(cli_setting(&s, SETTING_MODEL));
    assert_string_equal(cli_setting(&s, SETTING_DEVICE), "auto");
    assert_int_equal(s.of[SETTING_DEVICE].source, SETTING_BUILT_IN);
    assert_string_equal(s.path, path);
}

static void a_variable_goes_before_the_file(void **state)
{
    (void)state;
    put("{\"model\": \"a\", \"layers-model\": \"b\", \"budget\": 8000000000, \"device\": null}");
    assert_int_equal(setenv("VEETANCE_MODEL", "c", 1), 0);
    assert_int_equal(setenv("VEETANCE_LAYERS_MODEL", "", 1), 0);
    struct cli_settings s = load();
    assert_string_equal(cli_setting(&s, SETTING_MODEL), "c");
    assert_int_equal(s.of[SETTING_MODEL].source, SETTING_VARIABLE);
    assert_string_equal(cli_setting(&s, SETTING_LAYERS_MODEL), "b");
    assert_int_equal(s.of[SETTING_LAYERS_MODEL].source, SETTING_FILE);
    assert_string_equal(cli_setting(&s, SETTING_BUDGET), "8000000000");
    assert_int_equal(s.of[SETTING_DEVICE].source, SETTING_BUILT_IN);
}

static void assert_refused(const char *text, const char *why)
{
    struct cli_settings s;
    struct err e = {0};
    put(text);
    if (cli_settings_load(&s, &e) == ERR_OK || !strstr(e.text, why))
        fail_msg("%s: '%s' lacks '%s'", text, e.text, why);
}

static void what_cannot_be_is_refused_by_its_key(void **state)
{
    (void)state;
    assert_refused("[]", "should be an object");
    assert_refused("{", path);
    assert_refused("{\"model\": 3.5}", "'model' should be a text");
    assert_refused("{\"budget\": \"lots\"}", "budget: ");
    assert_refused("{\"budget\": \"101%\"}", "1% to 100%");
    assert_refused("{\"output_folder\": \"pics\"}", "should begin with /");
    assert_refused("{\"name\": \"{dte}\"}", "'{dte}' is none of");
    assert_refused("{\"device\": \"rpc:host:1\"}", "named with --rpc");
    assert_refused("{\"device\": \"vulcan\"}", "did you mean 'vulkan'?");
}

static void a_key_that_is_none_is_told(void **state)
{
    (void)state;
    put("{\"modle\": \"x\", \"model\": \"y\"}");
    struct cli_settings s = load();
    assert_string_equal(cli_setting(&s, SETTING_MODEL), "y");
    assert_non_null(strstr(s.unknown, "'modle' is no setting; did you mean 'model'?"));
}

static void keys_may_be_written_with_a_dash(void **state)
{
    (void)state;
    assert_int_equal(cli_setting_from_key("output-folder"), SETTING_OUTPUT_FOLDER);
    assert_int_equal(cli_setting_from_key("output_folder"), SETTING_OUTPUT_FOLDER);
    assert_int_equal(cli_setting_from_key("output"), SETTINGS);
    assert_int_equal(cli_setting_from_key(""), SETTINGS);
}

static void a_change_leaves_the_rest_of_the_file(void **state)
{
    struct err e = {0};
    (void)state;
    put("{\"other\": [1, 2], \"model\": \"a\"}");
    assert_int_equal(cli_settings_change(SETTING_NAME, "{seed}", &e), ERR_OK);
    assert_int_equal(cli_settings_change(SETTING_MODEL, NULL, &e), ERR_OK);
    struct cli_settings s = load();
    assert_null(cli_setting(&s, SETTING_MODEL));
    assert_string_equal(cli_setting(&s, SETTING_NAME), "{seed}");
    assert_non_null(strstr(s.unknown, "'other'"));
    assert_int_equal(cli_settings_change(SETTING_BUDGET, "lots", &e), ERR_ARG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_file_it_is_what_is_built_in), TEST(a_variable_goes_before_the_file),
        TEST(what_cannot_be_is_refused_by_its_key),  TEST(a_key_that_is_none_is_told),
        TEST(keys_may_be_written_with_a_dash),       TEST(a_change_leaves_the_rest_of_the_file),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
