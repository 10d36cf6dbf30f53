#include "case_file.h"

#include "sample/schedule.h"

/* What the scheduler_config.json of the case's model says. */
struct schedule_case {
    const char *name;
    enum schedule_grid grid;
    double shift_terminal;
};

static struct schedule_config config_of(const struct schedule_case *sc)
{
    struct schedule_config cfg = schedule_config_defaults();
    cfg.use_dynamic_shifting = true;
    cfg.shift_terminal = sc->shift_terminal;
    return cfg;
}

static double mu_of(const struct schedule_case *sc, int64_t tokens, int steps)
{
    return sc->grid == SCHEDULE_GRID_KLEIN ? schedule_mu_klein(tokens, steps)
                                           : schedule_mu_layered(tokens);
}

static void check_equal(const struct case_tensors *t, const char *name, const float *got, size_t n)
{
    size_t kept;
    float *want = case_tensor(t, name, &kept);
    if (!want)
        fail_msg("%s is missing", name);
    assert_int_equal(kept, n);
    for (size_t i = 0; i < n; i++)
        if (want[i] != got[i])
            fail_msg("%s[%zu]: %.9g, expected %.9g", name, i, (double)got[i], (double)want[i]);
    free(want);
}

static void check_levels(const struct schedule_case *sc, const struct case_tensors *t,
                         yyjson_val *mus, int64_t tokens, int steps)
{
    struct schedule_config cfg = config_of(sc);
    struct schedule_request rq = {sc->grid, steps, mu_of(sc, tokens, steps)};
    float sigmas[SCHEDULE_MAX_STEPS + 1], timesteps[SCHEDULE_MAX_STEPS];
    char name[64];
    struct err e = {0};
    snprintf(name, sizeof name, "t%d_s%d", (int)tokens, steps);
    yyjson_val *mu = yyjson_obj_get(mus, name);
    if (!mu) { /* the reference computes NaN for one step with shift_terminal */
        assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, &e), ERR_ARG);
        return;
    }
    assert_true(rq.mu == yyjson_get_num(mu));
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, &e), ERR_OK);
    snprintf(name, sizeof name, "t%d_s%d.sigmas", (int)tokens, steps);
    check_equal(t, name, sigmas, (size_t)steps + 1);
    snprintf(name, sizeof name, "t%d_s%d.timesteps", (int)tokens, steps);
    check_equal(t, name, timesteps, (size_t)steps);
}

static void check_trace(const struct schedule_case *sc, const struct case_tensors *t,
                        yyjson_val *trace)
{
    struct schedule_config cfg = config_of(sc);
    int64_t tokens = yyjson_get_sint(yyjson_arr_get(trace, 0));
    int steps = (int)yyjson_get_sint(yyjson_arr_get(trace, 1));
    struct schedule_request rq = {sc->grid, steps, mu_of(sc, tokens, steps)};
    float sigmas[SCHEDULE_MAX_STEPS + 1], timesteps[SCHEDULE_MAX_STEPS];
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, NULL), ERR_OK);
    check_equal(t, "trace.sigmas", sigmas, (size_t)steps + 1);

    struct case_tensors in;
    case_tensors_open(&in, sc->name, "inputs.safetensors");
    size_t n, count;
    float *x = case_tensor(&in, "trace.sample", &n);
    float *noise = case_tensor(&in, "trace.noise", &count);
    assert_true(x && noise && count == n);
    float *noised = malloc(n * sizeof *noised);
    assert_non_null(noised);
    schedule_scale_noise(noised, x, noise, n, sigmas[1]);
    check_equal(t, "trace.scale_noise_begin1", noised, n);
    for (int i = 0; i < steps; i++) {
        char name[64];
        snprintf(name, sizeof name, "trace.model_output_%d", i);
        float *v = case_tensor(&in, name, &count);
        assert_true(v && count == n);
        schedule_step(x, v, n, sigmas[i], sigmas[i + 1]);
        snprintf(name, sizeof name, "trace.prev_sample_%d", i);
        check_equal(t, name, x, n);
        free(v);
    }
    free(x);
    free(noise);
    free(noised);
    case_tensors_close(&in);
}

