/* store.c - opening and closing a store, its clock, its ids and its locks; see store.h.
 *
 * Opening as the owner goes in this order: folders, the lock on the process (DIR/lock, which also tells whether
 * the last owner closed properly), the lock on files, rights, the database with its quick check and rescue, the
 * clock, then tidying up what the last process left. The read connection is opened last, when the tables are
 * there. A store opened to look, or beside the owner, takes no process lock and repairs nothing.
 *
 * The clock is the wall clock at opening plus the time since boot: it does not jump while the process runs, and at
 * opening it is moved forward to the newest row (unless that lies absurdly far ahead), so that new things never
 * look older than old ones.
 */
#include "store/store_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/sha256.h"
#include "store/jobs.h"
#include "store/schema.h"

enum {
    QUICK_BYTES = 32 << 20, /* a database up to this size is always checked when it is opened */
};

/* Rows dated further in the future than this come from a wrong clock and are ignored. */
#define CLOCK_TRUST_MS ((int64_t)400 * 24 * 3600 * 1000)

/* ---- where and when ----------------------------------------------------------------------------- */

enum err_code store_default_dir(char *out, size_t out_size, struct err *e)
{
    return home_path(HOME_DATA, NULL, out, out_size, e);
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec t = {0};
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t store_now_ms(const struct store *s)
{
    return s->wall_at_open_ms + (clock_ms(CLOCK_BOOTTIME) - s->boot_at_open_ms);
}

static void start_clock(struct store *s, const struct store_options *o)
{
    s->boot_at_open_ms = clock_ms(CLOCK_BOOTTIME);
    s->wall_at_open_ms = o->wall_clock_ms ? o->wall_clock_ms(o->user) : clock_ms(CLOCK_REALTIME);
}

/* A clock that went back must not make new things look older than old ones. */
static enum err_code mend_clock(struct store *s, struct err *e)
{
    int64_t last = 0;
    TRY(db_number(&s->rw,
                  "SELECT max(coalesce((SELECT max(touched_ms) FROM assets), 0),"
                  " coalesce((SELECT max(created_ms) FROM jobs), 0))",
                  &last, e));
    if (last > s->wall_at_open_ms && last - s->wall_at_open_ms < CLOCK_TRUST_MS)
        s->wall_at_open_ms = last;
    return ERR_OK;
}

void store_listen(struct store *s, const struct store_listener *listener)
{
    s->listener = *listener;
}

void store_tell_asset(struct store *s, const char *id, bool deleted)
{
    if (s->listener.asset)
        s->listener.asset(id, deleted, s->listener.user);
}

uint64_t store_cache_bytes(void)
{
    return (uint64_t)sqlite3_memory_used();
}

const char *store_dir(const struct store *s)
{
    return s->dir;
}

bool store_is_full(const struct err *e)
{
    return e && e->code == ERR_IO && (e->sys == ENOSPC || e->sys == EDQUOT || e->sys == EFBIG);
}

enum err_code store_scratch(struct store *s, int *fd, struct err *e)
{
    char name[FILES_NAME_SIZE];
    enum err_code rc = files_temp(&s->files, name, fd, e);
    if (rc == ERR_OK)
        files_temp_drop(&s->files, name); /* the open file stays */
    else
        *fd = -1;
    return rc;
}

enum err_code store_has_room(struct store *s, uint64_t bytes, struct err *e)
{
    int fd = -1;
    TRY(store_scratch(s, &fd, e));
    int sys = posix_fallocate(fd, 0, (off_t)bytes);
    (void)close(fd);
    return sys ? err_set_sys(e, ERR_IO, sys, "the store cannot be written to now") : ERR_OK;
}

/* ---- ids ---------------------------------------------------------------------------------------- */

enum err_code store_new_id(char letter, char out[STORE_ID_SIZE], struct err *e)
{
    unsigned char raw[10];
    enum err_code rc = random_bytes(raw, sizeof raw, e);
    out[0] = letter;
    for (size_t i = 0; i < sizeof raw && rc == ERR_OK; i++)
        snprintf(out + 1 + 2 * i, 3, "%02x", raw[i]);
    return rc;
}

static bool is_hex(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
    return s[n] == '\0';
}

bool store_is_id(const char *id, char letter)
{
    return id && id[0] == letter && is_hex(id + 1, 20);
}

bool asset_is_id(const char *id)
{
    return sha256_is_hex(id);
}

/* ---- the lock ----------------------------------------------------------------------------------- */

static enum err_code lock_taken(struct store *s, struct err *e)
{
    char text[32] = "";
    ssize_t n = pread(s->lock_fd, text, sizeof text - 1, 0);
    long pid = n > 5 && strncmp(text, "open ", 5) == 0 ? strtol(text + 5, NULL, 10) : 0;
    if (pid > 0)
        return err_set(e, ERR_BUSY, "the store '%s' is in use by process %ld", s->dir, pid);
    return err_set(e, ERR_BUSY, "the store '%s' is in use by another process", s->dir);
}

/* Says in the lock file whether the store is open; *was_clean tells what it said before. The words are a
 * hint only: flock is the lock. */
static enum err_code take_lock(struct store *s, bool *was_clean, struct err *e)
{
    char text[32] = "";
    s->lock_fd = openat(s->files.root, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write in the store '%s'", s->dir);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? lock_taken(s, e)
                   : err_set_sys(e, ERR_IO, errno, "cannot lock the store '%s'", s->dir);
    ssize_t n = pread(s->lock_fd, text, sizeof text - 1, 0);
    *was_clean = n >= 6 && strncmp(text, "closed", 6) == 0;
    int len = snprintf(text, sizeof text, "open %ld\n", (long)getpid());
    if (pwrite(s->lock_fd, text, (size_t)len, 0) != len || ftruncate(s->lock_fd, len) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write in the store '%s'", s->dir);
    return ERR_OK;
}

static void leave_lock(struct store *s)
{
    static const char closed[] = "closed\n";
    if (s->lock_fd < 0)
        return;
    if (pwrite(s->lock_fd, closed, sizeof closed - 1, 0) == (ssize_t)sizeof closed - 1)
        (void)!ftruncate(s->lock_fd, sizeof closed - 1);
    close(s->lock_fd);
    s->lock_fd = -1;
}

void store_lock_files(struct store *s)
{
    pthread_mutex_lock(&s->files_lock);
    while (s->files_lock_fd >= 0 && flock(s->files_lock_fd, LOCK_EX) != 0 && errno == EINTR)
        ;
}

void store_unlock_files(struct store *s)
{
    if (s->files_lock_fd >= 0)
        (void)flock(s->files_lock_fd, LOCK_UN);
    pthread_mutex_unlock(&s->files_lock);
}

/* A file system without such locks does for one process. */
static enum err_code open_files_lock(struct store *s, struct err *e)
{
    s->files_lock_fd =
        openat(s->files.root, "files.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->files_lock_fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write in the store '%s'", s->dir);
    bool works = flock(s->files_lock_fd, LOCK_EX) == 0 && flock(s->files_lock_fd, LOCK_UN) == 0;
    return works || !s->beside
               ? ERR_OK
               : err_set_sys(e, ERR_IO, errno, "cannot lock the files of the store '%s'", s->dir);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static enum err_code quick_check(struct db *db, struct err *e)
{
    struct db_query q = db_query(db, "PRAGMA quick_check(1)", e);
    char found[200] = "ok";
    if (db_row(&q))
        db_text_into(&q, 0, found, sizeof found);
    enum err_code rc = db_done(&q);
    if (rc == ERR_OK && strcmp(found, "ok") != 0) {
        rc = err_set(e, ERR_FORMAT, "the database is damaged: %s", found);
        if (e)
            e->sys = EUCLEAN;
    }
    return rc;
}

static enum err_code open_rw(struct store *s, const char *path, bool check, bool *fresh,
                             struct err *e)
{
    enum err_code rc;
    TRY_GOTO(db_open(&s->rw, path, DB_OWN, e), done);
    if (check)
        TRY_GOTO(quick_check(&s->rw, e), done);
    rc = schema_migrate(&s->rw, fresh, e);
done:
    if (rc != ERR_OK)
        db_close(&s->rw);
    return rc;
}

static bool is_large(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > QUICK_BYTES;
}

/* Opens the database; a broken one is moved aside, and what can be read of it is copied into a new one. */
static enum err_code open_database(struct store *s, const char *path, bool was_clean, struct err *e)
{
    char moved[4200] = "";
    bool fresh = false;
    uint64_t files = 0, rows = 0;
    struct err why = {0};
    enum err_code rc = open_rw(s, path, !was_clean || !is_large(path), &fresh, &why);
    if (rc != ERR_OK && db_is_broken(&why)) {
        rc = rescue_move_aside(s->dir, moved, sizeof moved, e);
        if (rc == ERR_OK)
            rc = open_rw(s, path, false, &fresh, e);
    } else if (rc != ERR_OK && e) {
        *e = why;
    }
    if (rc == ERR_OK && fresh)
        rc = rescue_assets(s, &files, e);
    if (rc == ERR_OK && moved[0])
        rc = rescue_rows(s, moved, &rows, e);
    if (rc != ERR_OK || (!moved[0] && files == 0))
        return rc;
    if (moved[0])
        log_warn("%s; it is now '%s', a new one has %llu images and %llu projects and jobs of it",
                 why.text, moved, (unsigned long long)files, (unsigned long long)rows);
    else
        log_warn("the store had no database; a new one knows its %llu images",
                 (unsigned long long)files);
    return ERR_OK;
}

static enum err_code drop_temp(const char *name, void *user, struct err *e)
{
    const struct store *s = user;
    (void)e;
    if (files_temp_is_ours(name))
        files_temp_drop(&s->files, name);
    return ERR_OK;
}

/* What the process before left unfinished. */
static enum err_code tidy_up(struct store *s, struct err *e)
{
    TRY(files_walk(s->files.tmp, false, drop_temp, s, e));
    TRY(store_begin(s, e));
    return db_end(&s->rw, jobs_interrupt_running(s, e), e);
}

static enum err_code open_own(struct store *s, const char *path, struct err *e)
{
    bool was_clean = false;
    TRY(take_lock(s, &was_clean, e));
    TRY(open_files_lock(s, e));
    files_close_to_others(&s->files);
    TRY(open_database(s, path, was_clean, e));
    TRY(mend_clock(s, e));
    TRY(tidy_up(s, e));
    return db_open(&s->ro, path, DB_LOOK, e);
}

/* A database that must be there, for writing as `mode` says and for reading. */
static enum err_code open_existing(struct store *s, const char *path, enum db_mode mode,
                                   struct err *e)
{
    TRY(db_open(&s->rw, path, mode, e));
    TRY(schema_expect(&s->rw, e));
    TRY(mend_clock(s, e));
    return db_open(&s->ro, path, DB_LOOK, e);
}

/* Nothing is repaired or marked: what this process finds half done, the other is doing. */
static enum err_code open_beside(struct store *s, const char *path, struct err *e)
{
    TRY(open_files_lock(s, e));
    return open_existing(s, path, DB_SHARE, e);
}

enum err_code store_open(const struct store_options *o, struct store **out, struct err *e)
{
    char path[4200];
    struct store *s = mem_alloc(sizeof *s);
    *out = NULL;
    s->lock_fd = -1;
    s->files_lock_fd = -1;
    s->look_only = o->look_only;
    s->reader = o->reader;
    s->beside = o->beside;
    s->files = (struct files){.root = -1, .assets = -1, .thumbs = -1, .tmp = -1};
    pthread_mutex_init(&s->files_lock, NULL);
    pthread_mutex_init(&s->thumbs_lock, NULL);
    start_clock(s, o);
    enum err_code rc = ERR_OK;
    if (!o->dir)
        TRY_GOTO(store_default_dir(s->dir, sizeof s->dir, e), done);
    else {
        if ((size_t)snprintf(s->dir, sizeof s->dir, "%s", o->dir) >= sizeof s->dir) {
            rc =
                err_set(e, ERR_LIMIT, "the store's folder has a name of %zu bytes", strlen(o->dir));
            goto done;
        }
    }
    TRY_GOTO(files_open(&s->files, s->dir, s->look_only, e), done);
    TRY_GOTO(file_join(path, sizeof path, s->dir, FILES_DB, e), done);
    rc = s->look_only ? open_existing(s, path, DB_LOOK, e)
         : s->beside  ? open_beside(s, path, e)
                      : open_own(s, path, e);
done:
    if (rc == ERR_OK)
        *out = s;
    else
        store_close(s);
    return rc;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    bool was_open = s->ro.h != NULL;
    db_close(&s->ro);
    db_close(&s->rw);
    if (was_open && !s->look_only)
        leave_lock(s);
    else if (s->lock_fd >= 0)
        close(s->lock_fd);
    if (s->files_lock_fd >= 0)
        close(s->files_lock_fd);
    files_close(&s->files);
    pthread_mutex_destroy(&s->files_lock);
    pthread_mutex_destroy(&s->thumbs_lock);
    mem_free(s);
}

enum err_code store_begin(struct store *s, struct err *e)
{
    if (s->look_only)
        return err_set_sys(e, ERR_IO, EROFS, "the store was opened read-only");
    return db_begin(&s->rw, e);
}

enum err_code store_count(struct store *s, struct store_numbers *out, struct err *e)
{
    *out = (struct store_numbers){0};
    db_lock(&s->ro);
    struct db_query q = db_query(
        &s->ro,
        "SELECT (SELECT count(*) FROM assets), (SELECT coalesce(sum(bytes), 0) FROM assets),"
        " (SELECT count(*) FROM projects), (SELECT count(*) FROM jobs),"
        " (SELECT count(*) FROM jobs WHERE state = 'queued'),"
        " (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)",
        e);
    if (db_row(&q)) {
        out->assets = (uint64_t)db_int(&q, 0);
        out->asset_bytes = (uint64_t)db_int(&q, 1);
        out->projects = (uint64_t)db_int(&q, 2);
        out->jobs = (uint64_t)db_int(&q, 3);
        out->jobs_queued = (uint64_t)db_int(&q, 4);
        out->database_bytes = (uint64_t)db_int(&q, 5);
    }
    enum err_code rc = db_done(&q);
    db_unlock(&s->ro);
    return rc;
}

/* ---- references --------------------------------------------------------------------------------- */

enum err_code refs_add(struct store *s, const char *owner, const char *asset, struct err *e)
{
    bool there = false;
    if (asset_is_id(asset)) {
        struct db_query q = db_query(&s->rw, "SELECT 1 FROM assets WHERE id = ?1", e);
        db_bind_text(&q, 1, asset);
        there = db_row(&q);
        enum err_code rc = db_done(&q);
        if (rc != ERR_OK)
            return rc;
    }
    if (!there)
        return err_set(e, ERR_NOTFOUND, "there is no asset '%.80s'", asset);
    struct db_query q =
        db_query(&s->rw, "INSERT OR IGNORE INTO refs (owner, asset) VALUES (?1, ?2)", e);
    db_bind_text(&q, 1, owner);
    db_bind_text(&q, 2, asset);
    return db_run(&q);
}

enum err_code refs_drop(struct store *s, const char *owner, struct err *e)
{
    struct db_query q = db_query(&s->rw, "DELETE FROM refs WHERE owner = ?1", e);
    db_bind_text(&q, 1, owner);
    return db_run(&q);
}
