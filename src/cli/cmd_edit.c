/* cmd_edit.c - `veetance edit`: images and a prompt to a new image; `plan edit` goes the same way up to the run.
 *
 * Paths are only noted while options are read: a recipe may name the images, and everything else is checked before
 * the first is loaded. Standard input can be one of them, once.
 */
#include <string.h>

#include "base/str.h"
#include "cli/batch.h"
#include "cli/cli.h"
#include "cli/image_in.h"
#include "cli/param_arg.h"
#include "cli/image_run.h"
#include "pipeline/lend.h"

enum {
    EDIT_IMAGE = IMAGE_FIRST_OWN,
    EDIT_MASK,
    EDIT_STRENGTH,
    EDIT_EXTEND,
    EDIT_FEATHER,
    EDIT_MASK_INVERT,
    EDIT_MASK_GROW,
    EDIT_MASK_FEATHER,
    EDIT_CROP,
    EDIT_PADDING,
    EDIT_COLOURS,
    EDIT_REGISTER,
    EDIT_MATTE
};
enum { MAX_EXTEND = 8192 };

static const struct cli_option options[] = {
    {EDIT_IMAGE, 'i', "image", "FILE",
     "image to edit; more are references (up to 10), - is standard input"},
    {EDIT_MASK, 0, "mask", "FILE|alpha",
     PARAM_HELP_EDIT_mask "; alpha: where the image is transparent"},
    {EDIT_STRENGTH, 0, "strength", "0..1", PARAM_HELP_EDIT_strength},
    {EDIT_EXTEND, 0, "extend", "L,T,R,B", "add so many pixels at each side and paint them"},
    {EDIT_FEATHER, 0, "feather", "PX", PARAM_HELP_EDIT_feather},
    {EDIT_MASK_INVERT, 0, "mask-invert", NULL, PARAM_HELP_EDIT_mask_invert},
    {EDIT_MASK_GROW, 0, "mask-grow", "PX", PARAM_HELP_EDIT_mask_grow},
    {EDIT_MASK_FEATHER, 0, "mask-feather", "PX", PARAM_HELP_EDIT_mask_feather},
    {EDIT_CROP, 0, "crop-to-mask", NULL, PARAM_HELP_EDIT_crop_to_mask},
    {EDIT_PADDING, 0, "crop-padding", "PX",
     "pixels around the mask that --crop-to-mask shows the model (default 32)"},
    {EDIT_COLOURS, 0, "match-colours", NULL, PARAM_HELP_EDIT_match_colours},
    {EDIT_REGISTER, 0, PARAM_EDIT_REGISTER, NULL, PARAM_HELP_EDIT_REGISTER},
    {EDIT_MATTE, 0, "matte", "COLOUR|none", PARAM_HELP_EDIT_matte " (default white)"},
    IMAGE_OPTIONS,
    BATCH_OPTIONS,
    BATCH_EACH_OPTION,
    BATCH_SHEET_OPTION,
    {0},
};

struct edit {
    struct image_run run;
    const char *paths[VT_MAX_IMAGES], *mask_path; /* read once every option is known */
    struct image images[VT_MAX_IMAGES], mask;
    bool padding_given;
    char found[VT_MAX_IMAGES + 1][CLI_PATH_BYTES]; /* those that a recipe names */
};

static int load(struct edit *d, const char *path, struct image *out)
{
    struct err e = {0};
    if (cli_image_load_deep(path, &d->run.progress, out, &e) == ERR_OK)
        return CLI_OK;
    (void)cli_fail_err(&e);
    return CLI_FAILED;
}

/* It can be read once. */
static int check_stdin(const struct edit *d)
{
    struct err e = {0};
    int n = d->run.prompt_from_stdin + (d->mask_path && strcmp(d->mask_path, "-") == 0);
    for (int i = 0; i < d->run.request.image_count; i++)
        n += strcmp(d->paths[i], "-") == 0;
    if (n < 2)
        return CLI_OK;
    (void)err_set(&e, ERR_ARG, "standard input can be one of prompt, images and mask, not several");
    return cli_fail_err(&e);
}

