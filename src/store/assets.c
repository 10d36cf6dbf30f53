/* assets.c - see assets.h. The way of an image into the store:
 *
 *     bytes -> tmp/x, hashed as they come       asset_writer_write
 *     read as an image                         check_image
 *     fsync(tmp/x)                              its bytes are on the disk
 *     rename to assets/ab/abcd..., fsync folder its name is
 *     row                                       it exists
 *
 * A crash before the row leaves at most a file that nobody knows; store_gc removes it in time. */
#include "store/assets.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_out.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "image/save.h"
#include "layers/stack.h"
#include "store/store_impl.h"

struct asset_writer {
    struct store *s;
    struct sha256 hash;
    uint64_t bytes, max_bytes;
    int fd;
    char temp[FILES_NAME_SIZE];
};

/* ---- formats ------------------------------------------------------------------------------------ */

const char *asset_mime(enum image_format format)
{
    static const char *const names[] = {
        [IMAGE_FORMAT_UNKNOWN] = "application/octet-stream",
        [IMAGE_FORMAT_PNG] = "image/png",
        [IMAGE_FORMAT_JPEG] = "image/jpeg",
        [IMAGE_FORMAT_WEBP] = "image/webp",
        [IMAGE_FORMAT_TIFF] = "image/tiff",
        [IMAGE_FORMAT_HEIC] = "image/heic",
        [IMAGE_FORMAT_AVIF] = "image/avif",
        [IMAGE_FORMAT_GIF] = "image/gif",
        [IMAGE_FORMAT_BMP] = "image/bmp",
    };
    return names[(unsigned)format < IMAGE_FORMATS ? format : IMAGE_FORMAT_UNKNOWN];
}

const char *asset_extension(enum image_format format)
{
    if (format == IMAGE_FORMAT_JPEG)
        return "jpg";
    if (format == IMAGE_FORMAT_TIFF)
        return "tif";
    return format == IMAGE_FORMAT_UNKNOWN ? "bin" : image_format_name(format);
}

static enum image_format format_from_name(struct str name)
{
    for (int f = IMAGE_FORMAT_PNG; f < IMAGE_FORMATS; f++)
        if (str_eq_z(name, image_format_name((enum image_format)f)))
            return (enum image_format)f;
    return IMAGE_FORMAT_UNKNOWN;
}

/* ---- putting in --------------------------------------------------------------------------------- */

enum err_code asset_writer_begin(struct store *s, uint64_t max_bytes, struct asset_writer **out,
                                 struct err *e)
{
    *out = NULL;
    if (s->look_only)
        return err_set_sys(e, ERR_IO, EROFS, "the store was opened read-only");
    struct asset_writer *w = mem_alloc(sizeof *w);
    w->s = s;
    w->max_bytes = max_bytes ? max_bytes : image_limits_defaults().max_file_bytes;
    sha256_init(&w->hash);
    enum err_code rc = files_temp(&s->files, w->temp, &w->fd, e);
    if (rc != ERR_OK)
        mem_free(w);
    else
        *out = w;
    return rc;
}

enum err_code asset_writer_write(struct asset_writer *w, const void *p, size_t n, struct err *e)
{
    if (n > w->max_bytes - w->bytes)
        return err_set(e, ERR_LIMIT, "the file has more than %llu bytes",
                       (unsigned long long)w->max_bytes);
    TRY(file_write_all(w->fd, p, n, e));
    sha256_add(&w->hash, p, n);
    w->bytes += n;
    return ERR_OK;
}

void asset_writer_abort(struct asset_writer *w)
{
    if (!w)
        return;
    close(w->fd);
    files_temp_drop(&w->s->files, w->temp);
    mem_free(w);
}

static struct reader_file file_of(const struct asset_writer *w)
{
    return (struct reader_file){.fd = w->fd, .bytes = w->bytes};
}

