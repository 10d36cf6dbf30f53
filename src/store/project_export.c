/* project_export.c - a project as a file, written to the disk as far as its format lets it be written bit by bit. */
#include <math.h>
#include <unistd.h>

#include "base/file_out.h"
#include "image/resize.h"
#include "image/save.h"
#include "layers/clean.h"
#include "layers/file.h"
#include "store/projects.h"
#include "store/store_impl.h"

enum { THUMBNAIL_QUALITY = 82 };

static const struct {
    const char *name, *mime;
    enum layers_format layers; /* of a stack */
} formats[PROJECT_FORMATS] = {
    [PROJECT_PNG] = {"png", "image/png", LAYERS_PNG},
    [PROJECT_JPEG] = {"jpeg", "image/jpeg", LAYERS_PNG},
    [PROJECT_WEBP] = {"webp", "image/webp", LAYERS_PNG},
    [PROJECT_PSD] = {"psd", "image/vnd.adobe.photoshop", LAYERS_PSD},
    [PROJECT_ORA] = {"ora", "image/openraster", LAYERS_ORA},
    [PROJECT_PPTX] = {"pptx",
                      "application/vnd.openxmlformats-officedocument.presentationml.presentation",
                      LAYERS_PPTX},
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
    return format == PROJECT_PNG || format == PROJECT_JPEG || format == PROJECT_WEBP;
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

/* Replaces *im by what of it is not transparent. */
static enum err_code trim(struct image *im, struct err *e)
{
    struct layer l = layer_from_image(im);
    enum err_code rc = layer_trim(&l, e);
    *im = l.image;
    return rc;
}

static enum err_code scale(struct image *im, double by, struct err *e)
{
    struct image sized = {0};
    int w = (int)fmax(1, round(im->w * by)), h = (int)fmax(1, round(im->h * by));
    TRY(image_resize(im, w, h, IMAGE_LANCZOS, &sized, e));
    image_free(im);
    *im = sized;
    return ERR_OK;
}

/* A JPEG is put on a ground; WebP is lossless unless a quality is asked for. */
static enum err_code write_image(const struct image *im, const struct project_output *how,
                                 const struct image_about *about, const struct image_out *out,
                                 struct err *e)
{
    static const unsigned char white[3] = {255, 255, 255};
    struct image ground = {0};
    struct image_save save = {.quality = how->quality, .about = about};
    if (how->format != PROJECT_JPEG) {
        bool webp = how->format == PROJECT_WEBP;
        save.format = webp ? IMAGE_FORMAT_WEBP : IMAGE_FORMAT_PNG;
        save.quality = webp && !how->quality ? IMAGE_WEBP_LOSSLESS : how->quality;
        return image_save_to(im, &save, out, e);
    }
    save.format = IMAGE_FORMAT_JPEG;
    TRY(image_on_ground(im, how->has_ground ? how->ground : white, &ground, e));
    enum err_code rc = image_save_to(&ground, &save, out, e);
    image_free(&ground);
    return rc;
}

static enum err_code write_flat(struct store *s, const struct project *p,
                                const struct project_output *how, const struct project_stop *stop,
                                const struct image_out *out, struct err *e)
{
    struct image im = {0};
    struct image_about about;
    image_about_init(&about);
    enum err_code rc;
    TRY_GOTO(project_flatten(s, p, NULL, stop, &im, e), done);
    if (!how->no_metadata)
        TRY_GOTO(project_about(s, p, &about, e), done);
    if (how->trim)
        TRY_GOTO(trim(&im, e), done);
    if (how->scale != 0 && how->scale != 1)
        TRY_GOTO(scale(&im, how->scale, e), done);
    TRY_GOTO(image_out_poll(out, e), done);
    rc = write_image(&im, how, &about, out, e);
done:
    image_about_deinit(&about);
    image_free(&im);
    return rc;
}

static enum err_code write_stack(struct store *s, const struct project *p,
                                 const struct project_output *how, const struct project_stop *stop,
                                 const struct image_out *out, struct err *e)
{
    struct layer_stack stack;
    TRY(project_render(s, p, stop, &stack, e));
    enum err_code rc = how->no_metadata ? ERR_OK : project_about(s, p, &stack.about, e);
    if (rc == ERR_OK)
        rc = layers_write(&stack, formats[how->format].layers, out, e);
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

enum err_code project_export(struct store *s, const struct project *p,
                             const struct project_output *how, const struct project_stop *stop,
                             int *fd, uint64_t *bytes, struct err *e)
{
    *bytes = 0;
    enum err_code rc = store_scratch(s, fd, e);
    struct target t = {*fd, stop};
    const struct image_out out = {to_file, &t};
    if (rc == ERR_OK)
        rc = project_format_is_flat(how->format) ? write_flat(s, p, how, stop, &out, e)
                                                 : write_stack(s, p, how, stop, &out, e);
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
