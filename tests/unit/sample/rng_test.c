#include "case_file.h"

#include "sample/rng.h"

/* Draws bigger than this are kept in the case as head, tail and a strided sample. */
static size_t draw_size(yyjson_val *draw)
{
    size_t n = 1, i, max;
    yyjson_val *side;
    yyjson_arr_foreach(yyjson_obj_get(draw, "shape"), i, max, side)
    {
        n *= (size_t)yyjson_get_uint(side);
    }
    return n;
}

static double compare_part(const struct case_tensors *t, const char *draw, const char *part,
                           const float *got, size_t n)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", draw, part);
    size_t kept;
    float *want = case_tensor(t, name, &kept);
    if (!want)
        return -1;
    double worst = 0;
    if (strcmp(part, ".tail") == 0) {
        worst = max_difference(want, got + n - kept, kept);
    } else if (strcmp(part, ".strided") == 0) {
        size_t stride = n / kept;
        for (size_t i = 0; i < kept; i++)
            worst = fmax(worst, max_difference(want + i, got + i * stride, 1));
    } else {
        assert_true(kept == n || strcmp(part, ".head") == 0);
        worst = max_difference(want, got, kept);
    }
    free(want);
    return worst;
}

/* Largest difference from the case over all its draws; how many tensors were compared in *seen. */
static double run_case(const char *name, size_t *seen,
                       void (*draw_normal)(struct rng *, float *, size_t))
{
    static const char *const parts[] = {"", ".head", ".tail", ".strided"};
    struct case_tensors t;
    case_tensors_open(&t, name, "expected.safetensors");
    yyjson_doc *doc = case_json(name, "case.json");
    yyjson_val *sequences =
        yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), "call"), "sequences");
    double worst = 0;
    size_t s, d, max;
    yyjson_val *sequence, *draw;
    *seen = 0;
    yyjson_arr_foreach(sequences, s, max, sequence)
    {
        struct rng r;
        size_t max_draw;
        rng_seed(&r, yyjson_get_uint(yyjson_obj_get(sequence, "seed")));
        yyjson_arr_foreach(yyjson_obj_get(sequence, "draws"), d, max_draw, draw)
        {
            size_t n = draw_size(draw);
            float *got = malloc(n * sizeof *got);
            assert_non_null(got);
            draw_normal(&r, got, n);
            char label[48];
            snprintf(label, sizeof label, "s%zu.d%zu", s, d);
            for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
                double difference = compare_part(&t, label, parts[p], got, n);
                if (difference < 0)
                    continue;
                worst = fmax(worst, difference);
                (*seen)++;
            }
            free(got);
        }
    }
    size_t stored = yyjson_obj_size(yyjson_doc_get_root(t.header));
    if (yyjson_obj_get(yyjson_doc_get_root(t.header), "__metadata__"))
        stored--;
    assert_int_equal(*seen, stored);
    yyjson_doc_free(doc);
    case_tensors_close(&t);
    return worst;
}

static void float_draws_agree_with_the_reference(void **state)
{
    (void)state;
    size_t seen;
    double worst = run_case("rng-f32", &seen, rng_normal_f32);
    print_message("rng-f32: %zu tensors, largest difference %.3g\n", seen, worst);
    assert_true(worst <= 2e-6);
}

/* One bfloat16 step apart at a rounding boundary would be 2^-7 relative; none is seen. */
static void bfloat16_draws_agree_with_the_reference(void **state)
{
    (void)state;
    size_t seen;
    double worst = run_case("rng-bf16", &seen, rng_normal_bf16);
    print_message("rng-bf16: %zu tensors, largest difference %.3g\n", seen, worst);
    assert_true(worst == 0);
}

static void twister_gives_the_published_word_when_seeded_with_5489(void **state)
{
    (void)state;
    struct rng r;
    uint32_t word = 0;
    rng_seed(&r, 5489);
    for (int i = 0; i < 10000; i++)
        word = rng_next_u32(&r);
    assert_int_equal(word, 4123659995u);
}

static void seeds_are_equal_when_their_low_words_are(void **state)
{
    (void)state;
    struct rng a, b;
    rng_seed(&a, 7);
    rng_seed(&b, 7 + (UINT64_C(3) << 32));
    assert_memory_equal(&a.state, &b.state, sizeof a.state);
}

static void cached_half_survives_when_a_block_is_drawn_between(void **state)
{
    (void)state;
    struct rng r;
    float one, many[32], other;
    rng_seed(&r, 3);
    rng_normal_f32(&r, &one, 1);
    double waiting = r.cached;
    rng_normal_f32(&r, many, 32);
    rng_normal_f32(&r, &other, 1);
    assert_true(other == (float)waiting);
    rng_normal_f32(&r, many, 0);
    assert_false(r.has_cached);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_draws_agree_with_the_reference),
        cmocka_unit_test(bfloat16_draws_agree_with_the_reference),
        cmocka_unit_test(twister_gives_the_published_word_when_seeded_with_5489),
        cmocka_unit_test(seeds_are_equal_when_their_low_words_are),
        cmocka_unit_test(cached_half_survives_when_a_block_is_drawn_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
