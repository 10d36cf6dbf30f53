/* unicode.h - UTF-8 to UTF-16 and back, for formats that keep text in UTF-16. Only for this folder. */
#ifndef VT_IMAGE_UNICODE_H
#define VT_IMAGE_UNICODE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* One code point of well-formed UTF-8 at s.p[*at]. */
uint32_t unicode_next(struct str s, size_t *at);

/* A code point as UTF-8: 1 to 4 bytes, which are counted. */
size_t unicode_to_utf8(uint32_t v, char out[4]);

/* Well-formed UTF-8 as UTF-16 in big-endian order; how many units. */
size_t unicode_add_utf16(struct buf *out, struct str utf8);

/* UTF-16 to UTF-8, unit by unit: *high starts at 0 and holds the first half of a pair. False while a code point is
 * not complete; halves without their other become '?'. */
bool unicode_from_unit(uint32_t unit, uint32_t *high, uint32_t *out);

/* How a text is cut that has no room: its first `head` bytes stay, then UNICODE_CUT, then what begins at `tail`: the
 * last line, where a recipe has its numbers, unless that alone takes half of the room. A text that has room: head is
 * tail. cost: what one character takes, which it steps over. */
#define UNICODE_CUT "[cut]"
struct unicode_cut {
    size_t head, tail;
};
struct unicode_cut unicode_cut(struct str s, size_t room, size_t (*cost)(struct str s, size_t *at));

#endif
