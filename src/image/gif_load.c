/* gif_load.c - GIF through giflib: the first frame, at its place on the canvas.
 *
 * giflib is opened when the first GIF comes (base/late.h). The screen's size is checked before anything is
 * allocated, and the file is read up to the first image only: further frames may be damaged or huge. What the
 * frame does not cover is transparent.
 */
#include <string.h>

#include <gif_lib.h>

#include "base/late.h"
#include "base/mem.h"
#include "image/codec.h"

#define GIF_FUNCTIONS(X)                                                                           \
    X(DGifOpen)                                                                                    \
    X(DGifCloseFile)                                                                               \
    X(DGifGetRecordType)                                                                           \
    X(DGifGetImageDesc)                                                                            \
    X(DGifGetLine)                                                                                 \
    X(DGifGetExtension)                                                                            \
    X(DGifGetExtensionNext)

LATE_LIBRARY(image_gif, "reading GIF", GIF_FUNCTIONS)

struct gif_job {
    struct decode *d;
    GifFileType *g;
    size_t at;
    int transparent; /* index, -1: none */
};

static int on_read(GifFileType *g, GifByteType *to, int n)
{
    struct gif_job *j = g->UserData;
    size_t left = j->d->bytes.n - j->at, k = n > 0 && (size_t)n < left ? (size_t)n : left;
    if (k)
        memcpy(to, j->d->bytes.p + j->at, k);
    j->at += k;
    return (int)k;
}

static enum err_code broken(const struct gif_job *j)
{
    if (j->at >= j->d->bytes.n)
        return err_set(j->d->e, ERR_FORMAT,
                       "the GIF is cut: its %zu bytes end before the image does", j->d->bytes.n);
    return err_set(j->d->e, ERR_FORMAT, "the GIF is broken");
}

/* A graphics control block: length 4, flags (1 = there is a transparent index), delay (2), the index. */
static bool skip_extension(struct gif_job *j)
{
    int code = 0;
    GifByteType *block = NULL;
    if (DGifGetExtension(j->g, &code, &block) != GIF_OK)
        return false;
    if (code == GRAPHICS_EXT_FUNC_CODE && block && block[0] >= 4)
        j->transparent = block[1] & 1 ? block[4] : -1;
    while (block)
        if (DGifGetExtensionNext(j->g, &block) != GIF_OK)
            return false;
    return true;
}

/* Up to the first frame. */
static enum err_code find_frame(struct gif_job *j)
{
    for (;;) {
        GifRecordType type;
        if (DGifGetRecordType(j->g, &type) != GIF_OK)
            return broken(j);
        if (type == IMAGE_DESC_RECORD_TYPE)
            return DGifGetImageDesc(j->g) == GIF_OK ? ERR_OK : broken(j);
        if (type == TERMINATE_RECORD_TYPE)
            return err_set(j->d->e, ERR_FORMAT, "the GIF has no image");
        if (type == EXTENSION_RECORD_TYPE && !skip_extension(j))
            return broken(j);
    }
}

static bool fills_canvas(const GifFileType *g)
{
    return g->Image.Left == 0 && g->Image.Top == 0 && g->Image.Width == g->SWidth &&
           g->Image.Height == g->SHeight;
}

static enum err_code read_header(struct gif_job *j)
{
    struct image_info *info = j->d->info;
    const GifFileType *g = j->g;
    TRY(image_check_size((uint64_t)g->SWidth, (uint64_t)g->SHeight, j->d->limits, j->d->e));
    TRY(find_frame(j));
    if (g->Image.Left < 0 || g->Image.Top < 0 || g->Image.Width < 1 || g->Image.Height < 1 ||
        g->Image.Width > g->SWidth - g->Image.Left || g->Image.Height > g->SHeight - g->Image.Top)
        return err_set(j->d->e, ERR_FORMAT, "the GIF's first frame leaves the canvas");
    info->w = g->SWidth;
    info->h = g->SHeight;
    info->had_alpha = j->transparent >= 0 || !fills_canvas(g);
    info->channels = info->had_alpha ? 4 : 3;
    info->bit_depth = 8;
    return ERR_OK;
}

static void place_line(const struct gif_job *j, const ColorMapObject *map, const GifByteType *line,
                       int y)
{
    const struct image *out = &j->d->out;
    const GifImageDesc *f = &j->g->Image;
    unsigned char *p = image_row(out, f->Top + y) + (size_t)f->Left * (size_t)out->channels;
    for (int x = 0; x < f->Width; x++, p += out->channels) {
        bool seen = line[x] != j->transparent && line[x] < map->ColorCount;
        const GifColorType c = seen ? map->Colors[line[x]] : (GifColorType){0, 0, 0};
        p[0] = c.Red;
        p[1] = c.Green;
        p[2] = c.Blue;
        if (out->channels == 4)
            p[3] = seen ? 255 : 0;
    }
}

static enum err_code read_lines(struct gif_job *j, GifByteType *line)
{
    static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    const GifImageDesc *f = &j->g->Image;
    const ColorMapObject *map = f->ColorMap ? f->ColorMap : j->g->SColorMap;
    const int passes = f->Interlace ? 4 : 1;
    if (!map)
        return err_set(j->d->e, ERR_FORMAT, "the GIF has no colours");
    for (int pass = 0; pass < passes; pass++)
        for (int y = f->Interlace ? first[pass] : 0; y < f->Height;
             y += f->Interlace ? step[pass] : 1) {
            if (DGifGetLine(j->g, line, f->Width) != GIF_OK)
                return broken(j);
            place_line(j, map, line, y);
        }
    return ERR_OK;
}

static enum err_code read_pixels(struct gif_job *j)
{
    struct decode *d = j->d;
    GifByteType *line = mem_try_alloc((size_t)j->g->Image.Width);
    enum err_code rc = line ? image_new(&d->out, d->info->w, d->info->h, d->info->channels, d->e)
                            : err_set(d->e, ERR_NOMEM, "no memory for a row of a GIF");
    if (rc == ERR_OK)
        rc = read_lines(j, line);
    mem_free(line);
    GifRecordType type;
    if (rc == ERR_OK && DGifGetRecordType(j->g, &type) == GIF_OK && type != TERMINATE_RECORD_TYPE)
        codec_note(d->info, "an animation: only the first frame is used");
    return rc;
}

enum err_code codec_gif(struct decode *d)
{
    struct gif_job j = {.d = d, .transparent = -1};
    int code = 0;
    TRY(late_open(&image_gif, d->e));
    j.g = DGifOpen(&j, on_read, &code);
    enum err_code rc;
    TRY_GOTO(j.g ? read_header(&j) : broken(&j), done);
    if (!d->header_only)
        rc = read_pixels(&j);
done:
    if (j.g)
        (void)DGifCloseFile(j.g, &code);
    return rc;
}
