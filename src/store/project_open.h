/* project_open.h - a file as a project: PSD, OpenRaster, ZIP of layers.json, or an image.
 *
 * Pixels become images of the store, as PNG; a PNG, JPEG or WebP is taken as it is. The bytes may be hostile. */
#ifndef VT_STORE_PROJECT_OPEN_H
#define VT_STORE_PROJECT_OPEN_H

#include "store/projects.h"

/* The memory that it takes at most, by the headers of the file that fd is, of so many bytes. */
uint64_t project_open_weight(struct store *s, int fd, uint64_t bytes);

/* Makes *out, which is to be given to project_create; name: what the file is called, or "". notes is initialised here:
 * what could not be kept as it was, a line each. After a failure both are empty. Caller: project_deinit, buf_deinit. */
ERR_MUST_CHECK enum err_code project_open(struct store *s, int fd, uint64_t bytes, const char *name,
                                          struct project *out, struct buf *notes, struct err *e);

#endif
