/* engine_test.c - the public library: requests that make no sense, models kept open, notes, cancelling, and
 * memory that runs out, with the micro model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "veetance.h"

#define MODEL VT_SOURCE_DIR "/models/micro-klein"

static struct vt_engine *engine;
static unsigned char pixels[64 * 64 * 4];

static int set_up(void **state)
{
    /* VT_TEST_ISOLATED: the program in whose process it runs. */
    const struct vt_engine_options options = {.device = "cpu",
                                              .threads = 1,
                                              .isolated = getenv("VT_TEST_ISOLATED") != NULL,
                                              .program = getenv("VT_TEST_ISOLATED")};
    struct vt_error err;
    (void)state;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (unsigned char)(i * 31 ^ i >> 6);
    return vt_engine_open(&options, &engine, &err) == VT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    vt_engine_close(engine);
    return 0;
}

/* Quick and small. */
static struct vt_request small(void)
{
    struct vt_request rq = vt_request_defaults();
    rq.model = MODEL;
    rq.prompt = "star";
    rq.width = rq.height = 64;
    rq.steps = 1;
    rq.seed = 1;
    return rq;
}

static struct vt_image image(int channels)
{
    return (struct vt_image){64, 64, channels, pixels, 8, NULL};
}

static struct vt_request with_image(void)
{
    struct vt_request rq = small();
    rq.images[0] = image(3);
    rq.image_count = 1;
    return rq;
}

static void refused_with(const struct vt_request *rq, bool edit, const struct vt_callbacks *cb,
                         enum vt_status status, const char *with)
{
    struct vt_error err = {0};
    struct vt_result *res = (void *)&err;
    enum vt_status st =
        edit ? vt_edit(engine, rq, cb, &res, &err) : vt_generate(engine, rq, cb, &res, &err);
    if (st != status || err.status != status || !strstr(err.text, with))
        fail_msg("status %d, '%s'; expected %d, '%s'", (int)st, err.text, (int)status, with);
    assert_null(res);
}

static void refused(const struct vt_request *rq, bool edit, const char *with)
{
    refused_with(rq, edit, NULL, VT_ERR_ARG, with);
}

static struct vt_result *made(const struct vt_request *rq, bool edit, const struct vt_callbacks *cb)
{
    struct vt_error err = {0};
    struct vt_result *res;
    enum vt_status st =
        edit ? vt_edit(engine, rq, cb, &res, &err) : vt_generate(engine, rq, cb, &res, &err);
    if (st != VT_OK)
        fail_msg("%s", err.text);
    assert_string_equal(err.text, "");
    return res;
}

static void a_request_is_refused_when_a_number_is_out_of_range(void **state)
{
    static const int bad_sides[] = {0, 63, 2049, -2, INT32_MIN, INT32_MAX};
    static const int bad_counts[] = {0, -1, VT_MAX_COUNT + 1, INT32_MIN};
    struct vt_request rq;
    (void)state;
    for (size_t i = 0; i < sizeof bad_sides / sizeof *bad_sides; i++) {
        rq = small();
        rq.width = bad_sides[i];
        refused(&rq, false, "the width is");
        rq = small();
        rq.height = bad_sides[i];
        refused(&rq, false, "the height is");
    }
    for (size_t i = 0; i < sizeof bad_counts / sizeof *bad_counts; i++) {
        rq = small();
        rq.count = bad_counts[i];
        refused(&rq, false, "the count is");
    }
    rq = small();
    rq.steps = 0;
    refused(&rq, false, "steps is 0");
    rq = small();
    rq.steps = 100000;
    refused(&rq, false, "steps is 100000");
    rq = small();
    rq.fast = VT_MAX_FAST + 1;
    refused(&rq, false, "fast is 4");
    rq = small();
    rq.max_tokens = 0;
    refused(&rq, false, "tokens is 0");
    rq = small();
    rq.guidance = (double)NAN;
    refused(&rq, false, "guidance");
    rq.guidance = (double)INFINITY;
    refused(&rq, false, "guidance");
    rq = small();
    rq.seed = INT64_MAX;
    refused(&rq, false, "the seed");
    rq = with_image();
    rq.strength = (double)NAN;
    refused(&rq, true, "strength");
    rq.strength = 1.5;
    refused(&rq, true, "strength is 1.5");
    rq.strength = 0;
    refused(&rq, true, "strength 0 leaves no step");
    rq = with_image();
    rq.feather = -1;
    refused(&rq, true, "feather");
    rq.feather = 0;
    rq.mask_grow = 1025;
    refused(&rq, true, "mask_grow is 1025");
    rq.mask_grow = INT32_MIN;
    refused(&rq, true, "mask_grow");
    rq.mask_grow = 0;
    rq.mask_feather = 513;
    refused(&rq, true, "mask_feather is 513");
    rq.mask_feather = 0;
    rq.crop_padding = -1;
    refused(&rq, true, "crop_padding is -1");
    rq.crop_padding = 0;
    rq.crop_to_mask = 1;
    rq.matte = "none";
    refused(&rq, true, "crop_to_mask keeps every pixel");
    rq = with_image();
    rq.transparent = 1;
    rq.strength = 0.5;
    refused(&rq, true, "transparent makes a whole image");
    rq.strength = VT_DEFAULT;
    rq.extend[3] = 16;
    refused(&rq, true, "transparent makes a whole image");
    rq.extend[3] = 0;
    rq.mask = image(1);
    refused(&rq, true, "transparent makes a whole image");
    rq = with_image();
    rq.extend[2] = -1;
    refused(&rq, true, "extend");
}

