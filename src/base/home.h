/* home.h - where this program keeps its own files: $VEETANCE_HOME for everything, else the XDG folders. */
#ifndef VT_BASE_HOME_H
#define VT_BASE_HOME_H

#include <stddef.h>

#include "base/err.h"

enum home_kind {
    HOME_CONFIG, /* $XDG_CONFIG_HOME/veetance, ~/.config/veetance */
    HOME_DATA,   /* $XDG_DATA_HOME/veetance, ~/.local/share/veetance */
};

/* The folder's path, with "/NAME" appended unless name is NULL; creates nothing. ERR_NOTFOUND when no home is set. */
ERR_MUST_CHECK enum err_code home_path(enum home_kind kind, const char *name, char *out,
                                       size_t out_size, struct err *e);

#endif
