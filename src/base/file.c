/* file.c - reads, maps and writes whole files; paths.
 *
 * Files are opened without blocking and must be regular: a pipe or a device in place of a checkpoint would hang
 * the program or never end. Sizes are checked before memory is taken. A mapping stays valid when the file is
 * replaced (file_out.h renames, so the old bytes live on), but not when another program shortens the file in
 * place.
 */
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_out.h"

/* Opens a regular file for reading and tells its size. */
static enum err_code open_regular(const char *path, int *fd, size_t *size, struct err *e)
{
    struct stat st;
    /* O_NONBLOCK: opening a pipe nobody writes to must not hang; regular files do not care. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0)
        return err_set_sys(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOTFOUND : ERR_IO, errno,
                           "cannot open '%s'", path);
    if (fstat(*fd, &st) != 0) {
        int sys = errno;
        close(*fd);
        return err_set_sys(e, ERR_IO, sys, "cannot read '%s'", path);
    }
    if (!S_ISREG(st.st_mode)) {
        close(*fd);
        return err_set(e, ERR_ARG, "'%s' is not a regular file", path);
    }
    *size = (size_t)st.st_size;
    return ERR_OK;
}

enum err_code file_map(const char *path, struct file_map *out, struct err *e)
{
    int fd;
    size_t size;
    *out = (struct file_map){0};
    enum err_code rc = open_regular(path, &fd, &size, e);
    if (rc != ERR_OK)
        return rc;
    if (size > 0) {
        void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            rc = err_set_sys(e, ERR_IO, errno, "cannot map '%s'", path);
        else
            *out = (struct file_map){.p = p, .n = size};
    }
    close(fd);
    return rc;
}

void file_unmap(struct file_map *m)
{
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->n);
    *m = (struct file_map){0};
}

enum err_code file_read(const char *path, size_t max_bytes, struct buf *out, struct err *e)
{
    int fd;
    size_t size;
    buf_init(out, max_bytes);
    enum err_code rc = open_regular(path, &fd, &size, e);
    if (rc != ERR_OK)
        return rc;
    if (size > max_bytes) {
        close(fd);
        return err_set(e, ERR_LIMIT, "'%s' has %zu bytes, the limit is %zu", path, size, max_bytes);
    }
    char *p = buf_grow(out, size);
    size_t got = 0;
    if (!p)
        rc = err_set(e, ERR_NOMEM, "no memory for the %zu bytes of '%s'", size, path);
    while (rc == ERR_OK && got < size) {
        ssize_t n = read(fd, p + got, size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_set_sys(e, ERR_IO, errno, "cannot read '%s'", path);
        else if (n == 0)
            rc = err_set(e, ERR_IO, "'%s' ended after %zu of %zu bytes", path, got, size);
        else
            got += (size_t)n;
    }
    close(fd);
    if (rc != ERR_OK)
        buf_deinit(out);
    return rc;
}

enum err_code file_write_mode(const char *path, mode_t mode, const void *p, size_t n, struct err *e)
{
    struct file_out f;
    TRY(file_out_begin(&f, path, mode, n, e));
    enum err_code rc;
    TRY_GOTO(file_out_write(&f, p, n, 0, e), done);
    rc = file_out_commit(&f, e);
done:
    file_out_end(&f);
    return rc;
}

enum err_code file_write_atomic(const char *path, const void *p, size_t n, struct err *e)
{
    return file_write_mode(path, 0666, p, n, e);
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The part behind NAME of "\\\\wsl.localhost\\NAME\\home" or "\\\\wsl$\\NAME\\home"; NULL for other paths. */
static const char *after_share(const char *path)
{
    static const char *const starts[] = {"\\\\wsl.localhost\\", "\\\\wsl$\\"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (strncasecmp(path, starts[i], strlen(starts[i])) == 0)
            return strchr(path + strlen(starts[i]), '\\');
    return NULL;
}

bool file_native_path(const char *path, char *out, size_t out_size)
{
    bool drive =
        isalpha((unsigned char)path[0]) && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
    const char *rest = drive ? path + 2 : after_share(path);
    int n;
    if (file_exists(path) || (!rest && !strchr(path, '\\')))
        return (size_t)snprintf(out, out_size, "%s", path) < out_size;
    if (drive)
        n = snprintf(out, out_size, "/mnt/%c%s", tolower((unsigned char)path[0]), rest);
    else
        n = snprintf(out, out_size, "%s", rest ? rest : path);
    for (char *p = out; *p; p++)
        if (*p == '\\')
            *p = '/';
    return (size_t)n < out_size;
}

enum err_code file_join(char *out, size_t out_size, const char *dir, const char *name,
                        struct err *e)
{
    size_t n = strlen(dir);
    const char *slash = n > 0 && dir[n - 1] == '/' ? "" : "/";
    int len = snprintf(out, out_size, "%s%s%s", dir, slash, name);
    if (len < 0 || (size_t)len >= out_size)
        return err_set(e, ERR_LIMIT, "the path '%.80s.../%.80s' is too long", dir, name);
    return ERR_OK;
}

/* ---- locks ----------------------------------------------------------------------------------- */

enum err_code file_lock(int at, const char *path, mode_t mode, bool wait, int *fd, struct err *e)
{
    enum err_code rc = ERR_OK;
    *fd = openat(at, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (*fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    while (rc == ERR_OK && flock(*fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            rc = err_set(e, ERR_BUSY, "another process holds '%s'", path);
        else if (errno != EINTR)
            rc = err_set_sys(e, ERR_IO, errno, "cannot lock '%s'", path);
    }
    if (rc == ERR_OK)
        return rc;
    close(*fd);
    *fd = -1;
    return rc;
}

void file_unlock(int fd)
{
    if (fd >= 0)
        close(fd);
}
