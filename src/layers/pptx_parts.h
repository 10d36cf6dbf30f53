/* pptx_parts.h - the parts of a PowerPoint package that are the same in every file. Internal. */
#ifndef VT_LAYERS_PPTX_PARTS_H
#define VT_LAYERS_PPTX_PARTS_H

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

/* Static; [Content_Types].xml comes first, as some readers want it. */
const struct pptx_part *pptx_fixed_parts(void);

#endif
