/* png_io.h - what the PNG reader and writer share: libpng's errors, warnings and memory turned ours.
 * Only for this folder.
 *
 * libpng reports an error by longjmp. Whoever calls it sets the jump point in a function that keeps all
 * that it changes in structs of its caller, so that no local variable is lost on the way. */
#ifndef VT_IMAGE_PNG_IO_H
#define VT_IMAGE_PNG_IO_H

#include <png.h>

#include "base/err.h"
#include "base/str.h"

struct png_io {
    struct err *e;
    const char *doing; /* "the PNG is broken", "cannot write a PNG": in front of libpng's text */
    enum err_code rc;
    bool nomem;       /* one of libpng's allocations failed: says what the next error is */
    struct str bytes; /* reader: what is left of the file */
    bool cut;         /* reader: libpng wanted more than there was */
    /* reader: the last row is there; of what follows only tail_left bytes are given, for libpng unpacks all of it */
    bool in_tail, past_end;
    size_t tail_left;
    char warning[96]; /* the first warning, "" when there was none */
    png_structp png;
    png_infop info;
};

ERR_MUST_CHECK enum err_code png_io_open_read(struct png_io *io, struct str bytes, struct err *e);
ERR_MUST_CHECK enum err_code png_io_open_write(struct png_io *io, struct err *e);
void png_io_close_read(struct png_io *io);
void png_io_close_write(struct png_io *io);

#endif
