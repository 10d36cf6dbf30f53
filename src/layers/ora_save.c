#include "layers/ora.h"

#include <stdio.h>

#include "image/resize.h"
#include "layers/ora_xml.h"
#include "layers/png.h"
#include "layers/xml.h"
#include "layers/zipfile.h"

static const size_t XML_BYTES_MAX = (size_t)16 << 20;

/* The layers are listed from the top, as the format wants them; ours are kept from the bottom. */
static void put_stack_xml(struct buf *b, const struct layer_stack *s)
{
    buf_add_z(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    buf_printf(b,
               "<image version=\"0.0.3\" w=\"%d\" h=\"%d\" xres=\"72\" yres=\"72\" "
               "xmlns:veetance=\"" ORA_NAMESPACE "\">\n <stack>\n",
               s->w, s->h);
    for (size_t i = s->n; i-- > 0;) {
        const struct layer *l = &s->layers[i];
        buf_add_z(b, "  <layer name=\"");
        layers_xml_add(b, str_from(l->name));
        buf_printf(b, "\" src=\"data/layer%zu.png\" x=\"%d\" y=\"%d\" opacity=\"", i, l->x, l->y);
        layers_xml_add_double(b, l->opacity);
        buf_printf(b, "\" visibility=\"%s\" composite-op=\"%s\" " ORA_ID_ATTRIBUTE "=\"%s\"/>\n",
                   l->visible ? "visible" : "hidden", ora_composite_op(l->blend), l->id);
    }
    buf_add_z(b, " </stack>\n</image>\n");
}

static enum err_code add_merged(struct zipfile_writer *z, const struct layer_stack *s,
                                const struct image_out *out, struct err *e)
{
    struct image flat = {0}, small = {0};
    enum err_code rc;
    TRY_GOTO(layers_flatten_for(s, out, &flat, e), done);
    TRY_GOTO(layers_png_add(z, "mergedimage.png", &flat, e), done);
    TRY_GOTO(image_thumbnail(&flat, ORA_THUMBNAIL_MAX, ORA_THUMBNAIL_MAX, &small, e), done);
    rc = layers_png_add(z, "Thumbnails/thumbnail.png", &small, e);
done:
    image_free(&flat);
    image_free(&small);
    return rc;
}

static enum err_code add_all(struct zipfile_writer *z, const struct layer_stack *s,
                             const struct image_out *out, struct err *e)
{
    struct buf xml;
    enum err_code rc = ERR_OK;
    zipfile_add(z, "mimetype", STR_LIT(ORA_MIMETYPE), ZIPFILE_STORED);
    buf_init(&xml, XML_BYTES_MAX);
    put_stack_xml(&xml, s);
    if (buf_failed(&xml))
        rc = err_set(e, ERR_NOMEM, "no memory for stack.xml of %zu layers", s->n);
    else
        zipfile_add(z, "stack.xml", buf_str(&xml), ZIPFILE_DEFLATED);
    buf_deinit(&xml);
    for (size_t i = 0; i < s->n && rc == ERR_OK; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "data/layer%zu.png", i);
        rc = layers_png_add(z, name, &s->layers[i].image, e);
    }
    return rc == ERR_OK ? add_merged(z, s, out, e) : rc;
}

enum err_code ora_write(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    struct zipfile_writer *z = zipfile_writer_new(out);
    enum err_code rc;
    TRY_GOTO(add_all(z, s, out, e), done);
    rc = zipfile_finish(z, e);
done:
    zipfile_writer_free(z);
    return rc;
}
