/* bundle_import.c - a bundle into a model's folder, from a file or a pipe; see bundle.h.
 *
 * The input may be a stream, so each entry is handled as it comes: it must be one that the manifest lists, with
 * that size and not seen before; it is hashed while it is written, and renamed to its place when the digest fits.
 * fetch.json is saved after every file: an import that was broken off leaves a folder that `verify` understands.
 * The names come from outside and have passed path_check with the manifest.
 */
#include "fetch/bundle.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/folder.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/record.h"

enum { PIECE = 1 << 20 };

struct import {
    struct tar_reader tar;
    const struct bundle_watch *watch;
    struct record listed; /* the manifest */
    struct record record; /* the folder's fetch.json, growing */
    bool *seen;           /* one a file of the manifest */
    char name[128];       /* of the bundle: the folder in it */
    char dir[FETCH_PATH_BYTES];
    unsigned char *piece;
    uint64_t total, done;
};

/* ---- the manifest ------------------------------------------------------------------------------------------ */

static enum err_code read_manifest(struct import *m, struct err *e)
{
    struct tar_entry entry;
    struct buf text;
    bool end;
    TRY(tar_next(&m->tar, &entry, &end, e));
    if (end || strcmp(entry.name, BUNDLE_MANIFEST) != 0 || entry.size > RECORD_MAX_BYTES)
        return err_set(e, ERR_FORMAT,
                       "this is no bundle: its first entry is not " BUNDLE_MANIFEST
                       " (a plain archive is to be unpacked with tar)");
    buf_init(&text, RECORD_MAX_BYTES);
    char *p = entry.size ? buf_grow(&text, (size_t)entry.size) : NULL;
    size_t have = 0, got = 1;
    if (entry.size && !p)
        return err_set(e, ERR_NOMEM, "no memory for a bundle's manifest");
    enum err_code rc;
    for (; have < entry.size; have += got)
        TRY_GOTO(tar_read(&m->tar, p + have, (size_t)entry.size - have, &got, e), done);
    rc = record_parse(buf_str(&text), BUNDLE_MANIFEST, &m->listed, e);
done:
    buf_deinit(&text);
    TRY(rc);
    if (!path_is_plain_name(m->listed.set) || m->listed.count == 0)
        return err_set(e, ERR_FORMAT, BUNDLE_MANIFEST ": it names no model or no files");
    if (record_find(&m->listed, FETCH_RECORD)) /* made here, from the manifest */
        return err_set(e, ERR_FORMAT, BUNDLE_MANIFEST ": it lists " FETCH_RECORD);
    for (size_t i = 0; i < m->listed.count; i++)
        m->total += m->listed.files[i].size;
    return ERR_OK;
}

/* ---- the folder -------------------------------------------------------------------------------------------- */

