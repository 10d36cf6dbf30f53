/* check.c - a store compared with itself: database, references, projects, files.
 *
 * Nothing is repaired here; each finding is one line for the user and a number in the report, and only a failure
 * to look is an error. The database is checked under its lock, the files without it: reading them all may take
 * minutes, during which the store stays usable.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "store/project_json.h"
#include "store/store_impl.h"

struct checking {
    struct store *s;
    bool deep;
    void (*say)(const char *line, void *user);
    void *user;
    struct store_report *out;
};

static void pass_on(struct checking *c, const char *line)
{
    if (c->say)
        c->say(line, c->user);
}

#define say(c, ...)                                                                                \
    do {                                                                                           \
        char line_[512];                                                                           \
        snprintf(line_, sizeof line_, __VA_ARGS__);                                                \
        pass_on((c), line_);                                                                       \
    } while (0)

/* ---- the database ------------------------------------------------------------------------------- */

static enum err_code check_database(struct checking *c, struct err *e)
{
    struct db_query q = db_query(&c->s->ro, "PRAGMA integrity_check(20)", e);
    while (db_row(&q)) {
        struct str line = db_text(&q, 0);
        if (str_eq_z(line, "ok"))
            continue;
        c->out->broken_rows++;
        say(c, "database: %.*s", STR_ARG(line));
    }
    return db_done(&q);
}

static enum err_code check_refs(struct checking *c, struct err *e)
{
    struct db_query q = db_query(&c->s->ro,
                                 "SELECT owner, asset FROM refs WHERE NOT EXISTS"
                                 " (SELECT 1 FROM assets WHERE assets.id = refs.asset)",
                                 e);
    while (db_row(&q)) {
        c->out->dangling++;
        say(c, "%.*s refers to asset %.*s, which is not there", STR_ARG(db_text(&q, 0)),
            STR_ARG(db_text(&q, 1)));
    }
    return db_done(&q);
}

/* Every state of every project can be read, and what it shows is referred to. */
static enum err_code check_projects(struct checking *c, struct err *e)
{
    struct db_query q = db_query(&c->s->ro, "SELECT project, position, doc FROM history", e);
    while (db_row(&q)) {
        struct project p;
        struct err why = {0};
        if (project_json_parse(db_text(&q, 2), &p, &why) == ERR_OK) {
            project_deinit(&p);
            continue;
        }
        c->out->broken_rows++;
        say(c, "project %.*s, undo point %lld: %s", STR_ARG(db_text(&q, 0)),
            (long long)db_int(&q, 1), why.text);
    }
    return db_done(&q);
}

/* ---- the files ---------------------------------------------------------------------------------- */

static enum err_code hash_file(int dir, const char *name, char hex[SHA256_HEX_SIZE], struct err *e)
{
    char path[64];
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot read it");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    enum err_code rc = sha256_file(path, hex, e);
    close(fd);
    return rc;
}

static void check_file(struct checking *c, const char *id, uint64_t bytes)
{
    char name[FILES_NAME_SIZE], hex[SHA256_HEX_SIZE];
    struct stat st;
    struct err why = {0};
    c->out->assets++;
    files_asset_name(id, name);
    if (fstatat(c->s->files.assets, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        say(c, "asset %s: its file is missing", id);
    else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
        say(c, "asset %s: its file has %lld bytes, not %llu", id, (long long)st.st_size,
            (unsigned long long)bytes);
    else if (c->deep && hash_file(c->s->files.assets, name, hex, &why) != ERR_OK)
        say(c, "asset %s: %s", id, why.text);
    else if (c->deep && strcmp(hex, id) != 0)
        say(c, "asset %s: its file has changed, its sha256 is %s", id, hex);
    else
        return;
    c->out->damaged++;
}

/* In pages, so that no lock is held while files are read. */
static enum err_code check_files(struct checking *c, struct err *e)
{
    const struct asset_filter all = asset_filter_all();
    int64_t before = 0;
    enum err_code rc;
    do {
        struct asset_list l;
        rc = asset_list(c->s, &all, before, 1000, &l, e);
        for (size_t i = 0; rc == ERR_OK && i < l.n; i++)
            check_file(c, l.items[i].id, l.items[i].bytes);
        before = l.next;
        asset_list_deinit(&l);
    } while (rc == ERR_OK && before > 0);
    return rc;
}

static enum err_code see_file(const char *name, void *user, struct err *e)
{
    struct checking *c = user;
    struct asset a;
    enum err_code rc = asset_get(c->s, strlen(name) > 3 ? name + 3 : "", &a, e);
    if (rc != ERR_NOTFOUND)
        return rc;
    err_clear(e);
    c->out->strays++;
    say(c, "file assets/%.80s: not in the database", name);
    return ERR_OK;
}

enum err_code store_check(struct store *s, bool deep, void (*say_fn)(const char *line, void *user),
                          void *user, struct store_report *out, struct err *e)
{
    struct store_numbers n;
    struct checking c = {.s = s, .deep = deep, .say = say_fn, .user = user, .out = out};
    *out = (struct store_report){0};
    TRY(store_count(s, &n, e));
    out->projects = n.projects;
    out->jobs = n.jobs;
    enum err_code rc;
    db_lock(&s->ro);
    TRY_GOTO(check_database(&c, e), done);
    TRY_GOTO(check_refs(&c, e), done);
    rc = check_projects(&c, e);
done:
    db_unlock(&s->ro);
    TRY(rc);
    TRY(check_files(&c, e));
    return files_walk(s->files.assets, true, see_file, &c, e);
}
