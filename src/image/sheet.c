/* sheet.c - contact sheets; the prototypes are in composite.h. */
#include "image/composite.h"

#include <math.h>
#include <string.h>

enum { CHECKER_PX = 8, CHECKER_LIGHT = 255, CHECKER_DARK = 204 };

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
static int side_of(int cells, int cell, int gap)
{
    int64_t n = (int64_t)cells * ((int64_t)cell + gap) + gap;
    return n > IMAGE_SIDE_MAX ? -1 : (int)n;
}

enum err_code image_sheet(const struct image *const *images, size_t n,
                          const struct image_sheet_params *params, struct image *out, struct err *e)
{
    struct image_sheet_params p = params ? *params : image_sheet_defaults();
    *out = (struct image){0};
    if (n == 0 || n > IMAGE_SIDE_MAX || p.gap < 0 || p.gap > 4096 || p.columns < 0)
        return err_set(e, ERR_ARG, "no sheet of %zu images in %d columns with gaps of %d", n,
                       p.columns, p.gap);
    int columns = p.columns ? p.columns : (int)ceil(sqrt((double)n));
    columns = (size_t)columns > n ? (int)n : columns;
    int rows = ((int)n + columns - 1) / columns, cell_w = 0, cell_h = 0;
    for (size_t i = 0; i < n; i++) {
        cell_w = images[i]->w > cell_w ? images[i]->w : cell_w;
        cell_h = images[i]->h > cell_h ? images[i]->h : cell_h;
    }
    int w = side_of(columns, cell_w, p.gap), h = side_of(rows, cell_h, p.gap);
    if (w < 0 || h < 0)
        return err_set(e, ERR_LIMIT, "a sheet of %zu images would be too large", n);
    enum err_code rc = image_new(out, w, h, p.background[3] == 255 ? 3 : 4, e);
    if (rc != ERR_OK)
        return rc;
    image_fill(out, p.background);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const struct image *im = images[i];
        int column = (int)i % columns, row = (int)i / columns;
        struct composite_layer l = {.image = im, .opacity = 1.0};
        l.x = p.gap + column * (cell_w + p.gap) + (cell_w - im->w) / 2;
        l.y = p.gap + row * (cell_h + p.gap) + (cell_h - im->h) / 2;
        if (p.checker && image_has_alpha(im))
            draw_checker(out, (struct image_rect){l.x, l.y, im->w, im->h});
        rc = image_composite(out, &l, e);
    }
    if (rc != ERR_OK)
        image_free(out);
    return rc;
}