static bool is_empty_or_absent(const char *dir)
{
    DIR *d = opendir(dir);
    bool empty = true;
    if (!d)
        return !file_exists(dir);
    for (struct dirent *entry; empty && (entry = readdir(d)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(d);
    return empty;
}

static enum err_code choose_dir(struct import *m, const char *to, struct err *e)
{
    char root[FETCH_PATH_BYTES];
    uint64_t free_bytes = 0;
    if (to && (!*to || strlen(to) >= sizeof m->dir - 1000))
        return err_set(e, ERR_ARG, "the folder's path is empty or too long");
    if (to) {
        (void)snprintf(m->dir, sizeof m->dir, "%s", to);
    } else {
        TRY(path_models_root(root, e));
        TRY(file_join(m->dir, sizeof m->dir - 1000, root, m->listed.set, e));
    }
    TRY(record_load(m->dir, &m->record, e));
    if (strcmp(m->record.set, m->listed.set) != 0 &&
        (*m->record.set || !is_empty_or_absent(m->dir)))
        return err_set(e, ERR_ARG, "'%s' holds something else; name another folder with --to",
                       m->dir);
    TRY(path_free_bytes(m->dir, &free_bytes, e));
    if (free_bytes < m->total)
        return err_set(e, ERR_IO, "not enough room for '%s': %llu bytes are needed, %llu are free",
                       m->dir, (unsigned long long)m->total, (unsigned long long)free_bytes);
    TRY(folder_make(m->dir, 0777, e));
    return record_set(&m->record, &m->record.set, m->listed.set, e);
}

/* ---- one file ----------------------------------------------------------------------------------------------- */

static enum err_code copy_contents(struct import *m, struct file_out *out,
                                   const struct record_file *f, struct err *e)
{
    struct sha256 h;
    char hex[SHA256_HEX_SIZE];
    size_t got = 0;
    uint64_t at = 0;
    sha256_init(&h);
    for (;;) {
        enum err_code rc = tar_read(&m->tar, m->piece, PIECE, &got, e);
        if (rc != ERR_OK)
            return rc;
        if (got == 0)
            break;
        if (m->watch->stop && atomic_load(m->watch->stop))
            return err_set(e, ERR_CANCELLED, "stopped");
        sha256_add(&h, m->piece, got);
        rc = file_out_write(out, m->piece, got, at, e);
        if (rc != ERR_OK)
            return rc;
        at += got;
        m->done += got;
        if (m->watch->progress)
            m->watch->progress(f->path, m->done, m->total, m->watch->user);
    }
    sha256_hex(&h, hex);
    if (strcmp(hex, f->sha256) != 0)
        return err_set(e, ERR_FORMAT,
                       "the bundle is damaged: '%s' has SHA-256 %.12s... instead of %.12s...",
                       f->path, hex, f->sha256);
    return ERR_OK;
}

static enum err_code import_file(struct import *m, const struct record_file *f, struct err *e)
{
    char path[FETCH_PATH_BYTES];
    struct file_out out;
    TRY(file_join(path, sizeof path, m->dir, f->path, e));
    TRY(folder_make_parents(path, 0777, e));
    TRY(file_out_begin(&out, path, 0666, 0, e));
    enum err_code rc;
    TRY_GOTO(copy_contents(m, &out, f, e), done);
    rc = file_out_commit(&out, e);
done:
    file_out_end(&out);
    TRY(rc);
    TRY(record_put(&m->record, f, e));
    return record_save(&m->record, m->dir, e);
}

/* "NAME/path" of a file that the manifest lists and that did not come yet. */
static enum err_code find_listed(struct import *m, const struct tar_entry *entry, size_t *out,
                                 struct err *e)
{
    const char *slash = strchr(entry->name, '/');
    size_t n = slash ? (size_t)(slash - entry->name) : 0;
    if (!slash || n == 0 || n >= sizeof m->name)
        return err_set(e, ERR_FORMAT, "the bundle holds '%.100s', which its manifest does not list",
                       entry->name);
    if (!m->name[0])
        memcpy(m->name, entry->name, n);
    for (size_t i = 0; i < m->listed.count && strncmp(m->name, entry->name, n) == 0; i++) {
        if (strcmp(m->listed.files[i].path, slash + 1) != 0)
            continue;
        if (m->seen[i] || m->listed.files[i].size != entry->size)
            return err_set(e, ERR_FORMAT, "the bundle is damaged: '%.100s' %s", entry->name,
                           m->seen[i] ? "comes twice" : "has another size than its manifest says");
        m->seen[i] = true;
        *out = i;
        return ERR_OK;
    }
    return err_set(e, ERR_FORMAT, "the bundle holds '%.100s', which its manifest does not list",
                   entry->name);
}

static enum err_code import_all(struct import *m, struct err *e)
{
    for (;;) {
        struct tar_entry entry;
        size_t i = 0;
        bool end;
        TRY(tar_next(&m->tar, &entry, &end, e));
        if (end)
            break;
        TRY(find_listed(m, &entry, &i, e));
        TRY(import_file(m, &m->listed.files[i], e));
    }
    for (size_t i = 0; i < m->listed.count; i++)
        if (!m->seen[i])
            return err_set(e, ERR_FORMAT, "the bundle is cut off: '%s' is missing",
                           m->listed.files[i].path);
    return ERR_OK;
}

static enum err_code finish(struct import *m, struct err *e)
{
    TRY(record_set(&m->record, &m->record.own, m->listed.own, e));
    for (size_t i = 0; i < m->listed.licence_count; i++)
        TRY(record_add_licence(&m->record, m->listed.licences[i], e));
    return record_save(&m->record, m->dir, e);
}

enum err_code bundle_import(tar_read_fn read, void *user, const char *to,
                            const struct bundle_watch *w, char out_dir[FETCH_PATH_BYTES],
                            struct err *e)
{
    struct import m = {.watch = w};
    tar_reader_init(&m.tar, read, user);
    enum err_code rc;
    TRY_GOTO(read_manifest(&m, e), done);
    TRY_GOTO(choose_dir(&m, to, e), done);
    m.seen = mem_try_array(m.listed.count + 1, sizeof *m.seen);
    m.piece = mem_try_alloc(PIECE);
    if (!m.seen || !m.piece) {
        rc = err_set(e, ERR_NOMEM, "no memory for a bundle");
        goto done;
    }
    TRY_GOTO(import_all(&m, e), done);
    rc = finish(&m, e);
done:
    (void)snprintf(out_dir, FETCH_PATH_BYTES, "%s", m.dir);
    mem_free(m.seen);
    mem_free(m.piece);
    record_deinit(&m.listed);
    record_deinit(&m.record);
    return rc;
}
