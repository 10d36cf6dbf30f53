/* A Photoshop document to layers. Order: header, colour table, image resources (where our own list of
 * ids lies), layer records, the pixels of all layers, the flattened image. Everything that is not
 * needed is stepped over by its length. */
#include "image/psd.h"

#include <inttypes.h>
#include <math.h>

#include "base/ck.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "image/psd_cursor.h"
#include "image/psd_format.h"
#include "image/psd_plane.h"
#include "image/psd_record.h"

enum { MASK_RELATIVE = 1, MASK_DISABLED = 2, RECORD_BYTES_MIN = 34 };

/* No compression of the format makes more than this many pixels of one byte (deflate's bound), so a
 * picture that claims more is refused before it is allocated. */
enum { PIXELS_A_BYTE_MAX = 1040 };

struct reading {
    const struct layers_limits *limits;
    uint64_t pixels; /* of all layers so far */
    int w, h, channels;
    yyjson_doc *ids; /* our resource, or NULL */
    struct psd_record *records;
    size_t n_records;
    struct layer_stack *out;
};

/* ---- header and resources -------------------------------------------------------------------- */

static enum err_code read_header(struct psd_cursor *c, struct reading *r, struct err *e)
{
    if (!psd_is_key(c, "8BPS"))
        return err_set(e, ERR_FORMAT, "not a PSD file: the signature 8BPS is missing");
    unsigned version = psd_u16(c);
    (void)psd_take(c, 6);
    r->channels = (int)psd_u16(c);
    uint32_t h = psd_u32(c), w = psd_u32(c);
    unsigned depth = psd_u16(c), mode = psd_u16(c);
    (void)psd_take(c, psd_u32(c)); /* colour table */
    if (c->failed)
        return err_set(e, ERR_FORMAT, "the PSD ends inside its header");
    if (version == PSD_VERSION_LARGE)
        return err_set(e, ERR_FORMAT, "a PSB (large document); save it as PSD to import it");
    if (version != PSD_VERSION)
        return err_set(e, ERR_FORMAT, "PSD version %u, expected 1", version);
    if (depth != 8)
        return err_set(e, ERR_FORMAT, "%u bits a channel; PSDs of 8 bits are read", depth);
    if (mode != PSD_MODE_RGB)
        return err_set(e, ERR_FORMAT, "colour mode %u; PSDs in RGB (mode 3) are read", mode);
    if (r->channels < 3 || r->channels > PSD_CHANNELS_MAX)
        return err_set(e, ERR_FORMAT, "%d channels in an RGB document", r->channels);
    enum err_code rc = layers_check_canvas(r->limits, w, h, e);
    if (rc != ERR_OK)
        return rc;
    r->w = (int)w;
    r->h = (int)h;
    return ERR_OK;
}

/* Looks for our own resource. Nothing in this section is needed, so its faults are no failure. */
static void read_resources(struct psd_cursor *c, struct reading *r)
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
        if (p && id == PSD_RESOURCE_LAYERS && !r->ids) {
            if (json_parse((struct str){(const char *)p, n}, "ids", &r->ids, NULL) != ERR_OK)
                r->ids = NULL;
        }
    }
}

/* The id and the exact opacity that we once gave to the layer with that number. */
static void apply_ids(const struct reading *r, const struct psd_record *rec, struct layer *l)
{
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(r->ids), "layers"), *entry;
    size_t i, n;
    char fallback[LAYER_ID_SIZE];
    struct buf b;
    if (rec->lyid == 0)
        return;
    buf_init(&b, sizeof fallback);
    buf_printf(&b, "psd-%" PRIu32, rec->lyid);
    (void)layer_set_id(l, buf_str(&b));
    buf_deinit(&b);
    yyjson_arr_foreach(list, i, n, entry)
    {
        if (yyjson_get_uint(yyjson_obj_get(entry, "lyid")) != rec->lyid)
            continue;
        double opacity = yyjson_get_num(yyjson_obj_get(entry, "opacity"));
        (void)layer_set_id(l, str_from(yyjson_get_str(yyjson_obj_get(entry, "id"))));
        /* The record has 256 steps; where another program changed it, the record is right. */
        if (opacity >= 0 && opacity <= 1 && lround(opacity * 255) == (long)rec->opacity)
            l->opacity = opacity;
        return;
    }
}

