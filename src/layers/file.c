/* file.c - one door to all layer formats: export by name, import by content.
 *
 * Import tells the format by the first bytes, never by the file's name: PSD and ZIP have a signature, and inside a
 * ZIP an entry "mimetype" means OpenRaster, layers.json our own export. What is left is read as a plain image and
 * becomes a stack of one layer. Export writes beside the target and renames, so that a failure leaves the old
 * file.
 */
#include "layers/file.h"

#include <string.h>

#include "base/file.h"
#include "base/file_out.h"
#include "image/load.h"
#include "layers/json.h"
#include "layers/ora.h"
#include "layers/pptx.h"
#include "layers/psd.h"
#include "layers/zipfile.h"

static const char *const format_names[LAYERS_FORMATS] = {
    [LAYERS_PNG] = "png",   [LAYERS_PSD] = "psd", [LAYERS_ORA] = "ora",
    [LAYERS_PPTX] = "pptx", [LAYERS_ZIP] = "zip",
};

const char *layers_format_name(enum layers_format format)
{
    return format_names[format];
}

bool layers_format_from_name(struct str name, enum layers_format *out)
{
    for (int i = 0; i < LAYERS_FORMATS; i++) {
        if (str_eq_z(name, format_names[i])) {
            *out = (enum layers_format)i;
            return true;
        }
    }
    return false;
}

/* ---- export ---------------------------------------------------------------------------------- */

enum err_code layers_write(const struct layer_stack *s, enum layers_format format,
                           const struct image_out *out, struct err *e)
{
    switch (format) {
    case LAYERS_PSD:
        return psd_write(s, out, e);
    case LAYERS_ORA:
        return ora_write(s, out, e);
    case LAYERS_PPTX:
        return pptx_write(s, out, e);
    case LAYERS_ZIP:
        return layers_zip_write(s, out, e);
    default:
        return err_set(e, ERR_ARG, "layers as %s are written to a folder, not to a file",
                       layers_format_name(format));
    }
}

struct target {
    struct file_out file;
    uint64_t at;
};

static enum err_code to_file(const void *p, size_t n, void *user, struct err *e)
{
    struct target *t = user;
    if (n > 0)
        TRY(file_out_write(&t->file, p, n, t->at, e));
    t->at += n;
    return ERR_OK;
}

enum err_code layers_export(const struct layer_stack *s, enum layers_format format,
                            const char *path, struct err *e)
{
    struct target t = {.at = 0};
    const struct image_out out = {to_file, &t};
    if (format == LAYERS_PNG)
        return layers_folder_write(s, path, e);
    TRY(file_out_begin(&t.file, path, 0666, 0, e));
    enum err_code rc;
    TRY_GOTO(layers_write(s, format, &out, e), done);
    rc = file_out_commit(&t.file, e);
done:
    file_out_end(&t.file);
    return rc;
}

/* ---- import ---------------------------------------------------------------------------------- */

/* OpenRaster says what it is; what is left may be our own archive. */
static enum err_code decode_zip(struct str bytes, const struct layers_limits *limits,
                                struct layer_stack *out, struct err *e)
{
    struct zipfile_limits zl = zipfile_limits_defaults();
    struct zipfile_reader *z = NULL;
    TRY(zipfile_open(bytes, &zl, &z, e));
    bool ours = zipfile_has(z, LAYERS_JSON_NAME), typed = zipfile_has(z, "mimetype");
    zipfile_close(z);
    if (!ours && !typed)
        return err_set(e, ERR_FORMAT, "a ZIP archive that is neither OpenRaster nor has a %s",
                       LAYERS_JSON_NAME);
    return typed ? ora_decode(bytes, limits, out, e) : layers_zip_decode(bytes, limits, out, e);
}

