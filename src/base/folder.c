/* folder.c - makes and removes folders, and says where the program's own are.
 *
 * A temporary folder is made beside the place that it will be renamed to, because a rename works within one file
 * system only. What was renamed lasts after a crash only when the folder that holds the name is synced, too;
 * folder_sync_of is for that, and its failure is no error: the data are whole either way. Removing a tree goes on
 * after a failure and never follows a link out of it.
 */
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"

enum { MAX_TRIES = 100 };

enum err_code folder_of(const char *path, char out[FOLDER_PATH_BYTES], struct err *e)
{
    const char *slash = strrchr(path, '/');
    size_t n = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (n >= FOLDER_PATH_BYTES)
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", path);
    memcpy(out, slash ? path : ".", n);
    out[n] = 0;
    return ERR_OK;
}

static enum err_code make_one(const char *dir, mode_t mode, struct err *e)
{
    int sys = mkdir(dir, mode) == 0 ? 0 : errno;
    if (sys == 0 || file_is_dir(dir))
        return ERR_OK;
    if (sys == EEXIST || sys == ENOTDIR)
        return err_set(e, ERR_IO, "'%s' is in the way: it is not a folder", dir);
    return err_set_sys(e, ERR_IO, sys, "cannot make the folder '%s'", dir);
}

enum err_code folder_make(const char *dir, mode_t mode, struct err *e)
{
    char part[FOLDER_PATH_BYTES];
    size_t n = strlen(dir);
    enum err_code rc = ERR_OK;
    if (n == 0 || n >= sizeof part)
        return err_set(e, n ? ERR_LIMIT : ERR_ARG, "the path '%.80s%s", dir,
                       n ? "...' is too long" : "' names no folder");
    memcpy(part, dir, n + 1);
    for (size_t i = 1; i <= n && rc == ERR_OK; i++) {
        if ((part[i] != '/' && part[i] != 0) || part[i - 1] == '/')
            continue;
        part[i] = 0;
        rc = make_one(part, mode, e);
        part[i] = dir[i];
    }
    return rc;
}

enum err_code folder_make_parents(const char *path, mode_t mode, struct err *e)
{
    char dir[FOLDER_PATH_BYTES];
    TRY(folder_of(path, dir, e));
    return folder_make(dir, mode, e);
}

enum err_code folder_make_temp(const char *path, char *out, size_t out_size, struct err *e)
{
    uint64_t r;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    for (int tries = 0;; tries++) {
        TRY(random_bytes(&r, sizeof r, e));
        int len = snprintf(out, out_size, "%.*s.tmp-%016llx", (int)n, path, (unsigned long long)r);
        if (n > INT_MAX || len < 0 || (size_t)len >= out_size)
            return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", path);
        if (mkdir(out, 0777) == 0)
            return ERR_OK;
        if (errno != EEXIST || tries == MAX_TRIES)
            return err_set_sys(e, ERR_IO, errno, "cannot make the folder '%s'", path);
    }
}

enum err_code folder_sync_fd(int fd, struct err *e)
{
    if (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == EBADF || errno == EROFS)
        return ERR_OK;
    return err_set_sys(e, ERR_IO, errno, "cannot flush a folder");
}

void folder_sync_of(const char *path)
{
    char dir[FOLDER_PATH_BYTES];
    if (folder_of(path, dir, NULL) != ERR_OK)
        return;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

void folder_remove_tree(const char *dir)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the home folder ------------------------------------------------------------------------- */

enum { PATH_BYTES = 4096 };

static enum err_code home_folder(enum home_kind kind, char *out, size_t size, struct err *e)
{
    const char *own = getenv("VEETANCE_HOME"), *home = getenv("HOME");
    const char *xdg = getenv(kind == HOME_CONFIG ? "XDG_CONFIG_HOME" : "XDG_DATA_HOME");
    int n;
    if (own && *own)
        n = snprintf(out, size, "%s", own);
    else if (xdg && xdg[0] == '/') /* the XDG specification: ignore relative paths */
        n = snprintf(out, size, "%s/veetance", xdg);
    else if (home && *home)
        n = snprintf(out, size, "%s/%s/veetance", home,
                     kind == HOME_CONFIG ? ".config" : ".local/share");
    else
        return err_set(e, ERR_NOTFOUND, "neither VEETANCE_HOME nor HOME is set");
    if (n < 0 || (size_t)n >= size)
        return err_set(e, ERR_LIMIT, "the path of the home folder is too long");
    return ERR_OK;
}

enum err_code home_path(enum home_kind kind, const char *name, char *out, size_t out_size,
                        struct err *e)
{
    char dir[PATH_BYTES];
    if (!name)
        return home_folder(kind, out, out_size, e);
    TRY(home_folder(kind, dir, sizeof dir, e));
    return file_join(out, out_size, dir, name, e);
}
