/* params_table.h - the parameters of every request, once: name, type, range, default, help. Command line, HTTP API
 * and its document are made from these rows.
 *
 * X(MEMBER, TYPE, LO, HI, VALUES, FALLBACK, HELP): MEMBER is the member of the request struct and the name in
 * JSON; the command line writes '-' for '_'. TYPE: TEXT, INT (int), LONG (int64_t), NUMBER (double), SWITCH (int),
 * CHOICE (text out of VALUES), MATTE (a colour or "none"), SIDES (four ints), LORAS (struct vt_loras; in JSON a list of
 * {"name", "strength"}), IMAGE, NEEDED_IMAGE (one that is required), IMAGES. LO and HI bound numbers, bytes of texts and the
 * count of lists. FALLBACK is the default as JSON where it does not depend on the model, else NULL. */
#ifndef VT_PIPELINE_PARAMS_TABLE_H
#define VT_PIPELINE_PARAMS_TABLE_H

#include <stddef.h>

#include "veetance.h"

#define PARAM_SEED_MAX 9223372036854774000.0 /* under 2^63 - VT_MAX_COUNT, as a double */
#define PARAM_PROMPT_MAX 4194304

/* Help, for the command line to add to. */
#define PARAM_HELP_IMAGE_model "model to use (default: the first that can do this)"
#define PARAM_HELP_IMAGE_prompt "what to make"
#define PARAM_HELP_IMAGE_width "pixels (default: the model's, or the first image's)"
#define PARAM_HELP_IMAGE_height "pixels (default: the model's, or the first image's)"
#define PARAM_HELP_IMAGE_steps "default: 4 for distilled models, 50 for base models"
#define PARAM_HELP_IMAGE_seed "same seed, same image (default: random, told in the result)"
#define PARAM_HELP_IMAGE_guidance "classifier-free guidance of base models (default 4)"
#define PARAM_HELP_IMAGE_count "so many images, with seeds S, S+1, ..."
#define PARAM_HELP_IMAGE_max_tokens "length that the prompt is padded to (default 512)"
#define PARAM_HELP_IMAGE_compute                                                                   \
    "int8: faster on CPUs and NVIDIA cards, a little less exact; fp8: the same on NVIDIA Hopper; " \
    "auto: the fastest that is near enough"
#define PARAM_COMPUTES "default|int8|fp8|auto"
#define PARAM_HELP_fast                                                                            \
    "leave out passes whose result can be predicted: 0 none (exact), 1 a few, 3 most; of use in "  \
    "runs of many steps"
#define PARAM_HELP_loras "LoRAs to apply, with their strengths (1: as trained)"
#define PARAM_HELP_no_metadata                                                                     \
    "say nothing in the files of how they were made: no recipe, no mark of a model's work"
#define PARAM_HELP_IMAGE_transparent                                                               \
    "give the subject alpha: put it on a white and on a black ground, too, and see what differs "  \
    "(three times the work)"
#define PARAM_HELP_EDIT_images "the image to edit; more are references"
#define PARAM_HELP_EDIT_mask                                                                       \
    "paint only where it is white; strokes on transparent ground: only the strokes"
#define PARAM_HELP_EDIT_mask_from_alpha "paint where the image is transparent"
#define PARAM_HELP_EDIT_strength "start from the image, noised so far (default with a mask: 0.8)"
#define PARAM_HELP_EDIT_extend "pixels to add at left, top, right and bottom, and to paint"
#define PARAM_HELP_EDIT_feather "fade the painted part in over so many pixels inside the mask"
#define PARAM_HELP_EDIT_mask_invert "paint where the mask is black"
#define PARAM_HELP_EDIT_mask_grow "grow the mask by so many pixels; negative shrinks it"
#define PARAM_HELP_EDIT_mask_feather "fade the mask's edge over so many pixels at both sides"
#define PARAM_HELP_EDIT_crop_to_mask                                                               \
    "paint only the part around the mask, at a resolution of its own (width x height, else about " \
    "the model's), and put it back"
#define PARAM_HELP_EDIT_crop_padding "pixels around the mask that crop_to_mask shows the model"
#define PARAM_HELP_EDIT_match_colours                                                              \
    "undo the tint of an edit, measured on what the mask keeps (without one on all that agrees)"
#define PARAM_HELP_EDIT_matte                                                                      \
    "colour that images with alpha are put on (white, black, grey, #rrggbb), or none: all as the " \
    "reference implementation does"
#define PARAM_HELP_LAYERS_model "model to use (default: the first that can do this)"
#define PARAM_HELP_LAYERS_image "image to take apart; its alpha counts"
#define PARAM_HELP_LAYERS_layers "how many (default: the model's, or 4)"
#define PARAM_HELP_LAYERS_prompt                                                                   \
    "what is in the image (default: the model's, or a caption; \"\" asks for one)"
