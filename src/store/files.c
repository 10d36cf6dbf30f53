/* files.c - the folders of a store; see files.h.
 *
 * All work is relative to descriptors of the store's own folders, opened once and never through a link: whatever
 * is put in a folder's place later, a removal cannot be led elsewhere. A new file is made in tmp/ under a name
 * that begins with this process's token, so that a later process can tell its own from what a killed one left, and
 * is renamed to its place when it is whole. The order is: file data synced by the caller, rename, then the folder
 * synced.
 */
#include "store/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_out.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/random.h"

static enum err_code open_root(const char *dir, int *out, struct err *e)
{
    *out = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out < 0)
        return err_set_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, errno,
                           "cannot open the store's folder '%s'", dir);
    return ERR_OK;
}

/* One of the store's own folders. A link is refused: what it leads to is not the store's to tidy. */
static enum err_code open_dir(const char *dir, int root, const char *name, bool make, int *out,
                              struct err *e)
{
    struct stat st;
    if (make && mkdirat(root, name, 0700) != 0 && errno != EEXIST)
        return err_set_sys(e, ERR_IO, errno, "cannot make the store's folder '%s'", name);
    *out = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*out >= 0)
        return ERR_OK;
    int sys = errno;
    if (fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        return err_set(e, ERR_FORMAT,
                       "'%s' in the store '%s' is a link and not a folder; it is not followed",
                       name, dir);
    return err_set_sys(e, sys == ENOENT ? ERR_NOTFOUND : ERR_IO, sys,
                       "cannot open the store's folder '%s'", name);
}

/* ---- rights --------------------------------------------------------------------------------------- */

static void close_to_others(int at, const char *name)
{
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || (st.st_mode & 077) == 0 ||
        S_ISLNK(st.st_mode))
        return;
    if (fchmodat(at, name, st.st_mode & 0700, 0) != 0)
        log_warn("other users can read '%s' in the store, and its permissions cannot be changed",
                 name);
}

void files_close_to_others(const struct files *f)
{
    static const char *const names[] = {"assets",     "thumbs", "tmp",           "lock",
                                        "files.lock", FILES_DB, FILES_DB "-wal", FILES_DB "-shm"};
    struct stat st;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        close_to_others(f->root, names[i]);
    if (fstatat(f->root, "models", &st, 0) != 0)
        close_to_others(f->root, ".");
}

enum err_code files_open(struct files *f, const char *dir, bool look_only, struct err *e)
{
    unsigned char token[8];
    *f = (struct files){.root = -1, .assets = -1, .thumbs = -1, .tmp = -1};
    enum err_code rc = ERR_OK;
    if (!look_only)
        TRY_GOTO(folder_make(dir, 0700, e), done);
    TRY_GOTO(open_root(dir, &f->root, e), done);
    TRY_GOTO(open_dir(dir, f->root, "assets", !look_only, &f->assets, e), done);
    if (!look_only)
        TRY_GOTO(open_dir(dir, f->root, "thumbs", true, &f->thumbs, e), done);
    if (!look_only)
        TRY_GOTO(open_dir(dir, f->root, "tmp", true, &f->tmp, e), done);
    TRY_GOTO(random_bytes(token, sizeof token, e), done);
    for (size_t i = 0; i < sizeof token; i++)
        snprintf(f->token + 2 * i, 4, "%02x-", token[i]); /* the last dash stays */
done:
    if (rc != ERR_OK)
        files_close(f);
    return rc;
}

void files_close(struct files *f)
{
    int *all[] = {&f->root, &f->assets, &f->thumbs, &f->tmp};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}

void files_asset_name(const char *id, char out[FILES_NAME_SIZE])
{
    snprintf(out, FILES_NAME_SIZE, "%.2s/%.64s", id, id);
}

void files_thumb_name(const char *id, int side, char out[FILES_NAME_SIZE])
{
    snprintf(out, FILES_NAME_SIZE, "%.2s/%.64s.%d.webp", id, id, side);
}

enum err_code files_temp(const struct files *f, char name[FILES_NAME_SIZE], int *fd, struct err *e)
{
    return file_temp(f->tmp, f->token, 0600, name, fd, e);
}

void files_temp_drop(const struct files *f, const char *name)
{
    (void)unlinkat(f->tmp, name, 0);
}

bool files_temp_is_ours(const char *name)
{
    size_t hex = 0;
    for (const char *p = name; *p; p++)
        hex += (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f');
    return strlen(name) == 33 && name[16] == '-' && hex == 32;
}

bool files_temp_is_old(const struct files *f, const char *name)
{
    return strncmp(name, f->token, strlen(f->token)) != 0;
}

enum err_code files_settle(const struct files *f, const char *name, int to_dir, const char *to,
                           bool sync, struct err *e)
{
    const char shard[3] = {to[0], to[1], '\0'};
    bool made = mkdirat(to_dir, shard, 0700) == 0;
    int dir = openat(to_dir, shard, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int sys = dir < 0 ? errno : 0;
    if (sys == 0 && renameat(f->tmp, name, to_dir, to) != 0)
        sys = errno;
    if (sys == 0 && sync && fsync(dir) != 0)
        sys = errno;
    if (sys == 0 && sync && made && fsync(to_dir) != 0)
        sys = errno;
    if (dir >= 0)
        close(dir);
    if (sys != 0)
        return err_set_sys(e, ERR_IO, sys, "cannot move a file into the store");
    return ERR_OK;
}

static DIR *dir_at(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d && fd >= 0)
        close(fd);
    return d;
}

static enum err_code walk_one(int dir, const char *prefix, files_see_fn see, void *user,
                              struct err *e)
{
    DIR *d = dir_at(dir, prefix);
    enum err_code rc = ERR_OK;
    if (!d)
        return errno == ENOTDIR || errno == ENOENT
                   ? ERR_OK
                   : err_set_sys(e, ERR_IO, errno, "cannot list the store's folder '%s'", prefix);
    for (struct dirent *ent = readdir(d); ent && rc == ERR_OK; ent = readdir(d)) {
        char name[600];
        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
            continue;
        if (strcmp(prefix, ".") == 0)
            snprintf(name, sizeof name, "%s", ent->d_name);
        else
            snprintf(name, sizeof name, "%s/%s", prefix, ent->d_name);
        rc = see(name, user, e);
    }
    closedir(d);
    return rc;
}

struct inner {
    int dir;
    files_see_fn see;
    void *user;
};

static enum err_code walk_inner(const char *name, void *user, struct err *e)
{
    const struct inner *in = user;
    return walk_one(in->dir, name, in->see, in->user, e);
}

enum err_code files_walk(int dir, bool two_levels, files_see_fn see, void *user, struct err *e)
{
    struct inner in = {.dir = dir, .see = see, .user = user};
    if (two_levels)
        return walk_one(dir, ".", walk_inner, &in, e);
    return walk_one(dir, ".", see, user, e);
}
