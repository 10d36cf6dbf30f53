/* psd_record.c - one layer record: rectangle, channels, blending, mask, names, and tagged blocks.
 *
 * Only the fixed part can make a document unreadable. The tagged blocks are optional and differ between programs:
 * unknown ones are skipped by their length, and one that makes no sense ends the list without an error. Later
 * blocks win: the Unicode name over the Pascal one, a group's own blend mode over the record's.
 */
#include "layers/psd_record.h"

#include <string.h>

#include "image/unicode.h"
#include "layers/psd_format.h"

static const char blend_keys[BLEND_MODES][5] = {
    [BLEND_NORMAL] = "norm",      [BLEND_MULTIPLY] = "mul ",   [BLEND_SCREEN] = "scrn",
    [BLEND_OVERLAY] = "over",     [BLEND_DARKEN] = "dark",     [BLEND_LIGHTEN] = "lite",
    [BLEND_COLOR_DODGE] = "div ", [BLEND_COLOR_BURN] = "idiv", [BLEND_HARD_LIGHT] = "hLit",
    [BLEND_SOFT_LIGHT] = "sLit",  [BLEND_DIFFERENCE] = "diff", [BLEND_EXCLUSION] = "smud",
    [BLEND_ADD] = "lddg",         [BLEND_HUE] = "hue ",        [BLEND_SATURATION] = "sat ",
    [BLEND_COLOR] = "colr",       [BLEND_LUMINOSITY] = "lum ",
};

const char *psd_blend_key(enum blend_mode mode)
{
    return blend_keys[mode];
}

enum blend_mode psd_blend_from_key(const char key[4])
{
    for (int i = 0; i < BLEND_MODES; i++)
        if (memcmp(key, blend_keys[i], 4) == 0)
            return (enum blend_mode)i;
    return BLEND_NORMAL;
}

bool psd_blend_is_known(const char key[4])
{
    return psd_blend_from_key(key) != BLEND_NORMAL || memcmp(key, "norm", 4) == 0 ||
           memcmp(key, "pass", 4) == 0;
}

enum {
    MASK_BYTES = 18,
    MASK_REAL_BYTES = 18,
    MASK_ALL_BYTES = 19,
    MASK_HAS_PARAMETERS = 0x10,
    MASK_DENSITY = 1,
    MASK_FEATHER = 2,
    MAX_GROUP_DEPTH = 64,
};

static struct psd_rect read_rect(struct psd_cursor *c)
{
    struct psd_rect r = {0};
    r.top = psd_i32(c);
    r.left = psd_i32(c);
    r.bottom = psd_i32(c);
    r.right = psd_i32(c);
    return r;
}

/* A count of UTF-16 units and the units; ends at a NUL, which some programs count. */
static void read_unicode_name(struct psd_cursor *c, char out[LAYER_NAME_SIZE])
{
    size_t n = 0;
    uint32_t count = psd_u32(c), high = 0, v = 0;
    for (uint32_t i = 0; i < count && !c->failed; i++) {
        uint32_t u = psd_u16(c);
        char bytes[4];
        if (u == 0)
            break;
        size_t k = unicode_from_unit(u, &high, &v) ? unicode_to_utf8(v, bytes) : 0;
        if (n + k < LAYER_NAME_SIZE) {
            memcpy(out + n, bytes, k);
            n += k;
        }
    }
    out[n] = 0;
}

static void read_pascal_name(struct psd_cursor *c, char out[LAYER_NAME_SIZE])
{
    size_t n = psd_u8(c);
    const unsigned char *p = psd_take(c, n);
    (void)psd_take(c, (4 - (n + 1) % 4) % 4);
    if (!p)
        return;
    memcpy(out, p, n);
    out[n] = 0;
}

static void read_mask(struct psd_cursor *c, struct psd_record *r)
{
    if (psd_left(c) < MASK_BYTES)
        return;
    r->mask = read_rect(c);
    r->mask_default = psd_u8(c);
    r->mask_flags = psd_u8(c);
    r->has_mask = true;
    if (!(r->mask_flags & MASK_HAS_PARAMETERS))
        return;
    /* The mask without the vector mask comes first, unless all that is left are the parameters, all four. */
    if (psd_left(c) >= MASK_REAL_BYTES && !(psd_left(c) == MASK_ALL_BYTES && c->p[c->at] == 0x0f))
        (void)psd_take(c, MASK_REAL_BYTES);
    unsigned has = psd_u8(c);
    unsigned density = has & MASK_DENSITY ? psd_u8(c) : 255;
    const unsigned char *feather = has & MASK_FEATHER ? psd_take(c, 8) : NULL;
    if (c->failed)
        return;
    r->mask_density = density;
    for (int i = 0; feather && i < 8; i++)
        r->mask_feathered = r->mask_feathered || feather[i] != 0;
}

