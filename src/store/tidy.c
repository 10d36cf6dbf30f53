/* tidy.c - what goes by itself, by age, number and size; the limits are kept in the table meta.
 *
 * Jobs are trimmed first, because their references keep images alive; then images by age; then, only if the store
 * is still too large, images by size, and when none is left that nothing refers to, the oldest jobs, twenty at a
 * time, with theirs. That last step spares everything newer than an hour: somebody may be about to refer to it.
 */
#include "store/tidy.h"

#include <inttypes.h>
#include <stdio.h>

#include "store/jobs.h"
#include "store/store_impl.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S, MAX_DAYS = 36500, JOBS_AT_ONCE = 20 };

static const int64_t max_jobs = 100000000, max_bytes = (int64_t)1 << 60;

struct store_limits store_limits_defaults(void)
{
    return (struct store_limits){.job_days = 30, .jobs = 10000, .asset_days = 7};
}

/* ---- kept in the table meta ------------------------------------------------------------------------- */

static const char *const keys[] = {"limit.job_days", "limit.jobs", "limit.asset_days",
                                   "limit.bytes"};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

static int64_t *field(struct store_limits *l, size_t i)
{
    int64_t *const fields[N_KEYS] = {&l->job_days, &l->jobs, &l->asset_days, &l->bytes};
    return fields[i];
}

enum err_code store_limits_get(struct store *s, struct store_limits *out, struct err *e)
{
    enum err_code rc = ERR_OK;
    *out = store_limits_defaults();
    db_lock(&s->ro);
    for (size_t i = 0; i < N_KEYS && rc == ERR_OK; i++) {
        struct db_query q = db_query(&s->ro, "SELECT value FROM meta WHERE key = ?1", e);
        int64_t v;
        db_bind_text(&q, 1, keys[i]);
        if (db_row(&q) && str_to_i64(db_text(&q, 0), &v) && v >= 0)
            *field(out, i) = v;
        rc = db_done(&q);
    }
    db_unlock(&s->ro);
    return rc;
}

static enum err_code check(const struct store_limits *l, struct err *e)
{
    if (l->job_days < 0 || l->job_days > MAX_DAYS || l->asset_days < 0 || l->asset_days > MAX_DAYS)
        return err_set(e, ERR_ARG, "a limit of days is 0 to %d", MAX_DAYS);
    if (l->jobs < 0 || l->jobs > max_jobs || l->bytes < 0 || l->bytes > max_bytes)
        return err_set(e, ERR_ARG,
                       "a limit cannot be negative, or over 100,000,000 jobs or 2^60 bytes");
    return ERR_OK;
}

static enum err_code put_limits(struct store *s, struct store_limits l, struct err *e)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        char text[32];
        snprintf(text, sizeof text, "%" PRId64, *field(&l, i));
        struct db_query q =
            db_query(&s->rw, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", e);
        db_bind_text(&q, 1, keys[i]);
        db_bind_text(&q, 2, text);
        TRY(db_run(&q));
    }
    return ERR_OK;
}

enum err_code store_limits_set(struct store *s, const struct store_limits *limits, struct err *e)
{
    TRY(check(limits, e));
    TRY(store_begin(s, e));
    return db_end(&s->rw, put_limits(s, *limits, e), e);
}

/* ---- applied ---------------------------------------------------------------------------------------- */

static void add(struct store_gc_result *to, const struct store_gc_result *one)
{
    to->assets += one->assets;
    to->strays += one->strays;
    to->temporary += one->temporary;
    to->thumbs += one->thumbs;
    to->bytes += one->bytes;
}

static enum err_code trim_jobs(struct store *s, const struct store_limits *l,
                               struct store_tidied *out, struct err *e)
{
    int64_t before = l->job_days ? store_now_ms(s) - l->job_days * DAY_S * 1000 : 0;
    if (!l->job_days && !l->jobs)
        return ERR_OK;
    return jobs_trim(s, l->jobs ? l->jobs : -1, before, &out->jobs, e);
}

/* Images that nothing refers to, until the rest fits; true when it does, or none is left. */
static enum err_code shrink_once(struct store *s, int64_t limit, const atomic_bool *stop,
                                 struct store_tidied *out, bool *fits, struct err *e)
{
    struct store_numbers n;
    struct store_gc_result one = {0};
    struct store_gc_params p = {.grace_s = HOUR_S, .stop = stop};
    enum err_code rc = store_count(s, &n, e);
    *fits = rc == ERR_OK && n.asset_bytes <= (uint64_t)limit;
    if (rc != ERR_OK || *fits)
        return rc;
    p.enough = n.asset_bytes - (uint64_t)limit;
    rc = store_gc(s, &p, &one, e);
    add(&out->gc, &one);
    *fits = one.bytes >= p.enough;
    return rc;
}

static enum err_code shrink(struct store *s, int64_t limit, const atomic_bool *stop,
                            struct store_tidied *out, struct err *e)
{
    bool fits = false;
    uint64_t gone = 1;
    enum err_code rc = shrink_once(s, limit, stop, out, &fits, e);
    while (rc == ERR_OK && !fits && gone) {
        int64_t before = store_now_ms(s) - (int64_t)HOUR_S * 1000;
        rc = jobs_trim_oldest(s, JOBS_AT_ONCE, before, &gone, e);
        out->jobs += gone;
        if (rc == ERR_OK && gone)
            rc = shrink_once(s, limit, stop, out, &fits, e);
    }
    return rc;
}

enum err_code store_tidy(struct store *s, const struct store_limits *limits,
                         const atomic_bool *stop, struct store_tidied *out, struct err *e)
{
    *out = (struct store_tidied){0};
    TRY(trim_jobs(s, limits, out, e));
    if (limits->asset_days) {
        const struct store_gc_params p = {.grace_s = limits->asset_days * DAY_S, .stop = stop};
        TRY(store_gc(s, &p, &out->gc, e));
    }
    if (limits->bytes)
        TRY(shrink(s, limits->bytes, stop, out, e));
    return ERR_OK;
}
