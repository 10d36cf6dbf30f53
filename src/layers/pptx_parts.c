#include "layers/pptx_parts.h"

#include <stddef.h>

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

const struct pptx_part *pptx_fixed_parts(void)
{
    return parts;
}
