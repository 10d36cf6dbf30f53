#include "cli/device_arg.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "cli/suggest.h"
#include "nn/device.h"

enum { MAX_DEVICES = 64 };

static const char *const kinds[] = {"auto", "cpu", "vulkan", "cuda", "hip", "sycl"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* "vulkan" or "vulkan1". */
static bool is_known(const char *name)
{
    if (strncasecmp(name, "rpc:", 4) == 0)
        return true;
    for (size_t i = 0; i < KINDS; i++) {
        size_t n = strlen(kinds[i]);
        if (strncasecmp(name, kinds[i], n) == 0 && name[n + strspn(name + n, "0123456789")] == 0)
            return true;
    }
    return false;
}

enum err_code cli_device_check(const char *name, struct err *e)
{
    struct cli_suggestion s = {.typed = name};
    size_t n = 0;
    if (is_known(name))
        return ERR_OK;
    struct nn_device_info *list = mem_alloc(MAX_DEVICES * sizeof *list);
    enum err_code rc = nn_device_list(list, MAX_DEVICES, &n, e);
    bool found = false;
    for (size_t i = 0; i < KINDS; i++)
        cli_suggest(&s, kinds[i]);
    for (size_t i = 0; i < n; i++) {
        found = found || strcasecmp(list[i].name, name) == 0;
        cli_suggest(&s, list[i].name);
    }
    if (rc == ERR_OK && !found)
        rc = err_set(e, ERR_ARG,
                     "there is no device '%.60s'; `veetance devices` lists what this machine has%s",
                     name, cli_suggest_text(&s));
    mem_free(list);
    return rc;
}
