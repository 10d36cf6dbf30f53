#include "weights/component.h"

#include <math.h>

#include "base/mem.h"
#include "networks.h"

/* An open component together with the bytes it reads from. */
struct fixture {
    struct buf bytes;
    struct component *c;
    struct err e;
};

static enum err_code fixture_try(struct fixture *f, struct build *b, enum component_kind wanted)
{
    struct checkpoint *cp = NULL;
    *f = (struct fixture){0};
    build_end(b, &f->bytes);
    enum err_code rc =
        checkpoint_open_bytes("test.safetensors", f->bytes.p, f->bytes.n, &cp, &f->e);
    if (rc == ERR_OK)
        rc = component_from_checkpoint(cp, wanted, &f->c, &f->e);
    return rc;
}

static void fixture_open(struct fixture *f, struct build *b)
{
    if (fixture_try(f, b, COMPONENT_UNKNOWN) != ERR_OK)
        fail_msg("%s", f->e.text);
}

static void fixture_close(struct fixture *f)
{
    component_close(f->c);
    buf_deinit(&f->bytes);
}

static float first_value(const struct weights_view *v)
{
    float f = -1;
    assert_true(dtype_plain_to_f32(v->dtype, v->data, &f, 1));
    return f;
}

/* Finds a tensor of the given shape and checks its first value. */
#define EXPECT(f, name, first, ...)                                                                \
    expect(f, name, first, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),              \
           (int64_t[]){__VA_ARGS__})

static void expect(struct fixture *f, const char *name, float first, int n_dims,
                   const int64_t *dims)
{
    struct weights_view v;
    if (component_find(f->c, name, n_dims, dims, &v, &f->e) != ERR_OK)
        fail_msg("%s", f->e.text);
    assert_int_equal(v.n_dims, n_dims);
    uint64_t n = 4;
    for (int i = 0; i < n_dims; i++) {
        assert_true(dims[i] < 0 || v.dims[i] == dims[i]);
        n *= (uint64_t)v.dims[i];
    }
    assert_int_equal(v.bytes, n);
    if (first_value(&v) != first)
        fail_msg("%s begins with %g, expected %g", name, (double)first_value(&v), (double)first);
}

static void expect_failure(struct fixture *f, const char *name, enum err_code code,
                           const char *says, int n_dims, const int64_t *dims)
{
    struct weights_view v;
    enum err_code rc = component_find(f->c, name, n_dims, dims, &v, &f->e);
    if (rc != code || !strstr(f->e.text, says))
        fail_msg("%s: expected '%s', got %s: %s", name, says, err_code_name(rc), f->e.text);
}

