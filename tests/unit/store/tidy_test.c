/* What goes by itself, and beside the process that owns the store. */
#include "support.h"

#include "store/jobs.h"
#include "store/projects.h"
#include "store/tidy.h"

enum { DAY_MS = 24 * 3600 * 1000 };

static int64_t now_ms = (int64_t)1800000000 * 1000;

static int64_t clock_of_test(void *user)
{
    (void)user;
    return now_ms;
}

static struct store *open_at(const char *dir, int64_t days, bool beside)
{
    struct store *s;
    struct err e = {0};
    struct store_options o = {.dir = dir, .beside = beside, .wall_clock_ms = clock_of_test};
    now_ms += days * DAY_MS;
    if (store_open(&o, &s, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return s;
}

/* A finished job that left the image. */
static struct job_record finished(struct store *s, const struct asset *a)
{
    const char *ids[] = {a->id};
    struct job_record r;
    struct job_new job = {.kind = "generate", .model = "m", .request = STR_LIT("{}")};
    struct job_outcome o = {
        .state = JOB_DONE, .result = STR_LIT("{}"), .assets = ids, .n_assets = 1};
    assert_int_equal(jobs_add(s, &job, &r, NULL), ERR_OK);
    assert_int_equal(jobs_start(s, r.id, NULL), ERR_OK);
    assert_int_equal(jobs_finish(s, r.id, &o, NULL), ERR_OK);
    return r;
}

static bool has_asset(struct store *s, const struct asset *a)
{
    struct asset b;
    return asset_get(s, a->id, &b, NULL) == ERR_OK;
}

static bool has_job(struct store *s, const struct job_record *r)
{
    struct job_record b;
    bool has = jobs_get(s, r->id, &b, NULL) == ERR_OK;
    job_record_deinit(&b);
    return has;
}

static void make_thumb(struct store *s, const struct asset *a)
{
    int fd;
    assert_int_equal(asset_thumb_open(s, a->id, 64, &fd, NULL, NULL, NULL), ERR_OK);
    close(fd);
}

static bool has_thumb(const char *dir, const struct asset *a)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/thumbs/%.2s/%s.64.webp", dir, a->id, a->id);
    return file_exists(path);
}

static void old_jobs_go_with_their_images_when_tidied(void **state)
{
    struct place *p = *state;
    struct store *s = open_at(p->dir, 0, false);
    struct store_limits l = {.job_days = 30, .asset_days = 7};
    struct store_tidied t;
    struct asset a = put_png(s, 9, 9, 1), b = put_png(s, 9, 9, 2);
    struct job_record old = finished(s, &a);
    struct job_new waiting = {.kind = "generate", .model = "m", .request = STR_LIT("{}")};
    struct job_record queued;
    make_thumb(s, &a);
    assert_int_equal(jobs_add(s, &waiting, &queued, NULL), ERR_OK);
    store_close(s);
    s = open_at(p->dir, 20, false);
    struct job_record young = finished(s, &b);
    assert_int_equal(store_tidy(s, &l, NULL, &t, NULL), ERR_OK);
    assert_int_equal(t.jobs + t.gc.assets, 0);
    store_close(s);
    s = open_at(p->dir, 15, false);
    assert_int_equal(store_tidy(s, &l, NULL, &t, NULL), ERR_OK);
    assert_int_equal(t.jobs, 1);
    assert_int_equal(t.gc.assets, 1);
    assert_false(has_job(s, &old) || has_asset(s, &a) || has_thumb(p->dir, &a));
    assert_true(has_job(s, &young) && has_asset(s, &b) && has_job(s, &queued));
    l.jobs = 1; /* the newest stays */
    struct asset c = put_png(s, 9, 9, 3);
    struct job_record newest = finished(s, &c);
    assert_int_equal(store_tidy(s, &l, NULL, &t, NULL), ERR_OK);
    assert_int_equal(t.jobs, 1);
    assert_true(has_job(s, &newest) && !has_job(s, &young));
    store_close(s);
    job_record_deinit(&old);
    job_record_deinit(&young);
    job_record_deinit(&newest);
    job_record_deinit(&queued);
}

static void the_oldest_goes_first_when_the_store_is_too_large(void **state)
{
    struct place *p = *state;
    struct store *s = open_at(p->dir, 0, false);
    struct store_numbers n;
    struct store_tidied t;
    struct asset kept[1], loose[3], of_job[3];
    struct job_record jobs[3];
    struct project project;
    struct project_layer layer = project_layer_defaults();
    kept[0] = put_png(s, 64, 64, 99);
    project_init(&project, 64, 64);
    memcpy(layer.asset, kept[0].id, sizeof layer.asset);
    assert_int_equal(project_insert(&project, 0, &layer, NULL), ERR_OK);
    assert_int_equal(project_create(s, &project, NULL), ERR_OK);
    store_close(s);
    for (unsigned i = 0; i < 3; i++) {
        s = open_at(p->dir, 1, false);
        loose[i] = put_png(s, 64, 64, i);
        of_job[i] = put_png(s, 64, 64, 10 + i);
        jobs[i] = finished(s, &of_job[i]);
        store_close(s);
    }
    s = open_at(p->dir, 1, false);
    struct asset fresh = put_png(s, 64, 64, 50);
    assert_int_equal(store_count(s, &n, NULL), ERR_OK);
    struct store_limits l = {.bytes = (int64_t)(n.asset_bytes - 1)};
    assert_int_equal(store_tidy(s, &l, NULL, &t, NULL), ERR_OK);
    assert_true(t.gc.assets >= 1 && t.jobs == 0);
    assert_false(has_asset(s, &loose[0]));
    l.bytes = 1; /* all that may go */
    assert_int_equal(store_tidy(s, &l, NULL, &t, NULL), ERR_OK);
    assert_int_equal(t.jobs, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(has_asset(s, &loose[i]) || has_asset(s, &of_job[i]) || has_job(s, &jobs[i]));
        job_record_deinit(&jobs[i]);
    }
    assert_true(has_asset(s, &kept[0])); /* a project's */
    assert_true(has_asset(s, &fresh));   /* of the last hour */
    store_close(s);
    project_deinit(&project);
}

static void limits_are_kept_when_the_store_is_opened_again(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct store_limits l, want = {.job_days = 3, .jobs = 0, .asset_days = 2, .bytes = 1 << 20};
    struct store_limits bad = {.job_days = -1};
    assert_int_equal(store_limits_get(s, &l, NULL), ERR_OK);
    assert_int_equal(l.job_days, 30);
    assert_int_equal(store_limits_set(s, &want, NULL), ERR_OK);
    assert_int_equal(store_limits_set(s, &bad, NULL), ERR_ARG);
    store_close(s);
    s = open_store(p->dir);
    assert_int_equal(store_limits_get(s, &l, NULL), ERR_OK);
    assert_memory_equal(&l, &want, sizeof l);
    store_close(s);
}

static void a_image_stays_when_it_is_used_and_goes_with_its_thumbs_when_not(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset used = put_png(s, 9, 9, 1), loose = put_png(s, 9, 9, 2);
    struct job_record job = finished(s, &used);
    struct err e = {0};
    make_thumb(s, &loose);
    assert_int_equal(asset_delete(s, used.id, &e), ERR_BUSY);
    assert_non_null(strstr(e.text, job.id));
    assert_int_equal(asset_delete(s, loose.id, &e), ERR_OK);
    assert_false(has_asset(s, &loose) || has_thumb(p->dir, &loose));
    assert_int_equal(asset_delete(s, loose.id, &e), ERR_NOTFOUND);
    assert_int_equal(asset_delete(s, "../../etc/passwd", &e), ERR_NOTFOUND);
    struct asset again = put_png(s, 9, 9, 2);
    assert_true(has_asset(s, &again) && !again.existed);
    store_close(s);
    job_record_deinit(&job);
}

static void stray_thumbs_go_when_collected(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 9, 9, 1);
    struct store_gc_params gc = {0};
    struct store_gc_result gone;
    char path[600], other[600];
    make_thumb(s, &a);
    (void)snprintf(path, sizeof path, "%s/thumbs/%.2s/%s.64.webp", p->dir, a.id, a.id);
    (void)snprintf(other, sizeof other, "%s/kept.webp", p->dir);
    assert_int_equal(link(path, other), 0);
    assert_int_equal(asset_delete(s, a.id, NULL), ERR_OK);
    assert_int_equal(rename(other, path), 0); /* as if it had been made in that moment */
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.thumbs, 1);
    assert_false(has_thumb(p->dir, &a));
    store_close(s);
}

