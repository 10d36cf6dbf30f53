/* convert_test.c - what a conversion would write: names, types, parts. */
#include "weights/convert_plan.h"

#include "base/mem.h"
#include "networks.h"
#include "weights/convert_names.h"
#include "weights/convert_types.h"

struct fixture {
    struct buf bytes;
    struct component *c;
    struct convert_plan *plan;
    struct err e;
};

static void open_network(struct fixture *f, struct build *b)
{
    struct checkpoint *cp = NULL;
    *f = (struct fixture){0};
    build_end(b, &f->bytes);
    if (checkpoint_open_bytes("test", f->bytes.p, f->bytes.n, &cp, &f->e) != ERR_OK ||
        component_from_checkpoint(cp, COMPONENT_UNKNOWN, &f->c, &f->e) != ERR_OK)
        fail_msg("%s", f->e.text);
}

static enum err_code plan(struct fixture *f, enum checkpoint_format format, enum dtype type,
                          const char *naming)
{
    struct convert_options o = {.format = format, .type = type, .naming = naming};
    convert_plan_free(f->plan);
    return convert_plan_make(f->c, &o, &f->plan, &f->e);
}

static void must_plan(struct fixture *f, enum checkpoint_format format, enum dtype type,
                      const char *naming)
{
    if (plan(f, format, type, naming) != ERR_OK)
        fail_msg("%s", f->e.text);
}

static void close_network(struct fixture *f)
{
    convert_plan_free(f->plan);
    component_close(f->c);
    buf_deinit(&f->bytes);
}

static const struct write_tensor *out_of(const struct fixture *f, const char *name,
                                         const struct convert_tensor **t)
{
    for (size_t i = 0; i < f->plan->n; i++) {
        if (strcmp(f->plan->out[i].name, name) != 0)
            continue;
        if (t)
            *t = &f->plan->tensors[i];
        return &f->plan->out[i];
    }
    fail_msg("there is no '%s'", name);
    return NULL;
}

static bool has(const struct fixture *f, const char *name)
{
    for (size_t i = 0; i < f->plan->n; i++)
        if (strcmp(f->plan->out[i].name, name) == 0)
            return true;
    return false;
}

/* ---- names ------------------------------------------------------------------------------------- */

static const char *invert(const char *canonical, const char *stored, const char *name,
                          int64_t levels, int64_t stride)
{
    static char out[200];
    const struct naming_rule rule = {canonical, stored, ROWS_ALL};
    const struct naming_numbers n = {levels, stride};
    return convert_name_invert(&rule, &n, name, out, sizeof out) ? out : NULL;
}

static void names_are_inverted_when_a_rule_matches(void **state)
{
    (void)state;
    assert_string_equal(invert("a.#.b.*", "x.#.*", "x.12.weight", 0, 0), "a.12.b.weight");
    assert_string_equal(invert("up.#.*", "u.~.*", "u.3.w", 4, 0), "up.0.w");
    assert_string_equal(invert("up.#.r.#.*", "u.@.*", "u.6.w", 0, 4), "up.1.r.2.w");
    assert_string_equal(invert("up.#.s.*", "u.^.*", "u.7.w", 0, 4), "up.1.s.w");
    assert_null(invert("up.#.r.#.*", "u.@.*", "u.7.w", 0, 4));
    assert_null(invert("up.#.s.*", "u.^.*", "u.6.w", 0, 4));
    assert_null(invert("up.#.*", "u.~.*", "u.4.w", 4, 0));
    assert_null(invert("a.*", "x.*", "x.", 0, 0));
    assert_null(invert("a.#", "x.#", "x.01", 0, 0));
    assert_null(invert("a.#", "x.#", "x.1y", 0, 0));
    assert_null(invert("a", "x", "x.1", 0, 0));
    assert_null(invert("a.*", NULL, "a.w", 0, 0));
    assert_null(invert("up.#.s.*", "u.^.*", "u.6.w", 0, 0));
}

static void fused_rows_part_when_the_naming_keeps_them_apart(void **state)
{
    struct build b;
    struct fixture f;
    const struct convert_tensor *t;
    (void)state;
    build_begin(&b);
    add_flux2_bfl(&b, "model.diffusion_model.");
    open_network(&f, &b);
    must_plan(&f, CHECKPOINT_SAFETENSORS, DTYPE_INVALID, NULL);
    assert_int_equal(f.plan->left_out, 0);
    const struct write_tensor *w = out_of(&f, "transformer_blocks.0.attn.to_v.weight", &t);
    assert_int_equal(w->dims[0], FLUX_D);
    assert_int_equal(t->n_parts, 1);
    /* the last third of 0, 1, 2, ... */
    float first;
    memcpy(&first, t->parts[0].data, sizeof first);
    assert_true(first == 2.0f * FLUX_D * FLUX_D);
    /* fused in both namings */
    assert_true(has(&f, "single_transformer_blocks.0.attn.to_qkv_mlp_proj.weight"));
    assert_false(has(&f, "single_transformer_blocks.0.attn.to_q.weight"));
    /* the halves change places */
    (void)out_of(&f, "norm_out.linear.weight", &t);
    assert_int_equal(t->n_parts, 2);
    assert_true(t->parts[0].data > t->parts[1].data);
    close_network(&f);
}

