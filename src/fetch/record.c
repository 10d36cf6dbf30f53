/* record.c - fetch.json, read with suspicion and written whole; see record.h.
 *
 * A record may come from a bundle, so paths are checked, digests must be digests, and a path may be listed once.
 * Strings live in the record's arena; replacing one leaves the old one there, which is fine for the few that
 * change.
 */
#include "fetch/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/paths.h"

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the record of a folder");
}

static enum err_code start(struct record *r, struct err *e)
{
    *r = (struct record){.set = "", .own = ""};
    arena_init(&r->arena, 16 << 20);
    r->files = arena_array(&r->arena, RECORD_MAX_FILES, sizeof *r->files);
    return r->files ? ERR_OK : no_memory(e);
}

void record_deinit(struct record *r)
{
    arena_deinit(&r->arena);
    *r = (struct record){0};
}

/* ---- reading -------------------------------------------------------------------------------------------- */

static enum err_code read_text(struct record *r, yyjson_val *o, const char *key, const char *what,
                               const char **out, struct err *e)
{
    struct str s = {0};
    TRY(json_get_str(o, key, &s, what, e));
    if (s.n > 1000 || memchr(s.n ? s.p : "", 0, s.n))
        return err_set(e, ERR_FORMAT, "%s: \"%s\" is no plain text", what, key);
    *out = s.n ? arena_strdup(&r->arena, s) : "";
    return *out ? ERR_OK : no_memory(e);
}

static enum err_code read_one(struct record *r, yyjson_val *o, const char *what, struct err *e)
{
    struct record_file *f = &r->files[r->count];
    int64_t size = -1;
    enum err_code rc;
    if (!yyjson_is_obj(o))
        return err_set(e, ERR_FORMAT, "%s: an entry of \"files\" is not an object", what);
    if ((rc = read_text(r, o, "path", what, &f->path, e)) != ERR_OK ||
        (rc = read_text(r, o, "sha256", what, &f->sha256, e)) != ERR_OK ||
        (rc = read_text(r, o, "repo", what, &f->repo, e)) != ERR_OK ||
        (rc = read_text(r, o, "revision", what, &f->revision, e)) != ERR_OK ||
        (rc = read_text(r, o, "commit", what, &f->commit, e)) != ERR_OK ||
        (rc = read_text(r, o, "file", what, &f->file, e)) != ERR_OK ||
        (rc = json_get_i64(o, "size", 0, INT64_C(1) << 50, &size, what, e)) != ERR_OK ||
        (rc = path_check(str_from(f->path), what, e)) != ERR_OK)
        return rc;
    if (strlen(f->sha256) != 64 || strspn(f->sha256, "0123456789abcdef") != 64 || size < 0)
        return err_set(e, ERR_FORMAT, "%s: '%s' has no valid size and sha256", what, f->path);
    if (record_find(r, f->path))
        return err_set(e, ERR_FORMAT, "%s: '%s' is listed twice", what, f->path);
    f->size = (uint64_t)size;
    r->count++;
    return ERR_OK;
}

static enum err_code read_all(struct record *r, yyjson_val *root, const char *what, struct err *e)
{
    int64_t format = 0;
    size_t i, n;
    yyjson_val *v, *files = yyjson_obj_get(root, "files"), *licences;
    TRY(json_get_i64(root, "format", 0, 1000000, &format, what, e));
    if (format != 1)
        return err_set(e, ERR_FORMAT, "%s: its \"format\" is not 1", what);
    TRY(read_text(r, root, "set", what, &r->set, e));
    TRY(read_text(r, root, "veetance_json", what, &r->own, e));
    if (!yyjson_is_arr(files) || yyjson_arr_size(files) > RECORD_MAX_FILES)
        return err_set(e, ERR_FORMAT, "%s: \"files\" is no array of at most %d", what,
                       RECORD_MAX_FILES);
    yyjson_arr_foreach(files, i, n, v)
    {
        TRY(read_one(r, v, what, e));
    }
    licences = yyjson_obj_get(root, "licences");
    yyjson_arr_foreach(licences, i, n, v)
    {
        if (yyjson_is_str(v) && yyjson_get_len(v) < 100)
            TRY(record_add_licence(r, yyjson_get_str(v), e));
    }
    return ERR_OK;
}

