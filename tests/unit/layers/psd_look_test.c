/* psd_look_test.c - Photoshop documents must look as they look in Photoshop: groups, clipping, masks, depths and
 * colours. Documents of 8 x 8 pixels, made by hand. */
#include "layers_support.h"

#include <math.h>

#include "layers/psd.h"

enum { SIDE = 8, N = SIDE * SIDE };

static void u16(struct buf *b, unsigned v)
{
    buf_add_byte(b, v >> 8 & 255);
    buf_add_byte(b, v & 255);
}

static void u32(struct buf *b, uint32_t v)
{
    u16(b, v >> 16);
    u16(b, v & 0xffff);
}

static void add_rect(struct buf *b, int left)
{
    u32(b, 0);
    u32(b, (uint32_t)left);
    u32(b, SIDE);
    u32(b, SIDE);
}

/* One record; zeros are "nothing special". */
struct rec {
    const char *name;
    unsigned char c[4]; /* colour and alpha; for CMYK the inks, opaque */
    int left;           /* its left edge; the right one is the canvas' */
    const char *blend;  /* four letters; NULL: norm */
    int opacity;        /* 0: 255 */
    bool hidden, clipped;
    int divider;            /* 1: a group, 3: its end */
    int mask, mask_left;    /* mask + 1: value of a mask from mask_left on; 0 outside */
    int density;            /* + 1 */
    const char *key;        /* a block more */
    unsigned char block[4]; /* its first bytes */
};

struct doc {
    unsigned mode, depth, channels;
    bool transparency;
    const unsigned char *flat; /* a value a channel; NULL: no flattened image */
    struct str icc;
};

static void samples(struct buf *b, unsigned depth, unsigned v, int n)
{
    for (int i = 0; i < n; i++) {
        if (depth == 16)
            u16(b, v * 257);
        else
            buf_add_byte(b, v);
    }
}

static unsigned colours_of(const struct doc *d)
{
    return d->mode == 1 ? 1 : d->mode == 4 ? 4 : 3;
}

static void add_record(struct buf *b, const struct doc *d, const struct rec *r)
{
    const unsigned n = r->divider ? 0 : colours_of(d) + 1;
    const uint32_t size = (uint32_t)((SIDE - r->left) * SIDE) * d->depth / 8 + 2;
    struct buf extra;
    buf_init(&extra, 1000);
    if (r->divider)
        buf_add(b, (const char[16]){0}, 16);
    else
        add_rect(b, r->left);
    u16(b, n + (r->mask ? 1 : 0));
    for (unsigned i = 0; i < n; i++) {
        u16(b, i == 0 ? 0xffff : i - 1);
        u32(b, size);
    }
    if (r->mask) {
        u16(b, 0xfffe);
        u32(b, (uint32_t)((SIDE - r->mask_left) * SIDE) * d->depth / 8 + 2);
    }
    buf_add_z(b, "8BIM");
    buf_add_z(b, r->blend ? r->blend : "norm");
    buf_add_byte(b, r->opacity ? (unsigned)r->opacity : 255);
    buf_add_byte(b, r->clipped);
    buf_add_byte(b, r->hidden ? 10 : 8);
    buf_add_byte(b, 0);
    u32(&extra, r->mask ? 20 : 0);
    if (r->mask) {
        add_rect(&extra, r->mask_left);
        buf_add_byte(&extra, 0);
        buf_add_byte(&extra, r->density ? 0x10 : 0);
        buf_add_byte(&extra, r->density ? 1 : 0);
        buf_add_byte(&extra, r->density ? (unsigned)r->density - 1 : 0);
    }
    u32(&extra, 0);
    buf_add_byte(&extra, 3);
    buf_add(&extra, r->name, 3);
    if (r->divider) {
        buf_add_z(&extra, "8BIMlsct");
        u32(&extra, 12);
        u32(&extra, (uint32_t)r->divider);
        buf_add_z(&extra, "8BIM");
        buf_add_z(&extra, r->blend ? r->blend : "norm");
    }
    if (r->key) {
        buf_add_z(&extra, "8BIM");
        buf_add_z(&extra, r->key);
        u32(&extra, 4);
        buf_add(&extra, r->block, 4);
    }
    u32(b, (uint32_t)extra.n);
    buf_add_str(b, buf_str(&extra));
    buf_deinit(&extra);
}

static void add_pixels(struct buf *b, const struct doc *d, const struct rec *r)
{
    const int n = (SIDE - r->left) * SIDE;
    for (unsigned i = 0; !r->divider && i < colours_of(d) + 1; i++) {
        u16(b, 0);
        samples(b, d->depth, i > 0 ? r->c[i - 1] : d->mode == 4 ? 255 : r->c[3], n);
    }
    if (r->mask) {
        u16(b, 0);
        samples(b, d->depth, (unsigned)r->mask - 1, (SIDE - r->mask_left) * SIDE);
    }
}

