#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/recipe.h"

static struct recipe read(const char *text)
{
    struct recipe r;
    struct err e = {0};
    assert_int_equal(recipe_read(str_from(text), &r, &e), ERR_OK);
    return r;
}

static void a_recipe_is_read_when_it_is_ours(void **state)
{
    (void)state;
    struct recipe r = read(
        "a red star\non white, Steps: no\n"
        "Steps: 8, Sampler: Euler, CFG scale: 1.5, Seed: 4294967301, Size: 128x64, "
        "Model: \"a, \\\"b\\\"\", Version: veetance 0.1.0, Task: edit, Max tokens: 40, "
        "Compute: int8, Images: a.png|b c.png, Mask: alpha, Strength: 0.5, "
        "Feather: 3, Extend: 1|2|3|4, Matte: black, Mask mode: Inpaint not masked, Mask grow: -4, "
        "Mask feather: 2, Inpaint area: Only masked, Masked area padding: 64, "
        "Match colours: True, Fast: 2, Register: True, Transparent: True");
    assert_string_equal(buf_z(&r.prompt), "a red star\non white, Steps: no");
    assert_int_equal(r.steps, 8);
    assert_true(r.guidance == 1.5);
    assert_true(r.seed == 4294967301);
    assert_int_equal(r.width, 128);
    assert_int_equal(r.height, 64);
    assert_string_equal(r.model, "a, \"b\"");
    assert_string_equal(r.task, "edit");
    assert_int_equal(r.max_tokens, 40);
    assert_string_equal(r.compute, "int8");
    assert_int_equal(r.fast, 2);
    assert_int_equal(r.image_count, 2);
    assert_string_equal(r.images[1], "b c.png");
    assert_string_equal(r.mask, "alpha");
    assert_true(r.strength == 0.5);
    assert_int_equal(r.feather, 3);
    assert_int_equal(r.extend[3], 4);
    assert_true(r.mask_invert && r.crop_to_mask && r.match_colours && r.align && r.transparent);
    assert_int_equal(r.mask_grow, -4);
    assert_int_equal(r.mask_feather, 2);
    assert_int_equal(r.crop_padding, 64);
    assert_string_equal(r.matte, "black");
    recipe_deinit(&r);
}

static void a_recipe_of_another_program_gives_what_it_has(void **state)
{
    (void)state;
    struct recipe r =
        read("masterpiece\nNegative prompt: bad\nSteps: 20, Sampler: DPM++ 2M Karras, CFG "
             "scale: 7, Seed: 1, Size: 512x768, Model hash: abc, Model: sd, Lora hashes: "
             "\"x: 1, y: 2\", Mask mode: Inpaint masked, Inpaint area: Whole picture, "
             "Masked area padding: 32, Version: v1.6.0\n");
    assert_int_equal(r.steps, 20);
    assert_int_equal(r.height, 768);
    assert_string_equal(r.model, "sd");
    assert_string_equal(r.task, "");
    assert_int_equal(r.max_tokens, VT_DEFAULT);
    assert_false(r.mask_invert || r.crop_to_mask);
    recipe_deinit(&r);
}

static void numbers_that_cannot_be_are_left_out(void **state)
{
    (void)state;
    struct recipe r =
        read("\nSteps: 0, CFG scale: x, Seed: -5, Size: 5x, Max tokens: 99999999999, "
             "Mask grow: 99999, Mask feather: -1, Masked area padding: 9999, Model: \"unfinished");
    assert_int_equal(r.steps, VT_DEFAULT);
    assert_int_equal(r.seed, VT_SEED_RANDOM);
    assert_int_equal(r.width, VT_DEFAULT);
    assert_int_equal(r.max_tokens, VT_DEFAULT);
    assert_true(r.mask_grow == 0 && r.mask_feather == 0 && r.crop_padding == VT_DEFAULT);
    assert_string_equal(buf_z(&r.prompt), "");
    recipe_deinit(&r);
}

static void loras_are_taken_out_of_the_prompt(void **state)
{
    (void)state;
    static const struct {
        const char *prompt, *rest, *name;
        int n;
        double strength;
    } table[] = {
        {"a star <lora:glow:0.8>", "a star", "glow", 1, 0.8},
        {"<lora:glow>a star", "a star", "glow", 1, 1},
        {"a <LoRA:x-y.z:-1.5> star <lyco:b:2>", "a  star", "x-y.z", 2, -1.5},
        {"a <b> star", "a <b> star", "", 0, 0},
        {"a <lora:unclosed", "a <lora:unclosed", "", 0, 0},
        {"a <lora:x:much>", "a <lora:x:much>", "", 0, 0},
        {"a <lora::1>", "a <lora::1>", "", 0, 0},
        {"a <lora:x:11>", "a <lora:x:11>", "", 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct recipe r;
        struct err e = {0};
        char text[200];
        (void)snprintf(text, sizeof text, "%s\nSteps: 4", table[i].prompt);
        assert_int_equal(recipe_read(str_from(text), &r, &e), ERR_OK);
        assert_string_equal(buf_z(&r.prompt), table[i].rest);
        assert_int_equal(r.loras.n, table[i].n);
        assert_string_equal(r.loras.of[0].name, table[i].name);
        assert_true(r.loras.of[0].strength == table[i].strength);
        recipe_deinit(&r);
    }
}

static void names_of_loras_are_without_folders_and_endings(void **state)
{
    (void)state;
    const struct vt_loras loras = {.count = 2,
                                   .of = {{.name = "/home/me/glow.safetensors", .strength = 0.5},
                                          {.name = "x", .strength = 1}}};
    struct buf b;
    buf_init(&b, 1000);
    lora_tags_write(&loras, &b);
    assert_string_equal(buf_z(&b), " <lora:glow:0.5> <lora:x:1>");
    buf_deinit(&b);
}

static void a_text_without_a_recipe_is_refused(void **state)
{
    static const char *const bad[] = {"", "a red star", "see Steps: 3", "Step: 3"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct recipe r;
        struct err e = {0};
        assert_int_equal(recipe_read(str_from(bad[i]), &r, &e), ERR_FORMAT);
        recipe_deinit(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recipe_is_read_when_it_is_ours),
        cmocka_unit_test(a_recipe_of_another_program_gives_what_it_has),
        cmocka_unit_test(numbers_that_cannot_be_are_left_out),
        cmocka_unit_test(loras_are_taken_out_of_the_prompt),
        cmocka_unit_test(names_of_loras_are_without_folders_and_endings),
        cmocka_unit_test(a_text_without_a_recipe_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
