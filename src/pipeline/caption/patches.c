/* patches.c - an image as the vision tower takes it: resized, normalised, cut into patches.
 *
 * The size is the nearest multiple of a merged patch within the processor's bounds on pixels, as the reference
 * computes it; resampling is bicubic and bit for bit torchvision's. Patches come in the tower's order, windows of
 * merged patches together, each with its channels first.
 */
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "image/resize.h"
#include "pipeline/caption/caption.h"
#include "sample/size.h"

enum { PROCESSOR_MAX_BYTES = 4 << 20 };

/* ---- configuration ------------------------------------------------------------------------------------ */

struct caption_processor caption_processor_defaults(void)
{
    return (struct caption_processor){
        .mean = {0.48145466, 0.4578275, 0.40821073},
        .std = {0.26862954, 0.26130258, 0.27577711},
        .min_pixels = 56 * 56,
        .max_pixels = 28 * 28 * 16384,
    };
}

static enum err_code read_triple(yyjson_val *o, const char *key, double out[3], const char *what,
                                 struct err *e)
{
    size_t n = 3;
    TRY(json_get_double_array(o, key, out, 3, &n, what, e));
    if (n != 3)
        return err_set(e, ERR_FORMAT, "%s: '%s' has %zu numbers, expected 3", what, key, n);
    return ERR_OK;
}

static enum err_code read_processor(yyjson_val *o, const char *what, struct caption_processor *p,
                                    struct err *e)
{
    const int64_t most = (int64_t)1 << 40;
    yyjson_val *size = yyjson_obj_get(o, "size");
    TRY(read_triple(o, "image_mean", p->mean, what, e));
    TRY(read_triple(o, "image_std", p->std, what, e));
    if (yyjson_is_obj(size)) {
        TRY(json_get_i64(size, "shortest_edge", 1, most, &p->min_pixels, what, e));
        TRY(json_get_i64(size, "longest_edge", 1, most, &p->max_pixels, what, e));
    }
    TRY(json_get_i64(o, "min_pixels", 1, most, &p->min_pixels, what, e));
    TRY(json_get_i64(o, "max_pixels", 1, most, &p->max_pixels, what, e));
    for (int i = 0; i < 3; i++) {
        if (!(p->std[i] > 0))
            return err_set(e, ERR_FORMAT, "%s: image_std should be above 0", what);
    }
    return ERR_OK;
}

enum err_code caption_processor_read(const char *dir, struct caption_processor *out, struct err *e)
{
    /* processor_config.json holds the same, one level down. */
    static const char *const files[] = {"preprocessor_config.json", "processor_config.json"};
    *out = caption_processor_defaults();
    for (size_t i = 0; dir[0] && i < sizeof files / sizeof files[0]; i++) {
        char path[MODEL_PATH_BYTES];
        yyjson_doc *doc;
        enum err_code rc = file_join(path, sizeof path, dir, files[i], e);
        if (rc != ERR_OK)
            return rc;
        if (!file_exists(path))
            continue;
        rc = json_read_file(path, PROCESSOR_MAX_BYTES, &doc, e);
        if (rc != ERR_OK)
            return rc;
        yyjson_val *root = yyjson_doc_get_root(doc);
        yyjson_val *inner = yyjson_obj_get(root, "image_processor");
        rc = read_processor(yyjson_is_obj(inner) ? inner : root, path, out, e);
        yyjson_doc_free(doc);
        return rc;
    }
    return ERR_OK;
}

/* ---- pixels ------------------------------------------------------------------------------------------- */

/* RGB at a size that the tower takes. */
static enum err_code resized_rgb(const struct caption_processor *pr,
                                 const struct qwen_vl_vision_config *v, const struct image *image,
                                 struct image *out, struct err *e)
{
    struct image rgb = {0};
    struct size_px to;
    struct size_vision limits = {.factor = (int)(v->patch * v->merge),
                                 .min_pixels = pr->min_pixels,
                                 .max_pixels = pr->max_pixels};
    enum err_code rc;
    TRY_GOTO(size_vision_input((struct size_px){image->w, image->h}, &limits, &to, e), done);
    TRY_GOTO(image_convert(image, 3, &rgb, e), done);
    rc = image_resize(&rgb, to.w, to.h, IMAGE_TORCH_BICUBIC, out, e);
done:
    image_free(&rgb);
    return rc;
}

/* One patch: (x - 255 mean) / (255 std) in float32, features (channel, y, x). */
static void fill_patch(const struct image *rgb, struct qwen_vl_patch_at at, int64_t side,
                       const float mean[3], const float std[3], float *dst)
{
    for (int c = 0; c < 3; c++)
        for (int64_t y = 0; y < side; y++) {
            const unsigned char *row = image_row(rgb, (int)(at.row * side + y));
            for (int64_t x = 0; x < side; x++)
                *dst++ = (image_level(rgb, row, (size_t)((at.col * side + x) * 3 + c)) - mean[c]) /
                         std[c];
        }
}

enum err_code caption_patches_make(const struct caption_processor *processor,
                                   const struct qwen_vl_vision_config *vision,
                                   const struct image *image, struct caption_patches *out,
                                   struct err *e)
{
    struct image rgb = {0};
    float mean[3], std[3];
    memset(out, 0, sizeof *out);
    if (vision->channels != 3)
        return err_set(e, ERR_FORMAT, "the vision tower takes %lld channels, an image has 3",
                       (long long)vision->channels);
    TRY(resized_rgb(processor, vision, image, &rgb, e));
    for (int i = 0; i < 3; i++) {
        mean[i] = (float)processor->mean[i] * 255.0f;
        std[i] = (float)processor->std[i] * 255.0f;
    }
    out->grid = (struct qwen_vl_grid){.h = rgb.h / vision->patch, .w = rgb.w / vision->patch};
    int64_t n = out->grid.h * out->grid.w, floats = qwen_vl_patch_floats(vision);
    out->p = mem_try_array((size_t)(n * floats), sizeof *out->p);
    enum err_code rc = ERR_OK;
    if (!out->p) {
        rc = err_set(e, ERR_NOMEM, "no memory for an image of %d x %d pixels", rgb.w, rgb.h);
        goto done;
    }
    for (int64_t i = 0; i < n; i++)
        fill_patch(&rgb, qwen_vl_patch_position(vision, out->grid, i), vision->patch, mean, std,
                   out->p + i * floats);
done:
    image_free(&rgb);
    return rc;
}

void caption_patches_free(struct caption_patches *p)
{
    mem_free(p->p);
    memset(p, 0, sizeof *p);
}
