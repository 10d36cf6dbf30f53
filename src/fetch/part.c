/* part.c - unfinished files, and the keeper, the thread that hashes them and saves their states; see part.h.
 *
 * Order is what makes a kill at any moment harmless: bytes are written, then blocks are marked in memory; a state
 * is encoded, then the bytes are flushed, then the state is written, so it never claims a byte that is not on the
 * disk; a file is hashed from its first byte and flushed before it gets its name. `epoch` counts restarts: the
 * keeper lets go of the lock while it reads or flushes, and throws its result away when the epoch has changed
 * meanwhile.
 */
#include "fetch/part.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/paths.h"

enum {
    HASH_PIECE = 256 << 10, /* fits the second-level cache */
    HASH_TURN = 8 << 20,    /* then the keeper looks whether a state is due */
    STATE_MAX_BYTES = 4 << 20,
    MIN_SAVE_MS = 200,
};

/* A state is worth a flush only for files that take a while. */
static const uint64_t save_from_bytes = 4 << 20;

struct part {
    struct keeper *keeper;
    struct part *next; /* in the keeper's list; under its lock */
    int fd;
    char path[FETCH_PATH_BYTES], state_path[FETCH_PATH_BYTES];
    /* Written by the downloading thread under the lock, so it may read them without. */
    struct segments segments;
    uint64_t frontier; /* bytes from the start without a gap */
    unsigned epoch;    /* counts restarts */
    bool dirty;        /* blocks that the saved state does not have */
    /* Written by the keeper under the lock. */
    uint64_t hashed;
    enum part_state state;
    struct err err;
    /* The keeper's own. */
    unsigned hash_epoch;
    struct sha256 sha;
    struct git_blob git;
    char sha_hex[SHA256_HEX_SIZE], git_hex[GIT_BLOB_HEX_BYTES];
};

struct keeper {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what struct part says, and the fields below */
    pthread_cond_t work;
    struct part *parts;
    bool stop;
    void (*wake)(void *user);
    void *user;
    /* The keeper's own. */
    unsigned char *piece;
    double next_save_s;
};

/* ---- the keeper's thread: digests ------------------------------------------------------------------------- */

static void begin_digests(struct part *p)
{
    sha256_init(&p->sha);
    git_blob_init(&p->git, p->segments.size);
    p->hash_epoch = p->epoch;
    p->hashed = 0;
}

