/* rotary.h - rotary tables of tokens that have a position on each of several axes.
 *
 * A part of a row follows from its axis and the token's position there alone, and images have few positions and many
 * tokens. So an angle's cosine and sine are computed for the first token that needs them, and copied from it for later
 * ones: of 4096 image tokens and 512 of text, for about one in thirty. Values are those of computing each one. */
#ifndef VT_MODEL_ROTARY_H
#define VT_MODEL_ROTARY_H

#include <stdint.h>

enum { MODEL_ROTARY_AXES = 4, MODEL_ROTARY_REMEMBERED = 256 };

struct model_rotary {
    const int64_t *dims; /* [axes], even */
    int axes;
    float *cos, *sin; /* [tokens, half], half being half of all dims */
    /* Of angle i (0, 2, 4 ...) of an axis. */
    void (*turn)(const void *user, int axis, int64_t i, int64_t position, float *cos, float *sin);
    const void *user;
    int64_t n; /* tokens so far */
    /* By axis and the low bits of a position: 1 + the last token that had it; 0: none. */
    struct {
        int64_t position, token;
    } seen[MODEL_ROTARY_AXES][MODEL_ROTARY_REMEMBERED];
};

/* The next token's row of both tables; position [axes]. */
void model_rotary_append(struct model_rotary *r, const int64_t *position);

#endif
