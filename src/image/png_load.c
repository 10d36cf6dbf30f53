/* png_load.c - PNG through libpng.
 *
 * The size is read from the header by ourselves, so that limits hold before libpng allocates anything. libpng
 * reports errors by longjmp: run_header and run_pixels set the jump point and keep all their state in struct
 * png_job. Text chunks are skipped here (png_text.c reads them). What a stream holds beyond its last row is not
 * unpacked: it may be a thousand times the file.
 */
#include <string.h>

#include "image/codec.h"
#include "image/png_save.h"
#include "image/png_io.h"

enum {
    /* A gAMA chunk outside of this says nothing about a real device. */
    GAMMA_LOWEST = 10000,
    GAMMA_HIGHEST = 1000000,
    /* Behind the last row come the end of its stream, a checksum, and with some encoders a few bytes too many. */
    TAIL_MAX_BYTES = 4096,
    PNG_SIGNATURE_BYTES = 8,
    PNG_CHUNK_BYTES = 12, /* of a chunk beside its data: length, name, checksum */
};

/* What may longjmp fills this, not locals. */
struct png_job {
    struct png_io io;
    struct decode *d;
    const void *icc; /* borrowed from libpng */
    size_t icc_bytes;
    uint64_t rows_left; /* of all passes */
};

static uint32_t u32_at(struct str s, size_t at)
{
    const unsigned char *p = (const unsigned char *)s.p + at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void read_header(struct png_job *j)
{
    png_structp png = j->io.png;
    struct image_info *info = j->d->info;
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* check_size has decided */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, (png_const_bytep) "tEXt\0zTXt\0iTXt",
                                3);
    png_read_info(png, j->io.info);
    int type = png_get_color_type(png, j->io.info);
    bool trns = png_get_valid(png, j->io.info, PNG_INFO_tRNS) != 0;
    info->had_alpha = (type & PNG_COLOR_MASK_ALPHA) != 0 || trns;
    info->channels = (type & PNG_COLOR_MASK_COLOR ? 3 : 1) + (info->had_alpha ? 1 : 0);
    info->bit_depth = png_get_bit_depth(png, j->io.info);

    info->orientation = png_orientation(j->d->bytes);

    png_charp name;
    png_bytep icc;
    png_uint_32 icc_bytes;
    int compression;
    if (png_get_iCCP(png, j->io.info, &name, &compression, &icc, &icc_bytes)) {
        j->icc = icc;
        j->icc_bytes = icc_bytes;
    }
}

/* sRGB and iCCP say more than gAMA does. */
static void set_gamma(struct png_job *j)
{
    png_fixed_point gamma;
    if (png_get_valid(j->io.png, j->io.info, PNG_INFO_sRGB | PNG_INFO_iCCP) ||
        !png_get_gAMA_fixed(j->io.png, j->io.info, &gamma))
        return;
    if (gamma < GAMMA_LOWEST || gamma > GAMMA_HIGHEST)
        codec_note(j->d->info, "the gamma of %.5f was ignored", (double)gamma / 100000.0);
    else
        png_set_gamma_fixed(j->io.png, PNG_GAMMA_sRGB, gamma);
}

/* Rows that hold data: an interlaced image's passes have fewer, some none. */
static uint64_t rows_of(const struct png_job *j)
{
    uint32_t w = png_get_image_width(j->io.png, j->io.info);
    uint32_t h = png_get_image_height(j->io.png, j->io.info);
    uint64_t n = 0;
    if (png_get_interlace_type(j->io.png, j->io.info) == PNG_INTERLACE_NONE)
        return h;
    for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; pass++)
        n += PNG_PASS_COLS(w, pass) > 0 ? PNG_PASS_ROWS(h, pass) : 0;
    return n;
}

/* Called with every row that was unpacked. Behind the last one libpng would unpack, and throw away, whatever the
 * stream still holds: a thousand times the file's size. */
static void on_row(png_structp png, png_row_infop row, png_bytep data)
{
    struct png_job *j = png_get_user_transform_ptr(png);
    (void)row;
    (void)data;
    if (j->rows_left > 0 && --j->rows_left == 0) {
        j->io.in_tail = true;
        j->io.tail_left = TAIL_MAX_BYTES;
    }
}

static bool is_little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

static void set_transforms(struct png_job *j)
{
    j->rows_left = rows_of(j);
    png_set_user_transform_info(j->io.png, j, 0, 0);
    png_set_read_user_transform_fn(j->io.png, on_row);
    png_set_expand(j->io.png); /* palette to RGB, 1, 2, 4 bits to 8, tRNS to alpha */
    if (!j->d->out.deep)
        png_set_scale_16(j->io.png);
    else if (is_little_endian())
        png_set_swap(j->io.png);
    set_gamma(j);
}

static enum err_code run_header(struct png_job *j)
{
    if (setjmp(png_jmpbuf(j->io.png)))
        return j->io.rc;
    read_header(j);
    return ERR_OK;
}

static enum err_code run_pixels(struct png_job *j)
{
    struct image *out = &j->d->out;
    if (setjmp(png_jmpbuf(j->io.png)))
        return j->io.rc;
    set_transforms(j);
    int passes = png_set_interlace_handling(j->io.png);
    png_read_update_info(j->io.png, j->io.info);
    if (png_get_rowbytes(j->io.png, j->io.info) != out->stride)
        png_error(j->io.png, "rows of an unexpected length");
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < out->h; y++)
            png_read_row(j->io.png, image_row(out, y), NULL);
    }
    j->io.in_tail = false;
    png_read_end(j->io.png, NULL);
    return ERR_OK;
}

static enum err_code decode(struct png_job *j)
{
    struct decode *d = j->d;
    TRY(run_header(j));
    int w = (int)png_get_image_width(j->io.png, j->io.info);
    int h = (int)png_get_image_height(j->io.png, j->io.info);
    d->info->w = w;
    d->info->h = h;
    if (j->icc)
        TRY(codec_keep_icc(d, j->icc, j->icc_bytes));
    if (d->header_only)
        return ERR_OK;
    bool deep = d->deep && d->info->bit_depth == 16;
    TRY(image_new_deep(&d->out, w, h, d->info->channels, deep, d->e));
    TRY(run_pixels(j));
    if (j->io.warning[0])
        codec_note(d->info, "the PNG decoder says: %s", j->io.warning);
    return ERR_OK;
}

/* The size, straight from where the first chunk must have it: signature (8), length (4), "IHDR",
 * width (4), height (4). libpng then insists on the same chunk. */
static enum err_code check_size(const struct decode *d)
{
    if (d->bytes.n < 24)
        return err_set(d->e, ERR_FORMAT, "the PNG is cut: it has only %zu bytes", d->bytes.n);
    if (!str_starts(str_skip(d->bytes, 12), STR_LIT("IHDR")))
        return err_set(d->e, ERR_FORMAT, "the PNG is broken: it does not begin with its header");
    return image_check_size(u32_at(d->bytes, 16), u32_at(d->bytes, 20), d->limits, d->e);
}

enum err_code codec_png(struct decode *d)
{
    struct png_job j = {.d = d};
    TRY(check_size(d));
    TRY(png_io_open_read(&j.io, d->bytes, d->e));
    enum err_code rc = decode(&j);
    png_io_close_read(&j.io);
    return rc;
}
