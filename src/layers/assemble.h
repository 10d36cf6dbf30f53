/* assemble.h - documents with groups, clipping and erasing layers to a flat stack that looks the same.
 *
 * A reader reports what it finds from the bottom up:
 *
 *     struct layers_assembly a;
 *     layers_assembly_init(&a, stack);
 *     layers_assembly_begin(&a, true, false, e);              // a group's end, seen from below
 *     layers_assembly_add(&a, &layer, LAYERS_OVER, false, e); // takes the layer over
 *     layers_assembly_end(&a, &group, e);                     // the group itself
 *     layers_assembly_finish(&a, e);
 *
 * Layers stay separate where a flat stack can look like the document: with normal blending, over masks and
 * erasers without soft edges. Where it cannot (a half transparent group of layers that overlap, a blend mode inside
 * an isolated group, a soft mask over several layers) the group becomes one layer, and a note in the stack says so.
 * Hidden layers stay what they are, hidden.
 *
 * With .keep groups stay groups of the stack, but those that clip or are clipped to, that have a soft mask, that let
 * blend modes in them act on what is below, or that are nested too deep for a stack. */
#ifndef VT_LAYERS_ASSEMBLE_H
#define VT_LAYERS_ASSEMBLE_H

#include "layers/stack.h"

/* What a layer or group does to what lies below it in its group. */
enum layers_op {
    LAYERS_OVER,     /* as its blend mode says */
    LAYERS_DST_OUT,  /* erases where it is opaque */
    LAYERS_DST_IN,   /* erases where it is transparent */
    LAYERS_SRC_ATOP, /* is seen only where something lies below: clipping */
    LAYERS_DST_ATOP, /* below, where that is transparent; nothing else is left */
};

/* A mask in canvas coordinates; image is of mode L, and NULL when there is only the outside. Borrowed. */
struct layers_mask {
    const struct image *image;
    int x, y;
    unsigned char outside;
};

struct layers_group {
    const char *id; /* where groups are kept; NULL: none */
    const char *name;
    double opacity;
    enum blend_mode blend;
    bool visible;
    bool isolated; /* composed by itself, then put onto what lies below */
    bool clipped;  /* to what the layer or group below it shows */
    enum layers_op op;
    const struct layers_mask *mask; /* NULL: none */
};

enum { LAYERS_MAX_DEPTH = 64 };

struct layers_assembly {
    struct layer_stack *stack;
    bool keep; /* groups stay groups where they can; may be set after layers_assembly_init */
    int depth;
    struct layers_level {
        size_t first; /* index of the level's first layer */
        bool isolated;
        bool has_base; /* what clipped layers are clipped to: layers base .. */
        size_t base;
        bool
            clipping; /* some layer was clipped to it: its opacity and blend mode wait for the end */
        double opacity;
        enum blend_mode blend;
    } levels[LAYERS_MAX_DEPTH + 1];
};

void layers_assembly_init(struct layers_assembly *a, struct layer_stack *s);

/* ERR_LIMIT when groups are nested too deep. A level that is not isolated lets its layers act on those below it.
 * clipped: as the group will say when it ends. */
ERR_MUST_CHECK enum err_code layers_assembly_begin(struct layers_assembly *a, bool isolated,
                                                   bool clipped, struct err *e);
/* Takes the layer over, on failure too. clipped counts in the level where it is added. */
ERR_MUST_CHECK enum err_code layers_assembly_add(struct layers_assembly *a, struct layer *l,
                                                 enum layers_op op, bool clipped, struct err *e);
/* The group that began last. Ends that nothing began are ignored. */
ERR_MUST_CHECK enum err_code layers_assembly_end(struct layers_assembly *a,
                                                 const struct layers_group *g, struct err *e);
/* All levels that are open end. */
ERR_MUST_CHECK enum err_code layers_assembly_finish(struct layers_assembly *a, struct err *e);

/* The stack's groups become layers that look the same. */
ERR_MUST_CHECK enum err_code layers_dissolve_groups(struct layer_stack *s, struct err *e);

/* Multiplies the layer's alpha by the mask. */
void layers_apply_mask(struct layer *l, const struct layers_mask *mask);

/* Compares the flattened stack with the document's flattened image (RGB: on white), and notes in the stack
 * where they differ visibly. */
ERR_MUST_CHECK enum err_code layers_check_merged(struct layer_stack *s, const struct image *merged,
                                                 struct err *e);

#endif
