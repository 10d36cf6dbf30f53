/* doctor_machine.c - processor, limits and disks, as lines of `veetance doctor`.
 *
 * Only what changes how fast or whether models run is looked at: vector units and cores, memory and the limits on
 * it, and whether the file systems with models and the store can map files and read past the cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "cli/doctor.h"

enum { PATH_BYTES = 4096, PAGE_MAX = 64 << 10 };

static const double GIB = 1024.0 * 1024.0 * 1024.0;

/* ---- processor ------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define FEATURE(name)                                                                              \
    {                                                                                              \
        name, __builtin_cpu_supports(name) != 0                                                    \
    }
static void list_features(char *out, size_t size)
{
    const struct {
        const char *name;
        bool there;
    } all[] = {FEATURE("sse4.2"),     FEATURE("avx"),       FEATURE("avx2"),
               FEATURE("fma"),        FEATURE("avx512f"),   FEATURE("avx512bw"),
               FEATURE("avx512vnni"), FEATURE("avx512bf16")};
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].there && at < size)
            at += (size_t)snprintf(out + at, size - at, "%s%s", at ? " " : "", all[i].name);
}
static bool has_slow_units(void)
{
    return !__builtin_cpu_supports("avx2");
}
#else
static void list_features(char *out, size_t size)
{
    (void)snprintf(out, size, "not listed on this architecture");
}
static bool has_slow_units(void)
{
    return false;
}
#endif

static int cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

void doctor_processor(struct doctor *d)
{
    char features[256];
    list_features(features, sizeof features);
    doctor_add(d, has_slow_units() ? DOCTOR_NOTE : DOCTOR_OK, "processor",
               has_slow_units() ? "expect long waits without a graphics processor" : NULL,
               "%d cores to use; instructions: %s", cores(), features);
    json_put_int(&d->details, "cores", cores());
    json_put_z(&d->details, "cpu_features", features);
}

/* ---- limits ---------------------------------------------------------------------------------------- */

/* A line "Name:   123 kB" of /proc/meminfo, in bytes; 0 when absent. */
static uint64_t meminfo(const char *name)
{
    char line[256];
    uint64_t kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            kib = strtoull(line + strlen(name) + 1, NULL, 10);
    (void)fclose(f);
    return kib << 10;
}

static const char *limit_text(rlim_t v, char out[32])
{
    if (v == RLIM_INFINITY)
        return "unlimited";
    (void)snprintf(out, 32, "%.2f GiB", (double)v / GIB);
    return out;
}

void doctor_limits(struct doctor *d)
{
    struct rlimit files = {0}, space = {0}, locked = {0};
    char a[32], b[32];
    uint64_t total = meminfo("MemTotal"), available = meminfo("MemAvailable");
    (void)getrlimit(RLIMIT_NOFILE, &files);
    (void)getrlimit(RLIMIT_AS, &space);
    (void)getrlimit(RLIMIT_MEMLOCK, &locked);
    doctor_add(d, available < (uint64_t)2 << 30 ? DOCTOR_NOTE : DOCTOR_OK, "memory",
               available < (uint64_t)2 << 30 ? "close other programs, or use --budget" : NULL,
               "%.1f of %.1f GiB are available", (double)available / GIB, (double)total / GIB);
    doctor_add(d, space.rlim_cur != RLIM_INFINITY ? DOCTOR_NOTE : DOCTOR_OK, "limits",
               space.rlim_cur != RLIM_INFINITY
                   ? "weights are mapped: ulimit -v must exceed the model's files"
                   : NULL,
               "address space %s, locked memory %s, %llu open files", limit_text(space.rlim_cur, a),
               limit_text(locked.rlim_cur, b), (unsigned long long)files.rlim_cur);
    json_object(&d->details, "memory");
    json_put_uint(&d->details, "total_bytes", total);
    json_put_uint(&d->details, "available_bytes", available);
    json_end_object(&d->details);
}

/* ---- disk ------------------------------------------------------------------------------------------ */

/* The nearest folder above a path that is there. */
static void nearest_folder(char *path)
{
    while (path[0] && !file_is_dir(path)) {
        char *slash = strrchr(path, '/');
        if (!slash || slash == path) {
            memcpy(path, "/", 2);
            return;
        }
        *slash = 0;
    }
}

/* Whether a file of that folder can be mapped, and read past the cache. */
static void try_files(const char *dir, bool *maps, bool *direct)
{
    char path[PATH_BYTES];
    *maps = *direct = false;
    if ((size_t)snprintf(path, sizeof path, "%s/.veetance-doctor.XXXXXX", dir) >= sizeof path)
        return;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return;
    void *page = mem_try_aligned(PAGE_MAX, PAGE_MAX);
    if (page) {
        memset(page, 0x5a, PAGE_MAX);
        if (write(fd, page, PAGE_MAX) == PAGE_MAX && fsync(fd) == 0) {
            unsigned char *p = mmap(NULL, PAGE_MAX, PROT_READ, MAP_SHARED, fd, 0);
            *maps = p != MAP_FAILED && p[PAGE_MAX - 1] == 0x5a;
            if (p != MAP_FAILED)
                (void)munmap(p, PAGE_MAX);
            int raw = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
            *direct = raw >= 0 && read(raw, page, PAGE_MAX) == PAGE_MAX;
            if (raw >= 0)
                (void)close(raw);
        }
    }
    mem_free(page);
    (void)close(fd);
    (void)unlink(path);
}

void doctor_disk(struct doctor *d)
{
    char home[PATH_BYTES], dir[PATH_BYTES];
    struct statvfs st;
    struct err e = {0};
    bool maps, direct;
    if (home_path(HOME_DATA, NULL, home, sizeof home, &e) != ERR_OK) {
        doctor_add(d, DOCTOR_BAD, "disk", "set HOME or VEETANCE_HOME", "%s", e.text);
        return;
    }
    memcpy(dir, home, sizeof dir);
    nearest_folder(dir);
    if (access(dir, W_OK) != 0)
        doctor_add(d, DOCTOR_BAD, "disk", "set VEETANCE_HOME to a folder of yours",
                   "'%.300s' cannot be written: %s", dir, strerror(errno));
    if (statvfs(dir, &st) == 0) {
        uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
        bool low = free_bytes < (uint64_t)5 << 30;
        doctor_add(d, low ? DOCTOR_NOTE : DOCTOR_OK, "disk",
                   low ? "images and downloads need room; models may lie on any other drive" : NULL,
                   "%.1f GiB free for '%.300s'", (double)free_bytes / GIB, home);
        json_put_uint(&d->details, "disk_free_bytes", free_bytes);
    }
    try_files(dir, &maps, &direct);
    doctor_add(d, maps ? DOCTOR_OK : DOCTOR_NOTE, "disk",
               maps ? NULL : "keep models on a drive that can map files",
               "files there can%s be mapped and %s be read past the cache (O_DIRECT)",
               maps ? "" : "not", direct ? "can" : "cannot");
    json_put_bool(&d->details, "mmap", maps);
    json_put_bool(&d->details, "o_direct", direct);
    json_put_z(&d->details, "home", home);
}
