/* project_export.c - a project as a file, written to the disk as far as its format lets it be written bit by bit. */
#include <unistd.h>

#include "base/file_out.h"
#include "image/png_save.h"
#include "image/resize.h"
#include "image/save.h"
#include "layers/file.h"
#include "store/projects.h"
#include "store/store_impl.h"

enum { THUMBNAIL_QUALITY = 82 };

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

bool project_format_is_flat(enum project_format format)
{
    return format == PROJECT_PNG || format == PROJECT_WEBP;
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

/* How long it became; after a failure there is none. */
static enum err_code end_file(enum err_code rc, int *fd, uint64_t *bytes)
{
    off_t end = rc == ERR_OK ? lseek(*fd, 0, SEEK_CUR) : 0;
    if (rc != ERR_OK && *fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    *bytes = (uint64_t)end;
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
        rc = project_format_is_flat(format)
                 ? write_flat(s, p, format == PROJECT_WEBP, stop, &out, e)
                 : write_stack(s, p, format, stop, &out, e);
    return end_file(rc, fd, bytes);
}

enum err_code project_thumbnail(struct store *s, const struct project *p, int side,
                                const struct project_stop *stop, int *fd, uint64_t *bytes,
                                struct err *e)
{
    struct image whole = {0}, small = {0};
    *fd = -1;
    *bytes = 0;
    enum err_code rc;
    TRY_GOTO(project_flatten(s, p, NULL, stop, &whole, e), done);
    TRY_GOTO(image_thumbnail(&whole, side, side, &small, e), done);
    image_free(&whole);
    TRY_GOTO(store_scratch(s, fd, e), done);
    struct target t = {*fd, stop};
    rc = image_webp_write_to(&small, THUMBNAIL_QUALITY, &(struct image_out){to_file, &t}, e);
    rc = end_file(rc, fd, bytes);
done:
    image_free(&whole);
    image_free(&small);
    return rc;
}
