/* stack.c - layers and stacks in memory; see stack.h.
 *
 * Whatever comes in is made sound at the door: names become UTF-8 without control characters, ids are checked or
 * made from the pixels and place (so that the same input gives the same ids, and tests can compare files), sizes
 * and offsets are bounded. The format writers rely on that and do not check again. Functions that take a layer
 * free it on failure too.
 */
#include "layers/stack.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "image/resize.h"

enum { NOTES_MAX_BYTES = 1 << 16 };

struct layers_limits layers_limits_defaults(void)
{
    return (struct layers_limits){
        .max_side = 30000,
        .max_layers = 1000,
        .max_pixels = (uint64_t)512 << 20,
    };
}

enum err_code layers_check_canvas(const struct layers_limits *limits, int64_t w, int64_t h,
                                  struct err *e)
{
    if (w < 1 || h < 1)
        return err_set(e, ERR_FORMAT, "the canvas is %" PRId64 " x %" PRId64 " pixels", w, h);
    if (w > limits->max_side || h > limits->max_side)
        return err_set(e, ERR_LIMIT, "the canvas is %" PRId64 " x %" PRId64 " pixels, over %d", w,
                       h, limits->max_side);
    if ((uint64_t)w * (uint64_t)h > limits->max_pixels)
        return err_set(e, ERR_LIMIT, "the canvas has %" PRId64 " pixels, the limit is %" PRIu64,
                       w * h, limits->max_pixels);
    return ERR_OK;
}

/* ---- one layer ------------------------------------------------------------------------------- */

struct layer layer_from_image(struct image *im)
{
    struct layer l = {.opacity = 1, .blend = BLEND_NORMAL, .visible = true, .image = *im};
    *im = (struct image){0};
    return l;
}

void layer_deinit(struct layer *l)
{
    image_free(&l->image);
    *l = (struct layer){0};
}

/* Bytes of the well-formed character at the start of s, 0 when there is none. */
static size_t character_length(struct str s)
{
    for (size_t n = 1; n <= 4 && n <= s.n; n++)
        if (str_is_utf8((struct str){s.p, n}, NULL))
            return n;
    return 0;
}

static bool is_control(struct str c)
{
    unsigned char first = (unsigned char)c.p[0];
    if (c.n == 1)
        return first < 0x20 || first == 0x7f;
    if (c.n == 2)
        return first == 0xc2 && (unsigned char)c.p[1] < 0xa0;
    /* U+FFFE and U+FFFF, which no XML file may hold */
    return c.n == 3 && memcmp(c.p, "\xef\xbf", 2) == 0 && (unsigned char)c.p[2] >= 0xbe;
}

void layer_set_name(struct layer *l, struct str name)
{
    char clean[LAYER_NAME_SIZE]; /* name may lie in the layer itself */
    size_t n = 0;
    while (name.n > 0) {
        size_t k = character_length(name);
        bool bad = k == 0 || is_control((struct str){name.p, k});
        size_t wrote = bad ? 1 : k;
        if (n + wrote >= sizeof clean)
            break;
        memcpy(clean + n, bad ? "?" : name.p, wrote);
        n += wrote;
        name = str_skip(name, k ? k : 1);
    }
    memcpy(l->name, clean, n);
    l->name[n] = 0;
}

static bool is_id_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool layer_set_id(struct layer *l, struct str id)
{
    if (id.n == 0 || id.n >= LAYER_ID_SIZE)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (!is_id_character(id.p[i]))
            return false;
    memmove(l->id, id.p, id.n);
    l->id[id.n] = 0;
    return true;
}

/* ---- the stack ------------------------------------------------------------------------------- */

void layer_stack_init(struct layer_stack *s, int w, int h)
{
    *s = (struct layer_stack){.w = w, .h = h};
    buf_init(&s->notes, NOTES_MAX_BYTES);
    image_about_init(&s->about);
}

