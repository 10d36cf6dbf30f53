/* nfc.h - Unicode normalisation form C, in linear time for any input. */
#ifndef VT_TEXT_NFC_H
#define VT_TEXT_NFC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* True when every character of text (well-formed UTF-8) is of a range in which nothing ever changes or
 * composes, so that text is in form C already. False means "perhaps not": most text of most scripts
 * is answered with true. */
bool nfc_is_trivial(struct str text);

/* Appends the form C of text to out. ERR_NOMEM, ERR_LIMIT where out is full. */
ERR_MUST_CHECK enum err_code nfc_append(struct str text, struct buf *out, struct err *e);

#endif
