/* psd_load.c - a Photoshop document to layers: the order of its sections, the header and the resources.
 *
 * A document is header, colour table, image resources, layers, flattened image, each with its length in front; what
 * is not needed is skipped by that length. The header is checked first, because it gives the canvas and the colours
 * that everything later is read with. Of the resources three are used: the profile, whether the flattened image
 * is real, and our own list of ids. The layers are in psd_load_layers.c; the flattened image
 * comes after them, as it needs finished layers to be compared with. Documents are hostile until read: every image is counted
 * against the limits, and against the bytes that are there, before memory is asked for (psd_admit).
 */
#include "layers/psd_load.h"

#include <inttypes.h>

#include "base/mem.h"
#include "layers/psd_format.h"
#include "layers/psd_plane.h"

/* The flattened image of a PSD, which stands behind the layers.
 *
 * Without layers it becomes the one layer. With layers it is only compared with what they look like when put
 * together, so that a note tells the user what was lost; a flattened image that cannot be read is then a note too,
 * no failure. */

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

/* No compression of the format makes more than this many pixels of one byte (deflate's bound), so an
 * image that claims more is refused before it is allocated. */
enum { PIXELS_A_BYTE_MAX = 1040 };

enum err_code psd_admit(struct psd_reading *r, const char *what, int64_t w, int64_t h,
                        size_t packed_bytes, struct err *e)
{
    if (w > r->limits->max_side || h > r->limits->max_side)
        return err_set(e, ERR_LIMIT,
                       "%s is %" PRId64 " x %" PRId64 " pixels, the limit is %d per side", what, w,
                       h, r->limits->max_side);
    uint64_t area = (uint64_t)w * (uint64_t)h;
    if (area / PIXELS_A_BYTE_MAX > packed_bytes)
        return err_set(e, ERR_FORMAT, "%s has %zu bytes for %" PRIu64 " pixels", what, packed_bytes,
                       area);
    if (area > r->limits->max_pixels - r->pixels)
        return err_set(e, ERR_LIMIT, "the layers have over %" PRIu64 " pixels in all",
                       r->limits->max_pixels);
    r->pixels += area;
    return ERR_OK;
}

/* What is noted about colours is noted once: all images have the same. */
enum err_code psd_reading_finish(struct psd_reading *r, struct psd_pixels *px, struct image *out,
                                 struct err *e)
{
    struct image_info info = {0};
    enum err_code rc = psd_pixels_finish(px, &r->colours, &info, out, e);
    if (!r->info.notes[0])
        r->info = info;
    return rc;
}

/* ---- header and resources -------------------------------------------------------------------- */

static enum err_code read_header(struct psd_cursor *c, struct psd_reading *r, struct err *e)
{
    if (!psd_is_key(c, "8BPS"))
        return err_set(e, ERR_FORMAT, "not a PSD file: the signature 8BPS is missing");
    unsigned version = psd_u16(c);
    (void)psd_take(c, 6);
    r->channels = (int)psd_u16(c);
    uint32_t h = psd_u32(c), w = psd_u32(c);
    unsigned depth = psd_u16(c), mode = psd_u16(c);
    struct psd_cursor table = psd_part(c, psd_u32(c)); /* of colours */
    if (c->failed)
        return err_set(e, ERR_FORMAT, "the PSD ends inside its header");
    if (version == PSD_VERSION_LARGE)
        return err_set(e, ERR_FORMAT, "a PSB (large document); save it as PSD to import it");
    if (version != PSD_VERSION)
        return err_set(e, ERR_FORMAT, "PSD version %u, expected 1", version);
    TRY(psd_colours_check(mode, depth, &r->colours, e));
    r->colours.palette = (struct str){(const char *)table.p, table.n};
    if (r->channels < psd_colours_count(&r->colours) || r->channels > PSD_CHANNELS_MAX)
        return err_set(e, ERR_FORMAT, "%d channels in a document of colour mode %u", r->channels,
                       mode);
    TRY(layers_check_canvas(r->limits, w, h, e));
    r->w = (int)w;
    r->h = (int)h;
    return ERR_OK;
}

