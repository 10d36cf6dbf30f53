#include "layers/psd_rows.h"

#include "base/mem.h"
#include "layers/psd_packbits.h"

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
