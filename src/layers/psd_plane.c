/* psd_plane.c - the four compressions of a PSD channel: raw, PackBits, zlib, and zlib over differences.
 *
 * Each is unpacked row by row into one channel of an image with interleaved channels (scatter_row). Raw and
 * PackBits are used in layers and in the flattened image alike, where the table of row lengths stands in front of
 * all channels; the two zlib ones, which Photoshop uses for 16 bits, occur in layers only and are unpacked whole.
 */
#include "layers/psd_plane.h"

#include <string.h>

#include <zlib.h>

#include "base/mem.h"
#include "image/sample.h"
#include "layers/psd_format.h"

enum { MAX_RUN = 128, SHORTEST_REPEAT = 3 };

static size_t repeat_length(const unsigned char *p, size_t n)
{
    size_t run = 1;
    while (run < n && run < MAX_RUN && p[run] == p[0])
        run++;
    return run;
}

size_t packbits_encode(const unsigned char *in, size_t n, unsigned char *out)
{
    size_t at = 0, wrote = 0;
    while (at < n) {
        size_t run = repeat_length(in + at, n - at);
        if (run >= SHORTEST_REPEAT) {
            out[wrote++] = (unsigned char)(257 - run);
            out[wrote++] = in[at];
            at += run;
            continue;
        }
        /* Literals up to the next repeat that is worth its two bytes. */
        size_t end = at + run;
        while (end < n && end - at < MAX_RUN) {
            size_t next = repeat_length(in + end, n - end);
            if (next >= SHORTEST_REPEAT)
                break;
            end += next;
        }
        if (end - at > MAX_RUN)
            end = at + MAX_RUN;
        out[wrote++] = (unsigned char)(end - at - 1);
        memcpy(out + wrote, in + at, end - at);
        wrote += end - at;
        at = end;
    }
    return wrote;
}

bool packbits_decode(const unsigned char *in, size_t n, unsigned char *out, size_t out_n)
{
    size_t at = 0, made = 0;
    while (at < n && made < out_n) {
        unsigned c = in[at++];
        if (c == 128)
            continue;
        size_t run = c < 128 ? c + 1 : 257 - c;
        size_t takes = c < 128 ? run : 1;
        if (takes > n - at || run > out_n - made)
            return false;
        if (c < 128)
            memcpy(out + made, in + at, run);
        else
            memset(out + made, in[at], run);
        at += takes;
        made += run;
    }
    return made == out_n && n - at <= 1;
}

static size_t row_bytes(const struct psd_plane *plane)
{
    return (size_t)plane->im->w * (size_t)plane->bytes;
}

static void scatter_row(const struct psd_plane *plane, int y, const unsigned char *row)
{
    const struct image *im = plane->im;
    unsigned char *out = image_row(im, y);
    size_t at = (size_t)plane->channel;
    for (int x = 0; x < im->w; x++, at += (size_t)im->channels) {
        unsigned v = plane->bytes == 1 ? row[x] : (unsigned)row[2 * x] << 8 | row[2 * x + 1];
        if (plane->bytes == 2 && !im->deep)
            v = sample_narrow(v);
        sample_set(out, at, v, im->deep);
    }
}

static enum err_code read_raw(struct psd_cursor *c, const struct psd_plane *plane, struct err *e)
{
    for (int y = 0; y < plane->im->h; y++) {
        const unsigned char *row = psd_take(c, row_bytes(plane));
        if (!row)
            return err_set(e, ERR_FORMAT, "a raw channel ends at row %d of %d", y, plane->im->h);
        scatter_row(plane, y, row);
    }
    return ERR_OK;
}

static enum err_code read_rle(struct psd_cursor *table, struct psd_cursor *c,
                              const struct psd_plane *plane, struct err *e)
{
    unsigned char *row = mem_try_alloc(row_bytes(plane));
    if (!row)
        return err_set(e, ERR_NOMEM, "no memory for a row of %d pixels", plane->im->w);
    enum err_code rc = ERR_OK;
    for (int y = 0; y < plane->im->h && rc == ERR_OK; y++) {
        size_t n = psd_u16(table);
        const unsigned char *packed = psd_take(c, n);
        if (table->failed || !packed)
            rc = err_set(e, ERR_FORMAT, "a packed channel ends at row %d of %d", y, plane->im->h);
        else if (!packbits_decode(packed, n, row, row_bytes(plane)))
            rc = err_set(e, ERR_FORMAT, "row %d of a channel does not unpack to %d pixels", y,
                         plane->im->w);
        else
            scatter_row(plane, y, row);
    }
    mem_free(row);
    return rc;
}

enum err_code psd_plane_read_rows(int compression, struct psd_cursor *table, struct psd_cursor *c,
                                  const struct psd_plane *plane, struct err *e)
{
    if (compression == PSD_COMPRESSION_RAW)
        return read_raw(c, plane, e);
    if (compression == PSD_COMPRESSION_RLE)
        return read_rle(table, c, plane, e);
    return err_set(e, ERR_FORMAT,
                   "pixels have compression %d; 0 (raw) and 1 (RLE) are supported here",
                   compression);
}

/* Each sample is kept as what it adds to the one before. */
static void undo_differences(unsigned char *row, const struct psd_plane *plane)
{
    if (plane->bytes == 1) {
        for (int x = 1; x < plane->im->w; x++)
            row[x] = (unsigned char)(row[x] + row[x - 1]);
        return;
    }
    for (unsigned char *p = row + 2; p < row + row_bytes(plane); p += 2) {
        unsigned v = ((unsigned)p[-2] << 8 | p[-1]) + ((unsigned)p[0] << 8 | p[1]);
        p[0] = (unsigned char)(v >> 8 & 0xff);
        p[1] = (unsigned char)(v & 0xff);
    }
}

