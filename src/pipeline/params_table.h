/* params_table.h - the parameters of every request, once: name, type, range, default, help. Command line, HTTP API
 * and its document are made from these rows.
 *
 * X(MEMBER, TYPE, LO, HI, VALUES, FALLBACK, HELP): MEMBER is the member of the request struct and the name in
 * JSON; the command line writes '-' for '_'. TYPE: TEXT, INT (int), LONG (int64_t), NUMBER (double), SWITCH (int),
 * CHOICE (text out of VALUES), SIDES (four ints), IMAGE, PICTURE (one that is required),
 * IMAGES. LO and HI bound numbers, bytes of texts and the
 * count of lists. FALLBACK is the default as JSON where it does not depend on the model, else NULL. */
#ifndef VT_PIPELINE_PARAMS_TABLE_H
#define VT_PIPELINE_PARAMS_TABLE_H

#include <stddef.h>

#include "veetance.h"

#define PARAM_SEED_MAX 9223372036854774000.0 /* under 2^63 - VT_MAX_COUNT, as a double */
#define PARAM_PROMPT_MAX 4194304

/* struct vt_request, without pictures */
#define PARAMS_PICTURE(X)                                                                          \
    X(model, TEXT, 1, 255, NULL, NULL, "model to use (default: the first that can do this)")       \
    X(prompt, TEXT, 0, PARAM_PROMPT_MAX, NULL, "\"\"", "what to make")                             \
    X(width, INT, 64, 2048, NULL, NULL, "pixels (default: the model's, or the first image's)")     \
    X(height, INT, 64, 2048, NULL, NULL, "pixels (default: the model's, or the first image's)")    \
    X(steps, INT, 1, 1000, NULL, NULL, "default: 4 for distilled models, 50 for base models")      \
    X(seed, LONG, 0, PARAM_SEED_MAX, NULL, NULL,                                                   \
      "same seed, same picture (default: random, told in the result)")                             \
    X(guidance, NUMBER, 0, 100, NULL, NULL, "classifier-free guidance of base models (default 4)") \
    X(count, INT, 1, 1000, NULL, "1", "so many pictures, with seeds S, S+1, ...")                  \
    X(max_tokens, INT, 1, 4096, NULL, NULL, "length that the prompt is padded to (default 512)")

/* struct vt_request, what editing has beside them */
#define PARAMS_EDIT(X)                                                                             \
    X(images, IMAGES, 1, VT_MAX_IMAGES, NULL, NULL, "the picture to edit; more are references")    \
    X(mask, IMAGE, 0, 0, NULL, NULL, "paint only where it is white")                               \
    X(mask_from_alpha, SWITCH, 0, 0, NULL, "false", "paint where the picture is transparent")      \
    X(strength, NUMBER, 0, 1, NULL, NULL,                                                          \
      "start from the picture, noised so far (default with a mask: 0.8)")                          \
    X(extend, SIDES, 0, 8192, NULL, NULL,                                                          \
      "pixels to add at left, top, right and bottom, and to paint")                                \
    X(feather, INT, 0, 1024, NULL, "0",                                                            \
      "fade the painted part in over so many pixels inside the mask")

/* struct vt_layers_request */
#define PARAMS_LAYERS(X)                                                                           \
    X(model, TEXT, 1, 255, NULL, NULL, "model to use (default: the first that can do this)")       \
    X(image, PICTURE, 0, 0, NULL, NULL, "picture to take apart; its alpha counts")                 \
    X(layers, INT, 1, 10, NULL, NULL, "how many (default: the model's, or 4)")                     \
    X(prompt, TEXT, 0, PARAM_PROMPT_MAX, NULL, NULL,                                               \
      "what is in the picture (default: the model's, or a caption; \"\" asks for one)")            \
    X(negative_prompt, TEXT, 0, PARAM_PROMPT_MAX, NULL, "\" \"", "what guidance leads away from")  \
    X(cfg, NUMBER, 0, 100, NULL, NULL,                                                             \
      "classifier-free guidance; 1 is none (default: the model's, or 4)")                          \
    X(cfg_normalize, SWITCH, 0, 0, NULL, "false",                                                  \
      "keep the length that the prediction has without guidance")                                  \
    X(steps, INT, 1, 1000, NULL, NULL, "default: the model's, or 50")                              \
    X(resolution, INT, 32, 4096, NULL, NULL,                                                       \
      "work on about so many pixels squared; a multiple of 32 (default: the model's, or 640)")     \
    X(seed, LONG, 0, PARAM_SEED_MAX, NULL, NULL,                                                   \
      "same seed, same layers (default: random, told in the result)")                              \
    X(language, CHOICE, 0, 0, "en|zh", "\"en\"", "language of the caption")                        \
    X(keep_empty, SWITCH, 0, 0, NULL, "false", "keep layers that hold nothing")                    \
    X(merge_duplicates, SWITCH, 0, 0, NULL, "false", "make one of neighbours that hardly differ")  \
    X(full_size, SWITCH, 0, 0, NULL, "false",                                                      \
      "bring the layers to the picture's size and, where known, its colours")                      \
    X(no_modulation_tables, SWITCH, 0, 0, NULL, "false",                                           \
      "evaluate the modulation in place: same result, needs more memory")

/* struct vt_caption_request */
#define PARAMS_CAPTION(X)                                                                          \
    X(model, TEXT, 1, 255, NULL, NULL, "model to use (default: the first that can do this)")       \
    X(image, PICTURE, 0, 0, NULL, NULL, "picture to describe")                                     \
    X(language, CHOICE, 0, 0, "en|zh", "\"en\"", "language of the caption")                        \
    X(max_new_tokens, INT, 1, 16384, NULL, "512", "longest caption")

enum param_type {
    PARAM_TEXT,
    PARAM_INT,
    PARAM_LONG,
    PARAM_NUMBER,
    PARAM_SWITCH,
    PARAM_CHOICE,
    PARAM_SIDES,
    PARAM_IMAGE,
    PARAM_PICTURE,
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
