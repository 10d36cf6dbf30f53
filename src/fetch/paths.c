/* paths.c - judges names from outside, finds our folders, and lays out a model's folder.
 *
 * Every name that a catalogue, an index or a bundle brings goes through path_check before it is joined to a folder;
 * nothing else keeps a download inside it.
 */
#include "fetch/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/catalogue.h"
#include "fetch/record.h"

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

/* ---- the layout of a model's folder ---------------------------------------------------------- */

/* A veetance.json that somebody changed is not overwritten. It is recognised by its digest: the record keeps that
 * of the one that was written last. */

enum { MAX_INDEX_BYTES = 64 << 20, MAX_SHARDS = 512, MAX_OWN_BYTES = 1 << 20 };

static char *own_text(const struct catalogue_set *set,
                      const struct catalogue_choice *const *choices, size_t *n)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *components = NULL;
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "name", set->name);
    size_t i, count;
    yyjson_val *key, *v;
    yyjson_obj_foreach(set->settings, i, count, key, v)
        yyjson_mut_obj_add(root, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, v));
    for (size_t c = 0; c < set->component_count; c++) {
        if (!choices[c]->weights)
            continue;
        if (!components)
            components = yyjson_mut_obj_add_obj(doc, root, "components");
        yyjson_mut_obj_add_str(doc, components, set->components[c].name, choices[c]->weights);
        if (choices[c]->vision)
            yyjson_mut_obj_add_str(doc, components, "vision", choices[c]->vision);
    }
    char *text =
        yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, n);
    yyjson_mut_doc_free(doc);
    return text;
}

/* Somebody's own: there is one, and it is not the one that we wrote last. */
static bool is_foreign(const char *path, const struct record *record)
{
    char hex[SHA256_HEX_SIZE];
    if (!file_exists(path))
        return false;
    return sha256_file(path, hex, NULL) != ERR_OK || strcmp(hex, record->own) != 0;
}

enum err_code layout_write(const char *dir, const struct catalogue_set *set,
                           const struct catalogue_choice *const *choices, struct record *record,
                           bool *kept, struct err *e)
{
    char path[FETCH_PATH_BYTES], hex[SHA256_HEX_SIZE];
    struct sha256 h;
    size_t n = 0;
    enum err_code rc = file_join(path, sizeof path, dir, "veetance.json", e);
    if (rc != ERR_OK)
        return rc;
    *kept = is_foreign(path, record);
    if (*kept)
        return ERR_OK;
    char *text = own_text(set, choices, &n);
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for '%s'", path);
    sha256_init(&h);
    sha256_add(&h, text, n);
    sha256_hex(&h, hex);
    TRY_GOTO(record_set(record, &record->own, hex, e), done);
    TRY_GOTO(file_write_atomic(path, text, n, e), done);
    rc = record_save(record, dir, e);
done:
    mem_free(text);
    return rc;
}

/* ---- shards --------------------------------------------------------------------------------------------- */

enum err_code layout_shards(const char *path,
                            enum err_code (*add)(const char *name, void *user, struct err *e),
                            void *user, struct err *e)
{
    const char *seen[MAX_SHARDS];
    size_t seen_count = 0, i, n;
    yyjson_doc *doc;
    yyjson_val *key, *v;
    enum err_code rc = json_read_file(path, MAX_INDEX_BYTES, &doc, e);
    if (rc != ERR_OK)
        return rc;
    yyjson_val *map = yyjson_obj_get(yyjson_doc_get_root(doc), "weight_map");
    if (!yyjson_is_obj(map) || yyjson_obj_size(map) == 0)
        rc = err_set(e, ERR_FORMAT, "'%s' names no files (\"weight_map\")", path);
    yyjson_obj_foreach(map, i, n, key, v)
    {
        struct str name = {yyjson_get_str(v), yyjson_get_len(v)};
        bool known = false;
        if (rc != ERR_OK)
            break;
        for (size_t s = 0; s < seen_count && !known; s++)
            known = str_eq_z(name, seen[s]);
        if (known)
            continue;
        if (!name.p || memchr(name.p, '/', name.n) || memchr(name.p, 0, name.n))
            rc = err_set(e, ERR_FORMAT, "'%s' names a file that is not beside it", path);
        else if (seen_count == MAX_SHARDS)
            rc = err_set(e, ERR_LIMIT, "'%s' names more than %d files", path, MAX_SHARDS);
        else if ((rc = path_check(name, path, e)) == ERR_OK)
            rc = add(seen[seen_count++] = name.p, user, e);
    }
    yyjson_doc_free(doc);
    return rc;
}