static void a_request_is_refused_when_its_text_is_wrong(void **state)
{
    struct vt_request rq = small();
    (void)state;
    rq.prompt = "ab\xff";
    refused(&rq, false, "not valid UTF-8 (at byte 2)");
    rq = small();
    rq.model = NULL;
    refused(&rq, false, "no model is named");
    rq.model = "";
    refused(&rq, false, "no model is named");
    rq.model = "nowhere";
    refused_with(&rq, false, NULL, VT_ERR_NOTFOUND, "nowhere");
    rq.model = VT_SOURCE_DIR "/models/micro-layered";
    refused(&rq, false, "veetance layers");
}

static void a_request_is_refused_when_its_images_are_wrong(void **state)
{
    struct vt_request rq = small();
    (void)state;
    refused(&rq, true, "at least one image");
    rq = with_image();
    refused(&rq, false, "takes no images");
    rq.image_count = VT_MAX_IMAGES + 1;
    refused(&rq, true, "11 images");
    for (int channels = -1; channels <= 5; channels += channels == -1 ? 1 : 5) {
        rq = with_image();
        rq.images[0].channels = channels;
        refused(&rq, true, "image 1 has no pixels");
        rq = with_image();
        rq.mask = image(channels);
        refused(&rq, true, "the mask has no pixels");
    }
    rq = with_image();
    rq.images[0].pixels = NULL;
    refused(&rq, true, "image 1 has no pixels");
    rq = with_image();
    rq.images[0].width = 0;
    refused(&rq, true, "image 1 is 0 x 64");
    rq = with_image();
    rq.mask = image(1);
    rq.mask.height = -5;
    refused(&rq, true, "the mask is 64 x -5");
    rq = with_image();
    rq.images[0].width = 1000000;
    rq.images[0].height = 200;
    refused_with(&rq, true, NULL, VT_ERR_LIMIT, "image 1");
    rq = with_image();
    rq.mask_from_alpha = 1;
    refused(&rq, true, "has none");
    rq = small();
    rq.mask_from_alpha = 1;
    refused(&rq, false, "needs an image");
    rq = small();
    rq.extend[0] = 16;
    refused(&rq, false, "needs an image");
}

