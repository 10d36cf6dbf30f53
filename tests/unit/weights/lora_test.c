/* LoRA files, read without a network: what is refused and what the message says, scales, what a file is for. That
 * results are right is tests/parity/lora_test.c's. */
#include <stdio.h>

#include "base/mem.h"
#include "build.h"
#include "weights/lora.h"

/* The next word of a text, up to a blank or a semicolon, which are passed over. */
static void take_word(const char **p, char *out, size_t size)
{
    size_t n = strcspn(*p, " ;");
    (void)snprintf(out, size, "%.*s", (int)n, *p);
    *p += n + 1;
}

/* "NAME DTYPE DIMS N;" for each tensor (DIMS "-": a single number), or what opening says of it. */
static struct lora *open_text(const char *tensors, struct err *e)
{
    static struct buf file;
    struct build b;
    struct checkpoint *cp;
    struct lora *l = NULL;
    buf_deinit(&file);
    build_begin(&b);
    for (const char *p = tensors; *p;) {
        char name[200], dtype[16], dims[64], count[16];
        uint64_t n = 0;
        take_word(&p, name, sizeof name);
        take_word(&p, dtype, sizeof dtype);
        take_word(&p, dims, sizeof dims);
        take_word(&p, count, sizeof count);
        assert_true(str_to_u64(str_from(count), &n));
        build_tensor(&b, name, dtype, strcmp(dims, "-") == 0 ? "" : dims, (size_t)n);
    }
    build_end(&b, &file);
    *e = (struct err){0};
    assert_int_equal(checkpoint_open_bytes("it", file.p, file.n, &cp, e), ERR_OK);
    if (lora_from_checkpoint(cp, &l, e) != ERR_OK)
        assert_null(l);
    return l;
}

#define DOWN(m) m ".lora_A.weight F32 2,6 12;"
#define UP(m) m ".lora_B.weight F32 4,2 8;"

