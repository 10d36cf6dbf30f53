/* name.c - names for layers that nobody has looked at yet, until a caption knows better.
 *
 * A name says what can be measured: the colour that most of the layer has, weighted by alpha, and where its weight
 * lies; the lowest layer is the background if it covers the canvas. Names that come twice are numbered, since people
 * and tools find layers by them.
 */
#include <stdio.h>

#include "layers/clean.h"

enum colour_word {
    COLOUR_BLACK,
    COLOUR_GREY,
    COLOUR_WHITE,
    COLOUR_RED,
    COLOUR_ORANGE,
    COLOUR_BROWN,
    COLOUR_YELLOW,
    COLOUR_GREEN,
    COLOUR_CYAN,
    COLOUR_BLUE,
    COLOUR_PURPLE,
    COLOUR_PINK,
    COLOUR_WORDS
};

static const char *const colour_words[COLOUR_WORDS] = {
    "black",  "grey",  "white", "red",  "orange", "brown",
    "yellow", "green", "cyan",  "blue", "purple", "pink",
};

/* A colour with a smaller share of the layer than this is not named. */
static const double DOMINANT_SHARE = 0.35;
/* From here on a layer "fills" the canvas. */
static const double FULL_COVER = 0.9;

/* 0 to 359, of a colour that is not grey. */
static int hue_of(int r, int g, int b, int max, int spread)
{
    int h;
    if (max == r)
        h = 60 * (g - b) / spread;
    else if (max == g)
        h = 120 + 60 * (b - r) / spread;
    else
        h = 240 + 60 * (r - g) / spread;
    return h < 0 ? h + 360 : h;
}

static enum colour_word word_of(const unsigned char *p)
{
    int r = p[0], g = p[1], b = p[2];
    int max = r > g ? r : g, min = r < g ? r : g;
    max = b > max ? b : max;
    min = b < min ? b : min;
    int spread = max - min;
    if (max < 40)
        return COLOUR_BLACK;
    if (spread == 0 || spread * 100 < max * 18)
        return max > 215 ? COLOUR_WHITE : max < 60 ? COLOUR_BLACK : COLOUR_GREY;
    int h = hue_of(r, g, b, max, spread);
    bool pale = min > 140, dark = max < 150;
    if (h < 15 || h >= 345)
        return pale ? COLOUR_PINK : COLOUR_RED;
    if (h < 45)
        return dark ? COLOUR_BROWN : COLOUR_ORANGE;
    if (h < 70)
        return COLOUR_YELLOW;
    if (h < 165)
        return COLOUR_GREEN;
    if (h < 200)
        return COLOUR_CYAN;
    if (h < 260)
        return COLOUR_BLUE;
    if (h < 300)
        return COLOUR_PURPLE;
    return pale || max > 200 ? COLOUR_PINK : COLOUR_PURPLE;
}

struct look {
    double weight[COLOUR_WORDS]; /* alpha of each colour */
    double total, x, y;          /* alpha, and its centre on the canvas */
};

static struct look look_at(const struct layer *l)
{
    struct look k = {0};
    for (int y = 0; y < l->image.h; y++) {
        const unsigned char *p = image_row(&l->image, y);
        for (int x = 0; x < l->image.w; x++, p += 4) {
            double a = p[3] / 255.0;
            if (p[3] == 0)
                continue;
            k.weight[word_of(p)] += a;
            k.total += a;
            k.x += a * (l->x + x + 0.5);
            k.y += a * (l->y + y + 0.5);
        }
    }
    if (k.total > 0) {
        k.x /= k.total;
        k.y /= k.total;
    }
    return k;
}

static const char *colour_of(const struct look *k)
{
    int best = 0;
    for (int i = 1; i < COLOUR_WORDS; i++)
        if (k->weight[i] > k->weight[best])
            best = i;
    return k->weight[best] >= DOMINANT_SHARE * k->total ? colour_words[best] : "many colours";
}

static const char *place_of(const struct look *k, int w, int h)
{
    static const char *const places[3][3] = {
        {"upper left", "top", "upper right"},
        {"left", "centre", "right"},
        {"lower left", "bottom", "lower right"},
    };
    int column = k->x * 3 < w ? 0 : k->x * 3 < 2 * w ? 1 : 2;
    int row = k->y * 3 < h ? 0 : k->y * 3 < 2 * h ? 1 : 2;
    return places[row][column];
}

static void make_name(const struct layer_stack *s, size_t index, char out[LAYER_NAME_SIZE])
{
    struct look k = look_at(&s->layers[index]);
    bool full = k.total >= FULL_COVER * s->w * s->h;
    if (k.total <= 0)
        (void)snprintf(out, LAYER_NAME_SIZE, "empty");
    else if (full && index == 0)
        (void)snprintf(out, LAYER_NAME_SIZE, "background");
    else
        (void)snprintf(out, LAYER_NAME_SIZE, "%s, %s", colour_of(&k),
                       full ? "whole canvas" : place_of(&k, s->w, s->h));
}

static bool is_taken(const struct layer_stack *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq_z(str_from(name), s->layers[i].name))
            return true;
    return false;
}

void layers_suggest_names(struct layer_stack *s)
{
    for (size_t i = 0; i < s->n; i++) {
        char name[LAYER_NAME_SIZE], numbered[LAYER_NAME_SIZE + 16];
        if (s->layers[i].name[0])
            continue;
        make_name(s, i, name);
        (void)snprintf(numbered, sizeof numbered, "%s", name);
        for (int number = 2; is_taken(s, numbered); number++)
            (void)snprintf(numbered, sizeof numbered, "%s %d", name, number);
        layer_set_name(&s->layers[i], str_from(numbered));
    }
}
