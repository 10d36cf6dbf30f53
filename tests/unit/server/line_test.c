/* The choice of the next job over one engine and several: a queue without threads, whose workers are set by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "server/jobs/queue_internal.h"

static struct queue q;
static int made;

static void begin(int engines)
{
    memset(&q, 0, sizeof q);
    pthread_cond_init(&q.wake, NULL);
    q.n_workers = engines;
    for (int i = 0; i < engines; i++)
        q.workers[i].queue = &q;
    made = 0;
}

/* Names a job by its model and the order in which it came: "x1". */
static struct live *add(char model)
{
    char name[] = {model, 0};
    struct job_record rec = {.model = name};
    (void)snprintf(rec.id, sizeof rec.id, "%c%d", model, ++made);
    struct live *j = live_new(&rec);
    assert_non_null(j);
    (void)line_append(&q, j);
    return j;
}

static void add_all(const char *models)
{
    for (; *models; models++)
        add(*models);
}

static void end(int engine)
{
    struct worker *w = &q.workers[engine];
    (void)snprintf(w->open_model, sizeof w->open_model, "%s", w->running->model);
    live_free(w->running);
    w->running = NULL;
}

static void opens(int engine, const char *model)
{
    (void)snprintf(q.workers[engine].open_model, sizeof q.workers[engine].open_model, "%s", model);
}

/* "0:x1 1:y2": who gets what, until no more is given. */
static const char *given(void)
{
    static char text[200];
    size_t n = 0;
    text[0] = 0;
    for (struct worker *w; (w = line_choose(&q)) && n < sizeof text;)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%d:%s", n ? " " : "",
                              (int)(w - q.workers), w->running->id);
    return text;
}

/* "x1 y2 x3": those that wait. */
static const char *waiting(void)
{
    static char text[400];
    size_t n = 0;
    text[0] = 0;
    for (struct live *j = q.first; j && n < sizeof text; j = j->next)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", j->id);
    return text;
}

static void clear(void)
{
    while (q.first)
        live_free(line_take(&q, q.first));
    for (int i = 0; i < q.n_workers; i++)
        live_free(q.workers[i].running);
    pthread_cond_destroy(&q.wake);
}

static void one_engine_runs_the_order_that_is_told(void **state)
{
    (void)state;
    char order[200] = "";
    begin(1);
    add_all("xyxyzxyxxxx");
    char told[200];
    (void)snprintf(told, sizeof told, "%s", waiting());
    assert_string_equal(told, "x1 x3 x6 x8 x9 y2 y4 y7 z5 x10 x11");
    while (q.first) {
        given();
        (void)snprintf(order + strlen(order), sizeof order - strlen(order), "%s%s",
                       *order ? " " : "", q.workers[0].running->id);
        end(0);
    }
    assert_string_equal(order, told);
    clear();
}

static void every_engine_gets_a_job_when_all_are_free(void **state)
{
    (void)state;
    begin(3);
    add_all("xxxx");
    assert_string_equal(given(), "0:x1 1:x2 2:x3");
    assert_string_equal(given(), "");
    end(1);
    assert_string_equal(given(), "1:x4");
    clear();
}

static void the_engine_with_the_model_is_preferred_when_several_are_free(void **state)
{
    (void)state;
    begin(3);
    opens(0, "z");
    opens(2, "x");
    add_all("xyx");
    /* The second x goes to whoever loses least: 1 has nothing open, then 0 loses z. */
    assert_string_equal(waiting(), "x1 x3 y2");
    assert_string_equal(given(), "2:x1 1:x3 0:y2");
    clear();
}

static void an_engine_that_has_rested_longest_opens_another_model(void **state)
{
    (void)state;
    begin(2);
    add_all("xy");
    assert_string_equal(given(), "0:x1 1:y2");
    end(1);
    add('y');
    assert_string_equal(given(), "1:y3");
    end(0);
    end(1);
    add('z');
    assert_string_equal(given(), "0:z4");
    clear();
}