static void what_is_no_lora_is_refused_with_its_tensor(void **state)
{
    (void)state;
    static const struct {
        const char *tensors, *says;
    } table[] = {
        {"x.weight F32 2,2 4;", "it is no LoRA"},
        {DOWN("a"), "'a' has no lora_B.weight"},
        {UP("a"), "'a' has no lora_A.weight"},
        {DOWN("a") "a.lora_B.weight F32 4,3 12;",
         "'a.lora_B.weight' [4, 3] and 'a.lora_A.weight' [2, 6]"},
        {DOWN("a") UP("a") "a.alpha F32 2 2;", "'a.alpha' is no number"},
        {DOWN("a") UP("a") "a.alpha I32 1 1;", "'a.alpha' is no number"},
        {DOWN("a") UP("a") "b.alpha F32 1 1;", "'b' has an alpha and nothing else"},
        {"a.lora_A.weight F32 2,3,3,3 54;" UP("a"), "is [2, 3, 3, 3], expected a matrix"},
        {"a.lora_A.weight F32 12 12;" UP("a"), "is [12], expected a matrix"},
        {"a.lora_A.weight F32 0,6 0;" UP("a"), "expected a matrix"},
        {"a.lora_A.weight I8 2,6 12;" UP("a"), "is of type I8, expected floats"},
        {DOWN("a") UP("a") "a.dora_scale F32 4 4;", "is part of DoRA"},
        {DOWN("a") UP("a") "a.lora_magnitude_vector.weight F32 4 4;", "is part of DoRA"},
        {DOWN("a") UP("a") "a.lora_B.bias F32 4 4;", "is part of a bias"},
        {DOWN("a") UP("a") "b.diff F32 4 4;", "is part of a whole difference"},
        {DOWN("a") UP("a") "b.oft_blocks F32 4 4;", "is part of OFT"},
        {DOWN("a") UP("a") "b.something F32 4 4;", "is no part of a LoRA"},
        {DOWN("a") UP("a") "a.lora_down.weight F32 2,6 12;", "are the same part"},
        {DOWN("transformer.a") UP("a") "a.lora_A.weight F32 2,6 12;", "are the same part"},
        {DOWN("a") UP("a") "a.hada_w1_a F32 4,2 8;", "has parts of two forms"},
        {"a.hada_w1_a F32 4,2 8;a.hada_w1_b F32 2,6 12;", "'a' has no hada_w2_a"},
        {"a.hada_w1_a F32 4,2 8;a.hada_w1_b F32 2,6 12;a.hada_w2_a F32 4,3 12;a.hada_w2_b F32 3,5 "
         "15;",
         "have different shapes"},
        {"a.hada_w1_a F32 4,2 8;a.hada_w1_b F32 2,6 12;a.hada_w2_a F32 4,2 8;a.hada_w2_b F32 2,6 "
         "12;"
         "a.hada_t1 F32 2,2 4;",
         "is part of a convolution's LoHa"},
        {"a.lokr_w1 F32 2,2 4;", "'a' has no lokr_w2"},
        {"a.lokr_w1 F32 2,2 4;a.lokr_w2_a F32 2,2 4;", "'a' has no lokr_w2_b"},
        {"a.lokr_w1 F32 2,2 4;a.lokr_w1_a F32 2,2 4;a.lokr_w2 F32 2,2 4;",
         "has lokr_w1 whole and as a product"},
        {"a.lokr_w1 F32 2,2 4;a.lokr_w2_a F32 2,2 4;a.lokr_w2_b F32 3,2 6;",
         "do not fit each other"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct err e;
        struct lora *l = open_text(table[i].tensors, &e);
        lora_close(l);
        if (l || !strstr(e.text, table[i].says) || !strstr(e.text, "'it'"))
            fail_msg("%s: '%s' does not say '%s'", table[i].tensors, e.text, table[i].says);
    }
}

static struct lora *must_open(const char *tensors)
{
    struct err e;
    struct lora *l = open_text(tensors, &e);
    if (!l)
        fail_msg("%s", e.text);
    return l;
}

static int find(struct lora *l, const char *name, int64_t rows, int64_t columns,
                struct lora_term out[LORA_MAX_TERMS])
{
    struct err e = {0};
    int n = 0;
    if (lora_find(l, COMPONENT_FLUX2_TRANSFORMER, name, rows, columns, out, &n, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return n;
}

static void alpha_is_divided_by_the_rank(void **state)
{
    (void)state;
    struct lora_term t[LORA_MAX_TERMS];
    /* The data of an alpha is 0, the first of 0, 1, 2, ... */
    struct lora *l =
        must_open("x_embedder.lora_A.weight F32 2,6 12;x_embedder.lora_B.weight F32 4,2 8;"
                  "x_embedder.alpha F32 - 1;");
    assert_int_equal(find(l, "x_embedder.weight", 4, 6, t), 1);
    assert_true(t[0].scale == 0);
    lora_close(l);
    l = must_open("x_embedder.lora_A.weight F32 2,6 12;x_embedder.lora_B.weight F32 4,2 8;");
    assert_int_equal(find(l, "x_embedder.weight", 4, 6, t), 1);
    assert_true(t[0].scale == 1);
    lora_close(l);
}

static void rows_of_a_fused_matrix_are_found_where_they_are(void **state)
{
    (void)state;
    struct lora_term t[LORA_MAX_TERMS];
    struct err e = {0};
    float row[1];
    struct lora *l =
        must_open("lora_unet_double_blocks_1_img_attn_qkv.lora_down.weight F32 1,4 4;"
                  "lora_unet_double_blocks_1_img_attn_qkv.lora_up.weight F32 12,1 12;");
    assert_int_equal(find(l, "transformer_blocks.1.attn.to_k.weight", 4, 4, t), 1);
    assert_int_equal(t[0].up.rows, 4);
    assert_int_equal(lora_matrix_rows(&t[0].up, 0, 1, row, &e), ERR_OK);
    assert_true(row[0] == 4); /* the fifth of 0, 1, 2, ... */
    assert_int_equal(find(l, "transformer_blocks.0.attn.to_k.weight", 4, 4, t), 0);
    assert_int_equal(lora_check_all_found(l, COMPONENT_FLUX2_TRANSFORMER, &e), ERR_OK);
    lora_close(l);
}

static void what_a_file_is_for_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *module;
        int width;
        const char *base;
        enum component_kind kind;
    } table[] = {
        {"diffusion_model.double_blocks.0.img_attn.qkv", 3072, "FLUX.2-klein 4B",
         COMPONENT_FLUX2_TRANSFORMER},
        {"lora_unet_single_blocks_3_linear1", 4096, "FLUX.2-klein 9B", COMPONENT_FLUX2_TRANSFORMER},
        {"transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj", 6144, "FLUX.2-dev",
         COMPONENT_FLUX2_TRANSFORMER},
        {"transformer.transformer_blocks.0.ff.linear_in", 96, "a FLUX.2 of width 96",
         COMPONENT_FLUX2_TRANSFORMER},
        {"transformer_blocks.0.img_mlp.net.0.proj", 3072, "Qwen-Image",
         COMPONENT_QWEN_IMAGE_TRANSFORMER},
        {"transformer_blocks.59.attn.to_q", 3072, "Qwen-Image", COMPONENT_QWEN_IMAGE_TRANSFORMER},
        {"lora_unet_double_blocks_7_img_attn_qkv", 3072, "FLUX.2-klein 4B",
         COMPONENT_FLUX2_TRANSFORMER},
        {"lora_unet_double_blocks_8_img_attn_qkv", 3072, "an unknown model", COMPONENT_UNKNOWN},
        {"lora_unet_double_blocks_0_img_mod_lin", 3072, "an unknown model", COMPONENT_UNKNOWN},
        {"lora_unet_input_blocks_1_1_proj_in", 320, "an unknown model", COMPONENT_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[600];
        struct lora_facts f;
        (void)snprintf(text, sizeof text,
                       "%s.lora_A.weight BF16 8,%d %d;%s.lora_B.weight BF16 4,8 32;",
                       table[i].module, table[i].width, 8 * table[i].width, table[i].module);
        struct lora *l = must_open(text);
        lora_facts(l, &f);
        assert_string_equal(f.base, table[i].base);
        assert_int_equal(f.kind, table[i].kind);
        assert_int_equal(f.rank, 8);
        lora_close(l);
    }
}

static void memory_that_runs_out_is_an_error(void **state)
{
    (void)state;
    bool done = false;
    for (long i = 1; !done; i++) {
        struct err e = {0};
        struct build b;
        struct buf file;
        struct checkpoint *cp;
        struct lora *l = NULL;
        build_begin(&b);
        BUILD_F32(&b, "a.lora_A.weight", 2, 6);
        BUILD_F32(&b, "a.lora_B.weight", 4, 2);
        build_end(&b, &file);
        assert_int_equal(checkpoint_open_bytes("it", file.p, file.n, &cp, &e), ERR_OK);
        mem_fail_after(i);
        enum err_code rc = lora_from_checkpoint(cp, &l, &e);
        mem_fail_after(0);
        done = rc == ERR_OK;
        assert_true(done || rc == ERR_NOMEM);
        lora_close(l);
        buf_deinit(&file);
        assert_true(i < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_lora_is_refused_with_its_tensor),
        cmocka_unit_test(alpha_is_divided_by_the_rank),
        cmocka_unit_test(rows_of_a_fused_matrix_are_found_where_they_are),
        cmocka_unit_test(what_a_file_is_for_is_told),
        cmocka_unit_test(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
