/* Layers to a Photoshop document, section by section in the order of the file. What is not pixels is small and made
 * in memory: lengths there are written as zero first and set later. Pixels are measured before (psd_plane.h). */
#include "layers/psd.h"

#include <math.h>

#include "base/json.h"
#include "base/mem.h"
#include "image/unicode.h"
#include "image/xmp.h"
#include "layers/psd_format.h"
#include "layers/psd_plane.h"

/* The format's limit is 2 GiB. */
static const size_t MAX_BYTES = ((size_t)2 << 30) - 2;

enum { LAYER_CHANNELS = PSD_ROWS_CHANNELS, RESOLUTION_DPI = 72, HEAD_MAX_BYTES = 64 << 20 };

/* Of channel c of a layer in our pixels: alpha is -1 in the file and comes first. */
static int channel_at(int c)
{
    return (c + 3) % 4;
}

static void put_u16(struct buf *b, unsigned v)
{
    const unsigned char bytes[2] = {(unsigned char)(v >> 8), (unsigned char)v};
    buf_add(b, bytes, sizeof bytes);
}

static void put_u32(struct buf *b, uint32_t v)
{
    const unsigned char bytes[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
                                    (unsigned char)(v >> 8), (unsigned char)v};
    buf_add(b, bytes, sizeof bytes);
}

static void put_i32(struct buf *b, int v)
{
    put_u32(b, (uint32_t)v);
}

static void put_zeros(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_add_byte(b, 0);
}

/* Sets the 32 bits at `at`, where that much was written. */
static void set_u32(struct buf *b, size_t at, size_t v)
{
    if (buf_failed(b) || at + 4 > b->n)
        return;
    for (size_t i = 0; i < 4; i++)
        b->p[at + i] = (char)(unsigned char)(v >> (24 - 8 * i));
}

/* Begins a part with a 32-bit length; end_part sets the length, rounded up to a multiple of `even`. */
static size_t begin_part(struct buf *b)
{
    size_t at = b->n;
    put_u32(b, 0);
    return at;
}

static void end_part(struct buf *b, size_t at, size_t even)
{
    while (!buf_failed(b) && (b->n - at - 4) % even != 0)
        buf_add_byte(b, 0);
    set_u32(b, at, b->n - at - 4);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* A length byte and ASCII, with '?' for all other characters: what reads Unicode has 'luni'. */
static void put_pascal(struct buf *b, struct str utf8, size_t even)
{
    unsigned char text[255];
    size_t n = 0;
    for (size_t at = 0; at < utf8.n && n < sizeof text;) {
        uint32_t c = unicode_next(utf8, &at);
        text[n++] = c < 0x80 ? (unsigned char)c : '?';
    }
    buf_add_byte(b, (unsigned)n);
    buf_add(b, text, n);
    put_zeros(b, (even - (n + 1) % even) % even);
}

/* Count of UTF-16 units, then the units. */
static void put_unicode(struct buf *b, struct str utf8)
{
    size_t count_at = b->n;
    put_u32(b, 0);
    set_u32(b, count_at, unicode_add_utf16(b, utf8));
}

/* ---- image resources ------------------------------------------------------------------------- */

static size_t begin_resource(struct buf *b, unsigned id, const char *name)
{
    buf_add_z(b, "8BIM");
    put_u16(b, id);
    put_pascal(b, str_from(name), 2);
    return begin_part(b);
}

/* A resource is padded to an even size, but its length does not count the pad byte. */
static void end_resource(struct buf *b, size_t at)
{
    end_part(b, at, 1);
    if ((b->n - at) % 2 != 0)
        buf_add_byte(b, 0);
}

static bool add_id(yyjson_mut_doc *doc, yyjson_mut_val *list, size_t number, const char *id,
                   double opacity)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    return o && yyjson_mut_obj_add_int(doc, o, "lyid", (int64_t)number) &&
           yyjson_mut_obj_add_str(doc, o, "id", id) &&
           yyjson_mut_obj_add_real(doc, o, "opacity", opacity);
}

/* What the records of the format cannot hold: the ids, and the opacity in full. */
static enum err_code layers_to_json(const struct layer_stack *s, struct buf *b, struct err *e)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *list = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    bool ok = yyjson_mut_obj_add_int(doc, root, "version", 1) &&
              yyjson_mut_obj_add_val(doc, root, "layers", list);
    for (size_t i = 0; ok && i < s->n; i++)
        ok = add_id(doc, list, i + 1, s->layers[i].id, s->layers[i].opacity);
    for (size_t i = 0; ok && i < s->n_groups; i++)
        ok = add_id(doc, list, s->n + i + 1, s->groups[i].id, s->groups[i].opacity);
    size_t n = 0;
    char *text = ok ? yyjson_mut_write(doc, 0, &n) : NULL;
    yyjson_mut_doc_free(doc);
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for the list of layers");
    buf_add(b, text, n);
    mem_free(text);
    return ERR_OK;
}