static enum err_code decode_image(struct str bytes, const struct layers_limits *limits,
                                  struct layer_stack *out, struct err *e)
{
    struct layers_limits defaults = layers_limits_defaults();
    struct image_limits il = image_limits_defaults();
    struct image any = {0}, rgba = {0};
    limits = limits ? limits : &defaults;
    il.max_pixels = limits->max_pixels;
    il.untrusted = limits->untrusted;
    enum err_code rc;
    TRY_GOTO(image_load_memory(bytes, &il, NULL, &any, e), done);
    rc = image_convert(&any, 4, &rgba, e);
done:
    image_free(&any);
    if (rc != ERR_OK)
        return rc;
    layer_stack_init(out, rgba.w, rgba.h);
    struct layer l = layer_from_image(&rgba);
    layer_set_name(&l, STR_LIT("Background"));
    image_about_read(bytes, &out->about);
    return layer_stack_add(out, &l, e);
}

static enum err_code decode_any(struct str bytes, const struct layers_limits *limits,
                                struct layer_stack *out, struct err *e)
{
    if (str_starts(bytes, STR_LIT("8BPS")))
        return psd_decode(bytes, limits, out, e);
    if (str_starts(bytes, STR_LIT("PK\x03\x04")))
        return decode_zip(bytes, limits, out, e);
    return decode_image(bytes, limits, out, e);
}

enum err_code layers_import_memory(struct str bytes, const struct layers_limits *limits,
                                   struct layer_stack *out, struct err *e)
{
    layer_stack_init(out, 0, 0);
    enum err_code rc = decode_any(bytes, limits, out, e);
    if (rc != ERR_OK)
        layer_stack_deinit(out);
    return rc;
}

enum err_code layers_import(const char *path, const struct layers_limits *limits,
                            struct layer_stack *out, struct err *e)
{
    struct file_map m;
    layer_stack_init(out, 0, 0);
    if (file_is_dir(path))
        return layers_folder_read(path, limits, out, e);
    TRY(file_map(path, &m, e));
    enum err_code rc = layers_import_memory((struct str){(const char *)m.p, m.n}, limits, out, e);
    file_unmap(&m);
    return rc == ERR_OK ? rc : err_note(e, "'%s'", path);
}

enum err_code layers_prepare(struct str bytes, struct err *e)
{
    if (str_starts(bytes, STR_LIT("PK\x03\x04")))
        TRY(zipfile_prepare(e));
    return image_prepare(image_sniff(bytes), e);
}

/* ---- what it takes ------------------------------------------------------------------------------ */

static uint64_t be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint64_t)u[0] << 24 | (uint64_t)u[1] << 16 | (uint64_t)u[2] << 8 | u[3];
}

/* Of every PNG in the archive, the flattened one and the thumbnail among them. */
static enum err_code measure_zip(struct str bytes, struct layers_size *out, struct err *e)
{
    const struct zipfile_limits limits = zipfile_limits_defaults();
    struct zipfile_reader *z = NULL;
    char head[24];
    TRY(zipfile_open(bytes, &limits, &z, e));
    for (size_t i = 0; i < zipfile_count(z); i++) {
        if (!zipfile_peek(z, i, head, sizeof head) || memcmp(head, "\x89PNG\r\n\x1a\n", 8) != 0)
            continue;
        uint64_t area = be32(head + 16) * be32(head + 20), room = UINT64_MAX - out->all;
        out->all += area < room ? area : room;
        out->largest = area > out->largest ? area : out->largest;
    }
    out->canvas = out->largest;
    zipfile_close(z);
    return ERR_OK;
}

static enum err_code measure_image(struct str bytes, struct layers_size *out, struct err *e)
{
    struct image_info info = {0};
    TRY(image_probe_memory(bytes, NULL, &info, e));
    out->canvas = out->all = out->largest = (uint64_t)info.w * (uint64_t)info.h;
    return ERR_OK;
}

enum err_code layers_measure(struct str bytes, struct layers_size *out, struct err *e)
{
    *out = (struct layers_size){0};
    if (str_starts(bytes, STR_LIT("8BPS")))
        return psd_measure(bytes, out, e);
    if (str_starts(bytes, STR_LIT("PK\x03\x04")))
        return measure_zip(bytes, out, e);
    return measure_image(bytes, out, e);
}
