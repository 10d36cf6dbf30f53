#include "fetch/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"

/* ---- names ------------------------------------------------------------------------------------------ */

static bool is_plain_component(struct str c)
{
    if (c.n == 0 || c.n > 200 || str_eq_z(c, ".") || str_eq_z(c, "..") ||
        str_eq_z(c, FETCH_WORK_DIR))
        return false;
    char last = c.p[c.n - 1];
    return last != ' ' && last != '.';
}

static struct str next_component(struct str *rest)
{
    const char *slash = memchr(rest->p, '/', rest->n);
    struct str c = {rest->p, slash ? (size_t)(slash - rest->p) : rest->n};
    *rest = str_skip(*rest, slash ? c.n + 1 : c.n);
    return c;
}

enum err_code path_check(struct str name, const char *what, struct err *e)
{
    bool good = name.n > 0 && name.n < FETCH_NAME_BYTES && name.p[name.n - 1] != '/' &&
                str_is_utf8(name, NULL);
    for (size_t i = 0; good && i < name.n; i++)
        good = (unsigned char)name.p[i] >= 0x20 && name.p[i] != 0x7f && name.p[i] != '\\';
    if (!good)
        return err_set(e, ERR_FORMAT, "%s: a file name is empty, too long or not plain text", what);
    for (struct str rest = name; rest.n > 0;)
        if (!is_plain_component(next_component(&rest)))
            return err_set(e, ERR_FORMAT, "%s: '%.*s' is not a name inside the model's folder",
                           what, STR_ARG(name));
    return ERR_OK;
}

bool path_is_plain_name(const char *name)
{
    if (!*name || *name == '.' || *name == '-' || strlen(name) > 100)
        return false;
    for (const char *p = name; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *p))
            return false;
    return true;
}

/* ---- folders ---------------------------------------------------------------------------------------- */

enum err_code path_make_dirs(const char *dir, struct err *e)
{
    char part[FETCH_PATH_BYTES];
    int n = snprintf(part, sizeof part, "%s", dir);
    if (n <= 0 || (size_t)n >= sizeof part)
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", dir);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != 0)
            continue;
        char kept = *p;
        *p = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return err_set_sys(e, ERR_IO, errno, "cannot make the folder '%s'", part);
        *p = kept;
        if (!kept)
            break;
    }
    if (!file_is_dir(dir))
        return err_set(e, ERR_IO, "'%s' is in the way: it is not a folder", dir);
    return ERR_OK;
}

/* The folder part of path; false when there is none. */
static bool parent_of(const char *path, char out[FETCH_PATH_BYTES])
{
    int n = snprintf(out, FETCH_PATH_BYTES, "%s", path);
    if (n <= 0 || n >= FETCH_PATH_BYTES)
        return false;
    char *slash = strrchr(out, '/');
    if (!slash)
        return false;
    slash[slash == out ? 1 : 0] = 0;
    return true;
}

enum err_code path_make_parents(const char *path, struct err *e)
{
    char dir[FETCH_PATH_BYTES];
    return parent_of(path, dir) ? path_make_dirs(dir, e) : ERR_OK;
}

void path_sync_parent(const char *path)
{
    char dir[FETCH_PATH_BYTES];
    int fd = open(parent_of(path, dir) ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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

void path_remove_tree(const char *dir)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static enum err_code under_home(const char *xdg, const char *fallback, const char *last,
                                char out[FETCH_PATH_BYTES], struct err *e)
{
    const char *own = getenv("VEETANCE_HOME"), *base = getenv(xdg), *home = getenv("HOME");
    int n;
    if (own && *own)
        n = snprintf(out, FETCH_PATH_BYTES, "%s%s", own, last);
    else if (base && *base == '/')
        n = snprintf(out, FETCH_PATH_BYTES, "%s/veetance%s", base, last);
    else if (home && *home)
        n = snprintf(out, FETCH_PATH_BYTES, "%s/%s/veetance%s", home, fallback, last);
    else
        return err_set(e, ERR_NOTFOUND, "neither VEETANCE_HOME nor HOME is set; name a folder");
    return n > 0 && n < FETCH_PATH_BYTES ? ERR_OK : err_set(e, ERR_LIMIT, "HOME is too long");
}

enum err_code path_models_root(char out[FETCH_PATH_BYTES], struct err *e)
{
    return under_home("XDG_DATA_HOME", ".local/share", "/models", out, e);
}

enum err_code path_config_dir(char out[FETCH_PATH_BYTES], struct err *e)
{
    return under_home("XDG_CONFIG_HOME", ".config", "", out, e);
}

enum err_code path_free_bytes(const char *dir, uint64_t *out, struct err *e)
{
    char at[FETCH_PATH_BYTES], up[FETCH_PATH_BYTES];
    struct statvfs v;
    (void)snprintf(at, sizeof at, "%s", dir);
    while (!file_exists(at) && parent_of(at, up) && strcmp(at, up) != 0)
        memcpy(at, up, sizeof at);
    if (statvfs(file_exists(at) ? at : ".", &v) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot ask how much room '%s' has", dir);
    *out = (uint64_t)v.f_bavail * v.f_frsize;
    return ERR_OK;
}

const char *path_size_text(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    if (bytes < 1000) {
        (void)snprintf(out, 32, "%u B", (unsigned)bytes);
        return out;
    }
    double v = (double)bytes / 1000;
    size_t u = 0;
    while (v >= 999.95 && u < 3) {
        v /= 1000;
        u++;
    }
    (void)snprintf(out, 32, v < 10 && u > 0 ? "%.2f %s" : "%.1f %s", v, units[u]);
    return out;
}
