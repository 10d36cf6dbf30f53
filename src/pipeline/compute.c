#include "pipeline/compute.h"

#include <string.h>

#include "pipeline/report.h"

enum err_code compute_choose(struct devices on, const char *compute, const struct vt_callbacks *cb,
                             struct err *e)
{
    struct nn_device_info info;
    struct nn_device *of[] = {on.text, on.transformer};
    bool int8 = compute && strcmp(compute, "int8") == 0, any_cpu = false, any = false;
    if (compute && !int8 && strcmp(compute, "default") != 0)
        return err_set(e, ERR_ARG, "compute is '%.40s'; it should be default or int8", compute);
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        nn_device_use_int8(of[i], int8);
        any_cpu |= nn_device_is_cpu(of[i]);
        any |= nn_device_int8(of[i]);
    }
    nn_device_info(on.transformer, &info);
    if (int8 && !any_cpu)
        return err_set(e, ERR_ARG,
                       "compute int8 is for the CPU; on '%s' --weights q8_0 saves as much memory",
                       info.name);
    if (int8 && !any)
        report_note(cb, "compute int8 has no effect: this processor has no VNNI or AMX, or oneDNN "
                        "is not installed");
    return ERR_OK;
}
