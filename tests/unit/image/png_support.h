/* png_support.h - PNG files made by a test, of any kind that the format has. */
#ifndef VT_TESTS_PNG_SUPPORT_H
#define VT_TESTS_PNG_SUPPORT_H

#include <png.h>

#include "image_support.h"

struct made {
    int w, h, type, depth;
    bool interlaced;
    const png_color *palette;
    const unsigned char *trns; /* one byte a palette entry */
    const png_color_16 *trns_colour;
    int n_trns;
    double gamma; /* 0 = no chunk */
    const void *icc;
    unsigned icc_bytes;
    const unsigned char *exif;
    unsigned exif_bytes;
};

static inline void add_bytes(png_structp png, png_bytep p, size_t n)
{
    buf_add(png_get_io_ptr(png), p, n);
}

static inline void no_flush(png_structp png)
{
    (void)png;
}

/* Raw rows of packed samples (16 bits big endian) to a file. */
static inline void make_png(const struct made *m, const unsigned char *rows, size_t stride,
                            struct buf *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    buf_init(out, 64u << 20);
    png_set_write_fn(png, out, add_bytes, no_flush);
    png_set_IHDR(png, info, (png_uint_32)m->w, (png_uint_32)m->h, m->depth, m->type,
                 m->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (m->palette)
        png_set_PLTE(png, info, m->palette, 1 << m->depth);
    if (m->trns)
        png_set_tRNS(png, info, m->trns, m->n_trns, NULL);
    if (m->trns_colour)
        png_set_tRNS(png, info, NULL, 0, m->trns_colour);
    if (m->gamma > 0)
        png_set_gAMA(png, info, m->gamma);
    if (m->icc)
        png_set_iCCP(png, info, "test", 0, m->icc, m->icc_bytes);
    if (m->exif)
        png_set_eXIf_1(png, info, m->exif_bytes, (png_bytep)(uintptr_t)m->exif);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < m->h; y++)
            png_write_row(png, rows + (size_t)y * stride);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    assert_false(buf_failed(out));
}

#endif
