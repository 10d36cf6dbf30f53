#include "cli/layers_out.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/layers_job.h"
#include "cli/output.h"
#include "image/png_save.h"
#include "layers/json.h"

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

/* Endings by which people mean one file. A folder may have any other dot in its name. */
static bool is_foreign_file(const char *ending)
{
    static const char *const endings[] = {"png",  "jpg",  "jpeg", "webp", "gif",     "bmp",  "tif",
                                          "tiff", "heic", "heif", "avif", "svg",     "pdf",  "xcf",
                                          "kra",  "clip", "psb",  "sai",  "afphoto", "json", "ppt",
                                          "tar",  "gz",   "7z",   "rar"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (strcasecmp(ending, endings[i]) == 0)
            return true;
    return false;
}

/* Behind the last dot of the last part; "" when there is none. */
static const char *ending_of(const char *path)
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    return dot && dot != path && (!slash || dot > slash + 1) ? dot + 1 : "";
}

static bool file_format(const char *ending, enum layers_format *out)
{
    for (int f = LAYERS_PNG + 1; f < LAYERS_FORMATS; f++)
        if (strcasecmp(ending, layers_format_name((enum layers_format)f)) == 0) {
            *out = (enum layers_format)f;
            return true;
        }
    return false;
}

/* The only format of a list that makes a file; LAYERS_PNG when there are several, or the folder's. */
static enum layers_format only_format(unsigned formats)
{
    for (unsigned f = LAYERS_PNG + 1; f < LAYERS_FORMATS; f++)
        if (formats == 1u << f)
            return (enum layers_format)f;
    return LAYERS_PNG;
}

enum err_code layers_out_kind(const char *path, unsigned formats, bool one_file,
                              enum layers_format *out, struct err *e)
{
    enum layers_format said = LAYERS_PNG;
    const char *ending = ending_of(path);
    bool is_file = file_format(ending, &said);
    *out = LAYERS_PNG;
    if (file_is_dir(path))
        return ERR_OK;
    if (is_file && formats && formats != 1u << said)
        return err_set(e, ERR_ARG,
                       "'%.200s' is one %s file, but --format asks for others; name a folder", path,
                       layers_format_name(said));
    if (!is_file && is_foreign_file(ending))
        return err_set(e, ERR_ARG,
                       "'%.200s': layers are written as .psd, .ora, .pptx, .zip or into a folder, "
                       "not as .%s",
                       path, ending);
    if (is_file)
        *out = said;
    else if (one_file || strcmp(path, "-") == 0)
        *out = only_format(formats);
    return ERR_OK;
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

enum err_code layers_out_check(const char *path, enum layers_format format, struct err *e)
{
    char clean[PATH_BYTES];
    struct stat st;
    if (format != LAYERS_PNG && cli_output_is_stream(path))
        return strcmp(path, "-") == 0 && isatty(STDOUT_FILENO)
                   ? err_set(e, ERR_ARG, "a file would go to the terminal; redirect it")
                   : ERR_OK;
    if (strcmp(path, "-") == 0)
        return err_set(e, ERR_ARG,
                       "a folder cannot go to standard output; say --format psd, ora, "
                       "pptx or zip");
    if (!clean_path(path, clean))
        return err_set(e, ERR_ARG, "-o names nothing that could be written");
    if (format != LAYERS_PNG)
        return cli_output_check_file("-o", clean, e);
    bool there = stat(clean, &st) == 0;
    if (there && !S_ISDIR(st.st_mode))
        return err_set(e, ERR_IO, "'%s' is no folder; -o names a folder", path);
    if (!there)
        return cli_output_check_folder(clean, e);
    if (access(clean, W_OK | X_OK) != 0)
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

/* The folder's composite.png once more, with the text. */
static enum err_code add_recipe(const struct layer_stack *s, struct str recipe, const char *dir,
                                struct err *e)
{
    char path[PATH_BYTES];
    struct image flat;
    const struct image_text text = {"parameters", recipe};
    enum err_code rc = file_join(path, sizeof path, dir, "composite.png", e);
    if (rc != ERR_OK)
        return rc;
    rc = layers_flatten(s, &flat, e);
    if (rc == ERR_OK)
        rc = image_png_write_file(path, &flat, &text, 1, e);
    image_free(&flat);
    return rc;
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

/* "layer_N.png" with a number of n or more, or a "stack.EXT" that was not asked for. */
static bool is_stale(const char *name, size_t n, unsigned formats)
{
    int64_t number;
    enum layers_format f;
    struct str s = str_from(name);
    if (str_starts(s, STR_LIT("stack.")))
        return file_format(name + 6, &f) && !(formats & 1u << f);
    if (!str_starts(s, STR_LIT("layer_")) || !str_ends(s, STR_LIT(".png")))
        return false;
    s = (struct str){name + 6, s.n - 6 - 4};
    return str_to_i64(s, &number) && number >= 0 && (uint64_t)number >= n;
}

/* What an earlier stack of ours had beyond the new one's files would be taken for a part of it. */
static void remove_stale(const char *dir, size_t n, unsigned formats, struct cli_progress *p)
{
    char path[PATH_BYTES], note[PATH_BYTES + 100];
    DIR *d = opendir(dir);
    int gone = 0;
    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d))
        if (is_stale(f->d_name, n, formats) &&
            file_join(path, sizeof path, dir, f->d_name, NULL) == ERR_OK && unlink(path) == 0)
            gone++;
    if (d)
        (void)closedir(d);
    (void)snprintf(note, sizeof note,
                   "the stack that was in %.300s is replaced; %d file%s of it %s", dir, gone,
                   gone == 1 ? "" : "s", gone == 1 ? "is removed" : "are removed");
    if (gone)
        cli_progress_note(p, note);
}

static bool has_manifest(const char *dir)
{
    char path[PATH_BYTES];
    return file_join(path, sizeof path, dir, LAYERS_JSON_NAME, NULL) == ERR_OK && file_exists(path);
}

enum err_code layers_out_folder(const struct layer_stack *s, unsigned formats, struct str recipe,
                                const char *dir, struct cli_progress *p, struct err *e)
{
    char clean[PATH_BYTES], temp[PATH_BYTES];
    if (!clean_path(dir, clean))
        return err_set(e, ERR_ARG, "-o names nothing that could be written");
    bool there = file_is_dir(clean), ours = there && has_manifest(clean);
    (void)snprintf(temp, sizeof temp, "%.4000s%s", clean, there ? "/.layers-XXXXXX" : ".XXXXXX");
    if (!mkdtemp(temp))
        return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", dir);
    enum err_code rc = write_all(s, formats, temp, e);
    if (rc == ERR_OK && recipe.n)
        rc = add_recipe(s, recipe, temp, e);
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
    if (rc == ERR_OK && ours)
        remove_stale(clean, s->n, formats, p);
    return rc;
}

enum err_code layers_out_any(const struct layer_stack *s, enum layers_format format,
                             unsigned formats, const char *path, struct cli_progress *p,
                             struct err *e)
{
    char note[PATH_BYTES + 40];
    enum err_code rc = layers_check_stopped(e);
    if (rc != ERR_OK)
        return rc;
    if (format == LAYERS_PNG)
        return layers_out_folder(s, formats, STR_LIT(""), path, p, e);
    bool stream = cli_output_is_stream(path), there = !stream && file_exists(path);
    rc = layers_export(s, format, strcmp(path, "-") == 0 ? "/dev/stdout" : path, e);
    (void)snprintf(note, sizeof note, "'%.300s' was there and is replaced", path);
    if (rc == ERR_OK && there)
        cli_progress_note(p, note);
    return rc;
}
