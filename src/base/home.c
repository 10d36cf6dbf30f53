#include "base/home.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

enum { PATH_BYTES = 4096 };

static enum err_code folder(enum home_kind kind, char *out, size_t size, struct err *e)
{
    const char *own = getenv("VEETANCE_HOME"), *home = getenv("HOME");
    const char *xdg = getenv(kind == HOME_CONFIG ? "XDG_CONFIG_HOME" : "XDG_DATA_HOME");
    int n;
    if (own && *own)
        n = snprintf(out, size, "%s", own);
    else if (xdg && xdg[0] == '/') /* the XDG specification: ignore relative paths */
        n = snprintf(out, size, "%s/veetance", xdg);
    else if (home && *home)
        n = snprintf(out, size, "%s/%s/veetance", home,
                     kind == HOME_CONFIG ? ".config" : ".local/share");
    else
        return err_set(e, ERR_NOTFOUND, "neither VEETANCE_HOME nor HOME is set");
    if (n < 0 || (size_t)n >= size)
        return err_set(e, ERR_LIMIT, "the path of the home folder is too long");
    return ERR_OK;
}

enum err_code home_path(enum home_kind kind, const char *name, char *out, size_t out_size,
                        struct err *e)
{
    char dir[PATH_BYTES];
    if (!name)
        return folder(kind, out, out_size, e);
    TRY(folder(kind, dir, sizeof dir, e));
    return file_join(out, out_size, dir, name, e);
}