/* Reads the file as an image, and takes its measures. Of what our own encoder made only the header is read. */
static enum err_code check_image(struct asset_writer *w, bool trusted, struct asset *a,
                                 struct err *e)
{
    const struct reader_file f = file_of(w);
    struct image_info info = {0};
    TRY(trusted ? reader_image(NULL, &f, READER_HEADER, &info, NULL, e)
                : reader_image(w->s->reader, &f, READER_CHECK, &info, NULL, e));
    a->format = info.format;
    a->width = info.w;
    a->height = info.h;
    a->alpha = info.channels == 2 || info.channels == 4;
    return ERR_OK;
}

uint64_t asset_writer_pixels(const struct asset_writer *w)
{
    const struct reader_file f = file_of(w);
    struct image_info info = {0};
    struct err e = {0};
    if (reader_image(w->s->reader, &f, READER_HEADER, &info, NULL, &e) == ERR_OK)
        return (uint64_t)info.w * (uint64_t)info.h;
    err_clear(&e); /* finish says it */
    return 0;
}

/* From the temporary file to the row. */
static enum err_code settle(struct asset_writer *w, const struct asset_made *made, struct asset *a,
                            struct err *e)
{
    struct store *s = w->s;
    char name[FILES_NAME_SIZE];
    files_asset_name(a->id, name);
    if (fsync(w->fd) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write in the store");
    store_lock_files(s);
    enum err_code rc;
    TRY_GOTO(files_settle(&s->files, w->temp, s->files.assets, name, true, e), done);
    TRY_GOTO(store_begin(s, e), done);
    rc = db_end(&s->rw, asset_row_put(s, made, a, e), e);
done:
    store_unlock_files(s);
    if (rc == ERR_OK)
        store_tell_asset(s, a->id, false);
    return rc;
}

/* The last part of what may be a path, by the rules of a layer's name: UTF-8, no control characters. */
static enum err_code clean_name(char out[ASSET_NAME_SIZE], const char *name, struct err *e)
{
    static_assert(sizeof((struct layer *)0)->name == ASSET_NAME_SIZE, "one size of names");
    struct layer l = {0};
    struct str last = str_from(name);
    for (size_t i = last.n; i > 0; i--) {
        if (last.p[i - 1] == '/' || last.p[i - 1] == '\\') {
            last = str_skip(last, i);
            break;
        }
    }
    if (last.n >= ASSET_NAME_SIZE)
        return err_set(e, ERR_ARG, "the image's name has %zu bytes; at most %d are kept", last.n,
                       ASSET_NAME_SIZE - 1);
    layer_set_name(&l, last);
    memcpy(out, l.name, ASSET_NAME_SIZE);
    return ERR_OK;
}

enum err_code asset_writer_finish(struct asset_writer *w, const struct asset_note *note,
                                  struct asset *out, struct err *e)
{
    static const struct asset_note no_note = {0};
    struct asset a = {.bytes = w->bytes};
    note = note ? note : &no_note;
    snprintf(a.origin, sizeof a.origin, "%s", note->origin ? note->origin : "upload");
    sha256_hex(&w->hash, a.id);
    enum err_code rc;
    TRY_GOTO(clean_name(a.name, note->name ? note->name : "", e), done);
    TRY_GOTO(check_image(w, note->trusted, &a, e), done);
    rc = settle(w, note->made, &a, e);
done:
    asset_writer_abort(w); /* after a success the temporary name is gone already */
    *out = rc == ERR_OK ? a : (struct asset){0};
    return rc;
}

enum err_code asset_put(struct store *s, struct str bytes, const struct asset_note *note,
                        struct asset *out, struct err *e)
{
    struct asset_writer *w;
    TRY(asset_writer_begin(s, bytes.n ? bytes.n : 1, &w, e));
    enum err_code rc;
    TRY_GOTO(asset_writer_write(w, bytes.p, bytes.n, e), done);
    return asset_writer_finish(w, note, out, e);
done:
    asset_writer_abort(w);
    return rc;
}

enum err_code asset_put_image(struct store *s, const struct image *im,
                              const struct asset_note *note, struct asset *out, struct err *e)
{
    struct asset_note own = note ? *note : (struct asset_note){.origin = "result"};
    const struct image_save how = {.format = IMAGE_FORMAT_PNG, .about = own.about};
    struct buf png;
    own.trusted = true;
    buf_init(&png, (size_t)1 << 30);
    enum err_code rc;
    TRY_GOTO(image_save(im, &how, &png, e), done);
    rc = asset_put(s, buf_str(&png), &own, out, e);
done:
    buf_deinit(&png);
    return rc;
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* Cut between two characters. */
static void read_prompt(struct str text, char out[ASSET_PROMPT_SIZE])
{
    size_t n = text.n < ASSET_PROMPT_SIZE ? text.n : ASSET_PROMPT_SIZE - 1;
    while (n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80)
        n--;
    memcpy(out, text.p, n);
    out[n] = 0;
}

void asset_row_read(struct db_query *q, struct asset *a)
{
    *a = (struct asset){.seq = db_int(q, 0),
                        .format = format_from_name(db_text(q, 2)),
                        .width = (int)db_int(q, 3),
                        .height = (int)db_int(q, 4),
                        .alpha = db_int(q, 5) != 0,
                        .bytes = (uint64_t)db_int(q, 6),
                        .created_ms = db_int(q, 9),
                        .starred = db_int(q, 10) != 0,
                        .trashed = db_int(q, 11) != 0,
                        .seed = db_int(q, 16)};
    db_text_into(q, 1, a->id, sizeof a->id);
    db_text_into(q, 7, a->name, sizeof a->name);
    db_text_into(q, 8, a->origin, sizeof a->origin);
    db_text_into(q, 12, a->job, sizeof a->job);
    db_text_into(q, 13, a->task, sizeof a->task);
    db_text_into(q, 14, a->model, sizeof a->model);
    read_prompt(db_text(q, 15), a->prompt);
}

static enum err_code row_exists(struct store *s, const char *id, bool *out, struct err *e)
{
    struct db_query q = db_query(&s->rw, "SELECT 1 FROM assets WHERE id = ?1", e);
    db_bind_text(&q, 1, id);
    *out = db_row(&q);
    return db_done(&q);
}

/* What is put in again leaves the trash; the last job that made it is kept. */
#define PUT                                                                                        \
    "INSERT INTO assets (id, format, width, height, alpha, bytes, name, origin, created_ms,"       \
    " touched_ms, job, task, model, prompt, seed)"                                                 \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"                   \
    " ON CONFLICT (id) DO UPDATE SET touched_ms = max(touched_ms, excluded.touched_ms),"           \
    " name = CASE WHEN name = '' THEN excluded.name ELSE name END, trashed = 0,"                   \
    " job = iif(excluded.job = '', job, excluded.job),"                                            \
    " task = iif(excluded.job = '', task, excluded.task),"                                         \
    " model = iif(excluded.job = '', model, excluded.model),"                                      \
    " prompt = iif(excluded.job = '', prompt, excluded.prompt),"                                   \
    " seed = iif(excluded.job = '', seed, excluded.seed)"                                          \
    " RETURNING " ASSET_COLUMNS

static void bind_made(struct db_query *q, int at, const struct asset_made *made)
{
    static const struct asset_made by_none = {.job = "", .task = "", .model = "", .prompt = ""};
    made = made ? made : &by_none;
    db_bind_text(q, at, made->job);
    db_bind_text(q, at + 1, made->task);
    db_bind_text(q, at + 2, made->model);
    db_bind_text(q, at + 3, made->prompt ? made->prompt : "");
    db_bind_int(q, at + 4, made->seed);
}

enum err_code asset_row_put(struct store *s, const struct asset_made *made, struct asset *a,
                            struct err *e)
{
    bool existed = false;
    TRY(row_exists(s, a->id, &existed, e));
    struct db_query q = db_query(&s->rw, PUT, e);
    int64_t now = store_now_ms(s);
    db_bind_text(&q, 1, a->id);
    db_bind_text(&q, 2, image_format_name(a->format));
    db_bind_int(&q, 3, a->width);
    db_bind_int(&q, 4, a->height);
    db_bind_int(&q, 5, a->alpha);
    db_bind_int(&q, 6, (int64_t)a->bytes);
    db_bind_text(&q, 7, a->name);
    db_bind_text(&q, 8, a->origin);
    db_bind_int(&q, 9, a->created_ms ? a->created_ms : now);
    db_bind_int(&q, 10, now);
    bind_made(&q, 11, made);
    if (db_row(&q))
        asset_row_read(&q, a);
    a->existed = existed;
    return db_run(&q);
}

enum err_code asset_get(struct store *s, const char *id, struct asset *out, struct err *e)
{
    struct asset found = {0}; /* id may lie in *out */
    bool there = false;
    enum err_code rc = ERR_OK;
    if (asset_is_id(id)) {
        db_lock(&s->ro);
        struct db_query q =
            db_query(&s->ro, "SELECT " ASSET_COLUMNS " FROM assets WHERE id = ?1", e);
        db_bind_text(&q, 1, id);
        there = db_row(&q);
        if (there)
            asset_row_read(&q, &found);
        rc = db_done(&q);
        db_unlock(&s->ro);
    }
    if (rc == ERR_OK && !there)
        rc = err_set(e, ERR_NOTFOUND, "there is no asset '%.80s'", id ? id : "");
    *out = found;
    return rc;
}

enum err_code asset_open(struct store *s, const char *id, struct asset *out, int *fd, struct err *e)
{
    struct asset a;
    char name[FILES_NAME_SIZE];
    struct stat st;
    *fd = -1;
    TRY(asset_get(s, id, &a, e));
    files_asset_name(a.id, name);
    *fd = openat(s->files.assets, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0)
        return err_set_sys(e, ERR_IO, errno, "cannot read asset %s", a.id);
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != a.bytes) {
        close(*fd);
        *fd = -1;
        return err_set(e, ERR_IO, "the file of asset %s does not have its %llu bytes", a.id,
                       (unsigned long long)a.bytes);
    }
    if (out)
        *out = a;
    return ERR_OK;
}

static enum err_code load(struct store *s, const char *id, enum reader_wish wish,
                          struct reader_series *series, struct image *out, struct err *e)
{
    struct asset a;
    int fd;
    *out = (struct image){0};
    TRY(asset_open(s, id, &a, &fd, e));
    const struct reader_file f = {.fd = fd, .bytes = a.bytes, .series = series};
    enum err_code rc = reader_image(s->reader, &f, wish, NULL, out, e);
    close(fd);
    return rc;
}

enum err_code asset_about(struct store *s, const char *id, struct reader_series *series,
                          struct image_about *out, struct err *e)
{
    struct asset a;
    int fd;
    image_about_clear(out);
    TRY(asset_open(s, id, &a, &fd, e));
    const struct reader_file f = {.fd = fd, .bytes = a.bytes, .series = series};
    enum err_code rc = reader_about(s->reader, &f, out, e);
    close(fd);
    return rc;
}

enum err_code asset_load(struct store *s, const char *id, struct image *out, struct err *e)
{
    return load(s, id, READER_PIXELS, NULL, out, e);
}

enum err_code asset_load_deep(struct store *s, const char *id, struct image *out, struct err *e)
{
    return load(s, id, READER_DEEP, NULL, out, e);
}

enum err_code asset_load_next(struct store *s, const char *id, struct reader_series *series,
                              struct image *out, struct err *e)
{
    return load(s, id, READER_PIXELS, series, out, e);
}