/* ---- pixels ---------------------------------------------------------------------------------- */

/* Sides of a rectangle from the file; false when it is turned inside out. */
static bool rect_size(const struct psd_rect *rect, int64_t *w, int64_t *h)
{
    *w = (int64_t)rect->right - rect->left;
    *h = (int64_t)rect->bottom - rect->top;
    return *w >= 0 && *h >= 0;
}

/* Counts a picture against the limits before it is made. */
static enum err_code admit(struct reading *r, const char *what, int64_t w, int64_t h,
                           size_t packed_bytes, struct err *e)
{
    if (w > r->limits->max_side || h > r->limits->max_side)
        return err_set(e, ERR_LIMIT, "%s is %" PRId64 " x %" PRId64 " pixels, over %d a side", what,
                       w, h, r->limits->max_side);
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

/* Multiplies the alpha by the mask; outside its rectangle the mask has one value. */
static void apply_mask(struct layer *l, const struct psd_record *rec, const struct image *mask)
{
    int dx = rec->mask_flags & MASK_RELATIVE ? l->x : 0;
    int dy = rec->mask_flags & MASK_RELATIVE ? l->y : 0;
    for (int y = 0; y < l->image.h; y++) {
        unsigned char *p = image_row(&l->image, y);
        int64_t my = (int64_t)l->y + y - rec->mask.top - dy;
        for (int x = 0; x < l->image.w; x++) {
            int64_t mx = (int64_t)l->x + x - rec->mask.left - dx;
            bool inside = mask->p && mx >= 0 && my >= 0 && mx < mask->w && my < mask->h;
            unsigned m = inside ? image_row(mask, (int)my)[mx] : rec->mask_default;
            p[4 * (size_t)x + 3] = (unsigned char)((p[4 * (size_t)x + 3] * m + 127) / 255);
        }
    }
}

/* Reads the mask's channel, if the layer has one in use, and applies it. */
static enum err_code read_mask(struct reading *r, const struct psd_record *rec, struct layer *l,
                               struct psd_cursor *channel, struct err *e)
{
    struct image mask = {0};
    int64_t w, h;
    if (!rec->has_mask || (rec->mask_flags & MASK_DISABLED))
        return ERR_OK;
    if (!rect_size(&rec->mask, &w, &h))
        return err_set(e, ERR_FORMAT, "the mask's rectangle is inside out");
    enum err_code rc = ERR_OK;
    if (w > 0 && h > 0) {
        rc = admit(r, "the mask", w, h, psd_left(channel), e);
        if (rc == ERR_OK)
            rc = image_new(&mask, (int)w, (int)h, 1, e);
        if (rc == ERR_OK) {
            struct psd_plane plane = {mask.p, (int)w, (int)h, 1, mask.stride};
            rc = psd_plane_read(channel, &plane, e);
        }
    }
    if (rc == ERR_OK)
        apply_mask(l, rec, &mask);
    image_free(&mask);
    return rc;
}

/* Reads the channels of one record out of c into a layer's picture. */
static enum err_code read_channels(struct reading *r, const struct psd_record *rec, struct layer *l,
                                   struct psd_cursor *c, struct err *e)
{
    struct psd_cursor mask = {0};
    enum err_code rc = ERR_OK;
    image_fill(&l->image, (const unsigned char[4]){0, 0, 0, 255});
    for (size_t i = 0; i < rec->n_channels && rc == ERR_OK; i++) {
        int id = rec->channels[i].id;
        struct psd_cursor channel = psd_part(c, rec->channels[i].bytes);
        if (channel.failed)
            return err_set(e, ERR_FORMAT, "the file ends inside the layer's pixels");
        if (id == PSD_CHANNEL_MASK)
            mask = channel;
        if (id < PSD_CHANNEL_ALPHA || id > 2)
            continue;
        /* Alpha is -1 in the file and the last byte of a pixel here. */
        struct psd_plane plane = {l->image.p + (id + 4) % 4, l->image.w, l->image.h, 4,
                                  l->image.stride};
        rc = psd_plane_read(&channel, &plane, e);
    }
    return rc == ERR_OK ? read_mask(r, rec, l, &mask, e) : rc;
}

static size_t colour_bytes(const struct psd_record *rec)
{
    size_t most = 0;
    for (size_t i = 0; i < rec->n_channels; i++)
        if (rec->channels[i].bytes > most)
            most = rec->channels[i].bytes;
    return most;
}

static enum err_code fill_layer(struct reading *r, const struct psd_record *rec, struct layer *l,
                                struct psd_cursor *c, struct err *e)
{
    layer_set_name(l, str_from(rec->name));
    l->x = rec->rect.left;
    l->y = rec->rect.top;
    l->visible = !(rec->flags & PSD_FLAG_HIDDEN) && rec->group_visible;
    l->opacity = rec->opacity / 255.0;
    apply_ids(r, rec, l);
    l->opacity *= rec->group_opacity;
    l->blend = psd_blend_from_key(rec->blend_key);
    enum err_code rc = read_channels(r, rec, l, c, e);
    return rc == ERR_OK ? rc : err_note(e, "layer '%s'", l->name);
}

/* One record's pixels as a layer on top of the stack; steps over what is no picture. */
static enum err_code read_layer(struct reading *r, const struct psd_record *rec,
                                struct psd_cursor *c, struct err *e)
{
    struct image im = {0};
    int64_t w, h;
    enum err_code rc;
    if (!rect_size(&rec->rect, &w, &h))
        return err_set(e, ERR_FORMAT, "a layer's rectangle is inside out");
    if (w == 0 || h == 0 || rec->divider != 0) {
        for (size_t i = 0; i < rec->n_channels; i++)
            (void)psd_take(c, rec->channels[i].bytes);
        return c->failed ? err_set(e, ERR_FORMAT, "the file ends inside a layer's pixels") : ERR_OK;
    }
    if ((rc = admit(r, "a layer", w, h, colour_bytes(rec), e)) != ERR_OK ||
        (rc = image_new(&im, (int)w, (int)h, 4, e)) != ERR_OK)
        return rc;
    struct layer l = layer_from_image(&im);
    if ((rc = fill_layer(r, rec, &l, c, e)) != ERR_OK) {
        layer_deinit(&l);
        return rc;
    }
    return layer_stack_add(r->out, &l, e);
}

/* ---- the layer section ----------------------------------------------------------------------- */

static enum err_code read_records(struct psd_cursor *c, struct reading *r, struct err *e)
{
    const int count = (int16_t)psd_u16(c);
    const size_t n = (size_t)(count < 0 ? -count : count);
    /* Each group takes two records, and stands around one layer at least in any sane document. */
    if (n > 3 * r->limits->max_layers)
        return err_set(e, ERR_LIMIT, "%zu layers and groups, the limit is %zu layers", n,
                       r->limits->max_layers);
    if (n * RECORD_BYTES_MIN > psd_left(c))
        return err_set(e, ERR_FORMAT, "%zu layers do not fit into %zu bytes", n, psd_left(c));
    r->records = mem_try_array(n, sizeof *r->records);
    if (!r->records)
        return err_set(e, ERR_NOMEM, "no memory for %zu layer records", n);
    for (; r->n_records < n; r->n_records++) {
        enum err_code rc = psd_record_read(c, &r->records[r->n_records], e);
        if (rc != ERR_OK)
            return err_note(e, "layer %zu", r->n_records);
    }
    return psd_records_dissolve_groups(r->records, n, e);
}

static enum err_code read_layers(struct psd_cursor *section, struct reading *r, struct err *e)
{
    if (psd_left(section) < 4)
        return ERR_OK;
    struct psd_cursor info = psd_part(section, psd_u32(section));
    if (info.failed)
        return err_set(e, ERR_FORMAT, "the list of layers is longer than the file");
    if (psd_left(&info) < 2)
        return ERR_OK;
    enum err_code rc = read_records(&info, r, e);
    for (size_t i = 0; i < r->n_records && rc == ERR_OK; i++) {
        if (r->out->n >= r->limits->max_layers)
            return err_set(e, ERR_LIMIT, "more than %zu layers", r->limits->max_layers);
        rc = read_layer(r, &r->records[i], &info, e);
    }
    return rc;
}

/* ---- the flattened image --------------------------------------------------------------------- */

/* Undoes the white that flattened colours are kept on. */
static void lift_off_white(struct image *im)
{
    for (int y = 0; y < im->h; y++) {
        unsigned char *p = image_row(im, y);
        for (int x = 0; x < im->w; x++, p += 4) {
            int a = p[3];
            for (int c = 0; c < 3 && a > 0 && a < 255; c++) {
                int v = ((p[c] - (255 - a)) * 255 + a / 2) / a;
                p[c] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
        }
    }
}

static enum err_code read_flat_pixels(struct psd_cursor *c, const struct reading *r,
                                      struct image *im, struct err *e)
{
    struct psd_cursor table = {0};
    int compression = (int)psd_u16(c);
    if (compression == PSD_COMPRESSION_RLE)
        table = psd_part(c, (size_t)r->channels * 2 * (size_t)r->h);
    image_fill(im, (const unsigned char[4]){0, 0, 0, 255});
    for (int i = 0; i < r->channels && i < 4; i++) {
        struct psd_plane plane = {im->p + i, im->w, im->h, 4, im->stride};
        enum err_code rc = psd_plane_read_rows(compression, &table, c, &plane, e);
        if (rc != ERR_OK)
            return err_note(e, "the flattened image");
    }
    if (r->channels > 3)
        lift_off_white(im);
    return ERR_OK;
}

static enum err_code read_flat(struct psd_cursor *c, struct reading *r, struct err *e)
{
    struct image im = {0};
    enum err_code rc = admit(r, "the flattened image", r->w, r->h, psd_left(c), e);
    if (rc == ERR_OK)
        rc = image_new(&im, r->w, r->h, 4, e);
    if (rc == ERR_OK)
        rc = read_flat_pixels(c, r, &im, e);
    if (rc != ERR_OK) {
        image_free(&im);
        return rc;
    }
    struct layer l = layer_from_image(&im);
    layer_set_name(&l, STR_LIT("Background"));
    return layer_stack_add(r->out, &l, e);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum err_code read_document(struct psd_cursor *c, struct reading *r, struct err *e)
{
    enum err_code rc = read_header(c, r, e);
    if (rc != ERR_OK)
        return rc;
    layer_stack_init(r->out, r->w, r->h);
    struct psd_cursor resources = psd_part(c, psd_u32(c));
    struct psd_cursor layers = psd_part(c, psd_u32(c));
    if (c->failed)
        return err_set(e, ERR_FORMAT, "the PSD ends before its layers");
    read_resources(&resources, r);
    if ((rc = read_layers(&layers, r, e)) != ERR_OK || r->out->n > 0)
        return rc;
    return read_flat(c, r, e);
}

enum err_code psd_decode(struct str bytes, const struct layers_limits *limits,
                         struct layer_stack *out, struct err *e)
{
    struct layers_limits defaults = layers_limits_defaults();
    struct reading r = {.limits = limits ? limits : &defaults, .out = out};
    struct psd_cursor c = {.p = (const unsigned char *)bytes.p, .n = bytes.n};
    layer_stack_init(out, 0, 0);
    enum err_code rc = read_document(&c, &r, e);
    yyjson_doc_free(r.ids);
    mem_free(r.records);
    if (rc != ERR_OK)
        layer_stack_deinit(out);
    return rc;
}

enum err_code psd_read(const char *path, const struct layers_limits *limits,
                       struct layer_stack *out, struct err *e)
{
    struct file_map m;
    layer_stack_init(out, 0, 0);
    enum err_code rc = file_map(path, &m, e);
    if (rc != ERR_OK)
        return rc;
    rc = psd_decode((struct str){(const char *)m.p, m.n}, limits, out, e);
    file_unmap(&m);
    return rc == ERR_OK ? rc : err_note(e, "'%s'", path);
}