static void put_resolution(struct buf *b)
{
    for (int axis = 0; axis < 2; axis++) {
        put_u32(b, (uint32_t)RESOLUTION_DPI << 16);
        put_u16(b, 1); /* shown in pixels an inch */
        put_u16(b, 1); /* and the size in inches */
    }
}

static enum err_code put_resources(struct buf *b, const struct layer_stack *s, struct err *e)
{
    size_t all = begin_part(b);
    size_t at = begin_resource(b, PSD_RESOURCE_RESOLUTION, "");
    put_resolution(b);
    end_resource(b, at);

    at = begin_resource(b, PSD_RESOURCE_VERSION, "");
    put_u32(b, 1);
    buf_add_byte(b, 1); /* the flattened image at the end is real */
    put_unicode(b, STR_LIT("Veetance"));
    put_unicode(b, STR_LIT("Veetance"));
    put_u32(b, 1);
    end_resource(b, at);

    if (s->about.source) {
        at = begin_resource(b, PSD_RESOURCE_XMP, "");
        xmp_write(s->about.source, buf_str(&s->about.recipe), b);
        end_resource(b, at);
    }

    at = begin_resource(b, PSD_RESOURCE_LAYERS, PSD_RESOURCE_NAME);
    enum err_code rc = layers_to_json(s, b, e);
    end_resource(b, at);
    end_part(b, all, 1);
    return rc;
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* A channel in the file: how it is packed, the lengths of its rows, the rows. */
static size_t channel_bytes(const struct psd_rows *rows, int c)
{
    return 2 + 2 * (size_t)rows->im->h + rows->channel_bytes[channel_at(c)];
}

/* A layer's, or one of the two that a group has: its end, which lies below its layers and is hidden in every program,
 * and the group itself above them. */
struct record {
    const char *name;
    double opacity;
    enum blend_mode blend;
    bool visible;
    size_t number;             /* 0: none */
    uint32_t divider;          /* PSD_GROUP_*; 0: a layer */
    const struct layer *layer; /* NULL: a group's, which has no pixels */
    const struct psd_rows *rows;
};

static const struct record group_end = {
    .name = "</Layer group>", .opacity = 1, .visible = true, .divider = PSD_GROUP_END};

static size_t record_channel_bytes(const struct record *r, int c)
{
    return r->layer ? channel_bytes(r->rows, c) : 2;
}

static void put_rectangle(struct buf *b, const struct layer *l)
{
    put_i32(b, l ? l->y : 0);
    put_i32(b, l ? l->x : 0);
    put_i32(b, l ? l->y + l->image.h : 0);
    put_i32(b, l ? l->x + l->image.w : 0);
}

static void put_divider(struct buf *b, const struct record *r)
{
    buf_add_z(b, "8BIMlsct");
    put_u32(b, 12);
    put_u32(b, r->divider);
    buf_add_z(b, "8BIM");
    buf_add_z(b, psd_blend_key(r->blend));
}

static void put_extra(struct buf *b, const struct record *r)
{
    size_t extra = begin_part(b);
    put_u32(b, 0); /* no mask */
    put_u32(b, 0); /* no blending ranges */
    put_pascal(b, str_from(r->name), 4);
    buf_add_z(b, "8BIMluni");
    size_t at = begin_part(b);
    put_unicode(b, str_from(r->name));
    end_part(b, at, 4);
    if (r->divider)
        put_divider(b, r);
    if (r->number) {
        buf_add_z(b, "8BIMlyid");
        put_u32(b, 4);
        put_u32(b, (uint32_t)r->number);
    }
    end_part(b, extra, 2);
}

static void put_record(struct buf *b, const struct record *r)
{
    put_rectangle(b, r->layer);
    put_u16(b, LAYER_CHANNELS);
    for (int c = 0; c < LAYER_CHANNELS; c++) {
        put_u16(b, (unsigned)(c - 1) & 0xffff);
        put_u32(b, (uint32_t)record_channel_bytes(r, c));
    }
    buf_add_z(b, "8BIM");
    buf_add_z(b, psd_blend_key(r->blend));
    buf_add_byte(b, (unsigned)lround(r->opacity * 255));
    buf_add_byte(b, 0); /* no clipping */
    buf_add_byte(b, PSD_FLAG_HAS_BIT_4 | (r->visible ? 0 : PSD_FLAG_HIDDEN));
    buf_add_byte(b, 0);
    put_extra(b, r);
}

/* The records of a stack, from the bottom, and the bytes of their pixels. */
struct listing {
    struct buf *b; /* NULL: they are only counted */
    const struct layer_stack *s;
    const struct psd_rows *rows;
    size_t n, pixels;
};

static void list_record(struct listing *l, const struct record *r)
{
    l->n++;
    if (!l->b)
        return;
    put_record(l->b, r);
    for (int c = 0; c < LAYER_CHANNELS; c++)
        l->pixels += record_channel_bytes(r, c);
}

static enum err_code list_end(void *user, const struct layer_group *g, struct err *e)
{
    (void)g;
    (void)e;
    list_record(user, &group_end);
    return ERR_OK;
}

static enum err_code list_layer(void *user, size_t index, struct err *e)
{
    struct listing *to = user;
    const struct layer *l = &to->s->layers[index];
    (void)e;
    list_record(to, &(struct record){.name = l->name,
                                     .opacity = l->opacity,
                                     .blend = l->blend,
                                     .visible = l->visible,
                                     .number = index + 1,
                                     .layer = l,
                                     .rows = to->rows ? &to->rows[index] : NULL});
    return ERR_OK;
}

static enum err_code list_group(void *user, const struct layer_group *g, struct err *e)
{
    struct listing *to = user;
    (void)e;
    list_record(to, &(struct record){.name = g->name,
                                     .opacity = g->opacity,
                                     .blend = g->blend,
                                     .visible = g->visible,
                                     .number = to->s->n + (size_t)(g - to->s->groups) + 1,
                                     .divider = PSD_GROUP_OPEN});
    return ERR_OK;
}

static enum err_code list_all(struct listing *l, struct err *e)
{
    const struct layers_visitor v = {list_end, list_layer, list_group, l, false};
    return layers_visit(l->s, &v, e);
}

/* The section up to the first layer's pixels; *pad is by how much these have to be padded behind the last. */
static enum err_code put_layers(struct buf *b, const struct layer_stack *s,
                                const struct psd_rows *rows, size_t *pad, struct err *e)
{
    struct listing all = {.s = s}, l = {.b = b, .s = s, .rows = rows};
    TRY(list_all(&all, e));
    if (all.n > INT16_MAX)
        return err_set(e, ERR_LIMIT, "%zu layers and ends of groups; PSD allows %d", all.n,
                       INT16_MAX);
    size_t section = begin_part(b), info = begin_part(b);
    /* A negative count says that the flattened image's fourth channel is its transparency. */
    put_u16(b, (unsigned)-(int)all.n & 0xffff);
    TRY(list_all(&l, e));
    size_t bytes = b->n - info - 4 + l.pixels;
    set_u32(b, info, bytes + bytes % 2);
    set_u32(b, section, 4 + bytes + bytes % 2 + 4); /* and the global mask's length */
    *pad = bytes % 2;
    return ERR_OK;
}

static enum err_code write_u16(unsigned v, const struct image_out *out, struct err *e)
{
    const unsigned char bytes[2] = {(unsigned char)(v >> 8), (unsigned char)v};
    return image_out_write(out, bytes, sizeof bytes, e);
}

struct pixels {
    const struct psd_rows *rows;
    const struct image_out *out;
};

static enum err_code write_no_pixels(void *user, const struct layer_group *g, struct err *e)
{
    static const char raw[2 * LAYER_CHANNELS]; /* how no rows are packed, for each channel */
    const struct pixels *p = user;
    (void)g;
    return image_out_write(p->out, raw, sizeof raw, e);
}

static enum err_code write_pixels(void *user, size_t index, struct err *e)
{
    const struct pixels *p = user;
    for (int c = 0; c < LAYER_CHANNELS; c++) {
        TRY(write_u16(PSD_COMPRESSION_RLE, p->out, e));
        TRY(psd_rows_write_lengths(&p->rows[index], channel_at(c), 1, p->out, e));
        TRY(psd_rows_write(&p->rows[index], channel_at(c), p->out, e));
    }
    return ERR_OK;
}

static enum err_code write_layers(const struct layer_stack *s, const struct psd_rows *rows,
                                  size_t pad, const struct image_out *out, struct err *e)
{
    static const char zeros[4 + 1]; /* no global mask */
    struct pixels p = {rows, out};
    const struct layers_visitor v = {write_no_pixels, write_pixels, write_no_pixels, &p, false};
    TRY(layers_visit(s, &v, e));
    return image_out_write(out, zeros, 4 + pad, e);
}

/* ---- the flattened image --------------------------------------------------------------------- */

/* Photoshop keeps the flattened colours as they look on white, and readers undo that. */
static void lay_on_white(struct image *im)
{
    for (int y = 0; y < im->h; y++) {
        unsigned char *p = image_row(im, y);
        for (int x = 0; x < im->w; x++, p += 4) {
            unsigned a = p[3];
            for (int c = 0; c < 3; c++)
                p[c] = (unsigned char)((p[c] * a + 255 * (255 - a) + 127) / 255);
        }
    }
}

static enum err_code write_flattened(const struct psd_rows *rows, const struct image_out *out,
                                     struct err *e)
{
    TRY(write_u16(PSD_COMPRESSION_RLE, out, e));
    TRY(psd_rows_write_lengths(rows, 0, 4, out, e));
    for (int c = 0; c < 4; c++)
        TRY(psd_rows_write(rows, c, out, e));
    return ERR_OK;
}

static void put_header(struct buf *b, const struct layer_stack *s)
{
    buf_add_z(b, "8BPS");
    put_u16(b, PSD_VERSION);
    put_zeros(b, 6);
    put_u16(b, 4);
    put_i32(b, s->h);
    put_i32(b, s->w);
    put_u16(b, 8);
    put_u16(b, PSD_MODE_RGB);
    put_u32(b, 0); /* no colour table */
}

static enum err_code check_sides(const char *what, int w, int h, struct err *e)
{
    if (w > PSD_MAX_SIDE || h > PSD_MAX_SIDE)
        return err_set(e, ERR_LIMIT,
                       "%s is %d x %d pixels; PSD allows %d per side (export OpenRaster or PNG)",
                       what, w, h, PSD_MAX_SIDE);
    return ERR_OK;
}

static enum err_code check_stack(const struct layer_stack *s, struct err *e)
{
    TRY(check_sides("the canvas", s->w, s->h, e));
    for (size_t i = 0; i < s->n; i++)
        TRY(check_sides(s->layers[i].name, s->layers[i].image.w, s->layers[i].image.h, e));
    return ERR_OK;
}

/* rows: of the layers, then of the flattened image. */
static enum err_code write_document(const struct layer_stack *s, const struct psd_rows *rows,
                                    struct buf *head, const struct image_out *out, struct err *e)
{
    uint64_t bytes = 0;
    size_t pad = 0;
    put_header(head, s);
    TRY(put_resources(head, s, e));
    TRY(put_layers(head, s, rows, &pad, e));
    if (buf_failed(head))
        return err_set(e, ERR_NOMEM, "no memory for the records of %zu layers", s->n);
    for (size_t i = 0; i <= s->n; i++)
        bytes += rows[i].bytes + 8 * ((uint64_t)rows[i].im->h + 1);
    if (head->n + bytes + 8 > MAX_BYTES)
        return err_set(e, ERR_LIMIT, "the PSD would be larger than 2 GiB");
    TRY(image_out_write(out, head->p, head->n, e));
    TRY(write_layers(s, rows, pad, out, e));
    return write_flattened(&rows[s->n], out, e);
}

static enum err_code measure_all(const struct layer_stack *s, const struct image *flat,
                                 struct psd_rows *rows, const struct image_out *out, struct err *e)
{
    for (size_t i = 0; i < s->n; i++)
        TRY(psd_rows_measure(&rows[i], &s->layers[i].image, out, e));
    return psd_rows_measure(&rows[s->n], flat, out, e);
}

enum err_code psd_write(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    struct image flat = {0};
    struct buf head;
    enum err_code rc = check_stack(s, e);
    if (rc != ERR_OK)
        return rc;
    struct psd_rows *rows = mem_try_array(s->n + 1, sizeof *rows);
    if (!rows)
        return err_set(e, ERR_NOMEM, "no memory for %zu layer records", s->n);
    buf_init(&head, HEAD_MAX_BYTES);
    TRY_GOTO(layers_flatten_for(s, out, &flat, e), done);
    lay_on_white(&flat);
    TRY_GOTO(measure_all(s, &flat, rows, out, e), done);
    rc = write_document(s, rows, &head, out, e);
done:
    for (size_t i = 0; i <= s->n; i++)
        psd_rows_deinit(&rows[i]);
    mem_free(rows);
    buf_deinit(&head);
    image_free(&flat);
    return rc;
}
