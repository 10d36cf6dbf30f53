/* doctor_devices.c - the devices that were found, the pin and the models, as lines of `veetance doctor`.
 *
 * What a driver lacks is told with the package that brings it; no graphics processor, no pin or an unusable model is
 * a note with the command that mends it, as everything else works without.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "cli/doctor.h"
#include "library/models.h"
#include "nn/device.h"
#include "nn/pin.h"

enum { MAX_DEVICES = 64 };

static const double GIB = 1024.0 * 1024.0 * 1024.0;

/* ---- devices --------------------------------------------------------------------------------------- */

static void json_device(struct doctor *d, const struct nn_device_info *info, const char *library)
{
    struct buf *b = &d->details;
    json_object(b, NULL);
    json_put_z(b, "name", info->name);
    json_put_z(b, "description", info->description);
    json_put_z(b, "library", library);
    json_put_uint(b, "total_bytes", info->total_bytes);
    json_put_uint(b, "free_bytes", info->free_bytes);
    json_end_object(b);
}

static void one_device(struct doctor *d, const struct nn_device_info *info)
{
    struct nn_device *device = NULL;
    struct err e = {0};
    if (nn_device_open(info->name, 1, &device, &e) != ERR_OK) {
        doctor_add(d, DOCTOR_BAD, "devices", "update the driver, or use --device cpu", "%s: %s",
                   info->name, e.text);
        return;
    }
    doctor_add(d, DOCTOR_OK, "devices", NULL, "%s: %s, %.1f of %.1f GiB free; %s%s", info->name,
               info->description, (double)info->free_bytes / GIB, (double)info->total_bytes / GIB,
               nn_device_library(device),
               info->is_software ? "; emulated, never chosen unasked" : "");
    json_device(d, info, nn_device_library(device));
    nn_device_close(device);
}

/* NVIDIA's module makes its device files through a helper that runs as root, which no program may start once
 * it has given up new privileges. */
static void look_for_nvidia(struct doctor *d)
{
    if (file_exists("/proc/driver/nvidia/version") && !file_exists("/dev/nvidia-uvm"))
        doctor_add(
            d, DOCTOR_NOTE, "devices", "run `nvidia-modprobe -u -c 0` once after each boot",
            "NVIDIA's driver is loaded, but /dev/nvidia-uvm is not there: CUDA will not start");
}

void doctor_devices(struct doctor *d)
{
    struct nn_device_info *list = mem_alloc(MAX_DEVICES * sizeof *list);
    struct err e = {0};
    size_t n = 0;
    bool gpu = false;
    if (nn_device_list(list, MAX_DEVICES, &n, &e) != ERR_OK)
        doctor_add(d, DOCTOR_BAD, "devices", "install ggml's backends (package libggml0)", "%s",
                   e.text);
    json_array(&d->details, "devices");
    for (size_t i = 0; i < n; i++) {
        one_device(d, &list[i]);
        gpu = gpu || (!list[i].is_cpu && !list[i].is_software);
    }
    json_end_array(&d->details);
    if (n && !gpu)
        doctor_add(d, DOCTOR_NOTE, "devices",
                   "with a GPU in the machine: install its Vulkan driver and the package "
                   "libggml0-backend-vulkan",
                   "no graphics processor can be used; everything runs on the processor");
    look_for_nvidia(d);
    mem_free(list);
}

static enum doctor_state check_library(struct doctor *d, const struct nn_pin_library *lib)
{
    struct err e = {0};
    if (!lib->path[0] || nn_pin_library_check(lib, &e) == ERR_OK)
        return DOCTOR_OK;
    doctor_add(d, DOCTOR_NOTE, "pin", "the next start pins anew; or `veetance devices --pin`", "%s",
               e.text);
    return DOCTOR_NOTE;
}

void doctor_pin(struct doctor *d)
{
    char path[NN_PIN_PATH_BYTES];
    struct err e = {0};
    struct nn_pin *pin = mem_alloc(sizeof *pin);
    enum err_code rc;
    TRY_GOTO(nn_pin_path(path, sizeof path, &e), done);
    rc = nn_pin_read(path, pin, &e);
done:
    json_put_z(&d->details, "pinned", rc == ERR_OK ? pin->device : NULL);
    if (rc == ERR_OK) {
        if (check_library(d, &pin->library) == DOCTOR_OK &&
            check_library(d, &pin->cpu) == DOCTOR_OK)
            doctor_add(d, DOCTOR_OK, "pin", NULL,
                       "'%s' is pinned: starts load %s and look no further", pin->device,
                       pin->library.path[0] ? pin->library.path : pin->cpu.path);
    } else {
        doctor_add(d, DOCTOR_NOTE, "pin", "`veetance devices --pin` makes starts quicker", "%s",
                   e.text);
    }
    mem_free(pin);
}

/* ---- models ---------------------------------------------------------------------------------------- */

static void one_model(struct doctor *d, const struct models *m, const struct models_model *x)
{
    enum models_role role = MODELS_TRANSFORMER;
    enum models_state s = models_model_state(m, x, &role);
    const char *next = s == MODELS_AWAY         ? "connect its drive"
                       : s == MODELS_INCOMPLETE ? "`veetance models add PATH` with what is missing"
                                                : "`veetance models scan DIR` finds what has moved";
    if (s == MODELS_READY)
        doctor_add(d, DOCTOR_OK, "models", NULL, "%s: ready", x->name);
    else
        doctor_add(d, DOCTOR_NOTE, "models", next, "%s: %s (%s)", x->name, models_state_name(s),
                   models_role_name(role));
}

void doctor_models(struct doctor *d)
{
    struct models *m = NULL;
    struct err e = {0};
    enum err_code rc = models_load(NULL, &m, &e);
    if (rc != ERR_OK) {
        doctor_add(d, DOCTOR_BAD, "models", "mend or remove that file", "%s", e.text);
        return;
    }
    for (size_t i = 0; i < m->n_models; i++)
        one_model(d, m, &m->models[i]);
    if (m->n_models == 0)
        doctor_add(d, DOCTOR_NOTE, "models",
                   "`veetance models scan DIR`, or `veetance-fetch get klein-4b`",
                   "no models are known but the embedded ones (micro-klein, micro-layered)");
    json_put_uint(&d->details, "models", m->n_models);
    models_free(m);
}
