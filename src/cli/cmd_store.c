/* cmd_store.c - `veetance store`: looking after pictures, projects and jobs. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/commands.h"
#include "store/store.h"

enum { STORE_DIR = 1, STORE_DEEP, STORE_GRACE, STORE_FOUND, STORE_DRY, STORE_JSON };

static const struct cli_option options[] = {
    {STORE_DIR, 0, "store", "DIR",
     "the store's folder (default: $VEETANCE_HOME, or veetance in the user's data folder)"},
    {STORE_DEEP, 0, "deep", NULL, "check: read every picture and compare its sha256"},
    {STORE_GRACE, 0, "grace", "DAYS", "gc: what was put in later than this stays (default 7)"},
    {STORE_FOUND, 0, "found", NULL,
     "gc: also pictures that were found again after the database was lost"},
    {STORE_DRY, 'n', "dry-run", NULL, "gc: count only"},
    {STORE_JSON, 0, "json", NULL, "print JSON"},
    {0},
};

struct store_job {
    const struct cli_command *self;
    const char *verb, *target, *dir;
    bool deep, json;
    struct store_gc_params gc;
};

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
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
        printf("{\"sound\":%s,\"assets\":%llu,\"asset_bytes\":%llu,\"projects\":%llu,"
               "\"jobs\":%llu,\"damaged\":%llu,\"dangling\":%llu,\"broken_rows\":%llu,"
               "\"strays\":%llu}\n",
               sound ? "true" : "false", (unsigned long long)r.assets,
               (unsigned long long)n.asset_bytes, (unsigned long long)r.projects,
               (unsigned long long)r.jobs, (unsigned long long)r.damaged,
               (unsigned long long)r.dangling, (unsigned long long)r.broken_rows,
               (unsigned long long)r.strays);
    else
        printf(
            "%s: %llu pictures (%.1f MiB), %llu projects, %llu jobs; %llu damaged, %llu dangling, "
            "%llu broken, %llu files that nothing knows\n",
            sound ? "sound" : "NOT SOUND", (unsigned long long)r.assets, mib(n.asset_bytes),
            (unsigned long long)r.projects, (unsigned long long)r.jobs,
            (unsigned long long)r.damaged, (unsigned long long)r.dangling,
            (unsigned long long)r.broken_rows, (unsigned long long)r.strays);
    return sound ? CLI_OK : CLI_FAILED;
}

/* ---- gc and backup ------------------------------------------------------------------------------ */

static int collect(struct store_job *j, struct store *s)
{
    struct err e = {0};
    struct store_gc_result r;
    if (store_gc(s, &j->gc, &r, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (j->json)
        printf("{\"assets\":%llu,\"strays\":%llu,\"temporary\":%llu,\"bytes\":%llu,"
               "\"dry_run\":%s}\n",
               (unsigned long long)r.assets, (unsigned long long)r.strays,
               (unsigned long long)r.temporary, (unsigned long long)r.bytes,
               j->gc.dry_run ? "true" : "false");
    else
        printf("%s %llu pictures that nothing refers to, %llu stray and %llu temporary files: "
               "%.1f MiB\n",
               j->gc.dry_run ? "would remove" : "removed", (unsigned long long)r.assets,
               (unsigned long long)r.strays, (unsigned long long)r.temporary, mib(r.bytes));
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
        buf_init(&b, 1 << 16);
        buf_add_z(&b, "{\"to\":");
        json_add_z(&b, j->target);
        printf("%s,\"assets\":%llu}\n", buf_z(&b), (unsigned long long)files);
        buf_deinit(&b);
    } else {
        printf("copied the database and %llu pictures to %s\n", (unsigned long long)files,
               j->target);
    }
    return CLI_OK;
}

/* ---- the command -------------------------------------------------------------------------------- */

static const struct verb {
    const char *name;
    bool looks_only; /* works beside a running server */
    bool wants_target;
    int (*run)(struct store_job *j, struct store *s);
} verbs[] = {
    {"check", true, false, check},
    {"gc", false, false, collect},
    {"backup", true, true, back_up},
};

static int run_verb(struct store_job *j)
{
    const struct verb *v = NULL;
    for (size_t i = 0; j->verb && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, j->verb) == 0)
            v = &verbs[i];
    if (!v)
        return j->verb ? cli_no_subcommand(j->self, j->verb)
                       : cli_usage_error(j->self, "say check, gc or backup");
    if (v->wants_target != (j->target != NULL))
        return cli_usage_error(
            j->self, v->wants_target ? "%s needs a folder" : "%s takes no folder", v->name);
    struct store *s;
    struct err e = {0};
    const struct store_options o = {.dir = j->dir, .look_only = v->looks_only};
    if (store_open(&o, &s, &e) != ERR_OK)
        return cli_fail_err(&e);
    int rc = v->run(j, s);
    store_close(s);
    return rc;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct store_job j = {.self = self, .gc = {.grace_s = STORE_GRACE_S}};
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
    {"gc", NULL, "remove what nothing refers to", NULL},
    {"backup", "DIR", "a copy of the database and all files", NULL},
    {0},
};

const struct cli_command cli_cmd_store = {
    .name = "store",
    .summary = "Check, tidy and back up pictures, projects and jobs",
    .usage = "SUBCOMMAND [--store DIR] [--json]",
    .examples = "  veetance store check --deep\n"
                "  veetance store gc --grace 30 -n\n"
                "  veetance store backup /media/disk/veetance-backup\n",
    .options = options,
    .subcommands = subcommands,
    .run = run,
};
