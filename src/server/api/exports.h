/* exports.h - projects as files, made once a revision: the last ones are kept, as files without names that end with
 * the process.
 *
 * Threads: any may call. */
#ifndef VT_SERVER_API_EXPORTS_H
#define VT_SERVER_API_EXPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exports;

enum { EXPORTS_FILES = 16, EXPORTS_THUMBNAILS = 128 };

/* max: how many files are kept open. */
struct exports *exports_new(size_t max);
/* Accepts NULL. */
void exports_free(struct exports *x);

/* key: the project, its revision and the format. A descriptor of the caller's own; false when it is not there. */
bool exports_find(struct exports *x, const char *key, int *fd, uint64_t *bytes);
/* Keeps a copy of the descriptor; what was not asked for longest goes. */
void exports_keep(struct exports *x, const char *key, int fd, uint64_t bytes);

#endif
