#include "cli/recipe_arg.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/image_in.h"
#include "image/save.h"

enum { MAX_RECIPE = 8 << 20, MAX_IMAGE_FILE = 512 << 20 };

enum err_code cli_recipe_read(const char *from, struct recipe *out, struct err *e)
{
    struct buf bytes = {0}, text;
    enum err_code rc;
    buf_init(&text, MAX_RECIPE);
    TRY_GOTO(cli_read_input(from, MAX_IMAGE_FILE, &bytes, e), done);
    TRY_GOTO(image_parameters(buf_str(&bytes), &text, e), done);
    rc = recipe_read(buf_str(&text), out, e);
done:
    buf_deinit(&bytes);
    buf_deinit(&text);
    from = cli_input_name(from);
    return rc == ERR_OK || strstr(e->text, from) ? rc : err_note(e, "'%s'", from);
}

enum err_code cli_recipe_image(const char *from, const char *name, char out[CLI_PATH_BYTES],
                               struct err *e)
{
    const char *slash = strrchr(from, '/');
    (void)snprintf(out, CLI_PATH_BYTES, "%s", name);
    if (name[0] && !file_exists(out) && slash)
        (void)snprintf(out, CLI_PATH_BYTES, "%.*s/%s", (int)(slash - from), from, name);
    if (name[0] && file_exists(out))
        return ERR_OK;
    return err_set(e, ERR_NOTFOUND,
                   "the recipe's image '%.200s' is not here; name it with -i (a mask with --mask)",
                   name);
}