void layer_stack_note(struct layer_stack *s, const char *fmt, ...)
{
    char line[640];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
    line[len++] = '\n';
    if (len > 1 && s->notes.n + len < s->notes.max)
        buf_add(&s->notes, line, len);
}

void layer_stack_deinit(struct layer_stack *s)
{
    for (size_t i = 0; i < s->n; i++)
        layer_deinit(&s->layers[i]);
    mem_free(s->layers);
    mem_free(s->groups);
    buf_deinit(&s->notes);
    image_about_deinit(&s->about);
    *s = (struct layer_stack){0};
}

size_t layer_stack_find(const struct layer_stack *s, struct str id)
{
    size_t i = 0;
    while (i < s->n && !str_eq_z(id, s->layers[i].id))
        i++;
    return i;
}

bool layer_stack_has_id(const struct layer_stack *s, const char *id)
{
    for (size_t i = 0; i < s->n_groups; i++)
        if (strcmp(s->groups[i].id, id) == 0)
            return true;
    return layer_stack_find(s, str_from(id)) < s->n;
}

static uint64_t hash_image(const struct layer *l)
{
    const int numbers[4] = {l->x, l->y, l->image.w, l->image.h};
    uint64_t h = str_hash((struct str){(const char *)numbers, sizeof numbers});
    for (int y = 0; y < l->image.h; y++) {
        const char *row = (const char *)image_row(&l->image, y);
        h = (h * 31) ^ str_hash((struct str){row, 4 * (size_t)l->image.w});
    }
    return h;
}

/* Gives the layer an id that the stack does not have yet. */
static void make_id(const struct layer_stack *s, struct layer *l)
{
    uint64_t h = hash_image(l);
    do {
        (void)snprintf(l->id, sizeof l->id, "layer-%016" PRIx64, h++);
    } while (layer_stack_has_id(s, l->id));
}

static enum err_code check_layer(const struct layer *l, struct err *e)
{
    const struct image *im = &l->image;
    if (im->channels != 4 || im->w < 1 || im->h < 1 || !im->p)
        return err_set(e, ERR_ARG, "layer '%s' is not an RGBA image", l->name);
    if (l->x < -LAYER_OFFSET_MAX || l->x > LAYER_OFFSET_MAX || l->y < -LAYER_OFFSET_MAX ||
        l->y > LAYER_OFFSET_MAX)
        return err_set(e, ERR_ARG, "layer '%s' is at %d, %d; the limit is %d in each direction",
                       l->name, l->x, l->y, LAYER_OFFSET_MAX);
    if (!(l->opacity >= 0 && l->opacity <= 1))
        return err_set(e, ERR_ARG, "layer '%s' has opacity %g, not 0 to 1", l->name, l->opacity);
    return ERR_OK;
}

