#include "pipeline/result_json.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/json_text.h"

static struct buf b;

static int start(void **state)
{
    (void)state;
    buf_init(&b, 1 << 16);
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_deinit(&b);
    return 0;
}

static void layers_with_an_exact_match_have_no_psnr(void **state)
{
    (void)state;
    struct vt_layers_report r = {.model = "m",
                                 .prompt = "a \"cat\"",
                                 .captioned = 1,
                                 .seed = 7,
                                 .steps = 50,
                                 .guidance = 4.5,
                                 .resolution = 640,
                                 .working_width = 640,
                                 .working_height = 320,
                                 .layers_dropped = 1,
                                 .source = {.psnr_db = (double)INFINITY},
                                 .composite = {.psnr_db = 30, .worst = 9, .mean = 0.25}};
    json_object(&b, NULL);
    result_json_layers(&b, &r);
    json_end_object(&b);
    assert_string_equal(
        buf_z(&b),
        "{\"dropped_empty\":1,\"merged\":0,\"recomposed\":{"
        "\"source\":{\"psnr_db\":null,\"worst\":0,\"mean\":0.00000},"
        "\"model_composite\":{\"psnr_db\":30.0000,\"worst\":9,\"mean\":0.25000}},"
        "\"model\":\"m\",\"caption\":\"a \\\"cat\\\"\",\"seed\":7,\"steps\":50,\"guidance\":4.5,"
        "\"resolution\":640,\"working_width\":640,\"working_height\":320}");
}

static void doubts_without_a_value_have_no_such_member(void **state)
{
    (void)state;
    const struct layers_doubt doubts[] = {{"no_layers", "nothing", (double)NAN},
                                          {"far", "much", 12.5}};
    json_object(&b, NULL);
    result_json_doubts(&b, doubts, 2);
    json_end_object(&b);
    assert_string_equal(buf_z(&b), "{\"warnings\":[{\"code\":\"no_layers\",\"detail\":\"nothing\"},"
                                   "{\"code\":\"far\",\"detail\":\"much\",\"value\":12.5000}],"
                                   "\"doubtful\":true}");
}

static void tables_are_told_where_there_is_a_report(void **state)
{
    (void)state;
    const struct vt_layers_report r = {.table_bytes = 3, .table_weight_bytes = 4};
    const struct vt_stats s = {.total_seconds = 1.5, .device_peak_bytes = 2};
    json_object(&b, NULL);
    result_json_seconds(&b, &s, &r);
    result_json_memory(&b, &s, &r);
    json_end_object(&b);
    assert_string_equal(
        buf_z(&b), "{\"seconds\":{\"load\":0.0000,\"text\":0.0000,\"encode\":0.0000,"
                   "\"tables\":0.0000,\"steps\":0.0000,\"decode\":0.0000,\"total\":1.5000},"
                   "\"memory\":{\"device\":{\"budget_bytes\":0,\"peak_bytes\":2,"
                   "\"current_bytes\":0,\"weight_bytes\":0,\"compute_bytes\":0},\"devices\":[],"
                   "\"host\":{\"anonymous_bytes\":0,\"mapped_bytes\":0,\"pinned_bytes\":0,"
                   "\"table_bytes\":3,\"table_weight_bytes\":4}}}");
}

static void a_plan_is_an_object(void **state)
{
    (void)state;
    struct vt_plan p = {.verdict = VT_REFUSED,
                        .budget_bytes = 5,
                        .peak_bytes = 6,
                        .stage_count = 2,
                        .device_count = 1,
                        .advice_count = 1};
    (void)snprintf(p.stages[0].component, sizeof p.stages[0].component, "vae");
    (void)snprintf(p.stages[1].component, sizeof p.stages[1].component, "transformer");
    (void)snprintf(p.stages[1].widened_from, sizeof p.stages[1].widened_from, "float8");
    (void)snprintf(p.stages[1].widened_to, sizeof p.stages[1].widened_to, "bfloat16");
    p.stages[1].widened_bytes = 8;
    (void)snprintf(p.devices[0].name, sizeof p.devices[0].name, "cpu");
    (void)snprintf(p.advice[0], sizeof p.advice[0], "less");
    result_json_plan(&b, &p);
    assert_string_equal(
        buf_z(&b),
        "{\"verdict\":\"refused\",\"budget_bytes\":5,\"peak_bytes\":6,\"stages\":["
        "{\"component\":\"vae\",\"precision\":\"\",\"device\":\"\",\"resident_bytes\":0,"
        "\"streamed_bytes\":0,\"compute_bytes\":0,\"peak_bytes\":0},"
        "{\"component\":\"transformer\",\"precision\":\"\",\"device\":\"\",\"resident_bytes\":0,"
        "\"streamed_bytes\":0,\"compute_bytes\":0,\"peak_bytes\":0,"
        "\"widened\":{\"from\":\"float8\",\"to\":\"bfloat16\",\"bytes\":8}}],"
        "\"devices\":[{\"name\":\"cpu\",\"budget_bytes\":0,\"peak_bytes\":0}],"
        "\"swap_bytes\":0,\"advice\":[\"less\"]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(layers_with_an_exact_match_have_no_psnr, start, end),
        cmocka_unit_test_setup_teardown(doubts_without_a_value_have_no_such_member, start, end),
        cmocka_unit_test_setup_teardown(tables_are_told_where_there_is_a_report, start, end),
        cmocka_unit_test_setup_teardown(a_plan_is_an_object, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
