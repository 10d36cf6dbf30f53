/* engine_confine.c - the files that are no model's and that an engine still needs: the system's libraries, what tells
 * of the machine, the devices of graphics processors and their compilers' caches. All of it to read, but for devices
 * and those caches. */
#include "cli/engine_confine.h"

#include <glob.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/late.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/cpu/choice.h"
#include "nn/late_ggml.h"
#include "pipeline/isolated/grants.h"
#include "sandbox/sandbox.h"

static const char *const to_read[] = {"/usr",
                                      "/lib",
                                      "/lib64",
                                      "/opt",
                                      "/etc/ld.so.cache",
                                      "/etc/ld.so.conf",
                                      "/etc/ld.so.conf.d",
                                      "/etc/localtime",
                                      "/etc/vulkan",
                                      "/etc/OpenCL",
                                      "/etc/nvidia",
                                      "/etc/drirc",
                                      "/proc/self",
                                      "/proc/cpuinfo",
                                      "/proc/meminfo",
                                      "/proc/stat",
                                      "/proc/vmstat",
                                      "/proc/sys",
                                      "/proc/devices",
                                      "/proc/modules",
                                      "/proc/driver",
                                      "/proc/filesystems",
                                      "/proc/version",
                                      "/sys",
                                      "/run/nvidia-persistenced",
                                      "/run/opengl-driver",
                                      "/nix/store"};

/* Where a name must be found for a worker on another machine. */
static const char *const to_resolve[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
                                         "/etc/gai.conf", "/run/systemd/resolve"};

static const char *const devices[] = {"/dev/null",   "/dev/zero",    "/dev/full",
                                      "/dev/random", "/dev/urandom", "/dev/dri",
                                      "/dev/kfd",    "/dev/dxg",     "/dev/nvidia*"};

/* Compiled kernels of drivers, under $HOME or elsewhere: without them every start compiles anew. */
static const struct {
    const char *variable, *below;
} caches[] = {{"CUDA_CACHE_PATH", ""},
              {"HOME", "/.nv"},
              {"HOME", "/.cache/mesa_shader_cache"},
              {"HOME", "/.cache/mesa_shader_cache_db"},
              {"HOME", "/.cache/nvidia"},
              {"XDG_CACHE_HOME", "/mesa_shader_cache"},
              {"XDG_CACHE_HOME", "/mesa_shader_cache_db"}};

static enum err_code add_all(struct grants *g, const char *const *paths, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        TRY(grants_add_read(g, paths[i], e));
    return ERR_OK;
}

/* Some graphics processor: its driver keeps what the command line leaves it, too (sandbox.h). */
static bool has_card(void)
{
    static const char *const nodes[] = {"/dev/nvidiactl", "/dev/dri", "/dev/kfd", "/dev/dxg"};
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
        if (file_exists(nodes[i]))
            return true;
    return false;
}

static enum err_code add_devices(struct grants *g, struct err *e)
{
    glob_t found;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < sizeof devices / sizeof devices[0]; i++) {
        if (glob(devices[i], 0, NULL, &found) != 0)
            continue;
        for (size_t k = 0; rc == ERR_OK && k < found.gl_pathc; k++)
            rc = grants_add_written(g, found.gl_pathv[k], e);
        globfree(&found);
    }
    return rc;
}

static enum err_code add_caches(struct grants *g, struct err *e)
{
    char path[FOLDER_PATH_BYTES];
    for (size_t i = 0; i < sizeof caches / sizeof caches[0]; i++) {
        const char *base = getenv(caches[i].variable);
        int n = base && *base ? snprintf(path, sizeof path, "%s%s", base, caches[i].below) : -1;
        if (n > 0 && (size_t)n < sizeof path)
            TRY(grants_add_written(g, path, e));
    }
    return ERR_OK;
}

struct loaded {
    struct grants *grants;
    enum err_code rc;
    struct err *err;
};

/* The folder of every library that is loaded: ggml's has its backends below. */
static int add_library(struct dl_phdr_info *info, size_t size, void *user)
{
    struct loaded *l = user;
    char folder[FOLDER_PATH_BYTES];
    (void)size;
    if (info->dlpi_name && info->dlpi_name[0] == '/' &&
        folder_of(info->dlpi_name, folder, NULL) == ERR_OK)
        l->rc = grants_add_read(l->grants, folder, l->err);
    return l->rc != ERR_OK;
}

/* Files that the environment names. */
static enum err_code add_named(struct grants *g, struct err *e)
{
    static const char *const variables[] = {"VEETANCE_GGML_DIR", "VEETANCE_CUDA_DRIVER",
                                            "VK_ICD_FILENAMES", "VK_DRIVER_FILES",
                                            "LD_LIBRARY_PATH"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *value = getenv(variables[i]);
        for (size_t n; value && *value; value += n + (value[n] == ':')) {
            char path[FOLDER_PATH_BYTES];
            n = strcspn(value, ":");
            if (n && (size_t)snprintf(path, sizeof path, "%.*s", (int)n, value) < sizeof path)
                TRY(grants_add_read(g, path, e));
        }
    }
    return ERR_OK;
}

static enum err_code gather(struct grants *g, const struct grants *granted, bool network,
                            struct err *e)
{
    struct loaded l = {.grants = g, .rc = ERR_OK, .err = e};
    TRY(grants_join(g, granted, e));
    TRY(add_all(g, to_read, sizeof to_read / sizeof to_read[0], e));
    if (network)
        TRY(add_all(g, to_resolve, sizeof to_resolve / sizeof to_resolve[0], e));
    TRY(add_devices(g, e));
    TRY(add_caches(g, e));
    TRY(add_named(g, e));
    TRY(late_open(&nn_ggml, e)); /* so that its folder is among them */
    (void)dl_iterate_phdr(add_library, &l);
    return l.rc;
}

enum err_code engine_confine(const struct grants *granted, bool network, struct err *e)
{
    const enum sandbox_network reach = network ? SANDBOX_RPC : SANDBOX_OFFLINE;
    struct grants *g = mem_alloc(sizeof *g);
    bool files = false;
    if (!network && !has_card())
        (void)nn_cpu_choice_rates(); /* reads or writes a file that is out of reach from here on */
    enum err_code rc = gather(g, granted, network, e);
    const struct sandbox_rights kept = {.read = g->read.paths,
                                        .n_read = (size_t)g->read.n,
                                        .write = g->write.paths,
                                        .n_write = (size_t)g->write.n,
                                        .local_sockets = has_card()};
    struct err why = {0};
    if (rc == ERR_OK && (sandbox_drop_network(reach, &why) != ERR_OK ||
                         sandbox_confine(&kept, reach, &files, &why) != ERR_OK))
        log_warn("the engine keeps rights that it does not need: %s", why.text);
    else if (rc == ERR_OK && !files)
        log_info("this kernel has no Landlock: the engine keeps the right to read files");
    grants_deinit(g);
    mem_free(g);
    return rc;
}