static void the_same_image_comes_when_the_engine_is_used_again(void **state)
{
    const struct vt_request rq = small();
    struct vt_request many = small();
    (void)state;
    struct vt_result *a = made(&rq, false, NULL);
    many.count = 2;
    many.seed = 0;
    struct vt_result *b = made(&many, false, NULL);
    assert_int_equal(vt_result_count(a), 1);
    assert_int_equal(vt_result_count(b), 2);
    assert_int_equal(vt_result_seed(b, 1), 1);
    struct vt_image x = vt_result_image(a, 0), y = vt_result_image(b, 1);
    assert_int_equal(x.width, 64);
    assert_int_equal(x.channels, 3);
    assert_memory_equal(x.pixels, y.pixels, (size_t)64 * 64 * 3);
    const struct vt_request *used = vt_result_request(a);
    assert_string_equal(used->model, "micro-klein");
    assert_int_equal(used->max_tokens, 40);
    assert_int_equal(used->width, 64);
    assert_true(vt_result_stats(b)->text_seconds == 0); /* the prompt is still known */
    vt_result_free(a);
    vt_result_free(b);
    vt_result_free(NULL);
}

static void images_of_every_mode_are_taken_when_editing(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 4; channels++) {
        struct vt_request rq = small();
        rq.images[0] = rq.images[1] = image(channels);
        rq.image_count = 2;
        vt_result_free(made(&rq, true, NULL));
        rq.mask = image(5 - channels);
        vt_result_free(made(&rq, true, NULL));
    }
}

/* ---- alpha ------------------------------------------------------------------------------------------ */

enum { ODD_W = 75, ODD_H = 70 };

/* Opaque in the middle; elsewhere transparent over a colour that nobody sees. */
static void cut_out(unsigned char *rgba, int w, int h, unsigned char hidden)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, rgba += 4) {
            bool inside = x >= 10 && x < 50 && y >= 10 && y < 50;
            for (int c = 0; c < 3; c++)
                rgba[c] = inside ? (unsigned char)(x * 5 + y * 3 + c) : hidden;
            rgba[3] = inside ? 255 : 0;
        }
}

static bool look_alike(const struct vt_request *a, const struct vt_request *b)
{
    struct vt_result *ra = made(a, true, NULL), *rb = made(b, true, NULL);
    struct vt_image x = vt_result_image(ra, 0), y = vt_result_image(rb, 0);
    assert_int_equal(x.channels, y.channels);
    bool same =
        memcmp(x.pixels, y.pixels, (size_t)x.width * (size_t)x.height * (size_t)x.channels) == 0;
    vt_result_free(ra);
    vt_result_free(rb);
    return same;
}

static void colours_under_alpha_do_not_reach_the_model(void **state)
{
    static unsigned char black[64 * 64 * 4], grey[64 * 64 * 4];
    struct vt_request a = with_image(), b = with_image();
    (void)state;
    cut_out(black, 64, 64, 0);
    cut_out(grey, 64, 64, 150);
    a.images[0] = (struct vt_image){64, 64, 4, black, 8, NULL};
    b.images[0] = (struct vt_image){64, 64, 4, grey, 8, NULL};
    assert_true(look_alike(&a, &b));
    a.matte = "white";
    assert_true(look_alike(&a, &b));
    a.matte = "#ff8000";
    assert_false(look_alike(&a, &b));
    a.matte = b.matte = "none";
    assert_false(look_alike(&a, &b));
    a.matte = "#ff80";
    refused(&a, true, "the matte is '#ff80'");
}

/* Steps of 16 bits within levels of 8: the model sees them. The levels themselves give the same image in both depths, to
 * the last bit, also where an inpainting keeps them. */
static void models_see_all_16_bits_of_an_image(void **state)
{
    static unsigned char levels[64 * 64 * 3], mask[64 * 64];
    static uint16_t same[64 * 64 * 3], between[64 * 64 * 3];
    struct vt_request eight = with_image(), wide = eight, fine = eight;
    (void)state;
    for (size_t i = 0; i < sizeof levels; i++) {
        levels[i] = (unsigned char)(100 + i % 192 / 48);
        same[i] = (uint16_t)(levels[i] * 257);
        between[i] = (uint16_t)(same[i] + i % 128);
    }
    eight.images[0] = (struct vt_image){64, 64, 3, levels, 8, NULL};
    wide.images[0] = (struct vt_image){64, 64, 3, (const uint8_t *)same, 16, NULL};
    fine.images[0] = (struct vt_image){64, 64, 3, (const uint8_t *)between, 16, NULL};
    for (int k = 0; k < 3; k++) { /* as a reference, as a canvas, inside a mask */
        assert_true(look_alike(&eight, &wide));
        assert_false(look_alike(&eight, &fine));
        eight.strength = wide.strength = fine.strength = 0.6;
        if (k == 1)
            eight.mask = wide.mask = fine.mask = (struct vt_image){64, 64, 1, mask, 8, NULL};
        memset(mask, 255, sizeof mask / 2);
    }
    wide.images[0].bits = 12;
    refused(&wide, true, "image 1 has samples of 12 bits; it should be 8 or 16");
}

