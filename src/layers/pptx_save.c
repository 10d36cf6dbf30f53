/* The smallest package that PowerPoint and LibreOffice take without repair: a presentation, a master
 * with an empty layout and a theme (all three are required), and the slide with its images.
 *
 * Lengths are in EMU, 914,400 an inch: 9,525 a pixel at 96 an inch. A slide's sides go from 1 to 56
 * inches, so large canvases get fewer EMU a pixel and small ones more. */
#include "layers/pptx.h"

#include <math.h>
#include <stdio.h>

#include "layers/png.h"
#include "layers/pptx_parts.h"
#include "layers/xml.h"
#include "layers/zipfile.h"

static const double EMU_A_PIXEL = 9525, EMU_SIDE_MIN = 914400, EMU_SIDE_MAX = 51206400;
static const size_t XML_BYTES_MAX = (size_t)16 << 20;

/* ---- the slide ------------------------------------------------------------------------------- */

/* So many EMU a pixel that the longer side is allowed and, if it can be, the shorter one, too. */
static double scale_of(const struct layer_stack *s)
{
    double longer = s->w > s->h ? s->w : s->h, shorter = s->w > s->h ? s->h : s->w;
    double scale = EMU_A_PIXEL;
    if (shorter * scale < EMU_SIDE_MIN)
        scale = EMU_SIDE_MIN / shorter;
    if (longer * scale > EMU_SIDE_MAX)
        scale = EMU_SIDE_MAX / longer;
    return scale;
}

static long long slide_side(int side_px, double scale)
{
    double emu = side_px * scale;
    return llround(emu < EMU_SIDE_MIN ? EMU_SIDE_MIN : emu);
}

static void put_presentation(struct buf *b, const struct layer_stack *s, double scale)
{
    buf_add_z(b,
              PPTX_XML_HEAD "<p:presentation " PPTX_NAMESPACES "><p:sldMasterIdLst><p:sldMasterId "
                            "id=\"2147483648\" r:id=\"rId1\"/></p:sldMasterIdLst><p:sldIdLst>"
                            "<p:sldId id=\"256\" r:id=\"rId2\"/></p:sldIdLst>");
    buf_printf(b, "<p:sldSz cx=\"%lld\" cy=\"%lld\"/>", slide_side(s->w, scale),
               slide_side(s->h, scale));
    buf_add_z(b, "<p:notesSz cx=\"6858000\" cy=\"9144000\"/></p:presentation>");
}

/* Edges are rounded, not sizes, so that what touches in the stack touches on the slide. */
static void put_image(struct buf *b, const struct layer *l, size_t index, double scale)
{
    long long x0 = llround(l->x * scale), x1 = llround((l->x + l->image.w) * scale);
    long long y0 = llround(l->y * scale), y1 = llround((l->y + l->image.h) * scale);
    buf_printf(b, "<p:pic><p:nvPicPr><p:cNvPr id=\"%zu\" name=\"", index + 2);
    layers_xml_add(b, str_from(l->name));
    buf_printf(b, "\"%s/><p:cNvPicPr><a:picLocks noChangeAspect=\"1\"/></p:cNvPicPr><p:nvPr/>",
               l->visible ? "" : " hidden=\"1\"");
    buf_printf(b, "</p:nvPicPr><p:blipFill><a:blip r:embed=\"rId%zu\">", index + 2);
    if (l->opacity < 1)
        buf_printf(b, "<a:alphaModFix amt=\"%ld\"/>", lround(l->opacity * 100000));
    buf_printf(b,
               "</a:blip><a:stretch><a:fillRect/></a:stretch></p:blipFill><p:spPr><a:xfrm>"
               "<a:off x=\"%lld\" y=\"%lld\"/><a:ext cx=\"%lld\" cy=\"%lld\"/></a:xfrm>"
               "<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></p:spPr></p:pic>",
               x0, y0, x1 - x0, y1 - y0);
}

static void put_slide(struct buf *b, const struct layer_stack *s, double scale)
{
    buf_add_z(b, PPTX_XML_HEAD "<p:sld " PPTX_NAMESPACES "><p:cSld><p:spTree>" PPTX_EMPTY_GROUP);
    for (size_t i = 0; i < s->n; i++)
        put_image(b, &s->layers[i], i, scale);
    buf_add_z(b, "</p:spTree></p:cSld><p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sld>");
}

static void put_slide_relationships(struct buf *b, const struct layer_stack *s)
{
    buf_add_z(b, PPTX_RELATIONSHIPS_OPEN);
    buf_add_z(b, PPTX_RELATIONSHIP("1", "slideLayout", "../slideLayouts/slideLayout1.xml"));
    for (size_t i = 0; i < s->n; i++)
        buf_printf(b,
                   "<Relationship Id=\"rId%zu\" Type=\"" PPTX_NS_R
                   "/image\" Target=\"../media/image%zu.png\"/>",
                   i + 2, i + 1);
    buf_add_z(b, PPTX_RELATIONSHIPS_CLOSE);
}

/* ---- the package ----------------------------------------------------------------------------- */

static enum err_code add_part(struct zipfile_writer *z, const char *name, struct buf *b,
                              struct err *e)
{
    enum err_code rc = ERR_OK;
    if (buf_failed(b))
        rc = err_set(e, ERR_NOMEM, "no memory for '%s'", name);
    else
        zipfile_add(z, name, buf_str(b), ZIPFILE_DEFLATED);
    buf_clear(b);
    return rc;
}

static enum err_code add_slide(struct zipfile_writer *z, const struct layer_stack *s, struct err *e)
{
    const double scale = scale_of(s);
    enum err_code rc;
    struct buf b;
    buf_init(&b, XML_BYTES_MAX);
    put_presentation(&b, s, scale);
    rc = add_part(z, "ppt/presentation.xml", &b, e);
    put_slide(&b, s, scale);
    if (rc == ERR_OK)
        rc = add_part(z, "ppt/slides/slide1.xml", &b, e);
    put_slide_relationships(&b, s);
    if (rc == ERR_OK)
        rc = add_part(z, "ppt/slides/_rels/slide1.xml.rels", &b, e);
    buf_deinit(&b);
    return rc;
}

static enum err_code add_media(struct zipfile_writer *z, const struct layer_stack *s, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        char name[48];
        (void)snprintf(name, sizeof name, "ppt/media/image%zu.png", i + 1);
        TRY(layers_png_add(z, name, &s->layers[i].image, e));
    }
    return ERR_OK;
}

enum err_code pptx_write(const struct layer_stack *s, const struct image_out *out, struct err *e)
{
    struct zipfile_writer *z = zipfile_writer_new(out);
    for (const struct pptx_part *part = pptx_fixed_parts(); part->name; part++)
        zipfile_add(z, part->name, str_from(part->text), ZIPFILE_DEFLATED);
    enum err_code rc;
    TRY_GOTO(add_slide(z, s, e), done);
    TRY_GOTO(add_media(z, s, e), done);
    rc = zipfile_finish(z, e);
done:
    zipfile_writer_free(z);
    return rc;
}
