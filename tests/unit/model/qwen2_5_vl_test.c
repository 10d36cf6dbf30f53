/* qwen2_5_vl_test.c - configurations in every form, positions of tokens, windows of patches. The weights are
 * those of a small reference model: 3 layers of 48, 6 heads of 8 (2 with keys), a tower of 3 blocks of 32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "model/qwen2_5_vl/config.h"
#include "model/qwen2_5_vl/positions.h"

static struct component *weights;

static yyjson_doc *parse(const char *text)
{
    struct err e = {0};
    yyjson_doc *doc;
    if (json_parse(str_from(text), "test", &doc, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return doc;
}

static enum err_code read_text(const char *json, struct qwen_vl_config *c, struct err *e)
{
    yyjson_doc *doc = json ? parse(json) : NULL;
    enum err_code rc = qwen_vl_config_read(yyjson_doc_get_root(doc), "config.json", weights, c, e);
    yyjson_doc_free(doc);
    return rc;
}

static void expect_reference(const struct qwen_vl_config *c)
{
    assert_int_equal(c->hidden, 48);
    assert_int_equal(c->intermediate, 80);
    assert_int_equal(c->layers, 3);
    assert_int_equal(c->heads, 6);
    assert_int_equal(c->kv_heads, 2);
    assert_int_equal(c->head_dim, 8);
    assert_int_equal(c->vocab, 1632);
    assert_int_equal(c->mrope[0] * 100 + c->mrope[1] * 10 + c->mrope[2], 112);
}

/* ---- language model ----------------------------------------------------------------------------------- */

static void config_is_read_when_keys_are_flat(void **state)
{
    struct err e = {0};
    struct qwen_vl_config c;
    (void)state;
    assert_int_equal(
        read_text("{\"hidden_size\": 48, \"num_hidden_layers\": 3, \"num_attention_heads\": 6, "
                  "\"num_key_value_heads\": 2, \"rope_theta\": 5000.0, \"rms_norm_eps\": 1e-5, "
                  "\"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [1, 1, 2]}}",
                  &c, &e),
        ERR_OK);
    expect_reference(&c);
    assert_true(c.rope_theta > 4999 && c.rope_theta < 5001);
    assert_true(c.rms_eps > 9e-6);
    assert_false(c.tied);
}

static void text_config_counts_when_keys_stand_in_both_places(void **state)
{
    struct err e = {0};
    struct qwen_vl_config c;
    (void)state;
    assert_int_equal(
        read_text("{\"num_attention_heads\": 3, \"rope_theta\": 7.0, \"num_key_value_heads\": 2, "
                  "\"text_config\": {\"num_attention_heads\": 6, \"rope_parameters\": "
                  "{\"rope_theta\": 9000.0, \"mrope_section\": [1, 1, 2]}}}",
                  &c, &e),
        ERR_OK);
    expect_reference(&c);
    assert_true(c.rope_theta > 8999 && c.rope_theta < 9001);
}

