/* bmp_load.c - Windows bitmaps. No library of the system reads only them; the format is small:
 *
 *      0  2  "BM"
 *     10  4  where the pixels begin
 *     14  4  length of this header: 12 (sides of 2 bytes), or 40 and more:
 *     18  4  width        22  4  height (negative: rows from the top)
 *     26  2  planes       28  2  bits a pixel: 1, 4, 8 (with a palette), 16, 24, 32
 *     30  4  compression: 0 none, 1 and 2 run lengths (of 8 and 4 bits), 3 and 6 bit masks
 *     46  4  colours of the palette; 0: as many as there can be
 *     54 12  masks of red, green, blue, and 66 4 of alpha: in the header from 56 on, or behind one of 40
 *
 * Rows are padded to four bytes. All numbers are little endian. */
#include "image/codec.h"

enum { FILE_BYTES = 14, CORE_BYTES = 12, INFO_BYTES = 40, ALPHA_BYTES = 56 };
enum { BMP_PLAIN = 0, BMP_RLE8 = 1, BMP_RLE4 = 2, BMP_MASKS = 3, BMP_ALPHA_MASKS = 6 };

struct bmp {
    struct decode *d;
    uint32_t header, begin, compression, colours, palette; /* palette: where it begins */
    uint32_t palette_step;
    uint32_t masks[4]; /* red, green, blue, alpha */
    unsigned bits;
    int w, h;
    bool from_top;
};

static enum err_code broken(const struct bmp *b, const char *what)
{
    return err_set(b->d->e, ERR_FORMAT, "the BMP is broken: %s", what);
}

/* Zero behind the end. */
static uint32_t get(const struct bmp *b, uint64_t at, int bytes)
{
    uint32_t v = 0;
    for (int i = 0; i < bytes; i++)
        if (at + (unsigned)i < b->d->bytes.n)
            v |= (uint32_t)(unsigned char)b->d->bytes.p[at + (unsigned)i] << (8 * i);
    return v;
}

static void read_masks(struct bmp *b)
{
    static const uint32_t of_16[] = {0x7c00, 0x03e0, 0x001f, 0},
                          of_32[] = {0xff0000, 0xff00, 0xff, 0};
    const bool given = b->compression == BMP_MASKS || b->compression == BMP_ALPHA_MASKS;
    for (int i = 0; i < 4; i++)
        b->masks[i] = given ? get(b, FILE_BYTES + INFO_BYTES + 4 * (uint64_t)i, 4)
                            : (b->bits == 16 ? of_16 : of_32)[i];
    if (given && b->header < ALPHA_BYTES && b->compression != BMP_ALPHA_MASKS)
        b->masks[3] = 0;
}

static enum err_code read_sides(struct bmp *b)
{
    const bool core = b->header == CORE_BYTES;
    int64_t w = core ? (int64_t)get(b, 18, 2) : (int32_t)get(b, 18, 4);
    int64_t h = core ? (int64_t)get(b, 20, 2) : (int32_t)get(b, 22, 4);
    b->from_top = h < 0;
    h = h < 0 ? -h : h;
    enum err_code rc =
        image_check_size(w > 0 ? (uint64_t)w : 0, (uint64_t)h, b->d->limits, b->d->e);
    if (rc != ERR_OK)
        return rc;
    b->w = (int)w;
    b->h = (int)h;
    return ERR_OK;
}

static enum err_code read_header(struct bmp *b)
{
    struct image_info *info = b->d->info;
    b->begin = get(b, 10, 4);
    b->header = get(b, 14, 4);
    if (b->header != CORE_BYTES && (b->header < INFO_BYTES || b->header > 1024))
        return broken(b, "its header has an unknown length");
    TRY(read_sides(b));
    const bool core = b->header == CORE_BYTES;
    b->bits = get(b, core ? 24 : 28, 2);
    b->compression = core ? BMP_PLAIN : get(b, 30, 4);
    b->colours = core ? 0 : get(b, 46, 4);
    const bool palette = b->bits == 1 || b->bits == 4 || b->bits == 8;
    if (!palette && b->bits != 16 && b->bits != 24 && b->bits != 32)
        return err_set(b->d->e, ERR_FORMAT, "a BMP of %u bits a pixel", b->bits);
    if ((b->compression == BMP_RLE8 && b->bits != 8) ||
        (b->compression == BMP_RLE4 && b->bits != 4) ||
        ((b->compression == BMP_MASKS || b->compression == BMP_ALPHA_MASKS) && b->bits != 16 &&
         b->bits != 32) ||
        (b->compression > BMP_MASKS && b->compression != BMP_ALPHA_MASKS))
        return err_set(b->d->e, ERR_FORMAT, "a BMP of %u bits with compression %u is not supported",
                       b->bits, b->compression);
    read_masks(b);
    b->palette = FILE_BYTES + b->header;
    b->palette_step = core ? 3 : 4;
    if (b->colours == 0 || b->colours > 256)
        b->colours = palette ? 1u << b->bits : 0;
    info->w = b->w;
    info->h = b->h;
    info->bit_depth = palette ? (int)b->bits : 8;
    info->had_alpha = b->masks[3] != 0 && (b->bits == 16 || b->bits == 32);
    info->channels = info->had_alpha ? 4 : 3;
    return ERR_OK;
}