static enum err_code make_room(struct layer_stack *s, struct err *e)
{
    if (s->n >= LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "a stack holds at most %d layers", LAYERS_MAX);
    if (s->n < s->cap)
        return ERR_OK;
    size_t cap = s->cap ? 2 * s->cap : 8;
    struct layer *p = mem_try_realloc(s->layers, cap * sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for %zu layers", cap);
    s->layers = p;
    s->cap = cap;
    return ERR_OK;
}

enum err_code layer_stack_insert(struct layer_stack *s, size_t index, struct layer *l,
                                 struct err *e)
{
    enum err_code rc;
    TRY_GOTO(check_layer(l, e), done);
    if (index > s->n) {
        rc = err_set(e, ERR_ARG, "index %zu is outside a stack of %zu layers", index, s->n);
        goto done;
    }
    rc = make_room(s, e);
done:
    if (rc != ERR_OK) {
        layer_deinit(l);
        return rc;
    }
    if (!l->id[0] || layer_stack_has_id(s, l->id))
        make_id(s, l);
    if (l->group > s->n_groups)
        l->group = 0;
    memmove(s->layers + index + 1, s->layers + index, (s->n - index) * sizeof *l);
    s->layers[index] = *l;
    s->n++;
    *l = (struct layer){0};
    return ERR_OK;
}

enum err_code layer_stack_add(struct layer_stack *s, struct layer *l, struct err *e)
{
    return layer_stack_insert(s, s->n, l, e);
}

struct layer layer_stack_take(struct layer_stack *s, size_t index)
{
    assert(s->layers && index < s->n);
    struct layer l = s->layers[index];
    s->n--;
    memmove(s->layers + index, s->layers + index + 1, (s->n - index) * sizeof l);
    return l;
}

void layer_stack_remove(struct layer_stack *s, size_t index)
{
    struct layer l = layer_stack_take(s, index);
    layer_deinit(&l);
}

void layer_stack_move(struct layer_stack *s, size_t from, size_t to)
{
    struct layer l = layer_stack_take(s, from);
    memmove(s->layers + to + 1, s->layers + to, (s->n - to) * sizeof l);
    s->layers[to] = l;
    s->n++;
}

enum err_code layer_stack_copy(const struct layer_stack *s, struct layer_stack *out, struct err *e)
{
    enum err_code rc = ERR_OK;
    layer_stack_init(out, s->w, s->h);
    for (size_t i = 0; i < s->n_groups && rc == ERR_OK; i++) {
        size_t at;
        rc = layer_stack_add_group(out, &s->groups[i], &at, e);
    }
    for (size_t i = 0; i < s->n && rc == ERR_OK; i++) {
        struct layer l = s->layers[i];
        rc = image_copy(&s->layers[i].image, &l.image, e);
        if (rc == ERR_OK)
            rc = layer_stack_add(out, &l, e);
    }
    if (rc == ERR_OK && !image_about_copy(&s->about, &out->about))
        rc = err_set(e, ERR_NOMEM, "no memory for a stack's recipe");
    if (rc != ERR_OK)
        layer_stack_deinit(out);
    return rc;
}

/* ---- merging and splitting ------------------------------------------------------------------- */

/* The smallest canvas that holds the visible ones of n layers; false when none is visible. */
static bool visible_bounds(const struct layer *l, size_t n, struct image_rect *out)
{
    int x1 = 0, y1 = 0;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (!l[i].visible)
            continue;
        int right = l[i].x + l[i].image.w, below = l[i].y + l[i].image.h;
        out->x = any && out->x < l[i].x ? out->x : l[i].x;
        out->y = any && out->y < l[i].y ? out->y : l[i].y;
        x1 = any && x1 > right ? x1 : right;
        y1 = any && y1 > below ? y1 : below;
        any = true;
    }
    out->w = x1 - out->x;
    out->h = y1 - out->y;
    return any;
}

/* Composes n layers on a canvas of their bounds. */
static enum err_code compose_bounds(const struct layer *layers, size_t n, struct image_rect bounds,
                                    struct image *out, struct err *e)
{
    const struct image_limits limits = {.max_pixels = layers_limits_defaults().max_pixels};
    enum err_code rc = image_check_size((uint64_t)bounds.w, (uint64_t)bounds.h, &limits, e);
    if (rc != ERR_OK)
        return rc;
    struct layer_stack part = {.w = bounds.w, .h = bounds.h, .n = n};
    part.layers = mem_try_array(n, sizeof *part.layers);
    if (!part.layers)
        return err_set(e, ERR_NOMEM, "no memory for %zu layers", n);
    for (size_t i = 0; i < n; i++) {
        part.layers[i] = layers[i]; /* borrows the pixels */
        part.layers[i].x -= bounds.x;
        part.layers[i].y -= bounds.y;
        part.layers[i].group = 0;
    }
    rc = layers_flatten(&part, out, e);
    mem_free(part.layers);
    return rc;
}

