#include "cli/made.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/image_in.h"
#include "pipeline/model_dir.h"

enum { SIDE_UNIT = 16 };

static bool same_int(int asked, int made)
{
    return asked == VT_DEFAULT || asked == made;
}

/* Models round sides down to a multiple of their own. */
static bool same_side(int asked, int made)
{
    return asked == VT_DEFAULT || (made <= asked && asked - made < SIDE_UNIT);
}

/* Recipes hold numbers as short as %g. */
static bool same_number(double asked, double made)
{
    char a[32], b[32];
    (void)snprintf(a, sizeof a, "%g", asked);
    (void)snprintf(b, sizeof b, "%g", made);
    return asked < 0 || strcmp(a, b) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Recipes name a model as it calls itself. */
static bool same_model(const char *asked, const char *made)
{
    struct model_dir *dir = mem_alloc(sizeof *dir);
    bool same = model_dir_open(asked, dir, NULL) == ERR_OK && strcmp(dir->name, made) == 0;
    mem_free(dir);
    return same;
}

static bool same_compute(const char *asked, const char *made)
{
    return strcmp(asked ? asked : "default", made[0] ? made : "default") == 0;
}

static bool same_loras(const struct vt_loras *asked, const struct lora_tags *made)
{
    char name[LORA_NAME_BYTES];
    if (asked->count != made->n)
        return false;
    for (int i = 0; i < made->n; i++)
        if (!lora_tag_name(asked->of[i].name, name) || strcmp(name, made->of[i].name) != 0 ||
            !same_number(asked->of[i].strength, made->of[i].strength))
            return false;
    return true;
}

static bool same_mask(const struct vt_request *q, const struct recipe *r)
{
    const char *mask = q->mask_from_alpha ? "alpha" : q->mask_name ? base_name(q->mask_name) : "";
    return strcmp(mask, r->mask) == 0 && q->feather == r->feather && q->mask_grow == r->mask_grow &&
           q->mask_feather == r->mask_feather && !q->mask_invert == !r->mask_invert &&
           !q->crop_to_mask == !r->crop_to_mask &&
           (!q->crop_to_mask || q->crop_padding == r->crop_padding);
}

static bool same_edit(const struct vt_request *q, const struct recipe *r)
{
    bool same = q->image_count == r->image_count && same_mask(q, r) &&
                same_number(q->strength, r->strength) && !q->align == !r->align &&
                !q->match_colours == !r->match_colours &&
                memcmp(q->extend, r->extend, sizeof q->extend) == 0 &&
                strcmp(q->matte ? q->matte : "", r->matte) == 0;
    for (int i = 0; same && i < q->image_count; i++)
        same = strcmp(base_name(q->image_names[i]), r->images[i]) == 0;
    return same;
}

static bool same_request(const struct vt_request *q, struct recipe *r)
{
    bool edit = q->image_count > 0;
    bool sized = !edit || r->size_asked;
    return strcmp(r->task, edit ? "edit" : "generate") == 0 &&
           strcmp(q->prompt, buf_z(&r->prompt)) == 0 && same_model(q->model, r->model) &&
           same_int(q->steps, r->steps) && same_int(q->max_tokens, r->max_tokens) &&
           same_side(q->width, sized ? r->width : VT_DEFAULT) &&
           same_side(q->height, sized ? r->height : VT_DEFAULT) &&
           (q->seed == VT_SEED_RANDOM || q->seed == r->seed) &&
           same_number(q->guidance, r->guidance) && same_compute(q->compute, r->compute) &&
           !q->transparent == !r->transparent && same_loras(&q->loras, &r->loras) &&
           (!edit || same_edit(q, r));
}

enum cli_made cli_made_image(const char *path, const struct vt_request *q)
{
    struct err e = {0};
    struct recipe r = {0};
    struct image image = {0};
    enum cli_made made = CLI_MADE_BROKEN;
    if (cli_image_load(path, NULL, &image, &e) == ERR_OK)
        made = cli_recipe_read(path, &r, &e) == ERR_OK && same_request(q, &r) ? CLI_MADE_WHOLE
                                                                              : CLI_MADE_OTHERWISE;
    image_free(&image);
    recipe_deinit(&r);
    return made;
}

static bool same_layers(const struct vt_layers_request *q, struct recipe *r, const char *image)
{
    bool asked_prompt = q->prompt && q->prompt[0];
    return strcmp(r->task, "layers") == 0 && r->image_count == 1 &&
           strcmp(base_name(image), r->images[0]) == 0 && same_model(q->model, r->model) &&
           (!asked_prompt || strcmp(q->prompt, buf_z(&r->prompt)) == 0) &&
           same_int(q->layers, r->layers) && same_int(q->steps, r->steps) &&
           same_int(q->resolution, r->resolution) &&
           (q->seed == VT_SEED_RANDOM || q->seed == r->seed) &&
           same_number(q->guidance, r->guidance) && same_compute(q->compute, r->compute) &&
           strcmp(q->matte ? q->matte : "", r->matte) == 0 && same_loras(&q->loras, &r->loras);
}

enum cli_made cli_made_layers(const char *path, const struct vt_layers_request *q,
                              const char *image)
{
    char composite[CLI_PATH_BYTES];
    struct err e = {0};
    struct recipe r = {0};
    struct layer_stack stack;
    enum cli_made made = CLI_MADE_BROKEN;
    layer_stack_init(&stack, 0, 0);
    if (cli_stack_load(path, &stack, &e) == ERR_OK)
        made = CLI_MADE_WHOLE;
    if (made == CLI_MADE_WHOLE && file_is_dir(path) &&
        (file_join(composite, sizeof composite, path, "composite.png", &e) != ERR_OK ||
         cli_recipe_read(composite, &r, &e) != ERR_OK || !same_layers(q, &r, image)))
        made = CLI_MADE_OTHERWISE;
    layer_stack_deinit(&stack);
    recipe_deinit(&r);
    return made;
}
