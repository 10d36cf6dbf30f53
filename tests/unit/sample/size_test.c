#include "case_file.h"

#include "sample/schedule.h"
#include "sample/size.h"

static struct size_px pair_at(yyjson_val *entry, const char *key)
{
    yyjson_val *pair = yyjson_obj_get(entry, key);
    assert_int_equal(yyjson_arr_size(pair), 2);
    return (struct size_px){(int)yyjson_get_sint(yyjson_arr_get(pair, 0)),
                            (int)yyjson_get_sint(yyjson_arr_get(pair, 1))};
}

static void check_size(struct size_px image, struct size_px got, struct size_px want)
{
    if (got.w != want.w || got.h != want.h)
        fail_msg("%d x %d: %d x %d, expected %d x %d", image.w, image.h, got.w, got.h, want.w,
                 want.h);
}

static void check_layered(yyjson_val *entry)
{
    struct size_px image = pair_at(entry, "image_wh"), got;
    int resolution = (int)yyjson_get_sint(yyjson_obj_get(entry, "resolution"));
    assert_int_equal(size_layered(image, resolution, &got, NULL), ERR_OK);
    check_size(image, got, pair_at(entry, "calculated_wh"));
}

static void check_reference(yyjson_val *entry)
{
    struct size_px image = pair_at(entry, "image_wh");
    struct size_reference got;
    assert_int_equal(size_klein_reference(image, 16, &got, NULL), ERR_OK);
    check_size(image, got.resized, pair_at(entry, "resized_wh"));
    struct size_px cropped = {got.crop.w, got.crop.h};
    check_size(image, cropped, pair_at(entry, "cropped_wh"));
    assert_int_equal(got.crop.x, (got.resized.w - cropped.w) / 2);
    assert_int_equal(got.crop.y, (got.resized.h - cropped.h) / 2);
}

static void check_vision(yyjson_val *entry)
{
    struct size_px image = pair_at(entry, "image_wh"), got;
    struct size_vision limits = {28, yyjson_get_sint(yyjson_obj_get(entry, "min_pixels")),
                                 yyjson_get_sint(yyjson_obj_get(entry, "max_pixels"))};
    assert_int_equal(size_vision_input(image, &limits, &got, NULL), ERR_OK);
    check_size(image, got, pair_at(entry, "resized_wh"));
}

static void check_start(yyjson_val *entry)
{
    int steps = (int)yyjson_get_sint(yyjson_obj_get(entry, "steps"));
    double strength = yyjson_get_num(yyjson_obj_get(entry, "strength"));
    int want = (int)yyjson_get_sint(yyjson_obj_get(entry, "t_start"));
    assert_int_equal(schedule_start_step(steps, strength), want);
}

static void sizes_equal_the_reference(void **state)
{
    (void)state;
    const struct {
        const char *key;
        void (*check)(yyjson_val *entry);
    } groups[] = {{"layered", check_layered},
                  {"klein_reference", check_reference},
                  {"smart_resize", check_vision},
                  {"inpaint", check_start}};
    yyjson_doc *doc = case_json("dimensions", "expected.json");
    assert_int_equal(yyjson_obj_size(yyjson_doc_get_root(doc)), 4);
    for (size_t g = 0; g < 4; g++) {
        yyjson_val *entry;
        size_t i, max;
        yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), groups[g].key), i, max, entry)
        {
            groups[g].check(entry);
        }
        assert_true(max > 0);
    }
    yyjson_doc_free(doc);
}

static void halves_round_to_the_even_neighbour(void **state)
{
    (void)state;
    assert_true(size_round_half_even(0.5) == 0.0);
    assert_true(size_round_half_even(1.5) == 2.0);
    assert_true(size_round_half_even(2.5) == 2.0);
    assert_true(size_round_half_even(2.5000001) == 3.0);
    assert_true(size_round_half_even(-0.5) == 0.0);
    assert_true(size_round_half_even(-1.5) == -2.0);
}