static void expect_flux2(struct fixture *f, bool bfl)
{
    assert_int_equal(component_kind(f->c), COMPONENT_FLUX2_TRANSFORMER);
    assert_string_equal(component_naming(f->c), bfl ? "bfl" : "diffusers");
    assert_int_equal(component_block_count(f->c, "transformer_blocks"), 1);
    assert_int_equal(component_block_count(f->c, "single_transformer_blocks"), 2);
    assert_int_equal(component_dim(f->c, "x_embedder.weight", 1), 8);
    assert_int_equal(component_dim(f->c, "x_embedder.weight", 2), -1);
    float third = bfl ? FLUX_D * FLUX_D : 0;
    EXPECT(f, "x_embedder.weight", 0, FLUX_D, 8);
    EXPECT(f, "context_embedder.weight", 0, FLUX_D, 6);
    EXPECT(f, "time_guidance_embed.timestep_embedder.linear_1.weight", 0, FLUX_D, 16);
    EXPECT(f, "time_guidance_embed.timestep_embedder.linear_2.weight", 0, FLUX_D, FLUX_D);
    EXPECT(f, "double_stream_modulation_img.linear.weight", 0, 6 * FLUX_D, FLUX_D);
    EXPECT(f, "double_stream_modulation_txt.linear.weight", 0, 6 * FLUX_D, FLUX_D);
    EXPECT(f, "single_stream_modulation.linear.weight", 0, 3 * FLUX_D, FLUX_D);
    /* The halves lie the other way round in the model maker's file. */
    EXPECT(f, "norm_out.scale.weight", bfl ? FLUX_D * FLUX_D : 0, FLUX_D, FLUX_D);
    EXPECT(f, "norm_out.shift.weight", bfl ? 0 : FLUX_D * FLUX_D, FLUX_D, FLUX_D);
    EXPECT(f, "proj_out.weight", 0, 8, FLUX_D);
    EXPECT(f, "transformer_blocks.0.attn.to_q.weight", 0, FLUX_D, FLUX_D);
    EXPECT(f, "transformer_blocks.0.attn.to_k.weight", third, FLUX_D, FLUX_D);
    EXPECT(f, "transformer_blocks.0.attn.to_v.weight", 2 * third, FLUX_D, FLUX_D);
    EXPECT(f, "transformer_blocks.0.attn.add_q_proj.weight", 0, FLUX_D, FLUX_D);
    EXPECT(f, "transformer_blocks.0.attn.add_k_proj.weight", third, FLUX_D, FLUX_D);
    EXPECT(f, "transformer_blocks.0.attn.add_v_proj.weight", 2 * third, FLUX_D, FLUX_D);
    EXPECT(f, "transformer_blocks.0.attn.norm_q.weight", 0, 2);
    EXPECT(f, "transformer_blocks.0.attn.norm_k.weight", 0, 2);
    EXPECT(f, "transformer_blocks.0.attn.norm_added_q.weight", 0, 2);
    EXPECT(f, "transformer_blocks.0.attn.norm_added_k.weight", 0, 2);
    EXPECT(f, "transformer_blocks.0.attn.to_out.0.weight", 0, FLUX_D, FLUX_D);
    EXPECT(f, "transformer_blocks.0.attn.to_add_out.weight", 0, FLUX_D, FLUX_D);
    EXPECT(f, "transformer_blocks.0.ff.linear_in.weight", 0, 2 * FLUX_MLP, FLUX_D);
    EXPECT(f, "transformer_blocks.0.ff.linear_out.weight", 0, FLUX_D, FLUX_MLP);
    EXPECT(f, "transformer_blocks.0.ff_context.linear_in.weight", 0, 2 * FLUX_MLP, FLUX_D);
    EXPECT(f, "transformer_blocks.0.ff_context.linear_out.weight", 0, FLUX_D, FLUX_MLP);
    for (int i = 0; i < 2; i++) {
        char block[100];
        (void)snprintf(block, sizeof block, "single_transformer_blocks.%d.", i);
        EXPECT(f, join(block, "attn.to_qkv_mlp_proj.weight"), 0, 3 * FLUX_D + 2 * FLUX_MLP, FLUX_D);
        EXPECT(f, join(block, "attn.to_q.weight"), 0, FLUX_D, FLUX_D);
        EXPECT(f, join(block, "attn.to_k.weight"), FLUX_D * FLUX_D, FLUX_D, FLUX_D);
        EXPECT(f, join(block, "attn.to_v.weight"), 2 * FLUX_D * FLUX_D, FLUX_D, FLUX_D);
        EXPECT(f, join(block, "proj_mlp.weight"), 3 * FLUX_D * FLUX_D, 2 * FLUX_MLP, FLUX_D);
        EXPECT(f, join(block, "attn.to_out.weight"), 0, FLUX_D, FLUX_D + FLUX_MLP);
        EXPECT(f, join(block, "attn.norm_q.weight"), 0, 2);
        EXPECT(f, join(block, "attn.norm_k.weight"), 0, 2);
    }
    assert_int_equal(component_leftovers(f->c, NULL, 0), 0);
}

static void flux2_resolves_in_both_namings_and_with_prefix(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_flux2_diffusers(&b, "");
    fixture_open(&f, &b);
    expect_flux2(&f, false);
    fixture_close(&f);
    build_begin(&b);
    add_flux2_bfl(&b, "");
    fixture_open(&f, &b);
    expect_flux2(&f, true);
    fixture_close(&f);
    build_begin(&b);
    add_flux2_bfl(&b, "model.diffusion_model.");
    BUILD_F32(&b, "text_encoders.other.weight", 4); /* outside the prefix: not ours */
    fixture_open(&f, &b);
    expect_flux2(&f, true);
    fixture_close(&f);
}

