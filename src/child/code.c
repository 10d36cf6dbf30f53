#include "child/code.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* Longest side of any image. */
enum { SIDE_MAX = 1000000 };
enum { IMAGE_NONE, IMAGE_PIXELS, IMAGE_FILE };

void code_to(struct code *c)
{
    memset(c, 0, sizeof *c);
    buf_init(&c->out, WIRE_MAX_BYTES);
}

void code_from(struct code *c, struct wire_message *m)
{
    memset(c, 0, sizeof *c);
    c->reading = true;
    c->in = m;
}

enum err_code code_end(struct code *c, struct err *e)
{
    if (c->err.code != ERR_OK) {
        if (e)
            *e = c->err;
        return c->err.code;
    }
    if (buf_failed(&c->out))
        return err_set(e, ERR_LIMIT, "the request is larger than %d MiB", WIRE_MAX_BYTES >> 20);
    if (c->bad || (c->reading && (c->at != c->in->body.n || c->n_fds != c->in->n_fds)))
        return err_set(e, ERR_FORMAT, "a message of the other process makes no sense");
    return ERR_OK;
}

enum err_code code_send(struct code *c, int socket, uint32_t type, bool wait, struct err *e)
{
    TRY(code_end(c, e));
    const struct wire_out m = {
        .type = type, .body = buf_str(&c->out), .fds = c->fds, .n_fds = c->n_fds, .wait = wait};
    return wire_send(socket, &m, e);
}