static void output_takes_each_side_from_request_then_reference_then_default(void **state)
{
    (void)state;
    struct size_px out, none = {0, 0}, reference = {336, 592};
    assert_int_equal(size_klein_output((struct size_px){100, 70}, none, 16, &out, NULL), ERR_OK);
    check_size(none, out, (struct size_px){96, 64});
    assert_int_equal(size_klein_output((struct size_px){0, 70}, reference, 16, &out, NULL), ERR_OK);
    check_size(none, out, (struct size_px){336, 64});
    assert_int_equal(size_klein_output(none, none, 16, &out, NULL), ERR_OK);
    check_size(none, out, (struct size_px){1024, 1024});
    assert_int_equal(size_klein_output(none, none, 8, &out, NULL), ERR_OK);
    check_size(none, out, (struct size_px){512, 512});
    assert_int_equal(size_klein_output((struct size_px){15, 64}, none, 16, &out, NULL), ERR_ARG);
    assert_int_equal(size_klein_output((struct size_px){-64, 64}, none, 16, &out, NULL), ERR_ARG);
}

static void references_are_refused_when_small_or_narrow(void **state)
{
    (void)state;
    struct size_reference out;
    struct err e = {0};
    assert_int_equal(size_klein_reference((struct size_px){63, 100}, 16, &out, &e), ERR_ARG);
    assert_int_equal(size_klein_reference((struct size_px){64, 513}, 16, &out, &e), ERR_ARG);
    assert_int_equal(size_klein_reference((struct size_px){64, 512}, 16, &out, &e), ERR_OK);
    assert_int_equal(size_klein_reference((struct size_px){0, 512}, 16, &out, &e), ERR_ARG);
    assert_int_equal(size_klein_reference((struct size_px){INT32_MAX, INT32_MAX}, 16, &out, &e),
                     ERR_ARG);
}

static void inpaint_works_at_the_images_own_size(void **state)
{
    (void)state;
    struct size_inpaint out;
    assert_int_equal(size_klein_inpaint((struct size_px){1301, 903}, 16, &out, NULL), ERR_OK);
    check_size((struct size_px){1301, 903}, out.limited, (struct size_px){1229, 853});
    check_size((struct size_px){1301, 903}, out.work, (struct size_px){1216, 848});
    assert_int_equal(size_klein_inpaint((struct size_px){90, 15}, 16, &out, NULL), ERR_ARG);
}

static void padded_sizes_lose_no_pixel(void **state)
{
    (void)state;
    struct size_inpaint out;
    assert_int_equal(size_klein_padded((struct size_px){130, 131}, 16, &out, NULL), ERR_OK);
    check_size((struct size_px){130, 131}, out.limited, (struct size_px){130, 131});
    check_size((struct size_px){130, 131}, out.work, (struct size_px){144, 144});
    assert_int_equal(size_klein_padded((struct size_px){1301, 903}, 16, &out, NULL), ERR_OK);
    check_size((struct size_px){1301, 903}, out.work, (struct size_px){1232, 864});
    assert_int_equal(size_klein_padded((struct size_px){64, 128}, 16, &out, NULL), ERR_OK);
    check_size((struct size_px){64, 128}, out.work, (struct size_px){64, 128});
    assert_int_equal(size_klein_padded((struct size_px){90, 15}, 16, &out, NULL), ERR_ARG);
}

static void narrow_images_are_refused(void **state)
{
    (void)state;
    struct size_px out;
    struct size_vision limits = {28, 3136, 12845056};
    struct err e = {0};
    assert_int_equal(size_layered((struct size_px){100000, 1}, 640, &out, &e), ERR_ARG);
    assert_int_equal(size_layered((struct size_px){100, 100}, 0, &out, &e), ERR_ARG);
    assert_int_equal(size_vision_input((struct size_px){2010, 10}, &limits, &out, &e), ERR_ARG);
    limits.max_pixels = 10;
    assert_int_equal(size_vision_input((struct size_px){20, 10}, &limits, &out, &e), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_equal_the_reference),
        cmocka_unit_test(halves_round_to_the_even_neighbour),
        cmocka_unit_test(output_takes_each_side_from_request_then_reference_then_default),
        cmocka_unit_test(references_are_refused_when_small_or_narrow),
        cmocka_unit_test(inpaint_works_at_the_images_own_size),
        cmocka_unit_test(padded_sizes_lose_no_pixel),
        cmocka_unit_test(narrow_images_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