static void check_case(const struct schedule_case *sc)
{
    struct case_tensors t;
    case_tensors_open(&t, sc->name, "expected.safetensors");
    yyjson_doc *doc = case_json(sc->name, "case.json");
    yyjson_doc *expected = case_json(sc->name, "expected.json");
    yyjson_val *mus = yyjson_obj_get(yyjson_doc_get_root(expected), "mu");
    yyjson_val *call = yyjson_obj_get(yyjson_doc_get_root(doc), "call");
    yyjson_val *pair;
    size_t i, max;
    yyjson_arr_foreach(yyjson_obj_get(call, "tokens_steps"), i, max, pair)
    {
        check_levels(sc, &t, mus, yyjson_get_sint(yyjson_arr_get(pair, 0)),
                     (int)yyjson_get_sint(yyjson_arr_get(pair, 1)));
    }
    assert_true(max > 0);
    check_trace(sc, &t, yyjson_obj_get(call, "trace"));
    yyjson_doc_free(doc);
    yyjson_doc_free(expected);
    case_tensors_close(&t);
}

static void levels_and_steps_equal_the_reference_bit_for_bit(void **state)
{
    (void)state;
    check_case(&(struct schedule_case){"scheduler-klein", SCHEDULE_GRID_KLEIN, 0.0});
    check_case(&(struct schedule_case){"scheduler-layered", SCHEDULE_GRID_LAYERED, 0.0});
    check_case(&(struct schedule_case){"scheduler-layered-b", SCHEDULE_GRID_LAYERED, 0.02});
}

static void static_shift_is_used_when_dynamic_shifting_is_off(void **state)
{
    (void)state;
    struct schedule_config cfg = schedule_config_defaults();
    cfg.shift = 3.0;
    struct schedule_request rq = {SCHEDULE_GRID_KLEIN, 4, 99.0};
    float sigmas[5], timesteps[4];
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, NULL), ERR_OK);
    const float want[5] = {1.0f, 0.9f, 0.75f, 0.5f, 0.0f};
    assert_true(max_difference(sigmas, want, 5) <= 1e-7);
}

static void linear_shift_uses_mu_itself(void **state)
{
    (void)state;
    struct schedule_config cfg = schedule_config_defaults();
    cfg.use_dynamic_shifting = true;
    cfg.time_shift_type = SCHEDULE_SHIFT_LINEAR;
    struct schedule_request rq = {SCHEDULE_GRID_KLEIN, 2, 3.0};
    float sigmas[3], timesteps[2];
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, NULL), ERR_OK);
    assert_true(sigmas[0] == 1.0f && sigmas[1] == 0.75f && sigmas[2] == 0.0f);
    assert_true(timesteps[1] == 750.0f);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct schedule_config cfg = schedule_config_defaults();
    float sigmas[SCHEDULE_MAX_STEPS + 1], timesteps[SCHEDULE_MAX_STEPS];
    struct schedule_request rq = {SCHEDULE_GRID_KLEIN, 0, 1.0};
    struct err e = {0};
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, &e), ERR_ARG);
    rq.steps = SCHEDULE_MAX_STEPS + 1;
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, &e), ERR_ARG);
    rq.steps = SCHEDULE_MAX_STEPS;
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, &e), ERR_OK);
    cfg.shift = -3.0;
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, &e), ERR_FORMAT);
    cfg.shift = 1.0;
    cfg.use_dynamic_shifting = true;
    rq.mu = 1e9;
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, &e), ERR_FORMAT);
    rq.mu = (double)NAN;
    assert_int_equal(schedule_build(&cfg, &rq, sigmas, timesteps, &e), ERR_FORMAT);
}

static void linear_mu_passes_through_both_ends(void **state)
{
    (void)state;
    struct schedule_config cfg = schedule_config_defaults();
    assert_float_equal((float)schedule_mu_linear(&cfg, 256), 0.5f, 1e-6f);
    assert_float_equal((float)schedule_mu_linear(&cfg, 4096), 1.15f, 1e-6f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_and_steps_equal_the_reference_bit_for_bit),
        cmocka_unit_test(static_shift_is_used_when_dynamic_shifting_is_off),
        cmocka_unit_test(linear_shift_uses_mu_itself),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(linear_mu_passes_through_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