static void config_is_refused_when_it_is_another_models(void **state)
{
    static const struct {
        const char *json, *says;
    } bad[] = {
        {NULL, "do not fit projections"}, /* heads of 128 are assumed */
        {"{\"hidden_size\": 64}", "hidden_size is 64, the weights have 48"},
        {"{\"num_attention_heads\": 6, \"num_key_value_heads\": 2, \"num_hidden_layers\": 4, "
         "\"rope_scaling\": {\"mrope_section\": [1, 1, 2]}}",
         "num_hidden_layers is 4, the weights have 3"},
        {"{\"num_attention_heads\": 12, \"num_key_value_heads\": 2}", "do not fit projections"},
        {"{\"num_attention_heads\": 6, \"num_key_value_heads\": 2}", "mrope_section"},
        {"{\"num_attention_heads\": 6, \"num_key_value_heads\": 2, \"rope_scaling\": "
         "{\"mrope_section\": [1, 1]}}",
         "mrope_section"},
        {"{\"num_attention_heads\": 6, \"num_key_value_heads\": 2, \"rope_scaling\": "
         "{\"mrope_section\": [2, 2, 2]}}",
         "mrope_section"},
        {"{\"num_attention_heads\": \"six\"}", "num_attention_heads"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        struct qwen_vl_config c;
        assert_int_equal(read_text(bad[i].json, &c, &e), ERR_FORMAT);
        if (!strstr(e.text, bad[i].says))
            fail_msg("'%s' should say '%s'", e.text, bad[i].says);
    }
}

/* ---- vision tower ------------------------------------------------------------------------------------- */

static enum err_code read_vision(const char *json, struct qwen_vl_vision_config *c, struct err *e)
{
    yyjson_doc *doc = parse(json);
    enum err_code rc =
        qwen_vl_vision_config_read(yyjson_doc_get_root(doc), "config.json", weights, c, e);
    yyjson_doc_free(doc);
    return rc;
}

static void vision_config_is_read_under_old_and_new_keys(void **state)
{
    struct err e = {0};
    struct qwen_vl_vision_config c;
    (void)state;
    assert_int_equal(read_vision("{\"vision_config\": {\"in_chans\": 3, \"num_heads\": 2, "
                                 "\"window_size\": 56, \"fullatt_block_indexes\": [2]}}",
                                 &c, &e),
                     ERR_OK);
    assert_int_equal(c.depth, 3);
    assert_int_equal(c.hidden, 32);
    assert_int_equal(c.out_hidden, 48);
    assert_int_equal(c.patch, 14);
    assert_int_equal(c.temporal_patch, 2);
    assert_true(!c.full[0] && !c.full[1] && c.full[2]);
}

static void vision_config_is_refused_when_it_does_not_fit(void **state)
{
    static const char *const bad[] = {
        "{\"vision_config\": {\"num_heads\": 2, \"hidden_size\": 64}}",
        "{\"vision_config\": {\"num_heads\": 2, \"patch_size\": 16}}",
        "{\"vision_config\": {\"num_heads\": 2, \"spatial_merge_size\": 3}}",
        "{\"vision_config\": {\"num_heads\": 3}}",
        "{\"vision_config\": {\"num_heads\": 16}}",
        "{\"vision_config\": {\"num_heads\": 2, \"window_size\": 14}}",
        "{\"vision_config\": {\"num_heads\": 2, \"fullatt_block_indexes\": [-1]}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        struct qwen_vl_vision_config c;
        assert_int_equal(read_vision(bad[i], &c, &e), ERR_FORMAT);
    }
}

static void windows_of_one_size_lie_together_when_grouped(void **state)
{
    struct err e = {0};
    struct qwen_vl_windows w;
    struct qwen_vl_vision_config c = {.merge = 2, .patch = 14, .window = 56};
    bool seen[35] = {false};
    (void)state;
    assert_int_equal(qwen_vl_windows_init(&c, (struct qwen_vl_grid){.h = 10, .w = 14}, &w, &e),
                     ERR_OK);
    assert_int_equal(w.n_windows, 12); /* 5 x 7 cells in squares of 2 */
    assert_int_equal(qwen_vl_windows_group(&w, &e), ERR_OK);
    assert_int_equal(w.n_groups, 3);
    assert_int_equal(w.group[0].cells, 4);
    assert_int_equal(w.group[0].windows, 6);
    assert_int_equal(w.group[1].cells, 2); /* right and bottom edges */
    assert_int_equal(w.group[1].windows, 5);
    assert_int_equal(w.group[2].first_cell, 34);
    for (int64_t i = 0; i < w.n_cells; i++) {
        assert_false(seen[w.cell[i]]);
        seen[w.cell[i]] = true;
    }
    assert_int_equal(w.cell[34], 34);
    qwen_vl_windows_deinit(&w);
}

/* ---- positions and generation ------------------------------------------------------------------------- */

static void text_goes_on_behind_the_longer_side_of_an_image(void **state)
{
    int32_t pos[QWEN_VL_AXES * 9];
    struct qwen_vl_image p = {.at = 2, .cells_h = 2, .cells_w = 3};
    static const int32_t want[QWEN_VL_AXES][9] = {
        {0, 1, 2, 2, 2, 2, 2, 2, 5}, {0, 1, 2, 2, 2, 3, 3, 3, 5}, {0, 1, 2, 3, 4, 2, 3, 4, 5}};
    (void)state;
    assert_int_equal(qwen_vl_positions(&p, 9, pos), -3);
    assert_memory_equal(pos, want, sizeof want);
    assert_int_equal(qwen_vl_positions(NULL, 9, pos), 0);
    assert_int_equal(pos[8], 8);
}

static void end_tokens_come_from_generation_config_when_both_have_them(void **state)
{
    struct err e = {0};
    struct qwen_vl_generation g;
    yyjson_doc *own = parse("{\"eos_token_id\": [7, 8], \"repetition_penalty\": 1.05}");
    yyjson_doc *config = parse("{\"eos_token_id\": 5}");
    (void)state;
    assert_int_equal(qwen_vl_generation_read(yyjson_doc_get_root(own), yyjson_doc_get_root(config),
                                             "test", &g, &e),
                     ERR_OK);
    assert_int_equal(g.n_eos, 2);
    assert_int_equal(g.eos[1], 8);
    assert_true(g.repetition_penalty > 1.04);
    assert_int_equal(qwen_vl_generation_read(NULL, yyjson_doc_get_root(config), "test", &g, &e),
                     ERR_OK);
    assert_int_equal(g.n_eos, 1);
    assert_int_equal(g.eos[0], 5);
    yyjson_doc_free(own);
    yyjson_doc_free(config);
}

int main(void)
{
    struct err e = {0};
    if (component_open(VT_SOURCE_DIR "/tests/parity/models/layered-b/text_encoder",
                       COMPONENT_QWEN2_5_VL, &weights, &e) != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_is_read_when_keys_are_flat),
        cmocka_unit_test(text_config_counts_when_keys_stand_in_both_places),
        cmocka_unit_test(config_is_refused_when_it_is_another_models),
        cmocka_unit_test(vision_config_is_read_under_old_and_new_keys),
        cmocka_unit_test(vision_config_is_refused_when_it_does_not_fit),
        cmocka_unit_test(windows_of_one_size_lie_together_when_grouped),
        cmocka_unit_test(text_goes_on_behind_the_longer_side_of_an_image),
        cmocka_unit_test(end_tokens_come_from_generation_config_when_both_have_them),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    component_close(weights);
    return rc;
}