/* Sides that are no whole tokens, soft alpha, a mask over the left part. */
static void what_a_mask_keeps_keeps_every_bit(void **state)
{
    static unsigned char source[ODD_W * ODD_H * 4], mask[ODD_W * ODD_H];
    struct vt_request rq = with_image();
    (void)state;
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (unsigned char)(i * 37 ^ i >> 5);
    for (size_t i = 0; i < sizeof mask; i++)
        mask[i] = i % ODD_W < 30 ? 255 : 0;
    rq.width = rq.height = VT_DEFAULT;
    for (int channels = 1; channels <= 4; channels++) {
        rq.images[0] = (struct vt_image){ODD_W, ODD_H, channels, source, 8, NULL};
        rq.mask = (struct vt_image){ODD_W, ODD_H, 1, mask, 8, NULL};
        struct vt_result *r = made(&rq, true, NULL);
        struct vt_image out = vt_result_image(r, 0);
        int n = channels % 2 ? 3 : 4;
        assert_int_equal(out.width, ODD_W);
        assert_int_equal(out.height, ODD_H);
        assert_int_equal(out.channels, n);
        for (int i = 0; i < ODD_W * ODD_H; i++) {
            const unsigned char *got = out.pixels + i * n, *src = source + i * channels;
            bool painted = i % ODD_W < 30;
            for (int c = 0; !painted && c < 3; c++)
                assert_int_equal(got[c], src[channels >= 3 ? c : 0]);
            if (n == 4)
                assert_int_equal(got[3], painted ? 255 : src[channels - 1]);
        }
        vt_result_free(r);
    }
}

/* A mask anywhere in a large image with alpha: what is painted is near it, and nothing else changes a bit. */
static void what_lies_outside_a_cropped_mask_keeps_every_bit(void **state)
{
    enum { BIG_W = 331, BIG_H = 207 };
    static unsigned char source[BIG_W * BIG_H * 4], mask[BIG_W * BIG_H];
    static const struct {
        int x, y, w, h, width, height, feather;
    } cases[] = {{100, 50, 40, 30, 0, 0, 0},
                 {0, 0, 5, 5, 0, 0, 2},
                 {320, 200, 11, 7, 80, 64, 0},
                 {0, 0, BIG_W, 9, 64, 64, 0},
                 {0, 0, BIG_W, BIG_H, 0, 0, 0}};
    struct vt_request rq = with_image();
    (void)state;
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (unsigned char)(i * 37 ^ i >> 5);
    rq.crop_to_mask = 1;
    rq.crop_padding = 16;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int channels = k % 2 ? 3 : 4, changed = 0;
        memset(mask, 0, sizeof mask);
        for (int y = cases[k].y; y < cases[k].y + cases[k].h; y++)
            memset(mask + y * BIG_W + cases[k].x, 255, (size_t)cases[k].w);
        rq.images[0] = (struct vt_image){BIG_W, BIG_H, channels, source, 8, NULL};
        rq.mask = (struct vt_image){BIG_W, BIG_H, 1, mask, 8, NULL};
        rq.width = cases[k].width ? cases[k].width : VT_DEFAULT;
        rq.height = cases[k].height ? cases[k].height : VT_DEFAULT;
        rq.mask_feather = cases[k].feather;
        struct vt_result *r = made(&rq, true, NULL);
        struct vt_image out = vt_result_image(r, 0);
        int reach = cases[k].feather;
        assert_int_equal(out.width, BIG_W);
        assert_int_equal(out.height, BIG_H);
        for (int i = 0; i < BIG_W * BIG_H; i++) {
            int x = i % BIG_W, y = i / BIG_W;
            bool near = x >= cases[k].x - reach && x < cases[k].x + cases[k].w + reach &&
                        y >= cases[k].y - reach && y < cases[k].y + cases[k].h + reach;
            const unsigned char *got = out.pixels + i * out.channels, *src = source + i * channels;
            bool same = memcmp(got, src, (size_t)(out.channels < channels ? 3 : channels)) == 0;
            assert_true(near || (out.channels == channels && same));
            changed += near && !same;
        }
        assert_true(changed > cases[k].w * cases[k].h / 2);
        vt_result_free(r);
    }
}

