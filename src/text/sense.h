/* sense.h - is this something that a language model said, or noise? A model that is untrained, broken or of another
 * precision than it can bear does not stop with an error: it emits control characters, broken UTF-8, or the same
 * words without end. */
#ifndef VT_TEXT_SENSE_H
#define VT_TEXT_SENSE_H

#include "base/str.h"

/* NULL, or what is wrong with the text, as the end of a sentence ("has control characters"). Static string. */
const char *text_nonsense(struct str s);

#endif
