/* ora_xml.c - stack.xml on expat; see ora_xml.h.
 *
 * One pass with a stack of levels: offsets are relative to the enclosing stack, so each level carries their sum. A
 * stack becomes two entries, its start and its end, both with what the stack says. A handler that finds a fault
 * cannot return it through expat: it keeps the first error in struct parsing and stops the parser, and every
 * handler does nothing from then on.
 */
#include "layers/ora_xml.h"

#include <expat.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static const char *const composite_ops[BLEND_MODES] = {
    [BLEND_NORMAL] = "svg:src-over",
    [BLEND_MULTIPLY] = "svg:multiply",
    [BLEND_SCREEN] = "svg:screen",
    [BLEND_OVERLAY] = "svg:overlay",
    [BLEND_DARKEN] = "svg:darken",
    [BLEND_LIGHTEN] = "svg:lighten",
    [BLEND_COLOR_DODGE] = "svg:color-dodge",
    [BLEND_COLOR_BURN] = "svg:color-burn",
    [BLEND_HARD_LIGHT] = "svg:hard-light",
    [BLEND_SOFT_LIGHT] = "svg:soft-light",
    [BLEND_DIFFERENCE] = "svg:difference",
    [BLEND_EXCLUSION] = "svg:exclusion",
    [BLEND_ADD] = "svg:plus",
    [BLEND_HUE] = "svg:hue",
    [BLEND_SATURATION] = "svg:saturation",
    [BLEND_COLOR] = "svg:color",
    [BLEND_LUMINOSITY] = "svg:luminosity",
};

const char *ora_composite_op(enum blend_mode mode)
{
    return composite_ops[mode];
}

bool ora_op_read(struct str name, enum blend_mode *blend, enum layers_op *op)
{
    static const struct {
        const char *name;
        enum layers_op op;
    } operators[] = {{"svg:dst-out", LAYERS_DST_OUT},
                     {"svg:dst-in", LAYERS_DST_IN},
                     {"svg:src-atop", LAYERS_SRC_ATOP},
                     {"svg:dst-atop", LAYERS_DST_ATOP},
                     {"krita:erase", LAYERS_DST_OUT}};
    /* Other names of modes: Krita's for those that SVG lacks, and an old one. */
    static const struct {
        const char *name;
        enum blend_mode blend;
    } modes[] = {{"krita:exclusion", BLEND_EXCLUSION}, {"svg:add", BLEND_ADD}};
    *blend = BLEND_NORMAL;
    *op = LAYERS_OVER;
    for (int i = 0; i < BLEND_MODES; i++)
        if (str_eq_z(name, composite_ops[i])) {
            *blend = (enum blend_mode)i;
            return true;
        }
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++)
        if (str_eq_z(name, operators[i].name)) {
            *op = operators[i].op;
            return true;
        }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (str_eq_z(name, modes[i].name)) {
            *blend = modes[i].blend;
            return true;
        }
    return name.n == 0;
}

enum { MAX_DEPTH = 32 };

/* What a stack element passes on to all that is in it. */
struct level {
    int x, y;
    size_t entry; /* of the stack, whose end has the same */
    bool is_stack;
};

struct parsing {
    XML_Parser parser;
    struct ora_image *out;
    size_t cap, layers, max_layers, max_entries;
    int depth; /* of open elements */
    struct level level[MAX_DEPTH + 1];
    bool image_seen;
    struct err *e;
    enum err_code rc;
};

/* Ends the parse: expat calls no handler any more (but perhaps the current one's end). */
static void stop(struct parsing *p, enum err_code rc)
{
    if (p->rc == ERR_OK)
        p->rc = rc;
    (void)XML_StopParser(p->parser, XML_FALSE);
}

static struct str attribute(const char **pairs, const char *name)
{
    for (; pairs[0]; pairs += 2)
        if (strcmp(pairs[0], name) == 0)
            return str_from(pairs[1]);
    return (struct str){"", 0};
}

