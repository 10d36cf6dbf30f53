/* webp_load.c - WebP through libwebp and its demuxer: stills, and the first frame of animations.
 *
 * The demuxer keeps a record for each frame, so frames are counted by hand before it sees the file. It tells the
 * canvas, whose size is checked before memory is taken. The frame has a header of its own, which has to agree, and
 * is decoded straight to its place on the canvas; what it leaves free is transparent.
 */
#include "image/codec.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "base/late.h"
#include "image/exif.h"

#define WEBP_FUNCTIONS(X)                                                                          \
    X(WebPDecode)                                                                                  \
    X(WebPDemuxDelete)                                                                             \
    X(WebPDemuxGetChunk)                                                                           \
    X(WebPDemuxGetFrame)                                                                           \
    X(WebPDemuxGetI)                                                                               \
    X(WebPDemuxInternal)                                                                           \
    X(WebPDemuxReleaseChunkIterator)                                                               \
    X(WebPDemuxReleaseIterator)                                                                    \
    X(WebPFreeDecBuffer)                                                                           \
    X(WebPGetFeaturesInternal)                                                                     \
    X(WebPInitDecoderConfigInternal)

LATE_LIBRARY(image_webp_load, "reading WebP", WEBP_FUNCTIONS)

/* The demuxer keeps a record of every frame, four times as large as the smallest that a file can hold. */
enum { FRAMES_MAX = 10000 };

struct webp_job {
    struct decode *d;
    WebPDemuxer *demux;
    WebPIterator frame; /* the first; its fragment is a whole image of its own */
    bool have_frame;
};

static enum err_code broken(struct decode *d, const char *what)
{
    return err_set(d->e, ERR_FORMAT, "the WebP is broken: %s", what);
}

static enum err_code cut(struct decode *d)
{
    return err_set(d->e, ERR_FORMAT, "the WebP is cut: its %zu bytes end before the image does",
                   d->bytes.n);
}

/* The first chunk of that name, borrowed from the file; "" when there is none. */
static struct str chunk_of(const WebPDemuxer *demux, const char *name)
{
    WebPChunkIterator chunk;
    if (!WebPDemuxGetChunk(demux, name, 1, &chunk))
        return STR_LIT("");
    struct str s = {(const char *)chunk.chunk.bytes, chunk.chunk.size};
    WebPDemuxReleaseChunkIterator(&chunk);
    return s;
}

/* The profile and the orientation. */
static enum err_code read_chunks(struct webp_job *j)
{
    struct decode *d = j->d;
    enum err_code rc = ERR_OK;
    WebPChunkIterator chunk;
    if (WebPDemuxGetChunk(j->demux, "ICCP", 1, &chunk)) {
        rc = codec_keep_icc(d, chunk.chunk.bytes, chunk.chunk.size);
        WebPDemuxReleaseChunkIterator(&chunk);
    }
    d->info->orientation =
        xmp_or_exif_orientation(chunk_of(j->demux, "EXIF"), chunk_of(j->demux, "XMP "));
    return rc;
}

/* "RIFF", size, "WEBP", and then chunks: name (4), size (4, little endian), data, and one byte more when the size is
 * odd. Whether they make sense is the demuxer's business. */
static enum err_code check_frames(const struct decode *d)
{
    struct str s = str_skip(d->bytes, 12);
    for (int frames = 0; s.n >= 8;) {
        const unsigned char *p = (const unsigned char *)s.p;
        size_t n = p[4] | (size_t)p[5] << 8 | (size_t)p[6] << 16 | (size_t)p[7] << 24;
        if (memcmp(p, "ANMF", 4) == 0 && ++frames > FRAMES_MAX)
            return err_set(d->e, ERR_LIMIT, "the WebP has more than %d frames", FRAMES_MAX);
        if (n > s.n - 8)
            break;
        s = str_skip(s, 8 + n + (n & 1));
    }
    return ERR_OK;
}