#define PARAM_HELP_LAYERS_negative_prompt "what guidance leads away from"
#define PARAM_HELP_LAYERS_guidance                                                                 \
    "classifier-free guidance; 1 is none (default: the model's, or 4)"
#define PARAM_HELP_LAYERS_cfg_normalize "keep the length that the prediction has without guidance"
#define PARAM_HELP_LAYERS_steps "default: the model's, or 50"
#define PARAM_HELP_LAYERS_resolution                                                               \
    "work on about so many pixels squared; a multiple of 32 (default: the model's, or 640)"
#define PARAM_HELP_LAYERS_seed "same seed, same layers (default: random, told in the result)"
#define PARAM_HELP_LAYERS_language "language of the caption"
#define PARAM_HELP_LAYERS_keep_empty "keep layers that hold nothing"
#define PARAM_HELP_LAYERS_merge_duplicates "make one of neighbours that hardly differ"
#define PARAM_HELP_LAYERS_full_size                                                                \
    "bring the layers to the image's size and, where known, its colours"
#define PARAM_HELP_LAYERS_no_modulation_tables                                                     \
    "evaluate the modulation in place: same result, needs more memory"
#define PARAM_HELP_LAYERS_matte                                                                    \
    "colour that is seen where the image is transparent (white, black, grey, #rrggbb), or none: "  \
    "the one that lies there"
#define PARAM_HELP_CAPTION_model "model to use (default: the first that can do this)"
#define PARAM_HELP_CAPTION_image "image to describe"
#define PARAM_HELP_CAPTION_language "language of the caption"
#define PARAM_HELP_CAPTION_max_new_tokens "longest caption"

/* struct vt_request, without images */
#define PARAMS_IMAGE(X)                                                                            \
    X(model, TEXT, 1, 255, NULL, NULL, PARAM_HELP_IMAGE_model)                                     \
    X(prompt, TEXT, 0, PARAM_PROMPT_MAX, NULL, "\"\"", PARAM_HELP_IMAGE_prompt)                    \
    X(width, INT, 64, 2048, NULL, NULL, PARAM_HELP_IMAGE_width)                                    \
    X(height, INT, 64, 2048, NULL, NULL, PARAM_HELP_IMAGE_height)                                  \
    X(steps, INT, 1, 1000, NULL, NULL, PARAM_HELP_IMAGE_steps)                                     \
    X(seed, LONG, 0, PARAM_SEED_MAX, NULL, NULL, PARAM_HELP_IMAGE_seed)                            \
    X(guidance, NUMBER, 0, 100, NULL, NULL, PARAM_HELP_IMAGE_guidance)                             \
    X(count, INT, 1, 1000, NULL, "1", PARAM_HELP_IMAGE_count)                                      \
    X(max_tokens, INT, 1, 4096, NULL, NULL, PARAM_HELP_IMAGE_max_tokens)                           \
    X(compute, CHOICE, 0, 0, PARAM_COMPUTES, "\"default\"", PARAM_HELP_IMAGE_compute)              \
    X(fast, INT, 0, VT_MAX_FAST, NULL, "0", PARAM_HELP_fast)                                       \
    X(loras, LORAS, 0, VT_MAX_LORAS, NULL, NULL, PARAM_HELP_loras)                                 \
    X(transparent, SWITCH, 0, 0, NULL, "false", PARAM_HELP_IMAGE_transparent)                      \
    X(no_metadata, SWITCH, 0, 0, NULL, "false", PARAM_HELP_no_metadata)

/* struct vt_request, what editing has beside them */
#define PARAMS_EDIT(X)                                                                             \
    X(images, IMAGES, 1, VT_MAX_IMAGES, NULL, NULL, PARAM_HELP_EDIT_images)                        \
    X(mask, IMAGE, 0, 0, NULL, NULL, PARAM_HELP_EDIT_mask)                                         \
    X(mask_from_alpha, SWITCH, 0, 0, NULL, "false", PARAM_HELP_EDIT_mask_from_alpha)               \
    X(strength, NUMBER, 0, 1, NULL, NULL, PARAM_HELP_EDIT_strength)                                \
    X(extend, SIDES, 0, 8192, NULL, NULL, PARAM_HELP_EDIT_extend)                                  \
    X(feather, INT, 0, 1024, NULL, "0", PARAM_HELP_EDIT_feather)                                   \
    X(mask_invert, SWITCH, 0, 0, NULL, "false", PARAM_HELP_EDIT_mask_invert)                       \
    X(mask_grow, INT, -1024, 1024, NULL, "0", PARAM_HELP_EDIT_mask_grow)                           \
    X(mask_feather, INT, 0, 512, NULL, "0", PARAM_HELP_EDIT_mask_feather)                          \
    X(crop_to_mask, SWITCH, 0, 0, NULL, "false", PARAM_HELP_EDIT_crop_to_mask)                     \
    X(crop_padding, INT, 0, 1024, NULL, "32", PARAM_HELP_EDIT_crop_padding)                        \
    X(match_colours, SWITCH, 0, 0, NULL, "false", PARAM_HELP_EDIT_match_colours)                   \
    X(matte, MATTE, 0, 0, NULL, "\"white\"", PARAM_HELP_EDIT_matte)