/* A group's own blend mode stands here; the record's is for programs that know no groups. */
static void read_divider(struct psd_cursor *c, struct psd_record *r)
{
    r->divider = psd_u32(c);
    if (psd_left(c) < 8)
        return;
    (void)psd_take(c, 4);
    const unsigned char *key = psd_take(c, 4);
    if (key)
        memcpy(r->blend_key, key, 4);
}

/* Keys of four letters with a space behind each. */
static bool is_one_of(const unsigned char *key, const char *keys)
{
    for (; *keys; keys += 5)
        if (memcmp(key, keys, 4) == 0)
            return true;
    return false;
}

/* One tagged block; false when there is no further one. */
static bool read_block(struct psd_cursor *c, struct psd_record *r)
{
    /* Blocks are padded in more than one way; none begins with a zero. */
    while (psd_left(c) > 0 && c->p[c->at] == 0)
        c->at++;
    const unsigned char *signature = psd_take(c, 4);
    const unsigned char *key = psd_take(c, 4);
    if (!key || (memcmp(signature, "8BIM", 4) != 0 && memcmp(signature, "8B64", 4) != 0))
        return false;
    struct psd_cursor block = psd_part(c, psd_u32(c));
    if (block.failed)
        return false;
    if (memcmp(key, "luni", 4) == 0)
        read_unicode_name(&block, r->name);
    else if (memcmp(key, "lyid", 4) == 0)
        r->lyid = psd_u32(&block);
    else if (memcmp(key, "lsct", 4) == 0 || memcmp(key, "lsdk", 4) == 0)
        read_divider(&block, r);
    else if (memcmp(key, "iOpa", 4) == 0 && psd_left(&block) > 0)
        r->fill = psd_u8(&block) / 255.0;
    else if (is_one_of(key, "vmsk vsms "))
        r->has_vector_mask = true;
    else if (is_one_of(key, "lfx2 lrFX lmfx "))
        r->has_effects = true;
    else if (is_one_of(key, "levl curv brit blnc hue  hue2 selc mixr grdm phfl expA vibA blwh nvrt "
                            "post thrs CgEd clrL SoCo GdFl PtFl "))
        r->is_adjustment = true;
    return true;
}

static void read_extra(struct psd_cursor *c, struct psd_record *r)
{
    struct psd_cursor mask = psd_part(c, psd_u32(c));
    read_mask(&mask, r);
    (void)psd_take(c, psd_u32(c)); /* blending ranges */
    read_pascal_name(c, r->name);
    while (!c->failed && read_block(c, r))
        continue;
}

enum err_code psd_record_read(struct psd_cursor *c, struct psd_record *r, struct err *e)
{
    *r = (struct psd_record){.fill = 1, .mask_density = 255, .group = PSD_NO_GROUP};
    r->rect = read_rect(c);
    r->n_channels = psd_u16(c);
    if (r->n_channels > PSD_CHANNELS_MAX)
        return err_set(e, ERR_FORMAT, "a layer has %zu channels, the limit is %d", r->n_channels,
                       PSD_CHANNELS_MAX);
    for (size_t i = 0; i < r->n_channels; i++) {
        r->channels[i].id = (int16_t)psd_u16(c);
        r->channels[i].bytes = psd_u32(c);
    }
    if (!psd_is_key(c, "8BIM") && !c->failed)
        return err_set(e, ERR_FORMAT, "a layer record lacks its signature");
    const unsigned char *key = psd_take(c, 4);
    if (key)
        memcpy(r->blend_key, key, 4);
    r->opacity = psd_u8(c);
    r->clipped = psd_u8(c) != 0;
    r->flags = psd_u8(c);
    (void)psd_u8(c);
    struct psd_cursor extra = psd_part(c, psd_u32(c));
    if (c->failed)
        return err_set(e, ERR_FORMAT, "the file ends inside a layer record");
    read_extra(&extra, r);
    return ERR_OK;
}

/* From the top down a group is its own record, its layers, and a hidden record that ends it. */
enum err_code psd_records_match_groups(struct psd_record *r, size_t n, struct err *e)
{
    size_t open[MAX_GROUP_DEPTH], depth = 0;
    for (size_t i = n; i-- > 0;) {
        if (r[i].divider == PSD_GROUP_OPEN || r[i].divider == PSD_GROUP_CLOSED) {
            if (depth == MAX_GROUP_DEPTH)
                return err_set(e, ERR_LIMIT, "groups are nested deeper than %d", MAX_GROUP_DEPTH);
            open[depth++] = i;
        } else if (r[i].divider == PSD_GROUP_END && depth > 0) {
            r[i].group = open[--depth];
            r[open[depth]].group = i;
        }
    }
    return ERR_OK;
}
