#include "pipeline/image_file.h"

#include <stdio.h>

#include "image/save.h"
#include "pipeline/recipe.h"

enum { TEXT_MAX_BYTES = 8 << 20 };

enum err_code image_file(const struct vt_result *result, int i, enum image_format format,
                         int quality, struct buf *out, struct err *e)
{
    const struct vt_request *q = vt_result_request(result);
    const char *prompt = q->prompt ? q->prompt : "";
    struct vt_image im = vt_result_image(result, i);
    struct image view = {.w = im.width,
                         .h = im.height,
                         .channels = im.channels,
                         .stride = (size_t)im.width * (size_t)im.channels,
                         .p = (unsigned char *)(uintptr_t)im.pixels};
    char seed[32], steps[16], size[32];
    struct buf all;
    (void)snprintf(seed, sizeof seed, "%lld", (long long)vt_result_seed(result, i));
    (void)snprintf(steps, sizeof steps, "%d", q->steps);
    (void)snprintf(size, sizeof size, "%dx%d", im.width, im.height);
    buf_init(&all, TEXT_MAX_BYTES);
    recipe_write(result, i, &all);
    const struct image_text texts[] = {
        {"parameters", buf_str(&all)},
        {"prompt", str_from(prompt)},
        {"seed", str_from(seed)},
        {"model", str_from(q->model)},
        {"steps", str_from(steps)},
        {"dimensions", str_from(size)},
        {"Software", STR_LIT("veetance " VT_VERSION)},
    };
    const struct image_save save = {.format = format,
                                    .quality = quality,
                                    .texts = texts,
                                    .n_texts = sizeof texts / sizeof texts[0]};
    enum err_code rc = image_save(&view, &save, out, e);
    buf_deinit(&all);
    return rc;
}
