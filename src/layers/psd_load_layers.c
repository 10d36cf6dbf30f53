/* psd_load_layers.c - the layer section of a PSD: all records first, then the pixels of all, in the same order.
 *
 * Records lie from the bottom of the document to the top. A group is therefore met at its end: a hidden record
 * opens it, its layers follow, and the record with its name and mask closes it. What a group or a clipped layer
 * does to others is layers/assemble.h's; here each record becomes one call of it. Of each layer the channels come in
 * any order, so they are read twice: once for the colours, once for the mask, which needs them.
 */
#include "layers/psd_load.h"

#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
#include "layers/psd_format.h"
#include "layers/psd_plane.h"

enum { MASK_RELATIVE = 1, MASK_DISABLED = 2, RECORD_BYTES_MIN = 34 };

/* ---- pixels ---------------------------------------------------------------------------------- */

/* Sides of a rectangle from the file; false when one is negative. */
static bool rect_size(const struct psd_rect *rect, int64_t *w, int64_t *h)
{
    *w = (int64_t)rect->right - rect->left;
    *h = (int64_t)rect->bottom - rect->top;
    return *w >= 0 && *h >= 0;
}

static unsigned char with_density(const struct psd_record *rec, unsigned v)
{
    return (unsigned char)(255 - ((255 - v) * rec->mask_density + 127) / 255);
}

