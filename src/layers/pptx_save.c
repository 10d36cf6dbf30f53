/* The smallest package that PowerPoint and LibreOffice take without repair: a presentation, a master
 * with an empty layout and a theme (all three are required), and the slide with its images.
 *
 * Lengths are in EMU, 914,400 an inch: 9,525 a pixel at 96 an inch. A slide's sides go from 1 to 56
 * inches, so large canvases get fewer EMU a pixel and small ones more. */
#include "layers/pptx.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "layers/png.h"
#include "layers/xml.h"
#include "layers/zipfile.h"

/* ---- the parts that are the same in every file ------------------------------------------------- */

#define PPTX_NS_A "http://schemas.openxmlformats.org/drawingml/2006/main"
#define PPTX_NS_R "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define PPTX_NS_P "http://schemas.openxmlformats.org/presentationml/2006/main"
#define PPTX_NS_PACKAGE "http://schemas.openxmlformats.org/package/2006/"
#define PPTX_NAMESPACES                                                                            \
    "xmlns:a=\"" PPTX_NS_A "\" xmlns:r=\"" PPTX_NS_R "\" xmlns:p=\"" PPTX_NS_P "\""

#define PPTX_XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n"

/* What every tree of shapes begins with. */
#define PPTX_EMPTY_GROUP                                                                           \
    "<p:nvGrpSpPr><p:cNvPr id=\"1\" name=\"\"/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr>"             \
    "<p:grpSpPr><a:xfrm><a:off x=\"0\" y=\"0\"/><a:ext cx=\"0\" cy=\"0\"/>"                        \
    "<a:chOff x=\"0\" y=\"0\"/><a:chExt cx=\"0\" cy=\"0\"/></a:xfrm></p:grpSpPr>"

#define PPTX_RELATIONSHIPS_OPEN                                                                    \
    PPTX_XML_HEAD "<Relationships xmlns=\"" PPTX_NS_PACKAGE "relationships\">"
#define PPTX_RELATIONSHIP(number, type, target)                                                    \
    "<Relationship Id=\"rId" number "\" Type=\"" PPTX_NS_R "/" type "\" Target=\"" target "\"/>"
#define PPTX_RELATIONSHIPS_CLOSE "</Relationships>"

struct pptx_part {
    const char *name; /* in the package; NULL ends the list */
    const char *text;
};

#define TYPE(name) "ContentType=\"application/vnd.openxmlformats-" name "+xml\"/>"
#define OFFICE(name) TYPE("officedocument." name)
#define PART(name) "<Override PartName=\"/ppt/" name "\" "
#define COLOUR(name, rgb) "<a:" name "><a:srgbClr val=\"" rgb "\"/></a:" name ">"
#define SOLID "<a:solidFill><a:schemeClr val=\"phClr\"/></a:solidFill>"
#define LINE "<a:ln w=\"9525\">" SOLID "</a:ln>"
#define EFFECT "<a:effectStyle><a:effectLst/></a:effectStyle>"
#define FONTS "<a:latin typeface=\"Arial\"/><a:ea typeface=\"\"/><a:cs typeface=\"\"/>"

/* Set by hand: the formatter cannot tell one line of XML from the next.
 * clang-format off */
