/* png_save.c - see png_save.h. libpng writes the header and the texts; the pixels come from png_pixels.c. */
#include "image/png_save.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/png_io.h"
#include "image/png_pixels.h"

static bool key_is_sound(const char *key)
{
    size_t n = strlen(key);
    if (n < 1 || n > 79 || key[0] == ' ' || key[n - 1] == ' ' || strstr(key, "  "))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (key[i] < 32 || key[i] > 126)
            return false;
    }
    return true;
}

/* UTF-8 to Latin-1 with a NUL behind it; false when a character has no place there. C1 controls stay
 * UTF-8, too: readers differ in what they make of them. */
static bool to_latin1(struct str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80) {
            if ((c != 0xc2 && c != 0xc3) || (c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0))
                return false;
            c = (unsigned char)(((c & 3u) << 6) | ((unsigned char)s.p[++i] & 0x3fu));
        }
        out[n++] = (char)c;
    }
    out[n] = 0;
    return true;
}

/* Hands one text to libpng, which copies it. Longjmps out when libpng has no memory; scratch is freed
 * by the caller. */
static void set_text(struct png_io *io, const struct image_text *t, char *scratch)
{
    png_text text = {.key = (char *)(uintptr_t)t->key, .compression = PNG_TEXT_COMPRESSION_NONE};
    if (!to_latin1(t->text, scratch)) {
        text.compression = PNG_ITXT_COMPRESSION_NONE;
        if (t->text.n)
            memcpy(scratch, t->text.p, t->text.n);
        scratch[t->text.n] = 0;
    }
    text.text = scratch;
    png_set_text(io->png, io->info, &text, 1);
}

struct target {
    struct png_io *io;
    const struct image_out *out;
};

static void on_write(png_structp png, png_bytep p, size_t n)
{
    struct target *t = png_get_io_ptr(png);
    t->io->rc = image_out_write(t->out, p, n, t->io->e);
    if (t->io->rc != ERR_OK)
        png_longjmp(png, 1); /* past png_error, which would set a text of its own */
}

static void on_flush(png_structp png)
{
    (void)png;
}

static enum err_code write_pixels(struct png_io *io, struct png_pixels *pixels)
{
    struct str piece;
    do {
        TRY(png_pixels_next(pixels, &piece, io->e));
        if (piece.n > 0)
            png_write_chunk(io->png, (png_const_bytep) "IDAT", (png_const_bytep)piece.p, piece.n);
    } while (piece.n > 0);
    return ERR_OK;
}

static enum err_code write_all(struct png_io *io, const struct image *im, struct png_pixels *pixels,
                               const struct image_text *texts, size_t n_texts, char *scratch,
                               struct target *out)
{
    static const int colour_types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                       PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(png_jmpbuf(io->png)))
        return io->rc;
    png_set_write_fn(io->png, out, on_write, on_flush);
    png_set_IHDR(io->png, io->info, (png_uint_32)im->w, (png_uint_32)im->h, 8,
                 colour_types[im->channels], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(io->png, io->info, PNG_sRGB_INTENT_PERCEPTUAL);
    for (size_t i = 0; i < n_texts; i++)
        set_text(io, &texts[i], scratch);
    png_write_info(io->png, io->info);
    TRY(write_pixels(io, pixels));
    png_write_chunk(io->png, (png_const_bytep) "IEND", NULL, 0);
    return ERR_OK;
}

enum err_code image_png_write_to(const struct image *im, const struct image_text *texts,
                                 size_t n_texts, const struct image_out *out, struct err *e)
{
    size_t longest = 0;
    for (size_t i = 0; i < n_texts; i++) {
        struct str t = texts[i].text;
        if (!key_is_sound(texts[i].key))
            return err_set(e, ERR_ARG, "'%.80s' cannot name a PNG text", texts[i].key);
        if (!str_is_utf8(t, NULL) || (t.n && memchr(t.p, 0, t.n)))
            return err_set(e, ERR_ARG, "the PNG text '%s' is not UTF-8", texts[i].key);
        if (t.n > (256u << 20))
            return err_set(e, ERR_LIMIT, "the PNG text '%s' has %zu bytes", texts[i].key, t.n);
        longest = t.n > longest ? t.n : longest;
    }
    char *scratch = mem_try_alloc(longest + 1);
    if (!scratch)
        return err_set(e, ERR_NOMEM, "no memory for a PNG text of %zu bytes", longest);
    struct png_io io;
    struct png_pixels *pixels = NULL;
    enum err_code rc = png_pixels_new(im, &pixels, e);
    if (rc == ERR_OK)
        rc = png_io_open_write(&io, e);
    if (rc == ERR_OK) {
        struct target t = {.io = &io, .out = out};
        rc = write_all(&io, im, pixels, texts, n_texts, scratch, &t);
        png_io_close_write(&io);
    }
    png_pixels_free(pixels);
    mem_free(scratch);
    return rc;
}

enum err_code image_png_write(const struct image *im, const struct image_text *texts,
                              size_t n_texts, struct buf *out, struct err *e)
{
    const struct image_out to = image_out_buf(out);
    return image_png_write_to(im, texts, n_texts, &to, e);
}

enum err_code image_png_write_file(const char *path, const struct image *im,
                                   const struct image_text *texts, size_t n_texts, struct err *e)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    enum err_code rc;
    TRY_GOTO(image_png_write(im, texts, n_texts, &b, e), done);
    rc = file_write_atomic(path, buf_z(&b), b.n, e);
done:
    buf_deinit(&b);
    return rc;
}