/* vt_request's align goes by a name that C has taken. */
#define PARAM_EDIT_REGISTER "register"
#define PARAM_HELP_EDIT_REGISTER "undo a shift of up to a pixel, measured on what the mask keeps"

/* What guidance of layers is called, too; where both are given, guidance counts. */
#define PARAM_LAYERS_CFG "cfg"
#define PARAM_HELP_LAYERS_CFG "the same as guidance"

/* struct vt_layers_request */
#define PARAMS_LAYERS(X)                                                                           \
    X(model, TEXT, 1, 255, NULL, NULL, PARAM_HELP_LAYERS_model)                                    \
    X(image, NEEDED_IMAGE, 0, 0, NULL, NULL, PARAM_HELP_LAYERS_image)                              \
    X(layers, INT, 1, 10, NULL, NULL, PARAM_HELP_LAYERS_layers)                                    \
    X(prompt, TEXT, 0, PARAM_PROMPT_MAX, NULL, NULL, PARAM_HELP_LAYERS_prompt)                     \
    X(negative_prompt, TEXT, 0, PARAM_PROMPT_MAX, NULL, "\" \"",                                   \
      PARAM_HELP_LAYERS_negative_prompt)                                                           \
    X(guidance, NUMBER, 0, 100, NULL, NULL, PARAM_HELP_LAYERS_guidance)                            \
    X(cfg_normalize, SWITCH, 0, 0, NULL, "false", PARAM_HELP_LAYERS_cfg_normalize)                 \
    X(steps, INT, 1, 1000, NULL, NULL, PARAM_HELP_LAYERS_steps)                                    \
    X(resolution, INT, 32, 4096, NULL, NULL, PARAM_HELP_LAYERS_resolution)                         \
    X(seed, LONG, 0, PARAM_SEED_MAX, NULL, NULL, PARAM_HELP_LAYERS_seed)                           \
    X(language, CHOICE, 0, 0, "en|zh", "\"en\"", PARAM_HELP_LAYERS_language)                       \
    X(keep_empty, SWITCH, 0, 0, NULL, "false", PARAM_HELP_LAYERS_keep_empty)                       \
    X(merge_duplicates, SWITCH, 0, 0, NULL, "false", PARAM_HELP_LAYERS_merge_duplicates)           \
    X(full_size, SWITCH, 0, 0, NULL, "false", PARAM_HELP_LAYERS_full_size)                         \
    X(no_modulation_tables, SWITCH, 0, 0, NULL, "false", PARAM_HELP_LAYERS_no_modulation_tables)   \
    X(matte, MATTE, 0, 0, NULL, "\"white\"", PARAM_HELP_LAYERS_matte)                              \
    X(compute, CHOICE, 0, 0, PARAM_COMPUTES, "\"default\"", PARAM_HELP_IMAGE_compute)              \
    X(fast, INT, 0, VT_MAX_FAST, NULL, "0", PARAM_HELP_fast)                                       \
    X(loras, LORAS, 0, VT_MAX_LORAS, NULL, NULL, PARAM_HELP_loras)                                 \
    X(no_metadata, SWITCH, 0, 0, NULL, "false", PARAM_HELP_no_metadata)

/* struct vt_caption_request */
#define PARAMS_CAPTION(X)                                                                          \
    X(model, TEXT, 1, 255, NULL, NULL, PARAM_HELP_CAPTION_model)                                   \
    X(image, NEEDED_IMAGE, 0, 0, NULL, NULL, PARAM_HELP_CAPTION_image)                             \
    X(language, CHOICE, 0, 0, "en|zh", "\"en\"", PARAM_HELP_CAPTION_language)                      \
    X(max_new_tokens, INT, 1, 16384, NULL, "512", PARAM_HELP_CAPTION_max_new_tokens)               \
    X(compute, CHOICE, 0, 0, PARAM_COMPUTES, "\"default\"", PARAM_HELP_IMAGE_compute)

enum param_type {
    PARAM_TEXT,
    PARAM_INT,
    PARAM_LONG,
    PARAM_NUMBER,
    PARAM_SWITCH,
    PARAM_CHOICE,
    PARAM_MATTE,
    PARAM_SIDES,
    PARAM_LORAS,
    PARAM_IMAGE,
    PARAM_NEEDED_IMAGE,
    PARAM_IMAGES
};

struct param {
    const char *name; /* NULL ends a table */
    enum param_type type;
    double lo, hi;
    const char *values, *fallback, *help;
    size_t offset; /* in the request struct */
};

extern const struct param params_generate[], params_edit[], params_layers[], params_caption[];

#endif