static const struct pptx_part parts[] = {
    {"[Content_Types].xml", PPTX_XML_HEAD
     "<Types xmlns=\"" PPTX_NS_PACKAGE "content-types\">"
     "<Default Extension=\"rels\" " TYPE(
         "package.relationships") "<Default Extension=\"xml\" ContentType=\"application/xml\"/>"
                                  "<Default Extension=\"png\" ContentType=\"image/png\"/>" PART(
                                      "presentation.xml") OFFICE("presentationml.presentation.main")
                                      PART("slideMasters/slideMaster1.xml") OFFICE(
                                          "presentationml.slideMaster")
                                          PART("slideLayouts/slideLayout1.xml") OFFICE(
                                              "presentationml.slideLayout") PART("theme/theme1.xml")
                                              OFFICE("theme") PART("slides/slide1.xml")
                                                  OFFICE("presentationml.slide") "</Types>"},
    {"_rels/.rels", PPTX_RELATIONSHIPS_OPEN PPTX_RELATIONSHIP(
                        "1", "officeDocument", "ppt/presentation.xml") PPTX_RELATIONSHIPS_CLOSE},
    {"ppt/_rels/presentation.xml.rels",
     PPTX_RELATIONSHIPS_OPEN PPTX_RELATIONSHIP("1", "slideMaster", "slideMasters/slideMaster1.xml")
         PPTX_RELATIONSHIP("2", "slide", "slides/slide1.xml")
             PPTX_RELATIONSHIP("3", "theme", "theme/theme1.xml") PPTX_RELATIONSHIPS_CLOSE},
    {"ppt/slideMasters/slideMaster1.xml", PPTX_XML_HEAD
     "<p:sldMaster " PPTX_NAMESPACES "><p:cSld>"
     "<p:bg><p:bgRef idx=\"1001\"><a:schemeClr val=\"bg1\"/></p:bgRef></p:bg>"
     "<p:spTree>" PPTX_EMPTY_GROUP "</p:spTree></p:cSld>"
     "<p:clrMap bg1=\"lt1\" tx1=\"dk1\" bg2=\"lt2\" tx2=\"dk2\" accent1=\"accent1\" "
     "accent2=\"accent2\" accent3=\"accent3\" accent4=\"accent4\" accent5=\"accent5\" "
     "accent6=\"accent6\" hlink=\"hlink\" folHlink=\"folHlink\"/>"
     "<p:sldLayoutIdLst><p:sldLayoutId id=\"2147483649\" r:id=\"rId1\"/></p:sldLayoutIdLst>"
     "</p:sldMaster>"},
    {"ppt/slideMasters/_rels/slideMaster1.xml.rels",
     PPTX_RELATIONSHIPS_OPEN PPTX_RELATIONSHIP("1", "slideLayout",
                                               "../slideLayouts/slideLayout1.xml")
         PPTX_RELATIONSHIP("2", "theme", "../theme/theme1.xml") PPTX_RELATIONSHIPS_CLOSE},
    {"ppt/slideLayouts/slideLayout1.xml", PPTX_XML_HEAD
     "<p:sldLayout " PPTX_NAMESPACES " type=\"blank\" preserve=\"1\"><p:cSld name=\"Blank\">"
     "<p:spTree>" PPTX_EMPTY_GROUP "</p:spTree></p:cSld>"
     "<p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sldLayout>"},
    {"ppt/slideLayouts/_rels/slideLayout1.xml.rels",
     PPTX_RELATIONSHIPS_OPEN PPTX_RELATIONSHIP(
         "1", "slideMaster", "../slideMasters/slideMaster1.xml") PPTX_RELATIONSHIPS_CLOSE},
    {"ppt/theme/theme1.xml", PPTX_XML_HEAD
     "<a:theme xmlns:a=\"" PPTX_NS_A "\" name=\"Plain\"><a:themeElements>"
     "<a:clrScheme name=\"Plain\">" COLOUR("dk1", "000000") COLOUR("lt1", "FFFFFF") COLOUR(
         "dk2", "444444") COLOUR("lt2", "EEEEEE") COLOUR("accent1", "4472C4")
         COLOUR("accent2", "ED7D31") COLOUR("accent3", "A5A5A5") COLOUR("accent4", "FFC000") COLOUR(
             "accent5", "5B9BD5") COLOUR("accent6", "70AD47") COLOUR("hlink", "0563C1")
             COLOUR("folHlink",
                    "954F72") "</a:clrScheme>"
                              "<a:fontScheme name=\"Plain\"><a:majorFont>" FONTS "</a:majorFont>"
                              "<a:minorFont>" FONTS "</a:minorFont></a:fontScheme>"
                              "<a:fmtScheme name=\"Plain\">"
                              "<a:fillStyleLst>" SOLID SOLID SOLID "</a:fillStyleLst>"
                              "<a:lnStyleLst>" LINE LINE LINE "</a:lnStyleLst>"
                              "<a:effectStyleLst>" EFFECT EFFECT EFFECT "</a:effectStyleLst>"
                              "<a:bgFillStyleLst>" SOLID SOLID SOLID "</a:bgFillStyleLst>"
                              "</a:fmtScheme></a:themeElements></a:theme>"},
    {NULL, NULL},
};
/* clang-format on */

