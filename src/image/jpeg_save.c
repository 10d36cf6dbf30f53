/* jpeg_save.c - JPEG through libjpeg-turbo, into a buffer with a maximum.
 *
 * JPEG has no alpha, so an image with alpha is laid on white first. From quality 90 on colour is stored at full
 * resolution: whoever asks for that sees the fringes otherwise. libjpeg reports errors by a longjmp, which must not
 * cross a frame that owns something: compress() owns nothing, its caller frees. EXIF data, which carry the recipe,
 * have to be the first marker.
 */
#include "image/save.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/file.h"
#include "image/composite.h"
#include "image/late_jpeg.h"

enum { CHUNK_BYTES = 16384, FULL_CHROMA_QUALITY = 90 };

struct jpeg_out {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf jump;
    struct buf *out;
    struct str exif; /* with "Exif\0\0" in front; "" for none */
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
    if (j->exif.n)
        jpeg_write_marker(&j->c, JPEG_APP0 + 1, (const JOCTET *)j->exif.p, (unsigned)j->exif.n);
    while (j->c.next_scanline < j->c.image_height) {
        JSAMPROW row = image_row(im, (int)j->c.next_scanline);
        (void)jpeg_write_scanlines(&j->c, &row, 1);
    }
    jpeg_finish_compress(&j->c);
    return ERR_OK;
}

/* exif begins with "Exif\0\0", or is empty. */
static enum err_code write_jpeg(const struct image *im, int quality, struct str exif,
                                struct buf *out, struct err *e)
{
    static const unsigned char white[3] = {255, 255, 255};
    struct jpeg_out j = {.out = out, .exif = exif, .e = e};
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

enum err_code image_jpeg_write_exif(const struct image *im, int quality, struct str exif,
                                    struct buf *out, struct err *e)
{
    struct buf marker;
    if (exif.n > IMAGE_JPEG_EXIF_MAX)
        return err_set(e, ERR_LIMIT, "%zu bytes of EXIF data do not fit into a JPEG", exif.n);
    buf_init(&marker, IMAGE_JPEG_EXIF_MAX + 6);
    if (exif.n) {
        buf_add(&marker, "Exif\0\0", 6);
        buf_add_str(&marker, exif);
    }
    enum err_code rc = buf_failed(&marker) ? err_set(e, ERR_NOMEM, "no memory for EXIF data")
                                           : write_jpeg(im, quality, buf_str(&marker), out, e);
    buf_deinit(&marker);
    return rc;
}

enum err_code image_jpeg_write(const struct image *im, int quality, struct buf *out, struct err *e)
{
    return write_jpeg(im, quality, STR_LIT(""), out, e);
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