/* A mask in canvas coordinates, weakened by its density. *image is the caller's to free. */
static enum err_code read_mask(struct psd_reading *r, const struct psd_record *rec,
                               struct psd_cursor *channel, struct image *image,
                               struct layers_mask *out, struct err *e)
{
    int64_t w, h;
    *image = (struct image){0};
    if (!rect_size(&rec->mask, &w, &h))
        return err_set(e, ERR_FORMAT, "the mask's rectangle has a negative size");
    enum err_code rc = ERR_OK;
    if (w > 0 && h > 0) {
        rc = psd_admit(r, "the mask", w, h, psd_left(channel), e);
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

static void note_masks(struct psd_reading *r, const struct psd_record *rec, bool in_pixels)
{
    if (rec->has_vector_mask && !in_pixels)
        layer_stack_note(r->out, "'%s': its vector mask is not applied", rec->name);
    if (rec->mask_feathered && has_mask(rec))
        layer_stack_note(r->out, "'%s': its mask is applied without the feather", rec->name);
    if (rec->has_effects)
        layer_stack_note(r->out, "'%s': its effects (shadow, glow, ...) are left out", rec->name);
}

/* The mask of a record whose channels lie in c, which is stepped over; *found says whether there is one. */
static enum err_code read_mask_of(struct psd_reading *r, const struct psd_record *rec,
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

/* Reads the colours and alpha of one record out of c. */
static enum err_code read_channels(struct psd_reading *r, const struct psd_record *rec, int w,
                                   int h, struct psd_cursor *c, struct image *out, struct err *e)
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
        return psd_reading_finish(r, &px, out, e);
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

/* The id and the exact opacity that we once gave to the layer with that number. */
static void apply_ids(const struct psd_reading *r, const struct psd_record *rec, struct layer *l)
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

/* Everything about a layer but its pixels. */
static void fill_layer(struct psd_reading *r, const struct psd_record *rec, struct layer *l)
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
        layer_stack_note(r->out, "'%s': its blend mode '%.4s' is unknown; normal is used", l->name,
                         rec->blend_key);
}

/* A record without pixels of its own is stepped over. */
static enum err_code skip_layer(struct psd_reading *r, const struct psd_record *rec,
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

static enum err_code make_layer(struct psd_reading *r, const struct psd_record *rec, int w, int h,
                                struct psd_cursor *c, struct layer *l, struct err *e)
{
    struct psd_cursor again = *c;
    struct image mask_image = {0}, im = {0};
    struct layers_mask mask;
    bool masked = false;
    enum err_code rc;
    TRY_GOTO(read_channels(r, rec, w, h, c, &im, e), done);
    TRY_GOTO(read_mask_of(r, rec, &again, &mask_image, &mask, &masked, e), done);
    *l = layer_from_image(&im);
    fill_layer(r, rec, l);
    if (masked)
        layers_apply_mask(l, &mask);
done:
    image_free(&mask_image);
    image_free(&im);
    return rc == ERR_OK ? rc : err_note(e, "layer '%s'", rec->name);
}

/* One record's pixels as a layer. */
static enum err_code read_layer(struct psd_reading *r, const struct psd_record *rec,
                                struct psd_cursor *c, struct err *e)
{
    int64_t w, h;
    struct layer l;
    if (!rect_size(&rec->rect, &w, &h))
        return err_set(e, ERR_FORMAT, "a layer's rectangle has a negative size");
    if (w == 0 || h == 0)
        return skip_layer(r, rec, c, e);
    TRY(psd_admit(r, "a layer", w, h, colour_bytes(rec), e));
    TRY(make_layer(r, rec, (int)w, (int)h, c, &l, e));
    return layers_assembly_add(&r->assembly, &l, LAYERS_OVER, rec->clipped, e);
}

static bool passes_through(const struct psd_record *rec)
{
    return memcmp(rec->blend_key, "pass", 4) == 0;
}

static enum err_code end_group(struct psd_reading *r, const struct psd_record *rec,
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
    named.opacity = rec->opacity / 255.0;
    apply_ids(r, rec, &named);
    const struct layers_group g = {.id = named.id,
                                   .name = named.name,
                                   .opacity = named.opacity * rec->fill,
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

static enum err_code read_record(struct psd_reading *r, const struct psd_record *rec,
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

static enum err_code read_records(struct psd_cursor *c, struct psd_reading *r, struct err *e)
{
    const int count = (int16_t)psd_u16(c);
    r->transparency = count < 0;
    const size_t n = (size_t)(count < 0 ? -count : count);
    /* Each group takes two records and, in a sane document, contains a layer. */
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

/* The list of layers, with its records read; failed when there is none. */
static enum err_code open_list(struct psd_cursor *section, struct psd_reading *r,
                               struct psd_cursor *info, struct err *e)
{
    *info = (struct psd_cursor){.failed = true};
    if (psd_left(section) < 4)
        return ERR_OK;
    *info = psd_part(section, psd_u32(section));
    if (info->failed)
        return err_set(e, ERR_FORMAT, "the list of layers is longer than the file");
    if (info->n == 0)
        *info = find_deep_layers(section);
    if (info->failed || psd_left(info) < 2) {
        info->failed = true;
        return ERR_OK;
    }
    return read_records(info, r, e);
}

static void add_rect(const struct psd_rect *rect, struct layers_size *to)
{
    int64_t w, h;
    if (!rect_size(rect, &w, &h))
        return;
    uint64_t area = (uint64_t)w * (uint64_t)h, room = UINT64_MAX - to->all;
    to->all += area < room ? area : room;
    to->largest = area > to->largest ? area : to->largest;
}

enum err_code psd_measure_layers(struct psd_cursor *section, struct psd_reading *r,
                                 struct layers_size *out, struct err *e)
{
    struct psd_cursor info;
    TRY(open_list(section, r, &info, e));
    for (size_t i = 0; i < r->n_records; i++) {
        add_rect(&r->records[i].rect, out);
        add_rect(&r->records[i].mask, out);
    }
    return ERR_OK;
}

enum err_code psd_read_layers(struct psd_cursor *section, struct psd_reading *r, struct err *e)
{
    struct psd_cursor info;
    TRY(open_list(section, r, &info, e));
    if (info.failed)
        return ERR_OK;
    for (size_t i = 0; i < r->n_records; i++) {
        if (r->out->n >= r->limits->max_layers)
            return err_set(e, ERR_LIMIT, "more than %zu layers", r->limits->max_layers);
        TRY(read_record(r, &r->records[i], &info, e));
    }
    return layers_assembly_finish(&r->assembly, e);
}