/* [Content_Types].xml comes first, as some readers want it. */
static const struct pptx_part *pptx_fixed_parts(void)
{
    return parts;
}

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
static void put_image(struct buf *b, const struct layer *l, size_t index, double scale,
                      double opacity)
{
    long long x0 = llround(l->x * scale), x1 = llround((l->x + l->image.w) * scale);
    long long y0 = llround(l->y * scale), y1 = llround((l->y + l->image.h) * scale);
    buf_printf(b, "<p:pic><p:nvPicPr><p:cNvPr id=\"%zu\" name=\"", index + 2);
    layers_xml_add(b, str_from(l->name));
    buf_printf(b, "\"%s/><p:cNvPicPr><a:picLocks noChangeAspect=\"1\"/></p:cNvPicPr><p:nvPr/>",
               l->visible ? "" : " hidden=\"1\"");
    buf_printf(b, "</p:nvPicPr><p:blipFill><a:blip r:embed=\"rId%zu\">", index + 2);
    if (l->opacity * opacity < 1)
        buf_printf(b, "<a:alphaModFix amt=\"%ld\"/>", lround(l->opacity * opacity * 100000));
    buf_printf(b,
               "</a:blip><a:stretch><a:fillRect/></a:stretch></p:blipFill><p:spPr><a:xfrm>"
               "<a:off x=\"%lld\" y=\"%lld\"/><a:ext cx=\"%lld\" cy=\"%lld\"/></a:xfrm>"
               "<a:prstGeom prst=\"rect\"><a:avLst/></a:prstGeom></p:spPr></p:pic>",
               x0, y0, x1 - x0, y1 - y0);
}

struct slide {
    struct buf *b;
    const struct layer_stack *s;
    double scale;
    double opacity[LAYERS_GROUP_DEPTH_MAX + 1]; /* of the open groups, each with those around it */
    size_t depth;
};

/* Groups of a slide have no opacity: their images get it. Their ids come behind those of the images. */
static enum err_code open_group(void *user, const struct layer_group *g, struct err *e)
{
    struct slide *t = user;
    (void)e;
    buf_printf(t->b, "<p:grpSp><p:nvGrpSpPr><p:cNvPr id=\"%zu\" name=\"",
               t->s->n + (size_t)(g - t->s->groups) + 2);
    layers_xml_add(t->b, str_from(g->name));
    buf_printf(t->b, "\"%s/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>",
               g->visible ? "" : " hidden=\"1\"");
    t->opacity[t->depth + 1] = t->opacity[t->depth] * g->opacity;
    t->depth++;
    return ERR_OK;
}

static enum err_code add_image(void *user, size_t index, struct err *e)
{
    const struct slide *t = user;
    (void)e;
    put_image(t->b, &t->s->layers[index], index, t->scale, t->opacity[t->depth]);
    return ERR_OK;
}

static enum err_code close_group(void *user, const struct layer_group *g, struct err *e)
{
    struct slide *t = user;
    (void)g;
    (void)e;
    t->depth--;
    buf_add_z(t->b, "</p:grpSp>");
    return ERR_OK;
}

static enum err_code put_slide(struct buf *b, const struct layer_stack *s, double scale,
                               struct err *e)
{
    struct slide t = {.b = b, .s = s, .scale = scale, .opacity = {1}};
    const struct layers_visitor v = {open_group, add_image, close_group, &t, false};
    buf_add_z(b, PPTX_XML_HEAD "<p:sld " PPTX_NAMESPACES "><p:cSld><p:spTree>" PPTX_EMPTY_GROUP);
    TRY(layers_visit(s, &v, e));
    buf_add_z(b, "</p:spTree></p:cSld><p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sld>");
    return ERR_OK;
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
    if (rc == ERR_OK)
        rc = put_slide(&b, s, scale, e);
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
        TRY(layers_png_add(z, name, &s->layers[i].image, &s->about, e));
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
