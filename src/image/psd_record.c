#include "image/psd_record.h"

#include "image/psd_format.h"
#include "image/unicode.h"

enum { MASK_BYTES = 18, MAX_GROUP_DEPTH = 64 };

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
        r->divider = psd_u32(&block);
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
    *r = (struct psd_record){.group_opacity = 1, .group_visible = true};
    r->rect = read_rect(c);
    r->n_channels = psd_u16(c);
    if (r->n_channels > PSD_CHANNELS_MAX)
        return err_set(e, ERR_FORMAT, "a layer has %zu channels, at most %d are possible",
                       r->n_channels, PSD_CHANNELS_MAX);
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
    (void)psd_u8(c); /* clipping */
    r->flags = psd_u8(c);
    (void)psd_u8(c);
    struct psd_cursor extra = psd_part(c, psd_u32(c));
    if (c->failed)
        return err_set(e, ERR_FORMAT, "the file ends inside a layer record");
    read_extra(&extra, r);
    return ERR_OK;
}

/* From the top down a group is its own record, its layers, and a hidden record that ends it. */
enum err_code psd_records_dissolve_groups(struct psd_record *r, size_t n, struct err *e)
{
    struct {
        double opacity;
        bool visible;
    } group[MAX_GROUP_DEPTH + 1] = {{1, true}};
    size_t depth = 0;
    for (size_t i = n; i-- > 0;) {
        if (r[i].divider == PSD_GROUP_OPEN || r[i].divider == PSD_GROUP_CLOSED) {
            if (depth == MAX_GROUP_DEPTH)
                return err_set(e, ERR_LIMIT, "groups are nested deeper than %d", MAX_GROUP_DEPTH);
            depth++;
            group[depth].opacity = group[depth - 1].opacity * r[i].opacity / 255;
            group[depth].visible = group[depth - 1].visible && !(r[i].flags & PSD_FLAG_HIDDEN);
        } else if (r[i].divider == PSD_GROUP_END && depth > 0) {
            depth--;
        }
        r[i].group_opacity = group[depth].opacity;
        r[i].group_visible = group[depth].visible;
    }
    return ERR_OK;
}
