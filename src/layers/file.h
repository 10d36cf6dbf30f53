/* file.h - stacks to and from files, whatever the format: what `layers export` and `layers
 * import` are made of. */
#ifndef VT_LAYERS_FILE_H
#define VT_LAYERS_FILE_H

#include "base/err.h"
#include "base/str.h"
#include "image/sink.h"
#include "layers/stack.h"

enum layers_format {
    LAYERS_PNG,  /* a folder: layer_<i>.png, composite.png, layers.json */
    LAYERS_PSD,  /* psd.h */
    LAYERS_ORA,  /* ora.h */
    LAYERS_PPTX, /* pptx.h; only written */
    LAYERS_ZIP,  /* the folder's files as an archive */
    LAYERS_FORMATS
};

/* "png", "psd", "ora", "pptx", "zip": also the files' extensions. Static string. */
const char *layers_format_name(enum layers_format format);
/* False and *out left alone when there is no such format. */
bool layers_format_from_name(struct str name, enum layers_format *out);

/* All but LAYERS_PNG, which is a folder (ERR_ARG). */
ERR_MUST_CHECK enum err_code layers_write(const struct layer_stack *s, enum layers_format format,
                                          const struct image_out *out, struct err *e);

/* path is a folder for LAYERS_PNG, a file for all others. */
ERR_MUST_CHECK enum err_code layers_export(const struct layer_stack *s, enum layers_format format,
                                           const char *path, struct err *e);

/* A folder or file in any of the formats that are read, told by its bytes, not by its name; a plain
 * image gives one layer. out is initialised here and empty after a failure. limits NULL = defaults.
 * Caller: layer_stack_deinit. */
ERR_MUST_CHECK enum err_code layers_import(const char *path, const struct layers_limits *limits,
                                           struct layer_stack *out, struct err *e);
/* The same of bytes; a folder is none. */
ERR_MUST_CHECK enum err_code layers_import_memory(struct str bytes,
                                                  const struct layers_limits *limits,
                                                  struct layer_stack *out, struct err *e);

/* Opens the libraries that such a file may need, for who cannot open files later on. */
ERR_MUST_CHECK enum err_code layers_prepare(struct str bytes, struct err *e);

/* What reading these bytes will take, by their headers alone. A file that hides more in it is stopped by limits of so
 * many pixels. */
ERR_MUST_CHECK enum err_code layers_measure(struct str bytes, struct layers_size *out,
                                            struct err *e);

#endif
