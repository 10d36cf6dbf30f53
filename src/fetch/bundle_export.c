/* bundle_export.c - a model's folder into one tar file; see bundle.h.
 *
 * The manifest is the first entry, so every file is listed, with its size and digest, before the first byte is
 * written. For files that fetch.json knows the digest is taken from there and compared while they are copied;
 * others are read twice. The size is checked against the free space first, and the file gets its name when it is
 * whole.
 */
#include "fetch/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/file_out.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/record.h"

enum { PIECE = 1 << 20, MAX_DEPTH = 8 };

struct export
{
    const char *dir, *name;
    const struct bundle_watch *watch;
    struct record known;  /* the folder's fetch.json */
    struct record listed; /* what the bundle holds */
    uint64_t total, done;
    unsigned char *piece;
    struct file_out file;
    uint64_t written;
};

static bool is_stopped(const struct bundle_watch *w)
{
    return w->stop && atomic_load(w->stop);
}

static void report(const struct export *x, const char *doing)
{
    if (x->watch->progress)
        x->watch->progress(doing, x->done, x->total, x->watch->user);
}

/* ---- which files ----------------------------------------------------------------------------------------- */

static enum err_code list_file(struct export *x, const char *rel, const char *path, struct err *e)
{
    struct stat st;
    char hex[SHA256_HEX_SIZE];
    struct record_file f = {.path = rel, .repo = "", .revision = "", .commit = "", .file = ""};
    const struct record_file *known = record_find(&x->known, rel);
    enum err_code rc = path_check(str_from(rel), x->dir, e);
    if (rc != ERR_OK)
        return rc;
    if (is_stopped(x->watch))
        return err_set(e, ERR_CANCELLED, "stopped");
    if (stat(path, &st) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot read '%s'", path);
    f.size = (uint64_t)st.st_size;
    if (known && known->size != f.size)
        return err_set(e, ERR_FORMAT, "'%s' has another size than when it was downloaded", path);
    if (known) {
        f = *known;
    } else {
        report(x, rel);
        if ((rc = sha256_file(path, hex, e)) != ERR_OK)
            return rc;
        f.sha256 = hex;
    }
    x->total += f.size;
    return record_put(&x->listed, &f, e);
}

static enum err_code list_folder(struct export *x, const char *below, int depth, struct err *e);

static enum err_code list_entry(struct export *x, const char *below, const char *entry, int depth,
                                struct err *e)
{
    char rel[FETCH_PATH_BYTES], path[FETCH_PATH_BYTES];
    struct stat st;
    enum err_code rc = *below ? file_join(rel, sizeof rel, below, entry, e) : ERR_OK;
    if (!*below)
        (void)snprintf(rel, sizeof rel, "%s", entry);
    if (rc == ERR_OK)
        rc = file_join(path, sizeof path, x->dir, rel, e);
    if (rc != ERR_OK || lstat(path, &st) != 0)
        return rc;
    if (S_ISDIR(st.st_mode))
        return list_folder(x, rel, depth + 1, e);
    /* The hub's cache keeps links to files. */
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_FORMAT, "'%s' is neither a file nor a folder", path);
    return list_file(x, rel, path, e);
}

static enum err_code list_folder(struct export *x, const char *below, int depth, struct err *e)
{
    char path[FETCH_PATH_BYTES];
    enum err_code rc = ERR_OK;
    if (depth > MAX_DEPTH)
        return err_set(e, ERR_LIMIT, "'%s' has folders more than %d deep", x->dir, MAX_DEPTH);
    if (*below)
        rc = file_join(path, sizeof path, x->dir, below, e);
    else
        (void)snprintf(path, sizeof path, "%s", x->dir);
    DIR *d = rc == ERR_OK ? opendir(path) : NULL;
    if (rc == ERR_OK && !d)
        rc = err_set_sys(e, ERR_IO, errno, "cannot read the folder '%s'", path);
    for (struct dirent *entry; rc == ERR_OK && (entry = readdir(d)) != NULL;) {
        /* Hidden things are ours (.fetch) or of tools; fetch.json goes last. */
        if (entry->d_name[0] == '.' || (!*below && strcmp(entry->d_name, FETCH_RECORD) == 0))
            continue;
        rc = list_entry(x, below, entry->d_name, depth, e);
    }
    if (d)
        closedir(d);
    return rc;
}

static enum err_code check_model(const struct export *x, struct err *e)
{
    char path[FETCH_PATH_BYTES];
    if (x->listed.count == 0)
        return err_set(e, ERR_NOTFOUND, "'%s' is an empty folder", x->dir);
    for (size_t i = 0; i < x->known.count; i++)
        if (file_join(path, sizeof path, x->dir, x->known.files[i].path, NULL) == ERR_OK &&
            !file_exists(path))
            return err_set(
                e, ERR_NOTFOUND,
                "'%s' is missing; `veetance-fetch get` it first, a bundle of half a model "
                "is no use",
                path);
    if (!record_find(&x->listed, "veetance.json") && !record_find(&x->listed, "model_index.json"))
        return err_set(e, ERR_NOTFOUND,
                       "'%s' is no model: it has neither veetance.json nor model_index.json",
                       x->dir);
    return ERR_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static enum err_code put(struct export *x, const void *p, size_t n, struct err *e)
{
    enum err_code rc = file_out_write(&x->file, p, n, x->written, e);
    x->written += n;
    return rc;
}

static enum err_code put_header(struct export *x, const char *name, uint64_t size, struct err *e)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    tar_put_header(&b, name, size);
    enum err_code rc =
        buf_failed(&b) ? err_set(e, ERR_NOMEM, "no memory for a bundle") : put(x, b.p, b.n, e);
    buf_deinit(&b);
    return rc;
}

