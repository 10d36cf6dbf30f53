/* stack.h - a stack of RGBA layers on a canvas: what an image is taken apart into, what the person
 * edits, and what all layer formats are written from and read to.
 *
 * A layer is an RGBA image at a place on the canvas; it may be smaller than the canvas and may reach
 * over its edges. Layers are kept bottom first. A layer's id never changes once it is in a stack: not
 * when it is moved, renamed or repainted, nor through a PSD or OpenRaster file and back.
 *
 * Layers may lie in groups, and groups in groups: a layer names the innermost one around it. Layers of one group lie
 * together. A group is composed by itself, with its own opacity and blend mode. Readers give groups only to who asks
 * (struct layers_limits); everything that moves or merges layers takes them as if there were none.
 *
 *     struct layer_stack s;
 *     layer_stack_init(&s, 640, 640);
 *     struct layer l = layer_from_image(&image); // takes the pixels
 *     layer_set_name(&l, STR_LIT("red, upper left"));
 *     rc = layer_stack_add(&s, &l, e);             // takes the layer, whatever rc is
 *     ...
 *     layer_stack_deinit(&s);
 *
 * Ownership: a stack owns its layers, a layer its pixels. Functions that take a layer or stack "over"
 * leave the caller's struct empty, on failure too. One thread at a time.
 */
#ifndef VT_LAYERS_STACK_H
#define VT_LAYERS_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "image/about.h"
#include "image/composite.h"
#include "image/image.h"
#include "image/sink.h"

enum {
    LAYER_ID_SIZE = 64,         /* with the NUL; letters, digits, '.', '_' and '-' */
    LAYER_NAME_SIZE = 256,      /* with the NUL; UTF-8 without control characters */
    LAYER_OFFSET_MAX = 1000000, /* how far from the canvas' corner a layer may lie */
    LAYERS_MAX = 4096,
    LAYERS_GROUP_DEPTH_MAX = 16, /* groups in groups */
};

struct layer {
    char id[LAYER_ID_SIZE]; /* "" until the layer is put into a stack */
    char name[LAYER_NAME_SIZE];
    int x, y;       /* of the image's upper left pixel on the canvas */
    double opacity; /* 0 to 1 */
    enum blend_mode blend;
    bool visible;
    size_t group;       /* 1 + index in the stack's groups; 0: it lies in none */
    struct image image; /* RGBA, at least 1 x 1 */
};

struct layer_group {
    char id[LAYER_ID_SIZE];
    char name[LAYER_NAME_SIZE];
    double opacity;
    enum blend_mode blend;
    bool visible;
    size_t parent; /* as a layer's group */
};

/* How the flattened stack compares with the flattened image of the document it came from. */
struct layers_merged {
    bool known;              /* the document had one */
    double psnr_db;          /* infinite when they are equal */
    struct image_rect worst; /* where they differ most, and how much there */
    double worst_psnr_db;
};

struct layer_stack {
    int w, h; /* the canvas */
    size_t n, cap;
    struct layer *layers; /* bottom first */
    size_t n_groups, cap_groups;
    struct layer_group *groups; /* in no order; each has layers in it */
    /* Of the document that it was read from: what could not be kept as it was, a line each. "" else. */
    struct buf notes;
    struct layers_merged merged;
    /* Where its pixels came from, as far as that is known. Files that are written of it say so, and it is read back. */
    struct image_about about;
};

/* What a file with layers may cost its reader, over all layers together. */
struct layers_limits {
    int max_side;
    size_t max_layers;
    uint64_t max_pixels;
    bool groups;    /* are kept; else they become layers that look the same */
    bool untrusted; /* as in struct image_limits */
};
struct layers_limits layers_limits_defaults(void); /* 30,000; 1,000; 512 megapixels */

/* How many pixels a file with layers has, as far as its headers say. */
struct layers_size {
    uint64_t canvas, all, largest; /* all: of the layers and masks together */
};

/* For the canvas that a file claims: its sides and area, with which the stack will be flattened. */
ERR_MUST_CHECK enum err_code layers_check_canvas(const struct layers_limits *limits, int64_t w,
                                                 int64_t h, struct err *e);

/* ---- one layer ------------------------------------------------------------------------------- */

/* A visible, opaque, unnamed layer at 0, 0. Takes the pixels over (zeroes *im). */
struct layer layer_from_image(struct image *im);
void layer_deinit(struct layer *l);
/* Ill-formed UTF-8 and control characters become '?', what is too long is cut between characters. */
void layer_set_name(struct layer *l, struct str name);
/* False (and the id left alone) when it is empty, too long or has other characters than allowed. */
bool layer_set_id(struct layer *l, struct str id);