void code_deinit(struct code *c)
{
    for (int i = 0; i < c->n_areas; i++)
        shared_unmap(&c->areas[i]);
    for (int i = 0; !c->reading && i < c->n_fds; i++)
        (void)close(c->fds[i]);
    buf_deinit(&c->out);
    memset(c, 0, sizeof *c);
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

/* The next n bytes of the message; NULL and bad when it has ended. */
static const char *take(struct code *c, size_t n)
{
    if (c->bad || n > c->in->body.n - c->at) {
        c->bad = true;
        return NULL;
    }
    const char *p = c->in->body.p + c->at;
    c->at += n;
    return p;
}

static void raw(struct code *c, void *v, size_t n)
{
    if (!c->reading) {
        buf_add(&c->out, v, n);
        return;
    }
    const char *p = take(c, n);
    if (p)
        memcpy(v, p, n);
    else
        memset(v, 0, n);
}

void code_i64(struct code *c, int64_t *v, int64_t lo, int64_t hi)
{
    raw(c, v, sizeof *v);
    if (c->reading && (*v < lo || *v > hi)) {
        c->bad = true;
        *v = lo;
    }
}

void code_int(struct code *c, int *v, int lo, int hi)
{
    int64_t wide = *v;
    code_i64(c, &wide, lo, hi);
    *v = (int)wide;
}

void code_u64(struct code *c, uint64_t *v)
{
    raw(c, v, sizeof *v);
}

void code_size(struct code *c, size_t *v)
{
    raw(c, v, sizeof *v);
}

void code_flag(struct code *c, int *v)
{
    int one = *v != 0;
    code_int(c, &one, 0, 1);
    *v = one;
}

void code_double(struct code *c, double *v)
{
    raw(c, v, sizeof *v);
    if (c->strict && isnan(*v)) {
        c->bad = true;
        *v = 0;
    }
}

/* ---- texts --------------------------------------------------------------------------------------------- */

/* A length and the bytes with a NUL behind them. n: without it. */
static const char *take_text(struct code *c, size_t max, size_t *n)
{
    size_t length = 0;
    code_size(c, &length);
    const char *p = !c->bad && length < max ? take(c, length + 1) : NULL;
    *n = length;
    if (!p || p[length] != 0 || memchr(p, 0, length)) {
        c->bad = true;
        return NULL;
    }
    size_t at;
    while (c->strict && !str_is_utf8((struct str){p, length}, &at))
        c->in->copy[(size_t)(p - c->in->copy) + at] = '?';
    return p;
}

static void put_text(struct code *c, const char *text)
{
    size_t n = strlen(text);
    code_size(c, &n);
    buf_add(&c->out, text, n + 1);
}

void code_chars(struct code *c, char *text, size_t size)
{
    size_t n = 0;
    if (!c->reading) {
        put_text(c, text);
        return;
    }
    const char *p = take_text(c, size, &n);
    memset(text, 0, size);
    if (p)
        memcpy(text, p, n);
}

void code_text(struct code *c, const char **text, size_t max)
{
    size_t n;
    int there = *text != NULL;
    code_flag(c, &there);
    if (!c->reading && *text)
        put_text(c, *text);
    else if (c->reading)
        *text = there ? take_text(c, max, &n) : NULL;
}

/* ---- images -------------------------------------------------------------------------------------------- */

static size_t bytes_of(const struct vt_image *im)
{
    return (size_t)im->width * (size_t)im->height * (size_t)im->channels * (im->bits == 16 ? 2 : 1);
}

static void keep_fd(struct code *c, int fd)
{
    if (c->n_fds < WIRE_MAX_FDS) {
        c->fds[c->n_fds++] = fd;
        return;
    }
    (void)close(fd);
    (void)err_set(&c->err, ERR_LIMIT, "at most %d images can be sent", WIRE_MAX_FDS);
}

static void put_pixels(struct code *c, const struct vt_image *im)
{
    int fd;
    if (shared_put((struct str){(const char *)im->pixels, bytes_of(im)}, &fd, &c->err) == ERR_OK)
        keep_fd(c, fd);
}

static void put_file(struct code *c, const struct vt_image *im)
{
    int fd = open(im->file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        keep_fd(c, fd);
    else
        (void)err_set_sys(&c->err, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, errno,
                          "cannot read '%.300s'", im->file);
}

static void take_pixels(struct code *c, struct vt_image *im)
{
    int fd = c->n_fds < c->in->n_fds ? c->in->fds[c->n_fds] : -1;
    if (c->bad || fd < 0 || shared_map(fd, bytes_of(im), &c->areas[c->n_areas], NULL) != ERR_OK) {
        c->bad = true;
        return;
    }
    c->n_fds++;
    im->pixels = c->areas[c->n_areas++].p;
}

static void take_file(struct code *c, struct vt_image *im)
{
    int fd = c->n_fds < c->in->n_fds ? c->in->fds[c->n_fds] : -1;
    if (c->bad || fd < 0) {
        c->bad = true;
        return;
    }
    c->files[c->n_files++] = (struct code_file){im, fd};
    c->n_fds++;
}

/* Sides, channels and depth that no image has are left to who checks requests; then no pixels are sent. */
static bool can_send(const struct vt_image *im)
{
    return im->width > 0 && im->height > 0 && im->width <= SIDE_MAX && im->height <= SIDE_MAX &&
           im->channels >= 1 && im->channels <= 4;
}

void code_image(struct code *c, struct vt_image *im)
{
    int kind = im->pixels && can_send(im) ? IMAGE_PIXELS
               : !im->pixels && im->file  ? IMAGE_FILE
                                          : IMAGE_NONE;
    if (c->reading)
        *im = (struct vt_image){0};
    code_int(c, &kind, IMAGE_NONE, IMAGE_FILE);
    if (kind == IMAGE_PIXELS) {
        code_int(c, &im->width, 1, SIDE_MAX);
        code_int(c, &im->height, 1, SIDE_MAX);
        code_int(c, &im->channels, 1, 4);
        code_int(c, &im->bits, 0, 16);
        if (c->reading)
            take_pixels(c, im);
        else
            put_pixels(c, im);
    } else if (kind == IMAGE_FILE) {
        if (c->reading)
            take_file(c, im);
        else
            put_file(c, im);
    }
}