static int load_all(struct edit *d)
{
    struct vt_request *q = &d->run.request;
    int rc = check_stdin(d);
    for (int i = 0; i < q->image_count; i++)
        q->image_names[i] = d->paths[i];
    q->mask_name = d->mask_path;
    if (d->run.run->way == CLI_CHECK)
        return rc;
    for (int i = 0; rc == CLI_OK && i < q->image_count; i++) {
        rc = load(d, d->paths[i], &d->images[i]);
        q->images[i] = lend_image(&d->images[i]);
    }
    if (rc == CLI_OK && d->mask_path) {
        rc = load(d, d->mask_path, &d->mask);
        q->mask = lend_image(&d->mask);
    }
    return rc;
}

static int add_image(struct edit *d, const struct cli_args *a)
{
    struct vt_request *q = &d->run.request;
    if (q->image_count == VT_MAX_IMAGES)
        return cli_usage_error(a->command, "at most %d images can be used", VT_MAX_IMAGES);
    d->paths[q->image_count++] = a->value;
    return CLI_OK;
}

static int set_mask(struct edit *d, const struct cli_args *a)
{
    bool alpha = strcmp(a->value, "alpha") == 0;
    d->run.request.mask_from_alpha = alpha;
    d->mask_path = alpha ? NULL : a->value;
    return CLI_OK;
}

static int set_extend(struct edit *d, const struct cli_args *a)
{
    const char *p = a->value;
    int64_t v, sum = 0;
    for (int i = 0; i < 4; i++) {
        size_t n = strcspn(p, ",");
        if (!str_to_i64((struct str){p, n}, &v) || v < 0 || v > MAX_EXTEND)
            break;
        d->run.request.extend[i] = (int)v;
        sum += v;
        if (i == 3 && !p[n] && sum > 0)
            return CLI_OK;
        if (!p[n])
            break;
        p += n + 1;
    }
    return cli_usage_error(a->command,
                           "--extend takes left,top,right,bottom, each 0 to %d pixels, e.g. "
                           "64,0,64,0",
                           MAX_EXTEND);
}

static int own_option(struct edit *d, const struct cli_args *a, int id)
{
    switch (id) {
    case EDIT_IMAGE:
        return add_image(d, a);
    case CLI_POSITIONAL: /* what a shell makes of -i *.png */
        if (d->run.request.image_count > 0)
            return add_image(d, a);
        return cli_usage_error(a->command, "'%.60s' is not expected here; images go behind -i",
                               a->value);
    case EDIT_MASK:
        return set_mask(d, a);
    case EDIT_STRENGTH:
    case EDIT_FEATHER:
    case EDIT_MASK_INVERT:
    case EDIT_MASK_GROW:
    case EDIT_MASK_FEATHER:
    case EDIT_CROP:
    case EDIT_COLOURS:
    case EDIT_REGISTER:
    case EDIT_MATTE:
        return cli_param_set(a, id, params_edit, &d->run.request);
    case EDIT_PADDING:
        d->padding_given = true;
        return cli_param_set(a, id, params_edit, &d->run.request);
    case EDIT_EXTEND:
        return set_extend(d, a);
    default:
        return image_run_option(&d->run, a, id);
    }
}

/* What the options left. */
static void mask_of_recipe(struct edit *d)
{
    struct vt_request *q = &d->run.request;
    const struct recipe *r = &d->run.recipe;
    if (!q->feather)
        q->feather = r->feather;
    if (!q->mask_grow)
        q->mask_grow = r->mask_grow;
    if (!q->mask_feather)
        q->mask_feather = r->mask_feather;
    q->mask_invert = q->mask_invert || r->mask_invert;
    q->crop_to_mask = q->crop_to_mask || r->crop_to_mask;
    q->match_colours = q->match_colours || r->match_colours;
    q->align = q->align || r->align;
    if (!d->padding_given && r->crop_padding >= 0)
        q->crop_padding = r->crop_padding;
}