/* Programs write offsets as "12", some as "12.0". */
static bool read_offset(struct str s, int *out)
{
    double v = 0;
    if (s.n == 0) {
        *out = 0;
        return true;
    }
    if (!str_to_double(s, &v) || fabs(v) > LAYER_OFFSET_MAX)
        return false;
    *out = (int)lround(v);
    return true;
}

static bool read_opacity(struct str s, double *out)
{
    *out = 1;
    return s.n == 0 || (str_to_double(s, out) && *out >= 0 && *out <= 1);
}

static void open_image(struct parsing *p, const char **pairs)
{
    if (!str_to_i64(attribute(pairs, "w"), &p->out->w) ||
        !str_to_i64(attribute(pairs, "h"), &p->out->h))
        stop(p, err_set(p->e, ERR_FORMAT, "stack.xml: the image has no size"));
    p->image_seen = true;
}

static bool grow(struct parsing *p)
{
    if (p->out->n < p->cap)
        return true;
    size_t cap = p->cap ? 2 * p->cap : 16;
    struct ora_entry *entries = mem_try_realloc(p->out->entries, cap * sizeof *entries);
    if (!entries)
        return false;
    p->out->entries = entries;
    p->cap = cap;
    return true;
}

/* What stacks and layers have in common, as a new entry. NULL after an error. */
static struct ora_entry *new_entry(struct parsing *p, const char **pairs, enum ora_kind kind)
{
    struct str op = attribute(pairs, "composite-op");
    if (p->out->n >= p->max_entries) {
        stop(p, err_set(p->e, ERR_LIMIT, "stack.xml has more than %zu layers", p->max_layers));
        return NULL;
    }
    if (!grow(p)) {
        stop(p, err_set(p->e, ERR_NOMEM, "no memory for the layers of stack.xml"));
        return NULL;
    }
    struct ora_entry *t = &p->out->entries[p->out->n];
    *t = (struct ora_entry){.kind = kind};
    layer_set_name(&t->layer, attribute(pairs, "name"));
    (void)layer_set_id(&t->layer, attribute(pairs, ORA_ID_ATTRIBUTE));
    if (!read_offset(attribute(pairs, "x"), &t->layer.x) ||
        !read_offset(attribute(pairs, "y"), &t->layer.y) ||
        !read_opacity(attribute(pairs, "opacity"), &t->layer.opacity)) {
        stop(p, err_set(p->e, ERR_FORMAT, "stack.xml: x, y or opacity of '%s' is not valid",
                        t->layer.name));
        return NULL;
    }
    const struct level *l = &p->level[p->depth - 1];
    if (abs(t->layer.x + l->x) > LAYER_OFFSET_MAX || abs(t->layer.y + l->y) > LAYER_OFFSET_MAX) {
        stop(p, err_set(p->e, ERR_FORMAT, "stack.xml: '%s' is too far outside the canvas",
                        t->layer.name));
        return NULL;
    }
    t->layer.x += l->x;
    t->layer.y += l->y;
    t->layer.visible = !str_eq_z(attribute(pairs, "visibility"), "hidden");
    if (!ora_op_read(op, &t->layer.blend, &t->op) && !p->out->unknown[0])
        (void)snprintf(p->out->unknown, sizeof p->out->unknown, "%.*s",
                       (int)(op.n < 60 ? op.n : 60), op.p);
    p->out->n++;
    return t;
}

static void open_stack(struct parsing *p, const char **pairs)
{
    struct ora_entry *t = new_entry(p, pairs, ORA_STACK);
    struct level *l = &p->level[p->depth];
    if (!t)
        return;
    t->outermost = p->depth == 2;
    t->isolated = str_eq_z(attribute(pairs, "isolation"), "isolate") || t->layer.opacity < 1 ||
                  t->layer.blend != BLEND_NORMAL || t->op != LAYERS_OVER || !t->layer.visible;
    *l = (struct level){t->layer.x, t->layer.y, (size_t)(t - p->out->entries), true};
}

