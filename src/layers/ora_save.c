#include "layers/ora.h"

#include <stdio.h>

#include "image/resize.h"
#include "layers/ora_xml.h"
#include "layers/png.h"
#include "layers/xml.h"
#include "layers/zipfile.h"

static const size_t XML_BYTES_MAX = (size_t)16 << 20;

struct listing {
    struct buf *b;
    const struct layer_stack *s;
    int depth; /* of open stacks, for people who read it */
};

static void indent(const struct listing *l)
{
    for (int i = 0; i < l->depth; i++)
        buf_add_byte(l->b, ' ');
}

/* What layers and stacks have in common, behind their names and places. */
static void put_look(struct buf *b, double opacity, bool visible, enum blend_mode blend,
                     const char *id)
{
    buf_add_z(b, "opacity=\"");
    layers_xml_add_double(b, opacity);
    buf_printf(b, "\" visibility=\"%s\" composite-op=\"%s\" " ORA_ID_ATTRIBUTE "=\"%s\"",
               visible ? "visible" : "hidden", ora_composite_op(blend), id);
}

static enum err_code open_stack(void *user, const struct layer_group *g, struct err *e)
{
    struct listing *l = user;
    (void)e;
    indent(l);
    buf_add_z(l->b, "<stack name=\"");
    layers_xml_add(l->b, str_from(g->name));
    buf_add_z(l->b, "\" isolation=\"isolate\" ");
    put_look(l->b, g->opacity, g->visible, g->blend, g->id);
    buf_add_z(l->b, ">\n");
    l->depth++;
    return ERR_OK;
}

static enum err_code put_layer(void *user, size_t index, struct err *e)
{
    const struct listing *to = user;
    const struct layer *l = &to->s->layers[index];
    (void)e;
    indent(to);
    buf_add_z(to->b, "<layer name=\"");
    layers_xml_add(to->b, str_from(l->name));
    buf_printf(to->b, "\" src=\"data/layer%zu.png\" x=\"%d\" y=\"%d\" ", index, l->x, l->y);
    put_look(to->b, l->opacity, l->visible, l->blend, l->id);
    buf_add_z(to->b, "/>\n");
    return ERR_OK;
}

static enum err_code close_stack(void *user, const struct layer_group *g, struct err *e)
{
    struct listing *l = user;
    (void)g;
    (void)e;
    l->depth--;
    indent(l);
    buf_add_z(l->b, "</stack>\n");
    return ERR_OK;
}

/* The layers are listed from the top, as the format wants them; ours are kept from the bottom. */
static enum err_code put_stack_xml(struct buf *b, const struct layer_stack *s, struct err *e)
{
    struct listing l = {.b = b, .s = s, .depth = 2};
    const struct layers_visitor v = {open_stack, put_layer, close_stack, &l, true};
    buf_add_z(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    buf_printf(b,
               "<image version=\"0.0.3\" w=\"%d\" h=\"%d\" xres=\"72\" yres=\"72\" "
               "xmlns:veetance=\"" ORA_NAMESPACE "\">\n <stack>\n",
               s->w, s->h);
    TRY(layers_visit(s, &v, e));
    buf_add_z(b, " </stack>\n</image>\n");
    return buf_failed(b) ? err_set(e, ERR_NOMEM, "no memory for stack.xml of %zu layers", s->n)
                         : ERR_OK;
}

static enum err_code add_merged(struct zipfile_writer *z, const struct layer_stack *s,
                                const struct image_out *out, struct err *e)
{
    struct image flat = {0}, small = {0};
    enum err_code rc;
    TRY_GOTO(layers_flatten_for(s, out, &flat, e), done);
    TRY_GOTO(layers_png_add(z, "mergedimage.png", &flat, &s->about, e), done);
    TRY_GOTO(image_thumbnail(&flat, ORA_THUMBNAIL_MAX, ORA_THUMBNAIL_MAX, &small, e), done);
    rc = layers_png_add(z, "Thumbnails/thumbnail.png", &small, &s->about, e);
done:
    image_free(&flat);
    image_free(&small);
    return rc;
}

static enum err_code add_all(struct zipfile_writer *z, const struct layer_stack *s,
                             const struct image_out *out, struct err *e)
{
    struct buf xml;
    zipfile_add(z, "mimetype", STR_LIT(ORA_MIMETYPE), ZIPFILE_STORED);
    buf_init(&xml, XML_BYTES_MAX);
    enum err_code rc = put_stack_xml(&xml, s, e);
    if (rc == ERR_OK)
        zipfile_add(z, "stack.xml", buf_str(&xml), ZIPFILE_DEFLATED);
    buf_deinit(&xml);
    for (size_t i = 0; i < s->n && rc == ERR_OK; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "data/layer%zu.png", i);
        rc = layers_png_add(z, name, &s->layers[i].image, &s->about, e);
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