static enum err_code put_zeros(struct export *x, size_t n, struct err *e)
{
    static const char zeros[TAR_END_BYTES];
    return put(x, zeros, n, e);
}

static enum err_code put_contents(struct export *x, int fd, const struct record_file *f,
                                  struct err *e)
{
    struct sha256 h;
    char hex[SHA256_HEX_SIZE];
    uint64_t left = f->size;
    enum err_code rc = ERR_OK;
    sha256_init(&h);
    while (rc == ERR_OK && left > 0) {
        ssize_t n = read(fd, x->piece, left < PIECE ? (size_t)left : PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(e, ERR_IO, "'%s' cannot be read to its end", f->path);
        if (is_stopped(x->watch))
            return err_set(e, ERR_CANCELLED, "stopped");
        sha256_add(&h, x->piece, (size_t)n);
        rc = put(x, x->piece, (size_t)n, e);
        left -= (uint64_t)n;
        x->done += (uint64_t)n;
        report(x, f->path);
    }
    sha256_hex(&h, hex);
    if (rc == ERR_OK && strcmp(hex, f->sha256) != 0)
        rc = err_set(e, ERR_FORMAT,
                     "'%s' is not what was downloaded (or changed just now): run `veetance-fetch "
                     "verify`",
                     f->path);
    return rc == ERR_OK ? put_zeros(x, tar_padding(f->size), e) : rc;
}

static enum err_code put_file(struct export *x, const struct record_file *f, struct err *e)
{
    char path[FETCH_PATH_BYTES], name[TAR_NAME_BYTES];
    TRY(file_join(path, sizeof path, x->dir, f->path, e));
    TRY(file_join(name, sizeof name, x->name, f->path, e));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot open '%s'", path);
    enum err_code rc;
    TRY_GOTO(put_header(x, name, f->size, e), done);
    rc = put_contents(x, fd, f, e);
done:
    close(fd);
    return rc;
}

static enum err_code put_manifest(struct export *x, struct err *e)
{
    struct buf text;
    buf_init(&text, RECORD_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(record_text(&x->listed, &text, e), done);
    TRY_GOTO(put_header(x, BUNDLE_MANIFEST, text.n, e), done);
    TRY_GOTO(put(x, text.p, text.n, e), done);
    rc = put_zeros(x, tar_padding(text.n), e);
done:
    buf_deinit(&text);
    return rc;
}

static enum err_code write_all(struct export *x, struct err *e)
{
    TRY(put_manifest(x, e));
    for (size_t i = 0; i < x->listed.count; i++)
        TRY(put_file(x, &x->listed.files[i], e));
    return put_zeros(x, TAR_END_BYTES, e);
}

static enum err_code write_file(struct export *x, const char *file, struct err *e)
{
    uint64_t free_bytes = 0;
    TRY(file_out_is_direct(file) ? ERR_OK : path_free_bytes(file, &free_bytes, e));
    if (!file_out_is_direct(file) && free_bytes < x->total)
        return err_set(e, ERR_IO, "not enough room for '%s': %llu bytes are needed, %llu are free",
                       file, (unsigned long long)x->total, (unsigned long long)free_bytes);
    TRY(file_out_begin(&x->file, file, 0666, 0, e));
    enum err_code rc;
    TRY_GOTO(write_all(x, e), done);
    rc = file_out_commit(&x->file, e);
done:
    file_out_end(&x->file);
    return rc;
}

enum err_code bundle_export(const char *dir, const char *name, const char *file,
                            const struct bundle_watch *w, struct err *e)
{
    struct export x = {.dir = dir, .name = name, .watch = w};
    if (!path_is_plain_name(name))
        return err_set(e, ERR_ARG, "'%.80s' cannot be a bundle's name (letters, digits, - _ .)",
                       name);
    enum err_code rc;
    TRY_GOTO(record_load(dir, &x.known, e), done);
    TRY_GOTO(record_parse(STR_LIT("{\"format\":1,\"files\":[]}"), "bundle", &x.listed, e), done);
    TRY_GOTO(record_set(&x.listed, &x.listed.set, *x.known.set ? x.known.set : name, e), done);
    for (size_t i = 0; i < x.known.licence_count; i++)
        TRY_GOTO(record_add_licence(&x.listed, x.known.licences[i], e), done);
    TRY_GOTO(record_set(&x.listed, &x.listed.own, x.known.own, e), done);
    TRY_GOTO(list_folder(&x, "", 0, e), done);
    TRY_GOTO(check_model(&x, e), done);
    x.piece = mem_try_alloc(PIECE);
    if (!x.piece) {
        rc = err_set(e, ERR_NOMEM, "no memory for a bundle");
        goto done;
    }
    rc = write_file(&x, file, e);
done:
    mem_free(x.piece);
    record_deinit(&x.known);
    record_deinit(&x.listed);
    return rc;
}