enum err_code record_parse(struct str text, const char *what, struct record *r, struct err *e)
{
    yyjson_doc *doc = NULL;
    enum err_code rc;
    TRY_GOTO(start(r, e), done);
    TRY_GOTO(json_parse(text, what, &doc, e), done);
    rc = read_all(r, yyjson_doc_get_root(doc), what, e);
done:
    yyjson_doc_free(doc);
    return rc;
}

enum err_code record_load(const char *dir, struct record *r, struct err *e)
{
    char path[FETCH_PATH_BYTES];
    struct buf text;
    enum err_code rc = file_join(path, sizeof path, dir, FETCH_RECORD, e);
    if (rc != ERR_OK || !file_exists(path)) {
        enum err_code began = start(r, e);
        return rc != ERR_OK ? rc : began;
    }
    if ((rc = file_read(path, RECORD_MAX_BYTES, &text, e)) != ERR_OK) {
        *r = (struct record){0};
        return rc;
    }
    rc = record_parse(buf_str(&text), path, r, e);
    buf_deinit(&text);
    return rc;
}

/* ---- changing -------------------------------------------------------------------------------------------- */

const struct record_file *record_find(const struct record *r, const char *path)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->files[i].path, path) == 0)
            return &r->files[i];
    return NULL;
}

enum err_code record_set(struct record *r, const char **field, const char *value, struct err *e)
{
    *field = arena_strdup(&r->arena, str_from(value ? value : ""));
    return *field ? ERR_OK : no_memory(e);
}

enum err_code record_put(struct record *r, const struct record_file *f, struct err *e)
{
    struct record_file copy = {.size = f->size};
    const struct {
        const char **to;
        const char *from;
    } fields[] = {{&copy.path, f->path},         {&copy.sha256, f->sha256}, {&copy.repo, f->repo},
                  {&copy.revision, f->revision}, {&copy.commit, f->commit}, {&copy.file, f->file}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        enum err_code rc = record_set(r, fields[i].to, fields[i].from, e);
        if (rc != ERR_OK)
            return rc;
    }
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->files[i].path, f->path) == 0) {
            r->files[i] = copy;
            return ERR_OK;
        }
    if (r->count == RECORD_MAX_FILES)
        return err_set(e, ERR_LIMIT, "a model of more than %d files", RECORD_MAX_FILES);
    r->files[r->count++] = copy;
    return ERR_OK;
}

bool record_has_licence(const struct record *r, const char *id)
{
    for (size_t i = 0; i < r->licence_count; i++)
        if (strcmp(r->licences[i], id) == 0)
            return true;
    return false;
}

enum err_code record_add_licence(struct record *r, const char *id, struct err *e)
{
    if (record_has_licence(r, id) || r->licence_count == sizeof r->licences / sizeof r->licences[0])
        return ERR_OK;
    enum err_code rc = record_set(r, &r->licences[r->licence_count], id, e);
    r->licence_count += rc == ERR_OK;
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static void add_file(yyjson_mut_doc *doc, yyjson_mut_val *files, const struct record_file *f)
{
    const struct {
        const char *key, *value;
    } from[] = {
        {"repo", f->repo}, {"revision", f->revision}, {"commit", f->commit}, {"file", f->file}};
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, files);
    yyjson_mut_obj_add_str(doc, o, "path", f->path);
    yyjson_mut_obj_add_uint(doc, o, "size", f->size);
    yyjson_mut_obj_add_str(doc, o, "sha256", f->sha256);
    for (size_t i = 0; i < sizeof from / sizeof from[0]; i++)
        if (from[i].value && *from[i].value)
            yyjson_mut_obj_add_str(doc, o, from[i].key, from[i].value);
}

