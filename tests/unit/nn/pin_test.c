#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/folder.h"
#include "nn/pin.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    memcpy(dir, "/tmp/veetance-pin.XXXXXX", 25);
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    char path[128];
    static const char *const files[] = {"lib.so", "home/sub/pin.json", "home/sub", "home"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)remove(path);
    }
    return rmdir(dir);
}

static void write_text(const char *path, const char *text)
{
    struct err e = {0};
    assert_int_equal(file_write_atomic(path, text, strlen(text), &e), ERR_OK);
}

static void a_pin_comes_back_when_it_was_written(void **state)
{
    char lib[128], path[128];
    struct err e = {0};
    static struct nn_pin pin, back;
    (void)state;
    (void)snprintf(lib, sizeof lib, "%s/lib.so", dir);
    (void)snprintf(path, sizeof path, "%s/home/sub/pin.json", dir);
    write_text(lib, "code");
    memset(&pin, 0, sizeof pin);
    (void)snprintf(pin.device, sizeof pin.device, "vulkan0");
    pin.gflops = 12.5;
    assert_int_equal(nn_pin_library_note(lib, &pin.library, &e), ERR_OK);
    assert_int_equal(nn_pin_write(path, &pin, &e), ERR_OK);
    assert_int_equal(nn_pin_read(path, &back, &e), ERR_OK);
    assert_string_equal(back.device, "vulkan0");
    assert_string_equal(back.library.path, lib);
    assert_string_equal(back.library.sha256, pin.library.sha256);
    assert_int_equal(back.library.bytes, 4);
    assert_string_equal(back.cpu.path, "");
    assert_true(back.gflops > 12.4 && back.gflops < 12.6);
    assert_int_equal(nn_pin_library_check(&back.library, &e), ERR_OK);
}

static void a_library_holds_when_only_its_time_changed(void **state)
{
    char lib[128];
    struct err e = {0};
    static struct nn_pin_library noted;
    (void)state;
    (void)snprintf(lib, sizeof lib, "%s/lib.so", dir);
    write_text(lib, "code");
    assert_int_equal(nn_pin_library_note(lib, &noted, &e), ERR_OK);
    noted.mtime_ns -= 1;
    assert_int_equal(nn_pin_library_check(&noted, &e), ERR_OK);
}

static void a_library_is_refused_when_its_bytes_changed(void **state)
{
    char lib[128];
    struct err e = {0};
    static struct nn_pin_library noted;
    (void)state;
    (void)snprintf(lib, sizeof lib, "%s/lib.so", dir);
    write_text(lib, "code");
    assert_int_equal(nn_pin_library_note(lib, &noted, &e), ERR_OK);
    write_text(lib, "edoc");
    noted.mtime_ns -= 1;
    assert_int_equal(nn_pin_library_check(&noted, &e), ERR_FORMAT);
    assert_int_equal(remove(lib), 0);
    assert_int_equal(nn_pin_library_check(&noted, &e), ERR_NOTFOUND);
}

static void a_pin_is_refused_when_it_is_no_pin(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"veetance_pin\":2,\"device\":\"cpu\"}",
        "{\"veetance_pin\":1,\"device\":\"cpu\"}",
        "{\"veetance_pin\":1,\"device\":7,\"cpu_library\":{\"path\":\"/x\"}}",
        "{\"veetance_pin\":1,\"device\":\"cpu\",\"cpu_library\":{\"path\":\"x.so\"}}",
        "{\"veetance_pin\":1,\"device\":\"cpu\",\"cpu_library\":{\"path\":\"/x\",\"bytes\":-1}}",
        "{\"veetance_pin\":1,\"device\":\"cpu\",\"cpu_library\":[]}",
    };
    static struct nn_pin pin;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        assert_int_equal(nn_pin_parse(str_from(bad[i]), &pin, &e), ERR_FORMAT);
        assert_true(e.text[0] != 0);
    }
}

static void nothing_is_pinned_when_there_is_no_file(void **state)
{
    static struct nn_pin pin;
    struct err e = {0};
    (void)state;
    assert_int_equal(nn_pin_read("/nonexistent/pin.json", &pin, &e), ERR_NOTFOUND);
}

static void homes_follow_the_environment_when_it_is_set(void **state)
{
    char out[256];
    struct err e = {0};
    (void)state;
    (void)setenv("HOME", "/h", 1);
    (void)unsetenv("VEETANCE_HOME");
    (void)setenv("XDG_CONFIG_HOME", "relative", 1);
    (void)setenv("XDG_DATA_HOME", "/d", 1);
    assert_int_equal(home_path(HOME_CONFIG, "pin.json", out, sizeof out, &e), ERR_OK);
    assert_string_equal(out, "/h/.config/veetance/pin.json");
    assert_int_equal(home_path(HOME_DATA, NULL, out, sizeof out, &e), ERR_OK);
    assert_string_equal(out, "/d/veetance");
    (void)setenv("VEETANCE_HOME", "/v", 1);
    assert_int_equal(home_path(HOME_DATA, "x", out, sizeof out, &e), ERR_OK);
    assert_string_equal(out, "/v/x");
    (void)unsetenv("VEETANCE_HOME");
    (void)unsetenv("XDG_CONFIG_HOME");
    (void)unsetenv("HOME");
    assert_int_equal(home_path(HOME_CONFIG, "x", out, sizeof out, &e), ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_comes_back_when_it_was_written),
        cmocka_unit_test(a_library_holds_when_only_its_time_changed),
        cmocka_unit_test(a_library_is_refused_when_its_bytes_changed),
        cmocka_unit_test(a_pin_is_refused_when_it_is_no_pin),
        cmocka_unit_test(nothing_is_pinned_when_there_is_no_file),
        cmocka_unit_test(homes_follow_the_environment_when_it_is_set),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