static void collecting_is_safe_when_another_process_has_the_store(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir), *hand;
    struct asset a = put_png(s, 9, 9, 1);
    struct job_new job = {.kind = "generate", .model = "m", .request = STR_LIT("{}")};
    struct job_record r, now;
    struct asset_writer *w;
    struct store_gc_params gc = {0};
    struct store_gc_result gone;
    struct buf png;
    assert_int_equal(jobs_add(s, &job, &r, NULL), ERR_OK);
    assert_int_equal(jobs_start(s, r.id, NULL), ERR_OK);
    make_png(5, 5, 9, &png);
    assert_int_equal(asset_writer_begin(s, 0, &w, NULL), ERR_OK);
    assert_int_equal(asset_writer_write(w, png.p, png.n, NULL), ERR_OK);
    struct store_options o = {.dir = p->dir, .beside = true};
    assert_int_equal(store_open(&o, &hand, NULL), ERR_OK);
    assert_int_equal(store_gc(hand, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 1);
    assert_int_equal(gone.temporary, 0);
    store_close(hand);
    assert_false(has_asset(s, &a));
    struct asset b;
    assert_int_equal(asset_writer_finish(w, NULL, &b, NULL), ERR_OK);
    assert_int_equal(jobs_get(s, r.id, &now, NULL), ERR_OK);
    assert_int_equal(now.state, JOB_RUNNING);
    struct store_options own = {.dir = p->dir};
    assert_int_equal(store_open(&own, &hand, NULL), ERR_BUSY); /* the owner's lock is still its */
    store_close(s);
    buf_deinit(&png);
    job_record_deinit(&r);
    job_record_deinit(&now);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        CASE(old_jobs_go_with_their_images_when_tidied),
        CASE(the_oldest_goes_first_when_the_store_is_too_large),
        CASE(limits_are_kept_when_the_store_is_opened_again),
        CASE(a_image_stays_when_it_is_used_and_goes_with_its_thumbs_when_not),
        CASE(stray_thumbs_go_when_collected),
        CASE(collecting_is_safe_when_another_process_has_the_store),
    };
    log_set(LOG_ERROR, quiet_log, NULL);
    return cmocka_run_group_tests_name("tidy", tests, NULL, NULL);
}