static void make(struct buf *b, const struct doc *d, const struct rec *r, size_t n)
{
    struct buf info;
    buf_init(&info, 1 << 20);
    buf_init(b, 1 << 20);
    u16(&info, d->transparency ? (unsigned)(0x10000 - n) & 0xffff : (unsigned)n);
    for (size_t i = 0; i < n; i++)
        add_record(&info, d, &r[i]);
    for (size_t i = 0; i < n; i++)
        add_pixels(&info, d, &r[i]);
    buf_add(b, "8BPS\0\1\0\0\0\0\0\0", 12);
    u16(b, d->channels);
    u32(b, SIDE);
    u32(b, SIDE);
    u16(b, d->depth);
    u16(b, d->mode);
    u32(b, 0);
    u32(b, d->icc.n ? (uint32_t)(12 + d->icc.n + d->icc.n % 2) : 0);
    if (d->icc.n) {
        buf_add_z(b, "8BIM");
        u16(b, 1039);
        u16(b, 0);
        u32(b, (uint32_t)d->icc.n);
        buf_add_str(b, d->icc);
        if (d->icc.n % 2)
            buf_add_byte(b, 0);
    }
    if (n == 0) {
        u32(b, 0);
    } else if (d->depth == 16) { /* the usual place is empty */
        u32(b, (uint32_t)(4 + 4 + 12 + info.n));
        u32(b, 0);
        u32(b, 0);
        buf_add_z(b, "8BIMLr16");
        u32(b, (uint32_t)info.n);
        buf_add_str(b, buf_str(&info));
    } else {
        u32(b, (uint32_t)(4 + info.n));
        u32(b, (uint32_t)info.n);
        buf_add_str(b, buf_str(&info));
    }
    if (d->flat) {
        u16(b, 0);
        for (unsigned i = 0; i < d->channels; i++)
            samples(b, d->depth, d->flat[i], N);
    }
    buf_deinit(&info);
}

static void look(const struct doc *d, const struct rec *r, size_t n, bool groups,
                 struct layer_stack *s, struct image *flat)
{
    struct layers_limits limits = layers_limits_defaults();
    limits.groups = groups;
    struct err e = {0};
    struct buf b;
    make(&b, d, r, n);
    must(psd_decode(buf_str(&b), &limits, s, &e), &e);
    must(layers_flatten(s, flat, &e), &e);
    for (size_t k = 0; k < b.n; k += 1 + k / 60) { /* cut anywhere: an error or less, never more */
        struct layer_stack part;
        if (psd_decode((struct str){b.p, k}, &limits, &part, &e) == ERR_OK)
            layer_stack_deinit(&part);
    }
    buf_deinit(&b);
}

static void near(const struct image *flat, int x, const unsigned char want[4], const char *what)
{
    const unsigned char *p = image_row(flat, 4) + 4 * x;
    for (int c = 0; c < 4; c++)
        if (abs(p[c] - want[c]) > 1 && !(want[3] == 0 && c < 3))
            fail_msg("%s at %d: %d %d %d %d", what, x, p[0], p[1], p[2], p[3]);
}

#define RED                                                                                        \
    {                                                                                              \
        255, 0, 0, 255                                                                             \
    }
#define GREEN                                                                                      \
    {                                                                                              \
        0, 255, 0, 255                                                                             \
    }
#define BLUE                                                                                       \
    {                                                                                              \
        0, 0, 255, 255                                                                             \
    }
#define GREY                                                                                       \
    {                                                                                              \
        128, 128, 128, 255                                                                         \
    }
#define GROUND                                                                                     \
    {                                                                                              \
        .name = "gnd", .c = RED                                                                    \
    }
#define END                                                                                        \
    {                                                                                              \
        .name = "end", .divider = 3                                                                \
    }

