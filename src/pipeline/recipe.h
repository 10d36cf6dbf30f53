/* recipe.h - what an image was made of, as the text that image files carry ("parameters", in the form that
 * Automatic1111's program began and most others read):
 *
 *     a red star
 *     on white
 *     Steps: 8, Sampler: Euler, CFG scale: 1, Seed: 1, Size: 128x128, Model: micro-klein, Version: veetance 0.1.0
 *
 * The last line that begins with "Steps: " holds the numbers; a value with a comma or a quote in it is a JSON string.
 * Keys of our own: Task, Asked size, Max tokens, Compute, Images, Mask, Mask grow, Mask feather, Strength, Extend, Feather,
 * Match colours, Register, Transparent, * Matte, Layers, Resolution, Flags. What Automatic1111 has a name for has that: Mask mode (Inpaint not masked), Inpaint
 * area (Only masked), Masked area padding. Names of images are without their folders: a file that is given away
 * should not tell where it was made. */
#ifndef VT_PIPELINE_RECIPE_H
#define VT_PIPELINE_RECIPE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "image/about.h"
#include "image/load.h"
#include "pipeline/lora_tags.h"
#include "veetance.h"

enum { RECIPE_NAME_BYTES = 256 };

struct recipe {
    char task
        [16]; /* "generate", "edit" or "layers"; "" when the text does not say (another program's) */
    struct buf prompt;      /* without the tags of LoRAs */
    struct lora_tags loras; /* " <lora:NAME:STRENGTH>" behind the prompt */
    char model[RECIPE_NAME_BYTES], compute[16], matte[32];
    bool size_asked;                      /* of an edit: not the first image's */
    int layers, resolution;               /* of layers */
    char flags[64];                       /* of layers: "keep-empty|full-size" */
    int width, height, steps, max_tokens; /* VT_DEFAULT: not told, as below */
    int fast;                             /* 0 where it is not told */
    int64_t seed;
    double guidance, strength;
    int extend[4], feather, mask_grow, mask_feather,
        crop_padding; /* the last one VT_DEFAULT: not told */
    bool mask_invert, crop_to_mask, match_colours, align, transparent;
    char images[VT_MAX_IMAGES][RECIPE_NAME_BYTES],
        mask[RECIPE_NAME_BYTES]; /* mask "alpha": the image's */
    int image_count;
};

/* Of image i of the result, appended to out. */
void recipe_write(const struct vt_result *result, int i, struct buf *out);
/* What files of layers say that were made of the image of this name ("-": of none): nothing, where that was asked
 * for. */
void recipe_about_layers(const struct vt_layers_result *result,
                         const struct vt_layers_request *request, const char *image,
                         struct image_about *out);
/* ERR_FORMAT when the text has no recipe. Caller: recipe_deinit, also after a failure. */
ERR_MUST_CHECK enum err_code recipe_read(struct str text, struct recipe *out, struct err *e);
void recipe_deinit(struct recipe *r);

/* ---- in a file ------------------------------------------------------------------------------- */

/* Image i of the result as the file that every way out of this program writes, with its recipe and where it comes from
 * in it, unless the request says no_metadata. Appended to out. quality of JPEG and WebP: 1..100, 0 for the default. */
ERR_MUST_CHECK enum err_code image_file(const struct vt_result *result, int i,
                                        enum image_format format, int quality, struct buf *out,
                                        struct err *e);

#endif
