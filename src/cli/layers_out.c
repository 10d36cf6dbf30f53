#include "cli/layers_out.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/layers_job.h"
#include "image/layers_json.h"

enum { PATH_BYTES = 4096 };

/* ---- formats and checks -------------------------------------------------------------------------------- */

enum err_code layers_formats_parse(const char *list, unsigned *out, struct err *e)
{
    enum layers_format f;
    *out = 0;
    for (const char *p = list;; p++) {
        size_t n = strcspn(p, ",");
        if (!layers_format_from_name((struct str){p, n}, &f))
            return err_set(e, ERR_ARG, "'%.*s' is no format; there are png, psd, ora, pptx and zip",
                           n > 40 ? 40 : (int)n, p);
        *out |= 1u << f;
        p += n;
        if (!*p)
            return ERR_OK;
    }
}

enum layers_format layers_format_of(const char *path)
{
    enum layers_format f = LAYERS_PNG;
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    if (dot && (!slash || dot > slash))
        (void)layers_format_from_name(str_from(dot + 1), &f);
    return f;
}

/* path without slashes at its end; false when it is empty or too long. */
static bool clean_path(const char *path, char *out)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0 || n >= PATH_BYTES - 64)
        return false;
    (void)snprintf(out, PATH_BYTES, "%.*s", (int)n, path);
    return true;
}

static void parent_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(out, PATH_BYTES, "%.*s", slash ? (int)(slash - path + 1) : 1,
                   slash ? path : ".");
}

enum err_code layers_out_check(const char *path, enum layers_format format, struct err *e)
{
    char clean[PATH_BYTES], parent[PATH_BYTES];
    struct stat st;
    if (!clean_path(path, clean))
        return err_set(e, ERR_ARG, "-o names nothing that could be written");
    parent_of(clean, parent);
    bool there = stat(clean, &st) == 0;
    if (there && format == LAYERS_PNG && !S_ISDIR(st.st_mode))
        return err_set(e, ERR_IO, "'%s' is no folder; -o names a folder", path);
    if (there && format != LAYERS_PNG && !S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "'%s' is no regular file; -o names a file", path);
    bool folder = there && format == LAYERS_PNG;
    if (access(folder ? clean : parent, W_OK | X_OK) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    return ERR_OK;
}

/* ---- a folder ------------------------------------------------------------------------------------------ */

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The folder that we made ourselves, and what we wrote into it. */
static void remove_own(const char *dir)
{
    char path[PATH_BYTES];
    DIR *d = opendir(dir);
    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d))
        if (!is_dot(f->d_name) && file_join(path, sizeof path, dir, f->d_name, NULL) == ERR_OK)
            (void)unlink(path);
    if (d)
        (void)closedir(d);
    (void)rmdir(dir);
}

static enum err_code write_all(const struct layer_stack *s, unsigned formats, const char *dir,
                               struct err *e)
{
    char path[PATH_BYTES], name[32];
    enum err_code rc = layers_export(s, LAYERS_PNG, dir, e);
    for (unsigned f = LAYERS_PNG + 1; rc == ERR_OK && f < LAYERS_FORMATS; f++) {
        if (!(formats & 1u << f))
            continue;
        rc = layers_check_stopped(e);
        (void)snprintf(name, sizeof name, "stack.%s", layers_format_name((enum layers_format)f));
        if (rc == ERR_OK)
            rc = file_join(path, sizeof path, dir, name, e);
        if (rc == ERR_OK)
            rc = layers_export(s, (enum layers_format)f, path, e);
    }
    return rc == ERR_OK ? layers_check_stopped(e) : rc;
}

static enum err_code move_file(const char *from, const char *to, const char *name, struct err *e)
{
    char a[PATH_BYTES], b[PATH_BYTES];
    enum err_code rc = file_join(a, sizeof a, from, name, e);
    if (rc == ERR_OK)
        rc = file_join(b, sizeof b, to, name, e);
    if (rc == ERR_OK && rename(a, b) != 0)
        rc = err_set_sys(e, ERR_IO, errno, "cannot write '%s'", b);
    return rc;
}

/* All files but the manifest, then that. */
static enum err_code move_files(const char *from, const char *to, struct err *e)
{
    DIR *d = opendir(from);
    enum err_code rc = d ? ERR_OK : err_set_sys(e, ERR_IO, errno, "cannot read '%s'", from);
    for (struct dirent *f = d ? readdir(d) : NULL; rc == ERR_OK && f; f = readdir(d))
        if (!is_dot(f->d_name) && strcmp(f->d_name, LAYERS_JSON_NAME) != 0)
            rc = move_file(from, to, f->d_name, e);
    if (d)
        (void)closedir(d);
    return rc == ERR_OK ? move_file(from, to, LAYERS_JSON_NAME, e) : rc;
}

static void note_left_over(const char *dir, size_t n, struct cli_progress *p)
{
    char path[PATH_BYTES], name[48], note[PATH_BYTES + 100];
    (void)snprintf(name, sizeof name, "layer_%zu.png", n);
    if (file_join(path, sizeof path, dir, name, NULL) != ERR_OK || !file_exists(path))
        return;
    (void)snprintf(note, sizeof note,
                   "%.300s/%s and what follows it are left from an earlier stack", dir, name);
    cli_progress_note(p, note);
}

enum err_code layers_out_folder(const struct layer_stack *s, unsigned formats, const char *dir,
                                struct cli_progress *p, struct err *e)
{
    char clean[PATH_BYTES], temp[PATH_BYTES];
    if (!clean_path(dir, clean))
        return err_set(e, ERR_ARG, "-o names nothing that could be written");
    bool there = file_is_dir(clean);
    (void)snprintf(temp, sizeof temp, "%.4000s%s", clean, there ? "/.layers-XXXXXX" : ".XXXXXX");
    if (!mkdtemp(temp))
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", dir);
    enum err_code rc = write_all(s, formats, temp, e);
    if (rc == ERR_OK && there) {
        rc = move_files(temp, clean, e);
    } else if (rc == ERR_OK) {
        mode_t mask = umask(0); /* mkdtemp's folder is for its owner alone */
        (void)umask(mask);
        if (chmod(temp, 0777 & ~mask) != 0 || rename(temp, clean) != 0)
            rc = err_set_sys(e, ERR_IO, errno, "cannot write '%s'", dir);
    }
    if (rc != ERR_OK || there)
        remove_own(temp);
    if (rc == ERR_OK && there)
        note_left_over(clean, s->n, p);
    return rc;
}

enum err_code layers_out_any(const struct layer_stack *s, enum layers_format format,
                             const char *path, struct cli_progress *p, struct err *e)
{
    enum err_code rc = layers_check_stopped(e);
    if (rc != ERR_OK)
        return rc;
    if (format == LAYERS_PNG)
        return layers_out_folder(s, 0, path, p, e);
    return layers_export(s, format, path, e);
}
