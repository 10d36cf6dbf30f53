/* file_out.c - writes a file so that nobody ever sees half of one.
 *
 * Order, which is what makes a crash harmless: write into a file that has no name yet; fsync it; give it a
 * temporary name beside the target (only a named file can replace another); rename over the target; fsync the
 * folder. Before the rename the old file is untouched, after it the new one is complete. O_TMPFILE is tried first,
 * since the kernel then removes a half-written file whatever happens to us; file systems without it get a hidden
 * named file, which file_out_end removes.
 *
 * The target is found first, behind every link, as a rename over a link would replace the link. What cannot be
 * replaced (a pipe, /dev/stdout) is written to directly and only in order.
 *
 * A file_out belongs to one caller; file_out_write on a regular file may be called from several threads at once,
 * with ranges that do not overlap.
 */
#include "base/file_out.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"

enum { PATH_BYTES = FOLDER_PATH_BYTES, MAX_LINKS = 40, MAX_TRIES = 100, PROC_MAGIC = 0x9fa0 };

static const char temp_prefix[] = ".veetance-tmp-";

/* ---- where a path leads ------------------------------------------------------------------------------- */

struct target {
    char path[PATH_BYTES]; /* behind every link */
    bool exists;
    bool direct;    /* cannot be replaced, only written to */
    struct stat st; /* when it exists and is not direct */
};

static enum err_code cannot_write(const char *path, int sys, struct err *e)
{
    return err_set_sys(e, ERR_IO, sys, "cannot write '%s'", path);
}

/* /proc/self/fd/N, under any of its names, is a descriptor of ours. Opening it anew would begin at the start of
 * a file that others have written to, and cannot be done to a socket. */
static int own_descriptor(const char *path)
{
    char dir[PATH_BYTES], real[PATH_MAX], ours[64];
    int64_t number;
    const char *slash = strrchr(path, '/');
    if (!slash || !str_to_i64(str_from(slash + 1), &number) || number < 0 || number > INT_MAX ||
        folder_of(path, dir, NULL) != ERR_OK || !realpath(dir, real))
        return -1;
    (void)snprintf(ours, sizeof ours, "/proc/%ld/", (long)getpid());
    return strncmp(real, ours, strlen(ours)) == 0 ? (int)number : -1;
}

/* Links in /proc lead to open files, whatever path they show. */
static bool is_in_proc(const char *path)
{
    char dir[PATH_BYTES];
    struct statfs fs;
    return folder_of(path, dir, NULL) == ERR_OK && statfs(dir, &fs) == 0 && fs.f_type == PROC_MAGIC;
}

/* Replaces the path of a link by that of what it leads to. */
static enum err_code follow(char path[PATH_BYTES], struct err *e)
{
    char link[PATH_BYTES], dir[PATH_BYTES];
    ssize_t n = readlink(path, link, sizeof link - 1);
    if (n < 0)
        return cannot_write(path, errno, e);
    link[n] = 0;
    if (link[0] == '/') {
        memcpy(path, link, (size_t)n + 1);
        return ERR_OK;
    }
    TRY(folder_of(path, dir, e));
    return file_join(path, PATH_BYTES, dir, link, e);
}

static enum err_code find_target(const char *path, struct target *t, struct err *e)
{
    size_t n = strlen(path);
    t->exists = t->direct = false;
    if (n >= sizeof t->path)
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", path);
    memcpy(t->path, path, n + 1);
    for (int links = 0; lstat(t->path, &t->st) == 0; links++) {
        if (!S_ISLNK(t->st.st_mode)) {
            t->exists = true;
            t->direct = S_ISFIFO(t->st.st_mode) || S_ISCHR(t->st.st_mode);
            break;
        }
        if (links == MAX_LINKS)
            return cannot_write(path, ELOOP, e);
        t->direct = is_in_proc(t->path);
        if (t->direct)
            break;
        enum err_code rc = follow(t->path, e);
        if (rc != ERR_OK)
            return rc;
    }
    if (t->direct || !t->exists || S_ISREG(t->st.st_mode))
        return ERR_OK;
    return err_set(e, ERR_ARG, "cannot write '%s': it is %s", path,
                   S_ISDIR(t->st.st_mode) ? "a folder" : "not a regular file");
}

