/* zipfile.h - ZIP archives, written piece by piece and, on libzip, read from memory: what OpenRaster, PPTX and the
 * ZIP export share.
 *
 * Writing keeps the order of the entries, stamps them all with the same date (two exports of one
 * stack have the same bytes) and holds no more than one packed entry. libzip would hold them all: it writes when the
 * archive is closed, and wants to go back in what it has written.
 *
 *     struct zipfile_writer *z = zipfile_writer_new(&out);
 *     zipfile_add(z, "mimetype", bytes, ZIPFILE_STORED);
 *     rc = zipfile_finish(z, e); // reports whatever went wrong on the way
 *     zipfile_writer_free(z);
 *
 * Reading is for archives from outside: the number of entries, the size of each, the sum of all and
 * the ratio of what is packed are bounded before anything is unpacked, and sizes in the directory are
 * not believed when the data say otherwise. Names are keys here, never paths on a disk.
 *
 * One thread at a time per writer or reader.
 */
#ifndef VT_LAYERS_ZIPFILE_H
#define VT_LAYERS_ZIPFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "image/sink.h"

enum zipfile_method { ZIPFILE_STORED, ZIPFILE_DEFLATED };

/* The archives that we write stay below this, so that no reader needs ZIP64. */
#define ZIPFILE_MAX_BYTES ((size_t)2 << 30)

struct zipfile_writer;

/* Caller frees with zipfile_writer_free; NULL when memory is out (every function accepts it). out is borrowed. */
struct zipfile_writer *zipfile_writer_new(const struct image_out *out);
void zipfile_writer_free(struct zipfile_writer *z);

/* Written at once. Failures stick and are reported by zipfile_finish. name is ASCII. */
void zipfile_add(struct zipfile_writer *z, const char *name, struct str bytes,
                 enum zipfile_method method);

/* What has gone wrong until now, or that the archive is not wanted any more: no need to make further entries. */
ERR_MUST_CHECK enum err_code zipfile_poll(struct zipfile_writer *z, struct err *e);

/* The directory, with which the archive is whole. */
ERR_MUST_CHECK enum err_code zipfile_finish(struct zipfile_writer *z, struct err *e);

struct zipfile_limits {
    size_t max_entries;
    size_t max_entry_bytes; /* unpacked */
    size_t max_total_bytes; /* unpacked, all entries */
    size_t max_ratio;       /* unpacked : packed, of entries over 4 MiB unpacked */
};
struct zipfile_limits zipfile_limits_defaults(void);

struct zipfile_reader;

/* Opens the library that reads archives. */
ERR_MUST_CHECK enum err_code zipfile_prepare(struct err *e);

/* bytes stay borrowed until zipfile_close. */
ERR_MUST_CHECK enum err_code zipfile_open(struct str bytes, const struct zipfile_limits *limits,
                                          struct zipfile_reader **out, struct err *e);
void zipfile_close(struct zipfile_reader *z);

bool zipfile_has(const struct zipfile_reader *z, const char *name);

size_t zipfile_count(const struct zipfile_reader *z);
/* The first n bytes of an entry; false when it has fewer or they cannot be read. */
bool zipfile_peek(struct zipfile_reader *z, size_t index, char *bytes, size_t n);

/* Unpacks one entry into out (which this initialises; on failure it is empty). */
ERR_MUST_CHECK enum err_code zipfile_read(struct zipfile_reader *z, const char *name,
                                          struct buf *out, struct err *e);

#endif