/* Turned round, a mask paints the other half; grown over everything it is a full one. */
static void a_mask_is_shaped_before_it_is_used(void **state)
{
    static unsigned char left[64 * 64], right[64 * 64], all[64 * 64], small_mask[32 * 32];
    struct vt_request a = with_image(), b = a;
    (void)state;
    for (int i = 0; i < 64 * 64; i++) {
        left[i] = i % 64 < 20 ? 255 : 0;
        right[i] = 255 - left[i];
        all[i] = 255;
    }
    for (int i = 0; i < 32 * 32; i++)
        small_mask[i] = i % 32 < 10 ? 255 : 0;
    a.mask = (struct vt_image){64, 64, 1, left, 8, NULL};
    b.mask = (struct vt_image){64, 64, 1, right, 8, NULL};
    assert_false(look_alike(&a, &b));
    a.mask_invert = 1;
    assert_true(look_alike(&a, &b));
    a.mask_invert = 0;
    a.mask_grow = 44;
    b.mask = (struct vt_image){64, 64, 1, all, 8, NULL};
    assert_true(look_alike(&a, &b));
    a.mask_grow = 1024;
    assert_true(look_alike(&a, &b));
    a.mask_grow = -19;
    assert_false(look_alike(&a, &b));
    a.mask_grow = -20;
    refused(&a, true, "the mask is empty after it is shrunk by 20 pixels");
    a.mask_grow = 0;
    a.mask = (struct vt_image){64, 64, 1, all, 8, NULL};
    a.mask_invert = 1;
    refused(&a, true, "the mask is empty");
    a.crop_to_mask = 1;
    refused(&a, true, "the mask is empty");
    a.mask_invert = a.crop_to_mask = 0;
    b.mask_grow = -1024; /* nothing lies around a full mask that could take of it */
    assert_true(look_alike(&a, &b));
    a.mask = (struct vt_image){32, 32, 1, small_mask, 8, NULL};
    a.mask_invert = a.crop_to_mask = 1;
    a.mask_grow = 2;
    vt_result_free(made(&a, true, NULL)); /* one of another size */
    a.mask = (struct vt_image){64, 20, 1, all, 8, NULL};
    refused(&a, true, "do not belong together");
}

static void an_edit_has_the_size_of_its_image(void **state)
{
    struct vt_request rq = with_image();
    static const double strengths[] = {-1, 0.7};
    (void)state;
    rq.width = rq.height = VT_DEFAULT;
    rq.images[0] = (struct vt_image){67, 65, 3, pixels, 8, NULL};
    for (int i = 0; i < 2; i++) {
        rq.strength = strengths[i];
        rq.matte = NULL;
        struct vt_result *r = made(&rq, true, NULL);
        assert_int_equal(vt_result_image(r, 0).width, 67);
        assert_int_equal(vt_result_image(r, 0).height, 65);
        vt_result_free(r);
        rq.matte = "none"; /* as the reference implementation has it */
        r = made(&rq, true, NULL);
        assert_int_equal(vt_result_image(r, 0).width, 64);
        assert_int_equal(vt_result_image(r, 0).height, 64);
        vt_result_free(r);
    }
}

/* ---- callbacks -------------------------------------------------------------------------------------- */

struct watch {
    int notes, steps, cancel_at;
    char last_note[480];
    bool stages[VT_STAGE_DECODE + 1];
    int told_decoding;
    struct vt_progress last;
};

static void on_progress(const struct vt_progress *p, void *user)
{
    struct watch *w = user;
    if (w->stages[p->stage] && w->last.stage == p->stage && w->last.image == p->image)
        assert_true(p->done >= w->last.done);
    w->last = *p;
    w->told_decoding += p->stage == VT_STAGE_DECODE;
    w->stages[p->stage] = true;
    if (p->stage == VT_STAGE_STEPS)
        w->steps = p->step;
    if (p->stage == VT_STAGE_STEPS && w->cancel_at && p->step == w->cancel_at)
        vt_engine_cancel(engine);
}