static void jobs_stay_with_the_engine_that_has_their_model(void **state)
{
    (void)state;
    begin(2);
    add_all("xy");
    given();
    add_all("xyxy");
    assert_string_equal(waiting(), "x3 y4 x5 y6");
    end(1);
    assert_string_equal(given(), "1:y4");
    end(0);
    assert_string_equal(given(), "0:x3");
    end(0);
    assert_string_equal(given(), "0:x5");
    end(1);
    assert_string_equal(given(), "1:y6");
    clear();
}

static void an_engine_never_rests_when_a_job_waits_for_another(void **state)
{
    (void)state;
    begin(2);
    add_all("xy");
    given();
    add('x');
    end(1);
    assert_string_equal(given(), "1:x3");
    clear();
}

static void nobody_starves_when_others_keep_an_engine_busy(void **state)
{
    (void)state;
    begin(2);
    add_all("xy");
    given();
    const struct live *passed = add('x'); /* for the engine that runs a long job */
    for (int i = 0; i < QUEUE_MAX_PASSED; i++) {
        add('y');
        end(1);
        given();
        assert_string_equal(q.workers[1].running->model, "y");
    }
    assert_int_equal(passed->passed, QUEUE_MAX_PASSED);
    add('y');
    end(1);
    given();
    assert_ptr_equal(q.workers[1].running, passed);
    clear();
}

static void a_model_that_is_open_nowhere_is_not_passed_when_it_is_its_turn(void **state)
{
    (void)state;
    begin(2);
    add_all("xy");
    given();
    add('z');
    for (int i = 0; i < QUEUE_MAX_PASSED; i++)
        add('y');
    assert_string_equal(waiting(), "y4 y5 y6 y7 z3");
    add('y');
    assert_string_equal(waiting(), "y4 y5 y6 y7 z3 y8");
    end(0);
    assert_string_equal(given(), "0:y4"); /* as it was told */
    end(0);
    assert_string_equal(given(), "0:y5");
    clear();
}

static void an_order_that_was_made_is_kept_when_engines_have_models(void **state)
{
    (void)state;
    begin(2);
    opens(0, "x");
    opens(1, "y");
    q.workers[0].busy = true;
    add_all("yxyx");
    line_move(&q, line_find_waiting(&q, "x2"), 0);
    line_move(&q, line_find_waiting(&q, "x4"), 1);
    assert_string_equal(waiting(), "x2 x4 y1 y3");
    assert_string_equal(given(), "1:x2");
    end(1);
    assert_string_equal(given(), "1:x4");
    end(1);
    assert_string_equal(given(), "1:y1");
    clear();
}

static void orders_come_before_jobs(void **state)
{
    (void)state;
    struct queue_order unload = {.task = QUEUE_UNLOAD, .todo = 1u << 1, .left = 1};
    begin(2);
    q.orders = &unload;
    add_all("xx");
    assert_string_equal(given(), "0:x1");
    assert_ptr_equal(queue_take_order(&q, &q.workers[0]), NULL);
    assert_ptr_equal(queue_take_order(&q, &q.workers[1]), &unload);
    assert_null(q.orders);
    assert_string_equal(given(), "1:x2");
    clear();
}

static void one_that_is_being_cancelled_is_left_out(void **state)
{
    (void)state;
    begin(2);
    add('x')->is_ending = true;
    add('x');
    assert_string_equal(given(), "0:x2");
    assert_string_equal(waiting(), "x1");
    clear();
}

static void what_could_not_start_is_the_next_again(void **state)
{
    (void)state;
    begin(2);
    add_all("xxx");
    given();
    line_return(&q, &q.workers[0]);
    assert_string_equal(waiting(), "x1 x3");
    assert_string_equal(given(), "0:x1");
    clear();
}

