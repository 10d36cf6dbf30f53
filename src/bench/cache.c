#include "bench/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/folder.h"

enum { PATH_BYTES = 4096 };

/* Left free on the disk, besides what the model takes. */
static const uint64_t SPARE_BYTES = (uint64_t)1 << 30;

/* ---- folders ---------------------------------------------------------------------------------------- */

static enum err_code cache_folder(const char *wanted, char *out, struct err *e)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;
    if (wanted)
        n = snprintf(out, PATH_BYTES, "%s", wanted);
    else if (xdg && xdg[0] == '/')
        n = snprintf(out, PATH_BYTES, "%s/veetance/bench", xdg);
    else if (home && *home)
        n = snprintf(out, PATH_BYTES, "%s/.cache/veetance/bench", home);
    else
        return err_set(e, ERR_ARG, "neither XDG_CACHE_HOME nor HOME is set; name a cache folder");
    if (n < 0 || n >= PATH_BYTES)
        return err_set(e, ERR_LIMIT, "the cache folder's path is too long");
    return folder_make(out, 0777, e);
}

static enum err_code check_space(const char *dir, uint64_t bytes, struct err *e)
{
    struct statvfs v;
    if (statvfs(dir, &v) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot read the free space of '%s'", dir);
    uint64_t have = (uint64_t)v.f_bavail * v.f_frsize;
    if (have < bytes + SPARE_BYTES)
        return err_set(e, ERR_IO,
                       "'%s' has %.1f GB free, the synthetic model needs %.1f GB; name another "
                       "cache folder",
                       dir, (double)have * 1e-9, (double)(bytes + SPARE_BYTES) * 1e-9);
    return ERR_OK;
}

/* ---- a model that is there or is made ---------------------------------------------------------------- */

/* Writes into `partial`, which a lock keeps for us alone, and gives it its name. What an earlier process left
 * there when it was killed goes first. */
static enum err_code write_and_rename(const struct bench_cached *what, const char *partial,
                                      const char *whole, const struct bench_writing *run,
                                      struct err *e)
{
    char lock[PATH_BYTES];
    int fd, n = snprintf(lock, sizeof lock, "%s.lock", partial);
    if (n < 0 || (size_t)n >= sizeof lock)
        return err_set(e, ERR_LIMIT, "the cache folder's path is too long");
    enum err_code rc = file_lock(AT_FDCWD, lock, 0666, false, &fd, e);
    if (rc == ERR_BUSY)
        rc = err_set(e, ERR_BUSY, "another process is writing '%s' now", whole);
    if (rc == ERR_OK && !file_is_dir(whole)) {
        folder_remove_tree(partial);
        rc = folder_make(partial, 0777, e);
        if (rc == ERR_OK)
            rc = what->write(what->user, partial, run, e);
        if (rc == ERR_OK && rename(partial, whole) != 0)
            rc = err_set_sys(e, ERR_IO, errno, "cannot give '%s' its name", whole);
        if (rc != ERR_OK)
            folder_remove_tree(partial);
    }
    file_unlock(fd);
    return rc;
}

enum err_code bench_cache_get(const struct bench_cached *what, const char *cache_dir,
                              const struct bench_writing *run, char *out, size_t out_size,
                              struct err *e)
{
    char cache[PATH_BYTES], partial[PATH_BYTES];
    TRY(cache_folder(cache_dir, cache, e));
    TRY(file_join(out, out_size, cache, what->name, e));
    if (file_is_dir(out))
        return ERR_OK;
    int n = snprintf(partial, sizeof partial, "%s.partial", out);
    if (n < 0 || (size_t)n >= sizeof partial)
        return err_set(e, ERR_LIMIT, "the cache folder's path is too long");
    TRY(check_space(cache, what->bytes, e));
    return write_and_rename(what, partial, out, run, e);
}
