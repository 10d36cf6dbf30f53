/* jpeg_load.c - JPEG through libjpeg-turbo.
 *
 * libjpeg goes on after most damage with a warning and grey or torn pixels. Here such a warning ends
 * the decoding: what comes out is the whole image or an error. Harmless oddities become notes. A file
 * that ends early gets an end marker from us; if the decoder then lacks data, or more scans were to
 * come, the image is cut. */
#include "image/codec.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/mem.h"
#include "image/exif.h"
#include "image/xmp.h"
#include "image/late_jpeg.h"

enum {
    /* A few hundred bytes can request another pass over a huge image, any number of times. Real files have a dozen. */
    SCANS_MAX = 100,
};

/* A pass costs about a nanosecond a pixel: the largest images may have 21. */
static const uint64_t scan_pixels_max = (uint64_t)1 << 31;

struct jpeg_job {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    struct decode *d;
    enum err_code rc;
    bool at_end; /* the decoder asked for bytes behind the last one */
    JOCTET *icc; /* libjpeg's malloc */
    unsigned icc_bytes;
};

static struct jpeg_job *job_of(j_common_ptr c)
{
    return c->client_data;
}

static void fail_cut(struct jpeg_job *j)
{
    j->rc = err_set(j->d->e, ERR_FORMAT, "the JPEG is cut: its %zu bytes end before the image does",
                    j->d->bytes.n);
    longjmp(j->jump, 1);
}

static void on_error(j_common_ptr c)
{
    struct jpeg_job *j = job_of(c);
    char text[JMSG_LENGTH_MAX];
    if (c->err->msg_code == JERR_OUT_OF_MEMORY) {
        j->rc = err_set(j->d->e, ERR_NOMEM, "no memory to read the JPEG");
        longjmp(j->jump, 1);
    }
    if (j->at_end)
        fail_cut(j);
    c->err->format_message(c, text);
    j->rc = err_set(j->d->e, ERR_FORMAT, "the JPEG is broken: %s", text);
    longjmp(j->jump, 1);
}

static void on_message(j_common_ptr c, int level)
{
    struct jpeg_job *j = job_of(c);
    char text[JMSG_LENGTH_MAX];
    if (level >= 0)
        return;
    c->err->format_message(c, text);
    switch (c->err->msg_code) {
    case JWRN_JPEG_EOF:
        return;
    case JWRN_HIT_MARKER:
        fail_cut(j);
        return;
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_BOGUS_ICC:
    case JWRN_JFIF_MAJOR:
        codec_note(j->d->info, "%s", text);
        return;
    default:
        if (j->at_end)
            fail_cut(j);
        j->rc = err_set(j->d->e, ERR_FORMAT, "the JPEG is damaged: %s", text);
        longjmp(j->jump, 1);
    }
}

static void on_output(j_common_ptr c)
{
    (void)c;
}

static void on_source(j_decompress_ptr c)
{
    (void)c;
}

static boolean on_fill(j_decompress_ptr c)
{
    static const JOCTET end[2] = {0xff, JPEG_EOI};
    job_of((j_common_ptr)c)->at_end = true;
    c->src->next_input_byte = end;
    c->src->bytes_in_buffer = sizeof end;
    return TRUE;
}

static void on_skip(j_decompress_ptr c, long n)
{
    if (n <= 0)
        return;
    size_t skip = (size_t)n < c->src->bytes_in_buffer ? (size_t)n : c->src->bytes_in_buffer;
    c->src->next_input_byte += skip;
    c->src->bytes_in_buffer -= skip;
    if (skip < (size_t)n)
        (void)on_fill(c);
}

static void on_progress(j_common_ptr c)
{
    struct jpeg_job *j = job_of(c);
    uint64_t pixels = (uint64_t)j->c.image_width * j->c.image_height;
    int max = pixels > scan_pixels_max / SCANS_MAX ? (int)(scan_pixels_max / pixels) : SCANS_MAX;
    if (j->c.input_scan_number <= max)
        return;
    j->rc = err_set(j->d->e, ERR_LIMIT, "the JPEG has more than %d scans", max);
    longjmp(j->jump, 1);
}

static void open_source(struct jpeg_job *j)
{
    j->source = (struct jpeg_source_mgr){
        .next_input_byte = (const JOCTET *)j->d->bytes.p,
        .bytes_in_buffer = j->d->bytes.n,
        .init_source = on_source,
        .fill_input_buffer = on_fill,
        .skip_input_data = on_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = on_source,
    };
    j->c.src = &j->source;
    j->progress.progress_monitor = on_progress;
    j->c.progress = &j->progress;
}