static void plans_are_for_the_engine_that_would_run_it(void **state)
{
    (void)state;
    begin(2);
    opens(0, "x");
    opens(1, "y");
    assert_ptr_equal(line_worker_for(&q, "y"), &q.workers[1]);
    assert_ptr_equal(line_worker_for(&q, "z"), &q.workers[0]);
    q.workers[1].busy = true;
    assert_ptr_equal(line_worker_for(&q, "y"), &q.workers[0]);
    q.workers[0].busy = true;
    assert_ptr_equal(line_worker_for(&q, "y"), &q.workers[1]);
    assert_null(line_worker_for(&q, "z"));
    clear();
}

static void an_engine_whose_device_failed_rests_when_another_works(void **state)
{
    (void)state;
    const struct err e = {.code = ERR_DEVICE, .text = "the card is gone"};
    begin(2);
    add_all("xx");
    assert_true(line_note_device(&q.workers[0], &e));
    assert_string_equal(q.workers[0].failure, "the card is gone");
    assert_string_equal(given(), "1:x1");
    /* The last one that works does not rest: its jobs say what is wrong. */
    assert_false(line_note_device(&q.workers[1], &e));
    end(1);
    assert_string_equal(given(), "1:x2");
    end(1);
    double first = q.workers[0].rests_until;
    assert_false(line_note_device(&q.workers[1], NULL));
    for (int i = 0; i < 20; i++)
        assert_true(line_note_device(&q.workers[0], &e));
    assert_true(q.workers[0].rests_until > first + 200);
    assert_true(q.workers[0].rests_until < first + 400);
    assert_false(line_note_device(&q.workers[0], NULL));
    add_all("xx");
    assert_string_equal(given(), "1:x3 0:x4");
    clear();
}

/* Whatever comes: all run, each once, none is passed more often than is allowed, and no engine rests beside a job. */
static void everything_runs_when_models_and_ends_are_random(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        int total = 0, ended = 0, engines = 1 + round % 4;
        begin(engines);
        while (ended < 60) {
            seed = seed * 1103515245u + 12345u;
            unsigned dice = seed >> 16;
            if (total < 60 && dice % 3) {
                add((char)('a' + dice / 3 % 5));
                total++;
            } else if (q.workers[dice % (unsigned)engines].running) {
                end((int)(dice % (unsigned)engines));
                ended++;
            }
            given();
            for (const struct live *j = q.first; j; j = j->next)
                assert_in_range(j->passed, 0, QUEUE_MAX_PASSED);
            for (int i = 0; i < engines && q.first; i++)
                assert_non_null(q.workers[i].running);
        }
        assert_null(q.first);
        assert_int_equal(q.length, 0);
        clear();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_engine_runs_the_order_that_is_told),
        cmocka_unit_test(every_engine_gets_a_job_when_all_are_free),
        cmocka_unit_test(the_engine_with_the_model_is_preferred_when_several_are_free),
        cmocka_unit_test(an_engine_that_has_rested_longest_opens_another_model),
        cmocka_unit_test(jobs_stay_with_the_engine_that_has_their_model),
        cmocka_unit_test(an_engine_never_rests_when_a_job_waits_for_another),
        cmocka_unit_test(nobody_starves_when_others_keep_an_engine_busy),
        cmocka_unit_test(a_model_that_is_open_nowhere_is_not_passed_when_it_is_its_turn),
        cmocka_unit_test(an_order_that_was_made_is_kept_when_engines_have_models),
        cmocka_unit_test(orders_come_before_jobs),
        cmocka_unit_test(one_that_is_being_cancelled_is_left_out),
        cmocka_unit_test(what_could_not_start_is_the_next_again),
        cmocka_unit_test(plans_are_for_the_engine_that_would_run_it),
        cmocka_unit_test(an_engine_whose_device_failed_rests_when_another_works),
        cmocka_unit_test(everything_runs_when_models_and_ends_are_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
