/* project_export.c - a project as a file, written to the disk as far as its format lets it be written bit by bit. */
#include <math.h>
#include <unistd.h>

#include "base/file_out.h"
#include "image/layers_json.h"
#include "image/ora.h"
#include "image/png_write.h"
#include "image/psd.h"
#include "image/save.h"
#include "store/projects.h"
#include "store/store_impl.h"

static const struct {
    const char *name, *mime;
} formats[PROJECT_FORMATS] = {
    [PROJECT_PNG] = {"png", "image/png"},
    [PROJECT_WEBP] = {"webp", "image/webp"},
    [PROJECT_PSD] = {"psd", "image/vnd.adobe.photoshop"},
    [PROJECT_ORA] = {"ora", "image/openraster"},
    [PROJECT_ZIP] = {"zip", "application/zip"},
};

const char *project_format_name(enum project_format format)
{
    return (unsigned)format < PROJECT_FORMATS ? formats[format].name : "unknown";
}

const char *project_format_mime(enum project_format format)
{
    return (unsigned)format < PROJECT_FORMATS ? formats[format].mime : "application/octet-stream";
}

bool project_format_from_name(struct str name, enum project_format *out)
{
    for (int f = 0; f < PROJECT_FORMATS; f++) {
        if (str_eq_z(name, formats[f].name)) {
            *out = (enum project_format)f;
            return true;
        }
    }
    return false;
}

static bool is_flat(enum project_format format)
{
    return format == PROJECT_PNG || format == PROJECT_WEBP;
}

/* ---- what it takes ------------------------------------------------------------------------------ */

/* Pixels of the layer as it lies on the canvas, and around it; never more than the canvas with its surroundings. */
static double placed_pixels(const struct project_layer *l, const struct asset *a, double most)
{
    double w = a->width * fabs(l->scale_x), h = a->height * fabs(l->scale_y);
    double n = l->rotation == 0 ? (w + 1) * (h + 1) : (w + h) * (w + h) / 2;
    return n < most ? n : most;
}

enum err_code project_weight(struct store *s, const struct project *p, enum project_format format,
                             uint64_t *bytes, struct err *e)
{
    double canvas = (double)p->w * p->h, most = is_flat(format) ? canvas : 9 * canvas;
    double largest = 0, all = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct project_layer *l = &p->layers[i];
        struct asset a, mask = {0};
        enum err_code rc = asset_get(s, l->asset, &a, e);
        if (rc == ERR_OK && l->mask[0])
            rc = asset_get(s, l->mask, &mask, e);
        if (rc != ERR_OK)
            return rc;
        double placed = placed_pixels(l, &a, most), own = (double)a.width * a.height;
        /* As decoded and as RGBA, then with the mask's levels, then beside the placed one. */
        double peak = 4 * (own + fmax(own, placed)) + 5.0 * mask.width * mask.height;
        largest = fmax(largest, peak);
        all += placed;
    }
    /* A stack is kept while its file, and the picture of all, grow in a buffer that doubles. */
    double n = is_flat(format) ? 4 * canvas : 12 * all + 8 * canvas;
    if (format == PROJECT_WEBP)
        n += 12 * canvas;
    *bytes = (uint64_t)(n + largest) + (1 << 20);
    return ERR_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

struct sink {
    int fd;
    const struct project_stop *stop;
    struct err *e;
};

static enum err_code to_file(const void *p, size_t n, void *user, struct err *e)
{
    struct sink *k = user;
    enum err_code rc = project_go_on(k->stop, e);
    return rc == ERR_OK ? file_write_all(k->fd, p, n, e) : rc;
}

static enum err_code write_flat(struct store *s, const struct project *p, bool webp,
                                const struct project_stop *stop, int fd, struct err *e)
{
    struct image im = {0};
    struct sink k = {fd, stop, e};
    struct buf b;
    buf_init(&b, (size_t)1 << 30);
    enum err_code rc = project_flatten(s, p, stop, &im, e);
    if (rc == ERR_OK)
        rc = project_go_on(stop, e);
    if (rc == ERR_OK && !webp)
        rc = image_png_write_to(&im, to_file, &k, e);
    if (rc == ERR_OK && webp)
        rc = image_webp_write(&im, IMAGE_WEBP_LOSSLESS, &b, e);
    image_free(&im);
    if (rc == ERR_OK && webp)
        rc = to_file(b.p, b.n, &k, e);
    buf_deinit(&b);
    return rc;
}

static enum err_code write_stack(struct store *s, const struct project *p,
                                 enum project_format format, const struct project_stop *stop,
                                 int fd, struct err *e)
{
    struct layer_stack stack;
    struct sink k = {fd, stop, e};
    struct buf b;
    buf_init(&b, 0);
    enum err_code rc = project_render(s, p, stop, &stack, e);
    if (rc == ERR_OK)
        rc = project_go_on(stop, e);
    if (rc == ERR_OK)
        rc = format == PROJECT_PSD   ? psd_encode(&stack, &b, e)
             : format == PROJECT_ORA ? ora_encode(&stack, &b, e)
                                     : layers_zip_encode(&stack, &b, e);
    layer_stack_deinit(&stack);
    if (rc == ERR_OK)
        rc = to_file(b.p, b.n, &k, e);
    buf_deinit(&b);
    return rc;
}

enum err_code project_export(struct store *s, const struct project *p, enum project_format format,
                             const struct project_stop *stop, int *fd, uint64_t *bytes,
                             struct err *e)
{
    *bytes = 0;
    enum err_code rc = store_scratch(s, fd, e);
    if (rc == ERR_OK)
        rc = is_flat(format) ? write_flat(s, p, format == PROJECT_WEBP, stop, *fd, e)
                             : write_stack(s, p, format, stop, *fd, e);
    off_t end = rc == ERR_OK ? lseek(*fd, 0, SEEK_CUR) : 0;
    if (rc != ERR_OK && *fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    *bytes = (uint64_t)end;
    return rc;
}