static void parts_are_fused_when_the_naming_wants_it(void **state)
{
    struct build b;
    struct fixture f;
    const struct convert_tensor *t;
    (void)state;
    build_begin(&b);
    add_flux2_diffusers(&b, "");
    open_network(&f, &b);
    must_plan(&f, CHECKPOINT_GGUF, DTYPE_INVALID, "original");
    assert_string_equal(f.plan->naming, "bfl");
    const struct write_tensor *w = out_of(&f, "double_blocks.0.img_attn.qkv.weight", &t);
    assert_int_equal(w->dims[0], 3 * FLUX_D);
    assert_int_equal(t->n_parts, 3);
    assert_string_equal(t->parts[1].stored->name, "transformer_blocks.0.attn.to_k.weight");
    assert_true(has(&f, "single_blocks.1.linear1.weight"));
    assert_true(has(&f, "final_layer.adaLN_modulation.1.weight"));
    assert_true(has(&f, "double_blocks.0.img_attn.norm.query_norm.scale"));
    must_plan(&f, CHECKPOINT_GGUF, DTYPE_INVALID, "keep");
    assert_string_equal(f.plan->naming, "diffusers");
    assert_true(has(&f, "norm_out.linear.weight"));
    assert_int_equal(plan(&f, CHECKPOINT_GGUF, DTYPE_INVALID, "nobody's"), ERR_ARG);
    assert_non_null(strstr(f.e.text, "nobody's"));
    close_network(&f);
}

static void a_half_of_a_fused_tensor_is_refused(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_flux2_diffusers(&b, "");
    BUILD_F32(&b, "transformer_blocks.1.attn.to_q.weight", FLUX_D, FLUX_D);
    BUILD_F32(&b, "transformer_blocks.1.attn.to_v.weight", FLUX_D, FLUX_D);
    open_network(&f, &b);
    must_plan(&f, CHECKPOINT_SAFETENSORS, DTYPE_INVALID, NULL);
    assert_int_equal(plan(&f, CHECKPOINT_SAFETENSORS, DTYPE_INVALID, "comfy"), ERR_FORMAT);
    assert_non_null(strstr(f.e.text, "double_blocks.1.img_attn.qkv.weight"));
    f.plan = NULL;
    close_network(&f);
}

static void unlike_parts_are_refused_when_fused(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_flux2_diffusers(&b, "");
    BUILD_F32(&b, "transformer_blocks.1.attn.to_q.weight", FLUX_D, FLUX_D);
    BUILD_F32(&b, "transformer_blocks.1.attn.to_k.weight", FLUX_D, FLUX_D + 1);
    BUILD_F32(&b, "transformer_blocks.1.attn.to_v.weight", FLUX_D, FLUX_D);
    open_network(&f, &b);
    assert_int_equal(plan(&f, CHECKPOINT_SAFETENSORS, DTYPE_INVALID, "comfy"), ERR_FORMAT);
    assert_non_null(strstr(f.e.text, "do not fit together"));
    f.plan = NULL;
    close_network(&f);
}

static void what_has_no_place_is_counted(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_flux2_bfl(&b, "model.diffusion_model.");
    BUILD_F32(&b, "another.network.weight", 2, 2);
    BUILD_F32(&b, "model.diffusion_model.nobody.knows", 2);
    open_network(&f, &b);
    must_plan(&f, CHECKPOINT_SAFETENSORS, DTYPE_INVALID, NULL);
    assert_int_equal(f.plan->left_out, 2);
    assert_string_equal(f.plan->left_out_name, "another.network.weight");
    close_network(&f);
}

/* ---- types ------------------------------------------------------------------------------------- */

static enum dtype type_for(const char *name, int n_dims, int64_t row, enum dtype stored,
                           enum dtype wanted, enum checkpoint_format format)
{
    const int64_t dims[] = {n_dims > 1 ? 64 : row, row, 3, 3};
    return convert_type_for(COMPONENT_FLUX2_TRANSFORMER, name, n_dims, dims, stored, wanted,
                            format);
}

