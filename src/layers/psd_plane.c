/* psd_plane.c - the four compressions of a PSD channel: raw, PackBits, zlib, and zlib over differences.
 *
 * Each is unpacked row by row into one channel of an image with interleaved channels (scatter_row). Raw and
 * PackBits are used in layers and in the flattened image alike, where the table of row lengths stands in front of
 * all channels; the two zlib ones, which Photoshop uses for 16 bits, occur in layers only and are unpacked whole.
 */
#include "layers/psd_plane.h"

#include <zlib.h>

#include "base/mem.h"
#include "image/sample.h"
#include "layers/psd_format.h"
#include "layers/psd_packbits.h"

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