static const struct {
    const char *what;
    struct rec r[6];
    unsigned char left[4], right[4];
    size_t layers;
    const char *note; /* part of a note; NULL: none */
} looks[] = {
    {"fill",
     {GROUND, {.name = "blu", .c = BLUE, .key = "iOpa", .block = {128}}},
     {127, 0, 128, 255},
     {127, 0, 128, 255},
     2,
     NULL},
    {"fill of a group",
     {GROUND,
      END,
      {.name = "blu", .c = BLUE},
      {.name = "grp", .divider = 1, .key = "iOpa", .block = {128}}},
     {127, 0, 128, 255},
     {127, 0, 128, 255},
     2,
     NULL},
    {"fill and opacity",
     {GROUND, {.name = "blu", .c = BLUE, .opacity = 128, .key = "iOpa", .block = {128}}},
     {191, 0, 64, 255},
     {191, 0, 64, 255},
     2,
     NULL},
    {"density",
     {GROUND, {.name = "blu", .c = BLUE, .mask = 256, .mask_left = 4, .density = 129}},
     {128, 0, 127, 255},
     BLUE,
     2,
     NULL},
    {"mask of a group",
     {GROUND,
      END,
      {.name = "blu", .c = BLUE},
      {.name = "grp", .divider = 2, .mask = 256, .mask_left = 4}},
     RED,
     BLUE,
     2,
     NULL},
    {"hard mask over two",
     {GROUND,
      END,
      {.name = "grn", .c = GREEN},
      {.name = "blu", .c = BLUE},
      {.name = "grp", .divider = 1, .mask = 256, .mask_left = 4}},
     RED,
     BLUE,
     3,
     NULL},
    {"soft mask over two",
     {GROUND,
      END,
      {.name = "grn", .c = GREEN},
      {.name = "blu", .c = BLUE},
      {.name = "grp", .divider = 1, .mask = 129}},
     {127, 0, 128, 255},
     {127, 0, 128, 255},
     2,
     "'grp' became one layer"},
    {"half transparent group",
     {GROUND,
      END,
      {.name = "grn", .c = GREEN},
      {.name = "blu", .c = BLUE},
      {.name = "grp", .divider = 1, .opacity = 128}},
     {127, 0, 128, 255},
     {127, 0, 128, 255},
     2,
     "'grp' became one layer"},
    {"the same, passing through",
     {GROUND,
      END,
      {.name = "grn", .c = GREEN},
      {.name = "blu", .c = BLUE},
      {.name = "grp", .divider = 1, .opacity = 128, .blend = "pass"}},
     {127, 0, 128, 255},
     {127, 0, 128, 255},
     2,
     "'grp' became one layer"},
    {"blend of a group",
     {GROUND, END, {.name = "blu", .c = BLUE}, {.name = "grp", .divider = 1, .blend = "mul "}},
     {0, 0, 0, 255},
     {0, 0, 0, 255},
     2,
     NULL},
    {"blend in a group that passes through",
     {GROUND,
      END,
      {.name = "gry", .c = GREY, .blend = "mul "},
      {.name = "grp", .divider = 1, .blend = "pass"}},
     {128, 0, 0, 255},
     {128, 0, 0, 255},
     2,
     NULL},
    {"blend in a group that is isolated",
     {GROUND,
      END,
      {.name = "blu", .c = BLUE, .left = 4},
      {.name = "gry", .c = GREY, .blend = "mul "},
      {.name = "grp", .divider = 1}},
     GREY,
     {0, 0, 128, 255},
     2,
     "'grp' became one layer"},
    {"hidden group",
     {GROUND, END, {.name = "blu", .c = BLUE}, {.name = "grp", .divider = 1, .hidden = true}},
     RED,
     RED,
     2,
     NULL},
    {"clipping, hard",
     {GROUND, {.name = "grn", .c = GREEN, .left = 4}, {.name = "blu", .c = BLUE, .clipped = true}},
     RED,
     BLUE,
     3,
     NULL},
    {"clipping, soft",
     {GROUND, {.name = "grn", .c = {0, 255, 0, 128}}, {.name = "blu", .c = BLUE, .clipped = true}},
     {127, 0, 128, 255},
     {127, 0, 128, 255},
     2,
     "clipped to"},
    {"clipping to a faint base",
     {GROUND,
      {.name = "grn", .c = GREEN, .left = 4, .opacity = 128},
      {.name = "blu", .c = BLUE, .clipped = true}},
     RED,
     {127, 0, 128, 255},
     2,
     "'grn' became one layer"},
    {"clipping with a blend mode",
     {GROUND,
      {.name = "grn", .c = GREEN, .left = 4},
      {.name = "gry", .c = GREY, .blend = "mul ", .clipped = true}},
     RED,
     {0, 128, 0, 255},
     3,
     NULL},
    {"clipping to a hidden base",
     {GROUND,
      {.name = "grn", .c = GREEN, .hidden = true},
      {.name = "blu", .c = BLUE, .clipped = true}},
     RED,
     RED,
     3,
     NULL},
    {"a clipped group",
     {GROUND,
      {.name = "grn", .c = GREEN, .left = 4},
      END,
      {.name = "blu", .c = BLUE},
      {.name = "grp", .divider = 1, .clipped = true}},
     RED,
     BLUE,
     3,
     NULL},
    {"clipped to a group",
     {GROUND,
      END,
      {.name = "grn", .c = GREEN, .left = 4},
      {.name = "grp", .divider = 1},
      {.name = "blu", .c = BLUE, .clipped = true}},
     RED,
     BLUE,
     3,
     NULL},
    {"a group behind clipping",
     {GROUND,
      {.name = "grn", .c = GREEN, .left = 4, .opacity = 128},
      {.name = "blu", .c = BLUE, .clipped = true},
      END,
      {.name = "top", .c = GREY, .left = 7},
      {.name = "grp", .divider = 1}},
     RED,
     {127, 0, 128, 255},
     3,
     "'grn' became one layer"},
    {"an adjustment",
     {GROUND, {.name = "adj", .divider = 0, .left = 8, .key = "levl"}},
     RED,
     RED,
     1,
     "'adj' changes what lies below"},
    {"a vector mask",
     {GROUND, {.name = "blu", .c = BLUE, .key = "vmsk"}},
     BLUE,
     BLUE,
     2,
     "vector mask is not applied"},
    {"effects", {GROUND, {.name = "blu", .c = BLUE, .key = "lfx2"}}, BLUE, BLUE, 2, "effects"},
    {"an unknown blend mode",
     {GROUND, {.name = "blu", .c = BLUE, .blend = "xxxx"}},
     BLUE,
     BLUE,
     2,
     "'xxxx' is unknown"},
};

