/* sense.h - is a caption plausible text, or noise? A model that is untrained, broken or run in too low a
 * precision does not stop with an error: it emits control characters, broken UTF-8, or the same
 * words without end. */
#ifndef VT_TEXT_SENSE_H
#define VT_TEXT_SENSE_H

#include "base/str.h"

/* NULL when the text looks fine, else what is wrong with it, as the end of a sentence ("has
 * control characters"). Static string. */
const char *text_nonsense(struct str s);

#endif
