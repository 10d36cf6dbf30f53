/* xmp.c - a packet looks like this:
 *
 *     <?xpacket begin="(byte order mark)" id="W5M0MpCehiHzreSzNTczkc9d"?>
 *     <x:xmpmeta ...><rdf:RDF ...><rdf:Description rdf:about="" ...>
 *       <Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/...</...>
 *       <xmp:CreatorTool>veetance ...</xmp:CreatorTool>
 *       <veetance:recipe>...</veetance:recipe>
 *     </rdf:Description></rdf:RDF></x:xmpmeta>
 *     <?xpacket end="w"?>
 *
 * A simple property may also be an attribute of rdf:Description, and one that is an address the attribute rdf:resource
 * of its element. Packets that are read may be hostile: expat parses them, entities of their own are refused with the
 * document type definition that would hold them, and what is collected has a bound.
 */
#include "image/xmp.h"

#include <string.h>

#include <expat.h>

#include "image/unicode.h"

#define SOURCE_TERMS "http://cv.iptc.org/newscodes/digitalsourcetype/"
#define NS_RDF "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#define NS_IPTC "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
#define NS_OWN "urn:veetance:image:"

enum { READ_MAX_BYTES = 1 << 20, NUMBER_MAX_BYTES = 16 };

/* ---- writing --------------------------------------------------------------------------------- */

/* The next character of text that may be anything; what cannot stand in XML 1.0 is U+FFFD. */
static uint32_t next_character(struct str s, size_t *at)
{
    unsigned char c = (unsigned char)s.p[*at];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4, from = *at;
    if (n > s.n - from || !str_is_utf8((struct str){s.p + from, n}, NULL)) {
        ++*at;
        return 0xfffd;
    }
    uint32_t v = unicode_next(s, at);
    bool control = v < 0x20 && v != '\t' && v != '\n' && v != '\r';
    return control || v == 0xfffe || v == 0xffff ? 0xfffd : v;
}

/* A carriage return would come back as the end of a line. */
static size_t escape(uint32_t v, char out[8])
{
    static const struct {
        uint32_t v;
        const char *text;
    } names[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\r', "&#13;"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].v != v)
            continue;
        size_t n = strlen(names[i].text);
        memcpy(out, names[i].text, n);
        return n;
    }
    return unicode_to_utf8(v, out);
}

static size_t escaped_bytes(struct str s, size_t *at)
{
    char text[8];
    return escape(next_character(s, at), text);
}

static void put_escaped(struct buf *out, struct str s)
{
    for (size_t at = 0; at < s.n;) {
        char text[8];
        size_t n = escape(next_character(s, &at), text);
        buf_add(out, text, n);
    }
}

void xmp_write(enum image_source source, struct str recipe, struct buf *out)
{
    static const char tail[] = "</veetance:recipe>\n  </rdf:Description>\n </rdf:RDF>\n"
                               "</x:xmpmeta>\n<?xpacket end=\"w\"?>";
    const char *term = image_source_term(source);
    size_t from = out->n;
    buf_add_z(out,
              "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
              "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
              " <rdf:RDF xmlns:rdf=\"" NS_RDF "\">\n"
              "  <rdf:Description rdf:about=\"\" xmlns:Iptc4xmpExt=\"" NS_IPTC "\"\n"
              "    xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" xmlns:veetance=\"" NS_OWN "\">\n");
    if (term)
        buf_printf(out,
                   "   <Iptc4xmpExt:DigitalSourceType>" SOURCE_TERMS
                   "%s</Iptc4xmpExt:DigitalSourceType>\n",
                   term);
    buf_add_z(out, "   <xmp:CreatorTool>veetance " VT_VERSION "</xmp:CreatorTool>\n"
                   "   <veetance:recipe>");
    size_t used = out->n - from + sizeof tail - 1;
    struct unicode_cut cut = unicode_cut(recipe, XMP_PACKET_MAX - used, escaped_bytes);
    put_escaped(out, (struct str){recipe.p, cut.head});
    if (cut.head < cut.tail)
        buf_add_z(out, UNICODE_CUT);
    put_escaped(out, str_skip(recipe, cut.tail));
    buf_add_z(out, tail);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A property by its namespace, a space and its name, and what it says first. */
struct property {
    const char *name;
    struct buf *text;
    bool found;
};

struct search {
    XML_Parser parser;
    struct property *all;
    size_t n;
    struct property *inside; /* the one whose element is open */
};

static struct property *find(struct search *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->all[i].name, name) == 0 && !s->all[i].found)
            return &s->all[i];
    return NULL;
}

