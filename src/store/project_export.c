/* project_export.c - a project as a file, written to the disk as far as its format lets it be written bit by bit. */
#include <math.h>
#include <unistd.h>

#include "base/file_out.h"
#include "image/png_save.h"
#include "image/save.h"
#include "layers/file.h"
#include "store/projects.h"
#include "store/store_impl.h"

static const struct {
    const char *name, *mime;
    enum layers_format layers; /* of a stack */
} formats[PROJECT_FORMATS] = {
    [PROJECT_PNG] = {"png", "image/png", LAYERS_PNG},
    [PROJECT_WEBP] = {"webp", "image/webp", LAYERS_PNG},
    [PROJECT_PSD] = {"psd", "image/vnd.adobe.photoshop", LAYERS_PSD},
    [PROJECT_ORA] = {"ora", "image/openraster", LAYERS_ORA},
    [PROJECT_ZIP] = {"zip", "application/zip", LAYERS_ZIP},
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

/* How many groups lie in each other, at most. */
static size_t depth_of(const struct project *p)
{
    size_t deepest = 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t depth = 0;
        const char *parent = p->layers[i].parent;
        for (; parent[0]; depth++)
            parent = p->layers[project_find(p, parent)].parent;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

enum err_code project_weight(struct store *s, const struct project *p, enum project_format format,
                             uint64_t *bytes, struct err *e)
{
    double canvas = (double)p->w * p->h, most = is_flat(format) ? canvas : 9 * canvas;
    double largest = 0, widest = 0, all = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct project_layer *l = &p->layers[i];
        struct asset a, mask = {0};
        if (l->kind == PROJECT_GROUP)
            continue;
        TRY(asset_get(s, l->asset, &a, e));
        if (l->mask[0])
            TRY(asset_get(s, l->mask, &mask, e));
        double placed = placed_pixels(l, &a, most), own = (double)a.width * a.height;
        /* As decoded and as RGBA, then with the mask's levels, then beside the placed one. */
        double peak = 4 * (own + fmax(own, placed)) + 5.0 * mask.width * mask.height;
        largest = fmax(largest, peak);
        widest = fmax(widest, placed);
        all += placed;
    }
    /* A stack is kept while its file is made, with the image of all, and in archives one packed layer in a buffer that
     * doubles. libwebp has its own copy, and its file at the end. */
    double n = 4 * canvas + (is_flat(format) ? 0 : 4 * all);
    /* A canvas for each open group, or those that become one layer. */
    n += is_flat(format) ? 4 * canvas * (double)depth_of(p) : depth_of(p) > 0 ? 8 * most : 0;
    if (format == PROJECT_ORA || format == PROJECT_ZIP)
        n += 8 * fmax(canvas, widest);
    if (format == PROJECT_WEBP)
        n += 12 * canvas;
    *bytes = (uint64_t)(n + largest) + (1 << 20);
    return ERR_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

struct target {
    int fd;
    const struct project_stop *stop;
};

static enum err_code to_file(const void *p, size_t n, void *user, struct err *e)
{
    struct target *t = user;
    TRY(project_go_on(t->stop, e));
    return n > 0 ? file_write_all(t->fd, p, n, e) : ERR_OK;
}

static enum err_code write_flat(struct store *s, const struct project *p, bool webp,
                                const struct project_stop *stop, const struct image_out *out,
                                struct err *e)
{
    struct image im = {0};
    enum err_code rc = project_flatten(s, p, NULL, stop, &im, e);
    if (rc == ERR_OK)
        rc = webp ? image_webp_write_to(&im, IMAGE_WEBP_LOSSLESS, out, e)
                  : image_png_write_to(&im, out, e);
    image_free(&im);
    return rc;
}

static enum err_code write_stack(struct store *s, const struct project *p,
                                 enum project_format format, const struct project_stop *stop,
                                 const struct image_out *out, struct err *e)
{
    struct layer_stack stack;
    enum err_code rc = project_render(s, p, stop, &stack, e);
    if (rc == ERR_OK)
        rc = layers_write(&stack, formats[format].layers, out, e);
    layer_stack_deinit(&stack);
    return rc;
}

enum err_code project_export(struct store *s, const struct project *p, enum project_format format,
                             const struct project_stop *stop, int *fd, uint64_t *bytes,
                             struct err *e)
{
    *bytes = 0;
    enum err_code rc = store_scratch(s, fd, e);
    struct target t = {*fd, stop};
    const struct image_out out = {to_file, &t};
    if (rc == ERR_OK)
        rc = is_flat(format) ? write_flat(s, p, format == PROJECT_WEBP, stop, &out, e)
                             : write_stack(s, p, format, stop, &out, e);
    off_t end = rc == ERR_OK ? lseek(*fd, 0, SEEK_CUR) : 0;
    if (rc != ERR_OK && *fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    *bytes = (uint64_t)end;
    return rc;
}
