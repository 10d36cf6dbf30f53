/* Jobs: their states, the queue's order, and what a job keeps alive. */
#include "support.h"

#include "store/jobs.h"
#include "store/projects.h"

static struct job_record add_job(struct store *s, const char *kind, const char *input)
{
    struct job_record r;
    struct err e = {0};
    struct job_new job = {.kind = kind,
                          .model = "micro-klein",
                          .request = STR_LIT("{\"prompt\":\"a star\"}"),
                          .inputs = &input,
                          .n_inputs = input ? 1 : 0};
    if (jobs_add(s, &job, &r, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return r;
}

static enum job_state state_of(struct store *s, const char *id)
{
    struct job_record r;
    assert_int_equal(jobs_get(s, id, &r, NULL), ERR_OK);
    enum job_state state = r.state;
    job_record_deinit(&r);
    return state;
}

static void job_goes_through_its_states_when_it_runs(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset in = put_png(s, 8, 8, 1), out = put_png(s, 8, 8, 2);
    struct job_record r = add_job(s, "edit", in.id), again;
    assert_int_equal(r.state, JOB_QUEUED);
    assert_int_equal(jobs_start(s, r.id, NULL), ERR_OK);
    assert_int_equal(jobs_start(s, r.id, NULL), ERR_ARG);
    const char *assets[] = {out.id};
    struct job_outcome done = {
        .state = JOB_DONE, .result = STR_LIT("{\"images\":[]}"), .assets = assets, .n_assets = 1};
    assert_int_equal(jobs_finish(s, r.id, &done, NULL), ERR_OK);
    assert_int_equal(jobs_finish(s, r.id, &done, NULL), ERR_ARG);
    assert_int_equal(jobs_again(s, r.id, NULL), ERR_ARG);
    assert_int_equal(jobs_get(s, r.id, &again, NULL), ERR_OK);
    assert_int_equal(again.state, JOB_DONE);
    assert_int_equal(again.attempts, 1);
    assert_string_equal(again.result, "{\"images\":[]}");
    assert_string_equal(again.request, "{\"prompt\":\"a star\"}");
    assert_true(again.created_ms > 1600000000000 && again.finished_ms >= again.started_ms);
    /* Its images stay while its record does. */
    struct store_gc_params gc = {0};
    struct store_gc_result gone;
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 0);
    assert_int_equal(jobs_forget(s, r.id, NULL), ERR_OK);
    assert_int_equal(jobs_forget(s, r.id, NULL), ERR_NOTFOUND);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 2);
    job_record_deinit(&r);
    job_record_deinit(&again);
    store_close(s);
}

static void nothing_is_queued_when_an_input_is_not_there(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000", "../x", ""};
    for (size_t i = 0; i < 3; i++) {
        struct job_record r;
        struct job_new job = {.kind = "edit", .model = "m", .inputs = &bad[i], .n_inputs = 1};
        assert_int_equal(jobs_add(s, &job, &r, NULL), ERR_NOTFOUND);
    }
    struct store_numbers n;
    assert_int_equal(store_count(s, &n, NULL), ERR_OK);
    assert_int_equal(n.jobs, 0);
    static const char *const ids[] = {"", "j", "j0", "p00000000000000000000", NULL, "../../x"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct job_record r;
        assert_int_equal(jobs_get(s, ids[i], &r, NULL), ERR_NOTFOUND);
        assert_int_equal(jobs_start(s, ids[i], NULL), ERR_NOTFOUND);
        assert_int_equal(jobs_again(s, ids[i], NULL), ERR_NOTFOUND);
        assert_int_equal(jobs_forget(s, ids[i], NULL), ERR_NOTFOUND);
    }
    store_close(s);
}

static void running_job_is_interrupted_when_the_store_opens_again(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct job_record a = add_job(s, "generate", NULL), b = add_job(s, "generate", NULL);
    assert_int_equal(jobs_start(s, a.id, NULL), ERR_OK);
    store_close(s);
    s = open_store(p->dir);
    assert_int_equal(state_of(s, a.id), JOB_INTERRUPTED);
    assert_int_equal(state_of(s, b.id), JOB_QUEUED);
    assert_int_equal(jobs_forget(s, b.id, NULL), ERR_BUSY);
    /* Run again, it waits behind the other. */
    assert_int_equal(jobs_again(s, a.id, NULL), ERR_OK);
    struct job_list l;
    assert_int_equal(jobs_waiting(s, 10, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].id, b.id);
    assert_string_equal(l.items[1].id, a.id);
    job_list_deinit(&l);
    struct job_outcome cancelled = {.state = JOB_CANCELLED};
    assert_int_equal(jobs_finish(s, a.id, &cancelled, NULL), ERR_OK);
    struct job_outcome done = {.state = JOB_DONE};
    assert_int_equal(jobs_finish(s, b.id, &done, NULL), ERR_ARG);
    job_record_deinit(&a);
    job_record_deinit(&b);
    store_close(s);
}