/* [from, to) into the digests; false when it cannot be read. */
static bool hash_range(struct keeper *k, struct part *p, uint64_t from, uint64_t to)
{
    bool git = p->segments.size < (uint64_t)64 << 20; /* larger files are not named by git */
    while (from < to) {
        size_t want = to - from < HASH_PIECE ? (size_t)(to - from) : HASH_PIECE;
        ssize_t n = pread(p->fd, k->piece, want, (off_t)from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        sha256_add(&p->sha, k->piece, (size_t)n);
        if (git)
            git_blob_add(&p->git, k->piece, (size_t)n);
        from += (uint64_t)n;
    }
    return true;
}

static void fail_part(struct part *p, const char *doing, int sys)
{
    p->state = PART_FAILED;
    err_set_sys_text(&p->err, ERR_IO, sys, "cannot %s '%s'", doing, p->path);
}

/* All bytes are hashed: flush them and say so. */
static void complete(struct keeper *k, struct part *p)
{
    unsigned epoch = p->epoch;
    pthread_mutex_unlock(&k->lock);
    bool flushed = fdatasync(p->fd) == 0;
    int sys = errno;
    pthread_mutex_lock(&k->lock);
    if (epoch != p->epoch)
        return;
    if (flushed) {
        sha256_hex(&p->sha, p->sha_hex);
        git_blob_end(&p->git, p->git_hex);
        p->state = PART_COMPLETE;
    } else {
        fail_part(p, "flush", sys);
    }
    k->wake(k->user);
}

/* Called and returning with the lock held; true when there was something to do. */
static bool hash_some(struct keeper *k)
{
    struct part *p = k->parts;
    while (p &&
           (p->state != PART_GROWING || (p->hash_epoch == p->epoch && p->hashed == p->frontier &&
                                         p->hashed < p->segments.size)))
        p = p->next;
    if (!p)
        return false;
    if (p->hash_epoch != p->epoch)
        begin_digests(p);
    if (p->hashed < p->frontier) {
        uint64_t from = p->hashed, to = p->frontier;
        unsigned epoch = p->epoch;
        if (to - from > HASH_TURN)
            to = from + HASH_TURN;
        pthread_mutex_unlock(&k->lock);
        bool read = hash_range(k, p, from, to);
        int sys = errno;
        pthread_mutex_lock(&k->lock);
        if (epoch != p->epoch)
            return true;
        p->hashed = to;
        if (!read) {
            fail_part(p, "read back", sys);
            k->wake(k->user);
            return true;
        }
    }
    if (p->hashed == p->segments.size)
        complete(k, p);
    return true;
}

/* ---- the keeper's thread: states -------------------------------------------------------------------------- */

/* The blocks are copied before the flush, so that the state claims no byte that is not flushed. Failing to
 * save costs a repetition after a kill, no more; so it is said and forgotten. */
static void save_state(struct keeper *k, struct part *p)
{
    struct buf text;
    struct err e = {0};
    buf_init(&text, STATE_MAX_BYTES);
    segments_encode(&p->segments, &text);
    p->dirty = false;
    unsigned epoch = p->epoch;
    pthread_mutex_unlock(&k->lock);
    if (buf_failed(&text))
        err_set_text(&e, ERR_NOMEM, "no memory for the state of '%s'", p->path);
    else if (fdatasync(p->fd) != 0)
        err_set_sys_text(&e, ERR_IO, errno, "cannot flush '%s'", p->path);
    else if (file_write_atomic(p->state_path, text.p, text.n, &e) == ERR_OK)
        err_clear(&e);
    if (e.code != ERR_OK)
        log_debug("%s", e.text);
    buf_deinit(&text);
    pthread_mutex_lock(&k->lock);
    if (epoch != p->epoch) /* restarted meanwhile: what was written is about other bytes */
        (void)unlink(p->state_path);
}

/* Saving takes at most a twentieth of the keeper's time, whatever the disk. */
static void save_due(struct keeper *k, bool now)
{
    double start = clock_s();
    if (!now && start < k->next_save_s)
        return;
    bool any = false;
    for (struct part *p = k->parts; p; p = p->next)
        if (p->dirty && p->state == PART_GROWING && p->segments.size >= save_from_bytes) {
            save_state(k, p);
            any = true;
        }
    double took = clock_s() - start;
    if (any)
        k->next_save_s =
            clock_s() + (20 * took > MIN_SAVE_MS / 1e3 ? 20 * took : MIN_SAVE_MS / 1e3);
}

static bool anything_dirty(const struct keeper *k)
{
    for (const struct part *p = k->parts; p; p = p->next)
        if (p->dirty && p->state == PART_GROWING && p->segments.size >= save_from_bytes)
            return true;
    return false;
}

static void wait_for_work(struct keeper *k)
{
    if (!anything_dirty(k)) {
        pthread_cond_wait(&k->work, &k->lock);
        return;
    }
    double left = k->next_save_s - clock_s();
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (left > 0) {
        int64_t ns = until.tv_nsec + (int64_t)(left * 1e9);
        until.tv_sec += ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        (void)pthread_cond_timedwait(&k->work, &k->lock, &until);
    }
}

static void *run_keeper(void *user)
{
    struct keeper *k = user;
    pthread_mutex_lock(&k->lock);
    while (!k->stop) {
        save_due(k, false);
        if (!k->stop && !hash_some(k))
            wait_for_work(k);
    }
    save_due(k, true);
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

enum err_code keeper_new(void (*wake)(void *user), void *user, struct keeper **out, struct err *e)
{
    struct keeper *k = mem_alloc(sizeof *k);
    pthread_condattr_t attr;
    *out = NULL;
    k->wake = wake;
    k->user = user;
    k->piece = mem_try_alloc(HASH_PIECE);
    pthread_mutex_init(&k->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k->work, &attr);
    pthread_condattr_destroy(&attr);
    int sys = k->piece ? pthread_create(&k->thread, NULL, run_keeper, k) : ENOMEM;
    if (sys == 0) {
        *out = k;
        return ERR_OK;
    }
    mem_free(k->piece);
    mem_free(k);
    return err_set_sys(e, ERR_NOMEM, sys, "cannot start a thread");
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    pthread_mutex_lock(&k->lock);
    k->stop = true;
    pthread_cond_signal(&k->work);
    pthread_mutex_unlock(&k->lock);
    pthread_join(k->thread, NULL);
    for (struct part *p = k->parts; p; p = p->next)
        p->keeper = NULL;
    pthread_cond_destroy(&k->work);
    pthread_mutex_destroy(&k->lock);
    mem_free(k->piece);
    mem_free(k);
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

/* What was kept of the same file, or a fresh start; never an error. */
static enum err_code load_segments(struct part *p, const struct part_options *o, bool file_fits,
                                   struct err *e)
{
    struct buf text;
    struct segments old;
    if (file_fits && file_read(o->state_path, STATE_MAX_BYTES, &text, NULL) == ERR_OK) {
        enum err_code rc = segments_decode(buf_str(&text), &old, NULL);
        buf_deinit(&text);
        if (rc == ERR_OK && old.size == o->size && strcmp(old.identity, o->identity) == 0) {
            p->segments = old;
            return ERR_OK;
        }
        if (rc == ERR_OK)
            segments_deinit(&old);
    }
    return segments_init(&p->segments, o->size, o->identity, e);
}

/* Room for the whole file now, so that a full disk is known at the start. File systems that cannot reserve
 * get a length only, and so does memory, where reserving means writing it all once; FAT cannot hold files from 4 GiB on and says so here. */
static enum err_code reserve(struct part *p, uint64_t size, struct err *e)
{
    struct statfs fs;
    bool memory = fstatfs(p->fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
    if (size > 0 && !memory && fallocate(p->fd, 0, 0, (off_t)size) == 0)
        return ERR_OK;
    if (size > 0 && !memory && errno == ENOSPC)
        return err_set(e, ERR_IO, "the disk has no room for '%s'", p->path);
    if (ftruncate(p->fd, (off_t)size) == 0)
        return ERR_OK;
    if (errno == EFBIG)
        return err_set(
            e, ERR_IO,
            "the drive of '%s' cannot hold a file of %llu bytes (FAT32?); use ext4, xfs, "
            "NTFS or exFAT",
            p->path, (unsigned long long)size);
    return err_set_sys(e, ERR_IO, errno, "cannot make room for '%s'", p->path);
}

static enum err_code open_files(struct part *p, const struct part_options *o, struct err *e)
{
    struct stat st;
    TRY(folder_make_parents(p->path, 0777, e));
    p->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (p->fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", p->path);
    if (fstat(p->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "'%s' is in the way: it is no regular file", p->path);
    TRY(load_segments(p, o, (uint64_t)st.st_size == o->size, e));
    if ((uint64_t)st.st_size > o->size && ftruncate(p->fd, 0) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot empty '%s'", p->path);
    return reserve(p, o->size, e);
}

enum err_code part_open(struct keeper *k, const struct part_options *o, struct part **out,
                        struct err *e)
{
    struct part *p = mem_alloc(sizeof *p);
    *out = NULL;
    p->keeper = k;
    (void)snprintf(p->path, sizeof p->path, "%s", o->path);
    (void)snprintf(p->state_path, sizeof p->state_path, "%s", o->state_path);
    p->fd = -1;
    enum err_code rc = open_files(p, o, e);
    if (rc != ERR_OK) {
        part_free(p);
        return rc;
    }
    p->frontier = segments_prefix_bytes(&p->segments, 0);
    p->epoch = 1; /* the keeper begins the digests when it first sees the part */
    pthread_mutex_lock(&k->lock);
    p->next = k->parts;
    k->parts = p;
    pthread_cond_signal(&k->work);
    pthread_mutex_unlock(&k->lock);
    *out = p;
    return ERR_OK;
}

static void forget(struct part *p)
{
    if (!p->keeper)
        return;
    pthread_mutex_lock(&p->keeper->lock);
    for (struct part **at = &p->keeper->parts; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    pthread_mutex_unlock(&p->keeper->lock);
    p->keeper = NULL;
}

void part_free(struct part *p)
{
    if (!p)
        return;
    if (p->fd >= 0)
        close(p->fd);
    segments_deinit(&p->segments);
    mem_free(p);
}

/* ---- the downloading thread ----------------------------------------------------------------------------------- */

const struct segments *part_segments(const struct part *p)
{
    return &p->segments;
}

enum err_code part_write(struct part *p, uint64_t offset, const void *bytes, size_t n,
                         struct err *e)
{
    const char *from = bytes;
    while (n > 0) {
        ssize_t w = pwrite(p->fd, from, n, (off_t)offset);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return errno == ENOSPC || errno == EDQUOT
                       ? err_set(e, ERR_IO, "the disk is full: no room for '%s'", p->path)
                       : err_set_sys(e, ERR_IO, errno, "cannot write '%s'", p->path);
        from += w;
        offset += (uint64_t)w;
        n -= (size_t)w;
    }
    return ERR_OK;
}

void part_block_done(struct part *p, size_t block)
{
    pthread_mutex_lock(&p->keeper->lock);
    segments_mark(&p->segments, block);
    p->frontier = segments_prefix_bytes(&p->segments, p->frontier);
    p->dirty = true;
    pthread_cond_signal(&p->keeper->work);
    pthread_mutex_unlock(&p->keeper->lock);
}

void part_restart(struct part *p, const char *identity)
{
    pthread_mutex_lock(&p->keeper->lock);
    segments_clear(&p->segments);
    if (identity)
        (void)snprintf(p->segments.identity, sizeof p->segments.identity, "%s", identity);
    p->frontier = 0;
    p->epoch++;
    p->state = PART_GROWING;
    p->dirty = false;
    (void)unlink(p->state_path);
    pthread_cond_signal(&p->keeper->work);
    pthread_mutex_unlock(&p->keeper->lock);
}

enum part_state part_state(struct part *p, struct err *e)
{
    pthread_mutex_lock(&p->keeper->lock);
    enum part_state state = p->state;
    if (state == PART_FAILED && e)
        *e = p->err;
    pthread_mutex_unlock(&p->keeper->lock);
    return state;
}

const char *part_sha256(const struct part *p)
{
    return p->sha_hex;
}

const char *part_git_blob(const struct part *p)
{
    return p->git_hex;
}

enum err_code part_publish(struct part *p, const char *path, struct err *e)
{
    forget(p);
    TRY(folder_make_parents(path, 0777, e));
    if (fsync(p->fd) != 0 || rename(p->path, path) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot put '%s' in its place", path);
    folder_sync_of(path);
    (void)unlink(p->state_path);
    return ERR_OK;
}
