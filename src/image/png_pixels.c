/* png_pixels.c - see png_pixels.h.
 *
 * Each row takes the filter with the least cost, then run-length matches only: what remains of a photograph after
 * filtering has no repeats worth looking for. A strip is a deflate stream of its own that ends on a byte without ending
 * the whole; strips behind each other, between zlib's header and checksum, are one stream. A wave of strips is made at
 * a time, which bounds the memory. */
#include "image/png_pixels.h"

#include <zlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "image/png_filter_kern.h"

enum { STRIP_BYTES = 128 << 10, WAVE = 32, HEADER_BYTES = 2, CHECKSUM_BYTES = 4 };

static const enum png_filter filters[] = {PNG_FILTER_TYPE_SUB, PNG_FILTER_TYPE_UP,
                                          PNG_FILTER_TYPE_PAETH};
enum { FILTERS = sizeof filters / sizeof filters[0] };

struct strip {
    struct buf out;
    uLong checksum;
    size_t bytes; /* before compression */
    enum err_code rc;
};

struct png_pixels {
    const struct image *im;
    size_t row_bytes, strips; /* without the filter's byte; of the whole image */
    int rows;                 /* of a strip */
    size_t at_once;           /* strips of a wave */
    size_t first, made,
        told;       /* of this wave: its first strip, how many, how many were handed out */
    uLong checksum; /* of all strips that were handed out */
    struct strip wave[WAVE];
};

/* ---- a strip ------------------------------------------------------------------------------------------------ */

/* Rows with zeros in front, and what the filters make of one. */
struct rows {
    unsigned char *room, *row, *above, *tried[FILTERS];
};

static bool rows_new(struct rows *r, size_t row_bytes)
{
    size_t lead = 16, one = row_bytes + lead; /* a pixel has at most 4 */
    r->room = mem_try_array(2 + FILTERS, one);
    if (!r->room)
        return false;
    memset(r->room, 0, 2 * one);
    r->row = r->room + lead;
    r->above = r->row + one;
    for (size_t i = 0; i < FILTERS; i++)
        r->tried[i] = r->room + (2 + i) * one;
    return true;
}

/* The row at r->row as it goes into the stream: the filter's type, then the differences. */
static void filter_row(struct rows *r, size_t n, size_t bpp, unsigned char *dst)
{
    size_t best = 0, least = SIZE_MAX;
    for (size_t i = 0; i < FILTERS; i++) {
        png_filter_kern(filters[i], r->tried[i], r->row, r->above, n, bpp);
        size_t cost = png_filter_kern_cost(r->tried[i], n);
        if (cost < least) {
            least = cost;
            best = i;
        }
    }
    dst[0] = (unsigned char)filters[best];
    memcpy(dst + 1, r->tried[best], n);
}

static enum err_code filter_rows(const struct png_pixels *p, int first, int end,
                                 unsigned char *filtered)
{
    struct rows r;
    size_t n = p->row_bytes, bpp = (size_t)p->im->channels;
    enum err_code rc = rows_new(&r, n) ? ERR_OK : ERR_NOMEM;
    if (rc == ERR_OK && first > 0)
        memcpy(r.above, image_row(p->im, first - 1), n);
    for (int y = first; rc == ERR_OK && y < end; y++) {
        memcpy(r.row, image_row(p->im, y), n);
        filter_row(&r, n, bpp, filtered + (size_t)(y - first) * (n + 1));
        unsigned char *above = r.above;
        r.above = r.row;
        r.row = above;
    }
    mem_free(r.room);
    return rc;
}

static enum err_code compress_strip(struct strip *s, unsigned char *filtered, bool last)
{
    enum { RAW = -15, MOST_MEMORY = 9, MARK_BYTES = 16 }; /* no header, zlib's largest window */
    z_stream z = {0};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, RAW, MOST_MEMORY, Z_RLE) != Z_OK)
        return ERR_NOMEM;
    size_t before = s->out.n, most = deflateBound(&z, s->bytes) + MARK_BYTES;
    enum err_code rc = ERR_NOMEM;
    z.next_in = filtered;
    z.avail_in = (uInt)s->bytes;
    z.avail_out = (uInt)most;
    z.next_out = buf_grow(&s->out, most);
    if (z.next_out) {
        (void)deflate(&z, last ? Z_FINISH : Z_SYNC_FLUSH);
        rc = z.avail_in == 0 && z.avail_out > 0 ? ERR_OK : ERR_INTERNAL;
        buf_cut(&s->out, before + most - z.avail_out);
    }
    (void)deflateEnd(&z);
    return rc;
}

