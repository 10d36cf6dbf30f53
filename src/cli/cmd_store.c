/* cmd_store.c - `veetance store`: looking after images, projects and jobs.
 *
 * Each verb is a row that says whether it only looks. The store is opened as its owner does it, and beside the owner
 * when a server has it open, so that no verb needs the server stopped. Findings are printed while they are found,
 * JSON at the end.
 */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/cli.h"
#include "memory/budget.h"
#include "store/store.h"
#include "store/tidy.h"

enum {
    STORE_DIR = 1,
    STORE_DEEP,
    STORE_GRACE,
    STORE_FOUND,
    STORE_DRY,
    STORE_JOB_DAYS,
    STORE_JOBS,
    STORE_ASSET_DAYS,
    STORE_SIZE,
    STORE_JSON
};

static const struct cli_option options[] = {
    {STORE_DIR, 0, "store", "DIR",
     "the store's folder (default: $VEETANCE_HOME, or veetance in the user's data folder)"},
    {STORE_DEEP, 0, "deep", NULL, "check: read every image and compare its sha256"},
    {STORE_GRACE, 0, "grace", "DAYS", "gc: what was put in later than this stays (default 7)"},
    {STORE_FOUND, 0, "found", NULL,
     "gc: also images that were found again after the database was lost"},
    {STORE_DRY, 'n', "dry-run", NULL, "gc: count only"},
    {STORE_JOB_DAYS, 0, "job-days", "DAYS",
     "limits: days after which a finished job is forgotten; 0: never"},
    {STORE_JOBS, 0, "jobs", "N", "limits: finished jobs that are kept, the newest; 0: any number"},
    {STORE_ASSET_DAYS, 0, "image-days", "DAYS",
     "limits: days after which an image that nothing refers to goes; 0: never"},
    {STORE_SIZE, 0, "size", "SIZE",
     "limits: of all images, as 20G; above it the oldest go that no project refers to; 0: any"},
    {STORE_JSON, 0, "json", NULL, "print JSON"},
    {0},
};

struct store_job {
    const struct cli_command *self;
    const char *verb, *target, *dir;
    bool deep, json;
    struct store_gc_params gc;
    struct store_limits limits; /* -1: not named */
};

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void json_begin(struct buf *b)
{
    buf_init(b, 1 << 16);
    json_object(b, NULL);
}

static void json_finish(struct buf *b)
{
    json_end_object(b);
    cli_print_json(b);
}

/* ---- check -------------------------------------------------------------------------------------- */

static void print_finding(const char *line, void *user)
{
    const struct store_job *j = user;
    if (j->json)
        cli_say("%s", line);
    else
        printf("%s\n", line);
}

static void json_check(const struct store_report *r, const struct store_numbers *n, bool sound)
{
    struct buf b;
    json_begin(&b);
    json_put_bool(&b, "sound", sound);
    json_put_uint(&b, "assets", r->assets);
    json_put_uint(&b, "asset_bytes", n->asset_bytes);
    json_put_uint(&b, "projects", r->projects);
    json_put_uint(&b, "jobs", r->jobs);
    json_put_uint(&b, "damaged", r->damaged);
    json_put_uint(&b, "dangling", r->dangling);
    json_put_uint(&b, "broken_rows", r->broken_rows);
    json_put_uint(&b, "strays", r->strays);
    json_finish(&b);
}

static int check(struct store_job *j, struct store *s)
{
    struct err e = {0};
    struct store_report r;
    struct store_numbers n;
    if (store_count(s, &n, &e) != ERR_OK ||
        store_check(s, j->deep, print_finding, j, &r, &e) != ERR_OK)
        return cli_fail_err(&e);
    bool sound = r.damaged + r.dangling + r.broken_rows == 0;
    if (j->json)
        json_check(&r, &n, sound);
    else
        printf("%s: %llu images (%.1f MiB), %llu projects, %llu jobs; %llu damaged, %llu dangling, "
               "%llu broken, %llu files that nothing knows\n",
               sound ? "sound" : "NOT SOUND", (unsigned long long)r.assets, mib(n.asset_bytes),
               (unsigned long long)r.projects, (unsigned long long)r.jobs,
               (unsigned long long)r.damaged, (unsigned long long)r.dangling,
               (unsigned long long)r.broken_rows, (unsigned long long)r.strays);
    return sound ? CLI_OK : CLI_FAILED;
}

/* ---- gc and backup ------------------------------------------------------------------------------ */

