#include "support/device.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "veetance.h"

/* Mesa 22.3 (Debian 12) builds its software driver with LLVM 15. Its queue thread uses memory after it was
 * freed, which ends the process at random; Mesa 25 with LLVM 19 runs the same tests. */
static bool driver_is_broken(const struct vt_device *d)
{
    return strstr(d->description, "llvmpipe (LLVM 15") != NULL;
}

bool parity_device_works(const char *name)
{
    struct vt_device list[32];
    struct vt_error err;
    size_t n = 0;
    if (vt_devices(list, 32, &n, &err) != VT_OK)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (strncasecmp(list[i].name, name, strlen(name)) != 0)
            continue;
        if (driver_is_broken(&list[i]))
            printf("skipped: the driver of %s (%s) is known to crash\n", name, list[i].description);
        return !driver_is_broken(&list[i]);
    }
    printf("skipped: this machine has no device '%s'\n", name);
    return false;
}
