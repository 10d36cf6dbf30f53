/* Whose products the CPU uses: the file that keeps what was measured, and choosing by hand. */
#include "help.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/cpu/choice.h"
#include "nn/cpu/gemm.h"
#include "nn/cpu/onednn.h"

#define GOOD                                                                                       \
    "{\"veetance_cpu\":1,\"machine\":\"m\",\"f32\":{\"own\":2.5,\"onednn\":1},"                    \
    "\"int8\":{\"own\":4,\"onednn\":0}}"

static enum err_code parse(const char *text, struct nn_cpu_rates *r, struct err *e)
{
    return nn_cpu_choice_parse((struct str){text, strlen(text)}, r, e);
}

static void rates_are_read_when_the_file_is_whole(void **state)
{
    (void)state;
    struct nn_cpu_rates r;
    struct err e = {0};
    assert_int_equal(parse(GOOD, &r, &e), ERR_OK);
    assert_string_equal(r.machine, "m");
    assert_true(r.rate[NN_CPU_WORK_F32][NN_CPU_OWN] == 2.5);
    assert_true(r.rate[NN_CPU_WORK_INT8][NN_CPU_ONEDNN] == 0);
}

static void files_that_are_none_are_refused(void **state)
{
    (void)state;
    char longest[512];
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"veetance_cpu\":2}",
        "{\"veetance_cpu\":1,\"machine\":3}",
        "{\"veetance_cpu\":1,\"machine\":\"m\"}",
        "{\"veetance_cpu\":1,\"machine\":\"m\",\"f32\":[],\"int8\":{}}",
        "{\"veetance_cpu\":1,\"machine\":\"m\",\"f32\":{\"own\":-1},\"int8\":{}}"};
    struct nn_cpu_rates r;
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(&e, 0, sizeof e);
        assert_int_equal(parse(bad[i], &r, &e), ERR_FORMAT);
        assert_non_null(strstr(e.text, "cpu.json"));
    }
    (void)snprintf(longest, sizeof longest, "{\"veetance_cpu\":1,\"machine\":\"%0200d\"}", 0);
    assert_int_equal(parse(longest, &r, &e), ERR_FORMAT);
}

static void the_set_is_the_one_named_when_it_is_named(void **state)
{
    (void)state;
    bool both = gemm_get() && onednn_get() && onednn_get()->f32;
    char why[160];
    assert_int_equal(setenv("VEETANCE_CPU_KERNELS", "own", 1), 0);
    assert_int_equal(nn_cpu_own(NN_CPU_WORK_F32), gemm_get() != NULL);
    assert_int_equal(setenv("VEETANCE_CPU_KERNELS", "onednn", 1), 0);
    assert_int_equal(nn_cpu_own(NN_CPU_WORK_F32), gemm_get() && !both);
    nn_cpu_choice_describe(NN_CPU_WORK_F32, why, sizeof why);
    assert_int_equal(strstr(why, "VEETANCE_CPU_KERNELS") != NULL, both);
    assert_int_equal(unsetenv("VEETANCE_CPU_KERNELS"), 0);
}

/* What was measured for another processor, or is no such file, is measured anew and written. */
static void the_file_is_renewed_when_it_does_not_fit(void **state)
{
    (void)state;
    char folder[] = "/tmp/vt_choiceXXXXXX", path[256];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("XDG_CONFIG_HOME", folder, 1), 0);
    (void)snprintf(path, sizeof path, "%s/veetance", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/veetance/cpu.json", folder);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(GOOD, f) >= 0);
    assert_int_equal(fclose(f), 0);
    struct nn_cpu_rates r = nn_cpu_choice_rates();
    assert_string_not_equal(r.machine, "m");
    assert_int_equal(r.rate[NN_CPU_WORK_F32][NN_CPU_OWN] > 0, gemm_get() != NULL);
    if (!getenv("VEETANCE_CPU_ISA")) { /* a limited processor is neither read nor written */
        char text[1024] = {0};
        f = fopen(path, "re");
        assert_non_null(f);
        assert_true(fread(text, 1, sizeof text - 1, f) > 0);
        assert_int_equal(fclose(f), 0);
        assert_non_null(strstr(text, r.machine));
    }
    struct err e = {0};
    assert_int_equal(nn_cpu_choice_unpin(&e), ERR_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(nn_cpu_choice_unpin(&e), ERR_OK);
    (void)snprintf(path, sizeof path, "%s/veetance", folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read_when_the_file_is_whole),
        cmocka_unit_test(files_that_are_none_are_refused),
        cmocka_unit_test(the_file_is_renewed_when_it_does_not_fit),
        cmocka_unit_test(the_set_is_the_one_named_when_it_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
