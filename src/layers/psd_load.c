/* A Photoshop document to layers. Order: header, colour table, image resources (where our own list of
 * ids lies), layer records, the pixels of all layers, the flattened image. Everything that is not
 * needed is stepped over by its length. */
#include "layers/psd.h"

#include <inttypes.h>
#include <math.h>

#include "base/ck.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "layers/assemble.h"
#include "layers/psd_cursor.h"
#include "layers/psd_format.h"
#include "layers/psd_pixels.h"
#include "layers/psd_plane.h"
#include "layers/psd_record.h"

enum { MASK_RELATIVE = 1, MASK_DISABLED = 2, RECORD_BYTES_MIN = 34 };

/* No compression of the format makes more than this many pixels of one byte (deflate's bound), so a
 * picture that claims more is refused before it is allocated. */
enum { PIXELS_A_BYTE_MAX = 1040 };

struct reading {
    const struct layers_limits *limits;
    uint64_t pixels; /* of all layers so far */
    int w, h, channels;
    struct psd_colours colours;
    yyjson_doc *ids;   /* our resource, or NULL */
    bool no_merged;    /* the document says that its flattened image is empty */
    bool transparency; /* the flattened image's first further channel is its alpha */
    struct psd_record *records;
    size_t n_records;
    struct image_info info; /* notes about colours */
    struct layer_stack *out;
    struct layers_assembly assembly;
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

/* Our own resource, the profile, and whether the flattened image is real. Nothing in this section is needed, so its
 * faults are no failure. */
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

static unsigned char with_density(const struct psd_record *rec, unsigned v)
{
    return (unsigned char)(255 - ((255 - v) * rec->mask_density + 127) / 255);
}

/* A mask in canvas coordinates, as much of it as its density lets through. *image is the caller's to free. */
static enum err_code read_mask(struct reading *r, const struct psd_record *rec,
                               struct psd_cursor *channel, struct image *image,
                               struct layers_mask *out, struct err *e)
{
    int64_t w, h;
    *image = (struct image){0};
    if (!rect_size(&rec->mask, &w, &h))
        return err_set(e, ERR_FORMAT, "the mask's rectangle is inside out");
    enum err_code rc = ERR_OK;
    if (w > 0 && h > 0) {
        rc = admit(r, "the mask", w, h, psd_left(channel), e);
        if (rc == ERR_OK)
            rc = image_new(image, (int)w, (int)h, 1, e);
        if (rc == ERR_OK) {
            struct psd_plane plane = {.im = image, .bytes = r->colours.bytes};
            rc = psd_plane_read(channel, &plane, e);
        }
    }
    bool relative = rec->mask_flags & MASK_RELATIVE;
    *out = (struct layers_mask){.image = image->p ? image : NULL,
                                .x = rec->mask.left + (relative ? rec->rect.left : 0),
                                .y = rec->mask.top + (relative ? rec->rect.top : 0),
                                .outside = with_density(rec, rec->mask_default)};
    for (int y = 0; rc == ERR_OK && image->p && y < image->h; y++)
        for (int x = 0; x < image->w; x++)
            image_row(image, y)[x] = with_density(rec, image_row(image, y)[x]);
    return rc;
}

/* What of a mask is in use: the pixel mask, which has the vector mask in it where there are both. */
static bool has_mask(const struct psd_record *rec)
{
    return rec->has_mask && !(rec->mask_flags & MASK_DISABLED);
}

static void note_masks(struct reading *r, const struct psd_record *rec, bool in_pixels)
{
    if (rec->has_vector_mask && !in_pixels)
        layer_stack_note(r->out, "'%s': its vector mask is not applied", rec->name);
    if (rec->mask_feathered && has_mask(rec))
        layer_stack_note(r->out, "'%s': its mask is applied without the feather", rec->name);
    if (rec->has_effects)
        layer_stack_note(r->out, "'%s': its effects (shadow, glow, ...) are left out", rec->name);
}

/* The mask of a record whose channels lie in c, which is stepped over; *found says whether there is one. */
static enum err_code read_mask_of(struct reading *r, const struct psd_record *rec,
                                  struct psd_cursor *c, struct image *image,
                                  struct layers_mask *mask, bool *found, struct err *e)
{
    struct psd_cursor channel = {0};
    bool any = false;
    *found = false;
    *image = (struct image){0};
    for (size_t i = 0; i < rec->n_channels; i++) {
        struct psd_cursor part = psd_part(c, rec->channels[i].bytes);
        if (part.failed)
            return err_set(e, ERR_FORMAT, "the file ends inside a layer's pixels");
        if (rec->channels[i].id != PSD_CHANNEL_MASK)
            continue;
        channel = part;
        any = true;
    }
    note_masks(r, rec, any && has_mask(rec));
    if (!has_mask(rec))
        return ERR_OK;
    *found = true;
    return read_mask(r, rec, &channel, image, mask, e);
}

/* What is noted about colours is noted once: all pictures have the same. */
static enum err_code finish_pixels(struct reading *r, struct psd_pixels *px, struct image *out,
                                   struct err *e)
{
    struct image_info info = {0};
    enum err_code rc = psd_pixels_finish(px, &r->colours, &info, out, e);
    if (!r->info.notes[0])
        r->info = info;
    return rc;
}

/* Reads the colours and alpha of one record out of c. */
static enum err_code read_channels(struct reading *r, const struct psd_record *rec, int w, int h,
                                   struct psd_cursor *c, struct image *out, struct err *e)
{
    struct psd_pixels px;
    enum err_code rc = psd_pixels_new(&r->colours, w, h, &px, e);
    for (size_t i = 0; i < rec->n_channels && rc == ERR_OK; i++) {
        struct psd_cursor channel = psd_part(c, rec->channels[i].bytes);
        struct psd_plane plane;
        if (channel.failed)
            rc = err_set(e, ERR_FORMAT, "the file ends inside the layer's pixels");
        else if (psd_pixels_plane(&px, &r->colours, rec->channels[i].id, &plane))
            rc = psd_plane_read(&channel, &plane, e);
    }
    if (rc == ERR_OK)
        return finish_pixels(r, &px, out, e);
    psd_pixels_deinit(&px);
    return rc;
}

static size_t colour_bytes(const struct psd_record *rec)
{
    size_t most = 0;
    for (size_t i = 0; i < rec->n_channels; i++)
        if (rec->channels[i].bytes > most)
            most = rec->channels[i].bytes;
    return most;
}

/* Everything about a layer but its pixels. */
static void fill_layer(struct reading *r, const struct psd_record *rec, struct layer *l)
{
    layer_set_name(l, str_from(rec->name));
    l->x = rec->rect.left;
    l->y = rec->rect.top;
    l->visible = !(rec->flags & PSD_FLAG_HIDDEN);
    l->opacity = rec->opacity / 255.0;
    apply_ids(r, rec, l);
    l->opacity *= rec->fill;
    l->blend = psd_blend_from_key(rec->blend_key);
    if (!psd_blend_is_known(rec->blend_key))
        layer_stack_note(r->out, "'%s': its blend mode '%.4s' is not known; it is normal", l->name,
                         rec->blend_key);
}

/* A record without pixels of its own is stepped over. */
static enum err_code skip_layer(struct reading *r, const struct psd_record *rec,
                                struct psd_cursor *c, struct err *e)
{
    for (size_t i = 0; i < rec->n_channels; i++)
        (void)psd_take(c, rec->channels[i].bytes);
    if (rec->is_adjustment && !(rec->flags & PSD_FLAG_HIDDEN))
        layer_stack_note(
            r->out, "'%s' changes what lies below it (an adjustment or a fill); it is left out",
            rec->name);
    return c->failed ? err_set(e, ERR_FORMAT, "the file ends inside a layer's pixels") : ERR_OK;
}

static enum err_code make_layer(struct reading *r, const struct psd_record *rec, int w, int h,
                                struct psd_cursor *c, struct layer *l, struct err *e)
{
    struct psd_cursor again = *c;
    struct image mask_image = {0}, im = {0};
    struct layers_mask mask;
    bool masked = false;
    enum err_code rc = read_channels(r, rec, w, h, c, &im, e);
    if (rc == ERR_OK)
        rc = read_mask_of(r, rec, &again, &mask_image, &mask, &masked, e);
    if (rc == ERR_OK) {
        *l = layer_from_image(&im);
        fill_layer(r, rec, l);
        if (masked)
            layers_apply_mask(l, &mask);
    }
    image_free(&mask_image);
    image_free(&im);
    return rc == ERR_OK ? rc : err_note(e, "layer '%s'", rec->name);
}

/* One record's pixels as a layer. */
static enum err_code read_layer(struct reading *r, const struct psd_record *rec,
                                struct psd_cursor *c, struct err *e)
{
    int64_t w, h;
    struct layer l;
    if (!rect_size(&rec->rect, &w, &h))
        return err_set(e, ERR_FORMAT, "a layer's rectangle is inside out");
    if (w == 0 || h == 0)
        return skip_layer(r, rec, c, e);
    TRY(admit(r, "a layer", w, h, colour_bytes(rec), e));
    TRY(make_layer(r, rec, (int)w, (int)h, c, &l, e));
    return layers_assembly_add(&r->assembly, &l, LAYERS_OVER, rec->clipped, e);
}

static bool passes_through(const struct psd_record *rec)
{
    return memcmp(rec->blend_key, "pass", 4) == 0;
}

static enum err_code end_group(struct reading *r, const struct psd_record *rec,
                               struct psd_cursor *c, struct err *e)
{
    struct image image;
    struct layers_mask mask;
    struct layer named = {0};
    bool masked;
    enum err_code rc = read_mask_of(r, rec, c, &image, &mask, &masked, e);
    if (rc != ERR_OK) {
        image_free(&image);
        return err_note(e, "group '%s'", rec->name);
    }
    layer_set_name(&named, str_from(rec->name));
    const struct layers_group g = {.name = named.name,
                                   .opacity = rec->opacity / 255.0 * rec->fill,
                                   .blend = psd_blend_from_key(rec->blend_key),
                                   .visible = !(rec->flags & PSD_FLAG_HIDDEN),
                                   .isolated = !passes_through(rec),
                                   .clipped = rec->clipped,
                                   .mask = masked ? &mask : NULL};
    if (rec->group != PSD_NO_GROUP)
        rc = layers_assembly_end(&r->assembly, &g, e);
    image_free(&image);
    return rc;
}

static enum err_code read_record(struct reading *r, const struct psd_record *rec,
                                 struct psd_cursor *c, struct err *e)
{
    if (rec->divider == PSD_GROUP_OPEN || rec->divider == PSD_GROUP_CLOSED)
        return end_group(r, rec, c, e);
    if (rec->divider == 0)
        return read_layer(r, rec, c, e);
    TRY(skip_layer(r, rec, c, e));
    if (rec->divider != PSD_GROUP_END || rec->group == PSD_NO_GROUP)
        return ERR_OK;
    const struct psd_record *group = &r->records[rec->group];
    return layers_assembly_begin(&r->assembly, !passes_through(group), group->clipped, e);
}

/* ---- the layer section ----------------------------------------------------------------------- */

/* Names are any bytes in the file; from here on they are text. */
static void clean_name(struct psd_record *rec)
{
    struct layer l = {0};
    layer_set_name(&l, str_from(rec->name));
    memcpy(rec->name, l.name, sizeof rec->name);
}

static enum err_code read_records(struct psd_cursor *c, struct reading *r, struct err *e)
{
    const int count = (int16_t)psd_u16(c);
    r->transparency = count < 0;
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
        clean_name(&r->records[r->n_records]);
    }
    return psd_records_match_groups(r->records, n, e);
}