static void list_shows_what_was_asked_for_when_states_are_given(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct job_list l;
    for (int i = 0; i < 6; i++) {
        struct job_record r = add_job(s, "generate", NULL);
        struct job_outcome failed = {.state = JOB_FAILED, .error = STR_LIT("no memory")};
        assert_int_equal(jobs_start(s, r.id, NULL), ERR_OK);
        if (i % 2)
            assert_int_equal(jobs_finish(s, r.id, &failed, NULL), ERR_OK);
        job_record_deinit(&r);
    }
    assert_int_equal(jobs_list(s, &(struct job_filter){.states = 1u << JOB_FAILED}, 0, 2, &l, NULL),
                     ERR_OK);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].error, "no memory");
    int64_t next = l.next;
    assert_true(next > 0);
    job_list_deinit(&l);
    assert_int_equal(
        jobs_list(s, &(struct job_filter){.states = 1u << JOB_FAILED}, next, 2, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.next, 0);
    job_list_deinit(&l);
    assert_int_equal(jobs_list(s, &(struct job_filter){0}, 0, 100, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 6);
    job_list_deinit(&l);
    uint64_t gone;
    assert_int_equal(jobs_trim(s, 1, 0, &gone, NULL), ERR_OK);
    assert_int_equal(gone, 2);
    assert_int_equal(jobs_list(s, &(struct job_filter){0}, 0, 100, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 4);
    job_list_deinit(&l);
    store_close(s);
}

static struct job_record add_for(struct store *s, const char *project, const char *layer)
{
    struct job_record r;
    struct err e = {0};
    struct job_new job = {.kind = "edit", .model = "m", .project = project, .layer = layer};
    if (jobs_add(s, &job, &r, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return r;
}

static void a_job_for_a_project_is_a_candidate_of_it(void **state)
{
    struct place *at = *state;
    struct store *s = open_store(at->dir);
    struct project p;
    struct job_record none = add_for(s, NULL, NULL), r;
    struct job_list l;
    project_init(&p, 16, 16);
    assert_int_equal(project_create(s, &p, NULL), ERR_OK);
    struct job_record mine = add_for(s, p.id, "sky");
    assert_int_equal(mine.candidate, JOB_OPEN);
    assert_string_equal(mine.project, p.id);
    assert_string_equal(mine.layer, "sky");
    struct job_new lost = {.kind = "edit", .model = "m", .project = "p00000000000000000000"};
    assert_int_equal(jobs_add(s, &lost, &r, NULL), ERR_NOTFOUND);
    assert_int_equal(none.candidate, JOB_NO_CANDIDATE);
    assert_int_equal(jobs_set_candidate(s, none.id, JOB_ACCEPTED, NULL), ERR_BUSY);
    assert_int_equal(jobs_set_candidate(s, "j", JOB_ACCEPTED, NULL), ERR_NOTFOUND);
    assert_int_equal(jobs_set_candidate(s, mine.id, JOB_ACCEPTED, NULL), ERR_OK);
    assert_int_equal(jobs_get(s, mine.id, &r, NULL), ERR_OK);
    assert_int_equal(r.candidate, JOB_ACCEPTED);
    const struct job_filter open = {.project = p.id, .candidate = JOB_OPEN},
                            all = {.project = p.id};
    assert_int_equal(jobs_list(s, &open, 0, 10, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 0);
    job_list_deinit(&l);
    assert_int_equal(jobs_list(s, &all, 0, 10, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.items[0].id, mine.id);
    job_list_deinit(&l);
    job_record_deinit(&none);
    job_record_deinit(&mine);
    job_record_deinit(&r);
    project_deinit(&p);
    store_close(s);
}

static void the_queue_keeps_its_order_when_somebody_gave_it(void **state)
{
    struct place *at = *state;
    struct store *s = open_store(at->dir);
    char ids[4][STORE_ID_SIZE];
    struct job_list l;
    for (int i = 0; i < 4; i++) {
        struct job_record r = add_job(s, "generate", NULL);
        memcpy(ids[i], r.id, sizeof r.id);
        job_record_deinit(&r);
    }
    char order[3][STORE_ID_SIZE];
    memcpy(order[0], ids[2], STORE_ID_SIZE);
    memcpy(order[1], ids[0], STORE_ID_SIZE);
    memcpy(order[2], ids[1], STORE_ID_SIZE);
    assert_int_equal(jobs_start(s, ids[1], NULL), ERR_OK);
    assert_int_equal(jobs_place(s, (const char(*)[STORE_ID_SIZE])order, 3, NULL), ERR_OK);
    store_close(s);
    s = open_store(at->dir);
    assert_int_equal(jobs_waiting(s, 10, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 3);
    assert_string_equal(l.items[0].id, ids[3]);
    assert_false(l.items[0].is_placed);
    assert_string_equal(l.items[1].id, ids[2]);
    assert_true(l.items[1].is_placed);
    assert_string_equal(l.items[2].id, ids[0]);
    job_list_deinit(&l);
    store_close(s);
}

static void states_are_named_in_one_order(void **state)
{
    (void)state;
    char all[128] = "", ended[128] = "";
    for (enum job_state i = JOB_QUEUED; i < JOB_STATES; i++) {
        char *to = job_has_ended(i) ? ended : all;
        (void)snprintf(to + strlen(to), 128 - strlen(to), "%s%s", *to ? "|" : "",
                       job_state_name(i));
    }
    assert_string_equal(ended, JOB_END_VALUES);
    (void)snprintf(all + strlen(all), sizeof all - strlen(all), "|%s", ended);
    assert_string_equal(all, JOB_STATE_VALUES);
    assert_string_equal(all, "queued|running|done|failed|cancelled|interrupted");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_named_in_one_order),
        CASE(job_goes_through_its_states_when_it_runs),
        CASE(nothing_is_queued_when_an_input_is_not_there),
        CASE(running_job_is_interrupted_when_the_store_opens_again),
        CASE(list_shows_what_was_asked_for_when_states_are_given),
        CASE(a_job_for_a_project_is_a_candidate_of_it),
        CASE(the_queue_keeps_its_order_when_somebody_gave_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