static void json_gc(const struct store_gc_result *r, bool dry_run)
{
    struct buf b;
    json_begin(&b);
    json_put_uint(&b, "assets", r->assets);
    json_put_uint(&b, "strays", r->strays + r->thumbs);
    json_put_uint(&b, "temporary", r->temporary);
    json_put_uint(&b, "bytes", r->bytes);
    json_put_bool(&b, "dry_run", dry_run);
    json_finish(&b);
}

static int collect(struct store_job *j, struct store *s)
{
    struct err e = {0};
    struct store_gc_result r;
    if (store_gc(s, &j->gc, &r, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (j->json)
        json_gc(&r, j->gc.dry_run);
    else
        printf("%s %llu images that nothing refers to, %llu stray and %llu temporary files: "
               "%.1f MiB\n",
               j->gc.dry_run ? "would remove" : "removed", (unsigned long long)r.assets,
               (unsigned long long)r.strays + r.thumbs, (unsigned long long)r.temporary,
               mib(r.bytes));
    return CLI_OK;
}

static void json_tidied(const struct store_tidied *t, uint64_t strays)
{
    struct buf b;
    json_begin(&b);
    json_put_uint(&b, "jobs", t->jobs);
    json_put_uint(&b, "assets", t->gc.assets);
    json_put_uint(&b, "strays", strays);
    json_put_uint(&b, "bytes", t->gc.bytes);
    json_finish(&b);
}

static int tidy(struct store_job *j, struct store *s)
{
    struct err e = {0};
    struct store_limits l;
    struct store_tidied t;
    if (store_limits_get(s, &l, &e) != ERR_OK || store_tidy(s, &l, NULL, &t, &e) != ERR_OK)
        return cli_fail_err(&e);
    uint64_t strays = t.gc.strays + t.gc.thumbs + t.gc.temporary;
    if (j->json)
        json_tidied(&t, strays);
    else
        printf("removed %llu jobs, %llu images and %llu stray files: %.1f MiB\n",
               (unsigned long long)t.jobs, (unsigned long long)t.gc.assets,
               (unsigned long long)strays, mib(t.gc.bytes));
    return CLI_OK;
}

/* ---- limits ------------------------------------------------------------------------------------- */

/* True when there was something to take over. */
static bool take_over(int64_t named, int64_t *limit)
{
    if (named < 0)
        return false;
    *limit = named;
    return true;
}

static void json_limits(const struct store_limits *l)
{
    struct buf b;
    json_begin(&b);
    json_put_int(&b, "job_days", l->job_days);
    json_put_int(&b, "jobs", l->jobs);
    json_put_int(&b, "asset_days", l->asset_days);
    json_put_int(&b, "bytes", l->bytes);
    json_finish(&b);
}

static int limits(struct store_job *j, struct store *s)
{
    struct err e = {0};
    struct store_limits l;
    if (store_limits_get(s, &l, &e) != ERR_OK)
        return cli_fail_err(&e);
    bool changes = take_over(j->limits.job_days, &l.job_days);
    changes |= take_over(j->limits.jobs, &l.jobs);
    changes |= take_over(j->limits.asset_days, &l.asset_days);
    changes |= take_over(j->limits.bytes, &l.bytes);
    if (changes && store_limits_set(s, &l, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (j->json)
        json_limits(&l);
    else
        printf("0: no limit\nfinished jobs            %lld days, the newest %lld\n"
               "images nothing refers to %lld days\nall images               %.1f MiB\n",
               (long long)l.job_days, (long long)l.jobs, (long long)l.asset_days,
               mib((uint64_t)l.bytes));
    return CLI_OK;
}

static int back_up(struct store_job *j, struct store *s)
{
    struct err e = {0};
    uint64_t files = 0;
    if (store_backup(s, j->target, &files, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (j->json) {
        struct buf b;
        json_begin(&b);
        json_put_z(&b, "to", j->target);
        json_put_uint(&b, "assets", files);
        json_finish(&b);
    } else {
        printf("copied the database and %llu images to %s\n", (unsigned long long)files, j->target);
    }
    return CLI_OK;
}

/* ---- the command -------------------------------------------------------------------------------- */

/* All of them work beside a running server. */
static const struct verb {
    const char *name;
    bool looks_only;
    bool wants_target;
    int (*run)(struct store_job *j, struct store *s);
} verbs[] = {
    {"check", true, false, check},    {"gc", false, false, collect},   {"tidy", false, false, tidy},
    {"limits", false, false, limits}, {"backup", true, true, back_up},
};

static enum err_code open_store(const struct store_job *j, const struct verb *v, struct store **s,
                                struct err *e)
{
    struct store_options o = {.dir = j->dir, .look_only = v->looks_only};
    enum err_code rc = store_open(&o, s, e);
    if (rc != ERR_BUSY)
        return rc;
    o.beside = true;
    return store_open(&o, s, e);
}

static int run_verb(struct store_job *j)
{
    const struct verb *v = NULL;
    for (size_t i = 0; j->verb && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, j->verb) == 0)
            v = &verbs[i];
    if (!v)
        return j->verb ? cli_no_subcommand(j->self, j->verb)
                       : cli_usage_error(j->self, "say check, gc, tidy, limits or backup");
    if (v->wants_target != (j->target != NULL))
        return cli_usage_error(
            j->self, v->wants_target ? "%s needs a folder" : "%s takes no folder", v->name);
    struct store *s;
    struct err e = {0};
    if (open_store(j, v, &s, &e) != ERR_OK)
        return cli_fail_err(&e);
    int rc = v->run(j, s);
    store_close(s);
    return rc;
}

static int set_limit(struct store_job *j, const struct cli_args *a, int id)
{
    struct err e = {0};
    uint64_t bytes = 0;
    if (id == STORE_JOBS)
        return cli_int(a, 0, 100000000, &j->limits.jobs) ? CLI_OK : CLI_USAGE;
    if (id == STORE_JOB_DAYS)
        return cli_int(a, 0, 36500, &j->limits.job_days) ? CLI_OK : CLI_USAGE;
    if (id == STORE_ASSET_DAYS)
        return cli_int(a, 0, 36500, &j->limits.asset_days) ? CLI_OK : CLI_USAGE;
    if (strchr(a->value, '%'))
        return cli_usage_error(a->command, "--size takes a size, as 20G");
    if (strcmp(a->value, "0") != 0 && budget_parse(a->value, NULL, &bytes, &e) != ERR_OK)
        return cli_usage_error(a->command, "%s", e.text);
    if (bytes > (uint64_t)1 << 60)
        return cli_usage_error(a->command, "--size is beyond all measure");
    j->limits.bytes = (int64_t)bytes;
    return CLI_OK;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct store_job j = {
        .self = self, .gc = {.grace_s = STORE_GRACE_S}, .limits = {-1, -1, -1, -1}};
    double days = 7;
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        switch (id) {
        case CLI_HELP:
            return CLI_OK;
        case CLI_ERROR:
            return CLI_USAGE;
        case STORE_DIR:
            j.dir = a.value;
            break;
        case STORE_DEEP:
            j.deep = true;
            break;
        case STORE_GRACE:
            if (!cli_double(&a, 0, 36500, &days))
                return CLI_USAGE;
            j.gc.grace_s = (int64_t)(days * 86400);
            break;
        case STORE_FOUND:
            j.gc.found_too = true;
            break;
        case STORE_DRY:
            j.gc.dry_run = true;
            break;
        case STORE_JOB_DAYS:
        case STORE_JOBS:
        case STORE_ASSET_DAYS:
        case STORE_SIZE:
            if (set_limit(&j, &a, id) != CLI_OK)
                return CLI_USAGE;
            break;
        case STORE_JSON:
            j.json = true;
            break;
        default:
            if (j.target)
                return cli_usage_error(self, "one folder is enough");
            *(j.verb ? &j.target : &j.verb) = a.value;
        }
    }
    return run_verb(&j);
}

static const struct cli_subcommand subcommands[] = {
    {"check", NULL, "is everything there, and whole?", NULL},
    {"gc", NULL, "remove images that nothing refers to, and stray files", NULL},
    {"tidy", NULL, "apply the limits now; a server does it every hour", NULL},
    {"limits", NULL, "show or change when finished jobs and images go by themselves", NULL},
    {"backup", "DIR", "a copy of the database and all files", NULL},
    {0},
};

const struct cli_command cli_cmd_store = {
    .name = "store",
    .summary = "Check, tidy and back up images, projects and jobs",
    .usage = "SUBCOMMAND [--store DIR] [--json]",
    .examples = "  veetance store check --deep\n"
                "  veetance store gc --grace 30 -n\n"
                "  veetance store limits --job-days 14 --size 20G\n"
                "  veetance store backup /media/disk/veetance-backup\n",
    .options = options,
    .subcommands = subcommands,
    .run = run,
};