static void on_note(const char *text, void *user)
{
    struct watch *w = user;
    w->notes++;
    (void)snprintf(w->last_note, sizeof w->last_note, "%s", text);
}

static void a_run_stops_within_a_step_when_it_is_cancelled(void **state)
{
    struct watch w = {.cancel_at = 2};
    const struct vt_callbacks cb = {.progress = on_progress, .note = on_note, .user = &w};
    struct vt_request rq = small();
    (void)state;
    rq.steps = 50;
    refused_with(&rq, false, &cb, VT_ERR_CANCELLED, "");
    assert_true(w.steps == 2);
    assert_false(w.stages[VT_STAGE_DECODE]);
    w = (struct watch){0};
    rq.steps = 2;
    vt_result_free(made(&rq, false, &cb)); /* the next request runs as usual */
    assert_true(w.stages[VT_STAGE_DECODE]);
    assert_int_equal(w.notes, 0);
}

static void progress_goes_on_within_every_stage(void **state)
{
    struct watch w = {0};
    const struct vt_callbacks cb = {.progress = on_progress, .user = &w};
    struct vt_request rq = with_image();
    (void)state;
    rq.images[1] = rq.images[2] = rq.images[0];
    rq.image_count = 3; /* each a third of the stage */
    rq.count = 2;
    vt_result_free(made(&rq, true, &cb));
    assert_true(w.stages[VT_STAGE_ENCODE] && w.last.stage == VT_STAGE_DECODE && w.last.done == 1);
    assert_in_range(w.told_decoding, 2 * 20, 2 * 101); /* one a per cent at most */
}

static void a_note_says_when_something_was_changed(void **state)
{
    struct watch w = {0};
    const struct vt_callbacks cb = {.progress = on_progress, .note = on_note, .user = &w};
    struct vt_request rq = small();
    (void)state;
    rq.width = 79;
    vt_result_free(made(&rq, false, &cb));
    assert_int_equal(w.notes, 1);
    assert_non_null(strstr(w.last_note, "64 x 64"));
    rq = with_image();
    rq.mask = image(1);
    rq.mask.height = 60;
    vt_result_free(made(&rq, true, &cb));
    assert_int_equal(w.notes, 2);
    assert_non_null(strstr(w.last_note, "the mask is 64 x 60"));
    rq = with_image();
    rq.feather = 3;
    vt_result_free(made(&rq, true, &cb));
    assert_int_equal(w.notes, 3);
    assert_non_null(strstr(w.last_note, "feather"));
    rq = with_image();
    rq.crop_to_mask = 1;
    vt_result_free(made(&rq, true, &cb));
    assert_non_null(strstr(w.last_note, "crop_to_mask has no effect without a mask"));
    rq.mask = image(1);
    rq.mask.height = 32;
    rq.images[0].height = 32;
    rq.images[0].width = rq.mask.width = 40;
    rq.width = rq.height = VT_DEFAULT;
    vt_result_free(made(&rq, true, &cb));
    assert_non_null(strstr(w.last_note, "around the mask is painted at"));
    rq = with_image();
    rq.width = 128; /* half as high */
    rq.match_colours = rq.align = 1;
    vt_result_free(made(&rq, true, &cb));
    assert_non_null(strstr(w.last_note, "another shape"));
}