static enum err_code make_strip(const struct png_pixels *p, size_t index, struct strip *s)
{
    int first = (int)index * p->rows, end = first + p->rows < p->im->h ? first + p->rows : p->im->h;
    s->bytes = (size_t)(end - first) * (p->row_bytes + 1);
    unsigned char *filtered = mem_try_alloc(s->bytes);
    if (!filtered)
        return ERR_NOMEM;
    buf_clear(&s->out);
    if (index == 0)
        buf_add(&s->out, "\x78\x01", HEADER_BYTES);
    enum err_code rc = filter_rows(p, first, end, filtered);
    if (rc == ERR_OK)
        rc = compress_strip(s, filtered, index + 1 == p->strips);
    s->checksum = adler32(adler32(0, NULL, 0), filtered, (uInt)s->bytes);
    mem_free(filtered);
    return rc;
}

static void make_one(size_t i, void *user)
{
    struct png_pixels *p = user;
    p->wave[i].rc = make_strip(p, p->first + i, &p->wave[i]);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

enum err_code png_pixels_new(const struct image *im, struct png_pixels **out, struct err *e)
{
    struct png_pixels *p = mem_try_alloc(sizeof *p);
    *out = p;
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for a PNG");
    p->im = im;
    p->row_bytes = (size_t)im->w * (size_t)im->channels;
    size_t rows = STRIP_BYTES / (p->row_bytes + 1), all = (size_t)im->h;
    p->rows = rows < 1 ? 1 : rows < all ? (int)rows : im->h;
    p->strips = (all + (size_t)p->rows - 1) / (size_t)p->rows;
    size_t fit = (size_t)WAVE * STRIP_BYTES / ((size_t)p->rows * (p->row_bytes + 1));
    p->at_once = fit < 1 ? 1 : fit < WAVE ? fit : WAVE;
    p->checksum = adler32(0, NULL, 0);
    for (size_t i = 0; i < WAVE; i++)
        buf_init(&p->wave[i].out, SIZE_MAX / 2);
    return ERR_OK;
}

void png_pixels_free(struct png_pixels *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < WAVE; i++)
        buf_deinit(&p->wave[i].out);
    mem_free(p);
}

static enum err_code make_wave(struct png_pixels *p, struct err *e)
{
    p->first += p->made;
    p->told = 0;
    p->made = p->strips - p->first < p->at_once ? p->strips - p->first : p->at_once;
    parallel_each(p->made, make_one, p);
    for (size_t i = 0; i < p->made; i++)
        if (p->wave[i].rc != ERR_OK)
            return err_set(e, p->wave[i].rc, "%s",
                           p->wave[i].rc == ERR_NOMEM ? "no memory for a PNG"
                                                      : "zlib leaves pixels of a PNG behind");
    return ERR_OK;
}

static void add_checksum(const struct png_pixels *p, struct buf *b)
{
    for (int i = CHECKSUM_BYTES - 1; i >= 0; i--)
        buf_add_byte(b, (unsigned)(p->checksum >> 8 * i) & 255u);
}

enum err_code png_pixels_next(struct png_pixels *p, struct str *out, struct err *e)
{
    *out = (struct str){"", 0};
    if (p->told == p->made && p->first + p->made < p->strips)
        TRY(make_wave(p, e));
    if (p->told == p->made)
        return ERR_OK;
    struct strip *s = &p->wave[p->told++];
    p->checksum = adler32_combine(p->checksum, s->checksum, (z_off_t)s->bytes);
    if (p->first + p->told == p->strips)
        add_checksum(p, &s->out);
    if (buf_failed(&s->out))
        return err_set(e, ERR_NOMEM, "no memory for a PNG");
    *out = buf_str(&s->out);
    return ERR_OK;
}
