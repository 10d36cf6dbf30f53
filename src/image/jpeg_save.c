/* jpeg_save.c - JPEG through libjpeg-turbo, into a buffer with a maximum.
 *
 * JPEG has no alpha, so an image with alpha is laid on white first. From quality 90 on colour is stored at full
 * resolution: whoever asks for that sees the fringes otherwise. libjpeg reports errors by a longjmp, which must not
 * cross a frame that owns something: compress() owns nothing, its caller frees. EXIF data have to
 * be the first marker.
 */
#include "image/save.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/file.h"
#include "image/composite.h"
#include "image/late_jpeg.h"
#include "image/xmp.h"

enum { CHUNK_BYTES = 16384, FULL_CHROMA_QUALITY = 90, SEGMENT_MAX_BYTES = 65533 };

struct jpeg_out {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf jump;
    struct buf *out;
    struct str exif, xmp; /* with what marks them in front; "" for none */
    struct err *e;
    enum err_code rc;
    JOCTET chunk[CHUNK_BYTES];
};

static void on_error(j_common_ptr c)
{
    struct jpeg_out *j = c->client_data;
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    j->rc = c->err->msg_code == JERR_OUT_OF_MEMORY || buf_failed(j->out)
                ? err_set(j->e, ERR_NOMEM, "no memory for a JPEG")
                : err_set(j->e, ERR_INTERNAL, "cannot write a JPEG: %s", text);
    longjmp(j->jump, 1);
}

static void on_output(j_common_ptr c)
{
    (void)c;
}

static void flush(j_compress_ptr c, size_t n)
{
    struct jpeg_out *j = c->client_data;
    buf_add(j->out, j->chunk, n);
    if (buf_failed(j->out))
        ERREXIT(c, JERR_FILE_WRITE);
    j->destination.next_output_byte = j->chunk;
    j->destination.free_in_buffer = CHUNK_BYTES;
}

static void on_begin(j_compress_ptr c)
{
    flush(c, 0);
}

static boolean on_full(j_compress_ptr c)
{
    flush(c, CHUNK_BYTES);
    return TRUE;
}

static void on_end(j_compress_ptr c)
{
    flush(c, CHUNK_BYTES - c->dest->free_in_buffer);
}

static enum err_code compress(struct jpeg_out *j, const struct image *im, int quality)
{
    if (setjmp(j->jump))
        return j->rc;
    jpeg_create_compress(&j->c);
    j->destination = (struct jpeg_destination_mgr){
        .init_destination = on_begin, .empty_output_buffer = on_full, .term_destination = on_end};
    j->c.dest = &j->destination;
    j->c.image_width = (JDIMENSION)im->w;
    j->c.image_height = (JDIMENSION)im->h;
    j->c.input_components = im->channels;
    j->c.in_color_space = im->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&j->c);
    jpeg_set_quality(&j->c, quality, TRUE);
    j->c.optimize_coding = TRUE;
    if (im->channels == 3 && quality >= FULL_CHROMA_QUALITY) {
        j->c.comp_info[0].h_samp_factor = 1;
        j->c.comp_info[0].v_samp_factor = 1;
    }
    jpeg_start_compress(&j->c, TRUE);
    const struct str app1[] = {j->exif, j->xmp};
    for (size_t i = 0; i < 2; i++)
        if (app1[i].n)
            jpeg_write_marker(&j->c, JPEG_APP0 + 1, (const JOCTET *)app1[i].p, (unsigned)app1[i].n);
    while (j->c.next_scanline < j->c.image_height) {
        JSAMPROW row = image_row(im, (int)j->c.next_scanline);
        (void)jpeg_write_scanlines(&j->c, &row, 1);
    }
    jpeg_finish_compress(&j->c);
    return ERR_OK;
}

/* The blocks begin with what marks them, or are empty. */
static enum err_code write_jpeg(const struct image *im, int quality,
                                const struct image_blocks *marked, struct buf *out, struct err *e)
{
    static const unsigned char white[3] = {255, 255, 255};
    struct jpeg_out j = {.out = out, .exif = marked->exif, .xmp = marked->xmp, .e = e};
    struct image flat = {0};
    if (quality < 1 || quality > 100)
        return err_set(e, ERR_ARG, "the JPEG quality %d is not in 1..100", quality);
    if (im->w > JPEG_MAX_DIMENSION || im->h > JPEG_MAX_DIMENSION)
        return err_set(e, ERR_LIMIT, "JPEG cannot hold %d x %d pixels, only %ld a side", im->w,
                       im->h, JPEG_MAX_DIMENSION);
    TRY(late_open(&image_jpeg, e));
    enum err_code rc = image_has_alpha(im) ? image_on_ground(im, white, &flat, e) : ERR_OK;
    if (rc != ERR_OK)
        return rc;
    j.c.err = jpeg_std_error(&j.errors);
    j.c.client_data = &j;
    j.errors.error_exit = on_error;
    j.errors.output_message = on_output;
    rc = compress(&j, flat.p ? &flat : im, quality);
    jpeg_destroy_compress(&j.c);
    image_free(&flat);
    return rc;
}

static void add_marked(struct buf *out, struct str head, struct str data)
{
    if (data.n == 0)
        return;
    buf_add_str(out, head);
    buf_add_str(out, data);
}

enum err_code image_jpeg_write_with(const struct image *im, int quality,
                                    const struct image_blocks *blocks, struct buf *out,
                                    struct err *e)
{
    struct buf exif, xmp;
    if (blocks->exif.n > IMAGE_JPEG_EXIF_MAX || blocks->xmp.n > XMP_PACKET_MAX)
        return err_set(e, ERR_LIMIT, "%zu bytes of EXIF data and %zu of XMP do not fit into a JPEG",
                       blocks->exif.n, blocks->xmp.n);
    buf_init(&exif, SEGMENT_MAX_BYTES);
    buf_init(&xmp, SEGMENT_MAX_BYTES);
    add_marked(&exif, STR_LIT("Exif\0\0"), blocks->exif);
    add_marked(&xmp, STR_LIT(XMP_JPEG_HEAD), blocks->xmp);
    const struct image_blocks marked = {buf_str(&exif), buf_str(&xmp)};
    enum err_code rc = buf_failed(&exif) || buf_failed(&xmp)
                           ? err_set(e, ERR_NOMEM, "no memory for EXIF data and XMP")
                           : write_jpeg(im, quality, &marked, out, e);
    buf_deinit(&exif);
    buf_deinit(&xmp);
    return rc;
}

enum err_code image_jpeg_write(const struct image *im, int quality, struct buf *out, struct err *e)
{
    const struct image_blocks none = {STR_LIT(""), STR_LIT("")};
    return write_jpeg(im, quality, &none, out, e);
}

enum err_code image_jpeg_write_file(const char *path, const struct image *im, int quality,
                                    struct err *e)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    enum err_code rc;
    TRY_GOTO(image_jpeg_write(im, quality, &b, e), done);
    rc = file_write_atomic(path, buf_z(&b), b.n, e);
done:
    buf_deinit(&b);
    return rc;
}