/* Our own resource, the profile, and whether the flattened image is real. Nothing in this section is required,
 * so damage in it is not an error. */
static void read_resources(struct psd_cursor *c, struct psd_reading *r)
{
    while (!c->failed && psd_left(c) > 0) {
        (void)psd_take(c, 4); /* signature: 8BIM, MeSa and others */
        unsigned id = psd_u16(c);
        size_t name = psd_u8(c);
        (void)psd_take(c, name + (name + 1) % 2);
        size_t n = psd_u32(c);
        const unsigned char *p = psd_take(c, n);
        if (n % 2 != 0 && psd_left(c) > 0)
            c->at++;
        if (p && id == PSD_RESOURCE_ICC)
            r->colours.icc = (struct str){(const char *)p, n};
        if (p && id == PSD_RESOURCE_VERSION && n >= 5)
            r->no_merged = p[4] == 0;
        if (p && id == PSD_RESOURCE_LAYERS && !r->ids) {
            if (json_parse((struct str){(const char *)p, n}, "ids", &r->ids, NULL) != ERR_OK)
                r->ids = NULL;
        }
    }
}

static void note_colours(struct psd_reading *r)
{
    int further = r->channels - psd_colours_count(&r->colours) - (r->transparency ? 1 : 0);
    if (r->info.notes[0])
        layer_stack_note(r->out, "%s", r->info.notes);
    if (further > 0)
        layer_stack_note(r->out, "%d further channel%s (saved selections) %s left out", further,
                         further == 1 ? "" : "s", further == 1 ? "is" : "are");
    if (r->colours.bytes == 2)
        layer_stack_note(r->out, "16 bits per channel were reduced to 8");
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum err_code read_document(struct psd_cursor *c, struct psd_reading *r, struct err *e)
{
    TRY(read_header(c, r, e));
    layer_stack_init(r->out, r->w, r->h);
    struct psd_cursor resources = psd_part(c, psd_u32(c));
    struct psd_cursor layers = psd_part(c, psd_u32(c));
    if (c->failed)
        return err_set(e, ERR_FORMAT, "the PSD ends before its layers");
    read_resources(&resources, r);
    layers_assembly_init(&r->assembly, r->out);
    r->assembly.keep = r->limits->groups;
    TRY(psd_read_layers(&layers, r, e));
    TRY(r->out->n > 0 ? psd_check_merged(c, r, e) : psd_flat_as_layer(c, r, e));
    note_colours(r);
    return ERR_OK;
}

enum err_code psd_decode(struct str bytes, const struct layers_limits *limits,
                         struct layer_stack *out, struct err *e)
{
    struct layers_limits defaults = layers_limits_defaults();
    struct psd_reading r = {.limits = limits ? limits : &defaults, .out = out};
    struct psd_cursor c = {.p = (const unsigned char *)bytes.p, .n = bytes.n};
    layer_stack_init(out, 0, 0);
    enum err_code rc = read_document(&c, &r, e);
    yyjson_doc_free(r.ids);
    mem_free(r.records);
    if (rc == ERR_OK)
        image_about_read(bytes, &out->about);
    else
        layer_stack_deinit(out);
    return rc;
}

static enum err_code measure(struct psd_cursor *c, struct psd_reading *r, struct layers_size *out,
                             struct err *e)
{
    TRY(read_header(c, r, e));
    (void)psd_part(c, psd_u32(c)); /* resources */
    struct psd_cursor layers = psd_part(c, psd_u32(c));
    out->canvas = out->largest = out->all = (uint64_t)r->w * (uint64_t)r->h;
    return psd_measure_layers(&layers, r, out, e);
}

enum err_code psd_measure(struct str bytes, struct layers_size *out, struct err *e)
{
    const struct layers_limits limits = layers_limits_defaults();
    struct psd_reading r = {.limits = &limits};
    struct psd_cursor c = {.p = (const unsigned char *)bytes.p, .n = bytes.n};
    *out = (struct layers_size){0};
    enum err_code rc = measure(&c, &r, out, e);
    mem_free(r.records);
    return rc;
}
