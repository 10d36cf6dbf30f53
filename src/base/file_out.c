#include "base/file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { PATH_BYTES = 4096 };

static enum err_code cannot_write(const struct file_out *f, int sys, struct err *e)
{
    return err_set_sys(e, ERR_IO, sys, "cannot write '%s'", f->path);
}

/* The folder that path lies in. */
static bool folder_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    int n = !slash
                ? snprintf(out, PATH_BYTES, ".")
                : snprintf(out, PATH_BYTES, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return n > 0 && n < PATH_BYTES;
}

/* A file without a name gets one through /proc. */
static int open_nameless(const char *path)
{
    char folder[PATH_BYTES];
    if (!folder_of(path, folder) || access("/proc/self/fd", X_OK) != 0)
        return -1;
    return open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
}

static void forget(struct file_out *f)
{
    mem_free(f->path);
    mem_free(f->temp);
    *f = (struct file_out){.fd = -1};
}

enum err_code file_out_begin(struct file_out *f, const char *path, uint64_t bytes, struct err *e)
{
    char temp[PATH_BYTES];
    int n = snprintf(temp, sizeof temp, "%s.tmp-%ld", path, (long)getpid());
    *f = (struct file_out){.fd = -1};
    if (n < 0 || (size_t)n >= sizeof temp)
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", path);
    f->path = mem_try_strndup(path, strlen(path));
    f->temp = mem_try_strndup(temp, strlen(temp));
    if (!f->path || !f->temp) {
        forget(f);
        return err_set(e, ERR_NOMEM, "no memory to write '%s'", path);
    }
    f->fd = open_nameless(path);
    f->nameless = f->fd >= 0;
    if (!f->nameless)
        f->fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    enum err_code rc = f->fd >= 0 ? ERR_OK : cannot_write(f, errno, e);
    /* File systems that cannot take room in advance are no reason to stop, a full one is. */
    if (rc == ERR_OK && bytes > 0 && fallocate(f->fd, 0, 0, (off_t)bytes) != 0 &&
        (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
        rc = cannot_write(f, errno, e);
    if (rc == ERR_OK && ftruncate(f->fd, (off_t)bytes) != 0)
        rc = cannot_write(f, errno, e);
    if (rc != ERR_OK)
        file_out_end(f);
    return rc;
}

enum err_code file_out_write(const struct file_out *f, const void *p, size_t n, uint64_t at,
                             struct err *e)
{
    const unsigned char *c = p;
    while (n > 0) {
        ssize_t done = pwrite(f->fd, c, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return cannot_write(f, errno, e);
        c += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return ERR_OK;
}

/* Gives a nameless file the temporary name, from which it can replace an older file. */
static int give_name(const struct file_out *f)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", f->fd);
    if (linkat(AT_FDCWD, link, AT_FDCWD, f->temp, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != EEXIST) /* left by a process of the same number that was killed */
        return -1;
    (void)unlink(f->temp);
    return linkat(AT_FDCWD, link, AT_FDCWD, f->temp, AT_SYMLINK_FOLLOW);
}

/* The new name must outlive a power cut, too; a file system that cannot sync a folder is not at fault. */
static void sync_folder(const char *path)
{
    char folder[PATH_BYTES];
    int fd = folder_of(path, folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

enum err_code file_out_commit(struct file_out *f, struct err *e)
{
    if (fsync(f->fd) != 0)
        return cannot_write(f, errno, e);
    if (f->nameless && give_name(f) != 0)
        return cannot_write(f, errno, e);
    f->nameless = false;
    if (rename(f->temp, f->path) != 0)
        return cannot_write(f, errno, e);
    sync_folder(f->path);
    close(f->fd);
    forget(f);
    return ERR_OK;
}

void file_out_end(struct file_out *f)
{
    if (f->fd >= 0) {
        close(f->fd);
        if (!f->nameless)
            (void)unlink(f->temp);
    }
    forget(f);
}
