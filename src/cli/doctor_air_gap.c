/* doctor_air_gap.c - shows that this process cannot reach the network: what it is linked with, and what the
 * kernel answers when it tries. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/late.h"
#include "cli/doctor.h"
#include "sandbox/sandbox.h"

/* The dynamic section of /proc/self/exe: the libraries that the program was linked with. */

struct image {
    const unsigned char *p;
    size_t n;
};

static bool copy_at(const struct image *im, uint64_t at, void *out, size_t size)
{
    if (at > im->n || im->n - at < size)
        return false;
    memcpy(out, im->p + at, size);
    return true;
}

/* Where in the file the byte lies that is at this address when loaded. */
static bool offset_of(const struct image *im, const Elf64_Ehdr *head, uint64_t address,
                      uint64_t *out)
{
    Elf64_Phdr ph;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        if (!copy_at(im, head->e_phoff + i * sizeof ph, &ph, sizeof ph))
            return false;
        if (ph.p_type == PT_LOAD && address >= ph.p_vaddr && address - ph.p_vaddr < ph.p_filesz) {
            *out = ph.p_offset + (address - ph.p_vaddr);
            return true;
        }
    }
    return false;
}

/* The dynamic section's place and size. */
static bool find_dynamic(const struct image *im, const Elf64_Ehdr *head, Elf64_Phdr *out)
{
    for (unsigned i = 0; i < head->e_phnum; i++)
        if (copy_at(im, head->e_phoff + i * sizeof *out, out, sizeof *out) &&
            out->p_type == PT_DYNAMIC)
            return true;
    return false;
}

static bool read_needed(const struct image *im, void (*fn)(const char *library, void *user),
                        void *user)
{
    Elf64_Ehdr head;
    Elf64_Phdr dynamic;
    Elf64_Dyn d;
    uint64_t strings = 0;
    if (!copy_at(im, 0, &head, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64 || !find_dynamic(im, &head, &dynamic))
        return false;
    uint64_t count = dynamic.p_filesz / sizeof d;
    for (uint64_t i = 0; i < count && copy_at(im, dynamic.p_offset + i * sizeof d, &d, sizeof d);
         i++)
        if (d.d_tag == DT_STRTAB && !offset_of(im, &head, d.d_un.d_ptr, &strings))
            return false;
    for (uint64_t i = 0; i < count && copy_at(im, dynamic.p_offset + i * sizeof d, &d, sizeof d);
         i++) {
        uint64_t at = strings + d.d_un.d_val;
        if (d.d_tag == DT_NEEDED && at < im->n && memchr(im->p + at, 0, im->n - at))
            fn((const char *)im->p + at, user);
    }
    return strings != 0;
}

bool elf_needed(void (*fn)(const char *library, void *user), void *user)
{
    struct file_map map;
    if (file_map("/proc/self/exe", &map, NULL) != ERR_OK)
        return false;
    bool ok = read_needed(&(struct image){map.p, map.n}, fn, user);
    file_unmap(&map);
    return ok;
}

/* Libraries whose job is to talk to other machines as a client. */
static const char *const clients[] = {"libcurl",  "libsoup", "libneon",   "libssh",   "libnghttp",
                                      "libngtcp", "libzmq",  "librdmacm", "libwinpr", "libcpr"};

struct libraries {
    struct buf names; /* JSON strings */
    char plain[400];  /* for people */
    char bad[128];    /* a client, if there is one */
    size_t n, at;
};

static void take_library(const char *name, void *user)
{
    struct libraries *l = user;
    json_put_z(&l->names, NULL, name);
    if (l->at < sizeof l->plain)
        l->at += (size_t)snprintf(l->plain + l->at, sizeof l->plain - l->at, "%s%s",
                                  l->n ? " " : "", name);
    l->n++;
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++)
        if (strncmp(name, clients[i], strlen(clients[i])) == 0)
            (void)snprintf(l->bad, sizeof l->bad, "%s", name);
}

static void take_late(const struct late_library *l, void *user)
{
    take_library(l->file, user);
}

/* What it is linked with, and what it opens by itself when something needs it. */
static void look_at_libraries(struct doctor *d)
{
    struct libraries l = {.n = 0};
    buf_init(&l.names, 1 << 16);
    bool is_read = elf_needed(take_library, &l);
    late_each(take_late, &l);
    if (!is_read)
        doctor_add(d, DOCTOR_NOTE, "air gap", NULL, "the program's own file cannot be read");
    else if (l.bad[0])
        doctor_add(d, DOCTOR_BAD, "air gap", "install the program from its own package",
                   "the program uses %s, a network client", l.bad);
    else
        doctor_add(d, DOCTOR_OK, "air gap", NULL,
                   "the program uses %zu libraries, none of them a network client", l.n);
    if (l.n)
        doctor_add(d, DOCTOR_OK, "air gap", NULL, "libraries: %s", l.plain);
    json_array(&d->details, "libraries");
    json_put_raw(&d->details, NULL, buf_str(&l.names));
    json_end_array(&d->details);
    buf_deinit(&l.names);
}

static void try_the_network(struct doctor *d)
{
    struct sandbox_attempt a[SANDBOX_MAX_ATTEMPTS];
    int n = sandbox_try_network(a);
    json_array(&d->details, "attempts");
    for (int i = 0; i < n; i++) {
        doctor_add(d, a[i].refused ? DOCTOR_OK : DOCTOR_BAD, "air gap",
                   a[i].refused ? NULL : "do not rely on the air gap on this system", "%s: %s%s",
                   a[i].what, a[i].refused ? "refused: " : "went through",
                   a[i].refused ? strerror(a[i].sys) : "");
        json_object(&d->details, NULL);
        json_put_z(&d->details, "what", a[i].what);
        json_put_bool(&d->details, "refused", a[i].refused);
        json_put_z(&d->details, "error", a[i].refused ? strerror(a[i].sys) : "");
        json_end_object(&d->details);
    }
    json_end_array(&d->details);
}

void doctor_air_gap(struct doctor *d)
{
    look_at_libraries(d);
    try_the_network(d);
    if (sandbox_landlock_abi())
        doctor_add(d, DOCTOR_OK, "air gap", NULL,
                   "Landlock %d refuses TCP for sockets that are open already, too",
                   sandbox_landlock_abi());
    else
        doctor_add(d, DOCTOR_NOTE, "air gap", "Linux 6.7 and newer can do it",
                   "this kernel has no network rules in Landlock; new sockets are refused without");
    doctor_add(d, DOCTOR_OK, "air gap", NULL,
               "there is no telemetry and no update check to turn off; `veetance-fetch` is the one "
               "program that downloads, and --rpc the one option that keeps the network");
}
