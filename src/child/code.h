/* code.h - values to bytes and back, by one description for both ways.
 *
 *     static void code_point(struct code *c, struct point *p)
 *     {
 *         code_int(c, &p->x, 0, 4096);
 *         code_chars(c, p->name, sizeof p->name);
 *     }
 *
 * The same function writes a point (code_to) and reads one (code_from), so that both ends cannot disagree. Reading
 * trusts nothing: a number out of its range, a text that is too long or has no end, an image whose pixels
 * are not there, and bytes that are left over make the whole message bad, which is asked once at the end (code_end).
 * What was read into is then not to be used. Until code_deinit texts and pixels that were read are borrowed from the
 * message. Both processes are the same program on one machine: numbers are written as they lie in memory. */
#ifndef VT_CHILD_CODE_H
#define VT_CHILD_CODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "child/shared.h"
#include "child/wire.h"
#include "veetance.h"

/* An image that came as a file: its reader has to fill in the pixels. */
struct code_file {
    struct vt_image *image;
    int fd; /* the message's */
};

struct code {
    bool reading, bad;
    bool strict;    /* reading: no number is NaN, and what is no UTF-8 in a text becomes '?' */
    struct buf out; /* written so far */
    int fds[WIRE_MAX_FDS];
    int n_fds; /* written; or read so far */
    struct wire_message *in;
    size_t at;
    struct shared_area areas[WIRE_MAX_FDS];
    int n_areas;
    struct code_file files[WIRE_MAX_FDS];
    int n_files;
    struct err err; /* why it could not be written: an image's file cannot be read, no memory */
};

void code_to(struct code *c);
/* m stays the caller's, and lives longer. */
void code_from(struct code *c, struct wire_message *m);
/* ERR_FORMAT: what was read makes no sense. Of one that writes: what kept it from it. */
ERR_MUST_CHECK enum err_code code_end(struct code *c, struct err *e);
/* What was written, as one message; as code_end and wire_send fail. c stays the caller's. */
ERR_MUST_CHECK enum err_code code_send(struct code *c, int socket, uint32_t type, bool wait,
                                       struct err *e);
void code_deinit(struct code *c);

/* ---- values: written, or read into what the pointer leads to -------------------------------------------- */

void code_i64(struct code *c, int64_t *v, int64_t lo, int64_t hi);
void code_int(struct code *c, int *v, int lo, int hi);
void code_u64(struct code *c, uint64_t *v);
void code_size(struct code *c, size_t *v);
void code_flag(struct code *c, int *v);
void code_double(struct code *c, double *v);
/* A text in an array of this size. */
void code_chars(struct code *c, char *text, size_t size);
/* NULL, or a text of less than max bytes. */
void code_text(struct code *c, const char **text, size_t max);
/* One without pixels and file, or one with either. Pixels go through shared memory, a file is handed over opened. */
void code_image(struct code *c, struct vt_image *im);

#endif