static unsigned char *pixel(const struct bmp *b, int x, int y)
{
    const struct image *out = &b->d->out;
    return image_row(out, b->from_top ? y : b->h - 1 - y) + (size_t)x * (size_t)out->channels;
}

/* What lies behind the end of the palette is black. */
static void put_index(const struct bmp *b, int x, int y, uint32_t index)
{
    unsigned char *p = pixel(b, x, y);
    for (unsigned i = 0; index < b->colours && i < 3; i++)
        p[i] = (unsigned char)get(b, b->palette + index * b->palette_step + 2 - i, 1);
}

/* The bits of a mask, to 0..255. */
static unsigned char masked(uint32_t v, uint32_t mask)
{
    if (!mask)
        return 0;
    int shift = __builtin_ctz(mask);
    uint64_t max = mask >> shift, value = (v & mask) >> shift;
    return (unsigned char)((value * 255 + max / 2) / max);
}

static void put_row(const struct bmp *b, uint64_t row, int y)
{
    for (int x = 0; x < b->w; x++) {
        unsigned char *p = pixel(b, x, y);
        if (b->bits <= 8) {
            uint64_t bit = (uint64_t)x * b->bits;
            uint32_t byte = get(b, row + bit / 8, 1);
            put_index(b, x, y, byte >> (8 - b->bits - bit % 8) & ((1u << b->bits) - 1));
        } else if (b->bits == 24) {
            for (unsigned i = 0; i < 3; i++)
                p[i] = (unsigned char)get(b, row + (uint64_t)x * 3 + 2 - i, 1);
        } else {
            uint32_t v = get(b, row + (uint64_t)x * (b->bits / 8), (int)b->bits / 8);
            for (int i = 0; i < b->d->out.channels; i++)
                p[i] = masked(v, b->masks[i]);
        }
    }
}

static enum err_code read_plain(const struct bmp *b)
{
    const uint64_t stride = ((uint64_t)b->w * b->bits + 31) / 32 * 4;
    if (b->begin + stride * (uint64_t)b->h > b->d->bytes.n + 3) /* some lack the last padding */
        return err_set(b->d->e, ERR_FORMAT,
                       "the BMP is cut: its %zu bytes end before the image does", b->d->bytes.n);
    for (int y = 0; y < b->h; y++)
        put_row(b, b->begin + stride * (uint64_t)y, y);
    return ERR_OK;
}

/* Pairs of bytes: count and value, or 0 and: 0 end of a row, 1 end of all, 2 a step right and up (two bytes), n so
 * many single values. Of 4 bits, a byte holds two in turns. */
static enum err_code read_runs(const struct bmp *b)
{
    const uint64_t end = b->d->bytes.n;
    uint64_t at = b->begin;
    int x = 0, y = 0;
    while (y < b->h && at + 1 < end) {
        unsigned n = get(b, at, 1), v = get(b, at + 1, 1);
        at += 2;
        if (n == 0 && v == 1)
            return ERR_OK;
        if (n == 0 && v == 0) {
            x = 0;
            y++;
            continue;
        }
        if (n == 0 && v == 2) {
            x += (int)get(b, at, 1);
            y += (int)get(b, at + 1, 1);
            at += 2;
            continue;
        }
        const bool single = n == 0;
        const unsigned count = single ? v : n, bytes = b->bits == 8 ? count : (count + 1) / 2;
        for (unsigned i = 0; i < count; i++, x++) {
            unsigned byte = single ? get(b, at + (b->bits == 8 ? i : i / 2), 1) : v;
            unsigned index = b->bits == 8 ? byte : i % 2 ? byte & 15 : byte >> 4;
            if (x < b->w && y < b->h)
                put_index(b, x, y, index);
        }
        if (single)
            at += bytes + bytes % 2;
    }
    return y >= b->h ? ERR_OK : broken(b, "its run lengths end too early");
}

enum err_code codec_bmp(struct decode *d)
{
    struct bmp b = {.d = d};
    TRY(read_header(&b));
    if (d->header_only)
        return ERR_OK;
    TRY(image_new(&d->out, b.w, b.h, d->info->channels, d->e));
    return b.compression == BMP_RLE8 || b.compression == BMP_RLE4 ? read_runs(&b) : read_plain(&b);
}