/* Groups that are kept look as those that became layers, and what they cannot keep is dissolved. */
static void check_looks(bool groups)
{
    const struct doc d = {.mode = 3, .depth = 8, .channels = 3};
    size_t kept = 0;
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        struct layer_stack s;
        struct image flat;
        size_t n = 0;
        while (n < 6 && looks[i].r[n].name)
            n++;
        look(&d, looks[i].r, n, groups, &s, &flat);
        near(&flat, 1, looks[i].left, looks[i].what);
        near(&flat, 6, looks[i].right, looks[i].what);
        kept += s.n_groups;
        if (!groups && s.n != looks[i].layers)
            fail_msg("%s: %zu layers", looks[i].what, s.n);
        if (!groups && (looks[i].note ? !strstr(buf_z(&s.notes), looks[i].note) : s.notes.n > 0))
            fail_msg("%s: notes '%s'", looks[i].what, buf_z(&s.notes));
        layer_stack_deinit(&s);
        image_free(&flat);
    }
    assert_int_equal(kept > 0, groups);
}

static void documents_look_as_they_should(void **state)
{
    (void)state;
    check_looks(false);
    check_looks(true);
}

static void depths_and_colours_are_read(void **state)
{
    static const struct {
        struct doc d;
        unsigned char c[4], want[4];
        const char *note;
    } cases[] = {
        {{.mode = 3, .depth = 16, .channels = 3},
         {200, 100, 50, 255},
         {200, 100, 50, 255},
         "16 bits per channel were reduced to 8"},
        {{.mode = 1, .depth = 8, .channels = 1}, {77, 0, 0, 255}, {77, 77, 77, 255}, NULL},
        {{.mode = 1, .depth = 16, .channels = 1}, {77, 0, 0, 255}, {77, 77, 77, 255}, "16 bits"},
        {{.mode = 4, .depth = 8, .channels = 4},
         {0, 255, 255, 255},
         {0, 255, 255, 255},
         "CMYK without a usable profile"},
        {{.mode = 4, .depth = 16, .channels = 4}, {255, 255, 0, 128}, {128, 128, 0, 255}, "CMYK"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int layers = 0; layers < 2; layers++) {
            struct doc d = cases[i].d;
            struct rec r = {.name = "one"};
            struct layer_stack s;
            struct image flat;
            memcpy(r.c, cases[i].c, 4);
            r.c[3] = d.mode == 4 ? r.c[3] : 255;
            d.flat = cases[i].c;
            look(&d, &r, (size_t)layers, false, &s, &flat);
            near(&flat, 3, cases[i].want, "colours");
            if (cases[i].note)
                assert_non_null(strstr(buf_z(&s.notes), cases[i].note));
            assert_int_equal(s.merged.known, layers);
            assert_true(!layers || s.merged.psnr_db > 45);
            layer_stack_deinit(&s);
            image_free(&flat);
        }
}

static void the_net_catches_what_differs(void **state)
{
    static const unsigned char red[4] = {255, 0, 0, 0}, other[4] = {0, 99, 255, 0};
    const struct rec ground = {.name = "gnd", .c = RED};
    (void)state;
    for (int same = 0; same < 2; same++) {
        const struct doc d = {.mode = 3, .depth = 8, .channels = 4, .flat = same ? red : other};
        struct layer_stack s;
        struct image flat;
        look(&d, &ground, 1, false, &s, &flat);
        assert_true(s.merged.known);
        assert_int_equal(isinf(s.merged.psnr_db) != 0, same);
        assert_int_equal(
            strstr(buf_z(&s.notes), "differ from the document's flattened image") == NULL, same);
        assert_non_null(strstr(buf_z(&s.notes), "1 further channel")); /* no transparency */
        layer_stack_deinit(&s);
        image_free(&flat);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_look_as_they_should),
        cmocka_unit_test(depths_and_colours_are_read),
        cmocka_unit_test(the_net_catches_what_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