enum err_code layers_merge(struct layer_stack *s, size_t first, size_t last, struct err *e)
{
    struct image_rect bounds = {0};
    struct image im = {0};
    if (first > last || last >= s->n)
        return err_set(e, ERR_ARG, "no layers %zu to %zu in a stack of %zu", first, last, s->n);
    if (!visible_bounds(s->layers + first, last - first + 1, &bounds))
        return err_set(e, ERR_ARG, "layers %zu to %zu are all hidden", first, last);
    TRY(compose_bounds(s->layers + first, last - first + 1, bounds, &im, e));
    struct layer *top = &s->layers[last];
    image_free(&top->image);
    top->image = im;
    top->x = bounds.x;
    top->y = bounds.y;
    top->opacity = 1;
    top->visible = true;
    top->blend = BLEND_NORMAL;
    for (size_t i = first; i < last; i++)
        layer_stack_remove(s, first);
    return ERR_OK;
}

/* Resamples one layer of a canvas that goes from w x h to the size of `to`. */
static enum err_code fit_layer(struct layer *l, double scale_x, double scale_y, struct err *e)
{
    int x0 = (int)lround(l->x * scale_x), x1 = (int)lround((l->x + l->image.w) * scale_x);
    int y0 = (int)lround(l->y * scale_y), y1 = (int)lround((l->y + l->image.h) * scale_y);
    struct image im = {0};
    TRY(image_resize(&l->image, x1 > x0 ? x1 - x0 : 1, y1 > y0 ? y1 - y0 : 1, IMAGE_LANCZOS, &im,
                     e));
    image_free(&l->image);
    l->image = im;
    l->x = x0;
    l->y = y0;
    return ERR_OK;
}

/* What a part takes from the layer that it was a part of. */
static void inherit(struct layer *part, const struct layer *parent)
{
    char name[2 * LAYER_NAME_SIZE + 4];
    if (parent->name[0] && part->name[0])
        (void)snprintf(name, sizeof name, "%s / %s", parent->name, part->name);
    else
        (void)snprintf(name, sizeof name, "%s%s", parent->name, part->name);
    layer_set_name(part, str_from(name));
    part->group = parent->group;
    part->x += parent->x;
    part->y += parent->y;
    part->opacity *= parent->opacity;
    part->visible = part->visible && parent->visible;
}

/* Brings sub to the size of the layer that it stands for. */
static enum err_code fit_sub(struct layer_stack *sub, const struct layer *parent, struct err *e)
{
    if (sub->w == parent->image.w && sub->h == parent->image.h)
        return ERR_OK;
    double scale_x = (double)parent->image.w / sub->w, scale_y = (double)parent->image.h / sub->h;
    for (size_t i = 0; i < sub->n; i++)
        TRY(fit_layer(&sub->layers[i], scale_x, scale_y, e));
    return ERR_OK;
}

static enum err_code replace(struct layer_stack *s, size_t index, struct layer_stack *sub,
                             struct err *e)
{
    if (index >= s->n || sub->n == 0 || s->n + sub->n > LAYERS_MAX || sub->w < 1 || sub->h < 1)
        return err_set(e, ERR_ARG, "cannot put %zu layers in the place of layer %zu of %zu", sub->n,
                       index, s->n);
    enum err_code rc = fit_sub(sub, &s->layers[index], e);
    if (rc != ERR_OK)
        return rc;
    struct layer parent = layer_stack_take(s, index);
    if (sub->layers[0].blend == BLEND_NORMAL)
        sub->layers[0].blend = parent.blend;
    while (sub->n > 0 && rc == ERR_OK) {
        struct layer part = layer_stack_take(sub, sub->n - 1);
        inherit(&part, &parent);
        rc = layer_stack_insert(s, index, &part, e);
    }
    layer_deinit(&parent);
    return rc;
}

enum err_code layers_replace(struct layer_stack *s, size_t index, struct layer_stack *sub,
                             struct err *e)
{
    enum err_code rc = replace(s, index, sub, e);
    layer_stack_deinit(sub);
    return rc;
}