static void a_fused_modulation_is_only_offered_as_halves(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_flux2_diffusers(&b, "");
    fixture_open(&f, &b);
    assert_false(component_has(f.c, "norm_out.linear.weight"));
    assert_true(component_has(f.c, "norm_out.scale.weight"));
    assert_false(component_has(f.c, "transformer_blocks.1.attn.to_q.weight"));
    assert_false(component_has(f.c, "transformer_blocks.00.attn.to_q.weight"));
    assert_false(component_has(f.c, ""));
    fixture_close(&f);
}

static void misfits_are_named_with_what_was_expected(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_flux2_bfl(&b, "");
    build_tensor(&b, "double_blocks.1.img_attn.qkv.weight", "U8", "12,4", 48);
    BUILD_F32(&b, "double_blocks.2.img_attn.qkv.weight", 13, 4);
    build_tensor(&b, "double_blocks.3.img_attn.proj.weight", "F32", "0,4", 0);
    BUILD_F32(&b, "single_blocks.2.linear1.weight", 4, 4);
    fixture_open(&f, &b);
    expect_failure(
        &f, "x_embedder.weight", ERR_FORMAT,
        "'test.safetensors': tensor 'x_embedder.weight' (stored as 'img_in.weight') is [4, 8], "
        "expected [4, 9]",
        2, (int64_t[]){4, 9});
    expect_failure(&f, "x_embedder.weight", ERR_FORMAT, "is [4, 8], expected [*, 8, 1, 2]", 4,
                   (int64_t[]){-1, 8, 1, 2});
    expect_failure(&f, "transformer_blocks.9.attn.to_q.weight", ERR_NOTFOUND,
                   "no tensor 'double_blocks.9.img_attn.qkv.weight' (for "
                   "'transformer_blocks.9.attn.to_q.weight')",
                   2, (int64_t[]){4, 4});
    expect_failure(&f, "no.such.name", ERR_NOTFOUND, "has no tensor 'no.such.name'", -1, NULL);
    expect_failure(&f, "transformer_blocks.1.attn.to_q.weight", ERR_FORMAT,
                   "is U8, and nothing beside it says", 2, (int64_t[]){4, 4});
    expect_failure(&f, "transformer_blocks.2.attn.to_q.weight", ERR_FORMAT,
                   "is [13, 4], which does not divide", 2, (int64_t[]){4, 4});
    expect_failure(&f, "transformer_blocks.3.attn.to_out.0.weight", ERR_FORMAT, "is empty", 2,
                   (int64_t[]){-1, 4});
    expect_failure(&f, "single_transformer_blocks.2.attn.to_k.weight", ERR_FORMAT,
                   "does not divide", 2, (int64_t[]){4, 4});
    fixture_close(&f);
}

static void another_kind_is_refused_with_both_named(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_lm(&b, 0, false, "model.", 3);
    assert_int_equal(fixture_try(&f, &b, COMPONENT_FLUX2_TRANSFORMER), ERR_FORMAT);
    assert_string_equal(f.e.text,
                        "'test.safetensors' is a Qwen3 text encoder (hidden 8, 3 layers), a "
                        "FLUX.2 transformer is needed");
    fixture_close(&f);
}

