/* bytelevel.h - the byte-level alphabet of GPT-2 tokenizers, and lossy UTF-8.
 *
 * In tokenizer files every byte of a token is written as one printable character: the 188 printable
 * Latin-1 bytes as themselves, the other 68 (blanks, controls, 0x7f..0xa0, 0xad) in ascending order as
 * U+0100 .. U+0143. So " the" is written "\u0120the".
 */
#ifndef VT_TEXT_BYTELEVEL_H
#define VT_TEXT_BYTELEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum { BYTELEVEL_CHARS = 0x144 };

/* Both directions; built once per tokenizer. */
struct bytelevel {
    int16_t byte_of[BYTELEVEL_CHARS]; /* by code point; -1 where it stands for no byte */
};

void bytelevel_init(struct bytelevel *b);

/* Turns written characters (well-formed UTF-8) into the bytes they stand for: at most text.n of them,
 * into out. False when some character stands for no byte (*n is then unset). */
bool bytelevel_decode(const struct bytelevel *b, struct str text, char *out, size_t *n);

/* Appends bytes as UTF-8: what is no UTF-8 becomes one U+FFFD for each maximal prefix of a well-formed
 * sequence, else for each byte. */
void utf8_append_lossy(struct buf *out, struct str bytes);

#endif