/* ---- the stack ------------------------------------------------------------------------------- */

void layer_stack_init(struct layer_stack *s, int w, int h);
void layer_stack_deinit(struct layer_stack *s);

/* One line for s->notes. Beyond 64 KiB they are left out. */
void layer_stack_note(struct layer_stack *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts the layer at index (0 = bottom, s->n = top) and takes it over. A layer without an id, or with
 * one that the stack already has, gets one from its pixels and place (the same for the same input).
 * ERR_ARG for an image that is not RGBA, or values out of range; ERR_LIMIT; ERR_NOMEM. */
ERR_MUST_CHECK enum err_code layer_stack_insert(struct layer_stack *s, size_t index,
                                                struct layer *l, struct err *e);
ERR_MUST_CHECK enum err_code layer_stack_add(struct layer_stack *s, struct layer *l, struct err *e);
/* Takes the layer at index out and frees it. */
void layer_stack_remove(struct layer_stack *s, size_t index);
/* Takes the layer at index out and gives it to the caller. */
struct layer layer_stack_take(struct layer_stack *s, size_t index);
void layer_stack_move(struct layer_stack *s, size_t from, size_t to);
/* Whether a layer or a group has it. */
bool layer_stack_has_id(const struct layer_stack *s, const char *id);
/* Index of the layer with that id, s->n when there is none. */
size_t layer_stack_find(const struct layer_stack *s, struct str id);
ERR_MUST_CHECK enum err_code layer_stack_copy(const struct layer_stack *s, struct layer_stack *out,
                                              struct err *e);

/* ---- groups ---------------------------------------------------------------------------------- */

/* Adds a group without layers; *at is its number (1 + index). One without an id, or with one that the stack already
 * has, gets another. ERR_NOMEM. */
ERR_MUST_CHECK enum err_code layer_stack_add_group(struct layer_stack *s,
                                                   const struct layer_group *g, size_t *at,
                                                   struct err *e);
/* Takes groups without layers out. */
ERR_MUST_CHECK enum err_code layer_stack_prune_groups(struct layer_stack *s, struct err *e);
/* ERR_FORMAT for groups that go round, are nested too deep or lie in none that is there, and for layers of a group that do
 * not lie together. */
ERR_MUST_CHECK enum err_code layer_stack_check_groups(const struct layer_stack *s, struct err *e);
/* The layer's or group's outermost group; 0: none. */
size_t layer_stack_outermost(const struct layer_stack *s, size_t group);

/* Called for each layer, and before and after the layers of each group. Each may be NULL. */
struct layers_visitor {
    enum err_code (*begin)(void *user, const struct layer_group *g, struct err *e);
    enum err_code (*layer)(void *user, size_t index, struct err *e);
    enum err_code (*end)(void *user, const struct layer_group *g, struct err *e);
    void *user;
    bool down; /* from the top */
};
ERR_MUST_CHECK enum err_code layers_visit(const struct layer_stack *s,
                                          const struct layers_visitor *v, struct err *e);

/* ---- what it looks like ---------------------------------------------------------------------- */

/* All visible layers composed, RGBA of the canvas' size, transparent where nothing is. */
/* out: asked between layers whether it is still wanted; NULL: nobody is. */
ERR_MUST_CHECK enum err_code layers_flatten_for(const struct layer_stack *s,
                                                const struct image_out *out, struct image *flat,
                                                struct err *e);
ERR_MUST_CHECK enum err_code layers_flatten(const struct layer_stack *s, struct image *out,
                                            struct err *e);

/* The visible ones of layers first to last (inclusive), composed as if they were alone, become one
 * normal layer in their place, with the name and id of the topmost. Hidden ones among them go. */
ERR_MUST_CHECK enum err_code layers_merge(struct layer_stack *s, size_t first, size_t last,
                                          struct err *e);

/* Puts a decomposition of the layer at index into its place: sub's canvas is that layer's image,
 * resampled when it was made at another size. The new layers get the parent's offset, opacity and
 * visibility, the bottom one its blend mode, and its name in front of theirs. Takes sub over. */
ERR_MUST_CHECK enum err_code layers_replace(struct layer_stack *s, size_t index,
                                            struct layer_stack *sub, struct err *e);

#endif