static void take(struct property *p, const char *text)
{
    p->found = true;
    buf_add_z(p->text, text);
}

static void on_start(void *user, const char *name, const char **pairs)
{
    struct search *s = user;
    s->inside = find(s, name);
    if (s->inside)
        buf_clear(s->inside->text);
    for (; pairs[0]; pairs += 2) {
        struct property *p = find(s, pairs[0]);
        if (s->inside && strcmp(pairs[0], NS_RDF " resource") == 0)
            take(s->inside, pairs[1]);
        else if (p)
            take(p, pairs[1]);
    }
    if (s->inside && s->inside->found)
        s->inside = NULL;
}

static void on_text(void *user, const char *p, int n)
{
    struct search *s = user;
    if (s->inside)
        buf_add(s->inside->text, p, (size_t)n);
}

static void on_end(void *user, const char *name)
{
    struct search *s = user;
    (void)name;
    if (s->inside)
        s->inside->found = true;
    s->inside = NULL;
}

static void on_doctype(void *user, const char *name, const char *system, const char *public,
                       int internal)
{
    struct search *s = user;
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    (void)XML_StopParser(s->parser, XML_FALSE);
}

/* Properties that are not found keep an empty text. */
static void find_all(struct str packet, struct property *all, size_t n)
{
    struct search s = {.all = all, .n = n};
    if (packet.n == 0 || packet.n > READ_MAX_BYTES)
        return;
    s.parser = XML_ParserCreateNS(NULL, ' ');
    if (!s.parser)
        return;
    XML_SetUserData(s.parser, &s);
    XML_SetElementHandler(s.parser, on_start, on_end);
    XML_SetCharacterDataHandler(s.parser, on_text);
    XML_SetStartDoctypeDeclHandler(s.parser, on_doctype);
    /* What is behind the end of the packet, or cut, does not matter. */
    (void)XML_Parse(s.parser, packet.p, (int)packet.n, 1);
    XML_ParserFree(s.parser);
    for (size_t i = 0; i < n; i++)
        if (!all[i].found)
            buf_clear(all[i].text);
}

static struct str trimmed(struct str s)
{
    while (s.n && strchr(" \t\r\n", s.p[0]))
        s = str_skip(s, 1);
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Files of others spell the scheme with and without an s. */
static enum image_source source_of(struct str address)
{
    address = trimmed(address);
    if (str_starts(address, STR_LIT("https")))
        address = str_skip(address, strlen("https"));
    else if (str_starts(address, STR_LIT("http")))
        address = str_skip(address, strlen("http"));
    const struct str terms = str_skip(STR_LIT(SOURCE_TERMS), strlen("http"));
    if (!str_starts(address, terms))
        return IMAGE_SOURCE_UNKNOWN;
    for (int s = IMAGE_SOURCE_UNKNOWN + 1; s < IMAGE_SOURCES; s++)
        if (str_eq_z(str_skip(address, terms.n), image_source_term((enum image_source)s)))
            return (enum image_source)s;
    return IMAGE_SOURCE_UNKNOWN;
}

bool xmp_read(struct str packet, enum image_source *source, struct buf *recipe)
{
    struct buf address, text;
    struct property all[] = {{.name = NS_IPTC " DigitalSourceType", .text = &address},
                             {.name = NS_OWN " recipe", .text = &text}};
    buf_init(&address, READ_MAX_BYTES);
    buf_init(&text, READ_MAX_BYTES);
    find_all(packet, all, 2);
    *source = source_of(buf_str(&address));
    bool found = text.n > 0 && !buf_failed(&text);
    if (found)
        buf_add_str(recipe, buf_str(&text));
    buf_deinit(&address);
    buf_deinit(&text);
    return found;
}

int xmp_orientation(struct str packet)
{
    struct buf text;
    struct property one = {.name = "http://ns.adobe.com/tiff/1.0/ Orientation", .text = &text};
    int64_t v = 0;
    buf_init(&text, NUMBER_MAX_BYTES);
    find_all(packet, &one, 1);
    bool sound = !buf_failed(&text) && str_to_i64(trimmed(buf_str(&text)), &v) && v >= 1 && v <= 8;
    buf_deinit(&text);
    return sound ? (int)v : 0;
}
