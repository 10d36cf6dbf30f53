/* sheet.c - contact sheets; the prototypes are in composite.h. */
#include "image/composite.h"

#include <math.h>
#include <string.h>

#include "image/text.h"

enum { CHECKER_PX = 8, CHECKER_LIGHT = 255, CHECKER_DARK = 204, LABEL_MAX_W = 600 };

struct image_sheet_params image_sheet_defaults(void)
{
    return (struct image_sheet_params){
        .gap = 8, .background = {255, 255, 255, 255}, .checker = true};
}

static void draw_checker(struct image *sheet, struct image_rect r)
{
    for (int y = 0; y < r.h; y++) {
        unsigned char *d = image_row(sheet, r.y + y) + (size_t)r.x * (size_t)sheet->channels;
        for (int x = 0; x < r.w; x++, d += sheet->channels) {
            bool dark = ((x / CHECKER_PX) ^ (y / CHECKER_PX)) & 1;
            memset(d, dark ? CHECKER_DARK : CHECKER_LIGHT, 3);
            if (sheet->channels == 4)
                d[3] = 255;
        }
    }
}

/* columns (or rows) of cells with gaps between and around; -1 when no image is that long. */
static int side_of(int cells, int cell, int gap, int labels)
{
    int64_t n = (int64_t)cells * ((int64_t)cell + gap) + gap + labels;
    return n > IMAGE_SIDE_MAX ? -1 : (int)n;
}

/* Where the cells are. */
struct layout {
    int columns, rows, cell_w, cell_h, gap;
    int left, top; /* what the labels take */
};

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static struct layout lay_out(const struct image *const *images, size_t n,
                             const struct image_sheet_params *p)
{
    struct layout l = {.gap = p->gap};
    l.columns = p->columns ? p->columns : (int)ceil(sqrt((double)n));
    l.columns = (size_t)l.columns > n ? (int)n : l.columns;
    l.rows = ((int)n + l.columns - 1) / l.columns;
    for (size_t i = 0; i < n; i++) {
        l.cell_w = max_int(l.cell_w, images[i]->w);
        l.cell_h = max_int(l.cell_h, images[i]->h);
    }
    if (p->column_labels)
        l.top = IMAGE_TEXT_H + l.gap;
    for (int i = 0; p->column_labels && i < l.columns; i++)
        l.cell_w = max_int(l.cell_w, min_int(image_text_width(p->column_labels[i]), LABEL_MAX_W));
    for (int i = 0; p->row_labels && i < l.rows; i++)
        l.left = max_int(l.left, image_text_width(p->row_labels[i]) + l.gap);
    l.left = min_int(l.left, LABEL_MAX_W);
    return l;
}

/* Black on light ground, else white. */
static void draw_labels(struct image *sheet, const struct layout *l,
                        const struct image_sheet_params *p)
{
    const unsigned char *g = p->background;
    bool light = g[3] < 128 || 3 * g[0] + 6 * g[1] + g[2] >= 1280;
    const unsigned char ink = light ? 0 : 255, colour[4] = {ink, ink, ink, 255};
    for (int i = 0; p->column_labels && i < l->columns; i++) {
        int width = image_text_width(p->column_labels[i]);
        int x = l->left + l->gap + i * (l->cell_w + l->gap);
        x += max_int(0, (l->cell_w - width) / 2);
        image_draw_text(sheet, x, l->gap, l->cell_w, p->column_labels[i], colour);
    }
    for (int i = 0; p->row_labels && i < l->rows; i++) {
        int y = l->top + l->gap + i * (l->cell_h + l->gap) + (l->cell_h - IMAGE_TEXT_H) / 2;
        image_draw_text(sheet, l->gap, y, l->left - l->gap, p->row_labels[i], colour);
    }
}

enum err_code image_sheet(const struct image *const *images, size_t n,
                          const struct image_sheet_params *params, struct image *out, struct err *e)
{
    struct image_sheet_params p = params ? *params : image_sheet_defaults();
    *out = (struct image){0};
    if (n == 0 || n > IMAGE_SIDE_MAX || p.gap < 0 || p.gap > 4096 || p.columns < 0)
        return err_set(e, ERR_ARG, "no sheet of %zu images in %d columns with gaps of %d", n,
                       p.columns, p.gap);
    const struct layout at = lay_out(images, n, &p);
    int w = side_of(at.columns, at.cell_w, p.gap, at.left);
    int h = side_of(at.rows, at.cell_h, p.gap, at.top);
    if (w < 0 || h < 0)
        return err_set(e, ERR_LIMIT, "a sheet of %zu images would be too large", n);
    enum err_code rc = image_new(out, w, h, p.background[3] == 255 ? 3 : 4, e);
    if (rc != ERR_OK)
        return rc;
    image_fill(out, p.background);
    draw_labels(out, &at, &p);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const struct image *im = images[i];
        int column = (int)i % at.columns, row = (int)i / at.columns;
        struct composite_layer l = {.image = im, .opacity = 1.0};
        l.x = at.left + p.gap + column * (at.cell_w + p.gap) + (at.cell_w - im->w) / 2;
        l.y = at.top + p.gap + row * (at.cell_h + p.gap) + (at.cell_h - im->h) / 2;
        if (p.checker && image_has_alpha(im))
            draw_checker(out, (struct image_rect){l.x, l.y, im->w, im->h});
        rc = image_composite(out, &l, e);
    }
    if (rc != ERR_OK)
        image_free(out);
    return rc;
}