static void types_follow_the_tensor(void **state)
{
    const char *block = "transformer_blocks.3.attn.to_q.weight", *in = "x_embedder.weight";
    (void)state;
    assert_int_equal(type_for(block, 2, 3072, DTYPE_BF16, DTYPE_Q4_K, CHECKPOINT_GGUF), DTYPE_Q4_K);
    assert_int_equal(type_for(block, 2, 96, DTYPE_BF16, DTYPE_Q4_K, CHECKPOINT_GGUF), DTYPE_Q5_0);
    assert_int_equal(type_for(block, 2, 96, DTYPE_BF16, DTYPE_Q6_K, CHECKPOINT_GGUF), DTYPE_Q8_0);
    assert_int_equal(type_for(block, 2, 80, DTYPE_F16, DTYPE_Q6_K, CHECKPOINT_GGUF), DTYPE_F16);
    assert_int_equal(type_for(block, 2, 80, DTYPE_F8_E4M3, DTYPE_Q6_K, CHECKPOINT_GGUF),
                     DTYPE_BF16);
    assert_int_equal(type_for(in, 2, 128, DTYPE_BF16, DTYPE_Q8_0, CHECKPOINT_GGUF), DTYPE_BF16);
    assert_int_equal(type_for(in, 2, 128, DTYPE_F32, DTYPE_Q8_0, CHECKPOINT_GGUF), DTYPE_F32);
    assert_int_equal(type_for(in, 2, 128, DTYPE_F32, DTYPE_BF16, CHECKPOINT_GGUF), DTYPE_BF16);
    assert_int_equal(type_for("transformer_blocks.0.attn.norm_q.weight", 1, 128, DTYPE_BF16,
                              DTYPE_Q8_0, CHECKPOINT_GGUF),
                     DTYPE_F32);
    assert_int_equal(type_for("a.bias", 1, 128, DTYPE_BF16, DTYPE_F16, CHECKPOINT_GGUF), DTYPE_F32);
    assert_int_equal(type_for("a.bias", 1, 128, DTYPE_BF16, DTYPE_F16, CHECKPOINT_SAFETENSORS),
                     DTYPE_F16);
    assert_int_equal(type_for("a.count", 1, 1, DTYPE_I64, DTYPE_Q8_0, CHECKPOINT_GGUF), DTYPE_I64);
    assert_int_equal(type_for(block, 2, 64, DTYPE_F8_E5M2, DTYPE_INVALID, CHECKPOINT_SAFETENSORS),
                     DTYPE_BF16);
    assert_int_equal(type_for(block, 2, 64, DTYPE_F64, DTYPE_INVALID, CHECKPOINT_SAFETENSORS),
                     DTYPE_F32);
    assert_int_equal(type_for(block, 4, 64, DTYPE_F16, DTYPE_Q8_0, CHECKPOINT_GGUF), DTYPE_F16);
}

static void every_name_of_a_type_is_known(void **state)
{
    char word[16];
    int n = 0, used;
    (void)state;
    for (const char *p = convert_type_names(); *p; n++) {
        used = 0;
        while (*p && *p != ' ')
            word[used++] = *p++;
        word[used] = 0;
        p += *p == ' ';
        enum dtype t = convert_type_from_name(word);
        assert_int_not_equal(t, DTYPE_INVALID);
        assert_true(dtype_info(t)->gguf_id >= 0);
    }
    assert_int_equal(n, 15);
    assert_int_equal(convert_type_from_name("Q5_0"), DTYPE_Q5_0);
    assert_int_equal(convert_type_from_name("q8_k"), DTYPE_INVALID);
    assert_int_equal(convert_type_from_name(""), DTYPE_INVALID);
}

static void scales_are_applied_and_left_behind(void **state)
{
    struct build b;
    struct fixture f;
    const struct convert_tensor *t;
    (void)state;
    build_begin(&b);
    add_lm(&b, 0, false, "model.", 1);
    build_tensor(&b, "model.layers.1.self_attn.q_proj.weight", "F8_E4M3", "4,4", 16);
    build_tensor(&b, "model.layers.1.self_attn.q_proj.weight_scale", "F32", "4", 4);
    build_tensor(&b, "model.layers.1.self_attn.q_proj.input_scale", "F32", "1", 1);
    open_network(&f, &b);
    must_plan(&f, CHECKPOINT_SAFETENSORS, DTYPE_INVALID, NULL);
    const struct write_tensor *w = out_of(&f, "model.layers.1.self_attn.q_proj.weight", &t);
    assert_int_equal(w->dtype, DTYPE_BF16);
    assert_int_equal(t->parts[0].n_scales, 4);
    assert_false(has(&f, "model.layers.1.self_attn.q_proj.weight_scale"));
    assert_false(has(&f, "model.layers.1.self_attn.q_proj.input_scale"));
    assert_int_equal(f.plan->left_out, 0);
    close_network(&f);
}

static void failed_allocations_are_errors_when_planning(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_flux2_bfl(&b, "");
    open_network(&f, &b);
    enum err_code rc = ERR_NOMEM;
    for (long n = 1; rc != ERR_OK; n++) {
        mem_fail_after(n);
        rc = plan(&f, CHECKPOINT_GGUF, DTYPE_BF16, NULL);
        mem_fail_after(0);
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        if (rc != ERR_OK)
            f.plan = NULL;
    }
    close_network(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_inverted_when_a_rule_matches),
        cmocka_unit_test(fused_rows_part_when_the_naming_keeps_them_apart),
        cmocka_unit_test(parts_are_fused_when_the_naming_wants_it),
        cmocka_unit_test(a_half_of_a_fused_tensor_is_refused),
        cmocka_unit_test(unlike_parts_are_refused_when_fused),
        cmocka_unit_test(what_has_no_place_is_counted),
        cmocka_unit_test(types_follow_the_tensor),
        cmocka_unit_test(every_name_of_a_type_is_known),
        cmocka_unit_test(scales_are_applied_and_left_behind),
        cmocka_unit_test(failed_allocations_are_errors_when_planning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
