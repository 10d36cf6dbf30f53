#include "fetch/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/folder.h"

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
    char at[FOLDER_PATH_BYTES], up[FOLDER_PATH_BYTES];
    struct statvfs v;
    (void)snprintf(at, sizeof at, "%s", dir);
    while (!file_exists(at) && folder_of(at, up, NULL) == ERR_OK && strcmp(at, up) != 0)
        memcpy(at, up, sizeof at);
    if (statvfs(at, &v) != 0)
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