/* What the first marker with that head holds behind it; "" when there is none. */
static struct str app1(const struct jpeg_job *j, struct str head)
{
    for (jpeg_saved_marker_ptr m = j->c.marker_list; m; m = m->next) {
        struct str s = {(const char *)m->data, m->data_length};
        if (m->marker == JPEG_APP0 + 1 && str_starts(s, head))
            return str_skip(s, head.n);
    }
    return STR_LIT("");
}

static int orientation_of(const struct jpeg_job *j)
{
    return xmp_or_exif_orientation(app1(j, STR_LIT("Exif\0\0")), app1(j, STR_LIT(XMP_JPEG_HEAD)));
}

/* The mode that we ask for. */
static void choose_colours(struct jpeg_job *j)
{
    struct decode *d = j->d;
    switch (j->c.jpeg_color_space) {
    case JCS_GRAYSCALE:
        j->c.out_color_space = JCS_GRAYSCALE;
        d->info->channels = 1;
        break;
    case JCS_CMYK:
    case JCS_YCCK:
        j->c.out_color_space = JCS_CMYK;
        d->cmyk = true;
        d->info->channels = 3;
        break;
    case JCS_RGB:
    case JCS_YCbCr:
        j->c.out_color_space = JCS_RGB;
        d->info->channels = 3;
        break;
    default:
        j->rc = err_set(d->e, ERR_FORMAT, "a JPEG of %d colour components is not supported",
                        j->c.num_components);
        longjmp(j->jump, 1);
    }
}

static enum err_code run_header(struct jpeg_job *j)
{
    if (setjmp(j->jump))
        return j->rc;
    jpeg_create_decompress(&j->c);
    open_source(j);
    jpeg_save_markers(&j->c, JPEG_APP0 + 1, 0xffff);
    jpeg_save_markers(&j->c, JPEG_APP0 + 2, 0xffff);
    (void)jpeg_read_header(&j->c, TRUE);
    choose_colours(j);
    j->d->info->bit_depth = j->c.data_precision;
    j->d->info->orientation = orientation_of(j);
    (void)jpeg_read_icc_profile(&j->c, &j->icc, &j->icc_bytes);
    return ERR_OK;
}

static enum err_code run_pixels(struct jpeg_job *j)
{
    struct image *out = &j->d->out;
    if (setjmp(j->jump))
        return j->rc;
    (void)jpeg_start_decompress(&j->c);
    while (j->c.output_scanline < j->c.output_height) {
        JSAMPROW row = image_row(out, (int)j->c.output_scanline);
        (void)jpeg_read_scanlines(&j->c, &row, 1);
    }
    /* One scan with all components that never lacked data is whole even without its end marker. */
    bool one_scan = !j->c.progressive_mode && j->c.comps_in_scan == j->c.num_components;
    if (j->at_end && !one_scan)
        fail_cut(j);
    (void)jpeg_finish_decompress(&j->c);
    if (j->at_end)
        codec_note(j->d->info, "the JPEG has no end marker");
    return ERR_OK;
}

static enum err_code decode(struct jpeg_job *j)
{
    struct decode *d = j->d;
    TRY(run_header(j));
    TRY(image_check_size(j->c.image_width, j->c.image_height, d->limits, d->e));
    d->info->w = (int)j->c.image_width;
    d->info->h = (int)j->c.image_height;
    if (j->icc)
        TRY(codec_keep_icc(d, j->icc, j->icc_bytes));
    if (d->header_only)
        return ERR_OK;
    TRY(image_new(&d->out, d->info->w, d->info->h, d->cmyk ? 4 : d->info->channels, d->e));
    return run_pixels(j);
}

enum err_code codec_jpeg(struct decode *d)
{
    struct jpeg_job j = {.d = d};
    TRY(late_open(&image_jpeg, d->e));
    j.c.err = jpeg_std_error(&j.errors);
    j.c.client_data = &j;
    j.errors.error_exit = on_error;
    j.errors.emit_message = on_message;
    j.errors.output_message = on_output;
    enum err_code rc = decode(&j);
    mem_free(j.icc);
    jpeg_destroy_decompress(&j.c);
    return rc;
}
