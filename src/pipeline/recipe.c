/* recipe.c - the writing half of recipe.h: a request and its result as one line of "Key: value".
 *
 * The first keys are those that other programs look for, in their order; ours follow, most of them only where the
 * request set them, so that a plain image has a plain recipe. Names of files are cut to their last part.
 */
#include "pipeline/recipe.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"

enum { VALUE_BYTES = 4096 };

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ", KEY: VALUE", quoted where the value could not be told from what follows. */
static void add(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ", %s: ", key);
    if (value[strcspn(value, ",\"\n:")])
        json_add_z(out, value);
    else
        buf_add_z(out, value);
}

static void add_number(struct buf *out, const char *key, double v)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%g", v);
    add(out, key, text);
}

/* "a.png|b.png" */
static void add_images(struct buf *out, const struct vt_request *q)
{
    struct buf names;
    buf_init(&names, VALUE_BYTES);
    for (int i = 0; i < q->image_count; i++) {
        const char *name = q->image_names[i] ? base_name(q->image_names[i]) : "";
        buf_printf(&names, "%s%.200s", i ? "|" : "", name);
    }
    add(out, "Images", buf_z(&names));
    buf_deinit(&names);
}

static void add_edit(struct buf *out, const struct vt_request *q)
{
    char sides[64];
    add_images(out, q);
    if (q->width > 0 && q->height > 0) {
        (void)snprintf(sides, sizeof sides, "%dx%d", q->width, q->height);
        add(out, "Asked size", sides);
    }
    if (q->mask_from_alpha)
        add(out, "Mask", "alpha");
    else if (q->mask.pixels && q->mask_name)
        add(out, "Mask", base_name(q->mask_name));
    if (q->strength >= 0)
        add_number(out, "Strength", q->strength);
    if (q->feather)
        add_number(out, "Feather", q->feather);
    (void)snprintf(sides, sizeof sides, "%d|%d|%d|%d", q->extend[0], q->extend[1], q->extend[2],
                   q->extend[3]);
    if (strcmp(sides, "0|0|0|0") != 0)
        add(out, "Extend", sides);
    if (q->matte)
        add(out, "Matte", q->matte);
}

void recipe_write(const struct vt_result *result, int i, struct buf *out)
{
    const struct vt_request *q = vt_result_request(result);
    struct vt_image im = vt_result_image(result, i);
    buf_printf(out, "%s\nSteps: %d, Sampler: Euler, CFG scale: %g, Seed: %lld, Size: %dx%d",
               q->prompt ? q->prompt : "", q->steps, q->guidance,
               (long long)vt_result_seed(result, i), im.width, im.height);
    add(out, "Model", q->model);
    buf_printf(out, ", Version: veetance %s, Task: %s, Max tokens: %d", vt_version(),
               q->image_count > 0 ? "edit" : "generate", q->max_tokens);
    if (q->compute && strcmp(q->compute, "default") != 0)
        add(out, "Compute", q->compute);
    if (q->image_count > 0)
        add_edit(out, q);
}

/* "keep-empty|full-size": the switches that were on, as options are called. */
static void add_flags(struct buf *out, const struct vt_layers_request *q)
{
    const struct {
        const char *name;
        int on;
    } flags[] = {{"cfg-normalize", q->cfg_normalize},
                 {"keep-empty", q->keep_empty},
                 {"merge-duplicates", q->merge_duplicates},
                 {"full-size", q->full_size}};
    struct buf all;
    buf_init(&all, VALUE_BYTES);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].on)
            buf_printf(&all, "%s%s", all.n ? "|" : "", flags[i].name);
    if (all.n)
        add(out, "Flags", buf_z(&all));
    buf_deinit(&all);
}

void recipe_write_layers(const struct vt_layers_result *result,
                         const struct vt_layers_request *request, const char *image,
                         struct buf *out)
{
    const struct vt_layers_report *r = vt_layers_report(result);
    buf_printf(out, "%s\nSteps: %d, Sampler: Euler, CFG scale: %g, Seed: %lld, Size: %dx%d",
               r->prompt, r->steps, r->cfg, (long long)r->seed, r->width, r->height);
    add(out, "Model", r->model);
    buf_printf(out, ", Version: veetance %s, Task: layers, Layers: %d, Resolution: %d",
               vt_version(), r->layers_asked, r->resolution);
    if (strcmp(image, "-") != 0)
        add(out, "Images", base_name(image));
    if (request->compute && strcmp(request->compute, "default") != 0)
        add(out, "Compute", request->compute);
    if (request->matte)
        add(out, "Matte", request->matte);
    add_flags(out, request);
}
