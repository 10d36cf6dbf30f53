/* psd_load_flat.c - the flattened image of a PSD, which stands behind the layers.
 *
 * Without layers it becomes the one layer. With layers it is only compared with what they look like when put
 * together, so that a note tells the user what was lost; a flattened image that cannot be read is then a note too,
 * no failure.
 */
#include "layers/psd_load.h"

#include "layers/psd_format.h"
#include "layers/psd_plane.h"

/* Rows of all channels; those that are neither colour nor transparency (saved selections) are not read. */
static enum err_code read_flat_channels(struct psd_cursor *c, const struct psd_reading *r,
                                        struct psd_pixels *px, struct err *e)
{
    const int n = psd_colours_count(&r->colours);
    struct psd_cursor table = {0};
    int compression = (int)psd_u16(c);
    if (compression == PSD_COMPRESSION_RLE)
        table = psd_part(c, (size_t)r->channels * 2 * (size_t)r->h);
    for (int i = 0; i < n + (r->transparency ? 1 : 0) && i < r->channels; i++) {
        struct psd_plane plane;
        (void)psd_pixels_plane(px, &r->colours, i < n ? i : PSD_CHANNEL_ALPHA, &plane);
        enum err_code rc = psd_plane_read_rows(compression, &table, c, &plane, e);
        if (rc != ERR_OK)
            return err_note(e, "the flattened image");
    }
    if (r->transparency && r->channels > n)
        psd_pixels_lift_off_white(px, &r->colours);
    return ERR_OK;
}

/* RGBA in sRGB; out is the caller's. */
static enum err_code read_flat(struct psd_cursor *c, struct psd_reading *r, struct image *out,
                               struct err *e)
{
    struct psd_pixels px;
    TRY(psd_admit(r, "the flattened image", r->w, r->h, psd_left(c), e));
    TRY(psd_pixels_new(&r->colours, r->w, r->h, &px, e));
    enum err_code rc;
    TRY_GOTO(read_flat_channels(c, r, &px, e), done);
    return psd_reading_finish(r, &px, out, e);
done:
    psd_pixels_deinit(&px);
    return rc;
}

enum err_code psd_flat_as_layer(struct psd_cursor *c, struct psd_reading *r, struct err *e)
{
    struct image im;
    TRY(read_flat(c, r, &im, e));
    struct layer l = layer_from_image(&im);
    layer_set_name(&l, STR_LIT("Background"));
    return layer_stack_add(r->out, &l, e);
}

/* Compares with the flattened image, where the document has one that can be read. */
enum err_code psd_check_merged(struct psd_cursor *c, struct psd_reading *r, struct err *e)
{
    struct image im = {0}, rgb = {0};
    struct err why = {0};
    if (r->no_merged || psd_left(c) <= 2)
        return ERR_OK;
    enum err_code rc = read_flat(c, r, &im, &why);
    if (rc == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "%s", why.text);
    if (rc != ERR_OK) {
        layer_stack_note(r->out, "the document's flattened image cannot be read: %s", why.text);
        return ERR_OK;
    }
    bool alpha = r->transparency && r->channels > psd_colours_count(&r->colours);
    if (!alpha)
        rc = image_convert(&im, 3, &rgb, e);
    if (rc == ERR_OK)
        rc = layers_check_merged(r->out, alpha ? &im : &rgb, e);
    image_free(&im);
    image_free(&rgb);
    return rc;
}