static void close_stack(struct parsing *p)
{
    const struct level *l = &p->level[p->depth];
    if (!grow(p)) {
        stop(p, err_set(p->e, ERR_NOMEM, "no memory for the layers of stack.xml"));
        return;
    }
    struct ora_entry *t = &p->out->entries[p->out->n++];
    *t = p->out->entries[l->entry];
    t->kind = ORA_STACK_END;
}

static void open_layer(struct parsing *p, const char **pairs)
{
    struct str src = attribute(pairs, "src");
    struct ora_entry *t = new_entry(p, pairs, ORA_LAYER);
    if (!t)
        return;
    if (++p->layers > p->max_layers)
        stop(p, err_set(p->e, ERR_LIMIT, "stack.xml has more than %zu layers", p->max_layers));
    else if (src.n == 0 || src.n >= sizeof t->src)
        stop(p, err_set(p->e, ERR_FORMAT, "stack.xml: src of layer '%s' is empty or too long",
                        t->layer.name));
    else
        (void)snprintf(t->src, sizeof t->src, "%s", src.p);
}

static void on_start(void *user, const char *name, const char **pairs)
{
    struct parsing *p = user;
    if (p->rc != ERR_OK)
        return;
    if (p->depth >= MAX_DEPTH) {
        stop(p, err_set(p->e, ERR_LIMIT, "stack.xml is nested deeper than %d", MAX_DEPTH));
        return;
    }
    p->depth++;
    p->level[p->depth] = p->level[p->depth - 1];
    p->level[p->depth].is_stack = false;
    if (p->depth == 1 && strcmp(name, "image") != 0)
        stop(p, err_set(p->e, ERR_FORMAT, "stack.xml begins with '%.40s', not 'image'", name));
    else if (p->depth == 1)
        open_image(p, pairs);
    else if (strcmp(name, "stack") == 0)
        open_stack(p, pairs);
    else if (strcmp(name, "layer") == 0)
        open_layer(p, pairs);
}

static void on_end(void *user, const char *name)
{
    struct parsing *p = user;
    (void)name;
    if (p->rc != ERR_OK)
        return;
    if (p->level[p->depth].is_stack)
        close_stack(p);
    p->depth--;
}

static void on_doctype(void *user, const char *name, const char *system, const char *public,
                       int internal)
{
    struct parsing *p = user;
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    stop(p, err_set(p->e, ERR_FORMAT, "stack.xml has a document type definition"));
}

enum err_code ora_xml_parse(struct str text, size_t max_layers, struct ora_image *out,
                            struct err *e)
{
    *out = (struct ora_image){0};
    if (text.n > INT32_MAX)
        return err_set(e, ERR_LIMIT, "stack.xml has %zu bytes", text.n);
    struct parsing p = {
        .out = out, .max_layers = max_layers, .max_entries = 4 * max_layers + 4, .e = e};
    p.parser = XML_ParserCreate(NULL);
    if (!p.parser)
        return err_set(e, ERR_NOMEM, "no memory to read stack.xml");
    XML_SetUserData(p.parser, &p);
    XML_SetElementHandler(p.parser, on_start, on_end);
    XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
    if (XML_Parse(p.parser, text.p, (int)text.n, 1) != XML_STATUS_OK && p.rc == ERR_OK)
        p.rc = err_set(e, ERR_FORMAT, "stack.xml is not well-formed: %s",
                       XML_ErrorString(XML_GetErrorCode(p.parser)));
    XML_ParserFree(p.parser);
    if (p.rc == ERR_OK && !p.image_seen)
        p.rc = err_set(e, ERR_FORMAT, "stack.xml is empty");
    if (p.rc != ERR_OK) {
        mem_free(out->entries);
        *out = (struct ora_image){0};
    }
    return p.rc;
}