enum err_code record_text(const struct record *r, struct buf *out, struct err *e)
{
    size_t n = 0;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_int(doc, root, "format", 1);
    yyjson_mut_obj_add_str(doc, root, "set", r->set);
    if (*r->own)
        yyjson_mut_obj_add_str(doc, root, "veetance_json", r->own);
    yyjson_mut_val *licences = yyjson_mut_obj_add_arr(doc, root, "licences");
    for (size_t i = 0; i < r->licence_count; i++)
        yyjson_mut_arr_add_str(doc, licences, r->licences[i]);
    yyjson_mut_val *files = yyjson_mut_obj_add_arr(doc, root, "files");
    for (size_t i = 0; i < r->count; i++)
        add_file(doc, files, &r->files[i]);
    char *text =
        yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, &n);
    yyjson_mut_doc_free(doc);
    if (text)
        buf_add(out, text, n);
    mem_free(text);
    return text && !buf_failed(out) ? ERR_OK : no_memory(e);
}

enum err_code record_save(const struct record *r, const char *dir, struct err *e)
{
    char path[FETCH_PATH_BYTES];
    struct buf text;
    buf_init(&text, RECORD_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(record_text(r, &text, e), done);
    TRY_GOTO(file_join(path, sizeof path, dir, FETCH_RECORD, e), done);
    rc = file_write_atomic(path, text.p, text.n, e);
done:
    buf_deinit(&text);
    return rc;
}

/* ---- verifying ------------------------------------------------------------------------------- */

const char *verify_state_name(enum verify_state s)
{
    static const char *const names[] = {[VERIFY_OK] = "ok",
                                        [VERIFY_MISSING] = "missing",
                                        [VERIFY_SIZE] = "size",
                                        [VERIFY_DIFFERS] = "differs",
                                        [VERIFY_UNREADABLE] = "unreadable"};
    return names[s];
}

static enum verify_state look_at(const char *path, const struct record_file *f)
{
    struct stat st;
    char hex[SHA256_HEX_SIZE];
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return VERIFY_MISSING;
    if ((uint64_t)st.st_size != f->size)
        return VERIFY_SIZE;
    if (sha256_file(path, hex, NULL) != ERR_OK)
        return VERIFY_UNREADABLE;
    return strcmp(hex, f->sha256) == 0 ? VERIFY_OK : VERIFY_DIFFERS;
}

enum err_code verify_dir(const char *dir, const struct record *record, const atomic_bool *stop,
                         void (*each)(const struct record_file *f, enum verify_state s, void *user),
                         void *user, size_t *bad, struct err *e)
{
    *bad = 0;
    for (size_t i = 0; i < record->count; i++) {
        char path[FETCH_PATH_BYTES];
        enum err_code rc = file_join(path, sizeof path, dir, record->files[i].path, e);
        if (rc != ERR_OK)
            return rc;
        if (stop && atomic_load(stop))
            return err_set(e, ERR_CANCELLED, "stopped");
        enum verify_state s = look_at(path, &record->files[i]);
        *bad += s != VERIFY_OK;
        each(&record->files[i], s, user);
    }
    return ERR_OK;
}

enum err_code verify_find(const char *name, char out[FETCH_PATH_BYTES], struct err *e)
{
    char root[FETCH_PATH_BYTES];
    if (file_is_dir(name)) {
        int n = snprintf(out, FETCH_PATH_BYTES, "%s", name);
        if (n >= FETCH_PATH_BYTES - 1000)
            return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", name);
        while (n > 1 && out[n - 1] == '/')
            out[--n] = 0;
        return ERR_OK;
    }
    if (!path_is_plain_name(name))
        return err_set(e, ERR_NOTFOUND, "there is no folder '%s'", name);
    TRY(path_models_root(root, e));
    TRY(file_join(out, FETCH_PATH_BYTES, root, name, e));
    if (!file_is_dir(out))
        return err_set(e, ERR_NOTFOUND, "'%s' is neither a folder nor a model in '%s'", name, root);
    return ERR_OK;
}
