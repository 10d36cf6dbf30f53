/* ora_load.c - OpenRaster to layers; see ora.h.
 *
 * The archive's type is checked, stack.xml becomes a list of entries (ora_xml.c), and the list, which has the
 * topmost layer first, is walked backwards, since layers/assemble.h wants the bottom first: a stack's end then
 * comes before its layers. At the end the merged image of the document, where there is one, is compared with our
 * layers.
 */
#include "layers/ora.h"

#include "base/mem.h"
#include "image/load.h"
#include "layers/assemble.h"
#include "layers/ora_xml.h"
#include "layers/png.h"
#include "layers/zipfile.h"

static const size_t XML_BYTES_MAX = (size_t)4 << 20;

static enum err_code check_mimetype(struct zipfile_reader *z, struct err *e)
{
    struct buf b;
    enum err_code rc = zipfile_read(z, "mimetype", &b, e);
    if (rc != ERR_OK)
        return err_note(e, "not OpenRaster");
    struct str type = buf_str(&b);
    while (type.n > 0 && (type.p[type.n - 1] == '\n' || type.p[type.n - 1] == '\r'))
        type.n--;
    if (!str_eq_z(type, ORA_MIMETYPE))
        rc = err_set(e, ERR_FORMAT, "not OpenRaster: the type of the archive is '%.*s'",
                     (int)(type.n > 60 ? 60 : type.n), type.p);
    buf_deinit(&b);
    return rc;
}

static enum err_code read_xml(struct zipfile_reader *z, size_t max_layers, struct ora_image *out,
                              struct err *e)
{
    struct buf b;
    enum err_code rc = zipfile_read(z, "stack.xml", &b, e);
    if (rc != ERR_OK)
        return rc;
    if (b.n > XML_BYTES_MAX)
        rc = err_set(e, ERR_LIMIT, "stack.xml has %zu bytes, the limit is %zu", b.n, XML_BYTES_MAX);
    else
        rc = ora_xml_parse(buf_str(&b), max_layers, out, e);
    buf_deinit(&b);
    return rc;
}

static enum err_code read_layer(struct zipfile_reader *z, const struct ora_entry *t,
                                const struct layers_limits *limits, uint64_t *pixels,
                                struct layers_assembly *a, struct err *e)
{
    struct buf b;
    struct layer l = t->layer;
    enum err_code rc = zipfile_read(z, t->src, &b, e);
    if (rc == ERR_OK) {
        rc = layers_png_read(buf_str(&b), t->src, limits, pixels, &l.image, e);
        buf_deinit(&b);
    }
    return rc == ERR_OK ? layers_assembly_add(a, &l, t->op, false, e)
                        : err_note(e, "layer '%s'", l.name);
}

/* A stack without opacity, mode or isolation of its own has no effect; it is a group only where groups are kept. */
static bool is_group(const struct ora_entry *t, bool kept)
{
    return (kept && !t->outermost) || t->layer.opacity < 1 || t->layer.blend != BLEND_NORMAL ||
           t->op != LAYERS_OVER || !t->layer.visible || t->isolated;
}

static enum err_code read_entry(struct zipfile_reader *z, const struct ora_entry *t,
                                const struct layers_limits *limits, uint64_t *pixels,
                                struct layers_assembly *a, struct err *e)
{
    const struct layers_group g = {.id = t->layer.id,
                                   .name = t->layer.name,
                                   .opacity = t->layer.opacity,
                                   .blend = t->layer.blend,
                                   .visible = t->layer.visible,
                                   .isolated = t->isolated,
                                   .op = t->op};
    if (t->kind == ORA_LAYER)
        return read_layer(z, t, limits, pixels, a, e);
    if (!is_group(t, a->keep))
        return ERR_OK;
    return t->kind == ORA_STACK ? layers_assembly_end(a, &g, e)
                                : layers_assembly_begin(a, t->isolated, false, e);
}

/* Operators act on whatever lies below in the innermost isolated stack, across groups: with them none is kept. */
static bool has_operators(const struct ora_image *im)
{
    for (size_t i = 0; i < im->n; i++)
        if (im->entries[i].op != LAYERS_OVER)
            return true;
    return false;
}

/* Compares with mergedimage.png, where the document has one that can be read. */
static enum err_code check_merged(struct zipfile_reader *z, const struct layers_limits *limits,
                                  struct layer_stack *s, struct err *e)
{
    const struct image_limits il = {.max_pixels = limits->max_pixels,
                                    .max_file_bytes = image_limits_defaults().max_file_bytes};
    struct image merged;
    struct err why = {0};
    struct buf b;
    if (!zipfile_has(z, "mergedimage.png"))
        return ERR_OK;
    enum err_code rc = zipfile_read(z, "mergedimage.png", &b, &why);
    if (rc == ERR_OK) {
        rc = image_load_memory(buf_str(&b), &il, NULL, &merged, &why);
        layers_about_join(s, 0, buf_str(&b));
        buf_deinit(&b);
    }
    if (rc == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "%s", why.text);
    if (rc != ERR_OK) {
        layer_stack_note(s, "mergedimage.png cannot be read: %s", why.text);
        return ERR_OK;
    }
    rc = layers_check_merged(s, &merged, e);
    image_free(&merged);
    return rc;
}

static enum err_code read_archive(struct zipfile_reader *z, const struct layers_limits *limits,
                                  struct layer_stack *out, struct err *e)
{
    struct ora_image im = {0};
    struct layers_assembly a;
    uint64_t pixels = 0;
    enum err_code rc;
    TRY(check_mimetype(z, e));
    TRY(read_xml(z, limits->max_layers, &im, e));
    TRY_GOTO(layers_check_canvas(limits, im.w, im.h, e), done);
    layer_stack_init(out, (int)im.w, (int)im.h);
    layers_assembly_init(&a, out);
    a.keep = limits->groups && !has_operators(&im);
    for (size_t i = im.n; i-- > 0;)
        TRY_GOTO(read_entry(z, &im.entries[i], limits, &pixels, &a, e), done);
    TRY_GOTO(layers_assembly_finish(&a, e), done);
    if (im.unknown[0])
        layer_stack_note(out, "the composite-op '%s' is unknown; such layers use normal",
                         im.unknown);
    rc = check_merged(z, limits, out, e);
done:
    mem_free(im.entries);
    return rc;
}

enum err_code ora_decode(struct str bytes, const struct layers_limits *limits,
                         struct layer_stack *out, struct err *e)
{
    struct layers_limits defaults = layers_limits_defaults();
    struct zipfile_limits zl = zipfile_limits_defaults();
    struct zipfile_reader *z = NULL;
    layer_stack_init(out, 0, 0);
    if (!limits)
        limits = &defaults;
    /* A PNG within the allowed size never needs more bytes than this. */
    if (limits->max_pixels < zl.max_entry_bytes / 8)
        zl.max_entry_bytes = (size_t)limits->max_pixels * 8 + XML_BYTES_MAX;
    enum err_code rc;
    TRY_GOTO(zipfile_open(bytes, &zl, &z, e), done);
    rc = read_archive(z, limits, out, e);
done:
    zipfile_close(z);
    if (rc != ERR_OK)
        layer_stack_deinit(out);
    return rc;
}
