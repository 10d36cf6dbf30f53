/* xmp.c - XMP is RDF in XML: rdf:Description has simple properties as attributes or as elements. */
#include "image/xmp.h"

#include <string.h>

#include <expat.h>

#include "image/exif.h"

#define TIFF_ORIENTATION "http://ns.adobe.com/tiff/1.0/ Orientation"

enum { PACKET_MAX_BYTES = 1 << 20, TEXT_MAX = 16 };

struct xmp {
    XML_Parser parser;
    bool inside;
    char text[TEXT_MAX]; /* of the element */
    size_t n;
    int orientation;
};

static void take(struct xmp *x, struct str text)
{
    int64_t v;
    while (text.n && strchr(" \t\r\n", text.p[0]))
        text = str_skip(text, 1);
    while (text.n && strchr(" \t\r\n", text.p[text.n - 1]))
        text.n--;
    if (!str_to_i64(text, &v) || v < 1 || v > 8)
        return;
    x->orientation = (int)v;
    (void)XML_StopParser(x->parser, XML_FALSE);
}

static void on_start(void *user, const char *name, const char **pairs)
{
    struct xmp *x = user;
    x->inside = strcmp(name, TIFF_ORIENTATION) == 0;
    x->n = 0;
    for (; pairs[0] && !x->orientation; pairs += 2)
        if (strcmp(pairs[0], TIFF_ORIENTATION) == 0)
            take(x, str_from(pairs[1]));
}

static void on_text(void *user, const char *p, int n)
{
    struct xmp *x = user;
    for (int i = 0; x->inside && i < n && x->n < TEXT_MAX; i++)
        x->text[x->n++] = p[i];
}

static void on_end(void *user, const char *name)
{
    struct xmp *x = user;
    (void)name;
    if (x->inside && !x->orientation)
        take(x, (struct str){x->text, x->n});
    x->inside = false;
}

static void on_doctype(void *user, const char *name, const char *system, const char *public,
                       int internal)
{
    struct xmp *x = user;
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    (void)XML_StopParser(x->parser, XML_FALSE);
}

int xmp_orientation(struct str packet)
{
    struct xmp x = {0};
    if (packet.n == 0 || packet.n > PACKET_MAX_BYTES)
        return 0;
    x.parser = XML_ParserCreateNS(NULL, ' ');
    if (!x.parser)
        return 0;
    XML_SetUserData(x.parser, &x);
    XML_SetElementHandler(x.parser, on_start, on_end);
    XML_SetCharacterDataHandler(x.parser, on_text);
    XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
    /* What is behind the end of the packet, or cut, does not matter. */
    (void)XML_Parse(x.parser, packet.p, (int)packet.n, 1);
    XML_ParserFree(x.parser);
    return x.orientation;
}

int xmp_or_exif_orientation(struct str exif, struct str xmp)
{
    int v = exif_orientation(exif_payload(exif));
    v = v ? v : xmp_orientation(xmp);
    return v ? v : 1;
}