static int images_of_recipe(struct edit *d)
{
    struct err e = {0};
    struct vt_request *q = &d->run.request;
    const struct recipe *r = &d->run.recipe;
    enum err_code rc = ERR_OK;
    bool own_images = q->image_count > 0;
    for (int i = 0; rc == ERR_OK && !own_images && i < r->image_count; i++) {
        rc = cli_recipe_image(d->run.from, r->images[i], d->found[i], &e);
        d->paths[q->image_count++] = d->found[i];
    }
    if (rc == ERR_OK && !d->mask_path && !q->mask_from_alpha && r->mask[0]) {
        q->mask_from_alpha = strcmp(r->mask, "alpha") == 0;
        if (!q->mask_from_alpha) {
            rc = cli_recipe_image(d->run.from, r->mask, d->found[VT_MAX_IMAGES], &e);
            d->mask_path = d->found[VT_MAX_IMAGES];
        }
    }
    if (q->strength < 0)
        q->strength = r->strength;
    mask_of_recipe(d);
    if (!(q->extend[0] || q->extend[1] || q->extend[2] || q->extend[3]))
        memcpy(q->extend, r->extend, sizeof q->extend);
    if (!q->matte && r->matte[0])
        q->matte = r->matte;
    return rc == ERR_OK ? CLI_OK : cli_fail_err(&e);
}

static int image_edit(const struct cli_command *self, int argc, char **argv, struct cli_run *how)
{
    struct edit d = {0};
    struct cli_args a = cli_args_begin(self, argc, argv);
    int rc = CLI_OK, id;
    image_run_init(&d.run, how);
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            goto done;
        rc = id == CLI_ERROR ? CLI_USAGE : own_option(&d, &a, id);
    }
    if (rc == CLI_OK)
        rc = image_run_recipe(&d.run, self, true);
    if (rc == CLI_OK && d.run.from)
        rc = images_of_recipe(&d);
    if (rc == CLI_OK && d.run.request.image_count == 0)
        rc = cli_usage_error(self, "no image is given; name the image to edit with -i");
    if (rc == CLI_OK)
        rc = image_run_check(&d.run, self);
    if (rc == CLI_OK)
        rc = load_all(&d);
    if (rc == CLI_OK)
        rc = image_run_execute(&d.run, true);
done:
    for (int i = 0; i < VT_MAX_IMAGES; i++)
        image_free(&d.images[i]);
    image_free(&d.mask);
    image_run_deinit(&d.run);
    return rc;
}

const struct batch_task image_edit_task = {image_edit, ".png"};

static int run(const struct cli_command *self, int argc, char **argv)
{
    return batch_or_one(self, argc, argv, &image_edit_task, CLI_RUN);
}

const struct cli_command cli_cmd_edit = {
    .name = "edit",
    .summary = "Change an image: by words, with references, inside a mask",
    .usage = "-m MODEL -p PROMPT -i IMAGE [-i IMAGE ...] [--mask FILE|alpha] [--strength 0..1] ...",
    .examples =
        "  veetance edit -m micro-klein -p \"make the circle green\" -i scene.png -o green.png\n"
        "  veetance edit -m MODEL -p \"put the cat of image 2 into image 1\" -i room.png -i "
        "cat.jpg\n"
        "  veetance edit -m MODEL -p \"one scene of all these\" -i *.png\n"
        "  veetance edit -m MODEL -p \"at night\" --each *.jpg -o 'night/{source}.jpg'\n"
        "  veetance edit --from green.png --seed 2\n"
        "  veetance edit -m MODEL -p \"a hole in the wall\" -i wall.png --mask hole.png --feather "
        "8\n"
        "  veetance edit -m MODEL -p \"a smiling face\" -i group.jpg --mask face.png "
        "--crop-to-mask "
        "--mask-feather 4\n"
        "  veetance edit -m MODEL -p \"more beach\" -i beach.png --extend 256,0,256,0\n",
    .options = options,
    .run = run,
};