/* Layers of 16 bits a channel lie in a block of their own, behind the global mask; in front of it is nothing. */
static struct psd_cursor find_deep_layers(struct psd_cursor *section)
{
    (void)psd_take(section, psd_u32(section)); /* global mask */
    while (!section->failed && psd_left(section) >= 12) {
        (void)psd_take(section, 4);
        const unsigned char *key = psd_take(section, 4);
        size_t n = psd_u32(section);
        struct psd_cursor block = psd_part(section, n);
        if (key && (memcmp(key, "Lr16", 4) == 0 || memcmp(key, "Layr", 4) == 0))
            return block;
        (void)psd_take(section, (4 - n % 4) % 4);
    }
    return (struct psd_cursor){.failed = true};
}

static enum err_code read_layers(struct psd_cursor *section, struct reading *r, struct err *e)
{
    if (psd_left(section) < 4)
        return ERR_OK;
    struct psd_cursor info = psd_part(section, psd_u32(section));
    if (info.failed)
        return err_set(e, ERR_FORMAT, "the list of layers is longer than the file");
    if (info.n == 0)
        info = find_deep_layers(section);
    if (info.failed || psd_left(&info) < 2)
        return ERR_OK;
    TRY(read_records(&info, r, e));
    for (size_t i = 0; i < r->n_records; i++) {
        if (r->out->n >= r->limits->max_layers)
            return err_set(e, ERR_LIMIT, "more than %zu layers", r->limits->max_layers);
        TRY(read_record(r, &r->records[i], &info, e));
    }
    return layers_assembly_finish(&r->assembly, e);
}