static enum err_code read_header(struct webp_job *j)
{
    struct decode *d = j->d;
    if (check_frames(d) != ERR_OK)
        return ERR_LIMIT;
    WebPDemuxState state;
    WebPData data = {(const uint8_t *)d->bytes.p, d->bytes.n};
    j->demux = WebPDemuxPartial(&data, &state);
    if (!j->demux)
        return state == WEBP_DEMUX_PARSE_ERROR ? broken(d, "its chunks are not valid") : cut(d);
    if (state == WEBP_DEMUX_PARSING_HEADER)
        return cut(d);
    uint64_t w = WebPDemuxGetI(j->demux, WEBP_FF_CANVAS_WIDTH);
    uint64_t h = WebPDemuxGetI(j->demux, WEBP_FF_CANVAS_HEIGHT);
    TRY(image_check_size(w, h, d->limits, d->e));
    d->info->w = (int)w;
    d->info->h = (int)h;
    if (state != WEBP_DEMUX_DONE)
        return cut(d);
    j->have_frame = WebPDemuxGetFrame(j->demux, 1, &j->frame) != 0;
    if (!j->have_frame || !j->frame.complete)
        return broken(d, "it has no image");
    bool animated = (WebPDemuxGetI(j->demux, WEBP_FF_FORMAT_FLAGS) & ANIMATION_FLAG) != 0;
    d->info->bit_depth = 8;
    d->info->frames = animated ? (int)WebPDemuxGetI(j->demux, WEBP_FF_FRAME_COUNT) : 1;
    d->info->had_alpha =
        j->frame.has_alpha != 0 || j->frame.width < d->info->w || j->frame.height < d->info->h;
    d->info->channels = d->info->had_alpha ? 4 : 3;
    if (animated)
        codec_note(d->info, "an animation of %d frames: only the first one is used",
                   d->info->frames);
    return read_chunks(j);
}

/* Decodes the frame straight to its place on the canvas. */
static enum err_code read_pixels(struct webp_job *j)
{
    struct decode *d = j->d;
    WebPDecoderConfig config;
    const WebPIterator *f = &j->frame;
    if (f->x_offset < 0 || f->y_offset < 0 || f->width > d->out.w - f->x_offset ||
        f->height > d->out.h - f->y_offset)
        return broken(d, "its first frame leaves the canvas");
    if (!WebPInitDecoderConfig(&config) ||
        WebPGetFeatures(f->fragment.bytes, f->fragment.size, &config.input) != VP8_STATUS_OK)
        return broken(d, "the header of its first frame");
    if (config.input.width != f->width || config.input.height != f->height)
        return broken(d, "two headers differ about the size of its first frame");
    unsigned char *p =
        image_row(&d->out, f->y_offset) + (size_t)f->x_offset * (size_t)d->out.channels;
    config.output.colorspace = d->out.channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = p;
    config.output.u.RGBA.stride = (int)d->out.stride;
    config.output.u.RGBA.size = d->out.stride * (size_t)d->out.h - (size_t)(p - d->out.p);
    VP8StatusCode status = WebPDecode(f->fragment.bytes, f->fragment.size, &config);
    WebPFreeDecBuffer(&config.output);
    switch (status) {
    case VP8_STATUS_OK:
        return ERR_OK;
    case VP8_STATUS_OUT_OF_MEMORY:
        return err_set(d->e, ERR_NOMEM, "no memory to read the WebP");
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return cut(d);
    default:
        return broken(d, "its compressed data");
    }
}

enum err_code codec_webp(struct decode *d)
{
    struct webp_job j = {.d = d};
    enum err_code rc;
    TRY(late_open(&image_webp_load, d->e));
    TRY_GOTO(read_header(&j), done);
    if (!d->header_only)
        TRY_GOTO(image_new(&d->out, d->info->w, d->info->h, d->info->channels, d->e), done);
    if (!d->header_only)
        TRY_GOTO(read_pixels(&j), done);
done:
    if (j.have_frame)
        WebPDemuxReleaseIterator(&j.frame);
    WebPDemuxDelete(j.demux);
    return rc;
}
