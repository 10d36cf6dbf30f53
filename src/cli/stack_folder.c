/* stack_folder.c - a stack as a folder of files that people can use: a PNG a layer, a composite, the manifest.
 *
 * All files are written into a temporary folder first. A new folder then gets its name by one rename; into one that
 * is there, files are moved one by one, the manifest last, and layers of an earlier result that has more of them are
 * removed only then. So whoever reads the manifest finds its files.
 */
#include "cli/stack_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/layers_job.h"
#include "cli/output.h"
#include "layers/json.h"

/* ---- paths ------------------------------------------------------------------------------------------- */

bool stack_folder_path(const char *path, char out[STACK_FOLDER_PATH_BYTES])
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0 || n >= STACK_FOLDER_PATH_BYTES - 64)
        return false;
    (void)snprintf(out, STACK_FOLDER_PATH_BYTES, "%.*s", (int)n, path);
    return true;
}

enum err_code stack_folder_check(const char *dir, struct err *e)
{
    char clean[STACK_FOLDER_PATH_BYTES];
    struct stat st;
    if (!stack_folder_path(dir, clean))
        return err_set(e, ERR_ARG, "-o names nothing that could be written");
    bool there = stat(clean, &st) == 0;
    if (there && !S_ISDIR(st.st_mode))
        return err_set(e, ERR_IO, "'%s' is no folder; -o names a folder", dir);
    if (!there)
        return cli_output_check_folder(clean, e);
    if (access(clean, W_OK | X_OK) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", dir);
    return ERR_OK;
}

/* ---- writing ----------------------------------------------------------------------------------------- */

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The folder that we made ourselves, and what we wrote into it. */
static void remove_own(const char *dir)
{
    char path[STACK_FOLDER_PATH_BYTES];
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
    char path[STACK_FOLDER_PATH_BYTES], name[32];
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

static enum err_code move_file(const char *from, const char *to, const char *name, int *replaced,
                               struct err *e)
{
    char a[STACK_FOLDER_PATH_BYTES], b[STACK_FOLDER_PATH_BYTES];
    TRY(file_join(a, sizeof a, from, name, e));
    TRY(file_join(b, sizeof b, to, name, e));
    *replaced += file_exists(b);
    if (rename(a, b) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", b);
    return ERR_OK;
}

/* All files but the manifest, then that. */
static enum err_code move_files(const char *from, const char *to, int *replaced, struct err *e)
{
    DIR *d = opendir(from);
    enum err_code rc = d ? ERR_OK : err_set_sys(e, ERR_IO, errno, "cannot read '%s'", from);
    for (struct dirent *f = d ? readdir(d) : NULL; rc == ERR_OK && f; f = readdir(d))
        if (!is_dot(f->d_name) && strcmp(f->d_name, LAYERS_JSON_NAME) != 0)
            rc = move_file(from, to, f->d_name, replaced, e);
    if (d)
        (void)closedir(d);
    return rc == ERR_OK ? move_file(from, to, LAYERS_JSON_NAME, replaced, e) : rc;
}

/* ---- what is there ------------------------------------------------------------------------------------- */

/* The number of "layer_N.png", the format's of "stack.EXT", and which of them it is. */
enum own_name { OWN_NOT, OWN_LAYER, OWN_STACK, OWN_OTHER };

static enum own_name own_name(const char *name, int64_t *which)
{
    enum layers_format f;
    struct str s = str_from(name);
    if (strcmp(name, "composite.png") == 0 || strcmp(name, LAYERS_JSON_NAME) == 0)
        return OWN_OTHER;
    if (str_starts(s, STR_LIT("stack.")) && layers_format_from_name(str_skip(s, 6), &f)) {
        *which = f;
        return OWN_STACK;
    }
    if (!str_starts(s, STR_LIT("layer_")) || !str_ends(s, STR_LIT(".png")))
        return OWN_NOT;
    s = (struct str){name + 6, s.n - 6 - 4};
    return str_to_i64(s, which) && *which >= 0 ? OWN_LAYER : OWN_NOT;
}

bool stack_folder_is_used(const char *dir)
{
    int64_t which;
    bool found = false;
    DIR *d = opendir(dir);
    for (struct dirent *f = d ? readdir(d) : NULL; f && !found; f = readdir(d))
        found = own_name(f->d_name, &which) != OWN_NOT;
    if (d)
        (void)closedir(d);
    return found;
}

/* A layer with a number of n or more, or a "stack.EXT" that was not asked for. */
static bool is_stale(const char *name, size_t n, unsigned formats)
{
    int64_t which = 0;
    enum own_name own = own_name(name, &which);
    return own == OWN_LAYER   ? (uint64_t)which >= n
           : own == OWN_STACK ? !(formats & 1u << which)
                              : false;
}

/* What an earlier stack of ours had beyond the new one's files would be taken for a part of it. */
static int remove_stale(const char *dir, size_t n, unsigned formats)
{
    char path[STACK_FOLDER_PATH_BYTES];
    DIR *d = opendir(dir);
    int gone = 0;
    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d))
        if (is_stale(f->d_name, n, formats) &&
            file_join(path, sizeof path, dir, f->d_name, NULL) == ERR_OK && unlink(path) == 0)
            gone++;
    if (d)
        (void)closedir(d);
    return gone;
}

static bool has_manifest(const char *dir)
{
    char path[STACK_FOLDER_PATH_BYTES];
    return file_join(path, sizeof path, dir, LAYERS_JSON_NAME, NULL) == ERR_OK && file_exists(path);
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

/* mkdtemp's folder is for its owner alone; the new one is as open as others. */
static enum err_code take_name(const char *temp, const char *dir, struct err *e)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    return chmod(temp, 0777 & ~mask) == 0 && rename(temp, dir) == 0
               ? ERR_OK
               : err_set_sys(e, ERR_IO, errno, "cannot write '%s'", dir);
}

enum err_code stack_folder_write(const struct layer_stack *s, unsigned formats, const char *dir,
                                 struct stack_folder_news *news, struct err *e)
{
    char clean[STACK_FOLDER_PATH_BYTES], temp[STACK_FOLDER_PATH_BYTES];
    *news = (struct stack_folder_news){0};
    if (!stack_folder_path(dir, clean))
        return err_set(e, ERR_ARG, "-o names nothing that could be written");
    bool there = file_is_dir(clean), ours = there && has_manifest(clean);
    (void)snprintf(temp, sizeof temp, "%.4000s%s", clean, there ? "/.layers-XXXXXX" : ".XXXXXX");
    if (!mkdtemp(temp))
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", dir);
    enum err_code rc = write_all(s, formats, temp, e);
    if (rc == ERR_OK)
        rc = there ? move_files(temp, clean, &news->replaced, e) : take_name(temp, clean, e);
    if (rc != ERR_OK || there)
        remove_own(temp);
    if (rc == ERR_OK && ours)
        news->removed = remove_stale(clean, s->n, formats);
    return rc;
}
