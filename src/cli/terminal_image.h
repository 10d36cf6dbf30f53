/* terminal_image.h - images as the bytes that make a terminal draw them at the cursor, which stays where it was.
 *
 * im: RGB, 8 bits. out gets the bytes appended; a failure sticks to it. */
#ifndef VT_CLI_TERMINAL_IMAGE_H
#define VT_CLI_TERMINAL_IMAGE_H

#include "base/buf.h"
#include "image/image.h"

/* Kitty's graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol): kitty, Ghostty, WezTerm, Konsole. Replaces
 * the one that was drawn before. */
void terminal_kitty(const struct image *im, struct buf *out);
/* DEC's sixels, 216 colours: xterm -ti vt340, foot, mlterm, WezTerm, Windows Terminal. */
void terminal_sixel(const struct image *im, struct buf *out);

#endif