/* The whole channel as one zlib stream; "predicted" keeps differences along each row. */
static enum err_code read_zip(struct psd_cursor *c, const struct psd_plane *plane, bool predicted,
                              struct err *e)
{
    const size_t size = row_bytes(plane) * (size_t)plane->im->h;
    const size_t n = psd_left(c);
    const unsigned char *packed = psd_take(c, n);
    unsigned char *all = mem_try_alloc(size);
    if (!all)
        return err_set(e, ERR_NOMEM, "no memory for a channel of %zu bytes", size);
    uLongf got = size;
    enum err_code rc = ERR_OK;
    if (uncompress(all, &got, packed, n) != Z_OK || got != size)
        rc = err_set(e, ERR_FORMAT, "a ZIP channel does not unpack to its %zu bytes", size);
    for (int y = 0; y < plane->im->h && rc == ERR_OK; y++) {
        unsigned char *row = all + (size_t)y * row_bytes(plane);
        if (predicted)
            undo_differences(row, plane);
        scatter_row(plane, y, row);
    }
    mem_free(all);
    return rc;
}

enum err_code psd_plane_read(struct psd_cursor *c, const struct psd_plane *plane, struct err *e)
{
    int compression = (int)psd_u16(c);
    if (compression == PSD_COMPRESSION_ZIP || compression == PSD_COMPRESSION_ZIP_PREDICTED)
        return read_zip(c, plane, compression == PSD_COMPRESSION_ZIP_PREDICTED, e);
    struct psd_cursor table = {0};
    if (compression == PSD_COMPRESSION_RLE)
        table = psd_part(c, 2 * (size_t)plane->im->h);
    return psd_plane_read_rows(compression, &table, c, plane, e);
}

/* ---- writing --------------------------------------------------------------------------------- */

enum { PIECE_BYTES = 1 << 16, ROWS_A_POLL = 64 };

/* Packs row y of a channel; row has room for a row, packed for what it can take. */
static size_t pack_row(const struct image *im, int channel, int y, unsigned char *row,
                       unsigned char *packed)
{
    const unsigned char *p = image_row(im, y) + channel;
    for (int x = 0; x < im->w; x++)
        row[x] = p[4 * (size_t)x];
    return packbits_encode(row, (size_t)im->w, packed);
}

static enum err_code measure_channel(struct psd_rows *r, int channel, unsigned char *row,
                                     const struct image_out *out, struct err *e)
{
    const int h = r->im->h;
    unsigned char *length = r->lengths + 2 * (size_t)channel * (size_t)h;
    for (int y = 0; y < h; y++, length += 2) {
        if (y % ROWS_A_POLL == 0)
            TRY(image_out_poll(out, e));
        size_t n = pack_row(r->im, channel, y, row, row + r->im->w);
        length[0] = (unsigned char)(n >> 8);
        length[1] = (unsigned char)n;
        r->channel_bytes[channel] += n;
    }
    r->bytes += r->channel_bytes[channel];
    return ERR_OK;
}

/* Room for a row, the row packed, and `more` bytes. */
static unsigned char *try_row(const struct image *im, size_t more, struct err *e)
{
    const size_t w = (size_t)im->w;
    unsigned char *row = mem_try_alloc(w + packbits_bound(w) + more);
    if (!row)
        (void)err_set(e, ERR_NOMEM, "no memory to pack a row of %zu pixels", w);
    return row;
}

enum err_code psd_rows_measure(struct psd_rows *r, const struct image *im,
                               const struct image_out *out, struct err *e)
{
    enum err_code rc = ERR_OK;
    *r = (struct psd_rows){.im = im};
    r->lengths = mem_try_array((size_t)im->h, 2 * PSD_ROWS_CHANNELS);
    if (!r->lengths)
        return err_set(e, ERR_NOMEM, "no memory for the lengths of %d rows", im->h);
    unsigned char *row = try_row(im, 0, e);
    if (!row)
        return ERR_NOMEM;
    for (int c = 0; rc == ERR_OK && c < PSD_ROWS_CHANNELS; c++)
        rc = measure_channel(r, c, row, out, e);
    mem_free(row);
    return rc;
}

void psd_rows_deinit(struct psd_rows *r)
{
    mem_free(r->lengths);
    *r = (struct psd_rows){0};
}

enum err_code psd_rows_write_lengths(const struct psd_rows *r, int first, int n,
                                     const struct image_out *out, struct err *e)
{
    const size_t a_channel = 2 * (size_t)r->im->h;
    return image_out_write(out, r->lengths + (size_t)first * a_channel, (size_t)n * a_channel, e);
}

enum err_code psd_rows_write(const struct psd_rows *r, int channel, const struct image_out *out,
                             struct err *e)
{
    unsigned char *row = try_row(r->im, PIECE_BYTES, e);
    if (!row)
        return ERR_NOMEM;
    unsigned char *piece = row + r->im->w; /* a packed row fits behind a full piece */
    enum err_code rc = ERR_OK;
    size_t n = 0;
    for (int y = 0; rc == ERR_OK && y < r->im->h; y++) {
        n += pack_row(r->im, channel, y, row, piece + n);
        if (n < PIECE_BYTES && y + 1 < r->im->h)
            continue;
        rc = image_out_write(out, piece, n, e);
        n = 0;
    }
    mem_free(row);
    return rc;
}