bool file_out_is_direct(const char *path)
{
    struct target t;
    return find_target(path, &t, NULL) == ERR_OK && t.direct;
}

/* ---- temporary files ---------------------------------------------------------------------------------- */

static enum err_code temp_name(const char *prefix, char name[FILE_TEMP_NAME_BYTES], struct err *e)
{
    uint64_t r;
    TRY(random_bytes(&r, sizeof r, e));
    (void)snprintf(name, FILE_TEMP_NAME_BYTES, "%.40s%016llx", prefix, (unsigned long long)r);
    return ERR_OK;
}

enum err_code file_temp(int folder, const char *prefix, mode_t mode,
                        char name[FILE_TEMP_NAME_BYTES], int *fd, struct err *e)
{
    *fd = -1;
    for (int tries = 0; *fd < 0; tries++) {
        enum err_code rc = temp_name(prefix, name, e);
        if (rc != ERR_OK)
            return rc;
        *fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (*fd < 0 && (errno != EEXIST || tries == MAX_TRIES))
            return err_set_sys(e, ERR_IO, errno, "cannot make a temporary file");
    }
    return ERR_OK;
}

enum err_code file_write_all(int fd, const void *p, size_t n, struct err *e)
{
    const unsigned char *c = p;
    while (n > 0) {
        ssize_t done = write(fd, c, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_set_sys(e, ERR_IO, errno, "cannot write");
        c += done;
        n -= (size_t)done;
    }
    return ERR_OK;
}

/* Without /proc a file opened like this could not be given a name later. */
static int open_nameless(int folder, mode_t mode)
{
    if (access("/proc/self/fd", X_OK) != 0)
        return -1;
    return openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
}

/* Gives a nameless file the temporary name, from which it can replace an older file. */
static enum err_code give_temp_name(struct file_out *f, struct err *e)
{
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", f->fd);
    for (int tries = 0; !f->linked; tries++) {
        enum err_code rc = temp_name(temp_prefix, f->temp, e);
        if (rc != ERR_OK)
            return rc;
        f->linked = linkat(AT_FDCWD, link, f->folder, f->temp, AT_SYMLINK_FOLLOW) == 0;
        if (!f->linked && (errno != EEXIST || tries == MAX_TRIES))
            return cannot_write(f->path, errno, e);
    }
    return ERR_OK;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static enum err_code open_direct(struct file_out *f, const char *path, struct err *e)
{
    int own = own_descriptor(path);
    f->direct = true;
    f->fd = own >= 0 ? fcntl(own, F_DUPFD_CLOEXEC, 0) : open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return f->fd >= 0 ? ERR_OK : cannot_write(f->path, errno, e);
}

/* The new file gets the permissions of the one that it replaces, and its owner where we may set it. */
static enum err_code keep_rights(const struct file_out *f, const struct stat *old, mode_t mode,
                                 struct err *e)
{
    struct stat now;
    mode_t kept = old->st_mode & ((mode & 077) == 0 ? 0700 : 0777);
    int chowned = fchown(f->fd, old->st_uid, old->st_gid);
    (void)chowned;
    if (fstat(f->fd, &now) != 0 || ((now.st_mode & 0777) != kept && fchmod(f->fd, kept) != 0))
        return cannot_write(f->path, errno, e);
    return ERR_OK;
}

static enum err_code open_folder(struct file_out *f, const struct target *t, struct err *e)
{
    char dir[PATH_BYTES];
    const char *slash = strrchr(t->path, '/'), *name = slash ? slash + 1 : t->path;
    TRY(folder_of(t->path, dir, e));
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(e, ERR_ARG, "cannot write '%s': this names no file", f->path);
    f->name = mem_try_strndup(name, strlen(name));
    if (!f->name)
        return err_set(e, ERR_NOMEM, "no memory to write '%s'", f->path);
    f->folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->folder < 0 && errno == EACCES) /* may be written to, but not listed */
        f->folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (f->folder >= 0)
        return ERR_OK;
    if (errno == ENOENT)
        return err_set(e, ERR_IO, "cannot write '%s': there is no folder '%s'", f->path, dir);
    return cannot_write(f->path, errno, e);
}

static enum err_code open_temp(struct file_out *f, mode_t mode, struct err *e)
{
    f->fd = open_nameless(f->folder, mode);
    if (f->fd >= 0)
        return ERR_OK;
    struct err why = {0};
    enum err_code rc = file_temp(f->folder, temp_prefix, mode, f->temp, &f->fd, &why);
    f->linked = rc == ERR_OK;
    return rc == ERR_OK ? rc : cannot_write(f->path, why.sys, e);
}

/* A file system that cannot reserve space is no reason to stop; a full one is. */
static enum err_code take_room(const struct file_out *f, uint64_t bytes, struct err *e)
{
    if (bytes > 0 && fallocate(f->fd, 0, 0, (off_t)bytes) != 0 &&
        (errno == ENOSPC || errno == EFBIG || errno == EDQUOT))
        return cannot_write(f->path, errno, e);
    return ftruncate(f->fd, (off_t)bytes) == 0 ? ERR_OK : cannot_write(f->path, errno, e);
}

static enum err_code open_replacing(struct file_out *f, const struct target *t, mode_t mode,
                                    uint64_t bytes, struct err *e)
{
    TRY(open_folder(f, t, e));
    TRY(open_temp(f, mode, e));
    if (t->exists)
        TRY(keep_rights(f, &t->st, mode, e));
    return take_room(f, bytes, e);
}

enum err_code file_out_begin(struct file_out *f, const char *path, mode_t mode, uint64_t bytes,
                             struct err *e)
{
    struct target t;
    *f = (struct file_out){.fd = -1, .folder = -1};
    enum err_code rc = find_target(path, &t, e);
    if (rc != ERR_OK)
        return rc;
    f->path = mem_try_strndup(path, strlen(path));
    if (!f->path)
        return err_set(e, ERR_NOMEM, "no memory to write '%s'", path);
    rc = t.direct ? open_direct(f, t.path, e) : open_replacing(f, &t, mode, bytes, e);
    if (rc != ERR_OK)
        file_out_end(f);
    return rc;
}

static enum err_code write_direct(struct file_out *f, const void *p, size_t n, uint64_t at,
                                  struct err *e)
{
    struct err why = {0};
    if (atomic_load(&f->next) != at)
        return err_set(e, ERR_ARG, "'%s' takes bytes only in order; name a file", f->path);
    if (file_write_all(f->fd, p, n, &why) != ERR_OK)
        return cannot_write(f->path, why.sys, e);
    atomic_store(&f->next, at + n);
    return ERR_OK;
}

enum err_code file_out_write(struct file_out *f, const void *p, size_t n, uint64_t at,
                             struct err *e)
{
    const unsigned char *c = p;
    if (f->direct)
        return write_direct(f, p, n, at, e);
    while (n > 0) {
        ssize_t done = pwrite(f->fd, c, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return cannot_write(f->path, errno, e);
        c += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return ERR_OK;
}

enum err_code file_out_commit(struct file_out *f, struct err *e)
{
    if (f->direct)
        return ERR_OK;
    if (fsync(f->fd) != 0)
        return cannot_write(f->path, errno, e);
    if (!f->linked)
        TRY(give_temp_name(f, e));
    if (renameat(f->folder, f->temp, f->folder, f->name) != 0)
        return cannot_write(f->path, errno, e);
    f->linked = false;
    enum err_code rc = folder_sync_fd(f->folder, e);
    return rc == ERR_OK ? rc : err_note(e, "'%s'", f->path);
}

void file_out_end(struct file_out *f)
{
    if (f->linked)
        (void)unlinkat(f->folder, f->temp, 0);
    if (f->fd >= 0)
        close(f->fd);
    if (f->folder >= 0)
        close(f->folder);
    mem_free(f->path);
    mem_free(f->name);
    *f = (struct file_out){.fd = -1, .folder = -1};
}
