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
    enum err_code rc = tar_next(&m->tar, &entry, &end, e);
    if (rc != ERR_OK)
        return rc;
    if (end || strcmp(entry.name, BUNDLE_MANIFEST) != 0 || entry.size > RECORD_MAX_BYTES)
        return err_set(e, ERR_FORMAT,
                       "this is no bundle: its first entry is not " BUNDLE_MANIFEST
                       " (a plain archive is to be unpacked with tar)");
    buf_init(&text, RECORD_MAX_BYTES);
    char *p = entry.size ? buf_grow(&text, (size_t)entry.size) : NULL;
    size_t have = 0, got = 1;
    if (entry.size && !p)
        rc = err_set(e, ERR_NOMEM, "no memory for a bundle's manifest");
    while (rc == ERR_OK && have < entry.size) {
        rc = tar_read(&m->tar, p + have, (size_t)entry.size - have, &got, e);
        have += got;
    }
    if (rc == ERR_OK)
        rc = record_parse(buf_str(&text), BUNDLE_MANIFEST, &m->listed, e);
    buf_deinit(&text);
    if (rc == ERR_OK && (!path_is_plain_name(m->listed.set) || m->listed.count == 0))
        rc = err_set(e, ERR_FORMAT, BUNDLE_MANIFEST ": it names no model or no files");
    if (rc == ERR_OK && record_find(&m->listed, FETCH_RECORD)) /* made here, from the manifest */
        rc = err_set(e, ERR_FORMAT, BUNDLE_MANIFEST ": it lists " FETCH_RECORD);
    for (size_t i = 0; rc == ERR_OK && i < m->listed.count; i++)
        m->total += m->listed.files[i].size;
    return rc;
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
    enum err_code rc = ERR_OK;
    if (to && (!*to || strlen(to) >= sizeof m->dir - 1000))
        return err_set(e, ERR_ARG, "the folder's path is empty or too long");
    if (to)
        (void)snprintf(m->dir, sizeof m->dir, "%s", to);
    else if ((rc = path_models_root(root, e)) == ERR_OK)
        rc = file_join(m->dir, sizeof m->dir - 1000, root, m->listed.set, e);
    if (rc == ERR_OK)
        rc = record_load(m->dir, &m->record, e);
    if (rc == ERR_OK && strcmp(m->record.set, m->listed.set) != 0 &&
        (*m->record.set || !is_empty_or_absent(m->dir)))
        rc =
            err_set(e, ERR_ARG, "'%s' holds something else; name another folder with --to", m->dir);
    if (rc == ERR_OK)
        rc = path_free_bytes(m->dir, &free_bytes, e);
    if (rc == ERR_OK && free_bytes < m->total)
        rc = err_set(e, ERR_IO, "not enough room for '%s': %llu bytes are needed, %llu are free",
                     m->dir, (unsigned long long)m->total, (unsigned long long)free_bytes);
    if (rc == ERR_OK)
        rc = folder_make(m->dir, 0777, e);
    if (rc == ERR_OK)
        rc = record_set(&m->record, &m->record.set, m->listed.set, e);
    return rc;
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
    enum err_code rc = file_join(path, sizeof path, m->dir, f->path, e);
    if (rc == ERR_OK)
        rc = folder_make_parents(path, 0777, e);
    if (rc == ERR_OK)
        rc = file_out_begin(&out, path, 0666, 0, e);
    if (rc != ERR_OK)
        return rc;
    rc = copy_contents(m, &out, f, e);
    if (rc == ERR_OK)
        rc = file_out_commit(&out, e);
    file_out_end(&out);
    if (rc == ERR_OK)
        rc = record_put(&m->record, f, e);
    return rc == ERR_OK ? record_save(&m->record, m->dir, e) : rc;
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
        enum err_code rc = tar_next(&m->tar, &entry, &end, e);
        if (rc == ERR_OK && end)
            break;
        if (rc == ERR_OK)
            rc = find_listed(m, &entry, &i, e);
        if (rc == ERR_OK)
            rc = import_file(m, &m->listed.files[i], e);
        if (rc != ERR_OK)
            return rc;
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
    enum err_code rc = read_manifest(&m, e);
    if (rc == ERR_OK)
        rc = choose_dir(&m, to, e);
    m.seen = mem_try_array(m.listed.count + 1, sizeof *m.seen);
    m.piece = mem_try_alloc(PIECE);
    if (rc == ERR_OK && (!m.seen || !m.piece))
        rc = err_set(e, ERR_NOMEM, "no memory for a bundle");
    if (rc == ERR_OK)
        rc = import_all(&m, e);
    if (rc == ERR_OK)
        rc = finish(&m, e);
    (void)snprintf(out_dir, FETCH_PATH_BYTES, "%s", m.dir);
    mem_free(m.seen);
    mem_free(m.piece);
    record_deinit(&m.listed);
    record_deinit(&m.record);
    return rc;
}
