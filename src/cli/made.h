/* made.h - is a result of an earlier run whole, and of the same request? By the recipe that it carries: what the
 * request says must be in it; what the request leaves open may be anything. Images that it was made of are compared
 * by name. */
#ifndef VT_CLI_MADE_H
#define VT_CLI_MADE_H

#include "cli/run.h"
#include "veetance.h"

/* q as it would run, its images' names filled in. */
enum cli_made cli_made_image(const char *path, const struct vt_request *q);
/* A folder of layers, or a document: that has no recipe, and is whole when it can be read. image: its name. */
enum cli_made cli_made_layers(const char *path, const struct vt_layers_request *q,
                              const char *image);

#endif