/* ---- the flattened image --------------------------------------------------------------------- */

/* Rows of all channels; those that are neither colour nor transparency (saved selections) are not read. */
static enum err_code read_flat_channels(struct psd_cursor *c, const struct reading *r,
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
static enum err_code read_flat(struct psd_cursor *c, struct reading *r, struct image *out,
                               struct err *e)
{
    struct psd_pixels px;
    enum err_code rc = admit(r, "the flattened image", r->w, r->h, psd_left(c), e);
    if (rc == ERR_OK)
        rc = psd_pixels_new(&r->colours, r->w, r->h, &px, e);
    if (rc != ERR_OK)
        return rc;
    rc = read_flat_channels(c, r, &px, e);
    if (rc == ERR_OK)
        return finish_pixels(r, &px, out, e);
    psd_pixels_deinit(&px);
    return rc;
}

static enum err_code flat_as_layer(struct psd_cursor *c, struct reading *r, struct err *e)
{
    struct image im;
    TRY(read_flat(c, r, &im, e));
    struct layer l = layer_from_image(&im);
    layer_set_name(&l, STR_LIT("Background"));
    return layer_stack_add(r->out, &l, e);
}

/* The document's own image of itself, where it has one that can be read. */
static enum err_code check_merged(struct psd_cursor *c, struct reading *r, struct err *e)
{
    struct image im = {0}, rgb = {0};
    struct err why = {0};
    if (r->no_merged || psd_left(c) <= 2)
        return ERR_OK;
    enum err_code rc = read_flat(c, r, &im, &why);
    if (rc == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "%s", why.text);
    if (rc != ERR_OK) {
        layer_stack_note(r->out, "the document's own image of itself cannot be read: %s", why.text);
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

static void note_colours(struct reading *r)
{
    int further = r->channels - psd_colours_count(&r->colours) - (r->transparency ? 1 : 0);
    if (r->info.notes[0])
        layer_stack_note(r->out, "%s", r->info.notes);
    if (further > 0)
        layer_stack_note(r->out, "%d further channel%s (saved selections) %s left out", further,
                         further == 1 ? "" : "s", further == 1 ? "is" : "are");
    if (r->colours.bytes == 2)
        layer_stack_note(r->out, "16 bits a channel became 8");
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum err_code read_document(struct psd_cursor *c, struct reading *r, struct err *e)
{
    TRY(read_header(c, r, e));
    layer_stack_init(r->out, r->w, r->h);
    struct psd_cursor resources = psd_part(c, psd_u32(c));
    struct psd_cursor layers = psd_part(c, psd_u32(c));
    if (c->failed)
        return err_set(e, ERR_FORMAT, "the PSD ends before its layers");
    read_resources(&resources, r);
    layers_assembly_init(&r->assembly, r->out);
    TRY(read_layers(&layers, r, e));
    TRY(r->out->n > 0 ? check_merged(c, r, e) : flat_as_layer(c, r, e));
    note_colours(r);
    return ERR_OK;
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