static void strangers_are_called_what_they_look_like(void **state)
{
    static const struct {
        const char *name, *says;
    } rows[] = {
        {"double_blocks.0.img_mod.lin.weight", "FLUX.1 transformer"},
        {"model.diffusion_model.input_blocks.0.0.weight", "Stable Diffusion checkpoint"},
        {"text_model.encoder.layers.0.mlp.fc1.weight", "CLIP text encoder"},
        {"encoder.block.0.layer.0.SelfAttention.q.weight", "T5 text encoder"},
        {"blk.0.attn_q.weight", "neither Qwen3 nor Qwen2.5-VL"},
        {"decoder.mid.attn_1.q.weight", "without the latent statistics"},
        {"unet.lora_down.x.lora_down.weight", "LoRA"},
        {"foo.weight", "the first is 'foo.weight' [4]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct build b;
        struct fixture f;
        build_begin(&b);
        BUILD_F32(&b, rows[i].name, 4);
        assert_int_equal(fixture_try(&f, &b, COMPONENT_UNKNOWN), ERR_FORMAT);
        if (!strstr(f.e.text, rows[i].says))
            fail_msg("expected '%s' in '%s'", rows[i].says, f.e.text);
        fixture_close(&f);
    }
}

/* ---- fp8 --------------------------------------------------------------------------------------- */

static void add_value(struct build *b, const char *name, const char *dims, int n, const float *v)
{
    build_tensor(b, name, "F32", dims, (size_t)n);
    memcpy(b->data.p + b->data.n - 4 * (size_t)n, v, 4 * (size_t)n);
}

static void fp8_views_carry_their_scale(void **state)
{
    struct build b;
    struct fixture f;
    struct weights_view v;
    float rows[12];
    (void)state;
    for (int i = 0; i < 12; i++)
        rows[i] = (float)i + 0.5f;
    build_begin(&b);
    add_flux2_bfl(&b, "");
    build_tensor(&b, "double_blocks.1.img_attn.qkv.weight", "F8_E4M3", "12,4", 48);
    add_value(&b, "double_blocks.1.img_attn.qkv.weight_scale", "", 1, (float[]){0.25f});
    add_value(&b, "double_blocks.1.img_attn.qkv.input_scale", "", 1, (float[]){3});
    build_tensor(&b, "double_blocks.1.txt_attn.qkv.weight", "F8_E4M3", "12,4", 48);
    add_value(&b, "double_blocks.1.txt_attn.qkv.scale_weight", "12,1", 12, rows);
    build_tensor(&b, "double_blocks.1.img_mlp.0.weight", "F8_E5M2", "2,4", 8);
    add_value(&b, "double_blocks.1.img_mlp.0.weight_scale", "3", 3, rows);
    build_tensor(&b, "double_blocks.1.img_mlp.2.weight", "F8_E5M2", "2,4", 8);
    add_value(&b, "double_blocks.1.img_mlp.2.weight_scale", "1", 1, (float[]){NAN});
    build_tensor(&b, "double_blocks.1.txt_mlp.2.weight", "F8_E4M3", "2,4", 8);
    BUILD_F32(&b, "double_blocks.1.txt_mlp.2.weight_scale_inv", 1, 1);
    build_tensor(&b, "scaled_fp8", "F8_E4M3", "2", 2);
    fixture_open(&f, &b);

    const int64_t dims[] = {4, 4};
    assert_int_equal(
        component_find(f.c, "transformer_blocks.1.attn.to_k.weight", 2, dims, &v, &f.e), ERR_OK);
    assert_true(v.dtype == DTYPE_F8_E4M3 && v.scale == 0.25f && v.n_scales == 0 && v.bytes == 16);
    assert_ptr_equal(v.data, v.stored->data + 16);
    assert_int_equal(
        component_find(f.c, "transformer_blocks.1.attn.add_v_proj.weight", 2, dims, &v, &f.e),
        ERR_OK);
    assert_true(v.scale == 1 && v.n_scales == 4);
    assert_true(weights_number(&v.rows, 0) == 8.5f); /* row 8 of the fused matrix is row 0 of v */
    expect_failure(
        &f, "transformer_blocks.1.ff.linear_in.weight", ERR_FORMAT,
        "'double_blocks.1.img_mlp.0.weight_scale' is F32 [3], expected one number or one for "
        "each row",
        2, (int64_t[]){2, 4});
    expect_failure(&f, "transformer_blocks.1.ff.linear_out.weight", ERR_NUMERIC,
                   "is not a finite number", 2, (int64_t[]){2, 4});
    assert_int_equal(component_find(f.c, "transformer_blocks.1.ff_context.linear_out.weight", 2,
                                    (int64_t[]){2, 4}, &v, &f.e),
                     ERR_OK);
    assert_true(v.grid.height == 128 && v.grid.width == 128);
    fixture_close(&f);
}

/* ---- text encoders ----------------------------------------------------------------------------- */

static void expect_lm(struct fixture *f, enum component_kind kind, const char *naming)
{
    assert_int_equal(component_kind(f->c), kind);
    assert_string_equal(component_naming(f->c), naming);
    assert_int_equal(component_block_count(f->c, "model.layers"), 2);
    EXPECT(f, "model.embed_tokens.weight", 0, 10, 8);
    EXPECT(f, "model.norm.weight", 0, 8);
    for (int layer = 0; layer < 2; layer++) {
        for (size_t i = 0; i < sizeof lm_layer_names / sizeof lm_layer_names[0]; i++) {
            char name[200];
            bool norm_qk = i == 6 || i == 7, bias = i >= 11;
            if (kind == COMPONENT_QWEN3 ? bias : norm_qk)
                continue;
            (void)snprintf(name, sizeof name, "model.layers.%d.%s", layer, lm_layer_names[i][0]);
            if (i < 2 || norm_qk || bias)
                EXPECT(f, name, 0, norm_qk ? 4 : 8);
            else
                EXPECT(f, name, 0, 8, 8);
        }
    }
    assert_int_equal(component_leftovers(f->c, NULL, 0), 0);
}

static void text_encoders_resolve_in_every_naming(void **state)
{
    static const struct {
        bool vl;
        int which;
        const char *prefix, *naming;
    } rows[] = {
        {false, 0, "model.", "transformers"},
        {false, 0, "", "transformers-bare"},
        {false, 1, "", "llama.cpp"},
        {true, 0, "model.", "transformers"},
        {true, 0, "model.language_model.", "transformers-nested"},
        {true, 1, "", "llama.cpp"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct build b;
        struct fixture f;
        build_begin(&b);
        add_lm(&b, rows[i].which, rows[i].vl, rows[i].prefix, 2);
        fixture_open(&f, &b);
        expect_lm(&f, rows[i].vl ? COMPONENT_QWEN2_5_VL : COMPONENT_QWEN3, rows[i].naming);
        fixture_close(&f);
    }
}

static void plain_qwen2_is_refused_when_the_file_says_so(void **state)
{
    static const char *const archs[] = {"qwen2vl", "qwen2"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct buf b;
        struct checkpoint *cp;
        struct component *c;
        struct err e = {0};
        gguf_begin(&b, 3, 2, 1);
        gguf_key_string(&b, "general.architecture", archs[i]);
        gguf_tensor(&b, "token_embd.weight", 1, (uint64_t[]){8}, 0, 0);
        gguf_tensor(&b, "blk.0.attn_q.bias", 1, (uint64_t[]){8}, 0, 32);
        gguf_data(&b, 32, 64);
        assert_int_equal(checkpoint_open_bytes("test.gguf", b.p, b.n, &cp, &e), ERR_OK);
        assert_int_equal(component_from_checkpoint(cp, COMPONENT_UNKNOWN, &c, &e),
                         i == 0 ? ERR_OK : ERR_FORMAT);
        assert_true(i == 0 || strstr(e.text, "neither Qwen3 nor Qwen2.5-VL"));
        component_close(c);
        buf_deinit(&b);
    }
}

static void leftovers_are_what_the_network_does_not_have(void **state)
{
    struct build b;
    struct fixture f;
    const char *names[4] = {0};
    (void)state;
    build_begin(&b);
    add_lm(&b, 0, false, "model.", 4);
    BUILD_F32(&b, "lm_head.weight", 10, 8);
    BUILD_F32(&b, "surprise.weight", 2);
    BUILD_F32(&b, "model.layers.0.self_attn.rotary_emb.inv_freq", 2);
    fixture_open(&f, &b);
    assert_int_equal(component_leftovers(f.c, names, 4), 1);
    assert_string_equal(names[0], "surprise.weight");
    assert_int_equal(component_check(f.c, &f.e), ERR_OK);
    fixture_close(&f);
}

static void vision_towers_resolve_fused_and_split(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    add_lm(&b, 0, true, "model.language_model.", 1);
    BUILD_F32(&b, "model.visual.blocks.0.attn.qkv.weight", 12, 4);
    BUILD_F32(&b, "model.visual.blocks.0.attn.qkv.bias", 12);
    BUILD_F32(&b, "model.visual.patch_embed.proj.weight", 4, 3, 2, 2, 2);
    fixture_open(&f, &b);
    EXPECT(&f, "visual.blocks.0.attn.k.weight", 16, 4, 4);
    EXPECT(&f, "visual.blocks.0.attn.v.bias", 8, 4);
    EXPECT(&f, "visual.patch_embed.proj.weight", 0, 4, 3, 2, 2, 2);
    assert_int_equal(component_block_count(f.c, "visual.blocks"), 1);
    fixture_close(&f);

    build_begin(&b);
    BUILD_F32(&b, "v.patch_embd.weight", 4, 3, 2, 2);
    BUILD_F32(&b, "v.patch_embd.weight.1", 4, 3, 2, 2);
    BUILD_F32(&b, "v.post_ln.weight", 4);
    BUILD_F32(&b, "mm.0.weight", 16, 16);
    BUILD_F32(&b, "v.blk.0.attn_q.weight", 4, 4);
    BUILD_F32(&b, "v.blk.0.attn_out.bias", 4);
    BUILD_F32(&b, "v.blk.0.ffn_gate.weight", 6, 4);
    BUILD_F32(&b, "v.blk.1.attn_qkv.weight", 12, 4);
    fixture_open(&f, &b);
    assert_int_equal(component_kind(f.c), COMPONENT_QWEN2_5_VL_VISION);
    EXPECT(&f, "visual.patch_embed.proj.weight.0", 0, 4, 3, 2, 2);
    EXPECT(&f, "visual.patch_embed.proj.weight.1", 0, 4, 3, 2, 2);
    EXPECT(&f, "visual.blocks.0.attn.q.weight", 0, 4, 4);
    EXPECT(&f, "visual.blocks.1.attn.v.weight", 32, 4, 4);
    EXPECT(&f, "visual.blocks.0.attn.proj.bias", 0, 4);
    EXPECT(&f, "visual.blocks.0.mlp.gate_proj.weight", 0, 6, 4);
    EXPECT(&f, "visual.merger.ln_q.weight", 0, 4);
    EXPECT(&f, "visual.merger.mlp.0.weight", 0, 16, 16);
    assert_int_equal(component_block_count(f.c, "visual.blocks"), 2);
    fixture_close(&f);
}

/* ---- VAEs -------------------------------------------------------------------------------------- */

static void flux2_vae_blocks_are_turned_round(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    BUILD_F32(&b, "bn.running_mean", 8);
    BUILD_F32(&b, "bn.running_var", 8);
    build_tensor(&b, "bn.num_batches_tracked", "I64", "", 1);
    BUILD_F32(&b, "decoder.conv_in.weight", 4, 2, 3, 3);
    BUILD_F32(&b, "decoder.mid.attn_1.q.weight", 4, 4, 1, 1);
    BUILD_F32(&b, "decoder.mid.attn_1.proj_out.bias", 4);
    BUILD_F32(&b, "decoder.mid.block_2.conv1.weight", 4, 4, 3, 3);
    BUILD_F32(&b, "decoder.norm_out.weight", 4);
    BUILD_F32(&b, "decoder.post_quant_conv.weight", 2, 2, 1, 1);
    BUILD_F32(&b, "quant_conv.weight", 4, 4, 1, 1);
    BUILD_F32(&b, "decoder.up.0.block.0.conv1.weight", 2, 4, 3, 3);
    BUILD_F32(&b, "decoder.up.0.block.0.nin_shortcut.weight", 2, 4, 1, 1);
    BUILD_F32(&b, "decoder.up.1.block.0.conv1.weight", 4, 5, 3, 3);
    BUILD_F32(&b, "decoder.up.2.block.1.conv2.weight", 4, 6, 3, 3);
    BUILD_F32(&b, "decoder.up.2.upsample.conv.weight", 4, 4, 3, 3);
    BUILD_F32(&b, "encoder.down.0.block.0.conv1.weight", 4, 4, 3, 3);
    BUILD_F32(&b, "encoder.down.0.downsample.conv.bias", 4);
    fixture_open(&f, &b);
    assert_int_equal(component_kind(f.c), COMPONENT_FLUX2_VAE);
    assert_string_equal(component_naming(f.c), "bfl");
    EXPECT(&f, "bn.running_mean", 0, 8);
    EXPECT(&f, "decoder.mid_block.attentions.0.to_q.weight", 0, 4, 4); /* a 1x1 convolution */
    EXPECT(&f, "decoder.mid_block.attentions.0.to_out.0.bias", 0, 4);
    EXPECT(&f, "decoder.mid_block.resnets.1.conv1.weight", 0, 4, 4, 3, 3);
    EXPECT(&f, "decoder.conv_norm_out.weight", 0, 4);
    EXPECT(&f, "post_quant_conv.weight", 0, 2, 2, 1, 1);
    EXPECT(&f, "quant_conv.weight", 0, 4, 4, 1, 1);
    EXPECT(&f, "decoder.up_blocks.2.resnets.0.conv1.weight", 0, 2, 4, 3, 3);
    EXPECT(&f, "decoder.up_blocks.2.resnets.0.conv_shortcut.weight", 0, 2, 4, 1, 1);
    EXPECT(&f, "decoder.up_blocks.1.resnets.0.conv1.weight", 0, 4, 5, 3, 3);
    EXPECT(&f, "decoder.up_blocks.0.resnets.1.conv2.weight", 0, 4, 6, 3, 3);
    EXPECT(&f, "decoder.up_blocks.0.upsamplers.0.conv.weight", 0, 4, 4, 3, 3);
    EXPECT(&f, "encoder.down_blocks.0.downsamplers.0.conv.bias", 0, 4);
    assert_false(component_has(f.c, "decoder.up_blocks.3.resnets.0.conv1.weight"));
    assert_int_equal(component_leftovers(f.c, NULL, 0), 0);
    fixture_close(&f);
}

static void wan_vae_blocks_are_found_in_their_flat_list(void **state)
{
    struct build b;
    struct fixture f;
    (void)state;
    build_begin(&b);
    BUILD_F32(&b, "conv1.weight", 4, 4, 1, 1, 1);
    BUILD_F32(&b, "conv2.weight", 2, 2, 1, 1, 1);
    BUILD_F32(&b, "decoder.conv1.weight", 4, 2, 3, 3, 3);
    BUILD_F32(&b, "decoder.head.0.gamma", 2, 1, 1, 1);
    BUILD_F32(&b, "decoder.head.2.weight", 4, 2, 3, 3, 3);
    BUILD_F32(&b, "decoder.middle.0.residual.2.weight", 4, 4, 3, 3, 3);
    BUILD_F32(&b, "decoder.middle.1.to_qkv.weight", 12, 4, 1, 1);
    BUILD_F32(&b, "decoder.middle.1.norm.gamma", 4, 1, 1);
    BUILD_F32(&b, "decoder.middle.2.residual.6.bias", 4);
    BUILD_F32(&b, "decoder.upsamples.0.residual.0.gamma", 4, 1, 1, 1);
    BUILD_F32(&b, "decoder.upsamples.1.residual.2.weight", 4, 4, 3, 3, 3);
    BUILD_F32(&b, "decoder.upsamples.2.resample.1.weight", 2, 4, 3, 3);
    BUILD_F32(&b, "decoder.upsamples.2.time_conv.weight", 8, 4, 3, 1, 1);
    BUILD_F32(&b, "decoder.upsamples.3.shortcut.weight", 4, 2, 1, 1, 1);
    BUILD_F32(&b, "decoder.upsamples.4.residual.6.weight", 4, 4, 3, 3, 3);
    BUILD_F32(&b, "encoder.downsamples.2.residual.3.gamma", 4, 1, 1, 1);
    BUILD_F32(&b, "encoder.downsamples.3.resample.1.bias", 4);
    fixture_open(&f, &b);
    assert_int_equal(component_kind(f.c), COMPONENT_QWEN_IMAGE_VAE);
    assert_string_equal(component_naming(f.c), "wan");
    EXPECT(&f, "quant_conv.weight", 0, 4, 4, 1, 1, 1);
    EXPECT(&f, "post_quant_conv.weight", 0, 2, 2, 1, 1, 1);
    EXPECT(&f, "decoder.conv_in.weight", 0, 4, 2, 3, 3, 3);
    EXPECT(&f, "decoder.norm_out.gamma", 0, 2);
    EXPECT(&f, "decoder.conv_out.weight", 0, 4, 2, 3, 3, 3);
    EXPECT(&f, "decoder.mid_block.resnets.0.conv1.weight", 0, 4, 4, 3, 3, 3);
    EXPECT(&f, "decoder.mid_block.resnets.1.conv2.bias", 0, 4);
    EXPECT(&f, "decoder.mid_block.attentions.0.to_qkv.weight", 0, 12, 4, 1, 1);
    EXPECT(&f, "decoder.mid_block.attentions.0.to_v.weight", 32, 4, 4);
    EXPECT(&f, "decoder.mid_block.attentions.0.norm.gamma", 0, 4, 1, 1);
    EXPECT(&f, "decoder.up_blocks.0.resnets.0.norm1.gamma", 0, 4);
    EXPECT(&f, "decoder.up_blocks.0.resnets.1.conv1.weight", 0, 4, 4, 3, 3, 3);
    EXPECT(&f, "decoder.up_blocks.0.upsamplers.0.resample.1.weight", 0, 2, 4, 3, 3);
    EXPECT(&f, "decoder.up_blocks.1.resnets.0.conv_shortcut.weight", 0, 4, 2, 1, 1, 1);
    EXPECT(&f, "decoder.up_blocks.1.resnets.1.conv2.weight", 0, 4, 4, 3, 3, 3);
    EXPECT(&f, "encoder.down_blocks.2.norm2.gamma", 0, 4);
    EXPECT(&f, "encoder.down_blocks.3.resample.1.bias", 0, 4);
    assert_false(component_has(f.c, "decoder.up_blocks.0.resnets.2.conv1.weight"));
    assert_int_equal(component_leftovers(f.c, NULL, 0), 0);
    fixture_close(&f);
}

/* ---- the rest ---------------------------------------------------------------------------------- */

static void quantised_rows_are_cut_at_whole_blocks(void **state)
{
    struct buf b;
    struct checkpoint *cp;
    struct component *c;
    struct weights_view v;
    struct err e = {0};
    (void)state;
    gguf_begin(&b, 3, 4, 0);
    gguf_tensor(&b, "img_in.weight", 2, (uint64_t[]){32, 64}, 6, 0); /* Q5_0: 22 bytes a row */
    gguf_tensor(&b, "txt_in.weight", 2, (uint64_t[]){32, 64}, 6, 1408);
    gguf_tensor(&b, "double_stream_modulation_img.lin.weight", 1, (uint64_t[]){8}, 0, 2816);
    gguf_tensor(&b, "double_blocks.0.txt_attn.qkv.weight", 2, (uint64_t[]){64, 192}, 6, 2848);
    gguf_data(&b, 32, 2848 + 192 * 44);
    assert_int_equal(checkpoint_open_bytes("test.gguf", b.p, b.n, &cp, &e), ERR_OK);
    assert_int_equal(component_from_checkpoint(cp, COMPONENT_FLUX2_TRANSFORMER, &c, &e), ERR_OK);
    assert_int_equal(component_find(c, "transformer_blocks.0.attn.add_v_proj.weight", 2,
                                    (int64_t[]){64, 64}, &v, &e),
                     ERR_OK);
    assert_int_equal(v.dtype, DTYPE_Q5_0);
    assert_int_equal(v.bytes, 64 * 44);
    assert_ptr_equal(v.data, v.stored->data + 128 * 44);
    component_close(c);
    buf_deinit(&b);
}

static void opening_fails_cleanly_when_memory_runs_out(void **state)
{
    struct build b;
    struct fixture f;
    struct checkpoint *cp;
    struct component *c = NULL;
    enum err_code rc = ERR_NOMEM;
    (void)state;
    build_begin(&b);
    add_flux2_bfl(&b, "");
    fixture_open(&f, &b);
    for (long n = 1; n < 1000 && rc != ERR_OK; n++) {
        mem_fail_after(n);
        rc = checkpoint_open_bytes("test", f.bytes.p, f.bytes.n, &cp, NULL);
        if (rc == ERR_OK)
            rc = component_from_checkpoint(cp, COMPONENT_UNKNOWN, &c, NULL);
        mem_fail_after(0);
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
    }
    assert_int_equal(rc, ERR_OK);
    component_close(c);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flux2_resolves_in_both_namings_and_with_prefix),
        cmocka_unit_test(a_fused_modulation_is_only_offered_as_halves),
        cmocka_unit_test(misfits_are_named_with_what_was_expected),
        cmocka_unit_test(another_kind_is_refused_with_both_named),
        cmocka_unit_test(strangers_are_called_what_they_look_like),
        cmocka_unit_test(fp8_views_carry_their_scale),
        cmocka_unit_test(text_encoders_resolve_in_every_naming),
        cmocka_unit_test(plain_qwen2_is_refused_when_the_file_says_so),
        cmocka_unit_test(leftovers_are_what_the_network_does_not_have),
        cmocka_unit_test(vision_towers_resolve_fused_and_split),
        cmocka_unit_test(flux2_vae_blocks_are_turned_round),
        cmocka_unit_test(wan_vae_blocks_are_found_in_their_flat_list),
        cmocka_unit_test(quantised_rows_are_cut_at_whole_blocks),
        cmocka_unit_test(opening_fails_cleanly_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