/* A shape on a plain ground: seen through at the corners, opaque in the middle; references do not matter for that. */
static void a_subject_gets_alpha_when_it_is_put_on_two_grounds(void **state)
{
    struct watch w = {0};
    const struct vt_callbacks cb = {.progress = on_progress, .user = &w};
    struct vt_request rq = vt_request_defaults();
    (void)state;
    rq.model = MODEL;
    rq.prompt = "a big red circle on a white background";
    rq.seed = 1;
    rq.transparent = 1;
    for (int edit = 0; edit < 2; edit++) {
        struct vt_result *r = made(&rq, edit != 0, &cb);
        struct vt_image im = vt_result_image(r, 0);
        assert_int_equal(w.last.image_count, 3);
        assert_int_equal(w.last.image, 2);
        assert_true(im.channels == 4 && im.width == 128 && im.height == 128);
        assert_int_equal(im.pixels[4 * (4 * 128 + 4) + 3], 0);
        const unsigned char *middle = im.pixels + 4 * (64 * 128 + 64);
        assert_true(middle[3] > 250 && middle[0] > 180 && middle[1] < 90);
        if (edit == 1) {
            vt_result_free(r);
            break;
        }
        static unsigned char kept[128 * 128 * 4];
        memcpy(kept, im.pixels, sizeof kept);
        rq.images[0] = rq.images[1] = (struct vt_image){128, 128, 4, kept, 8, NULL};
        rq.image_count = 2;
        rq.prompt = "change the background to green";
        vt_result_free(r);
    }
}

/* ---- memory ----------------------------------------------------------------------------------------- */

/* One allocation after the other fails, first each, later ever rarer ones (a run has thousands). */
static void a_request_fails_cleanly_when_memory_runs_out(bool edit)
{
    struct vt_request rq = edit ? with_image() : small();
    enum vt_status st = VT_ERR_NOMEM;
    long n = 1, tries = 0;
    if (edit) {
        rq.mask = image(1);
        rq.feather = 2;
        rq.extend[0] = 16;
        rq.mask_grow = rq.mask_feather = 1;
        rq.crop_to_mask = rq.match_colours = rq.align = 1;
    }
    for (; st != VT_OK && n < 10000000; n += 1 + n / 10, tries++) {
        const struct vt_engine_options options = {.device = "cpu", .threads = 1};
        struct vt_error err = {0};
        struct vt_result *res = NULL;
        struct vt_engine *own;
        if (vt_engine_open(&options, &own, &err) != VT_OK)
            fail_msg("%s", err.text);
        mem_fail_after(n);
        st = edit ? vt_edit(own, &rq, NULL, &res, &err) : vt_generate(own, &rq, NULL, &res, &err);
        mem_fail_after(0);
        /* A JSON reader with a bounded pool cannot tell a full pool from a system that is out of memory. */
        if (st != VT_OK && st != VT_ERR_NOMEM && st != VT_ERR_LIMIT)
            fail_msg("allocation %ld: %s: %s", n, vt_status_name(st), err.text);
        vt_result_free(res);
        vt_engine_close(own);
    }
    assert_int_equal(st, VT_OK);
    assert_true(tries > 10);
}

static void generating_fails_cleanly_when_memory_runs_out(void **state)
{
    (void)state;
    a_request_fails_cleanly_when_memory_runs_out(false);
}

static void editing_fails_cleanly_when_memory_runs_out(void **state)
{
    (void)state;
    a_request_fails_cleanly_when_memory_runs_out(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_refused_when_a_number_is_out_of_range),
        cmocka_unit_test(a_request_is_refused_when_its_text_is_wrong),
        cmocka_unit_test(a_request_is_refused_when_its_images_are_wrong),
        cmocka_unit_test(the_same_image_comes_when_the_engine_is_used_again),
        cmocka_unit_test(images_of_every_mode_are_taken_when_editing),
        cmocka_unit_test(colours_under_alpha_do_not_reach_the_model),
        cmocka_unit_test(models_see_all_16_bits_of_an_image),
        cmocka_unit_test(what_a_mask_keeps_keeps_every_bit),
        cmocka_unit_test(what_lies_outside_a_cropped_mask_keeps_every_bit),
        cmocka_unit_test(a_subject_gets_alpha_when_it_is_put_on_two_grounds),
        cmocka_unit_test(a_mask_is_shaped_before_it_is_used),
        cmocka_unit_test(an_edit_has_the_size_of_its_image),
        cmocka_unit_test(a_run_stops_within_a_step_when_it_is_cancelled),
        cmocka_unit_test(progress_goes_on_within_every_stage),
        cmocka_unit_test(a_note_says_when_something_was_changed),
        cmocka_unit_test(generating_fails_cleanly_when_memory_runs_out),
        cmocka_unit_test(editing_fails_cleanly_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
